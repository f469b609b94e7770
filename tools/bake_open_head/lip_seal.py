"""Closes the base mesh's mouth, whose lips stop a few tenths of a millimetre short of each other.

Pushing the whole lips together (MakeHuman's mouthClose) buries the lower lip 7 mm deep in the upper one before the last slit is
shut on every identity. Instead the lips approach each other by less than a millimetre, and the hidden inner edge of the lower
lip is tucked up behind the upper one, where it blocks the view between them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.head.mesh import boundary_loops
from core.head.regions import rings
from tools.bake_open_head.topology import Topology

LOWER_RISE, UPPER_DROP = 0.0006, 0.0003  # metres, of the lips' contact
FULL_RINGS, LAST_RING = 3, 8  # edges from the inner edge: full strength up to the first, none from the last
TUCK = np.array([0.0, 0.0025, -0.0012])  # metres, of the lower lip's inner edge
SECOND_TUCK = np.array([0.0, 0.0006, 0.0])  # of the ring beside it
FADE_FROM, FADE_TO = 0.018, 0.026  # metres from the symmetry plane: the corners of the mouth are closed already
TUCK_FADE_FROM, TUCK_FADE_TO = 0.0215, 0.0275
LOWER_LIP_WEIGHT, UPPER_LIP_WEIGHT = 0.45, 0.45  # jaw weight above or below which a vertex is of that lip


def lip_seal(topology: Topology, mean: NDArray, jaw_weights: NDArray) -> NDArray[np.float64]:
    """Offset [V, 3] in metres that seals the resting lips."""
    skin = topology.parts["skin"]
    mouth = min(boundary_loops(skin)[1:], key=lambda loop: mean[loop, 1].mean())
    distance = np.full(len(mean), LAST_RING)
    for edges_away, ring in enumerate(rings(skin, mouth, LAST_RING)):
        distance[ring] = edges_away
    near = _smoothstep((LAST_RING - distance) / (LAST_RING - FULL_RINGS))
    off_centre = np.abs(mean[:, 0])
    near = near * np.clip((FADE_TO - off_centre) / (FADE_TO - FADE_FROM), 0, 1)
    lower, upper = jaw_weights > LOWER_LIP_WEIGHT, jaw_weights <= UPPER_LIP_WEIGHT
    seal = np.zeros_like(mean)
    seal[:, 1] = near * (LOWER_RISE * jaw_weights * lower - UPPER_DROP * (1 - jaw_weights) * upper)
    tuck = np.clip((TUCK_FADE_TO - off_centre) / (TUCK_FADE_TO - TUCK_FADE_FROM), 0, 1)[:, None]
    for ring, offset in ((0, TUCK), (1, SECOND_TUCK)):
        rows = lower & (distance == ring)
        seal[rows] += tuck[rows] * offset
    return seal


def _smoothstep(x: NDArray) -> NDArray[np.float64]:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
