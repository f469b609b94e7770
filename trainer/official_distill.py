"""AGORA-M of a published generator whose own is not at hand: a small basis and regressor made here (specification 9.1, 9.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.avatar.manifest import PackManifest
from core.avatar.official_network import OFFICIAL_PSI, Sitter
from core.avatar.regressor import Regressor
from core.types import FloatArray
from trainer.gated_regression import CoefficientSamples, fit_gated
from trainer.official_basis import OUR_ORDER
from trainer.official_reading import OfficialBasis
from trainer.regression import RegressionSettings
from trainer.streaming_svd import Chunk, Spool, streaming_svd

FEATURES = ("pose_matrices", "jaw_by_expression")
_EXPRESSION_SPREAD, _JAW_SPREAD = 0.7, 0.15  # of faces that are made up
_PUBLISHED_ROWS_SEED = 42


@dataclass(frozen=True)
class OwnDistillation:
    """What was made: the basis in the published order of attributes, without the published regressor, and our regressor."""

    basis: OfficialBasis
    regressor: Regressor


def distill_official(sit: Callable[[int], Sitter], seeds: Sequence[int], faces: int, components: int, table: FloatArray | None,
                     conventions: PackManifest, progress: Callable[[float], None], folder: Path | None = None) -> OwnDistillation:
    """Basis and regressor from the generator itself.

    Args:
        sit: the person of a seed.
        seeds: whose faces make the basis;  faces: how many of each.
        components: K of every attribute at most.
        table: [N, 364] of the dataset, whose faces are used; without one they are made up.
        conventions: of the pack; its components do not count yet.
        folder: for a temporary file of 10 MB a face.
    """
    rng = np.random.RandomState(_PUBLISHED_ROWS_SEED)  # as published: one stream over the people
    driving = [_faces(table, faces, rng) for _ in seeds]
    latents: list[FloatArray] = []
    with Spool(_residuals(sit, seeds, driving, latents, progress), folder, np.float32) as spool:
        bases = streaming_svd(spool, (components,) * 4, power=1)
        projected = ([rows @ basis.vectors.T for rows, basis in zip(chunk, bases, strict=True)] for chunk in spool())
        samples = [np.concatenate(parts) for parts in zip(*projected, strict=True)]
    regressor, _ = fit_gated(
        CoefficientSamples(np.repeat(latents, faces, 0), np.concatenate(driving), np.repeat(np.arange(len(seeds)), faces),
                           tuple(samples)), conventions, 0, RegressionSettings(epochs=0, validation=0.2))
    vectors = tuple(bases[i].vectors for i in OUR_ORDER)  # the order is its own inverse
    return OwnDistillation(OfficialBasis(vectors, tuple(samples[i] for i in OUR_ORDER), (), ()), regressor)


def _residuals(sit: Callable[[int], Sitter], seeds: Sequence[int], driving: Sequence[FloatArray], latents: list[FloatArray],
               progress: Callable[[float], None]) -> Iterator[Chunk]:
    """What each face changes, one row an attribute; the people's latents are noted on the way."""
    total, done = sum(map(len, driving)), 0
    for seed, psi in zip(seeds, driving, strict=True):
        sitter = sit(seed)
        latents.append(sitter.w)
        rest = sitter.posed(np.zeros(OFFICIAL_PSI.size, np.float32))
        for face in psi:
            yield tuple((posed - still).reshape(1, -1) for posed, still in zip(sitter.posed(face), rest, strict=True))
            done += 1
            progress(done / total)


def _faces(table: FloatArray | None, count: int, rng: np.random.RandomState) -> FloatArray:
    """Driving vectors [count, 55]."""
    if table is not None:
        rows = np.asarray(table[rng.randint(0, len(table), count)])
        return np.concatenate([rows[:, 300:350], rows[:, 353:358]], 1).astype(np.float32)
    expression = rng.normal(0, _EXPRESSION_SPREAD, (count, OFFICIAL_PSI.expression)).clip(-2, 2)
    jaw = np.stack([np.abs(rng.normal(0, _JAW_SPREAD, count)), *rng.normal(0, _JAW_SPREAD / 5, (2, count))], 1)
    lids = rng.uniform(0, 1, (count, 2)) ** 2
    return np.concatenate([expression, jaw, lids], 1).astype(np.float32)
