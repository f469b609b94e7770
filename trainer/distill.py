"""Extraction of AGORA-M from any teacher that maps (identity, ψ) to Gaussian attributes.

As in the paper, residuals posed − neutral are collected over identities × expressions, each attribute gets a basis of its own
from an un-centred SVD, and a network learns (w, ψ) → coefficients. What is added: rows are weighted by how many Gaussians hang
on them, so that coefficient errors are errors of Gaussians; residuals may be delivered on a coarser carrier (mesh vertices,
triangles) that the rows follow linearly, which makes tens of thousands of training samples cheap; and the network stands on a
linear fit over declared features (`core.avatar.regressor`), which is nearly exact for linear blend skinning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sparse

from core.avatar.basis import ATTRIBUTES, quantize
from core.avatar.manifest import PackManifest
from core.avatar.pack import AvatarPack, RowTable
from core.types import FloatArray
from trainer.regression import RegressionSettings, fit_regressor

Progress = Callable[[str, float], None]
_GRAM_CHUNK = 4096
_RANK = 1e-10  # eigenvalues of the Gram matrix below this share of the largest are rounding


class Teacher(Protocol):
    """What is distilled. R rows, W latent numbers, P driving numbers.

    Attributes:
        conventions: the manifest of the pack to be; its `components` are filled in by the extraction.
        rows: where the rows sit, None when Gaussians are their own anchors.
        row_weight: [R] how much an error of each row counts (Gaussians that hang on it).
        carriers: one sparse [R, M] matrix per attribute (xyz, rotation, scale, opacity): rows = carrier @ residual; None for
            an attribute that never changes.
    """

    conventions: PackManifest
    rows: RowTable | None
    row_weight: FloatArray
    carriers: tuple[sparse.csr_array | None, ...]

    def sample_identity(self, rng: np.random.Generator) -> Any:
        """A random person."""

    def latent(self, identity: Any) -> FloatArray:
        """The person's w [W]."""

    def sample_psi(self, rng: np.random.Generator, count: int) -> FloatArray:
        """Random driving vectors [count, P]."""

    def residuals(self, identity: Any, psi: FloatArray) -> tuple[FloatArray | None, ...]:
        """Posed − neutral of every attribute for driving vectors [n, P]: arrays [n, M, C] on the carriers."""


@dataclass(frozen=True)
class DistillSettings:
    """Size of the extraction.

    Attributes:
        components: K of xyz, rotation, scale, opacity.
        refined: components of each attribute that are stored with two 8-bit planes.
        basis_samples: faces that the SVD sees.
        training_samples: faces that the regressor sees.
        faces_per_identity: faces drawn of each random person.
        negligible: rows that no basis face moves by more than this (metres, radians/2, strain, opacity) are dropped.
        seed: of everything random.
    """

    components: tuple[int, int, int, int] = (64, 48, 40, 40)
    refined: tuple[int, int, int, int] = (16, 8, 8, 0)
    basis_samples: int = 2400
    training_samples: int = 24000
    faces_per_identity: int = 6
    negligible: tuple[float, float, float, float] = (1e-5, 1e-3, 2e-3, 2e-3)
    regression: RegressionSettings = field(default_factory=RegressionSettings)
    seed: int = 0


@dataclass(frozen=True)
class _FieldBasis:
    """A basis on the carrier: `values` [K, M, C], and `projector` [M·C, K] that turns a residual into coefficients."""

    values: FloatArray
    projector: FloatArray


def distill(teacher: Teacher, settings: DistillSettings, progress: Progress = lambda stage, share: None) -> AvatarPack:
    """Basis, regressor and manifest for a teacher.

    Args:
        progress: is told the stage and its share done.
    """
    rng = np.random.default_rng(settings.seed)
    faces = _collect(teacher, settings, rng, progress)
    bases = tuple(_fit_basis(samples, carrier, teacher.row_weight, count)
                  for samples, carrier, count in zip(faces, teacher.carriers, settings.components, strict=True))
    active = _active_rows(faces, teacher.carriers, settings.negligible)
    del faces
    latents, psi, coefficients = _training_set(teacher, bases, settings, rng, progress)
    conventions = replace(teacher.conventions, rows=int(active.sum()),
                          components=tuple(len(basis.values) for basis in bases))
    regressor = fit_regressor(latents, psi, coefficients, conventions, settings.regression,
                              lambda share: progress("regressor", share))
    quantized = tuple(
        quantize(_row_basis(basis, carrier, active, channels), refined)
        for basis, carrier, channels, refined in zip(bases, teacher.carriers, conventions.channels, settings.refined,
                                                     strict=True))
    rows = None if teacher.rows is None else RowTable(teacher.rows.texel[active], teacher.rows.triangle[active])
    return AvatarPack(conventions, quantized, regressor, rows)


def _faces(teacher: Teacher, count: int, per_identity: int, rng: np.random.Generator) -> Iterator[tuple]:
    """`count` random faces, a few per person: latent [W], ψ [n, P] and residuals."""
    for start in range(0, count, per_identity):
        identity = teacher.sample_identity(rng)
        psi = teacher.sample_psi(rng, min(per_identity, count - start))
        yield teacher.latent(identity), psi, teacher.residuals(identity, psi)


def _collect(teacher: Teacher, settings: DistillSettings, rng: np.random.Generator,
             progress: Progress) -> tuple[FloatArray | None, ...]:
    """Residuals of the basis faces, [S, M, C] per attribute."""
    collected: list[list[FloatArray]] = [[] for _ in ATTRIBUTES]
    done = 0
    for _, psi, residuals in _faces(teacher, settings.basis_samples, settings.faces_per_identity, rng):
        for store, residual in zip(collected, residuals, strict=True):
            if residual is not None:
                store.append(residual.astype(np.float32))
        done += len(psi)
        progress("basis", done / settings.basis_samples)
    return tuple(np.concatenate(store) if store else None for store in collected)


def _fit_basis(samples: FloatArray | None, carrier: sparse.csr_array | None, row_weight: FloatArray, count: int) -> _FieldBasis:
    """Un-centred SVD of the row residuals, through the Gram matrix of the samples in the metric of the weighted rows."""
    if samples is None or carrier is None:
        return _FieldBasis(np.zeros((0, 0, 0), np.float32), np.zeros((0, 0), np.float32))
    faces, elements, channels = samples.shape
    metric = sparse.csr_array(carrier.T @ sparse.diags_array(row_weight) @ carrier).astype(np.float32)
    weighted = np.stack([metric @ np.ascontiguousarray(samples[:, :, c].T) for c in range(channels)], 1)  # [M, C, S]
    gram = _gram(samples.reshape(faces, -1), weighted.reshape(-1, faces))
    eigenvalues, vectors = np.linalg.eigh(gram)
    usable = min(count, int((eigenvalues > eigenvalues[-1] * _RANK).sum()))
    order = np.argsort(-eigenvalues)[:usable]
    mix = (vectors[:, order] / np.sqrt(eigenvalues[order])).astype(np.float32)
    values = (mix.T @ samples.reshape(faces, -1)).reshape(usable, elements, channels)
    projector = (weighted.reshape(-1, faces) @ mix).astype(np.float32)
    return _FieldBasis(values, projector)


def _gram(samples: FloatArray, weighted: FloatArray) -> np.ndarray:
    """samples [S, M] @ weighted [M, S], symmetric, summed in float64: weak components drown in float32."""
    gram = np.zeros((len(samples), len(samples)))
    for start in range(0, len(weighted), _GRAM_CHUNK):
        chunk = slice(start, start + _GRAM_CHUNK)
        gram += samples[:, chunk].astype(np.float64) @ weighted[chunk].astype(np.float64)
    return 0.5 * (gram + gram.T)


def _active_rows(faces: tuple[FloatArray | None, ...], carriers: tuple[sparse.csr_array | None, ...],
                 negligible: tuple[float, ...]) -> np.ndarray:
    """Rows that at least one face moves noticeably."""
    active = None
    for samples, carrier, smallest in zip(faces, carriers, negligible, strict=True):
        if samples is None or carrier is None:
            continue
        largest = abs(carrier) @ np.linalg.norm(samples, axis=2).max(0)
        active = (largest > smallest) if active is None else active | (largest > smallest)
    return active


def _training_set(teacher: Teacher, bases: tuple[_FieldBasis, ...], settings: DistillSettings, rng: np.random.Generator,
                  progress: Progress) -> tuple[FloatArray, FloatArray, tuple[FloatArray, ...]]:
    """Latents [T, W], ψ [T, P] and coefficients [T, K] per attribute of fresh faces."""
    latents, drives = [], []
    coefficients: list[list[FloatArray]] = [[] for _ in ATTRIBUTES]
    done = 0
    for latent, psi, residuals in _faces(teacher, settings.training_samples, settings.faces_per_identity, rng):
        latents.append(np.tile(latent, (len(psi), 1)))
        drives.append(psi)
        for store, residual, basis in zip(coefficients, residuals, bases, strict=True):
            if len(basis.values):
                store.append(residual.reshape(len(psi), -1).astype(np.float32) @ basis.projector)
            else:
                store.append(np.zeros((len(psi), 0), np.float32))
        done += len(psi)
        progress("faces", done / settings.training_samples)
    return np.concatenate(latents), np.concatenate(drives), tuple(np.concatenate(store) for store in coefficients)


def _row_basis(basis: _FieldBasis, carrier: sparse.csr_array | None, active: np.ndarray, channels: int) -> FloatArray:
    """The basis on the active rows [K, R, C]."""
    rows = int(active.sum())
    if not len(basis.values) or carrier is None:
        return np.zeros((0, rows, channels), np.float32)
    chosen = carrier[np.flatnonzero(active)].astype(np.float32)
    return np.stack([chosen @ component for component in basis.values])
