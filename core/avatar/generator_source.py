"""People of a trained generator that a pack holds: any seed, and mixes. Torch is loaded when the first one is made."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import networks, studio
from core.assets import cache_folder
from core.avatar.identity import Identity, parse_seed
from core.avatar.identity_cache import CACHE_BYTES, IdentityCache
from core.avatar.pack import AvatarPack
from core.avatar.person import Person, parse_person
from core.avatar.resting import with_rest_scores
from core.errors import AssetError, PackError
from core.head.library import load_open_head
from core.head.model import HeadModel

if TYPE_CHECKING:
    from core.avatar.generator_binding import BoundPerson, Sitter
    from core.networks.head_generator import HeadGenerator

_CACHE_VERSION = b"1"
_SOURCES = ("generator_binding.py", "generator_network.py", "generator_source.py")


class GeneratorSource:
    """People of a pack of kind generator: any seed from 0 to 2³²−1. Finished people are kept in a folder of limited size.

    Args:
        pack: holds a generator.
        head: the head model it was trained on; by default the open head.
        folder: where finished people are kept; by default in the user's cache.
        limit: bytes that the folder may hold.

    Raises:
        PackError: the pack holds no generator.
    """

    def __init__(self, pack: AvatarPack, head: HeadModel | None = None, folder: Path | None = None,
                 limit: int = CACHE_BYTES) -> None:
        if pack.generator is None or pack.manifest.generator is None:
            raise PackError(f"pack '{pack.manifest.name}' holds no generator")
        self.pack = pack
        self._head, self._made = head, None
        self.fingerprint = self._fingerprint()
        self._cache = IdentityCache((folder or cache_folder() / "identities") / self.fingerprint, pack, limit)

    def build(self, seed: int | str) -> Identity:
        """The person of a seed, from the cache or made in less than a second.

        Where the pack has a driving response, the landmarker looks at the finished person once.

        Raises:
            InputError: not a seed.
            PackError: the generator cannot be used, or is for another head model.
        """
        return self.build_person(Person(parse_seed(seed)))

    def build_person(self, person: Person | str) -> Identity:
        """As `build`, also for mixes. Raises InputError when it is neither a seed nor a mix."""
        person = parse_person(person) if isinstance(person, str) else person
        cached = self.at_hand(person)
        if cached is not None:
            return cached
        identity = self.bind(person).identity
        if self.pack.response is not None:
            try:
                identity = with_rest_scores(self.pack, identity)
            except AssetError:  # no landmarker: the pack's average serves until there is one
                return identity
        self._cache.write(person.text if person.is_mix else person.seed, identity)
        return identity

    def at_hand(self, person: Person) -> Identity | None:
        """A finished person from the cache."""
        return self._cache.read(person.text if person.is_mix else person.seed)

    def bind(self, person: Person) -> BoundPerson:
        """A person made anew, with the seats of the Gaussians."""
        from core.avatar.generator_binding import bind_sitter

        sitter, words, tags = self.sitter(person)
        label = f"mix {person.text}" if person.is_mix else f"seed {person.seed}"
        name, seed = f"{label}: {words}" if words else label, None if person.is_mix else person.seed
        return bind_sitter(self.pack, sitter, name, seed, tags)

    def sitter(self, person: Person) -> tuple[Sitter, str, tuple[str, ...]]:
        """A person as the generator itself draws them, a description and tags.

        Mixes are made of traits where the prior is the studio, else of styles and shapes.
        """
        from core.avatar.generator_binding import Sitter
        from core.avatar.generator_network import normal_draw, style_of

        generator = self.generator()
        if self.pack.manifest.generator.prior == "studio":
            traits = _traits(person, generator.head)
            z = studio_z(traits)
            return Sitter(generator, style_of(generator, z), traits.shape), studio.describe(traits), tags_of(traits)
        drawn = [normal_draw(seed, generator.config.latent_input, self.pack.generator.shapes)
                 for seed in ([person.seed, person.other] if person.is_mix else [person.seed])]
        styles = [style_of(generator, z) for z, _ in drawn]
        w, shape = styles[0], drawn[0][1]
        if person.is_mix:
            w, shape = w.lerp(styles[1], person.share), shape + person.share * (drawn[1][1] - shape)
        return Sitter(generator, w, shape), "", ()

    def generator(self) -> HeadGenerator:
        """The network; made at the first call.

        Raises:
            PackError: it cannot be made, or is for another head model.
        """
        from core.avatar.generator_network import build_generator

        if self._made is None:
            head, manifest = self._head or load_open_head(), self.pack.manifest
            if manifest.head_sha256 != head.sha256:
                raise PackError(f"pack '{manifest.name}' was made for another head model ({manifest.head_name}, "
                                f"{manifest.head_sha256[:12]}…), not for {head.name}", "choose a pack for this head")
            self._made = build_generator(manifest, self.pack.generator, head)
        return self._made

    def _fingerprint(self) -> str:
        """What a finished person depends on beside the seed: weights, head, rows, and the code that makes people."""
        digest, manifest = hashlib.sha256(_CACHE_VERSION), self.pack.manifest
        code = [Path(__file__).with_name(name) for name in _SOURCES] + sorted(Path(networks.__file__).parent.glob("*.py"))
        if manifest.generator.prior == "studio":
            code += sorted(Path(studio.__file__).parent.rglob("*.py"))
        for source in code:
            digest.update(source.read_bytes())
        digest.update(repr((manifest.generator, manifest.head_sha256, manifest.surface, manifest.latent_size, manifest.rotation,
                            manifest.facing, self.pack.response is not None)).encode())
        if self._head is not None:
            digest.update(self._head.sha256.encode())
        for name, tensor in sorted(self.pack.generator.tensors().items()):
            digest.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
        if self.pack.rows is not None:
            digest.update(self.pack.rows.texel.tobytes())
        return digest.hexdigest()[:20]


def _traits(person: Person, head: HeadModel) -> studio.Traits:
    first = studio.sample_traits(person.seed, head)
    return studio.mix_traits(first, studio.sample_traits(person.other, head), person.share) if person.is_mix else first


def studio_z(traits: studio.Traits) -> np.ndarray:
    """z of studio traits: without glasses, which are no part of a head."""
    from core.studio.trait_vector import trait_vector

    return trait_vector(replace(traits, accessories=replace(traits.accessories, glasses="none")))


def tags_of(traits: studio.Traits) -> tuple[str, ...]:
    """Words to find a person by."""
    tags = [traits.hair.style, f"{traits.hair.color_name} hair", f"{traits.eyes.iris_name} eyes", traits.garment.style]
    return tuple(tags if traits.beard.style == "none" else [*tags, "beard"])
