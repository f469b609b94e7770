"""The published AGORA release to an avatar pack: with what is there, saying what is missing and what that costs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.avatar.identity import Identity
from core.avatar.manifest import GeneratorDeclaration, PackManifest, TrackedHead
from core.avatar.official_network import OFFICIAL_PSI, Sitter, build_official, draw, fastest_device, needed_names, style_of
from core.avatar.official_source import bind_official
from core.avatar.official_weights import SHAPE_SIZE, OfficialWeights
from core.avatar.pack import AvatarPack
from core.avatar.regressor import Regressor
from core.errors import InputError
from core.head.model import HeadModel
from core.networks.generator import Generator
from core.types import FloatArray
from trainer.official_basis import PackedBasis, pack_basis, permuted_outputs
from trainer.official_distill import FEATURES, distill_official
from trainer.official_driving import DrivingFit, fit_driving
from trainer.official_files import OfficialFiles
from trainer.official_reading import OfficialBasis, OfficialData, reading

Progress = Callable[[str, float], None]
CAMERA_SCALE = 8.0  # s of the camera from the front (specification 9.1)
SEEDS_WITH_SHAPES = 4096  # whose published head shape goes into the pack
_CAMERA, _MADE_UP_SHAPES = slice(358, 364), 1024
_LARGEST_CONFIG = 1 << 20
_LICENCE = "The weights are those of the AGORA release and under its terms, and FLAME's."


@dataclass(frozen=True)
class ImportSettings:
    """How the release becomes a pack.

    Attributes:
        seeds: people who are stored in the pack.
        with_generator: keep the generator, so that any other seed can be made.
        components: of each attribute at most; all that are published when None.
        name: of the pack.
        seeding: "cuda", as published, or "cpu" (see `core.avatar.manifest.GeneratorDeclaration`).
        distill: make a basis where AGORA-M is missing; otherwise its people do not move then.
        people, faces: that such a basis is made of;  own_components: its size.
    """

    seeds: tuple[int, ...] = tuple(range(8))
    with_generator: bool = True
    components: int | None = None
    name: str = "AGORA"
    seeding: str = "cuda"
    distill: bool = True
    people: int = 6
    faces: int = 40
    own_components: int = 32


@dataclass(frozen=True)
class Import:
    """A pack, and what is to be said about it.

    Attributes:
        pack: ready to be written.
        found: what was used, a line each.
        lacking: what is missing and what does not work for that, a line each.
    """

    pack: AvatarPack
    found: tuple[str, ...]
    lacking: tuple[str, ...]


def import_official(files: OfficialFiles, head: HeadModel, settings: ImportSettings | None = None,
                    progress: Progress = lambda stage, share: None, folder: Path | None = None) -> Import:
    """The pack of the files of a release.

    Args:
        head: the open head, whose ψ the tracker gives.
        progress: is told the stage and its share done.
        folder: for temporary files of about the release's size.

    Raises:
        InputError: a file is damaged, refused, or does not fit the others.
    """
    settings = settings or ImportSettings()
    progress("reading", 0.0)
    with reading(files, folder) as data:
        progress("reading", 1.0)
        return _Importer(files, data, head, settings, progress, folder).run()


class _Importer:
    def __init__(self, files: OfficialFiles, data: OfficialData, head: HeadModel, settings: ImportSettings, progress: Progress,
                 folder: Path | None) -> None:
        self._files, self._data, self._settings, self._progress, self._folder = files, data, settings, progress, folder
        self._generator = build_official(str(files.checkpoint), data.generator, fastest_device())
        self._head = head
        self._check_config()
        self._tables = _tables_of(data, self._generator, settings.seeding)

    def run(self) -> Import:
        data, settings, head = self._data, self._settings, self._head
        driving = fit_driving(data.generator, head, None if data.table is None else data.table[:, 300:350])
        manifest = PackManifest(
            name=settings.name, kind="official", licence=_LICENCE, creator="AGORA", head_name="FLAME of the checkpoint",
            head_sha256=_hash(data.generator["flame_lbs_model.v_template"]), psi=OFFICIAL_PSI,
            latent_size=self._generator.config.latent_size, rows=1, components=(0,) * 4, people="compact",
            tracked=TrackedHead(head.name, head.sha256, head.psi_layout))
        packed, regressor = self._basis(manifest)
        manifest = replace(manifest, rows=packed.rows, components=tuple(part.components for part in packed.attributes),
                           features=regressor.features)
        weights = OfficialWeights(_weights_of(self._generator) if settings.with_generator else {}, packed.order, *self._tables)
        if settings.with_generator:
            manifest = replace(manifest, generator=GeneratorDeclaration(settings.seeding, "{}"))
        pack = AvatarPack(manifest, packed.attributes, regressor, driving=driving.map, official=weights)
        people = tuple(self._people(pack))
        pack = replace(pack, identities=people, official=weights if settings.with_generator else None)
        return Import(pack, *self._told(pack, driving))

    def _sit(self, seed: int) -> Sitter:
        shapes, camera, rows = self._tables
        z, row = draw(self._settings.seeding, seed, self._generator.config.latent_size, rows)
        stored = OfficialWeights({}, np.zeros(0, np.int32), shapes, camera, rows)
        return Sitter(self._generator, style_of(self._generator, z, camera), shapes[stored.row_of(seed, row)], camera)

    def _people(self, pack: AvatarPack) -> Iterator[Identity]:
        for i, seed in enumerate(self._settings.seeds):
            yield bind_official(pack, self._sit(seed).resting(), f"seed {seed}", seed)
            self._progress("people", (i + 1) / len(self._settings.seeds))

    def _basis(self, manifest: PackManifest) -> tuple[PackedBasis, Regressor]:
        grid, settings = self._data.generator["_uv_grid"].reshape(-1, 2), self._settings
        basis = self._data.basis
        if basis is not None:
            regressor = _published_regressor(str(self._files.basis), basis, manifest, len(grid), settings.components)
            self._progress("basis", 0.0)
            packed = pack_basis(basis, grid, settings.components)
            self._progress("basis", 1.0)
            return packed, regressor
        if settings.distill:
            first = 1 << 31  # nobody who is learned from is shown
            count = min(settings.own_components, settings.components or settings.own_components)
            made = distill_official(self._sit, range(first, first + settings.people), settings.faces, count, self._data.table,
                                    replace(manifest, features=FEATURES),
                                    lambda share: self._progress("own basis", share), self._folder)
            return pack_basis(made.basis, grid), made.regressor
        nothing = OfficialBasis(*((tuple(np.zeros((0, size), np.float32) for size in sizes))
                                  for sizes in ([len(grid) * c for c in (3, 3, 4, 1)], (0,) * 4)), (), ())
        silent = np.zeros((0, manifest.latent_size + manifest.psi.size), np.float32)
        return pack_basis(nothing, grid), Regressor(manifest.psi, manifest.latent_size, (), (silent,), (silent[:, 0],))

    def _check_config(self) -> None:
        """The configuration beside a checkpoint must be its own."""
        path = self._files.config
        if path is None:
            return
        try:
            if path.stat().st_size > _LARGEST_CONFIG:
                raise ValueError
            said = json.loads(path.read_text("utf-8"))["generator_config"]
            sizes = {"z_dim": self._generator.config.latent_size, "plane_resolution": self._generator.config.plane_resolution}
            wrong = [name for name, size in sizes.items() if said.get(name, size) != size]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: damaged or no model configuration", "remove it: the weights tell their sizes") from error
        if wrong:
            raise InputError(f"{path}: its {wrong[0]} is not that of {self._files.checkpoint.name}",
                             "it belongs to another checkpoint; put the right one beside it, or remove it")

    def _told(self, pack: AvatarPack, driving: DrivingFit) -> tuple[tuple[str, ...], tuple[str, ...]]:
        files, data, generator, manifest = self._files, self._data, self._generator, pack.manifest
        found = [f"generator: {files.checkpoint} ({generator._uv_grid.shape[1]} Gaussians, w of {manifest.latent_size})"]
        lacking = [*data.notes]
        if files.others:
            lacking.append(f"{len(files.others)} more checkpoints were left alone, such as {files.others[0]}")
        if data.basis is not None:
            found.append(f"AGORA-M: {files.basis} (K = {len(data.basis.vectors[0])}), {files.regressor}")
        else:
            absent = " and ".join(name for name, path in (("svd_basis.pt", files.basis), ("mlp_regressor.pt", files.regressor))
                                  if path is None)
            cost = (f"a small basis was made of {self._settings.people}×{self._settings.faces} faces of the generator instead"
                    if self._settings.distill else "the people do not move")
            lacking.append(f"no {absent}: {cost}")
        if data.table is not None:
            found.append(f"head shapes and cameras: {files.table} ({len(data.table)} rows)")
        else:
            lacking.append("no fused_params_dataset.npy: head shapes are made up and the camera looks straight from the front, "
                           "so that seeds are not quite the published people")
        if driving.is_fitted:
            found.append(f"driving: the open head's expressions follow FLAME's to {driving.error:.0%} of their motion")
        else:
            lacking.append("the head model in the checkpoint does not look like a face: only jaw and eyelids are driven")
        if not self._settings.with_generator:
            lacking.append(f"the generator was left out: there are only the people stored, {len(pack.identities)} of them")
        if self._settings.seeding != "cuda":
            lacking.append("people are seeded by the processor's generator: a seed is not the published person")
        return tuple(found), tuple(lacking)


def _tables_of(data: OfficialData, generator: Generator, seeding: str) -> tuple[FloatArray, FloatArray, int]:
    """Head shapes, camera from the front, and rows of the table of shapes that seeds draw from."""
    if data.table is None:
        # Made-up shapes rather than the average head: the generator never saw a shape map without any shape.
        spread = 0.5 / (1 + np.arange(SHAPE_SIZE) / 10)
        shapes = (np.random.default_rng(0).standard_normal((_MADE_UP_SHAPES, SHAPE_SIZE)) * spread).astype(np.float32)
        return shapes, np.array([0, 0, 0, CAMERA_SCALE, 0, 0], np.float32), len(shapes)
    camera = data.table[:, _CAMERA].mean(0, dtype=np.float64).astype(np.float32)
    camera[3] = CAMERA_SCALE
    rows = len(data.table)
    if rows <= SEEDS_WITH_SHAPES:
        return np.array(data.table[:, :SHAPE_SIZE]), camera, rows
    drawn = [draw(seeding, seed, generator.config.latent_size, rows)[1] for seed in range(SEEDS_WITH_SHAPES)]
    return np.ascontiguousarray(data.table[drawn][:, :SHAPE_SIZE], np.float32), camera, rows


def _published_regressor(where: str, basis: OfficialBasis, manifest: PackManifest, gaussians: int,
                         components: int | None) -> Regressor:
    """The published network as it is, its outputs in the order of packs (specification 9.4)."""
    count = len(basis.vectors[0])
    for name, part, channels in zip(("xyz", "scale", "rotation", "opacity"), basis.vectors, (3, 3, 4, 1), strict=True):
        if part.shape != (count, gaussians * channels):
            raise InputError(f"{where}: U_{name} has shape {part.shape}, expected {(count, gaussians * channels)}",
                             "the basis belongs to another checkpoint")
    for part in basis.samples:
        if len(part) and part.shape[1] != count:
            raise InputError(f"{where}: its coefficients do not fit its components")
    weights, biases = list(basis.weights), list(basis.biases)
    sizes = [manifest.latent_size + manifest.psi.size, *(len(bias) for bias in biases)]
    if sizes[-1] != 4 * count or any(weight.shape != (b, a) for weight, a, b in zip(weights, sizes, sizes[1:], strict=False)):
        raise InputError(f"{where}: the regressor beside it does not fit its {count} components and w of {manifest.latent_size}",
                         "svd_basis.pt, mlp_regressor.pt and checkpoint must be of one run")
    kept = min(components or count, count)
    weights[-1], biases[-1] = (permuted_outputs(value, count, kept) for value in (weights[-1], biases[-1]))
    return Regressor(manifest.psi, manifest.latent_size, (), tuple(weights), tuple(biases))


def _weights_of(generator: Generator) -> dict[str, NDArray]:
    """What `core.avatar.official_network.build_official` needs, whole numbers in 32 bits."""
    state = generator.state_dict()
    arrays = {name: state[name].cpu().numpy() for name in needed_names(generator)}
    return {name: np.ascontiguousarray(np.atleast_1d(value), np.float32 if value.dtype.kind == "f" else np.int32)
            for name, value in arrays.items()}


def _hash(array: NDArray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array, np.float32).tobytes()).hexdigest()
