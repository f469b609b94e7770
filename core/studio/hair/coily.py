"""Curly and coily styles: curls and afro."""

from __future__ import annotations

import numpy as np

from core.studio.hair.base import baby_hair, undercoat
from core.studio.hair.growth import Scalp, Strands
from core.studio.numerics import Array, normalize, smoothstep, vector, vector_noise


def curly(scalp: Scalp) -> list[Strands]:
    hair, rng = scalp.traits.hair, scalp.rng
    rows, roots = scalp.roots(scalp.full, 1700)
    rest, top = scalp.rest[rows], scalp.top[rows]
    at_forehead = smoothstep(-0.03, 0.02, rest[:, 2]) * top
    length = (0.078 + 0.030 * (1 - top) * (not scalp.traits.masculine)) * (0.66 if scalp.traits.masculine else 1.0) * hair.length
    length = length * rng.uniform(0.7, 1.1, len(rows)) * (1 - 0.35 * at_forehead)
    direction = scalp.normal[rows] + scalp.flow[rows] * 0.30 * (1 - at_forehead)[:, None]
    direction = direction + 0.30 * vector_noise(rest, 0.03, scalp.noise + 91) + vector(0, 0.12, 0)
    direction = direction + at_forehead[:, None] * vector(0, 0.15, -0.35)
    strands = scalp.grow(roots, direction, length, 14, 0.13, 0.005 + 0.020 * hair.volume * rng.uniform(size=len(rows)),
                         roughness=0.10, ear="over", face=False, ramp=1.5, cling=0.034)
    strands, clump = scalp.clump(strands, 7, 0.85, 0.6, 0.55)
    strands = scalp.curl(strands, clump, 0.0040 + 0.0014 * hair.wave, 0.024, length)
    strands = _above_skin(scalp, strands, 0.0025)
    curls = scalp.cut(strands, rows, 0.00096, taper=0.3, opacity=0.88, clump=clump)
    return [undercoat(scalp, 2300), curls, baby_hair(scalp, 300)]


def afro(scalp: Scalp) -> list[Strands]:
    """Kinked strands up to a round envelope."""
    hair, rng, center = scalp.traits.hair, scalp.rng, scalp.shell.center
    rows, roots = scalp.roots(scalp.full, 2900)
    outward = normalize(roots - center - vector(0, -0.01, 0.01) + vector(0, 0.012, 0))
    envelope = 0.108 + 0.026 * (hair.volume - 0.6) / 0.9
    reach = np.linalg.norm((roots + outward * 0.03 - center - vector(0, 0.012, 0)) * vector(1.12, 1, 0.92), axis=1) - 0.03
    sides = np.clip(smoothstep(-0.075, 0.03, roots[:, 1] - center[1] + 0.02), 0.25, 1)
    length = np.clip(envelope - reach, 0.012, 0.062) * rng.uniform(0.72, 1.04, len(rows)) * sides
    direction = outward + scalp.normal[rows] * 0.3 + rng.normal(0, 0.16, (len(rows), 3))
    strands = scalp.grow(roots, direction, length, 8, 0.0, 0.003, roughness=0.18, face=False)
    strands = strands + 0.0024 * np.sqrt(np.linspace(0, 1, 9))[None, :, None] * rng.normal(size=strands.shape)
    strands = _above_skin(scalp, strands, 0.0015)
    return [undercoat(scalp, 2400), scalp.cut(strands, rows, 0.00084, taper=0.25, opacity=0.84), baby_hair(scalp, 200, 0.006)]


def _above_skin(scalp: Scalp, strands: Array, clearance: float) -> Array:
    return np.stack([scalp.shell.push(strands[:, k], clearance, face=False) for k in range(strands.shape[1])], 1)
