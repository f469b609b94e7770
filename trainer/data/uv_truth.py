"""What a studio person looks like on the texture map: colour of every seat, and how far hair and garment stand off it.

A voxel grid tells where the person is solid; from seats where something may grow, rays go outward to the outermost solid cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from core.networks.head_surface import HeadSurface, SeatFrames
from core.studio import StudioIdentity
from core.types import FloatArray

_CELL = 0.004  # metres, side of a voxel
_SOLID = 0.35  # covered share of a voxel's face from which it counts as solid
_STEP = 0.002  # metres along a ray
_STICK_OUT = 0.006  # metres: less is skin with its pores, not hair
_NEIGHBOURS = 6
_REACH = 0.012  # metres within which a Gaussian lends its colour
_BLUR = 0.001  # metres beyond the nearest one at which its neighbours fade
_FAINT = 0.15  # opacity below which it does not


@dataclass(frozen=True)
class UvTruth:
    """Resting appearance at the G seats of a surface.

    Attributes:
        color: [G, 3] uint8.
        offset: [G] float16 metres along the seat's normal.
        known: [G] uint8, 0 where nothing is near the seat (hidden skin under a garment).
    """

    color: np.ndarray
    offset: np.ndarray
    known: np.ndarray


def uv_truth(person: StudioIdentity, surface: HeadSurface, reach: FloatArray) -> UvTruth:
    """The truth for a studio person.

    Args:
        surface: the seats.
        reach: [G] metres, how far something may stand off each seat.
    """
    seats = surface.frames(person.rest_vertices)
    offset = _stand_off(person, seats, reach)
    points = seats.xyz + offset[:, None] * seats.frame[:, :, 2]
    color, known = _colors_at(person, points)
    return UvTruth(color, offset.astype(np.float16), known)


def _stand_off(person: StudioIdentity, seats: SeatFrames, reach: FloatArray) -> FloatArray:
    g = person.gaussians
    origin = g.xyz.min(0) - _CELL
    cells = ((g.xyz - origin) / _CELL).astype(np.int64)
    extent = cells.max(0) + 2
    spread = np.sort(g.scale, 1)
    area = g.opacity * np.minimum(2 * np.pi * spread[:, 2] * spread[:, 1], _CELL**2)
    flat = np.ravel_multi_index(cells.T, extent)
    solid = np.bincount(flat, area, int(np.prod(extent))) > _SOLID * _CELL**2
    offset = np.zeros(len(seats.xyz), np.float32)
    normal = seats.frame[:, :, 2]
    for distance in np.arange(_STICK_OUT, reach.max() + _STEP, _STEP):
        rows = np.flatnonzero(reach >= distance)
        cell = ((seats.xyz[rows] + distance * normal[rows] - origin) / _CELL).astype(np.int64)
        inside = ((cell >= 0) & (cell < extent)).all(1)
        hit = solid[np.ravel_multi_index(cell[inside].T, extent)]
        offset[rows[inside][hit]] = distance
    return offset


def _colors_at(person: StudioIdentity, points: FloatArray) -> tuple[np.ndarray, np.ndarray]:
    g = person.gaussians
    rows = np.flatnonzero(g.opacity > _FAINT)
    distance, nearest = cKDTree(g.xyz[rows]).query(points, k=_NEIGHBOURS)
    weight = g.opacity[rows][nearest] * np.exp(-(((distance - distance[:, :1]) / _BLUR) ** 2))
    color = np.einsum("gk,gkc->gc", weight, g.rgb[rows][nearest]) / weight.sum(1)[:, None]
    return np.round(np.clip(color, 0, 1) * 255).astype(np.uint8), (distance[:, 0] < _REACH).astype(np.uint8)
