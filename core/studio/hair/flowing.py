"""Styles that hang: bob, long, wavy, braids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.studio.hair.base import baby_hair, fringe, undercoat
from core.studio.hair.growth import Field, Scalp, Strands
from core.studio.numerics import Array, normalize, smoothstep, vector

SHOULDER_LINE_Z = -0.085


@dataclass(frozen=True)
class Hang:
    """How a hanging style is grown: steps and count of strands, length in metres, height limit over the skull."""

    steps: int
    count: int
    length: float
    volume: float
    gravity: float
    ear: str | None


def bob(scalp: Scalp) -> list[Strands]:
    hang = Hang(12, 2450, 0.185, 0.026, 0.50, _ear(scalp))
    rows, strands = _hanging(scalp, hang)
    strands, clump = scalp.clump(strands, 16, 0.60, 1.0, 0.8)
    strands = _gentle_wave(scalp, strands, clump, hang.length)
    return [_coat(scalp), scalp.cut(strands, rows, 0.00092, clump=clump), baby_hair(scalp), *fringe(scalp, 760)]


def long(scalp: Scalp) -> list[Strands]:
    hang = Hang(15, 2000, 0.33, 0.024, 0.50, _ear(scalp))
    rows, strands = _hanging(scalp, hang)
    strands, clump = scalp.clump(strands, 16, 0.55, 1.0, 0.8)
    strands = _gentle_wave(scalp, strands, clump, hang.length)
    return [_coat(scalp), scalp.cut(strands, rows, 0.00094, clump=clump), baby_hair(scalp), *fringe(scalp, 760)]


def wavy(scalp: Scalp) -> list[Strands]:
    hang = Hang(19, 1550, 0.32, 0.030, 0.42, "over")
    rows, strands = _hanging(scalp, hang)
    strands, clump = scalp.clump(strands, 22, 0.72, 1.0, 0.8)
    strands = scalp.wave(strands, clump, 0.0075, 0.075 + 0.02 * scalp.traits.hair.wave, hang.length)
    strands = _clear_of_body(scalp, strands)
    return [_coat(scalp), scalp.cut(strands, rows, 0.00104, clump=clump), baby_hair(scalp), *fringe(scalp, 760)]


def braids(scalp: Scalp) -> list[Strands]:
    """About a hundred plaits of three strands each, over a close undercoat."""
    hang = Hang(34, 900, 0.30, 0.014, 0.50, "behind")
    rows, strands = _hanging(scalp, hang, spacing=0.0118)
    along = normalize(np.gradient(strands, axis=1))
    sideways = normalize(np.cross(along, normalize(strands - scalp.shell.center)))
    outward = np.cross(sideways, along)
    grown = np.linspace(0, 1, hang.steps + 1)[None, :, None]
    radius = 0.0026 * smoothstep(0, 0.05, grown) * (1 - 0.35 * grown)
    groups = []
    for phase in (0.0, 2.094, 4.189):
        turn = grown * 2 * np.pi * 10 + phase
        plait = strands + sideways * np.cos(turn) * radius + outward * np.sin(turn) * radius * 0.8
        groups.append(scalp.cut(plait, rows, 0.0019, taper=0.3, opacity=0.93))
    return [*groups, undercoat(scalp, 2400, 0.009, 0.0016, gain=0.5)]


def _ear(scalp: Scalp) -> str:
    return "over" if scalp.traits.hair.ears_covered else "behind"


def _coat(scalp: Scalp) -> Strands:
    parting = scalp.traits.hair.parting

    def sideways(rows: Array) -> Array:
        side = np.where(scalp.rest[rows, 0] > parting, 1.0, -1.0)
        return np.stack([side, np.full(len(rows), -0.2), np.full(len(rows), -0.25)], 1)

    return undercoat(scalp, 2200, 0.015, direction=sideways)


def _gentle_wave(scalp: Scalp, strands: Array, clump: Array, length: float) -> Array:
    if scalp.traits.hair.wave > 0.6:
        strands = scalp.wave(strands, clump, 0.0015 + 0.004 * (scalp.traits.hair.wave - 0.6) / 0.4, 0.06, length)
    return _clear_of_body(scalp, strands)


def _clear_of_body(scalp: Scalp, strands: Array) -> Array:
    """Clumps and waves may push strands into the shoulders: lift what sank in."""
    lifted = [strands[:, 0]]
    lifted += [scalp.shell.push(strands[:, k], 0.003, face=False) for k in range(1, strands.shape[1])]
    return np.stack(lifted, 1)


def _hanging(scalp: Scalp, hang: Hang, spacing: float = 0.0) -> tuple[Array, Array]:
    """Rows of the roots and strands that part on top, fall at the sides and slide over ears, neck and shoulders."""
    hair, rng = scalp.traits.hair, scalp.rng
    rows, roots = scalp.roots(scalp.full, hang.count)
    if spacing > 0:
        chosen = _evenly_spaced(roots, spacing)
        rows, roots = rows[chosen], roots[chosen]
    rest, top, front = scalp.rest[rows], scalp.top[rows], scalp.front[rows]
    u = rng.uniform(size=len(rows))
    side = np.where(rest[:, 0] > np.where(rest[:, 2] < -0.15, 0.0, hair.parting), 1.0, -1.0)
    up = scalp.normal[rows] * (0.28 + 0.22 * top)[:, None]
    parted = up + np.stack([side * (0.75 + 0.30 * front), 0.04 + 0.12 * top, -0.45 * front - 0.12], 1)
    falling = scalp.normal[rows] * 0.22 + np.stack([0 * u, np.full(len(u), -0.85), -0.35 * front], 1)
    direction = parted * top[:, None] + falling * (1 - top)[:, None]
    clearance = (0.0035 + 0.0095 * hair.volume * u * (1 + 0.6 * top)) * (0.8 if spacing > 0 else 1.15)
    length = hang.length * hair.length * (1 - 0.10 * (u > 0.7)) * rng.uniform(0.90, 1.04, len(rows))

    def limit(x: Array) -> Array:
        return np.where(x[:, 1] > -0.02, hang.volume * (0.8 + 0.2 * hair.volume) + 0.004 * top, 0.05)

    strands = scalp.grow(roots, direction, length, hang.steps, hang.gravity, clearance, field=_fall(scalp, hang.ear),
                         roughness=0.035, ear=hang.ear, cling=limit)
    height = np.max([scalp.shell.distance(strands[:, k])[0] for k in (2, 3, 5)], axis=0)
    tidy = (height < 0.034) & (strands[:, -1, 1] < -0.01) & ~_crosses_face(strands)
    return rows[tidy], strands[tidy]


def _crosses_face(strands: Array) -> Array:
    """Whether a strand wanders over the forehead or cheeks: strays that would look like scratches [S]."""
    width, y, z = np.abs(strands[..., 0]), strands[..., 1], strands[..., 2]
    return ((width < 0.048) & (y < 0.053) & (y > -0.10) & (z > -0.03)).any(1)


def _evenly_spaced(points: Array, spacing: float) -> Array:
    chosen: list[int] = []
    for k, point in enumerate(points):
        if all(np.linalg.norm(point - points[j]) > spacing for j in chosen):
            chosen.append(k)
    return np.array(chosen)


def _fall(scalp: Scalp, ear: str | None) -> Field:
    """Pull away from the face, behind the ears if wanted, and in toward the neck."""
    ear_front = scalp.shell.ears[0].center[2] - 0.02
    is_bob = scalp.traits.hair.style == "bob"

    def field(x: Array, _: Array, grown: float) -> Array:
        pull = np.zeros_like(x)
        at_face = (x[:, 2] > -0.05) & (x[:, 1] < 0.075) & (np.abs(x[:, 0]) < 0.085)
        pull[:, 0] += np.sign(x[:, 0]) * 0.30 * at_face
        pull[:, 2] -= 0.42 * at_face
        if ear == "behind":
            at_ear = (np.abs(x[:, 0]) > 0.045) & (x[:, 1] < 0.055) & (x[:, 1] > -0.06) & (x[:, 2] > ear_front)
            pull[:, 2] -= 0.9 * at_ear
        outward = (x - scalp.shell.center) * vector(1, 0, 1)
        radius = np.linalg.norm(outward, axis=1)
        outward = normalize(outward)
        pull -= outward * (0.20 * smoothstep(-0.03, -0.12, x[:, 1]) * smoothstep(0.085, 0.13, radius))[:, None]
        # below the chin hair divides: in front of the shoulders or behind them, not out over the arms
        low = smoothstep(-0.09, -0.14, x[:, 1])
        forward = np.where(x[:, 2] > SHOULDER_LINE_Z, 1.0, -1.0)
        pull[:, 2] += 0.34 * low * forward
        pull[:, 0] -= 0.85 * low * np.sign(x[:, 0]) * smoothstep(0.060, 0.085, np.abs(x[:, 0]))
        if is_bob and grown > 0.65:
            pull -= outward * 0.30
            pull[:, 1] -= 0.1
        return pull

    return field
