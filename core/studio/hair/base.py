"""Layers that most styles share: a dark undercoat, baby hairs along the hairline, fringes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.studio.hair.growth import Scalp, Strands
from core.studio.numerics import Array, normalize, smoothstep, vector


def undercoat(scalp: Scalp, count: int, length: float = 0.013, width: float = 0.0021, clearance: float = 0.0012,
              direction: Callable[[Array], Array] | None = None, gain: float = 0.72) -> Strands:
    """Wide dark flat segments that lie on the scalp, so that no skin shows between strands.

    They stay behind the front hairline: further forward they would stick out like horns.
    """
    above = scalp.regions.above_hairline
    rows, roots = scalp.roots(scalp.full * (above > np.where(scalp.front > 0.3, length + 0.001, 0.004)), count)
    along = scalp.flow[rows] if direction is None else scalp.tangent(direction(rows), rows)
    lifted = roots + scalp.normal[rows] * clearance
    strands = scalp.grow(lifted, along + 0.06 * scalp.normal[rows], length, 1, 0.0, clearance)
    return scalp.cut(strands, rows, width, taper=0.2, opacity=0.93, gain=gain, flat=True)


def baby_hair(scalp: Scalp, count: int = 380, length: float = 0.011) -> Strands:
    """Short fine hair at the hairline that softens its edge."""
    rest, ears = scalp.rest, scalp.regions.scalp
    weight = np.exp(-(((scalp.regions.above_hairline - 0.001) / 0.004) ** 2)) * (rest[:, 1] > -0.02) * (ears > 0.02)
    rows, roots = scalp.roots(weight, count)
    backward = normalize(rest[rows] - vector(0, -0.02, 0.06)) * 0.3 + vector(0, 0.5, -0.7)
    along = np.where(rest[rows, 1:2] > 0.04, backward, scalp.flow[rows])
    direction = along + 0.3 * scalp.normal[rows] + scalp.rng.normal(0, 0.25, (len(rows), 3))
    strands = scalp.grow(roots, direction, length * scalp.rng.uniform(0.5, 1, len(rows)), 2, 0.05, 0.0006, face=False)
    return scalp.cut(strands, rows, 0.00022, taper=0.6, opacity=0.55)


def fringe(scalp: Scalp, count: int) -> list[Strands]:
    """Bangs: rooted up to 24 mm behind the front hairline, they fall over the forehead and end above the eyes."""
    if scalp.traits.hair.fringe == "none":
        return []
    full = scalp.traits.hair.fringe == "full"
    rest = scalp.rest
    angle = np.abs(np.arctan2(rest[:, 0], rest[:, 2] + 0.085))
    weight = scalp.full * (scalp.regions.above_hairline < 0.024) * (angle < (0.80 if full else 0.70))
    rows, roots = scalp.roots(weight, count)
    strands = _full_fringe(scalp, rows, roots) if full else _side_fringe(scalp, rows, roots)
    strands, clump = scalp.clump(strands, 12, 0.55, 1.2)
    return [scalp.cut(strands, rows, 0.00062, clump=clump, gain=0.9)]


def _full_fringe(scalp: Scalp, rows: Array, roots: Array) -> Array:
    rest, rng, n = scalp.rest[rows], scalp.rng, len(rows)
    end_height = 0.0245 + 0.003 * rng.normal(size=n) - 0.010 * smoothstep(0.02, 0.055, np.abs(rest[:, 0]))
    length = np.maximum((roots[:, 1] - end_height) * 1.10 + 0.012, 0.02)
    direction = scalp.normal[rows] * 0.55 + vector(0, -0.1, 1.0)
    direction[:, 0] += 4 * rest[:, 0]
    return scalp.grow(roots, direction, length, 7, 0.30, 0.0035 + 0.004 * rng.uniform(size=n), roughness=0.04, face=False,
                      cling=0.0075)


def _side_fringe(scalp: Scalp, rows: Array, roots: Array) -> Array:
    rest, rng, n = scalp.rest[rows], scalp.rng, len(rows)
    parting = scalp.traits.hair.parting
    side = np.sign(parting)
    length = 0.046 + 0.030 * smoothstep(-0.02, 0.05, -(rest[:, 0] - parting) * side) + 0.006 * rng.normal(size=n)
    direction = scalp.normal[rows] * 0.55 + vector(-0.8 * side, 0.15, 0.75)

    def sweep(points: Array, _: Array, grown: float) -> Array:
        return np.tile(vector(-0.22 * side, -0.02, -0.05 - 0.25 * grown), (len(points), 1))

    return scalp.grow(roots, direction, np.maximum(length, 0.025), 8, 0.26, 0.0045 + 0.0045 * rng.uniform(size=n),
                      field=sweep, roughness=0.04, face=False, cling=0.009)
