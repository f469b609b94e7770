"""Eyeballs: iris, pupil, sclera, catch lights, wet lid margin and caruncle."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from core.studio.anatomy import INNER_MARGIN, OUTER_MARGIN, Anatomy, Eye, nearest_triangles
from core.studio.illumination import LitHead
from core.studio.numerics import Array, bump, normalize, smoothstep, value_noise, vector
from core.studio.splats import Splats, discs, segments, spheres
from core.studio.traits import Traits

IRIS_ANGLE, PUPIL_ANGLE = 0.412, 0.158  # radians from the eye's axis
RING_EDGES = np.concatenate([np.linspace(0, 0.46, 22), np.linspace(0.49, 1.30, 18)])  # fine rings in the iris
CORNEAL_BULGE = 0.00015
CATCH_LIGHT_HEIGHT = 0.00035
SCLERA = vector(0.76, 0.725, 0.70)


@dataclass(frozen=True)
class Eyeball:
    """Where an eyeball sits on this person, and how bright its surroundings are."""

    eye: Eye
    center: Array
    radius: float
    luminance: float


def eyeball_of(anatomy: Anatomy, lit: LitHead, eye: Eye) -> Eyeball:
    points = lit.vertices[eye.vertices]
    center = points.mean(0)
    frontmost = eye.vertices[np.argsort(-points[:, 2], kind="stable")[:60]]
    luminance = 0.95 * max(0.75, float(lit.irradiance[frontmost].mean()))
    return Eyeball(eye, center, float(np.linalg.norm(points - center, axis=1).mean()), luminance)


def eyes(anatomy: Anatomy, traits: Traits, lit: LitHead) -> list[Splats]:
    groups = []
    for eye in anatomy.eyes:
        ball = eyeball_of(anatomy, lit, eye)
        rng = traits.generator(f"eye {eye.part}")
        groups += [_globe(anatomy, traits, lit, ball, rng), *_catch_lights(anatomy, traits, lit, ball),
                   *_lid_margin(anatomy, traits, lit, ball, rng)]
    return groups


def _globe(anatomy: Anatomy, traits: Traits, lit: LitHead, ball: Eyeball, rng: np.random.Generator) -> Splats:
    angle, turn, width, across = _polar_rings(rng)
    axis = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], 1)
    height = ball.radius + CORNEAL_BULGE * np.clip(1 - (angle / 0.47) ** 2, 0, 1)
    position = ball.center + height[:, None] * axis
    color = _globe_albedo(traits, angle, turn) * (_lid_shade(lit, ball, position) * ball.luminance)[:, None]
    around = np.stack([-np.sin(turn), np.cos(turn), np.zeros_like(turn)], 1)
    size = np.maximum(width * ball.radius * 0.62, across * ball.radius * 0.55)
    scale = np.stack([size, size, np.full_like(size, 0.0001)], 1)
    triangle = nearest_triangles(anatomy, position, lit.vertices, ball.eye.triangles)
    return discs(position, around, axis, scale, color, 0.99, triangle)


def _polar_rings(rng: np.random.Generator) -> tuple[Array, Array, Array, Array]:
    """Angle from the axis, angle around it, ring width, arc between neighbours; all in radians [N]."""
    rows = []
    for low, high in itertools.pairwise(RING_EDGES):
        middle, width = 0.5 * (low + high), high - low
        count = max(5, int(2 * math.pi * math.sin(middle) / max(width, 0.026)))
        turn = (np.arange(count) + rng.uniform()) / count * 2 * math.pi
        arc = 2 * math.pi * math.sin(middle) / count
        rows.append(np.stack([np.full(count, middle), turn, np.full(count, width), np.full(count, arc)], 1))
    return tuple(np.concatenate(rows).T)


def _globe_albedo(traits: Traits, angle: Array, turn: Array) -> Array:
    seed, key = traits.noise_seed("iris"), traits.light.key.direction
    iris_edge = IRIS_ANGLE * traits.eyes.iris_radius
    veins = np.clip(value_noise(np.stack([np.cos(turn) * 3, np.sin(turn) * 3, angle * 3], 1), 0.35, seed), 0, 1)
    veins = veins * smoothstep(0.6, 1.15, angle)
    sclera = SCLERA - vector(0.02, 0.12, 0.12) * smoothstep(0.65, 1.2, angle)[:, None] - vector(0, 0.08, 0.08) * veins[:, None]
    fibers = 0.72 + 0.55 * np.abs(value_noise(np.stack([np.cos(turn) * 6, np.sin(turn) * 6, angle * 3], 1), 0.50, seed + 1))
    opposite_key = np.clip(-(np.cos(turn) * key[0] + np.sin(turn) * key[1]), 0, 1)
    caustic = 1 + 0.70 * opposite_key * smoothstep(0.12, 0.33, angle)
    iris = traits.eyes.iris * (fibers * (1.45 - 0.55 * angle / iris_edge) * caustic * 1.9)[:, None]
    iris = iris + vector(0.10, 0.055, 0.02) * (bump(angle, 0.205, 0.035) * fibers)[:, None]
    iris = iris * (1 - 0.82 * smoothstep(iris_edge * 0.80, iris_edge * 1.01, angle))[:, None]
    blend = smoothstep(iris_edge - 0.022, iris_edge + 0.036, angle)[:, None]
    color = iris * (1 - blend) + sclera * blend
    return color * smoothstep(PUPIL_ANGLE - 0.022, PUPIL_ANGLE + 0.018, angle)[:, None] + 0.006


def _lid_shade(lit: LitHead, ball: Eyeball, position: Array) -> Array:
    """Soft shadow under the upper lid, weaker at the lower lid and in the corners, measured from this head's lid curve."""
    margin = lit.vertices[ball.eye.rings[INNER_MARGIN]] - ball.center
    middle = margin[:, 1].mean()
    upper, lower = margin[margin[:, 1] >= middle - 0.0015], margin[margin[:, 1] < middle]
    offset = position - ball.center

    def height_at(curve: Array) -> Array:
        curve = curve[np.argsort(curve[:, 0], kind="stable")]
        return np.interp(offset[:, 0], curve[:, 0], curve[:, 1])

    below_upper = np.clip(height_at(upper) - offset[:, 1], 0, 1)
    above_lower = np.clip(offset[:, 1] - height_at(lower), 0, 1)
    shade = 1 - 0.52 * np.exp(-below_upper / 0.0019) - 0.15 * np.exp(-above_lower / 0.0009)
    return shade * (1 - 0.34 * smoothstep(0.60, 1.05, np.abs(np.arctan2(offset[:, 0], offset[:, 2]))))


def _catch_lights(anatomy: Anatomy, traits: Traits, lit: LitHead, ball: Eyeball) -> list[Splats]:
    """A soft window for the key light, a dim one for the fill, a faint bounce from below.

    They lie just off the globe: more would poke through a closed lid; higher up they would hide under the open one.
    """
    key, fill = traits.light.key.direction, traits.light.fill.direction
    square = ((0.0, 0.0), (0.55, 0.55), (-0.55, 0.55), (0.55, -0.55), (-0.55, -0.55))
    windows = (
        (vector(key[0] * 0.34, 0.085 + 0.06 * key[1], 1), 0.00060, 0.97, square),
        (vector(fill[0] * 0.38, 0.02, 1), 0.00042, 0.34, square[:1]),
        (vector(-0.10, -0.24, 1), 0.00070, 0.12, square[:1]),
    )
    groups = []
    for toward, size, opacity, places in windows:
        direction = normalize(toward)
        right = normalize(np.cross([0.0, 1.0, 0.0], direction))
        up = np.cross(direction, right)
        places_on_globe = [ball.center + (ball.radius + CATCH_LIGHT_HEIGHT) * direction + (right * x + up * y) * size
                           for x, y in places]
        center = np.stack(places_on_globe)
        scale = np.tile([size * 0.8, size * 0.8, size * 0.12], (len(center), 1))
        triangle = nearest_triangles(anatomy, center, lit.vertices, ball.eye.triangles)
        groups.append(discs(center, np.tile(right, (len(center), 1)), np.tile(direction, (len(center), 1)), scale,
                            np.full(3, 1.1), opacity, triangle))
    return groups


def lid_loop(lit: LitHead, ring: Array, count: int) -> tuple[Array, Array]:
    """Points [count, 3] along a lid ring at equal arc length (vertices bunch at the outer corner), and their parameter 0..1."""
    points = lit.vertices[ring]
    points = np.vstack([points, points[:1]])
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    wanted = np.linspace(0, arc[-1], count, endpoint=False)
    return np.stack([np.interp(wanted, arc, points[:, k]) for k in range(3)], 1), np.linspace(0, 1, count, endpoint=False)


def _lid_margin(anatomy: Anatomy, traits: Traits, lit: LitHead, ball: Eyeball, rng: np.random.Generator) -> list[Splats]:
    """Pink rim of the lids, the wet line along the lower one, and the caruncle in the inner corner."""
    eye, count = ball.eye, 150
    inner, place = lid_loop(lit, eye.rings[INNER_MARGIN], count)
    outer, _ = lid_loop(lit, eye.rings[OUTER_MARGIN], count)
    pink = vector(0.66, 0.36, 0.30) * np.exp(-max(0.0, traits.skin.melanin - 0.4) * vector(0.35, 0.5, 0.55)) * ball.luminance
    groups = []
    for between in (0.15, 0.6):
        rim = inner * (1 - between) + outer * between
        step = np.roll(rim, -1, axis=0) - rim
        rooted = nearest_triangles(anatomy, rim, lit.vertices, eye.lid_triangles)
        groups.append(segments(rim - 0.6 * step, rim + 0.6 * step, 0.00030, pink * (0.62 + 0.2 * between), 0.75, rooted))
    lower = np.flatnonzero((place > 0.04) & (place < 0.46))
    wet = inner[lower] + normalize(inner[lower] - ball.center) * 0.00035 + vector(0, 0.00012, 0)
    step = np.diff(wet, axis=0, append=wet[-1:])
    shine = 0.55 + 0.45 * np.clip(value_noise(wet, 0.002, traits.noise_seed("tears")) + 0.4, 0, 1)
    rooted = nearest_triangles(anatomy, wet, lit.vertices, eye.lid_triangles)
    groups.append(segments(wet, wet + 1.5 * step, 0.00013, np.repeat(0.80 * shine[:, None], 3, 1), 0.42, rooted))
    corner_ring = eye.rings[INNER_MARGIN]
    nearest_nose = corner_ring[np.argsort(eye.side * lit.vertices[corner_ring, 0], kind="stable")[:5]]
    corner = lit.vertices[nearest_nose].mean(0) + vector(eye.side * 0.0011, 0, -0.0006)
    drops = corner + rng.normal(0, 1, (26, 3)) * vector(0.00085, 0.00075, 0.0004)
    flesh = vector(0.60, 0.27, 0.235) * ball.luminance * rng.uniform(0.75, 1.05, (26, 1))
    groups.append(spheres(drops, 0.00055, flesh, 0.8, nearest_triangles(anatomy, drops, lit.vertices, eye.lid_triangles)))
    glint = (corner + vector(-eye.side * 0.0002, 0.0004, 0.0011))[None]
    rooted = nearest_triangles(anatomy, glint, lit.vertices, eye.lid_triangles)
    groups.append(spheres(glint, 0.00022, np.full(3, 0.9), 0.55, rooted))
    return groups
