"""Styles that are combed to a knot at the back: ponytail and bun."""

from __future__ import annotations

import numpy as np

from core.studio.hair.base import baby_hair, fringe, undercoat
from core.studio.hair.growth import Scalp, Strands
from core.studio.numerics import Array, normalize, vector

COMB_STEPS = 8
BUN_RADIUS = 0.030


def ponytail(scalp: Scalp) -> list[Strands]:
    knot = _knot(scalp, height=0.105 if scalp.traits.hair.volume > 0.95 else 0.03)
    return [*_combed_to(scalp, knot), _tail(scalp, knot), *fringe(scalp, 720)]


def bun(scalp: Scalp) -> list[Strands]:
    knot = _knot(scalp, height=0.150 if scalp.traits.hair.volume > 0.92 else 0.072)
    return [*_combed_to(scalp, knot), _ball(scalp, knot), *fringe(scalp, 720)]


def _knot(scalp: Scalp, height: float) -> Array:
    """Where the hair is gathered, on the middle of the back of the head, 10 mm off the scalp."""
    shell = scalp.shell
    toward = normalize(vector(0, height, -0.10))
    _, nearest = shell.tree.query(shell.center + toward * 0.10)
    return shell.points[nearest] * vector(0, 1, 1) + shell.normals[nearest] * 0.010


def _combed_to(scalp: Scalp, knot: Array) -> list[Strands]:
    """Strands that follow great circles of the skull from their roots to the knot."""
    shell, rng = scalp.shell, scalp.rng
    rows, roots = scalp.roots(scalp.full, 2350)
    start, end = normalize(roots - shell.center), normalize(knot - shell.center)
    arc = np.arccos(np.clip(start @ end, -1, 1))[:, None]
    start_radius = np.linalg.norm(roots - shell.center, axis=1, keepdims=True)
    height = rng.uniform(0.0025, 0.0075, len(rows)) * (0.7 + 0.3 * scalp.traits.hair.volume)
    points = [roots]
    for k in range(COMB_STEPS):
        grown = (k + 1) / COMB_STEPS
        direction = (np.sin((1 - grown) * arc) * start + np.sin(grown * arc) * end) / np.maximum(np.sin(arc), 0.05)
        radius = start_radius * (1 - grown) + np.linalg.norm(knot - shell.center) * grown
        x = shell.center + normalize(direction) * radius
        distance, normal, _ = shell.distance(x)
        lift = normal * (height * min(1, 3 * grown) - distance)[:, None]
        points.append(x + lift if grown < 0.95 else knot + 0.006 * normalize(rng.normal(size=x.shape)))
    strands, clump = scalp.clump(np.stack(points, 1), 12, 0.55, 0.8, 0.6)
    coat = undercoat(scalp, 2200, 0.015, direction=lambda rows: knot - scalp.rest[rows])
    return [coat, scalp.cut(strands, rows, 0.00080, taper=0.25, opacity=0.87, clump=clump), baby_hair(scalp, 480, 0.016)]


def _rows_near(scalp: Scalp, knot: Array, count: int) -> Array:
    """Scalp texels at the knot: what is gathered moves with them."""
    distance = np.linalg.norm(scalp.position - knot, axis=1) + 9 * (scalp.regions.scalp < 0.5)
    return scalp.rng.choice(np.argsort(distance, kind="stable")[:60], count)


def _tail(scalp: Scalp, knot: Array, count: int = 420) -> Strands:
    hair, rng = scalp.traits.hair, scalp.rng
    roots = knot + vector(0, 0.002, -0.004) + rng.normal(0, 0.0045, (count, 3))
    length = np.maximum(0.25 * hair.length * rng.uniform(0.85, 1.08, count), 0.1)
    strands = scalp.grow(roots, vector(0, 0.55, -0.8) + rng.uniform(-0.22, 0.22, (count, 3)), length, 14, 0.34, 0.010, face=False)
    strands, clump = scalp.clump(strands, 20, 0.5, 1.2, 0.5)
    if hair.wave > 0.5:
        strands = scalp.wave(strands, clump, 0.005, 0.08, length)
    return scalp.cut(strands, _rows_near(scalp, knot, count), 0.0011, opacity=0.88, clump=clump)


def _ball(scalp: Scalp, knot: Array, count: int = 300, steps: int = 12) -> Strands:
    rng = scalp.rng
    axis = normalize(knot - scalp.shell.center)
    center = knot + axis * BUN_RADIUS * 0.75
    axes = normalize(axis + rng.normal(0, 0.45, (count, 3)))
    first = normalize(np.cross(axes, vector(1, 0.1, 0)))
    second = np.cross(axes, first)
    height, phase = rng.uniform(-0.95, 0.95, count)[:, None], rng.uniform(0, 2 * np.pi, count)[:, None]
    grown = np.linspace(0, 1, steps + 1)[None]
    height = np.clip(height + 0.25 * np.sin(3 * grown + phase), -0.98, 0.98)
    turn = phase + 3.4 * grown
    radius = BUN_RADIUS * np.sqrt(1 - height**2) * rng.uniform(0.85, 1.04, count)[:, None]
    strands = center + first[:, None] * (radius * np.cos(turn))[:, :, None]
    strands = strands + second[:, None] * (radius * np.sin(turn))[:, :, None]
    strands = strands + axes[:, None] * (BUN_RADIUS * 0.9 * height)[:, :, None]
    return scalp.cut(strands, _rows_near(scalp, knot, count), 0.0013, taper=0.1, opacity=0.92)


