"""Garments: area samples of the bust below an edge, a band, hood or collar swept along that edge, cloth hanging at the arms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from core.studio.anatomy import Anatomy
from core.studio.illumination import LitHead
from core.studio.numerics import Array, bump, fractal_noise, normalize, smoothstep, value_noise, vector
from core.studio.splats import Splats, discs, spheres, surface_patches
from core.studio.traits import Traits

NECK_AXIS_Z = -0.105  # the vertical axis through the neck, on the template
ARM_CUT = 0.209  # the head model ends here to the sides
CLOTH_SIGMA, CLOTH_OPACITY, CLOTH_THICKNESS, LARGEST_PATCH = 0.80, 0.99, 0.05, 0.006
EDGE_POINTS = 170
CURTAIN_DROP = 0.16
SKIN_MARGIN = 0.006  # skin this far below the garment's edge is still kept


def _neckline(style: str, angle: Array) -> Array:
    """Template height of the garment's edge over the angle around the neck (0 = front)."""
    front = 0.5 * np.cos(angle) + 0.5
    if style == "crew":
        return -0.142 - 0.030 * front**1.5
    if style == "vneck":
        return -0.140 - 0.052 * np.clip(1 - np.abs(angle) / 0.42, 0, 1) - 0.022 * front**2
    if style == "collar":
        return -0.136 - 0.040 * front**2
    if style == "hoodie":
        return -0.146 - 0.034 * front**1.5
    return -0.112 - 0.022 * front  # turtle neck


def _edge_height(style: str, rest: Array) -> Array:
    radius = np.hypot(rest[:, 0], rest[:, 2] - NECK_AXIS_Z)
    angle = np.arctan2(rest[:, 0], rest[:, 2] - NECK_AXIS_Z)
    return _neckline(style, angle) + 0.35 * np.clip(radius - 0.085, 0, 0.03)


def depth_below_edge(style: str, rest: Array) -> Array:
    """How far points [N, 3] of the template lie below the garment's edge, metres (positive = covered)."""
    return _edge_height(style, rest) - rest[:, 1]


def garment_clearance(style: str, rest: Array) -> Array:
    """Height above the skin at template points [N, 3] that hair must keep to lie on the garment, metres."""
    depth = depth_below_edge(style, rest)
    cloth = 0.011 * smoothstep(-0.008, 0.006, depth)
    band, reach = {"hoodie": (0.028, 0.030), "collar": (0.018, 0.045), "turtle": (0.008, 0.040)}.get(style, (0.004, 0.010))
    return cloth + band * np.exp(-(((depth - 0.004) / reach) ** 2)) * smoothstep(-0.030, -0.010, depth)


def clothes(anatomy: Anatomy, traits: Traits, lit: LitHead) -> list[Splats]:
    edge = _edge_curve(anatomy, traits, lit)
    return [_cloth(anatomy, traits, lit), *_trim(traits, edge), *_curtain(anatomy, traits, lit)]


def _cloth(anatomy: Anatomy, traits: Traits, lit: LitHead) -> Splats:
    garment, bust = traits.garment, anatomy.bust
    covered = depth_below_edge(garment.style, bust.rest)
    samples = bust.subset(np.flatnonzero((covered > 0) & (np.abs(bust.rest[:, 0]) < ARM_CUT)))
    depth, rest = depth_below_edge(garment.style, samples.rest), samples.rest
    seed = traits.noise_seed("cloth")
    fold = fractal_noise(rest * [1, 0.45, 1], 0.040, seed)
    weave = value_noise(rest, 0.0022, seed + 9)
    lift = 0.0045 + 0.0040 * np.clip(fold, -0.8, 1) * smoothstep(0.0, 0.05, depth)
    normal = normalize(samples.at(lit.normals))
    albedo = np.tile(garment.color, (len(samples), 1))
    if garment.stripes:
        wave = np.sin((rest[:, 1] - 0.25 * rest[:, 2]) * 2 * np.pi / 0.030)
        albedo = albedo + (garment.accent - albedo) * smoothstep(0.15, 0.35, wave)[:, None]
    hem = 0.72 + 0.28 * smoothstep(0, 0.012, depth)
    color = albedo * samples.at(lit.irradiance) * ((0.92 + 0.30 * fold + 0.05 * weave) * hem)[:, None]
    d_du, d_dv = samples.tangents(lit.vertices)
    return surface_patches(samples.at(lit.vertices) + normal * lift[:, None], d_du, d_dv, CLOTH_SIGMA, CLOTH_THICKNESS,
                           LARGEST_PATCH, color, CLOTH_OPACITY, samples.triangle)


@dataclass(frozen=True)
class EdgeCurve:
    """The garment's edge as a closed curve of E points around the neck.

    Attributes:
        angle: [E] around the neck, 0 = front.
        point: [E, 3]; tangent, outward (horizontal), upward: [E, 3] a frame that bands are swept in.
        light: [E, 3] irradiance.
        spacing: [E] distance to the next point.
        triangle: [E] root triangles.
    """

    angle: Array
    point: Array
    tangent: Array
    outward: Array
    upward: Array
    light: Array
    spacing: Array
    triangle: Array

    @property
    def frontness(self) -> Array:
        return 0.5 + 0.5 * np.cos(self.angle)


def _edge_curve(anatomy: Anatomy, traits: Traits, lit: LitHead) -> EdgeCurve:
    """Bust samples near the edge, averaged in windows over the angle and smoothed."""
    distance = np.abs(depth_below_edge(traits.garment.style, anatomy.bust.rest))
    bust = anatomy.bust.subset(np.flatnonzero(distance < 0.025))
    angle = np.linspace(-np.pi, np.pi, EDGE_POINTS, endpoint=False)
    of_sample = np.arctan2(bust.rest[:, 0], bust.rest[:, 2] - NECK_AXIS_Z)
    distance = np.abs(depth_below_edge(traits.garment.style, bust.rest))
    apart = (of_sample[None] - angle[:, None] + np.pi) % (2 * np.pi) - np.pi
    weight = np.exp(-((apart / 0.06) ** 2) - (distance[None] / 0.006) ** 2) + 1e-9 * np.exp(-distance[None] / 0.01)
    weight /= weight.sum(1, keepdims=True)
    point, light = (gaussian_filter1d(weight @ bust.at(values), 2.2, axis=0, mode="wrap")
                    for values in (lit.vertices, lit.irradiance))
    outward = np.stack([np.sin(angle), np.zeros_like(angle), np.cos(angle)], 1)
    tangent = normalize(np.roll(point, -1, 0) - np.roll(point, 1, 0))
    upward = normalize(np.cross(tangent, outward))
    upward *= np.sign(upward[:, 1:2] + 1e-9)
    spacing = np.linalg.norm(np.roll(point, -1, 0) - point, axis=1)
    return EdgeCurve(angle, point, tangent, outward, upward, light, spacing, bust.triangle[weight.argmax(1)])


def _trim(traits: Traits, edge: EdgeCurve) -> list[Splats]:
    """What runs along the edge of each garment."""
    garment = traits.garment
    if garment.style == "turtle":
        return [_tube(traits, edge, 0.0065, 0.001, -0.006, garment.color * 0.93),
                _tube(traits, edge, 0.0060, 0.003, -0.019, garment.color * 0.90)]
    if garment.style == "hoodie":
        hood = 0.0125 + 0.012 * (1 - edge.frontness) ** 1.5
        return [_tube(traits, edge, hood, 0.006, -0.004, garment.color * 0.95, 13, -0.9, 3.3),
                _tube(traits, edge, 0.006, 0.003, 0.002, garment.color * 0.8), *_draw_strings(traits, edge)]
    if garment.style == "collar":
        return [_shirt_collar(traits, edge)]
    return [_tube(traits, edge, 0.0040, 0.0015, -0.001, garment.color * 0.86)]


def _tube(traits: Traits, edge: EdgeCurve, radius: Array | float, outward: float, upward: float, color: Array, count: int = 9,
          first: float = -0.6, last: float = 2.6) -> Splats:
    """The visible part (angles first..last, 0 = outwards) of a rope swept along the edge, offset outwards and upwards."""
    i, phase = (a.ravel() for a in np.meshgrid(np.arange(EDGE_POINTS), np.linspace(first, last, count), indexing="ij"))
    r = np.broadcast_to(radius, (EDGE_POINTS,))[i]
    normal = edge.outward[i] * np.cos(phase)[:, None] + edge.upward[i] * np.sin(phase)[:, None]
    center = edge.point[i] + edge.outward[i] * outward + edge.upward[i] * upward + normal * r[:, None]
    normal = normalize(normal - (normal * edge.tangent[i]).sum(1, keepdims=True) * edge.tangent[i])
    scale = np.stack([edge.spacing[i] * 0.80, r * (last - first) / count * 0.8 + 0.0006, r * 0.05], 1)
    shade = 0.55 + 0.45 * np.clip(normal[:, 1] * 0.8 + 0.35, 0, 1)
    ribs = 1 + 0.06 * np.sin(i * 2.9) + 0.05 * value_noise(center, 0.0025, traits.noise_seed("trim"))
    return discs(center, edge.tangent[i], normal, scale, color * edge.light[i] * (shade * ribs)[:, None], CLOTH_OPACITY,
                 edge.triangle[i])


def _draw_strings(traits: Traits, edge: EdgeCurve) -> list[Splats]:
    groups = []
    for side in (-1, 1):
        i = int(np.argmin(np.abs(edge.angle - side * 0.32)))
        k = np.arange(26)
        drop = np.stack([0 * k, -k * 0.0023, 0.00065 * k - 0.00003 * k * k], 1)
        color = np.clip(traits.garment.color * 1.8 + 0.12, 0, 0.75) * edge.light[i]
        groups.append(spheres(edge.point[i] + edge.outward[i] * 0.020 + drop, 0.0011, color, 0.95, np.full(26, edge.triangle[i])))
    return groups


def _shirt_collar(traits: Traits, edge: EdgeCurve) -> Splats:
    """Stands 24 mm up the neck, folds over and falls to points at the front."""
    garment = traits.garment
    contrast = traits.seed % 2 == 1
    color = np.clip(garment.accent * 1.1 + 0.05, 0, 0.8) if contrast else garment.color * 0.97
    i, t = (a.ravel() for a in np.meshgrid(np.arange(EDGE_POINTS), np.linspace(0, 1, 15), indexing="ij"))
    not_open = np.abs(edge.angle[i]) > 0.13
    i, t = i[not_open], t[not_open]
    stand = 0.024 - 0.006 * edge.frontness[i]
    fall = 0.034 + 0.016 * bump(np.abs(edge.angle[i]), 0.42, 0.28)
    rise, over = np.minimum(t / 0.4, 1.0), np.clip((t - 0.4) / 0.6, 0, 1)
    center = edge.point[i] + edge.upward[i] * (stand * rise - fall * over)[:, None]
    center = center + edge.outward[i] * (0.003 + 0.011 * over + 0.004 * np.sin(over * 3.1))[:, None]
    normal = edge.outward[i] + edge.upward[i] * 0.3
    normal = normalize(normal - (normal * edge.tangent[i]).sum(1, keepdims=True) * edge.tangent[i])
    scale = np.stack([edge.spacing[i] * 0.80, np.full(len(i), 0.0026), np.full(len(i), 0.0004)], 1)
    shade = np.where(t < 0.38, 0.55, 0.80 + 0.25 * bump(t, 0.45, 0.07)) * (1 - 0.25 * smoothstep(0.9, 1, t))
    shade = shade * (1 + 0.03 * value_noise(center, 0.002, traits.noise_seed("collar")))
    return discs(center, edge.tangent[i], normal, scale, color * edge.light[i] * shade[:, None], CLOTH_OPACITY, edge.triangle[i])


def _curtain(anatomy: Anatomy, traits: Traits, lit: LitHead) -> list[Splats]:
    """Cloth dropped from the open edge at the upper arms, so that profiles never look inside the bust."""
    pairs = anatomy.shoulder_edges
    if len(pairs) == 0:
        return []
    start, end = lit.vertices[pairs[:, 0]], lit.vertices[pairs[:, 1]]
    middle = 0.5 * (start + end)
    i, drop = (a.ravel() for a in np.meshgrid(np.arange(len(pairs)), np.linspace(0, CURTAIN_DROP, 24), indexing="ij"))
    side = np.sign(middle[i, 0])
    center = middle[i] + np.stack([side * (0.002 - 0.02 * (drop / CURTAIN_DROP) ** 2), -drop, 0 * drop], 1)
    along = normalize((end - start) * vector(0.0, 0.0, 1.0))[i]
    length = np.maximum(np.linalg.norm(end - start, axis=1)[i] * 0.55, 0.0045)
    normal = np.stack([side, np.zeros_like(side), np.zeros_like(side)], 1)
    scale = np.stack([length, np.full(len(i), 0.0048), np.full(len(i), 0.0006)], 1)
    light = lit.irradiance[pairs].mean((1, 2))[i]
    shade = 0.80 - 0.35 * (drop / CURTAIN_DROP) + 0.1 * value_noise(center, 0.03, traits.noise_seed("curtain"))
    root = anatomy.skin_triangles[cKDTree(lit.vertices[anatomy.head.faces[anatomy.skin_triangles]].mean(1)).query(middle)[1]]
    return [discs(center, along, normal, scale, traits.garment.color * (light * shade)[:, None], CLOTH_OPACITY, root[i])]


