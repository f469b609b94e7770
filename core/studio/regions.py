"""Where hair, brows and beard grow on a person: soft weights on the skin texels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.studio.anatomy import Anatomy
from core.studio.numerics import Array, bump, fractal_noise, smoothstep, value_noise
from core.studio.traits import Traits

# height of the hairline (metres on the template) over the angle around the head, from the forehead (0) to the nape (pi)
HAIRLINE_ANGLE = (0, 0.35, 0.62, 0.85, 1.02, 1.18, 1.30, 1.40, 1.56, 1.74, 1.90, 2.05, 2.35, 2.7, 3.2)
HAIRLINE_HEIGHT = (0.0625, 0.0625, 0.060, 0.052, 0.035, 0.010, -0.010, -0.018, 0.022, 0.020, -0.008, -0.036, -0.062, -0.078,
                   -0.083)
HEAD_AXIS_Z = -0.085  # the vertical axis through the skull that angles are measured around
BROW_INNER, BROW_SPAN = 0.0125, 0.041


@dataclass(frozen=True)
class HairRegions:
    """Weights of the skin texels [M] for one person.

    Attributes:
        above_hairline: metres above the hairline (negative below).
        scalp, brow, beard, moustache: densities 0..1.
        along_brow: 0 at the inner end of a brow, 1 at its tip.
        brow_height: height of the brow's spine at this texel's side position.
    """

    above_hairline: Array
    scalp: Array
    brow: Array
    beard: Array
    moustache: Array
    along_brow: Array
    brow_height: Array


def hair_regions(anatomy: Anatomy, traits: Traits) -> HairRegions:
    rest, ears = anatomy.texels.rest, anatomy.regions.ears
    above = rest[:, 1] - _hairline_height(rest, traits)
    noise = traits.noise_seed("hairline")
    ragged = 0.004 * value_noise(rest, 0.006, noise) + 0.003 * value_noise(rest, 0.0025, noise + 1)
    scalp = smoothstep(-0.005, 0.008, above + ragged) * (1 - smoothstep(0.15, 0.5, ears)) * (rest[:, 1] > -0.10)
    along, height, brow = _brow(rest, traits)
    moustache, beard = _beard(anatomy, traits)
    return HairRegions(above, scalp, brow, beard, moustache, along, height)


def _hairline_height(rest: Array, traits: Traits) -> Array:
    angle = np.abs(np.arctan2(rest[:, 0], rest[:, 2] - HEAD_AXIS_Z))
    height = np.interp(angle, HAIRLINE_ANGLE, HAIRLINE_HEIGHT) + traits.hair.hairline * smoothstep(1.0, 0.6, angle)
    if traits.masculine:
        temples = (0.004 + 0.018 * traits.hair.recession) * bump(angle, 0.55, 0.22)
        return height + temples + 0.006 * traits.hair.recession * bump(angle, 0.0, 0.5)
    return height + 0.012 * bump(angle, 1.36, 0.14)  # shorter sideburns


def _brow(rest: Array, traits: Traits) -> tuple[Array, Array, Array]:
    """(position along, spine height, density): the spine follows the template's brow ridge and tapers outwards."""
    brows = traits.brows
    width = np.abs(rest[:, 0])
    along = np.clip((width - BROW_INNER) / BROW_SPAN, 0, 1)
    height = 0.0147 + 0.0052 * np.sin(np.minimum(along * 1.25, 1) * 1.9) - 0.0060 * smoothstep(0.62, 1, along) + brows.height
    height = height + brows.arch * np.sin(np.pi * np.clip(along * 0.85, 0, 1)) + brows.slant * 0.0011 * (along - 0.5)
    half = (0.0027 if traits.masculine else 0.0024) * brows.thickness
    half = half * (1 - 0.62 * smoothstep(0.45, 1, along)) * (0.75 + 0.25 * smoothstep(0, 0.15, along))
    density = np.exp(-(np.abs((rest[:, 1] - height) / half) ** 2.5))
    density *= smoothstep(0.009, 0.0155, width) * (1 - smoothstep(0.048, 0.0555, width)) * (rest[:, 2] > -0.03)
    return along, height, density


def _beard(anatomy: Anatomy, traits: Traits) -> tuple[Array, Array]:
    """(moustache, whole beard): cheek line, throat, soft patches at the corners of the mouth, moustache with a philtrum gap."""
    rest = anatomy.texels.rest
    width, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    not_lips = 1 - smoothstep(0.15, 0.6, anatomy.regions.lips)
    noise = traits.noise_seed("beard edge")
    cheek_line = -0.058 + 0.032 * smoothstep(0.030, 0.072, width) + traits.beard.edge * smoothstep(0.02, 0.04, width)
    cheek_line = cheek_line + 0.004 * fractal_noise(rest, 0.008, noise)
    beard = (1 - smoothstep(-0.011, 0.009, y - cheek_line)) * smoothstep(-0.105, -0.080, z)
    beard = beard * smoothstep(-0.130, -0.106, y) * not_lips
    moustache = (1 - smoothstep(0.021, 0.030, width)) * (1 - smoothstep(-0.0545, -0.0485, y)) * smoothstep(-0.082, -0.07, y)
    moustache = moustache * (z > -0.02) * not_lips * (1 - 0.45 * bump(width, 0.0, 0.0022))
    below_lip = np.exp(-((width / 0.016) ** 2 + ((y + 0.0805) / 0.0035) ** 2))
    beard = np.maximum(beard, moustache) * (1 - 0.75 * below_lip)
    beard = beard * (1 - smoothstep(0.05, 0.3, anatomy.regions.ears)) * (1 - smoothstep(0.074, 0.082, width))
    if traits.beard.style == "goatee":
        beard = np.maximum(moustache, beard * (1 - smoothstep(0.016, 0.027, width))) * (y > -0.115)
    if traits.beard.style == "stubble":
        beard = beard * (1 - 0.4 * np.exp(-(((width - 0.031) / 0.006) ** 2 + ((y + 0.072) / 0.010) ** 2)))
    return moustache, beard
