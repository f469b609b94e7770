"""Avatar packs (`.agora`): reading, checking and writing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from core.avatar.archive import check_entries, describe_entries, read_archive, write_archive
from core.avatar.basis import ATTRIBUTES, AttributeBasis, check_basis
from core.avatar.compact_identity import compact_tensors, expanded_tensors
from core.avatar.driving_map import DrivingMap, check_driving
from core.avatar.generator_weights import GeneratorWeights, check_generator
from core.avatar.identity import Identity, check_identity
from core.avatar.manifest import PackManifest, parse_manifest
from core.avatar.official_weights import OfficialWeights, check_official
from core.avatar.regressor import Regressor, check_regressor
from core.avatar.response import DrivingResponse, check_response
from core.errors import PackError

PACK_SUFFIX = ".agora"
_BASIS, _REGRESSOR, _ROWS, _RESPONSE, _GENERATOR, _DRIVING = (
    f"{part}.safetensors" for part in ("basis", "regressor", "rows", "response", "generator", "driving"))


@dataclass(frozen=True, eq=False)
class RowTable:
    """Which element of the head's surface each basis row sits on (packs whose anchors are ``rows``).

    Attributes:
        texel: [R] int32 index into the texel atlas (in packs of kind generator: of the generator's seat), -1 where the row is a
            triangle.
        triangle: [R] int32 face of the head, -1 where the row is a texel.
    """

    texel: NDArray[np.int32]
    triangle: NDArray[np.int32]

    def tensors(self) -> dict[str, NDArray]:
        return {"texel": self.texel, "triangle": self.triangle}


@dataclass(frozen=True, eq=False)
class AvatarPack:
    """Everything a `.agora` file holds.

    Attributes:
        manifest: conventions and descriptions.
        basis: xyz, rotation, scale, opacity.
        regressor: (w, ψ) → coefficients of the four attributes, concatenated.
        rows: where the rows sit, None when Gaussians are their own anchors.
        response: correction of ψ.
        identities: people stored in the pack (none in the studio pack, which builds them from seeds).
        generator: what makes people of seeds, in packs of kind generator.
        official: the published generator, in packs of kind official that can make new people.
        driving: from the tracker's ψ to the pack's, in packs whose manifest names a tracked head.
        thumbnails: PNG pictures by identity name or other label.
    """

    manifest: PackManifest
    basis: tuple[AttributeBasis, AttributeBasis, AttributeBasis, AttributeBasis]
    regressor: Regressor
    rows: RowTable | None = None
    response: DrivingResponse | None = None
    identities: tuple[Identity, ...] = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
    generator: GeneratorWeights | None = None
    official: OfficialWeights | None = None
    driving: DrivingMap | None = None


def read_pack(path: str | Path) -> AvatarPack:
    """Reads and checks a pack. Nothing in a pack can execute.

    Raises:
        PackError: missing, unreadable, damaged, changed, unsafe, of an unknown version, or inconsistent.
    """
    path = Path(path)
    raw, contents = read_archive(path)
    manifest = parse_manifest(path, raw)
    declared = raw.get("entries")
    if not isinstance(declared, dict) or not all(isinstance(entry, dict) for entry in declared.values()):
        raise PackError(f"{path}: manifest field 'entries' is missing or of the wrong type")
    check_entries(path, declared, contents)

    basis_tensors = _grouped(path, _BASIS, contents)
    basis = tuple(check_basis(f"{path}: {name}", basis_tensors.get(name, {}), channels, components, manifest.rows)
                  for name, channels, components in zip(ATTRIBUTES, manifest.channels, manifest.components, strict=True))
    regressor = check_regressor(f"{path}: regressor", _tensors(path, _REGRESSOR, contents), manifest.psi,
                                manifest.latent_size, manifest.features, sum(manifest.components))
    rows = response = generator = official = driving = None
    if manifest.anchors == "rows":
        rows = _check_rows(path, _tensors(path, _ROWS, contents), manifest.rows)
    if _RESPONSE in contents:
        response = check_response(f"{path}: response", _tensors(path, _RESPONSE, contents), manifest.driven_by.size)
    if manifest.tracked is not None:
        driving = check_driving(f"{path}: driving", _tensors(path, _DRIVING, contents), manifest.psi.size,
                                manifest.driven_by.size)
    if manifest.generator is not None and manifest.kind == "official":
        official = check_official(f"{path}: generator", _tensors(path, _GENERATOR, contents), manifest)
    elif manifest.generator is not None:
        generator = check_generator(f"{path}: generator", _tensors(path, _GENERATOR, contents), manifest)
    thumbnails = {name.removeprefix("thumbnails/"): data for name, data in contents.items() if name.startswith("thumbnails/")}
    return AvatarPack(manifest, basis, regressor, rows, response, _read_identities(path, raw, contents, manifest), thumbnails,
                      generator, official, driving)


def write_pack(path: str | Path, pack: AvatarPack) -> None:
    """Writes a pack atomically; equal packs give equal bytes.

    Raises:
        OutputError: the file cannot be written.
    """
    contents = {
        _BASIS: _save({f"{name}/{key}": value for name, basis in zip(ATTRIBUTES, pack.basis, strict=True)
                       for key, value in basis.tensors().items()}),
        _REGRESSOR: _save(pack.regressor.tensors()),
    }
    if pack.rows is not None:
        contents[_ROWS] = _save(pack.rows.tensors())
    if pack.response is not None:
        contents[_RESPONSE] = _save(pack.response.tensors())
    weights = pack.generator or pack.official
    if weights is not None:
        contents[_GENERATOR] = _save(weights.tensors())
    if pack.driving is not None:
        contents[_DRIVING] = _save(pack.driving.tensors())
    people = []
    for i, identity in enumerate(pack.identities):
        entry = f"identities/{i:05d}.safetensors"
        contents[entry] = _save(stored_identity(pack.manifest, identity))
        people.append({"entry": entry, "name": identity.name, "seed": identity.seed, "tags": list(identity.tags)})
    contents |= {f"thumbnails/{name}": data for name, data in pack.thumbnails.items()}
    manifest = pack.manifest.to_json() | {"identities": people, "entries": describe_entries(contents)}
    write_archive(Path(path), json.loads(json.dumps(manifest)), contents)


def set_response(path: str | Path, response: DrivingResponse | None) -> None:
    """Puts a driving response into an existing pack file, or takes it out.

    Raises:
        PackError: the pack cannot be read, or the response does not fit its ψ.
        OutputError: the pack cannot be written.
    """
    pack = read_pack(path)
    if response is not None:
        check_response(f"{path}: response", response.tensors(), pack.manifest.driven_by.size)
    write_pack(path, replace(pack, response=response))


def stored_identity(manifest: PackManifest, identity: Identity) -> dict[str, NDArray]:
    """A person as the files of such a pack hold them."""
    return compact_tensors(identity) if manifest.people == "compact" else identity.tensors()


def read_identity(where: str, tensors: dict[str, NDArray], manifest: PackManifest, name: str, seed: int | None,
                  tags: tuple[str, ...]) -> Identity:
    """A person from the tensors of `stored_identity`, which are not trusted. Raises PackError when they do not fit the pack."""
    if manifest.people == "compact":
        tensors = expanded_tensors(where, tensors, manifest.rows)
    return check_identity(where, tensors, name, seed, tags, manifest.latent_size, manifest.rows, manifest.facing)


def _save(tensors: Mapping[str, NDArray]) -> bytes:
    return save({name: np.ascontiguousarray(value) for name, value in tensors.items()})


def _tensors(path: Path, entry: str, contents: Mapping[str, bytes]) -> dict[str, NDArray]:
    if entry not in contents:
        raise PackError(f"{path}: entry '{entry}' is missing")
    try:
        return load(contents[entry])
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise PackError(f"{path}: entry '{entry}' is not a readable safetensors file") from error


def _grouped(path: Path, entry: str, contents: Mapping[str, bytes]) -> dict[str, dict[str, NDArray]]:
    groups: dict[str, dict[str, NDArray]] = {}
    for name, value in _tensors(path, entry, contents).items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = value
    return groups


def _check_rows(path: Path, tensors: dict[str, NDArray], rows: int) -> RowTable:
    if set(tensors) != {"texel", "triangle"}:
        raise PackError(f"{path}: rows must hold texel and triangle and nothing else")
    for name, value in tensors.items():
        if value.dtype != np.int32 or value.shape != (rows,):
            raise PackError(f"{path}: rows/{name}: has type {value.dtype} and shape {value.shape}, expected int32 ({rows},)")
    table = RowTable(tensors["texel"], tensors["triangle"])
    if not ((table.texel >= 0) ^ (table.triangle >= 0)).all():
        raise PackError(f"{path}: rows: every row must be either a texel or a triangle")
    return table


def _read_identities(path: Path, raw: Mapping, contents: Mapping[str, bytes], manifest: PackManifest) -> tuple[Identity, ...]:
    listed = raw.get("identities", [])
    if not isinstance(listed, list):
        raise PackError(f"{path}: manifest field 'identities' is not a list")
    people = []
    for item in listed:
        entry, name, seed, tags = (item.get(key) if isinstance(item, dict) else None for key in ("entry", "name", "seed", "tags"))
        if not (isinstance(entry, str) and isinstance(name, str) and (seed is None or type(seed) is int)
                and isinstance(tags, list) and all(isinstance(tag, str) for tag in tags)):
            raise PackError(f"{path}: manifest field 'identities' has an item without entry, name, seed or tags")
        people.append(read_identity(f"{path}: {entry}", _tensors(path, entry, contents), manifest, name, seed, tuple(tags)))
    return tuple(people)
