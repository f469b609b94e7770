"""The published basis in the form that a pack holds: rows in a useful order, those that never move left out, eight bits.

Scales and opacities change on the face alone, rotations and positions on more of the head. The Gaussians are put into an order
in which those that change alike lie together, and within these along a Z-curve through the texture, so that the blocks of 1024
rows in which an attribute never changes are many, and neighbours in the order are neighbours on the head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.avatar.basis import AttributeBasis, quantize
from core.types import FloatArray
from trainer.official_reading import OfficialBasis

CHANNELS = (3, 4, 3, 1)  # of xyz, rotation, scale, opacity, the order of packs
OUR_ORDER = (0, 2, 1, 3)  # where these are in the published order xyz, scale, rotation, opacity
REFINED = (4, 0, 0, 0)  # leading components with two planes
_STRONGEST, _RANDOM = 32, 32  # faces whose residuals say what moves
_COLUMNS = 1 << 17
_SHIFT, _TURN, _GROWTH, _FADE = 2e-5, 0.01, 5e-6, 5e-3  # metres, half radians, metres, opacity: less is left out


@dataclass(frozen=True)
class PackedBasis:
    """A basis ready for a pack.

    Attributes:
        attributes: xyz, rotation, scale, opacity.
        order: [G] int32, the published number of each Gaussian of the pack; the first rows move.
        rows: how many of them move.
    """

    attributes: tuple[AttributeBasis, AttributeBasis, AttributeBasis, AttributeBasis]
    order: NDArray[np.int32]
    rows: int


def pack_basis(basis: OfficialBasis, grid: FloatArray, components: int | None = None) -> PackedBasis:
    """Orders, prunes and rounds.

    Args:
        basis: published order of attributes.
        grid: [G, 2] places of the Gaussians in the texture, −1..1.
        components: at most so many of each attribute.
    """
    vectors = [basis.vectors[i][:components] for i in OUR_ORDER]
    samples = [basis.samples[i][:, :components] for i in OUR_ORDER]
    limits = (_SHIFT, _TURN * 2 / np.sqrt(len(grid)), _GROWTH, _FADE)
    moving = [moved_rows(u, c, channels, limit) for u, c, channels, limit in zip(vectors, samples, CHANNELS, limits, strict=True)]
    order, rows = order_rows(moving, grid)
    attributes = []
    for u, mask, channels, refined in zip(vectors, moving, CHANNELS, REFINED, strict=True):
        chosen = order[:rows]
        part = u.reshape(len(u), len(grid), channels)[:, chosen] * mask[chosen][None, :, None]
        attributes.append(quantize(np.ascontiguousarray(part, np.float32), refined))
    return PackedBasis(tuple(attributes), order, rows)


def moved_rows(vectors: FloatArray, samples: FloatArray, channels: int, limit: float) -> NDArray[np.bool_]:
    """Which Gaussians [G] a face of the basis moves by more than `limit`.

    Args:
        vectors: [K, G·C];  samples: [T, K] coefficients of faces; without any, all that the basis can move counts.
    """
    gaussians = vectors.shape[1] // channels
    if len(vectors) == 0:
        return np.zeros(gaussians, bool)
    if len(samples):
        strong = np.argsort(-np.square(samples).sum(1))
        faces = np.unique(np.concatenate([strong[:_STRONGEST], np.random.default_rng(0).permutation(len(samples))[:_RANDOM]]))
        weights = np.ascontiguousarray(samples[faces])
    else:
        weights, limit = np.eye(len(vectors), dtype=np.float32), 0.0
    moved = np.zeros(gaussians, bool)
    step = max(1, _COLUMNS // channels)
    for start in range(0, gaussians, step):
        part = weights @ vectors[:, start * channels:(start + step) * channels]
        moved[start:start + step] = (np.square(part.reshape(len(weights), -1, channels)).sum(2) > limit**2).any(0)
    return moved


def order_rows(moving: Sequence[NDArray[np.bool_]], grid: FloatArray) -> tuple[NDArray[np.int32], int]:
    """The order [G] of the Gaussians, and how many of the first move at all (at least one row, as a pack must have)."""
    shift, turn, growth, fade = moving
    group = np.select([growth | fade, turn, shift], [0, 1, 2], 3)
    order = np.lexsort((z_curve(grid), group)).astype(np.int32)
    return order, max(1, int((group < 3).sum()))


def z_curve(grid: FloatArray) -> NDArray[np.int64]:
    """Place of points [n, 2] along a Z-curve through their grid; four successive places are a square of it."""
    steps = np.diff(np.unique(np.round(grid[:, 0].astype(np.float64), 6)))
    spacing = steps.min() if len(steps) else 1.0
    cells = np.round((grid.astype(np.float64) + 1) / spacing).astype(np.int64).clip(0, (1 << 20) - 1)
    return _spread(cells[:, 0]) | _spread(cells[:, 1]) << 1


def _spread(value: NDArray[np.int64]) -> NDArray[np.int64]:
    """The bits of a number of up to 20 bits with gaps between them."""
    for shift, mask in ((16, 0x0000FFFF0000FFFF), (8, 0x00FF00FF00FF00FF), (4, 0x0F0F0F0F0F0F0F0F), (2, 0x3333333333333333),
                        (1, 0x5555555555555555)):
        value = (value | value << shift) & mask
    return value


def permuted_outputs(values: FloatArray, components: int, kept: int) -> FloatArray:
    """Outputs [4K, ...] of the published regressor in the order of packs, the leading `kept` of every attribute."""
    blocks = values.reshape(len(OUR_ORDER), components, *values.shape[1:])
    return np.ascontiguousarray(blocks[list(OUR_ORDER), :kept].reshape(len(OUR_ORDER) * kept, *values.shape[1:]))
