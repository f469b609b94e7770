"""Where people come from: one interface over seeds, packs and generators."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

from core import studio
from core.assets import cache_folder, resource
from core.avatar.cloud_file import is_cloud_file
from core.avatar.generator_source import GeneratorSource
from core.avatar.identity import Identity, parse_seed
from core.avatar.identity_cache import CACHE_BYTES, IdentityCache
from core.avatar.official_source import OfficialSource
from core.avatar.pack import AvatarPack, read_pack
from core.avatar.person import Person, parse_person
from core.avatar.resting import with_rest_scores
from core.avatar.static_pack import read_static_pack
from core.avatar.studio_binding import bind_studio_identity, check_head
from core.errors import AssetError, InputError, PackError
from core.head.library import load_open_head
from core.head.model import HeadModel

STUDIO_PACK_NAME = "studio.agora"
_CACHE_VERSION = b"1"


class IdentitySource(Protocol):
    """Makes people for one pack.

    Attributes:
        pack: the pack whose basis drives them.
        fingerprint: changes whenever the same name stands for somebody who looks different.
    """

    pack: AvatarPack
    fingerprint: str

    def build(self, seed: int | str) -> Identity:
        """The person of a seed.

        Raises:
            InputError: this source has no such person.
        """

    def build_person(self, person: Person | str) -> Identity:
        """A person by name, which may be a mix ("7+42@0.5").

        Raises:
            InputError: this source has no such person.
        """

    def at_hand(self, person: Person) -> Identity | None:
        """A person who need not be built, None for others. Takes some 20 ms at most.

        Raises:
            InputError: this source has no such person.
        """


@lru_cache(maxsize=1)
def load_studio_pack() -> AvatarPack:
    """The pack that ships with the program. Raises PackError when it is damaged."""
    return read_pack(resource(STUDIO_PACK_NAME))


class StudioSource:
    """Procedural people: any seed from 0 to 2³²−1. Finished people are kept in a folder of limited size.

    Args:
        pack: a studio pack; by default the one that ships.
        head: the head model the pack was made for; by default the open head.
        folder: where finished people are kept; by default in the user's cache.
        limit: bytes that the folder may hold.
    """

    def __init__(self, pack: AvatarPack | None = None, head: HeadModel | None = None, folder: Path | None = None,
                 limit: int = CACHE_BYTES) -> None:
        self.pack = pack or load_studio_pack()
        self._head = head
        self.fingerprint = self._fingerprint()
        self._cache = IdentityCache((folder or cache_folder() / "identities") / self.fingerprint, self.pack, limit)

    def build(self, seed: int | str) -> Identity:
        """The person of a seed, from the cache or built in about two seconds.

        Where the pack has a driving response, the landmarker looks at the finished person once.

        Raises:
            InputError: not a seed.
            PackError: the pack was made for another head model.
        """
        return self.build_person(Person(parse_seed(seed)))

    def build_person(self, person: Person | str) -> Identity:
        """Anybody the studio can make, also mixes; from the cache or built in about two seconds.

        Raises:
            InputError: neither a seed nor a mix.
            PackError: the pack was made for another head model.
        """
        person = parse_person(person) if isinstance(person, str) else person
        cached = self.at_hand(person)
        if cached is not None:
            return cached
        head = self._head or load_open_head()
        atlas = studio.TexelAtlas(head)
        check_head(self.pack, head, atlas)
        identity = bind_studio_identity(self.pack, head, atlas, _make(person, head))
        if person.is_mix:
            identity = replace(identity, seed=None)
        if self.pack.response is not None:
            try:
                identity = with_rest_scores(self.pack, identity)
            except AssetError:  # no landmarker: the pack's average serves until there is one
                return identity
        self._cache.write(_key(person), identity)
        return identity

    def at_hand(self, person: Person) -> Identity | None:
        """A finished person from the cache."""
        return self._cache.read(_key(person))

    def _fingerprint(self) -> str:
        """What a finished person depends on beside the seed: the studio's own source, the head and the pack's rows."""
        digest = hashlib.sha256(_CACHE_VERSION)
        for source in sorted(Path(studio.__file__).parent.rglob("*.py")):
            digest.update(source.read_bytes())
        digest.update(Path(__file__).with_name("studio_binding.py").read_bytes())
        manifest = self.pack.manifest
        digest.update(f"{manifest.head_sha256} {manifest.surface} {manifest.latent_size}".encode())
        if self._head is not None:
            digest.update(self._head.sha256.encode())
        digest.update(b"without response" if self.pack.response is None else b"with response")
        if self.pack.rows is not None:
            digest.update(self.pack.rows.texel.tobytes() + self.pack.rows.triangle.tobytes())
        return digest.hexdigest()[:20]


def _make(person: Person, head: HeadModel) -> studio.StudioIdentity:
    if not person.is_mix:
        return studio.build_identity(person.seed, head)
    parents = (studio.sample_traits(seed, head) for seed in (person.seed, person.other))
    return studio.build_identity(studio.mix_traits(*parents, person.share), head, f"mix {person.text}")


def _key(person: Person) -> int | str:
    return person.text if person.is_mix else person.seed


class PackSource:
    """People stored in a pack, by seed or by number in the pack's order."""

    def __init__(self, pack: AvatarPack) -> None:
        self.pack = pack

    @property
    def people(self) -> Sequence[Identity]:
        return self.pack.identities

    @property
    def names(self) -> tuple[str, ...]:
        """What `build_person` calls them, in the pack's order."""
        return tuple(str(i if identity.seed is None else identity.seed) for i, identity in enumerate(self.people))

    @cached_property
    def fingerprint(self) -> str:
        """Of the names and looks of all people."""
        digest = hashlib.sha256(repr(self.pack.manifest).encode())
        for name, identity in zip(self.names, self.people, strict=True):
            digest.update(name.encode() + identity.gaussians.xyz.tobytes() + identity.gaussians.rgb.tobytes())
        return digest.hexdigest()[:20]

    def build(self, seed: int | str) -> Identity:
        """The stored person with this seed; a pack whose people have no seeds counts them from 0.

        Raises:
            InputError: not a seed, or nobody has it.
        """
        number = parse_seed(seed)
        for i, identity in enumerate(self.pack.identities):
            if number == (i if identity.seed is None else identity.seed):
                return identity
        raise InputError(f"pack '{self.pack.manifest.name}' has nobody with seed {number}",
                         f"it holds {len(self.pack.identities)} people")

    def build_person(self, person: Person | str) -> Identity:
        """As `build`. Raises InputError also for a mix."""
        person = parse_person(person) if isinstance(person, str) else person
        if person.is_mix:
            raise InputError(f"pack '{self.pack.manifest.name}' holds finished people, who cannot be mixed",
                             "mix people of the studio, or choose one of the pack")
        return self.build(person.seed)

    def at_hand(self, person: Person) -> Identity:
        """As `build_person`: everybody is."""
        return self.build_person(person)


def open_source(pack_path: str | Path | None = None) -> IdentitySource:
    """The source of people for a pack file, or for a file of Gaussians; without one, the studio that ships.

    Raises:
        PackError: the pack cannot be used.
        InputError: the file of Gaussians cannot be used.
    """
    if pack_path is None:
        return StudioSource()
    if is_cloud_file(pack_path):
        return PackSource(read_static_pack(pack_path))
    pack = read_pack(pack_path)
    if pack.manifest.kind == "studio":
        return StudioSource(pack)
    if pack.generator is not None:
        return GeneratorSource(pack)
    if pack.official is not None:
        return OfficialSource(pack)
    if not pack.identities:
        raise PackError(f"{pack_path}: holds no people")
    return PackSource(pack)
