"""Hair shading: ambient, key, fill and rim light, each seen through the hair volume; two shifted highlights.

The highlights follow Marschner et al., "Light scattering from human hair fibers" (2003), in the form of Kajiya-Kay lobes
shifted along the strand: a white one off the surface (R) and a coloured one through the strand (TRT).
"""

from __future__ import annotations

import numpy as np

from core.studio.hair.growth import Strands
from core.studio.hair.shell import SKULL_CENTER
from core.studio.illumination import LitHead
from core.studio.light import AMBIENT_DIRECTIONS
from core.studio.numerics import Array, dot, normalize, smoothstep, vector
from core.studio.splats import Splats, ribbons, segments
from core.studio.traits import Traits
from core.studio.visibility import HairVolume

JAW_CENTER = vector(0.0, -0.062, -0.045)
GREY_HAIR = vector(0.26, 0.255, 0.25)
FLATNESS = 0.4
DULL_STYLES = ("afro", "buzz")


def shade_strands(strands: Strands, traits: Traits, lit: LitHead, volume: HairVolume) -> Splats:
    """Coloured Gaussians of a group of strands."""
    color = _radiance(strands, traits, volume) * lit.exposure
    if strands.flat is None:
        return segments(strands.start, strands.end, strands.width, color, strands.opacity, strands.triangle)
    return ribbons(strands.start, strands.end, strands.flat, strands.width, strands.width * FLATNESS, color, strands.opacity,
                   strands.triangle)


def _albedo(strands: Strands, traits: Traits) -> Array:
    """Per segment: darker roots, lighter tips, grey strands half blended (pure grey reads as stripes)."""
    base = traits.beard.color if strands.beard else traits.hair.color
    brightness = float(base.mean())
    warm = vector(0.16, 0.04, -0.10) * strands.tint[:, None]
    sun = 1 + 0.55 * traits.hair.highlights * np.clip(strands.tint, 0, 1) * (0.3 + 0.7 * strands.along) * (not strands.beard)
    albedo = base * (1 + warm) * sun[:, None]
    albedo = np.where(strands.grey[:, None], 0.45 * albedo + 0.55 * GREY_HAIR, albedo)
    roots = 1 - 0.28 * np.exp(-3.5 * strands.along)
    tips = 1 + 0.18 * strands.along * (brightness > 0.06)
    return albedo * (strands.shade * roots * tips)[:, None]


def _radiance(strands: Strands, traits: Traits, volume: HairVolume) -> Array:
    light = traits.light
    center, direction = strands.center, normalize(strands.end - strands.start)
    albedo = _albedo(strands, traits)
    normal = _surface_normal(strands, center)
    # light hair scatters more of what it blocks
    density = 1.15 * (1 - 0.50 * min(1.0, float(traits.hair.color.mean()) / 0.25) ** 0.6)

    def facing(toward: Array) -> Array:
        return smoothstep(-0.45, 0.25, normal @ toward)

    around = light.key.direction + np.array([[0.0, 0.0, 0.0], [0.18, 0.10, 0.0], [-0.18, -0.10, 0.0]])
    key = volume.transmittance(center, normalize(around), density, 10, step=0.009, start=0.004).mean(0)
    key = key * facing(light.key.direction)
    fill = volume.transmittance(center, light.fill.direction[None], density, 8)[0] * facing(light.fill.direction)
    rim = volume.transmittance(center, light.rim.direction[None], density, 8)[0] * facing(light.rim.direction)
    key, fill, rim = key * light.key.power, fill * light.fill.power, rim * light.rim.power

    def across(toward: Array) -> Array:
        return np.sqrt(np.clip(1 - (direction @ toward) ** 2, 0, 1))

    diffuse = _ambient(strands, traits, volume, center, normal, density) \
        + (1.15 * key * across(light.key.direction))[:, None] * light.key.color \
        + (0.7 * fill * across(light.fill.direction))[:, None] * light.fill.color \
        + (1.2 * rim * across(light.rim.direction))[:, None] * light.rim.color
    viewer = normalize(vector(0, 0, 0.5) + 0.7 * normal)

    def lobe(toward: Array, shift: float, exponent: float) -> Array:
        half = normalize(toward + viewer)
        tangent = normalize(direction + shift * normal)
        return np.clip(1 - dot(tangent, half)[:, 0] ** 2, 0, 1) ** (exponent / 2)

    bright = 0.5 + 0.5 * strands.shade
    shine = (key * lobe(light.key.direction, 0.10, 90) * 0.055 * bright)[:, None] * light.key.color
    shine = shine + (key * lobe(light.key.direction, -0.14, 22) * 0.34)[:, None] * albedo**0.8 * light.key.color
    shine = shine + (rim * lobe(light.rim.direction, 0.05, 30) * 0.05)[:, None] * light.rim.color
    shine = shine + (fill * lobe(light.fill.direction, 0.10, 50) * 0.05)[:, None] * light.fill.color
    if strands.beard or traits.hair.style in DULL_STYLES:
        shine = shine * 0.35
    return 1.35 * albedo * diffuse + shine * (smoothstep(0.0, 0.25, strands.along) * (0.9 if strands.long else 0.5))[:, None]


def _surface_normal(strands: Strands, center: Array) -> Array:
    """Where the mass of hair faces: away from the skull or, for a beard, from the middle of the jaw."""
    if strands.beard:
        return normalize(center - JAW_CENTER)
    out = center - SKULL_CENTER
    out[:, 1] *= smoothstep(-0.10, 0.03, center[:, 1])  # below the jaw hair hangs: its surface faces sideways
    return normalize(out)


def _ambient(strands: Strands, traits: Traits, volume: HairVolume, center: Array, normal: Array, density: float) -> Array:
    radiance = traits.light.without_lamps().radiance(AMBIENT_DIRECTIONS)
    through = 0.10 + 0.90 * volume.transmittance(center, AMBIENT_DIRECTIONS, 0.8 * density, 7, step=0.010, start=0.005)
    open_side = smoothstep(-0.55, 0.35, AMBIENT_DIRECTIONS @ normal.T)
    return (through * open_side).T @ radiance * (4 / len(AMBIENT_DIRECTIONS)) * 0.70
