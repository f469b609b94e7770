"""Local statistics of pictures: sliced Wasserstein distance of Laplacian patches (Karras et al. 2018, section 5), sharpness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.types import FloatArray

PATCH = 7
SMALLEST_SIDE = 16
PATCHES, DIRECTIONS, QUANTILES = 16, 128, 1024
PER_MILLE = 1000.0
_SEED = 3


@dataclass(frozen=True)
class PatchStatistics:
    """One scale of a set of pictures.

    Attributes:
        side: of the pictures at this scale, pixels.
        deviation: [C·49] float32 of the reference's patches; projections are taken after division by it.
        quantiles: [DIRECTIONS, QUANTILES] float32 of the projections.
    """

    side: int
    deviation: FloatArray
    quantiles: FloatArray


def laplacian_pyramid(pictures: Tensor) -> list[Tensor]:
    """Band-passes of pictures [n, C, S, S], fine to coarse, and the rest at the last; sides S … `SMALLEST_SIDE`."""
    levels = []
    while pictures.shape[-1] >= 2 * SMALLEST_SIDE and pictures.shape[-1] % 2 == 0:
        small = functional.avg_pool2d(pictures, 2)
        levels.append(pictures - functional.interpolate(small, scale_factor=2, mode="bilinear", align_corners=False))
        pictures = small
    return [*levels, pictures]


def patch_statistics(pictures: Tensor, reference: tuple[PatchStatistics, ...] | None = None) -> tuple[PatchStatistics, ...]:
    """Statistics of every scale.

    Args:
        pictures: [n, 3, S, S] uint8.
        reference: whose deviations are used; by default their own.
    """
    out = []
    for level, band in enumerate(laplacian_pyramid(pictures.float() / 127.5 - 1)):
        patches = _patches(band, torch.Generator().manual_seed(_SEED + level))
        if reference is None:
            deviation = patches.std(0) + 1e-6
        else:
            deviation = torch.from_numpy(reference[level].deviation)
        projected = (patches / deviation) @ _directions(patches.shape[1])
        quantiles = np.quantile(projected.numpy(), (np.arange(QUANTILES) + 0.5) / QUANTILES, axis=0).T
        out.append(PatchStatistics(band.shape[-1], deviation.numpy(), np.ascontiguousarray(quantiles, np.float32)))
    return tuple(out)


def sliced_distances(a: tuple[PatchStatistics, ...], b: tuple[PatchStatistics, ...]) -> tuple[float, ...]:
    """Sliced Wasserstein-1 distance × 1000 at every scale, in deviations of the reference; same deviations in both."""
    return tuple(PER_MILLE * float(np.abs(x.quantiles - y.quantiles).mean()) for x, y in zip(a, b, strict=True))


def gradient_energy(pictures: Tensor) -> float:
    """Mean absolute difference of neighbouring pixels of pictures [n, 3, S, S] uint8, in grey levels."""
    floating = pictures.float()
    return float(floating.diff(dim=3).abs().mean() + floating.diff(dim=2).abs().mean())


def _patches(band: Tensor, generator: torch.Generator) -> Tensor:
    """Random patches [n · PATCHES, C · PATCH²]; the places are the same for the same number of pictures."""
    count, channels, height, width = band.shape
    patch = min(PATCH, height, width)
    windows = band.unfold(2, patch, 1).unfold(3, patch, 1)
    picture = torch.arange(count).repeat_interleave(PATCHES)
    row = torch.randint(0, height - patch + 1, (count * PATCHES,), generator=generator)
    column = torch.randint(0, width - patch + 1, (count * PATCHES,), generator=generator)
    return windows[picture, :, row, column].reshape(count * PATCHES, channels * patch * patch)


def _directions(size: int) -> Tensor:
    directions = torch.randn(size, DIRECTIONS, generator=torch.Generator().manual_seed(_SEED - 1))
    return directions / directions.norm(dim=0)
