"""The photographs' colours on eyes and lashes: white, iris, reflections and lash line as light or dark as they are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from core.studio.anatomy import Anatomy
from core.studio.eyes import CORNEAL_BULGE, IRIS_ANGLE, PUPIL_ANGLE
from core.studio.identity import StudioIdentity
from core.studio.numerics import smoothstep
from core.tracking.landmark_rig import LEFT_IRIS, RIGHT_IRIS
from core.types import FloatArray
from trainer.invert.geometry import view_weight
from trainer.invert.sight import LEFT_EYE, RIGHT_EYE, PhotoSight, eye_distance, eye_masks
from trainer.invert.texture import with_colors
from trainer.invert.worn import footprints, posed_cloud

DIM = 0.03  # added to colours of eyes before they are compared
EYE_RATIO = (0.12, 1.5)  # darkest and brightest that an eye may become against the studio's
WHITE_TINT = 0.8  # of a difference in hue that the white takes on: its few pixels have some of the lids' and the iris'
SMALLEST_IRIS = 0.17  # radius, of the eye's width: landmarks of the iris are not to be believed below
PUPIL_SHARE, IRIS_SHARE, WHITE_SHARE = 0.45, 0.85, 1.2  # of the iris' radius: where pupil ends, iris ends and white begins
BRIGHT_HALF = (50, 95)  # percentiles
FEWEST_PIXELS = 8
LIGHTEST_IRIS = 0.62  # of the white's brightness: in stone they are the same, and nobody could tell where such eyes look
REFLECTION = 0.65  # of the white's brightness that reflections have at least
RIM = 0.03  # width of the band around an eye in which lashes are looked for, of the distance of the eyes
LASH_SHARE, SKIN_SHARE = 15, 70  # percentiles of the brightness of that band that count as lashes and as skin
LASH_ITSELF = 0.4  # of the brightness that is seen: a pixel is wider than a lash and has some skin in it
STUDIO_CONTRAST = 0.70  # of the studio's lashes against its skin
FAINTEST_LASHES = 0.8  # of the studio's opacity
DARK_LASH = 0.25  # brightness up to which what stands at the lids' edges is a lash
LUMA = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class EyeTones:
    """Colours [3] 0..1 of the eyes in a photograph; None where it shows too little.

    Attributes:
        white: of its brighter half, which is not in the shade of a lid; iris: median.
        reflection: the brightest of what lies over the iris.
        lash: the darkest around the opening.
        skin: around it.
    """

    white: FloatArray | None
    iris: FloatArray | None
    reflection: FloatArray | None
    lash: FloatArray | None
    skin: FloatArray | None


def eye_tones(sight: PhotoSight) -> EyeTones:
    """What a photograph shows of both eyes together."""
    view, rows = sight.view, np.indices((sight.view.size,) * 2)[::-1] + 0.5
    found: dict[str, list[FloatArray]] = {name: [] for name in ("white", "iris", "over", "rim")}
    for opening, contour, iris in zip(eye_masks(view), (LEFT_EYE, RIGHT_EYE), (LEFT_IRIS, RIGHT_IRIS), strict=True):
        width = np.linalg.norm(view.landmarks[contour[0]] - view.landmarks[contour[8]])
        centre, ring = view.landmarks[iris], view.landmarks[iris + 1:iris + 5]
        radius = max(float(np.linalg.norm(ring - centre, axis=1).mean()), SMALLEST_IRIS * width)
        away = np.hypot(rows[0] - centre[0], rows[1] - centre[1]) / radius
        inner = cv2.erode(opening.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        band = cv2.distanceTransform((~opening).astype(np.uint8), cv2.DIST_L2, 3) < RIM * eye_distance(view)
        found["white"].append(sight.picture[inner & (away > WHITE_SHARE)])
        found["iris"].append(sight.picture[inner & (away > PUPIL_SHARE) & (away < IRIS_SHARE)])
        found["over"].append(sight.picture[inner & (away < 1)])
        found["rim"].append(sight.picture[band & ~inner])
    pixels = {name: np.concatenate(parts) for name, parts in found.items()}
    return EyeTones(_between(pixels["white"], *BRIGHT_HALF), _median(pixels["iris"]), _between(pixels["over"], 95, 100),
                    _between(pixels["rim"], 0, LASH_SHARE), _between(pixels["rim"], SKIN_SHARE, 90))


def paint_eyes(person: StudioIdentity, sights: Sequence[PhotoSight], anatomy: Anatomy,
               eye: NDArray[np.bool_]) -> StudioIdentity:
    """White, iris and reflections of both eyes as the best photograph shows them; the shade under the lids stays the studio's.

    Args:
        eye: [N] which Gaussians are eyeballs.
    """
    sight = max(sights, key=lambda s: view_weight(s.view))
    tones, rows = eye_tones(sight), np.flatnonzero(eye)
    opening = np.logical_or(*eye_masks(sight.view)).astype(np.float32)
    shown = footprints(posed_cloud(person, sight), sight.camera, opening[..., None], opening).weight[rows]
    angle, height = _place_on_eye(person, anatomy, rows)
    reflection, color = height > 2 * CORNEAL_BULGE, person.gaussians.rgb[rows]
    white, iris = (shown * (~reflection & chosen) for chosen in
                   (angle > 1.15 * IRIS_ANGLE, (angle > PUPIL_ANGLE) & (angle < 0.9 * IRIS_ANGLE)))
    drawn = _mean(color, white * (color @ LUMA >= _mean(color, white) @ LUMA)), _mean(color, iris)
    of_white, of_iris = (_ratio(*pair) for pair in zip((tones.white, tones.iris), drawn, (WHITE_TINT, 1.0), strict=True))
    brightness = [float(tone @ LUMA * np.exp(ratio @ LUMA)) for tone, ratio in zip(drawn, (of_white, of_iris), strict=True)]
    of_iris = of_iris + np.log(min(1.0, LIGHTEST_IRIS * brightness[0] / max(brightness[1], 1e-3)))
    share = smoothstep(1.12 * IRIS_ANGLE, 0.92 * IRIS_ANGLE, angle)[:, None]
    painted = (color + DIM) * np.exp((1 - share) * of_white + share * of_iris) - DIM
    if tones.reflection is not None:
        least = REFLECTION * brightness[0] / max(float(tones.reflection @ LUMA), 1e-3)
        painted[reflection] = color[reflection] * tones.reflection * max(1.0, least)
    return with_colors(person, rows, painted)


def paint_lashes(person: StudioIdentity, studio: FloatArray, sights: Sequence[PhotoSight], anatomy: Anatomy) -> StudioIdentity:
    """Lashes as dark, and as plain, as the rims of the eyes are in the best photograph.

    Args:
        studio: [N, 3] the colours of the studio, by which lashes are told from the lids' edges.
    """
    tones = eye_tones(max(sights, key=lambda s: view_weight(s.view)))
    if tones.lash is None or tones.skin is None:
        return person
    rooted = np.isin(person.triangle, np.concatenate([eye.lid_triangles for eye in anatomy.eyes]))
    rows = np.flatnonzero(rooted & person.rigid & (person.texel < 0) & (studio @ LUMA < DARK_LASH))
    contrast = 1 - float(tones.lash @ LUMA) / max(float(tones.skin @ LUMA), 1e-3)
    opacity = person.gaussians.opacity.copy()
    opacity[rows] *= np.clip(contrast / STUDIO_CONTRAST, FAINTEST_LASHES, 1)
    person = with_colors(person, rows, np.broadcast_to(LASH_ITSELF * tones.lash, (len(rows), 3)))
    return replace(person, gaussians=replace(person.gaussians, opacity=opacity))


def _ratio(seen: FloatArray | None, studio: FloatArray, tint: float) -> FloatArray:
    """Logarithm [3] of what turns the studio's colour into the one that was seen, `tint` of the difference in hue."""
    if seen is None or not studio.any():
        return np.zeros(3)
    ratio = np.log((seen + DIM) / (studio + DIM))
    light = float(ratio @ LUMA)
    return np.clip(light + tint * (ratio - light), *np.log(EYE_RATIO))


def _mean(colors: FloatArray, weight: FloatArray) -> FloatArray:
    """Mean [3] of colours [n, 3]; zero where nothing is seen."""
    return (weight[:, None] * colors).sum(0) / max(float(weight.sum()), 1e-6)


def _place_on_eye(person: StudioIdentity, anatomy: Anatomy, rows: NDArray) -> tuple[FloatArray, FloatArray]:
    """Angle from the axis of its eyeball, radians, and height above the globe, metres, of each Gaussian [n]."""
    angle, height = np.zeros(len(rows)), np.zeros(len(rows))
    for eye in anatomy.eyes:
        ball = person.rest_vertices[eye.vertices]
        centre = ball.mean(0)
        here = np.isin(person.triangle[rows], eye.triangles)
        offset = person.gaussians.xyz[rows[here]] - centre
        distance = np.linalg.norm(offset, axis=1)
        angle[here] = np.arccos(np.clip(offset[:, 2] / distance, -1, 1))
        height[here] = distance - np.linalg.norm(ball - centre, axis=1).mean()
    return angle, height


def _median(pixels: FloatArray) -> FloatArray | None:
    return np.median(pixels, 0) if len(pixels) >= FEWEST_PIXELS else None


def _between(pixels: FloatArray, low: float, high: float) -> FloatArray | None:
    """Mean colour of the pixels [n, 3] whose brightness lies between two percentiles."""
    if len(pixels) < FEWEST_PIXELS:
        return None
    light = pixels @ LUMA
    first, last = np.percentile(light, (low, high))
    return pixels[(light >= first) & (light <= last)].mean(0)
