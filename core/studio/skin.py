"""Skin texels: albedo under the gathered light, relief of pores and lines, sheen, and paint under hair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.studio.anatomy import Anatomy
from core.studio.illumination import LitHead
from core.studio.numerics import Array, bump, dot, fractal_noise, normalize, smoothstep, value_noise, vector
from core.studio.pigments import SkinNoise, cheeks, gaussian_spot, nose, paired_spot, skin_albedo, skin_noise
from core.studio.regions import HairRegions
from core.studio.splats import Splats, surface_patches
from core.studio.traits import Traits

# One layer of skin must hide what lies behind it: neighbouring patches overlap so far that their joint transmittance stays
# near 1e-3 (patches of 0.7 texels, sharper still, let 1 % through at the corners between four texels).
TEXEL_SIGMA = 0.80
SKIN_OPACITY = 0.995
PATCH_THICKNESS = 0.08
LARGEST_PATCH = 0.0052

UNDERPAINT = {"none": 0.07, "stubble": 0.34, "short": 0.62, "full": 0.74, "goatee": 0.66}
SCALP_PAINT = {"bald": 0.08, "buzz": 0.72, "braids": 0.88}
SCALP_PAINT_DEFAULT = 0.90


@dataclass(frozen=True)
class SkinSurface:
    """Shaded texels [M]: position, normal, colour, and light for what grows on them."""

    position: Array
    normal: Array
    color: Array
    irradiance: Array


def shade_skin(anatomy: Anatomy, traits: Traits, lit: LitHead, regions: HairRegions) -> SkinSurface:
    texels = anatomy.texels
    noise = skin_noise(anatomy, traits)
    normal = normalize(texels.at(lit.normals))
    irradiance = texels.at(lit.irradiance)
    height, fold = _relief(anatomy, traits, noise)
    bumped = normalize(normal - np.clip(_slope(anatomy, height, lit.vertices), -0.5, 0.5))
    key, fill = traits.light.key.direction, traits.light.fill.direction
    toward_key = np.clip(bumped @ key, -0.15, 1) - np.clip(normal @ key, -0.15, 1)
    toward_fill = np.clip(bumped @ fill, -0.15, 1) - np.clip(normal @ fill, -0.15, 1)
    cavity = 0.05 * np.clip(height / 0.00012, -1, 1)
    facing = 1 + 0.62 * toward_key + 0.25 * toward_fill + cavity
    color = skin_albedo(anatomy, traits, regions, noise) * irradiance * facing[:, None]
    color *= 1 - 0.20 * fold[:, None] * (0.4 + smoothstep(32, 72, traits.age))
    color = color + _sheen(anatomy, traits, lit, noise, bumped, normal)
    color = _painted_under_hair(anatomy, traits, regions, noise, color, irradiance)
    return SkinSurface(texels.at(lit.vertices), normal, color, irradiance)


def skin_patches(anatomy: Anatomy, surface: SkinSurface, vertices: Array, keep: Array) -> Splats:
    """The texels chosen by `keep` [M] as flat Gaussians that tile the skin."""
    rows = np.flatnonzero(keep)
    d_du, d_dv = anatomy.texels.tangents(vertices)
    return surface_patches(surface.position[rows], d_du[rows], d_dv[rows], TEXEL_SIGMA, PATCH_THICKNESS, LARGEST_PATCH,
                           surface.color[rows], SKIN_OPACITY, anatomy.texels.triangle[rows], texel=rows)


def lid_patches(anatomy: Anatomy, surface: SkinSurface, vertices: Array) -> Splats:
    """Skin on the lids in addition to the texels, fine enough for a blink."""
    lids = anatomy.lids
    d_du, d_dv = lids.samples.tangents(vertices)
    color = np.einsum("nk,nkc->nc", lids.weights, surface.color[lids.texels])
    return surface_patches(lids.samples.at(vertices), d_du, d_dv, TEXEL_SIGMA, PATCH_THICKNESS, LARGEST_PATCH, color,
                           SKIN_OPACITY, lids.samples.triangle)


def _relief(anatomy: Anatomy, traits: Traits, noise: SkinNoise) -> tuple[Array, Array]:
    """Height of the skin in metres [M] and the weight of the nasolabial fold [M]."""
    rest, old = anatomy.texels.rest, smoothstep(32, 72, traits.age)
    width, y, z = np.abs(rest[:, 0]), rest[:, 1], rest[:, 2]
    seed = traits.noise_seed("relief")
    height = 0.00009 * noise.pore * (1 + 0.8 * (nose(rest) + cheeks(rest))) + 0.00006 * noise.fine + 0.00003 * noise.grain
    height *= traits.skin.roughness
    brow_to_hair = smoothstep(0.028, 0.045, y) * (1 - smoothstep(0.062, 0.075, y)) * smoothstep(-0.05, -0.01, z)
    lines = np.sin((y + 0.0035 * fractal_noise(rest, 0.02, seed)) * 2 * np.pi / 0.0095)
    height += old * 0.00030 * brow_to_hair * lines * (0.6 + 0.4 * value_noise(rest, 0.025, seed + 3))
    crow = np.exp(-(((width - 0.051) / 0.007) ** 2 + ((y + 0.001) / 0.012) ** 2))
    height += old * 0.00038 * crow * np.sin(np.arctan2(y + 0.002, width - 0.035) * 15)
    fold = bump(width, 0.0185 + 0.42 * np.clip(-0.040 - y, 0, 0.03), 0.0028) * smoothstep(-0.078, -0.066, y)
    fold = fold * (1 - smoothstep(-0.045, -0.038, y)) * (z > -0.01)
    height -= (0.00006 + 0.00035 * old) * fold * smoothstep(-0.044, -0.050, y)
    height += anatomy.regions.lips * 0.00009 * np.sin(rest[:, 0] * 2 * np.pi / 0.0022 + 2 * value_noise(rest, 0.004, seed + 4))
    return height, fold


def _slope(anatomy: Anatomy, height: Array, vertices: Array) -> Array:
    """Gradient [M, 3] of a height field that lives on the UV grid."""
    grid = anatomy.grid
    picture = np.zeros((grid.resolution, grid.resolution))
    picture[grid.row, grid.column] = height
    gx, gy = np.zeros_like(picture), np.zeros_like(picture)
    gx[:, 1:-1] = (picture[:, 2:] - picture[:, :-2]) / 2
    gy[1:-1] = (picture[2:] - picture[:-2]) / 2
    x, y = gx[grid.row, grid.column], gy[grid.row, grid.column]
    du, dv = anatomy.texels.tangents(vertices)
    a, b, c = (du * du).sum(1), (du * dv).sum(1), (dv * dv).sum(1)
    det = a * c - b * b + 1e-16
    return ((c * x - b * y) / det)[:, None] * du + ((a * y - b * x) / det)[:, None] * dv


def _sheen(anatomy: Anatomy, traits: Traits, lit: LitHead, noise: SkinNoise, bumped: Array, normal: Array) -> Array:
    """Reflections, baked for a viewer in front who leans toward the local normal (profiles keep some sheen too)."""
    rest, light, texels = anatomy.texels.rest, traits.light, anatomy.texels
    viewer = normalize(vector(0, 0, 0.75) + 0.45 * normal)
    key_seen, occlusion = texels.at(lit.key_visibility), texels.at(lit.occlusion)

    def lobe(direction: Array, exponent: float) -> Array:
        return np.clip(dot(bumped, normalize(direction + viewer))[:, 0], 0, 1) ** exponent

    key, fill = light.key.direction, light.fill.direction
    oil = 0.55 + 0.8 * gaussian_spot(rest, (0, 0.05, 0.02), 0.035) + 1.3 * gaussian_spot(rest, (0, -0.034, 0.04), 0.012)
    oil = (oil + 0.7 * paired_spot(rest, (0.04, -0.02, 0.0), 0.015)) * traits.skin.oiliness
    wet = anatomy.regions.lips * (0.65 + 0.8 * traits.makeup.lipstick)
    from_key = key_seen * (0.040 * lobe(key, 9) + 0.055 * lobe(key, 34) * oil + 0.17 * wet * lobe(key, 55))
    from_fill = occlusion * (0.018 * lobe(fill, 12) + 0.03 * wet * lobe(fill, 40))
    strength = from_key * light.key.intensity * 0.42 + from_fill * light.fill.intensity
    grazing = (1 - np.clip(bumped[:, 2], 0, 1)) ** 3 * 0.05 * occlusion
    sparkle = 1 + (0.30 * noise.pore + 0.12 * noise.grain) / (1 + 0.8 * traits.skin.melanin)
    return ((strength * sparkle)[:, None] * light.key.color + grazing[:, None] * light.sky) * lit.exposure * 0.75


def _painted_under_hair(anatomy: Anatomy, traits: Traits, regions: HairRegions, noise: SkinNoise, color: Array,
                        irradiance: Array) -> Array:
    """Dark ground under beard, hair and brows, so that gaps between strands do not flash skin."""
    rest = anatomy.texels.rest
    seed = traits.noise_seed("underpaint")

    def mix(weight: Array, paint: Array) -> None:
        nonlocal color
        color = color * (1 - weight[:, None]) + paint * weight[:, None]

    beard = traits.beard
    if beard.style != "none":
        mix(regions.beard * UNDERPAINT[beard.style] * beard.density * (0.8 + 0.2 * noise.pore),
            beard.color * irradiance * 0.70 + 0.003)
    elif traits.masculine and traits.skin.melanin < 1.2:
        mix(regions.beard * UNDERPAINT["none"], np.minimum(beard.color, 0.05) * irradiance)
    scalp = regions.scalp
    if traits.hair.style == "fade":
        ragged = rest[:, 1] + 0.015 * value_noise(rest, 0.01, seed)
        scalp = scalp * (0.42 + 0.58 * smoothstep(0.015, 0.055, rest[:, 1])) * smoothstep(-0.03, 0.0, ragged)
    streak = 0.75 + 0.25 * value_noise(rest * [1, 1, 0.35], 0.0022, seed + 1)
    mix(scalp * SCALP_PAINT.get(traits.hair.style, SCALP_PAINT_DEFAULT),
        traits.hair.color * irradiance * (0.42 * streak)[:, None])
    mix(regions.brow * 0.54 * traits.brows.density, traits.brows.color * irradiance * 0.9 + color * 0.10)
    return color
