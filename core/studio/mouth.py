"""Inside the mouth: teeth swept along the two arches, gums, tongue and the dark cavity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from core.head.mesh import vertex_normals
from core.head.model import ShapedHead
from core.head.presets import preset as head_preset
from core.studio.anatomy import Anatomy, nearest_triangles
from core.studio.illumination import LitHead
from core.studio.numerics import Array, bump, normalize, smoothstep, value_noise, vector
from core.studio.splats import Splats, concatenate, discs, surface_patches
from core.studio.surface import SurfaceSamples
from core.studio.traits import Traits

# crowns from the middle incisor outwards, millimetres (mean human dimensions)
UPPER_WIDTHS, LOWER_WIDTHS = (8.6, 6.6, 7.6, 7.0, 6.8, 9.6, 9.0), (5.5, 6.0, 6.9, 7.0, 7.1, 10.2, 9.6)
UPPER_HEIGHTS, LOWER_HEIGHTS = (10.2, 9.0, 10.0, 8.3, 7.6, 7.0, 6.6), (8.6, 8.8, 9.6, 8.4, 7.8, 7.0, 6.6)
CROWN_DEPTHS = (2.2, 2.4, 3.5, 6.0, 6.0, 8.5)
TEETH_PER_SIDE = 6
CANINE = 2
ARCH_CENTER_Z = -0.03
PATCH_OPACITY = 0.985
EDGE_SHARE = 0.29  # of the height of a tooth strip: its row of vertices along the biting edge
POKE_MARGIN = 0.0015  # metres that everything in the mouth must stay behind the skin
POKE_REACH = 0.010
FRONT_TEETH, CHIN_TOP, NOSE_BOTTOM = 0.017, -0.076, -0.054


@dataclass(frozen=True)
class Arch:
    """One row of teeth: a horizontal curve along the biting edges, parametrised by arc length from the middle.

    Attributes:
        point: [P, 3]; arc: [P] metres, 0 in the middle, positive on the subject's left.
        up: +1 for the upper row (its crowns rise from the biting edge), -1 for the lower.
        widths, heights: of the crowns, metres, middle to molar.
        brightness: light that reaches the teeth.
        triangles: faces the teeth are rooted in.
    """

    point: Array
    arc: Array
    up: int
    widths: Array
    heights: Array
    brightness: float
    triangles: Array

    def frame(self, arc: Array) -> tuple[Array, Array, Array]:
        """Points, tangents and outward normals at arc lengths [N]."""
        def at(s: Array) -> Array:
            return np.stack([np.interp(s, self.arc, self.point[:, k]) for k in range(3)], 1)

        tangent = normalize((at(arc + 0.003) - at(arc - 0.003)) * vector(1, 0, 1))
        return at(arc), tangent, normalize(np.cross(tangent, vector(0, 1, 0)))


def mouth(anatomy: Anatomy, traits: Traits, lit: LitHead, shaped: ShapedHead) -> list[Splats]:
    rng = traits.generator("teeth")
    ivory = vector(0.86, 0.79, 0.66) * (rng.uniform(0.86, 1.04) - 0.0022 * max(0.0, traits.age - 30))
    groups = []
    for part, up, widths, heights in (("teeth_u", 1, UPPER_WIDTHS, UPPER_HEIGHTS), ("teeth_l", -1, LOWER_WIDTHS, LOWER_HEIGHTS)):
        arch = _arch(anatomy, lit, part, up, np.array(widths) * 0.001, np.array(heights) * 0.001)
        groups += [_crown(anatomy, traits, lit, arch, side, tooth, ivory, rng.normal(0, 1, 2))
                   for side in (1, -1) for tooth in range(TEETH_PER_SIDE)]
        groups.append(_gums(anatomy, traits, lit, arch))
    inside = concatenate([*groups, _cavity(anatomy, lit), _tongue(anatomy, lit)])
    return [inside.subset(~_poking_out(anatomy, shaped, inside))]


def _poking_out(anatomy: Anatomy, shaped: ShapedHead, inside: Splats) -> Array:
    """Which Gaussians [N] of the mouth come out of cheeks or chin in this person's widest expressions."""
    head = anatomy.head
    skin, lips = anatomy.skin_vertices, head.masks.lips
    rest_centers = shaped.vertices[head.faces[inside.triangle]].mean(1)
    lateral = np.abs(inside.xyz[:, 0]) > FRONT_TEETH  # the front teeth stand in the open mouth
    poking = np.zeros(len(inside), bool)
    height_of = head.v_template[:, 1]
    for preset in ("jaw open", "grin", "smile", "neutral"):
        face = head_preset(head, preset)
        vertices = head.vertices(shaped, face.expression, face.pose)
        normals = vertex_normals(vertices, head.faces_of("skin"))
        moved = inside.xyz + vertices[head.faces[inside.triangle]].mean(1) - rest_centers
        distance, index = cKDTree(vertices[skin]).query(moved, distance_upper_bound=POKE_REACH)
        near = np.flatnonzero(np.isfinite(distance))
        nearest = skin[index[near]]
        height = ((moved[near] - vertices[nearest]) * normals[nearest]).sum(1)
        # between the lips things may show: only bare skin counts
        beyond_lips = (height_of[nearest] < CHIN_TOP) | (height_of[nearest] > NOSE_BOTTOM)
        doubtful = (lateral[near] | beyond_lips) & (lips[nearest] < 0.2)
        poking[near[doubtful & (height > -POKE_MARGIN - inside.scale[near].max(1))]] = True
    return poking


def _arch(anatomy: Anatomy, lit: LitHead, part: str, up: int, widths: Array, heights: Array) -> Arch:
    """Sweep curve from the biting edge of the head model's tooth strip, moved to a natural bite close behind the lips."""
    head = anatomy.head
    ids = head.vertices_of(part)
    rest = head.v_template[ids]
    share = EDGE_SHARE * np.ptp(rest[:, 1])
    edge = ids[rest[:, 1] < rest[:, 1].min() + share] if up > 0 else ids[rest[:, 1] > rest[:, 1].max() - share]
    edge = edge[np.argsort(np.arctan2(head.v_template[edge, 0], head.v_template[edge, 2] - ARCH_CENTER_Z), kind="stable")]
    point = lit.vertices[edge] + (vector(0, -0.0034, 0.0007) if up > 0 else vector(0, -0.0022, -0.0026))  # upper row in front
    point[:, 1] = 0.35 * point[:, 1] + 0.65 * point[np.argmin(np.abs(point[:, 0])), 1]
    outward = normalize(point * vector(1, 0, 1) - vector(0, 0, ARCH_CENTER_Z))
    point = point + outward * (smoothstep(-0.02, 0.012, point[:, 2]) * (0.0026 if up > 0 else 0.0024))[:, None]
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(point, axis=0)[:, [0, 2]], axis=1))])
    middle = np.interp(0.0, point[:, 0], arc)
    fit = min((arc[-1] - middle - 0.002) / widths.sum(), 1.12)
    brightness = 0.55 * max(0.75, float(lit.irradiance[ids].mean())) + 0.42
    return Arch(point, arc - middle, up, widths * fit, heights, brightness, head.face_indices_of(part))


def _crown(anatomy: Anatomy, traits: Traits, lit: LitHead, arch: Arch, side: int, tooth: int, ivory: Array,
           jitter: Array) -> Splats:
    """One tooth: a front that bulges and tapers to the neck, and the biting surface behind its edge."""
    width, height = arch.widths[tooth], arch.heights[tooth] + 0.0016
    center = side * (arch.widths[:tooth].sum() + width / 2)
    columns, front_rows, top_rows = (9, 8, 3) if tooth < 5 else (7, 6, 5)
    profile = np.concatenate([np.linspace(0, 1, front_rows), 1 + np.arange(1, top_rows + 1) / top_rows])
    across, down = (a.ravel() for a in np.meshgrid(np.linspace(-1, 1, columns), profile, indexing="ij"))
    front, top = np.minimum(down, 1), np.maximum(down - 1, 0)  # 0 neck .. 1 edge, then back over the biting surface
    depth = CROWN_DEPTHS[tooth] * 0.001
    narrow = 0.80 + 0.20 * smoothstep(0, 0.75, front) - np.clip(front - 0.9, 0, 1) * np.abs(across) ** 3
    base, tangent, outward = arch.frame(center + across * width * 0.5 * 0.93 * narrow)
    bulge = 0.0016 * np.sqrt(np.clip(1 - (0.96 * across) ** 2, 0, 1)) + 0.0007 * np.sin(2.6 * front)
    bulge = bulge - 0.0012 * np.clip(front - 0.75, 0, 1) - top * depth
    point_of_canine = (0.0009 if tooth == CANINE else 0.0) * (1 - np.abs(across)) * front
    rise = arch.up * ((1 - front) * height - point_of_canine) + jitter[0] * 0.00012
    position = base + outward * bulge[:, None] + rise[:, None] * vector(0, 1, 0)
    facing = normalize(outward + tangent * (0.8 * across)[:, None]
                       + (-arch.up * (top > 0) * 1.2 + arch.up * (0.35 - front) * 0.3)[:, None] * vector(0, 1, 0))
    lamp = 0.55 + 0.45 * np.clip(facing @ traits.light.key.direction, 0, 1) + 0.25 * np.clip(facing[:, 2], 0, 1)
    gap = 1 - 0.55 * smoothstep(0.80, 1.03, np.abs(across))
    dim = 1 - 0.72 * smoothstep(0.012, 0.050, abs(center))
    tone = ivory * (1 - 0.04 * tooth / 6) * (1 + 0.02 * jitter[1]) * (vector(1, 0.97, 0.93) if tooth == CANINE else 1.0)
    light = lamp * gap * (0.72 + 0.28 * smoothstep(0, 0.35, front)) * (0.93 + 0.07 * smoothstep(0.1, 0.8, front))
    gloss = bump(across, 0.25 * np.sign(traits.light.key.direction[0]), 0.28) * bump(front, 0.45, 0.25) * (top == 0)
    color = tone * (light * dim * arch.brightness)[:, None] + (0.10 * gloss * dim)[:, None]
    scale = np.stack([np.full(len(across), width / columns * 0.62), np.where(top > 0, 0.0004, height / front_rows * 0.62),
                      np.where(top > 0, depth / top_rows * 0.6, 0.00022)], 1)
    rooted = nearest_triangles(anatomy, position, lit.vertices, arch.triangles)
    return discs(position, tangent, outward, scale, color, PATCH_OPACITY, rooted)


def _gums(anatomy: Anatomy, traits: Traits, lit: LitHead, arch: Arch) -> Splats:
    """A scalloped band from just over the necks of the teeth into the vestibule."""
    half = 0.033 if arch.up > 0 else 0.022
    arc, band = (a.ravel() for a in np.meshgrid(np.linspace(-1, 1, 130) * half, np.linspace(0, 1, 7), indexing="ij"))
    base, tangent, outward = arch.frame(arc)
    edges = np.concatenate([[0.0], np.cumsum(arch.widths)])
    tooth = np.clip(np.searchsorted(edges, np.abs(arc)) - 1, 0, len(arch.widths) - 1)
    across = np.abs(2 * (np.abs(arc) - edges[tooth]) / arch.widths[tooth] - 1)  # 0 over a tooth's middle, 1 between two
    rise = arch.heights[tooth] + 0.0012 - 0.0018 * across**2.2 + band * (0.008 if arch.up > 0 else 0.004)
    relief = 0.0006 + 0.0006 * np.sin(3 * band) + 0.0004 * (1 - across)
    position = base + outward * relief[:, None] + (arch.up * rise)[:, None] * vector(0, 1, 0)
    pink = vector(0.56, 0.22, 0.20) * np.exp(-max(0.0, traits.skin.melanin - 0.8) * vector(0.3, 0.35, 0.3))
    light = arch.brightness * (0.75 + 0.1 * value_noise(position, 0.003, traits.noise_seed("gums")))
    light = light * (1 - 0.7 * smoothstep(0.012, 0.046, np.abs(arc))) * (1 - 0.35 * band)
    color = pink * light[:, None] + (0.06 * bump(band, 0.3, 0.15) * (across < 0.6))[:, None]
    scale = np.tile([0.00062, 0.00095, 0.0002], (len(arc), 1))
    rooted = nearest_triangles(anatomy, position, lit.vertices, arch.triangles)
    return discs(position, tangent, outward, scale, color, PATCH_OPACITY, rooted)


def _soft_tissue(samples: SurfaceSamples, lit: LitHead, color: Array) -> Splats:
    du, dv = samples.tangents(lit.vertices)
    return surface_patches(samples.at(lit.vertices), du, dv, 0.75, 0.10, 0.004, color, PATCH_OPACITY, samples.triangle)


def _cavity(anatomy: Anatomy, lit: LitHead) -> Splats:
    samples = anatomy.cavity
    near = smoothstep(-0.05, 0.022, samples.rest[:, 2])[:, None]
    flesh = vector(0.045, 0.009, 0.008) * (1 - near) + vector(0.33, 0.10, 0.09) * near**2
    return _soft_tissue(samples, lit, flesh * (0.35 + 0.5 * np.clip(samples.at(lit.irradiance), 0, 1.2)))


def _tongue(anatomy: Anatomy, lit: LitHead) -> Splats:
    samples = anatomy.tongue
    rest = samples.rest
    near = smoothstep(-0.050, 0.004, rest[:, 2])[:, None]
    bumps = (0.10 * value_noise(rest, 0.0016, 3) + 0.08 * value_noise(rest, 0.004, 4))[:, None]
    groove = 0.18 * bump(rest[:, :1], 0.0, 0.0016) * (rest[:, 1:2] > -0.07)
    upward = 0.70 + 0.30 * np.clip(normalize(samples.at(lit.normals))[:, 1:2], 0, 1)
    light = np.clip(samples.at(lit.irradiance) * 0.9 + 0.45, 0.45, 1.0)
    color = vector(0.60, 0.235, 0.215) * (1 + bumps - groove) * upward * (0.12 + 0.62 * near) * light
    return _soft_tissue(samples, lit, color + 0.05 * near * np.clip(bumps + 0.06, 0, 1))
