"""Albedo of the skin texels: blood and melanin maps, freckles, moles, lips, make-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from core.studio.anatomy import Anatomy
from core.studio.numerics import Array, bump, fractal_noise, smoothstep, value_noise, vector
from core.studio.regions import HairRegions
from core.studio.traits import Traits

PALE_SKIN = vector(0.88, 0.76, 0.645)
MELANIN_ABSORPTION = vector(0.66, 0.92, 1.15)
HEMOGLOBIN_ABSORPTION = vector(0.13, 0.95, 0.75)
BLOOD_MASKING = 0.25  # melanin lies above the blood: dark skin blushes less


@dataclass(frozen=True)
class SkinNoise:
    """Noise shared by colour and relief, so that a pore is dark where it is deep [M]."""

    pore: Array
    fine: Array
    grain: Array


def skin_noise(anatomy: Anatomy, traits: Traits) -> SkinNoise:
    rest, seed = anatomy.texels.rest, traits.noise_seed("skin")
    return SkinNoise(pore=value_noise(rest, 0.0013, seed), fine=value_noise(rest, 0.0024, seed + 1),
                     grain=traits.generator("skin grain").normal(size=len(rest)))


def gaussian_spot(rest: Array, center: tuple[float, float, float], size: tuple[float, float, float] | float) -> Array:
    """exp(-d²/2) around a point of the template [M]."""
    return np.exp(-(((rest - center) / size) ** 2).sum(1) / 2)


def paired_spot(rest: Array, center: tuple[float, float, float], size: tuple[float, float, float] | float) -> Array:
    """The same spot on both sides of the face."""
    x, y, z = center
    return gaussian_spot(rest, center, size) + gaussian_spot(rest, (-x, y, z), size)


def cheeks(rest: Array) -> Array:
    return paired_spot(rest, (0.043, -0.036, -0.002), (0.017, 0.015, 0.03))


def nose(rest: Array) -> Array:
    return gaussian_spot(rest, (0.0, -0.041, 0.037), (0.013, 0.010, 0.02))


def forehead(rest: Array) -> Array:
    return smoothstep(0.03, 0.05, rest[:, 1]) * smoothstep(-0.05, -0.01, rest[:, 2])


def skin_albedo(anatomy: Anatomy, traits: Traits, regions: HairRegions, noise: SkinNoise) -> Array:
    """Linear albedo [M, 3]: absorption by melanin and haemoglobin, then paint."""
    melanin = _melanin(anatomy, traits, noise) + _marks(anatomy, traits, regions)
    blood = _hemoglobin(anatomy, traits, noise) / (1 + BLOOD_MASKING * traits.skin.melanin)
    absorbed = melanin[:, None] * MELANIN_ABSORPTION + blood[:, None] * HEMOGLOBIN_ABSORPTION
    albedo = PALE_SKIN * np.exp(-absorbed)
    albedo = _with_makeup(anatomy, traits, albedo)
    return _with_lips(anatomy, traits, albedo)


def _hemoglobin(anatomy: Anatomy, traits: Traits, noise: SkinNoise) -> Array:
    rest, skin, seed = anatomy.texels.rest, traits.skin, traits.noise_seed("blood")
    flush = 0.10 * skin.blush + 0.05 * (traits.makeup.strength > 0)
    blood = skin.hemoglobin + flush * cheeks(rest) + 0.10 * skin.blush * nose(rest) + 0.12 * anatomy.regions.ears
    blood += 0.05 * gaussian_spot(rest, (0.0, -0.094, 0.02), 0.013) + 0.035 * anatomy.regions.lids
    blood += 0.05 * paired_spot(rest, (0.014, -0.046, 0.028), 0.006) - 0.02 * forehead(rest)
    blood += 0.026 * fractal_noise(rest, 0.020, seed) + (0.018 * noise.fine + 0.015 * noise.grain) * skin.roughness
    vessels = np.maximum(fractal_noise(rest, 0.005, seed + 9, 2), 0) * (cheeks(rest) + nose(rest))
    return blood + 0.05 * smoothstep(45, 75, traits.age) * vessels


def _melanin(anatomy: Anatomy, traits: Traits, noise: SkinNoise) -> Array:
    rest, base, seed = anatomy.texels.rest, traits.skin.melanin, traits.noise_seed("melanin")
    melanin = base * (1 + 0.05 * fractal_noise(rest, 0.035, seed) + 0.030 * noise.fine + 0.018 * noise.grain)
    under_eye = paired_spot(rest, (0.029, -0.0155, 0.006), (0.012, 0.005, 0.02))
    melanin += 0.045 * under_eye * (1 + 0.6 * base) * (1 + 0.5 * smoothstep(35, 70, traits.age))
    melanin += 0.012 * noise.grain * (0.3 + base * 0.5)
    return melanin + 0.05 * base * forehead(rest) - 0.04 * base * cheeks(rest)


def _marks(anatomy: Anatomy, traits: Traits, regions: HairRegions) -> Array:
    """Extra melanin [M] of freckles, moles and age spots. They never land on lids, lips or scalp."""
    rest, rng = anatomy.texels.rest, traits.generator("marks")
    extra = np.zeros(len(rest))
    tree = cKDTree(rest)
    clear = (anatomy.regions.lips < 0.05) & (anatomy.regions.lids < 0.05) & (regions.scalp < 0.2)
    face = np.flatnonzero(clear & (rest[:, 2] > -0.03) & (rest[:, 1] > -0.09) & (rest[:, 1] < 0.06))
    neck_too = np.flatnonzero(clear & (rest[:, 2] > -0.06) & (rest[:, 1] > -0.15) & (np.abs(rest[:, 1] + 0.005) > 0.02))

    def stamp(centers: Array, radius: tuple[float, float], strength: tuple[float, float]) -> None:
        for center in centers:
            size = rng.uniform(*radius)
            near = tree.query_ball_point(rest[center], 2.7 * size)
            extra[near] += rng.uniform(*strength) * np.exp(-((rest[near] - rest[center]) ** 2).sum(1) / (2 * size * size))

    if traits.skin.freckles > 0:
        weight = (cheeks(rest) + 0.9 * nose(rest) + 0.12)[face]
        stamp(rng.choice(face, int(320 * traits.skin.freckles) + 1, p=weight / weight.sum()), (0.0006, 0.0011), (0.08, 0.26))
    stamp(rng.choice(neck_too, traits.skin.moles), (0.0006, 0.0010), (0.5, 1.1))
    stamp(rng.choice(face, max(0, int((traits.age - 50) * 0.8))), (0.0012, 0.003), (0.04, 0.12))
    return extra


def _with_lips(anatomy: Anatomy, traits: Traits, albedo: Array) -> Array:
    rest, lips = anatomy.texels.rest, anatomy.regions.lips
    weight = smoothstep(0.30, 0.70, lips)[:, None]
    fair = float(np.clip(1.2 - traits.skin.melanin, 0.15, 1))
    saturation = traits.skin.lip_saturation
    tint = vector(0.84, 0.575, 0.60) * fair + vector(0.76, 0.57, 0.64) * (1 - fair)
    color = albedo * tint ** (0.7 + 0.4 * saturation)
    paint = traits.makeup.lipstick
    deeper = 1 - 0.45 * float(smoothstep(0.8, 1.8, traits.skin.melanin))  # lipsticks are chosen to suit the skin
    color = color * (1 - paint) + paint * deeper * traits.makeup.lip_color
    color = color * (1 + 0.07 * value_noise(rest * [6, 0.8, 0.8], 0.0035, traits.noise_seed("lips")))[:, None]
    albedo = albedo * (1 - 0.90 * weight) + color * 0.90 * weight
    seam = 0.66 * np.exp(-((anatomy.regions.mouth_distance / 0.0016) ** 2)) * (lips > 0.05)
    return albedo * (1 - seam)[:, None]


def _with_makeup(anatomy: Anatomy, traits: Traits, albedo: Array) -> Array:
    """Eye shadow on the lids, and the lid crease of everyone.

    The shadow is even over the lid and thins out above it, so that a closed lid keeps one tone.
    """
    rest = anatomy.texels.rest
    width = np.abs(rest[:, 0])
    above_lid = np.maximum(rest[:, 1] - 0.008, 0)
    strength = 0.30 * traits.makeup.strength * bump(above_lid, 0.0, 0.0045) * bump(width, 0.032, 0.015)
    strength = strength * smoothstep(-0.001, 0.003, rest[:, 1]) * (rest[:, 2] > -0.01)
    tint = traits.makeup.shadow_color / max(float(traits.makeup.shadow_color.max()), 1e-6)
    albedo = albedo * (1 - strength[:, None] * (1 - 0.75 * tint))
    crease = 0.16 if traits.age < 55 else 0.22
    crease = crease * np.exp(-((anatomy.regions.crease_distance / 0.0007) ** 2)) * (1 - 0.6 * traits.ancestry[1])
    return albedo * (1 - crease)[:, None]
