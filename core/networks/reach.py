"""How far a Gaussian may leave its seat on the open head: millimetres on a face, centimetres where hair grows.

Limits are what keeps a learned skin closed: a face whose Gaussians may wander tears, and the dark inside of the head shows.
"""

from __future__ import annotations

import numpy as np

from core.networks.head_surface import HeadSurface
from core.types import FloatArray

FACE, EAR, FRINGE, BEARD, GARMENT, HAIR, MOUTH, TEETH, EYE = 0.004, 0.008, 0.018, 0.022, 0.035, 0.075, 0.003, 0.007, 0.0015
"""Metres."""
_HEAD_AXIS_Z = -0.085  # the vertical axis that angles around the skull are measured about, on the template
_LOWEST_HAIR_ANGLE = (0.0, 0.6, 1.0, 1.25, 1.45, 1.6, 3.2)
_LOWEST_HAIR = (0.045, 0.042, 0.015, -0.02, -0.05, -0.12, -0.13)
_BUST_TOP, _BUST_FULL = -0.118, -0.15


def seat_reach(surface: HeadSurface) -> FloatArray:
    """Limits [G] in metres of the seats' distance from their resting place."""
    head, points = surface.head, surface.template
    ears = surface.at(head.masks.ears[:, None])[:, 0]
    hair = hair_seats(surface)
    y, z, width = points[:, 1], points[:, 2], np.abs(points[:, 0])
    beard = _step(-0.045, -0.062, y) * _step(-0.105, -0.085, z) * _step(-0.140, -0.125, y) * (1 - ears)
    beard *= 1 - _step(0.3, 0.7, surface.at(head.masks.lips[:, None])[:, 0])
    beard *= np.maximum(_step(0.020, 0.026, width), _step(-0.066, -0.076, y))  # not the nose
    fringe = _step(0.020, 0.030, y) * (1 - ears)
    garment = _step(_BUST_TOP, _BUST_FULL, y)
    reach = FACE + (EAR - FACE) * ears + (BEARD - FACE) * beard
    reach = np.maximum(reach, FACE + (GARMENT - FACE) * garment)
    reach = np.maximum(reach, FACE + (FRINGE - FACE) * fringe)
    reach = np.maximum(reach, FACE + (HAIR - FACE) * hair)
    reach[surface.of_part("mouth", "tongue")] = MOUTH
    reach[surface.of_part("teeth_u", "teeth_l")] = TEETH
    reach[surface.of_part("eye_l", "eye_r")] = EYE
    return reach.astype(np.float32)


def hair_seats(surface: HeadSurface) -> FloatArray:
    """How much hair may grow from each seat [G], 0..1: the scalp down to the lowest hairline, nape and sides of the neck."""
    head, points = surface.head, surface.template
    angle = np.abs(np.arctan2(points[:, 0], points[:, 2] - _HEAD_AXIS_Z))
    lowest = np.interp(angle, _LOWEST_HAIR_ANGLE, _LOWEST_HAIR)
    ears = surface.at(head.masks.ears[:, None])[:, 0]
    weight = _step(-0.006, 0.006, points[:, 1] - lowest) * (1 - _step(0.2, 0.6, ears))
    weight[~surface.of_part("skin")] = 0
    return weight.astype(np.float32)


def _step(low: float, high: float, x: FloatArray) -> FloatArray:
    """Smooth step from 0 at `low` to 1 at `high`, which may be the smaller one."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
