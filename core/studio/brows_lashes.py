"""Eyebrow hairs, lashes and the line they make along the lids."""

from __future__ import annotations

import numpy as np

from core.studio.anatomy import OUTER_MARGIN, Anatomy, Eye, nearest_triangles
from core.studio.eyes import lid_loop
from core.studio.illumination import LitHead
from core.studio.numerics import Array, dot, normalize, smoothstep, vector
from core.studio.regions import HairRegions
from core.studio.skin import SkinSurface
from core.studio.splats import Splats, segments
from core.studio.traits import Traits

BROW_WIDTH = 0.000115
LASH_WIDTH = 0.000070
# spans of the outer lid ring (0 = inner corner, along the lower lid first) that carry lashes
UPPER_SPAN, LOWER_SPAN = (0.52, 0.97), (0.10, 0.46)


def brows(anatomy: Anatomy, traits: Traits, surface: SkinSurface, lit: LitHead, regions: HairRegions) -> list[Splats]:
    """Two-segment hairs: they rise at the inner end, sweep outwards in the middle and point down at the tip."""
    rng, brow = traits.generator("brows"), traits.brows
    count = int((760 if traits.masculine else 640) * brow.density * np.sqrt(brow.thickness))
    weight = regions.brow**1.2
    rows = rng.choice(len(weight), count, p=weight / weight.sum())
    rest, normal = anatomy.texels.rest[rows], surface.normal[rows]
    along, side = regions.along_brow[rows], np.sign(rest[:, 0])
    above_spine = (rest[:, 1] - regions.brow_height[rows]) / 0.003
    direction = np.stack([side * (0.25 + smoothstep(0.0, 0.35, along)),
                          1.0 - 1.25 * smoothstep(0, 0.5, along) - 0.30 * above_spine, np.full(count, -0.10)], 1)
    direction = direction + rng.normal(0, 0.13, (count, 3))
    direction = normalize(direction - 0.95 * dot(direction, normal) * normal)
    du, dv = anatomy.texels.tangents(lit.vertices)
    start = surface.position[rows] + du[rows] * rng.uniform(-0.5, 0.5, (count, 1)) + dv[rows] * rng.uniform(-0.5, 0.5, (count, 1))
    start = start + normal * 0.0003
    length = rng.uniform(0.0038, 0.0068, count) * (1 - 0.35 * along) * (0.75 + 0.25 * smoothstep(0, 0.2, along))
    color = brow.color * surface.irradiance[rows] * rng.uniform(0.55, 1.15, (count, 1))
    color = np.where((rng.uniform(size=count) < 0.6 * traits.hair.grey)[:, None], 0.20, color)
    groups = []
    for part in range(2):
        end = start + direction * (0.5 * length)[:, None] + normal * 0.0003
        groups.append(segments(start, end, BROW_WIDTH - 0.00003 * part, color, 0.74 - 0.25 * part, anatomy.texels.triangle[rows]))
        start = end
        direction = normalize(direction + np.stack([side * 0.30, np.full(count, -0.30), np.full(count, -0.05)], 1))
    return groups


def lashes(anatomy: Anatomy, traits: Traits, lit: LitHead) -> list[Splats]:
    groups = []
    for eye in anatomy.eyes:
        rng = traits.generator(f"lashes {eye.part}")
        center = lit.vertices[eye.vertices].mean(0)
        color = np.minimum(traits.brows.color, 0.03) * 0.35 + 0.004
        upper_count = 80 if traits.masculine else 110
        length = 0.0062 * traits.eyes.lash_length * (1 + 0.22 * traits.makeup.strength)
        opacity = 0.75 if traits.masculine else 1.0
        groups += _lash_row(anatomy, lit, eye, center, UPPER_SPAN, upper_count, length, 1, color, opacity, rng)
        groups += _lash_row(anatomy, lit, eye, center, LOWER_SPAN, 42, 0.0028, -1, color, 0.5 * opacity, rng)
        groups.append(_lash_line(anatomy, traits, lit, eye, center, color))
    return groups


def _lash_row(anatomy: Anatomy, lit: LitHead, eye: Eye, center: Array, span: tuple[float, float], count: int, length: float,
              up: int, color: Array, opacity: float, rng: np.random.Generator) -> list[Splats]:
    """Lashes of three segments that fan out and curl up (or down, for the lower lid)."""
    margin, place = lid_loop(lit, eye.rings[OUTER_MARGIN], 400)
    chosen = np.flatnonzero((place > span[0]) & (place < span[1]))
    chosen = np.sort(rng.choice(chosen, count))
    start = margin[chosen]
    toward_corner = (place[chosen] - span[0]) / (span[1] - span[0])
    toward_corner = 1 - toward_corner if up > 0 else toward_corner
    fan = np.sin(np.clip(0.25 + 0.75 * toward_corner, 0, 1) * 2.2)
    reach = (length * rng.uniform(0.65, 1.05, count) * (0.55 + 0.45 * fan))[:, None]
    sideways = (start[:, :1] - center[0]) * vector(1, 0, 0) / 0.012
    direction = normalize(0.9 * normalize(start - center) + 0.30 * sideways + vector(0, 0.10 * up, 0.35)
                          + rng.normal(0, 0.10, (count, 3)))
    rooted = nearest_triangles(anatomy, start, lit.vertices, eye.lid_triangles)
    groups = []
    for part, fade in enumerate((0.80, 0.62, 0.42)):
        end = start + direction * reach / 3
        groups.append(segments(start - direction * 0.0001, end, LASH_WIDTH * (1 - 0.25 * part), color, fade * opacity, rooted))
        start = end
        direction = normalize(direction + vector(0, 0.42 * up, 0.10))
    return groups


def _lash_line(anatomy: Anatomy, traits: Traits, lit: LitHead, eye: Eye, center: Array, color: Array) -> Splats:
    """The dark line of the lash roots; eyeliner makes it stronger and wider."""
    margin, place = lid_loop(lit, eye.rings[OUTER_MARGIN], 400)
    line = margin[(place > UPPER_SPAN[0]) & (place < UPPER_SPAN[1])][::2]
    step = np.diff(line, axis=0, append=line[-1:])
    line = line + normalize(line - center) * 0.0002
    liner = traits.makeup.liner
    rooted = nearest_triangles(anatomy, line, lit.vertices, eye.lid_triangles)
    return segments(line, line + 1.4 * step, 0.00024 + 0.00014 * liner, color * 1.3 + 0.006, 0.46 + 0.32 * liner, rooted)
