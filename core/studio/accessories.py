"""Glasses and earrings. They are rigid: glasses ride on the bridge of the nose, earrings hang from the lobes."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from core.studio.anatomy import Anatomy, nearest_triangles
from core.studio.illumination import LitHead
from core.studio.numerics import Array, normalize, vector
from core.studio.splats import Splats, segments, spheres
from core.studio.traits import Traits

FRAME_DISTANCE = 0.0125  # metres from the front of the eyeball to the rims
# exponent of the superellipse, half width and half height in metres
RIM_SHAPES = {"round": (2.0, 0.0235, 0.0215), "rectangular": (4.5, 0.0255, 0.0165), "oval": (2.4, 0.0255, 0.0190)}
RIM_STEPS = 64
BROW_GAP, LARGEST_SHIFT = 0.0025, 0.008


def accessories(anatomy: Anatomy, traits: Traits, lit: LitHead) -> list[Splats]:
    groups = []
    if traits.accessories.glasses != "none":
        groups += _glasses(anatomy, traits, lit)
    if traits.accessories.earrings:
        groups += _earrings(anatomy, traits, lit)
    return groups


def _glasses(anatomy: Anatomy, traits: Traits, lit: LitHead) -> list[Splats]:
    wear = traits.accessories
    exponent, half_width, half_height = RIM_SHAPES[wear.glasses]
    balls = [lit.vertices[eye.vertices] for eye in anatomy.eyes]
    centers = [ball.mean(0) for ball in balls]
    front = max(ball[:, 2].max() for ball in balls) + FRAME_DISTANCE
    apart = abs(centers[0][0] - centers[1][0])
    half_width = min(half_width, apart / 2 - 0.006)
    rim = _superellipse(exponent, half_width, half_height)
    front += _brow_clearance(anatomy, lit, centers, rim, front)
    light = lit.irradiance[anatomy.skin_vertices].mean() * 0.9
    root = _bridge_triangle(anatomy)
    groups = []
    for eye, center in zip(anatomy.eyes, centers, strict=True):
        points = np.stack([center[0] + eye.side * (0.0012 + rim[:, 0]), center[1] - 0.0015 + rim[:, 1],
                           front - 0.0022 * (rim[:, 0] / half_width) ** 2], 1)
        groups.append(_rod(points, np.roll(points, -1, 0), wear.frame_width, wear.frame_color, light, traits, root))
        hinge = vector(center[0] + eye.side * (half_width + 0.0014), center[1] + 0.004, front - 0.003)
        groups.append(_temple(anatomy, lit, eye.side, hinge, wear.frame_width, wear.frame_color, light, traits, root))
    inner = [center[0] - eye.side * (half_width - 0.0018) for eye, center in zip(anatomy.eyes, centers, strict=True)]
    t = np.linspace(0, 1, 12)[:, None]
    left, right = vector(inner[0], centers[0][1] + 0.003, front), vector(inner[1], centers[1][1] + 0.003, front)
    arch = left + (right - left) * t + np.sin(np.pi * t) * vector(0, 0.0022, 0.0015)
    groups.append(_rod(arch[:-1], arch[1:], wear.frame_width, wear.frame_color, light, traits, root))
    return groups


def _brow_clearance(anatomy: Anatomy, lit: LitHead, centers: list[Array], rim: Array, front: float) -> float:
    """How far the frame must move forward so that the upper rims stay in front of the brows, metres."""
    skin = lit.vertices[anatomy.skin_vertices]
    skin = skin[skin[:, 2] > front - 0.05]
    upper = rim[rim[:, 1] > 0]
    points = np.concatenate([center[:2] + upper for center in centers])
    depth = skin[cKDTree(skin[:, :2]).query(points)[1], 2]
    return float(np.clip((depth + BROW_GAP).max() - front, 0.0, LARGEST_SHIFT))


def _superellipse(exponent: float, half_width: float, half_height: float) -> Array:
    """Points [RIM_STEPS, 2] of |x/a|^n + |y/b|^n = 1 at nearly equal steps."""
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    power = 2 / exponent
    x = half_width * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    y = half_height * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    closed = np.stack([np.append(x, x[0]), np.append(y, y[0])], 1)
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(closed, axis=0), axis=1))])
    at = np.linspace(0, arc[-1], RIM_STEPS, endpoint=False)
    return np.stack([np.interp(at, arc, closed[:, k]) for k in range(2)], 1)


def _temple(anatomy: Anatomy, lit: LitHead, side: int, hinge: Array, width: float, color: Array, light: float, traits: Traits,
            root: Array) -> Splats:
    """The arm from the hinge to the top of the ear."""
    head = anatomy.head
    ear = anatomy.skin_vertices[(head.masks.ears[anatomy.skin_vertices] > 0.6)
                                & (side * head.v_template[anatomy.skin_vertices, 0] > 0)]
    top = lit.vertices[ear][np.argmax(lit.vertices[ear, 1])]
    end = vector(top[0] + side * 0.001, min(top[1] - 0.004, hinge[1] + 0.004), top[2])
    t = np.linspace(0, 1, 40)[:, None]
    arm = hinge + (end - hinge) * t + np.sin(np.pi * t) * vector(side * 0.004, 0, 0)
    return _rod(arm[:-1], arm[1:], width, color, light * 0.9, traits, root)


def _rod(start: Array, end: Array, width: float, color: Array, light: float, traits: Traits, root: Array) -> Splats:
    """A glossy round bar: lighter where it faces the key light."""
    along = normalize(end - start)
    half = normalize(traits.light.key.direction + vector(0, 0, 1))
    gloss = np.clip(1 - (along @ half) ** 2, 0, 1)[:, None] ** 12
    return segments(start - 0.25 * (end - start), end + 0.25 * (end - start), width, color * light + 0.10 * gloss, 0.97,
                    np.full(len(start), root))


def _bridge_triangle(anatomy: Anatomy) -> Array:
    """A skin triangle on the bridge of the nose, between the eyes: it hardly moves with any expression."""
    head = anatomy.head
    middle = head.v_template[head.faces[anatomy.skin_triangles]].mean(1)
    target = vector(0.0, -0.004, float(middle[np.abs(middle[:, 0]) < 0.004][:, 2].max()))
    return anatomy.skin_triangles[np.argmin(np.linalg.norm((middle - target) * [1, 1, 0.3], axis=1))]


def _earrings(anatomy: Anatomy, traits: Traits, lit: LitHead) -> list[Splats]:
    """A stud and, for hoops, a ring below it."""
    wear, head = traits.accessories, anatomy.head
    groups = []
    for side in (1, -1):
        ear = anatomy.skin_vertices[(head.masks.ears[anatomy.skin_vertices] > 0.5)
                                    & (side * head.v_template[anatomy.skin_vertices, 0] > 0)]
        points = lit.vertices[ear]
        lobe = points[points[:, 1] < np.quantile(points[:, 1], 0.10)].mean(0) + vector(side * 0.0022, 0.0025, 0.0018)
        light = float(lit.irradiance[ear].mean())
        root = nearest_triangles(anatomy, lobe[None], lit.vertices, anatomy.skin_triangles)
        shine = lobe + vector(side * 0.0004, 0.0005, 0.0009)
        groups.append(spheres(lobe[None], 0.00135, wear.metal * light, 0.97, root))
        groups.append(spheres(shine[None], 0.00045, np.full(3, 0.9), 0.75, root))
        if wear.hoops:
            turn = np.linspace(0, 2 * np.pi, 33)
            radius = wear.hoop_radius
            ring = lobe + vector(0, -radius - 0.0008, 0) + radius * np.stack([0.35 * side * np.sin(turn), np.cos(turn),
                                                                              0.9 * np.sin(turn)], 1)
            groups.append(_rod(ring[:-1], ring[1:], 0.00045, wear.metal, light, traits, root[0]))
    return groups
