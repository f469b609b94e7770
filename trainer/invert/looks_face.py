"""What a picture of a face shows, in numbers: colours of skin, lips, irises, hair and clothes; brows; darkness of the beard.

The same readings are taken of the photograph and of a rendering of the person assembled from them; their differences correct
the traits (`trainer.invert.looks`).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from core.head.model import HeadModel
from core.studio.clothes import depth_below_edge
from core.studio.numerics import Array
from core.studio.trait_vector import GARMENTS
from core.types import FloatArray
from trainer.invert.looks_light import (
    LUMINANCE,
    FaceLight,
    fit_light,
    irradiance_at,
    linear_from_display,
    linear_picture,
    plain_skin,
)
from trainer.invert.looks_regions import HeadSight, PhotoRegions, head_sight, photo_regions
from trainer.invert.view import PhotoView

# landmarks around the opening of an eye, its iris's centre and its rim
_EYES = (((33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246), 468, (469, 470, 471, 472)),
         ((263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466), 473, (474, 475, 476, 477)))
_LEAST_PIXELS, _ENOUGH = 5, 150
_BLUE, _GREEN = 1.6, 1.3  # against red (and blue): no hair is so in any light that portraits are made in
_TRIM = {"crew": 0.004, "vneck": 0.004, "collar": 0.010, "hoodie": 0.008, "turtle": 0.008}  # metres that bands rise over it
_ALIKE = 0.8  # difference of logarithms of the brightness within which hair is one
_BROW_COLUMNS = np.linspace(0.014, 0.052, 9)  # metres to the side, on the template
_BROW_SPAN = (0.004, 0.030)  # heights between which a brow lies


@dataclass(frozen=True)
class BrowReading:
    """Brows of a picture, mean over both sides.

    Attributes:
        mass: metres of full darkness that a vertical cut through a brow adds up to.
        height: metres, of the brow's middle over the eye's, on the template.
        color: [3] linear, of its darkest part.
    """

    mass: float
    height: float
    color: Array


@dataclass(frozen=True)
class FaceReading:
    """Readings of one picture. Colours are linear radiance [3], nan where the picture does not show them.

    Attributes:
        sight, regions, light: what the readings were taken with.
        samples: [P, 3] linear, the skin at the light's pixels.
        skin, lips, iris, hair, cloth: medians; of hair see `_hair_color`.
        odd_hair: share of the hair's mask whose hue no hair has.
        hanging: share of the place beside jaw and neck that is filled with hair of about the brightness of the head's.
        standing_out: share of the hair above the eyes that lies beside the fitted head.
        brows: or None where they cannot be told from what is beside them.
        beard: [3] darkness of upper lip, chin and jaw: logarithm of their luminance against the cheeks', freed of the shading.
        beard_color: [3] of the darker half of these places.
        bare_ears: share of the seen ears that is skin, nan when none is seen.
    """

    sight: HeadSight
    regions: PhotoRegions
    light: FaceLight
    samples: Array
    skin: Array
    lips: Array
    iris: Array
    hair: Array
    cloth: Array
    odd_hair: float
    hanging: float
    standing_out: float
    brows: BrowReading | None
    beard: Array
    beard_color: Array
    bare_ears: float


def read_face(view: PhotoView, head: HeadModel) -> FaceReading:
    """Takes all readings of a photograph (about half a second)."""
    params = view.fit.params
    vertices = head.vertices(params.shape, params.expression, params.joint_pose())
    sight = head_sight(view, head)
    regions = photo_regions(view, sight)
    picture = linear_picture(view.colors, sight.size)
    plain = plain_skin(sight, head, regions)
    light = fit_light(picture, sight, head, vertices, plain)
    skin = _median(picture, plain)
    lips = sight.seen & (_mask_at(head.masks.lips, sight, head) > 0.8)
    hair = cv2.erode((regions.hair > 0.7).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    cloth = cv2.erode((regions.cloth > 0.7).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    ears = sight.seen & (_mask_at(head.masks.ears, sight, head) > 0.5)
    on_head = hair & sight.seen & (sight.rest[..., 1] > -0.06)
    hair = on_head if on_head.sum() >= _ENOUGH else hair  # what hangs beside the head may be something else
    beard, beard_color = _beard(picture, sight, head, vertices, light)
    return FaceReading(
        sight=sight, regions=regions, light=light, samples=picture[light.rows, light.columns], skin=skin,
        lips=_median(picture, lips), iris=_iris(view),
        hair=_hair_color(picture, hair), cloth=_median(picture, cloth), odd_hair=_odd_hair(picture, hair),
        hanging=_hanging(picture, hair, sight, regions), standing_out=_standing_out(sight, regions),
        brows=_brows(picture, sight),
        beard=beard, beard_color=beard_color,
        bare_ears=float(regions.skin[ears].mean()) if ears.sum() >= _LEAST_PIXELS else float("nan"))


def _mask_at(mask: FloatArray, sight: HeadSight, head: HeadModel) -> FloatArray:
    """A mask of vertices at every pixel [s, s]."""
    return np.einsum("ijk,ijk->ij", sight.barycentric, mask[head.faces[np.maximum(sight.triangle, 0)]])


def _median(picture: Array, where: NDArray[np.bool_]) -> Array:
    return np.median(picture[where], 0) if where.sum() >= _LEAST_PIXELS else np.full(3, np.nan)


def _hair_color(picture: Array, hair: NDArray[np.bool_]) -> Array:
    """Mean brightness of the hair in the hue [3] of its brighter parts, which show more of it."""
    if hair.sum() < 4 * _LEAST_PIXELS:
        return np.full(3, np.nan)
    colors = picture[hair]
    light = colors @ LUMINANCE
    low, high = np.quantile(light, (0.05, 0.95))
    kept = (light >= low) & (light <= high)
    weighted = (light[kept, None] * colors[kept]).sum(0)
    return weighted / max(float(weighted @ LUMINANCE), 1e-9) * float(light[kept].mean())


def _iris(view: PhotoView) -> Array:
    """Median colour [3] of the lower two thirds of both irises, without pupil and rim."""
    size = view.size
    y, x = np.mgrid[:size, :size] + 0.5
    found = []
    for opening, centre, rim in _EYES:
        outline = np.zeros((size, size), np.uint8)
        cv2.fillPoly(outline, [np.round(view.landmarks[list(opening)] * 16).astype(np.int32)], 1, shift=4)
        cx, cy = view.landmarks[centre]
        radius = float(np.linalg.norm(view.landmarks[list(rim)] - (cx, cy), axis=1).mean())
        away = np.hypot(x - cx, y - cy) / max(radius, 1e-3)
        ring = (outline > 0) & (away > 0.40) & (away < 0.80) & (y > cy - 0.25 * radius)
        found.append(view.picture[ring])
    pixels = np.concatenate(found)
    return np.median(linear_from_display(pixels / 255.0), 0) if len(pixels) >= _LEAST_PIXELS else np.full(3, np.nan)


def _hanging(picture: Array, hair: NDArray[np.bool_], sight: HeadSight, regions: PhotoRegions) -> float:
    x, y = np.abs(sight.flat[..., 0]), sight.flat[..., 1]
    beside = ~sight.seen & (x > 0.04) & (x < 0.10) & (y < -0.06) & (y > -0.11)
    if not (beside.any() and hair.any()):
        return 0.0
    light = np.log(np.maximum(picture @ LUMINANCE, 1e-3))
    alike = np.abs(light[beside] - np.median(light[hair])) < _ALIKE
    return float((regions.hair[beside] * alike).mean())


def _standing_out(sight: HeadSight, regions: PhotoRegions) -> float:
    high = regions.hair * (sight.flat[..., 1] > 0)
    return float((high * ~sight.seen).sum() / max(float(high.sum()), 1e-6))


def _odd_hair(picture: Array, hair: NDArray[np.bool_]) -> float:
    """Share of the hair's pixels that are plainly green, blue or violet."""
    if hair.sum() < 4 * _LEAST_PIXELS:
        return 0.0
    r, g, b = np.maximum(picture[hair], 0.01).T
    return float(((b > _BLUE * r) | (g > _GREEN * np.maximum(r, b))).mean())


def _brows(picture: Array, sight: HeadSight) -> BrowReading | None:
    """Darkness against the skin above, in vertical cuts through both brows."""
    rest, light = sight.rest, picture @ LUMINANCE
    width, y = np.abs(rest[..., 0]), rest[..., 1]
    front = sight.seen & (rest[..., 2] > -0.03)
    masses, heights, colors = [], [], []
    for side in (1, -1):
        for low, high in itertools.pairwise(_BROW_COLUMNS):
            column = front & (side * rest[..., 0] > 0) & (width >= low) & (width < high)
            above = column & (y > 0.031) & (y < 0.041)
            span = column & (y > _BROW_SPAN[0]) & (y < _BROW_SPAN[1])
            if above.sum() < 2 or span.sum() < _LEAST_PIXELS:
                continue
            dark = np.clip(1 - light[span] / max(float(np.median(light[above])), 1e-3) - 0.08, 0, 1)
            weight = dark * (y[span] > 0.008)  # the lid's crease lies lower
            if weight.sum() < 1e-3:
                continue
            masses.append(float(weight.mean()) * (_BROW_SPAN[1] - _BROW_SPAN[0]))
            heights.append(float((weight * y[span]).sum() / weight.sum()))
            colors.append(picture[span][dark >= np.quantile(dark, 0.8)].mean(0))
    if len(masses) < 4:
        return None
    return BrowReading(float(np.median(masses)), float(np.median(heights)), np.median(colors, 0))


def _beard(picture: Array, sight: HeadSight, head: HeadModel, vertices: FloatArray, light: FaceLight) -> tuple[Array, Array]:
    """Darkness of upper lip, chin and jaw [3], and the colour of their darker half [3]."""
    rest = sight.rest
    width, y, z = np.abs(rest[..., 0]), rest[..., 1], rest[..., 2]
    skin = sight.seen & (_mask_at(head.masks.lips, sight, head) < 0.05) & (z > -0.06)
    places = (skin & (width < 0.022) & (y > -0.0625) & (y < -0.053) & (z > -0.02),
              skin & (width < 0.020) & (y > -0.106) & (y < -0.087),
              skin & (width > 0.030) & (width < 0.056) & (y > -0.095) & (y < -0.066))
    cheeks = picture[light.rows, light.columns] @ LUMINANCE / np.maximum(light.irradiance @ LUMINANCE, 0.05)
    usual = float(np.log(max(float(np.median(cheeks)), 1e-3)))
    darkness, colors = [], []
    for place in places:
        rows, columns = np.nonzero(place)
        if len(rows) < _LEAST_PIXELS:
            darkness.append(np.nan)
            continue
        falling = irradiance_at(light, sight, head, vertices, rows, columns) @ LUMINANCE
        lit = falling > 0.5 * np.quantile(falling, 0.9)  # shadows tell nothing
        albedo = picture[rows, columns][lit] / np.maximum(falling[lit, None], 0.05)
        value = np.log(np.maximum(albedo @ LUMINANCE, 1e-3))
        darkness.append(float(np.median(value)) - usual)
        colors.append(albedo[value <= np.median(value)])
    color = np.concatenate(colors).mean(0) if colors else np.full(3, np.nan)
    return np.array(darkness), color


def garment_style(reading: FaceReading) -> str:
    """The garment whose edge agrees best with the mask of clothes on neck and chest."""
    sight, regions = reading.sight, reading.regions
    chest = sight.seen & (sight.rest[..., 1] < -0.105) & (regions.alpha > 0.5) & (regions.hair < 0.5)
    if chest.sum() < 50:
        return "crew"
    rest, cloth = sight.rest[chest].astype(np.float64), regions.cloth[chest] / regions.alpha[chest]
    error = {style: float(np.abs((depth_below_edge(style, rest) > -_TRIM[style]) - cloth).mean()) for style in GARMENTS}
    return min(error, key=lambda style: error[style])
