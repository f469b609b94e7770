"""People of an official pack: those that are in it, and new ones by the published generator. Torch loads when one is made."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core import networks
from core.assets import cache_folder
from core.avatar.identity import Identity, parse_seed
from core.avatar.identity_cache import CACHE_BYTES, IdentityCache
from core.avatar.official_weights import SHAPE_SIZE
from core.avatar.pack import AvatarPack
from core.avatar.person import Person, parse_person
from core.errors import PackError
from core.types import FloatArray

if TYPE_CHECKING:
    from core.avatar.official_network import OfficialPerson
    from core.networks.generator import Generator

_CACHE_VERSION = b"1"
_SOURCES = ("cuda_random.py", "official_network.py", "official_source.py", "official_weights.py")


class OfficialSource:
    """People of a pack of kind official that holds the generator: any seed from 0 to 2³²−1, and mixes.

    Those that are stored in the pack are taken from there. Finished new ones are kept in a folder of limited size.

    Args:
        pack: holds the published generator.
        folder: where finished people are kept; by default in the user's cache.
        limit: bytes that the folder may hold.

    Raises:
        PackError: the pack holds no generator.
    """

    def __init__(self, pack: AvatarPack, folder: Path | None = None, limit: int = CACHE_BYTES) -> None:
        if pack.official is None or pack.manifest.generator is None:
            raise PackError(f"pack '{pack.manifest.name}' holds no generator")
        self.pack = pack
        self._stored = {identity.seed: identity for identity in pack.identities}
        self.fingerprint = self._fingerprint()
        self._cache = IdentityCache((folder or cache_folder() / "identities") / self.fingerprint, pack, limit)

    def build(self, seed: int | str) -> Identity:
        """The person of a seed: stored, from the cache, or made in some seconds.

        Raises:
            InputError: not a seed.
            PackError: the generator cannot be used.
        """
        return self.build_person(Person(parse_seed(seed)))

    def build_person(self, person: Person | str) -> Identity:
        """As `build`, also for mixes. Raises InputError when it is neither a seed nor a mix."""
        person = parse_person(person) if isinstance(person, str) else person
        ready = self.at_hand(person)
        if ready is not None:
            return ready
        name, seed = (f"mix {person.text}", None) if person.is_mix else (f"seed {person.seed}", person.seed)
        identity = bind_official(self.pack, self._sit(person), name, seed)
        self._cache.write(person.text if person.is_mix else person.seed, identity)
        return identity

    def at_hand(self, person: Person) -> Identity | None:
        """A person of the pack or of the cache."""
        if not person.is_mix and person.seed in self._stored:
            return self._stored[person.seed]
        return self._cache.read(person.text if person.is_mix else person.seed)

    def sitter_of(self, seed: int) -> tuple[FloatArray, FloatArray]:
        """Style w [W] and shape [300] of a seed."""
        from core.avatar.official_network import draw, style_of

        stored, seeding = self.pack.official, self.pack.manifest.generator.prior
        z, row = draw(seeding, seed, self.generator.config.latent_size, stored.table_rows)
        shape = stored.shapes[stored.row_of(seed, row)] if len(stored.shapes) else np.zeros(SHAPE_SIZE, np.float32)
        return style_of(self.generator, z, stored.camera), shape

    def _sit(self, person: Person) -> OfficialPerson:
        from core.avatar.official_network import Sitter

        w, shape = self.sitter_of(person.seed)
        if person.is_mix:
            other_w, other_shape = self.sitter_of(person.other)
            w, shape = w + person.share * (other_w - w), shape + person.share * (other_shape - shape)
        return Sitter(self.generator, w, shape, self.pack.official.camera).resting()

    @cached_property
    def generator(self) -> Generator:
        """The network; made at the first use.

        Raises:
            InputError: its weights do not fit each other.
            PackError: it does not fit the pack.
        """
        from core.avatar.official_network import build_official, fastest_device

        where = f"pack '{self.pack.manifest.name}': generator"
        generator, manifest = build_official(where, self.pack.official.weights, fastest_device()), self.pack.manifest
        if generator._uv_grid.shape[1] != len(self.pack.official.order):
            raise PackError(f"{where}: has another number of Gaussians than the pack")
        if generator.config.latent_size != manifest.latent_size:
            raise PackError(f"{where}: latent_size is {generator.config.latent_size}, the pack needs {manifest.latent_size}")
        return generator

    def _fingerprint(self) -> str:
        """What a finished person depends on beside the seed: weights, seeding, and the code that makes people."""
        digest = hashlib.sha256(_CACHE_VERSION)
        for source in [Path(__file__).with_name(name) for name in _SOURCES] + sorted(Path(networks.__file__).parent.glob("*.py")):
            digest.update(source.read_bytes())
        digest.update(repr((self.pack.manifest.generator, self.pack.manifest.rows)).encode())
        for name, tensor in sorted(self.pack.official.tensors().items()):
            digest.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
        return digest.hexdigest()[:20]


def bind_official(pack: AvatarPack, person: OfficialPerson, name: str, seed: int | None) -> Identity:
    """A resting person whose Gaussians are in the network's order -> in the pack's, ready to be driven."""
    return Identity.self_anchored(name, seed, person.w, person.gaussians.subset(pack.official.order), person.pivot,
                                  pack.manifest.rows)
