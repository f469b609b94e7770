"""The numbers that a set of pictures gets against a reference of real ones, real sets included: those are the floors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from trainer.metrics.factors import GROUPS, Factors, Scaling
from trainer.metrics.frechet import GaussianStatistics, frechet_distance
from trainer.metrics.sighting import Sighting
from trainer.metrics.sliced import PatchStatistics, gradient_energy, patch_statistics, sliced_distances

_RANDOM_GAIN = 100.0
COLLAPSED = 5  # pictures that a collapsed generator would repeat
BLUR = 4


@dataclass(frozen=True)
class Scores:
    """Numbers of one set of pictures.

    Attributes:
        frechet: distance on learned features ("FD-synth"), 100 = total variance of real pictures.
        frechet_random: on features that were never trained, times 100.
        frechet_inception: on the published FID's, None without.
        sliced: distances of local patches × 1000, fine to coarse.
        sharpness: gradient energy over that of real pictures.
        expression: RMSE of re-estimated expression coefficients ("AED").
        jaw: RMSE of the re-estimated jaw, radians ("AED-jaw").
        pose: RMSE of the re-estimated head pose, radians ("APD").
        camera: RMSE of the re-estimated yaw and pitch of the camera, degrees.
    """

    frechet: float
    frechet_random: float
    frechet_inception: float | None
    sliced: tuple[float, ...]
    sharpness: float
    expression: float
    jaw: float
    pose: float
    camera: float


@dataclass(frozen=True)
class RealStatistics:
    """Real pictures that others are compared with.

    Attributes:
        learned, random: statistics of features;  inception: None without that network.
        patches: local statistics.
        energy: gradient energy.
    """

    learned: GaussianStatistics
    random: GaussianStatistics
    inception: GaussianStatistics | None
    patches: tuple[PatchStatistics, ...]
    energy: float

    @staticmethod
    def of(real: Sighting) -> RealStatistics:
        """Statistics of a set of real pictures."""
        published = GaussianStatistics.of(real.inception) if real.inception.shape[1] else None
        return RealStatistics(GaussianStatistics.of(real.looks.features), GaussianStatistics.of(real.random), published,
                              patch_statistics(real.pictures), gradient_energy(real.pictures))


def scores(sighting: Sighting, truth: Factors, real: RealStatistics, scaling: Scaling) -> Scores:
    """Numbers of a set of pictures that should show `truth`."""
    published = None
    if real.inception is not None and sighting.inception.shape[1]:
        published = frechet_distance(GaussianStatistics.of(sighting.inception), real.inception)
    estimate = sighting.looks.factors
    return Scores(
        frechet_distance(GaussianStatistics.of(sighting.looks.features), real.learned),
        _RANDOM_GAIN * frechet_distance(GaussianStatistics.of(sighting.random), real.random), published,
        sliced_distances(patch_statistics(sighting.pictures, real.patches), real.patches),
        gradient_energy(sighting.pictures) / max(real.energy, 1e-9),
        rmse(estimate, truth, "expression", scaling), rmse(estimate, truth, "jaw", scaling),
        rmse(estimate, truth, "head", scaling), float(np.degrees(rmse(estimate, truth, "view", scaling))))


def ceilings(real: Sighting, truth: Factors, statistics: RealStatistics, scaling: Scaling) -> Scores:
    """What useless pictures get: `COLLAPSED` real ones repeated, `BLUR`-fold blurred ones, and factors of another picture."""
    rows = np.arange(len(real)) % min(COLLAPSED, len(real)) * (len(real) // min(COLLAPSED, len(real)))
    small = functional.avg_pool2d(real.pictures.float(), BLUR)
    blurred = functional.interpolate(small, scale_factor=BLUR, mode="bilinear", align_corners=False).round().to(torch.uint8)
    looks = real.looks
    collapsed = Sighting(type(looks)(looks.features[rows], looks.factors, looks.identity), real.random[rows],
                         real.inception[rows], blurred)
    return scores(collapsed, truth.taken(np.random.default_rng(0).permutation(len(real))), statistics, scaling)


def rmse(estimate: Factors, truth: Factors, group: str, scaling: Scaling) -> float:
    """Root of the mean squared error over pictures and those components of a group that vary (AGORA, specification 10)."""
    varies = Factors.of_table(scaling.deviation[None], estimate.widths)
    columns = getattr(varies, group)[0] > 0
    if group not in GROUPS or not columns.any():
        return 0.0
    error = (getattr(estimate, group) - getattr(truth, group))[:, columns].astype(np.float64)
    return float(np.sqrt((error**2).mean()))
