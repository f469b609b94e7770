"""Light and skin pigments behind a photograph of a face: the studio's rig fitted to the shading, its pigments to the colour."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from core.head.mesh import vertex_normals
from core.head.model import HeadModel
from core.studio.light import FILL_WIDTH, RIM_WIDTH, SKIN_DIRECTIONS, LightRig, SoftBox
from core.studio.numerics import SHOULDER_START, Array, normalize, smoothstep, vector
from core.studio.pigments import BLOOD_MASKING, HEMOGLOBIN_ABSORPTION, MELANIN_ABSORPTION, PALE_SKIN
from core.studio.visibility import mesh_visibility
from core.types import FloatArray
from trainer.invert.looks_regions import HeadSight, PhotoRegions

LUMINANCE = np.array([0.3, 0.6, 0.1])
EXPOSURE = 0.875  # the studio's mean
# what the eye sees of the studio's skin is DIFFUSE · albedo · exposure + SHEEN, by regression over studio people
DIFFUSE, SHEEN = vector(1.10, 1.13, 1.14), vector(0.070, 0.045, 0.039)
_WARM, _COOL, _BACK = vector(1.0, 0.945, 0.87), vector(0.88, 0.93, 1.0), vector(0.87, 0.94, 1.0)
_SKY, _GROUND = vector(0.64, 0.67, 0.71), vector(0.34, 0.30, 0.265)
_AZIMUTHS, _HEIGHTS = np.linspace(-1.2, 1.2, 17), (0.1, 0.35, 0.6, 0.9)
_KEYS = ((0.8, 0.60), (2.0, 0.60), (3.2, 0.55), (4.2, 0.50), (5.5, 0.35))  # intensities of key and fill
_KEY_WIDTH = 0.10
_SAMPLES = 1500
_HUBER = 0.12  # of the logarithm of the luminance
_UNUSUAL = 0.004  # loss that a light pays for lying outside the studio's usual angles
# standard deviations of the pigments' prior: melanin, haemoglobin, exposure, tint (the last two logarithms); and of the colour
_MELANIN, _HEMOGLOBIN = (0.75, 0.55), (0.27, 0.045)
_EXPOSURE_SPREAD, _TINT_SPREAD, _COLOR_NOISE = 0.12, 0.09, 0.02


@dataclass(frozen=True)
class SkinColor:
    """Pigments of a skin, and what the light must add so that it looks as in the photograph.

    Attributes:
        melanin, hemoglobin: as in `SkinTraits`.
        exposure: of `LightRig`.
        tint: [3] colour of the light relative to the studio's, luminance 1.
    """

    melanin: float
    hemoglobin: float
    exposure: float
    tint: Array


@dataclass(frozen=True)
class FaceLight:
    """The studio's light in a photograph.

    Attributes:
        rig: direction and strength of the lamps, the studio's colours and exposure.
        rows, columns: [P] pixels of the sight where the skin was looked at.
        irradiance: [P, 3] that falls on them under `rig`, of mean luminance 1.
        gain: factor that this mean took.
    """

    rig: LightRig
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    irradiance: FloatArray
    gain: float


def linear_from_display(display: FloatArray) -> Array:
    """Inverse of the studio's tone curve (`core.studio.numerics.display_from_linear`) for values 0..1."""
    x = np.clip(np.asarray(display, np.float64), 0, 1)
    linear = np.where(x < 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    room = 1 - SHOULDER_START
    rolled = SHOULDER_START - room * np.log(np.maximum(1 - (linear - SHOULDER_START) / room, 0.02))
    return np.where(linear > SHOULDER_START, rolled, linear)


def linear_picture(picture: NDArray[np.uint8], size: int) -> Array:
    """The photograph in linear radiance, averaged to [size, size, 3]."""
    return linear_from_display(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) / 255.0)


def plain_skin(sight: HeadSight, head: HeadModel, regions: PhotoRegions) -> NDArray[np.bool_]:
    """Pixels [s, s] of cheeks, forehead, nose and temples: no eyes, brows, lips, beard or hair."""
    rest = sight.rest
    width, y, z = np.abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    corners = head.faces[np.maximum(sight.triangle, 0)]
    lips = np.einsum("ijk,ijk->ij", sight.barycentric, head.masks.lips[corners])
    face = sight.seen & (z > -0.045) & (y > -0.052) & (y < 0.052) & (width < 0.066) & (lips < 0.05)
    eyes = np.hypot((width - 0.031) / 0.024, (y - 0.006) / 0.022) < 1
    nostrils = (width < 0.020) & (y < -0.040)
    return face & ~eyes & ~nostrils & (regions.skin > 0.85)


def fit_light(picture: Array, sight: HeadSight, head: HeadModel, vertices: FloatArray, plain: NDArray[np.bool_]) -> FaceLight:
    """Tries a grid of studio lights and keeps the one whose shading is most like the photograph's.

    Shading is compared by logarithms of luminance, whose differences do not depend on albedo or exposure, with Huber's loss.

    Args:
        picture: [s, s, 3] linear.
        vertices: [V, 3] of the head, which shadows itself.
        plain: [s, s] skin to look at (`plain_skin`).
    """
    rows, columns = np.nonzero(plain)
    if len(rows) < 50:
        rig = _rig(0.6, 0.6, 4.1, 0.53)
        rows, columns = np.nonzero(sight.seen)
        return FaceLight(rig, rows, columns, np.ones((len(rows), 3)), 1.0)
    chosen = np.random.default_rng(0).permutation(len(rows))[:_SAMPLES]
    rows, columns = rows[chosen], columns[chosen]
    arriving = _arriving(sight, head, vertices, rows, columns)
    observed = np.log(np.maximum(picture[rows, columns] @ LUMINANCE, 1e-3))
    best, least = None, np.inf
    for azimuth in _AZIMUTHS:
        for height in _HEIGHTS:
            for key, fill in _KEYS:
                rig = _rig(float(azimuth), height, key, fill)
                loss = _misfit(observed, arriving @ rig.radiance(SKIN_DIRECTIONS) @ LUMINANCE) + _oddness(azimuth, height, key)
                if loss < least:
                    best, least = rig, loss
    irradiance = arriving @ best.radiance(SKIN_DIRECTIONS)
    gain = 1 / float((irradiance @ LUMINANCE).mean())
    return FaceLight(best, rows, columns, irradiance * gain, gain)


def irradiance_at(light: FaceLight, sight: HeadSight, head: HeadModel, vertices: FloatArray, rows: NDArray,
                  columns: NDArray) -> Array:
    """Light [P, 3] that falls on other pixels of the head, in the units of `light.irradiance`."""
    return _arriving(sight, head, vertices, rows, columns) @ light.rig.radiance(SKIN_DIRECTIONS) * light.gain


def _arriving(sight: HeadSight, head: HeadModel, vertices: FloatArray, rows: NDArray, columns: NDArray) -> Array:
    """Cosine times visibility [P, D] of the studio's directions at pixels."""
    corners, weights = head.faces[sight.triangle[rows, columns]], sight.barycentric[rows, columns].astype(np.float64)
    points = np.einsum("pk,pkd->pd", weights, vertices[corners].astype(np.float64))
    normals = vertex_normals(vertices, head.faces_of("skin"))
    normal = normalize(np.einsum("pk,pkd->pd", weights, normals[corners]))
    visible = mesh_visibility(vertices.astype(np.float64), head.faces_of("skin"), SKIN_DIRECTIONS, points + 0.002 * normal)
    return (np.clip(SKIN_DIRECTIONS @ normal.T, 0, 1) * visible).T * (4 / len(SKIN_DIRECTIONS))


def _misfit(observed: Array, light: Array) -> float:
    residual = observed - np.log(np.maximum(light, 1e-3))
    residual = np.abs(residual - np.median(residual))
    return float(np.where(residual < _HUBER, residual**2 / 2, _HUBER * (residual - _HUBER / 2)).mean())


def _oddness(azimuth: float, height: float, key: float) -> float:
    """What a light pays for being unlike the studio's (25 to 45 degrees to a side and above)."""
    sideways = max(0.0, 0.42 - abs(azimuth)) + max(0.0, abs(azimuth) - 0.8)
    return _UNUSUAL * (sideways + abs(height - 0.6) + 0.06 * abs(key - 4.1))


def _rig(azimuth: float, height: float, key: float, fill: float) -> LightRig:
    """A studio light: fill and rim stand opposite the key."""
    return LightRig(
        key=SoftBox(normalize(vector(np.sin(azimuth), height, np.cos(azimuth))), _WARM, key, _KEY_WIDTH),
        fill=SoftBox(normalize(vector(-np.sin(azimuth), 0.10, 0.8)), _COOL, fill, FILL_WIDTH),
        rim=SoftBox(normalize(vector(-np.sin(azimuth) * 1.1, 0.45, -0.75)), _BACK, 1.8, RIM_WIDTH),
        sky=_SKY, ground=_GROUND, exposure=EXPOSURE)


def skin_color(samples: Array, light: FaceLight) -> SkinColor:
    """Pigments by maximum a posteriori: colour = pale skin · exp(−melanin·M − blood·H) · exposure · tint.

    The colour is the median over the skin, freed of the shading. What pigments explain poorly (a yellow varnish, a grey
    photograph) goes to the light's tint, what is too dark or light to the exposure.

    Args:
        samples: [P, 3] linear, at the light's pixels.
    """
    seen = np.median(samples / np.maximum(light.irradiance, 0.05), 0)
    albedo = np.maximum(seen - SHEEN, 0.35 * seen) / DIFFUSE / EXPOSURE
    melanin, hemoglobin = _MELANIN[0], _HEMOGLOBIN[0]
    for _ in range(3):  # the camera meters by the melanin, and the blood's strength depends on the melanin above it
        observed = np.log(np.maximum(albedo, 1e-3)) - np.log(PALE_SKIN) - np.log(metering(melanin))
        masked = HEMOGLOBIN_ABSORPTION / (1 + BLOOD_MASKING * melanin)
        # unknowns: melanin, haemoglobin, log exposure, log tint
        matrix = np.concatenate([np.stack([-MELANIN_ABSORPTION, -masked, np.ones(3)], 1), np.eye(3)], 1) / _COLOR_NOISE
        spread = np.array([_MELANIN[1], _HEMOGLOBIN[1], _EXPOSURE_SPREAD, *[_TINT_SPREAD] * 3])
        mean = np.array([_MELANIN[0], _HEMOGLOBIN[0], 0, 0, 0, 0])
        system = matrix.T @ matrix + np.diag(spread**-2)
        melanin, hemoglobin = np.linalg.solve(system, matrix.T @ observed / _COLOR_NOISE + mean / spread**2)[:2]
        melanin, hemoglobin = float(np.clip(melanin, 0.30, 2.4)), float(np.clip(hemoglobin, 0.17, 0.40))
    rest = observed + melanin * MELANIN_ABSORPTION + hemoglobin / (1 + BLOOD_MASKING * melanin) * HEMOGLOBIN_ABSORPTION
    gain = float(rest @ LUMINANCE)
    tint = np.exp(np.clip(rest - gain, -0.7, 0.7))
    return SkinColor(melanin, hemoglobin, float(np.clip(EXPOSURE * np.exp(gain), 0.35, 1.15)), tint / float(tint @ LUMINANCE))


def metering(melanin: float) -> float:
    """How the studio's camera exposes a skin (`core.studio.illumination.light_head`)."""
    return 0.93 + 0.11 * float(smoothstep(0.4, 1.6, melanin))


def tinted(rig: LightRig, tint: Array, exposure: float) -> LightRig:
    """The rig with another colour of all its light."""
    key, fill, rim = (replace(box, color=box.color * tint) for box in (rig.key, rig.fill, rig.rim))
    return LightRig(key, fill, rim, rig.sky * tint, rig.ground * tint, exposure)
