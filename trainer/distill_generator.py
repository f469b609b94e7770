"""AGORA-M of a trained generator: basis by streaming SVD, gated regressor, weights in half precision, all in one pack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

from core.avatar.basis import ATTRIBUTES, quantize
from core.avatar.generator_binding import Sitter
from core.avatar.pack import AvatarPack, RowTable
from core.avatar.regressor import Regressor
from core.networks.head_generator import HeadGenerator
from core.types import FloatArray
from trainer.distill import Progress
from trainer.gated_regression import CoefficientSamples, GateReport, fit_gated
from trainer.generator_teacher import GeneratorPrior, GeneratorTeacher
from trainer.regression import RegressionSettings
from trainer.streaming_svd import Chunk, RightVectors, Spool, streaming_svd

_CURVE = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
_MILLIMETRE = 1000.0


@dataclass(frozen=True)
class GeneratorDistillSettings:
    """Size of the extraction; the defaults are AGORA-M's (specification 9.1, 9.4).

    Attributes:
        components: K of xyz, rotation, scale, opacity.
        people, faces: whose residuals make the basis, and how many of each.
        training_people, training_faces: who is learned from besides.
        unseen_people, unseen_faces: whom the error curve is measured on.
        refined: components of each attribute that are stored with two 8-bit planes.
        power: sharpening passes of the SVD.
        negligible: rows that no basis face moves by more than this (metres, radians/4, strain, opacity) are dropped.
        regression: of the network; `validation` is the share of people held out to choose the regressor.
        seed: of everything random.
    """

    components: tuple[int, int, int, int] = (64, 64, 64, 64)
    people: int = 50
    faces: int = 100
    training_people: int = 200
    training_faces: int = 50
    unseen_people: int = 10
    unseen_faces: int = 50
    refined: tuple[int, int, int, int] = (16, 8, 8, 0)
    power: int = 1
    negligible: tuple[float, float, float, float] = (1e-5, 1e-3, 2e-3, 2e-3)
    regression: RegressionSettings = field(default_factory=lambda: RegressionSettings(epochs=60, validation=0.15))
    seed: int = 0


@dataclass(frozen=True)
class ErrorCurve:
    """Error on unseen people against K. Lists run over `components`; relative errors are shares of the residuals' norm.

    Attributes:
        components: K.
        basis: per attribute, relative error with the best coefficients.
        driven: per attribute, relative error with the regressor's coefficients.
        basis_mm, driven_mm: root mean square of the position error over all seats, without what stays behind by itself.
    """

    components: tuple[int, ...]
    basis: dict[str, tuple[float, ...]]
    driven: dict[str, tuple[float, ...]]
    basis_mm: tuple[float, ...]
    driven_mm: tuple[float, ...]

    def as_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Distillation:
    """A pack and how good it is.

    Attributes:
        pack: without a driving response.
        curve: error against K on unseen people.
        gate: how the regressor was chosen.
        explained: per attribute, share of the basis faces' energy that the basis holds.
    """

    pack: AvatarPack
    curve: ErrorCurve
    gate: GateReport
    explained: tuple[float, ...]

    def as_json(self) -> dict:
        return {"curve": self.curve.as_json(), "regressor": self.gate.as_json(), "explained": list(self.explained),
                "rows": self.pack.manifest.rows, "components": list(self.pack.manifest.components)}


def distill_generator(generator: HeadGenerator, prior: GeneratorPrior, settings: GeneratorDistillSettings | None = None,
                      progress: Progress = lambda stage, share: None) -> AvatarPack:
    """The pack of a trained generator. Arguments and errors as for `distillation`."""
    return distillation(generator, prior, settings, progress).pack


def distillation(generator: HeadGenerator, prior: GeneratorPrior, settings: GeneratorDistillSettings | None = None,
                 progress: Progress = lambda stage, share: None, folder: Path | None = None) -> Distillation:
    """The pack of a trained generator, with its measurements.

    Args:
        progress: is told the stage and its share done.
        folder: for the temporary file with the basis faces (20 bytes a face and seat).

    Raises:
        InputError: the prior or the weights cannot be used.
    """
    settings = settings or GeneratorDistillSettings()
    teacher = GeneratorTeacher(generator, prior)
    cast = _cast(teacher, settings)
    with Spool(_residuals(teacher, cast[:settings.people], lambda share: progress("faces", share)), folder) as spool:
        bases = streaming_svd(spool, settings.components, power=settings.power, seed=settings.seed)
        first, active = _project(spool, bases, settings.negligible)
    more = [_coefficients(chunk, bases)
            for chunk in _residuals(teacher, cast[settings.people:], lambda share: progress("more faces", share))]
    coefficients = tuple(np.concatenate([*of_basis, *of_more])
                         for of_basis, of_more in zip(first, zip(*more, strict=True) if more else [()] * 4, strict=True))
    conventions = replace(teacher.conventions, rows=int(active.sum()), components=tuple(len(basis.vectors) for basis in bases))
    samples = CoefficientSamples(*_drives(teacher, cast), coefficients)
    regressor, gate = fit_gated(samples, conventions, teacher.shape_size, settings.regression,
                                lambda share: progress("regressor", share))
    curve = _curve(teacher, settings, bases, regressor, lambda share: progress("check", share))
    quantized = tuple(
        quantize(basis.vectors.reshape(len(basis.vectors), len(active), channels)[:, active] if len(basis.vectors)
                 else np.zeros((0, int(active.sum()), channels), np.float32), refined)
        for basis, channels, refined in zip(bases, conventions.channels, settings.refined, strict=True))
    rows = RowTable(teacher.rows.texel[active], teacher.rows.triangle[active])
    pack = AvatarPack(conventions, quantized, regressor, rows, generator=teacher.weights)
    explained = tuple(float(np.square(basis.singular).sum() / basis.energy) if basis.energy else 1.0 for basis in bases)
    return Distillation(pack, curve, gate, explained)


@dataclass(frozen=True)
class _Sitting:
    """A person, made when they are needed, and their faces."""

    person: Callable[[], Sitter]
    psi: FloatArray


def _cast(teacher: GeneratorTeacher, settings: GeneratorDistillSettings) -> list[_Sitting]:
    """Everybody that is learned from; the first ones make the basis."""
    rng = np.random.default_rng([settings.seed, 1])
    counts = [settings.faces] * settings.people + [settings.training_faces] * settings.training_people
    seeds = [int(rng.integers(1 << 62)) for _ in counts]
    return [_Sitting(lambda seed=seed: teacher.sample_identity(np.random.default_rng(seed)), teacher.sample_psi(rng, count))
            for seed, count in zip(seeds, counts, strict=True)]


def _residuals(teacher: GeneratorTeacher, cast: list[_Sitting], progress: Callable[[float], None]) -> Iterator[Chunk]:
    """Residuals of all faces in turn, one row [seats · channels] a face, a few faces at a time."""
    for i, sitting in enumerate(cast):
        for batch in teacher.batches(sitting.person(), sitting.psi):
            yield tuple(part.reshape(len(part), -1) for part in batch)
        progress((i + 1) / len(cast))


def _drives(teacher: GeneratorTeacher, cast: list[_Sitting]) -> tuple[FloatArray, FloatArray, np.ndarray]:
    """Latents [T, W], ψ [T, P] and number of the person [T]."""
    counts = [len(sitting.psi) for sitting in cast]
    latents = np.stack([teacher.latent(sitting.person()) for sitting in cast])
    psi = np.concatenate([sitting.psi for sitting in cast])
    return np.repeat(latents, counts, 0), psi, np.repeat(np.arange(len(cast)), counts)


def _coefficients(chunk: Chunk, bases: tuple[RightVectors, ...]) -> tuple[FloatArray, ...]:
    return tuple(rows @ basis.vectors.T if len(basis.vectors) else np.zeros((len(rows), 0), np.float32)
                 for rows, basis in zip(chunk, bases, strict=True))


def _project(spool: Spool, bases: tuple[RightVectors, ...],
             negligible: tuple[float, ...]) -> tuple[tuple[list[FloatArray], ...], np.ndarray]:
    """Coefficients of the basis faces per attribute, and the rows that a face moves noticeably."""
    found: tuple[list[FloatArray], ...] = tuple([] for _ in ATTRIBUTES)
    active: np.ndarray | None = None
    for chunk in spool():
        seats = chunk[3].shape[1]
        for store, part in zip(found, _coefficients(chunk, bases), strict=True):
            store.append(part)
        for rows, smallest in zip(chunk, negligible, strict=True):
            moves = (np.linalg.norm(rows.reshape(len(rows), seats, -1), axis=2) > smallest).any(0)
            active = moves if active is None else active | moves
    if active is None or not active.any():  # a generator that does not move at all still has a row
        active = np.arange(chunk[3].shape[1]) == 0
    return found, active


def _curve(teacher: GeneratorTeacher, settings: GeneratorDistillSettings, bases: tuple[RightVectors, ...], regressor: Regressor,
           progress: Callable[[float], None]) -> ErrorCurve:
    """Error against K. The basis is orthonormal, so that coefficients tell all: |x − Σ ĉ U|² = |x|² − Σ c² + Σ (c − ĉ)²."""
    rng = np.random.default_rng([settings.seed, 2])
    energy = np.zeros(len(bases))
    held, missed = ([np.zeros(len(basis.vectors)) for basis in bases] for _ in range(2))
    splits = np.cumsum([len(basis.vectors) for basis in bases])[:-1]
    faces = 0
    for i in range(settings.unseen_people):
        person = teacher.unseen_identity(rng)
        psi = teacher.sample_psi(rng, settings.unseen_faces)
        predicted = np.split(regressor.for_identity(teacher.latent(person))(psi), splits, 1)
        start = 0
        for batch in teacher.batches(person, psi):
            chunk = tuple(part.reshape(len(part), -1) for part in batch)
            end = start + len(chunk[0])
            for a, part in enumerate(_coefficients(chunk, bases)):
                energy[a] += float(np.square(chunk[a], dtype=np.float64).sum())
                held[a] += np.square(part, dtype=np.float64).sum(0)
                missed[a] += np.square(part - predicted[a][start:end], dtype=np.float64).sum(0)
            start = end
        faces += len(psi)
        progress((i + 1) / settings.unseen_people)
    components = tuple(k for k in _CURVE if k < max(settings.components)) + (max(settings.components),)
    left, driven = ({name: tuple(_share(energy[a], held[a], lost[a], k) for k in components) for a, name in enumerate(ATTRIBUTES)}
                    for lost in ([np.zeros_like(part) for part in missed], missed))
    millimetres = _MILLIMETRE * np.sqrt(energy[0] / max(faces, 1) / len(teacher.row_weight))
    return ErrorCurve(components, left, driven, *(tuple(float(millimetres * share) for share in shares["xyz"])
                                                  for shares in (left, driven)))


def _share(energy: float, held: np.ndarray, missed: np.ndarray, count: int) -> float:
    if energy == 0:
        return 0.0
    return float(np.sqrt(max(energy - held[:count].sum() + missed[:count].sum(), 0.0) / energy))
