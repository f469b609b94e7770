"""Facial hair: stubble, short and full beards, goatee."""

from __future__ import annotations

import numpy as np

from core.studio.hair.growth import Scalp, Strands
from core.studio.numerics import Array, smoothstep, vector, vector_noise

DOWN = vector(0, -0.85, 0.25)


def stubble(scalp: Scalp) -> list[Strands]:
    rows, roots = scalp.roots(_density(scalp), 3400 * scalp.traits.beard.density)
    direction = scalp.normal[rows] * 0.6 + DOWN + scalp.rng.normal(0, 0.3, (len(rows), 3))
    strands = scalp.grow(roots, direction, 0.0013, 1, 0.0, 0.0, face=False)
    return [scalp.cut(strands, rows, 0.00014, taper=0.3, opacity=0.55, beard=True)]


def short_beard(scalp: Scalp) -> list[Strands]:
    return _soft_beard(scalp, 4400, base=0.0040, extra=0.0022)


def goatee(scalp: Scalp) -> list[Strands]:
    return _soft_beard(scalp, 2500, base=0.0050, extra=0.0040)


def full_beard(scalp: Scalp) -> list[Strands]:
    return _soft_beard(scalp, 4200, base=0.0070, extra=0.0130)


def _density(scalp: Scalp) -> Array:
    """Thin at the edges, dense in the middle."""
    beard = scalp.regions.beard
    return smoothstep(0.10, 0.80, beard)


def _soft_beard(scalp: Scalp, count: int, base: float, extra: float) -> list[Strands]:
    """Curved, clumped hair: combed outwards under the nose, down on the cheeks, forward and longer on the chin.

    Hair near the edge of the beard is shorter and finer, so that the beard fades into the cheek.
    """
    beard, rng = scalp.traits.beard, scalp.rng
    density = _density(scalp) * (1 + 0.6 * scalp.regions.moustache)
    rows, roots = scalp.roots(density, count * beard.density)
    rest, edge = scalp.rest[rows], scalp.regions.beard[rows]
    side = np.sign(rest[:, 0]) * smoothstep(0, 0.02, np.abs(rest[:, 0]))
    low = smoothstep(-0.062, -0.100, rest[:, 1])
    lip = np.clip(scalp.regions.moustache[rows] * 1.5, 0, 1) * smoothstep(-0.066, -0.060, rest[:, 1])
    length = (base + extra * low * smoothstep(0.055, 0.02, np.abs(rest[:, 0]))) * beard.length * (1 - 0.25 * lip)
    length = length * (0.35 + 0.65 * smoothstep(0.3, 0.95, edge)) * rng.uniform(0.65, 1.1, len(rows))
    direction = scalp.normal[rows] * (0.30 - 0.12 * lip)[:, None] + DOWN
    direction = direction + np.stack([side * (0.25 + 1.0 * lip) * (1 - 0.7 * low), 0.35 * lip, 0 * side], 1)
    direction = direction + 0.45 * vector_noise(rest, 0.009, scalp.noise + 5) + rng.normal(0, 0.16, (len(rows), 3))
    clearance = 0.0006 + 0.0012 * low + 0.12 * length * (1 - lip)
    strands = scalp.grow(roots, direction, length, 3, 0.18, clearance, roughness=0.22, face=False)
    strands, clump = scalp.clump(strands, 7, 0.55, 1.3, 0.75)
    width = 0.00022 + 0.00009 * smoothstep(0.3, 0.9, edge)
    return [scalp.cut(strands, rows, width, taper=0.55, opacity=0.74, clump=clump, beard=True)]
