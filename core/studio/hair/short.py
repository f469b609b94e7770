"""Short styles: buzz, textured crop, fade, pixie, side part, slicked back."""

from __future__ import annotations

import numpy as np

from core.studio.hair.base import baby_hair, fringe, undercoat
from core.studio.hair.growth import Scalp, Strands
from core.studio.numerics import smoothstep, vector, vector_noise


def buzz(scalp: Scalp) -> list[Strands]:
    rows, roots = scalp.roots(scalp.full, 7600)
    direction = scalp.normal[rows] * 0.7 + scalp.flow[rows] * 0.9 + scalp.rng.normal(0, 0.2, (len(rows), 3))
    strands = scalp.grow(roots, direction, 0.0036, 1, 0.0, 0.0, face=False)
    return [scalp.cut(strands, rows, 0.00039, taper=0.3, opacity=0.78), baby_hair(scalp, 150, 0.005)]


def textured(scalp: Scalp) -> list[Strands]:
    return _tousled(scalp, top_length=0.034, side_length=0.012)


def fade(scalp: Scalp) -> list[Strands]:
    return _tousled(scalp, top_length=0.032, side_length=0.004)


def pixie(scalp: Scalp) -> list[Strands]:
    return [*_tousled(scalp, top_length=0.048, side_length=0.026), *fringe(scalp, 420)]


def _tousled(scalp: Scalp, top_length: float, side_length: float) -> list[Strands]:
    """Tufts that flow from the whorl and stand up at the front."""
    style, hair = scalp.traits.hair.style, scalp.traits.hair
    density, sides = scalp.full, np.full(len(scalp.rest), side_length)
    if style == "fade":
        density = density * (0.25 + 0.75 * smoothstep(-0.01, 0.05, scalp.rest[:, 1]))
        sides = 0.0025 + 0.010 * smoothstep(0, 0.055, scalp.rest[:, 1])
    rows, roots = scalp.roots(density, 3800)
    rest, top, front = scalp.rest[rows], scalp.top[rows], scalp.front[rows]
    length = sides[rows] + (top_length * hair.length - sides[rows]) * top
    length = length * scalp.rng.uniform(0.8, 1.1, len(rows))
    tufts = vector_noise(rest, 0.016, scalp.noise + 91)
    rise = (0.18 + 0.36 * top * (0.4 + 0.6 * front)) * hair.volume
    direction = scalp.flow[rows] * (1 - 0.20 * top)[:, None] + scalp.normal[rows] * rise[:, None]
    direction = direction + 0.26 * tufts * (0.3 + 0.7 * top)[:, None]
    direction = direction + np.stack([0.25 * np.sign(hair.parting) * top, 0.10 * top * front, 0 * top], 1)
    clearance = 0.0015 + 0.012 * top * np.minimum(1, length / 0.03)
    strands = scalp.grow(roots, direction, length, 4, 0.07 + 0.09 * (1 - top), clearance, roughness=0.10,
                         ear="over" if style == "pixie" else None, face=style != "textured", cling=0.017)
    strands, clump = scalp.clump(strands, 9, 0.72, 1.1, 0.9)
    return [undercoat(scalp, 2300), scalp.cut(strands, rows, 0.00062 + 0.00014 * top, taper=0.55, opacity=0.88, clump=clump),
            baby_hair(scalp)]


def side_part(scalp: Scalp) -> list[Strands]:
    hair, rng = scalp.traits.hair, scalp.rng
    rows, roots = scalp.roots(scalp.full, 3900)
    rest, top, front = scalp.rest[rows], scalp.top[rows], scalp.front[rows]
    side = np.where(rest[:, 0] > hair.parting, 1.0, -1.0)
    back = smoothstep(-0.09, -0.16, rest[:, 2])
    length = (0.014 + 0.048 * hair.length * top * (1 - 0.4 * back)) * rng.uniform(0.85, 1.08, len(rows))
    combed = scalp.tangent(np.stack([side * (0.95 - 0.3 * front), np.full(len(rows), 0.10), -0.38 + 0.25 * front], 1), rows)
    on_top = (top * (1 - back))[:, None]
    rise = 0.16 + 0.34 * hair.volume * top * front
    direction = combed * on_top + scalp.flow[rows] * (1 - on_top) + scalp.normal[rows] * rise[:, None]
    direction = direction + 0.16 * vector_noise(rest, 0.02, scalp.noise + 91)
    direction = direction + np.stack([0 * top, -0.5 * (1 - top), -0.35 * (1 - top)], 1)
    strands = scalp.grow(roots, direction, length, 4, 0.20, 0.0015 + 0.0095 * top, face=False, cling=0.015)
    strands, clump = scalp.clump(strands, 11, 0.65)
    return [undercoat(scalp, 2300), scalp.cut(strands, rows, 0.00061 + 0.0001 * top, opacity=0.88, clump=clump), baby_hair(scalp)]


def slick(scalp: Scalp) -> list[Strands]:
    hair = scalp.traits.hair
    back = vector(0, 0.1, -1)
    rows, roots = scalp.roots(scalp.full, 3900)
    top, front = scalp.top[rows], scalp.front[rows]
    direction = vector(0, 0.12, -1) + np.stack([0 * top, -0.45 * (1 - top), 0 * top], 1)
    direction = direction + scalp.normal[rows] * (0.15 + 0.45 * hair.volume * top * front)[:, None]
    direction = direction + 0.10 * vector_noise(scalp.rest[rows], 0.015, scalp.noise + 91)
    length = (0.020 + 0.042 * hair.length * top) * scalp.rng.uniform(0.85, 1.1, len(rows))
    strands = scalp.grow(roots, direction, length, 4, 0.10, 0.002 + 0.009 * top * front, roughness=0.03, face=False, cling=0.011)
    strands, clump = scalp.clump(strands, 14, 0.75, 0.9)
    coat = undercoat(scalp, 2300, direction=lambda rows: np.tile(back, (len(rows), 1)))
    return [coat, scalp.cut(strands, rows, 0.00062, opacity=0.88, clump=clump), baby_hair(scalp, 300)]
