"""The studio's description of a photographed person: measured in the picture, then corrected by rendering and looking again.

Colours, brows and beard are read by `trainer.invert.looks_face`, light and pigments by `trainer.invert.looks_light`; the haircut
is found by comparing candidates with the picture (`trainer.invert.looks_hair`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from core.head.model import HeadModel
from core.render.cpu import CpuRenderer
from core.studio import Traits, build_identity, palette, pose_identity
from core.studio.casting import age_in_years
from core.studio.numerics import Array, vector
from core.studio.traits import (
    AccessoryTraits,
    BeardTraits,
    BrowTraits,
    EyeTraits,
    GarmentTraits,
    HairTraits,
    MakeupTraits,
    SkinTraits,
)
from core.types import FloatArray
from trainer.invert.looks_face import BrowReading, FaceReading, garment_style, read_face
from trainer.invert.looks_hair import HairChoice, HairJudge
from trainer.invert.looks_light import LUMINANCE, SkinColor, skin_color, tinted
from trainer.invert.view import PhotoView

LOOKED_AT = 3  # photographs whose hair is compared
CORRECTIONS = 2  # times that the assembled person is compared with the photograph
STEP_LIMIT = 0.9  # largest change of a colour's logarithm in one correction
ODD_HAIR = 0.25  # share of the hair in colours that no hair has, from which it is a hat, a scarf or a veil
UNLIKE = 0.52  # score of the best haircut below which none explains the picture
HANGING = 0.4  # share of the place beside jaw and neck that hair fills, from which it is long
IRIS_GAIN, HAIR_GAIN, CLOTH_GAIN, BROW_GAIN, BEARD_GAIN = 1.6, 0.95, 0.85, 1.6, 1.0  # appearance over albedo, before corrections
HIGH = 0.45  # share of the hair that stands beside the head from which a coiffure is high
SKIN_LIKE = 0.35  # difference of logarithms of colours within which unexplained "hair" is a bare scalp
_SEED = 20_260  # of the noise in skin, hair and cloth: every person gets the same


def looks_of(views: Sequence[PhotoView], head: HeadModel, shape: FloatArray) -> Traits:
    """Studio traits of the person in the photographs.

    Args:
        views: at least one; the one seen most from the front counts for colours and light, up to three for the hair.
        shape: [<= S] of the fitted head; becomes the traits' shape.

    Returns:
        Complete traits for `core.studio.build_identity`: gender and age guessed, skin, hair, brows, beard, eyes, make-up, garment
        and light measured. Neither glasses nor earrings.

    Raises:
        ValueError: there is no photograph.
    """
    if not views:
        raise ValueError("no photograph to look at")
    ordered = sorted(views, key=lambda view: abs(view.fit.turn_degrees[0]))[:LOOKED_AT]
    readings = [read_face(view, head) for view in ordered]
    view, reading = ordered[0], readings[0]
    traits = first_guess(reading, shape, head)
    choices = HairJudge(ordered, [r.regions for r in readings], head, shape, traits).best(traits.hair)
    traits = with_haircut(traits, choices, reading)
    for _ in range(CORRECTIONS):
        traits = corrected(traits, reading, read_face(rendered_view(traits, view, head), head))
    return traits


# ---------------------------------------------------------------------- from readings to traits

def first_guess(reading: FaceReading, shape: FloatArray, head: HeadModel) -> Traits:
    """Traits from the readings alone; the haircut is bald yet."""
    color = skin_color(reading.samples, reading.light)
    padded = np.zeros(head.shape_count, np.float32)
    padded[:len(shape)] = shape
    beard = _beard_style(reading)
    natural = _unlit(reading.hair, color, HAIR_GAIN, vector(0.055, 0.032, 0.020))
    brow = _unlit(reading.brows.color if reading.brows else reading.hair, color, BROW_GAIN,
                  vector(0.05, 0.03, 0.02))
    masculine = beard != "none"
    age, ancestry = _age_and_ancestry(head, padded)
    iris = np.clip(_unlit(reading.iris, color, IRIS_GAIN, vector(0.125, 0.062, 0.025)), 0.008, 0.4)
    cloth = np.clip(_unlit(reading.cloth, color, CLOTH_GAIN, vector(0.2, 0.21, 0.22)), 0.012, 0.75)
    return Traits(
        seed=_SEED, shape=padded, masculine=masculine, age=age, ancestry=ancestry,
        skin=SkinTraits(color.melanin, color.hemoglobin, roughness=0.8, oiliness=0.8, blush=0.8, freckles=0.0, moles=0,
                        lip_saturation=0.9),
        hair=HairTraits("bald", nearest_name(natural, palette.HAIR_COLORS), natural, grey=0.0, fringe="none", ears_covered=False,
                        parting=0.022, length=1.0, volume=1.0, wave=0.4, highlights=0.4, recession=0.0, hairline=0.0),
        brows=BrowTraits(np.clip(brow, 0.008, 0.25), thickness=1.0, density=1.0, height=0.0, arch=0.0, slant=0.0),
        beard=BeardTraits(beard, np.clip(_unlit(reading.beard_color, color, BEARD_GAIN, brow), 0.01, 0.3), 1.0, 1.0, 0.0),
        eyes=EyeTraits(nearest_name(iris, palette.IRIS_COLORS), iris, 1.0, 0.75 if masculine else 0.95),
        makeup=MakeupTraits(0.0, 0.0, vector(0.46, 0.135, 0.13), vector(0.34, 0.20, 0.15), 0.0),
        garment=GarmentTraits(garment_style(reading), cloth, cloth * 0.6, stripes=False),
        accessories=AccessoryTraits("none", vector(0.016, 0.015, 0.015), 0.0007, False, False, 0.008, vector(0.62, 0.45, 0.2)),
        light=tinted(reading.light.rig, color.tint, color.exposure),
    )


def _unlit(radiance: Array, color: SkinColor, gain: float, otherwise: Array) -> Array:
    """Albedo [3] of what shows a radiance, or `otherwise` where nothing was seen."""
    if not np.isfinite(radiance).all():
        return otherwise
    return np.maximum(radiance, 0.004) / (gain * color.tint * color.exposure)


def nearest_name(color: Array, palette_colors: dict[str, tuple[float, float, float]]) -> str:
    """The palette's name for a colour, by distance in square roots, which look even."""
    return min(palette_colors, key=lambda name: float(((np.sqrt(palette_colors[name]) - np.sqrt(color)) ** 2).sum()))


def _age_and_ancestry(head: HeadModel, shape: FloatArray) -> tuple[float, Array]:
    """Mean of the bank's heads nearest in shape, drawn to the middle since a fit tells little: age 18 to 70, origins."""
    if len(head.shape_bank) == 0:
        return 35.0, np.full(3, 1 / 3)
    seen = np.flatnonzero(shape)
    seen = seen if len(seen) else np.arange(1)
    distance = np.linalg.norm(head.shape_bank[:, seen] - shape[seen], axis=1)
    near = head.shape_bank_traits[np.argsort(distance, kind="stable")[:12]].astype(np.float64)
    age = 35 + 0.5 * (float(age_in_years(near[:, 1]).mean()) - 35)
    return float(np.clip(age, 18, 70)), near[:, 2:5].mean(0) / max(float(near[:, 2:5].mean(0).sum()), 1e-6)


def _beard_style(reading: FaceReading) -> str:
    """Beard by the darkness of upper lip, chin and jaw against the cheeks; the limits are from studio people."""
    lip, chin, jaw = reading.beard
    if not np.isfinite(reading.beard).all():
        return "none"
    if lip < -0.45 and chin < -0.45 and jaw > -0.2:
        return "goatee"
    if max(lip, chin, jaw) > -0.13 or lip + chin + jaw > -0.60:
        return "none"
    return "stubble" if lip + chin + jaw > -1.45 else "short"


_LONG = ("bob", "long", "wavy", "ponytail", "braids")
_FEMININE = (*_LONG, "bun", "pixie")


def with_haircut(traits: Traits, choices: Sequence[HairChoice], reading: FaceReading) -> Traits:
    """The best haircut, and the gender presentation that goes with beard and hair.

    What is no hair (a scarf, a hat) and what no haircut explains (a high coiffure, a topknot) gets hair that lies
    close or is put up: the relief (`trainer.invert.relief`) brings the rest.
    """
    best = choices[0].hair
    odd = reading.odd_hair > ODD_HAIR
    bare = np.isfinite(reading.hair).all() and np.abs(_step(reading.hair, reading.skin)).max() < SKIN_LIKE
    unexplained = choices[0].score < UNLIKE and (bare or reading.standing_out > HIGH)
    if odd:
        best = replace(best, style="slick", fringe="none", volume=0.6, length=0.8, recession=0.0, hairline=-0.012)
    elif unexplained and bare:
        best = replace(best, style="bald", fringe="none")
    elif unexplained and reading.hanging < HANGING:
        best = replace(best, style="bun", fringe="none", volume=1.0, recession=0.0)
    elif unexplained:
        best = next(choice.hair for choice in choices if choice.hair.style in _LONG)
    masculine = traits.masculine or not (odd or unexplained or best.style in _FEMININE)
    hair = replace(traits.hair, style=best.style, fringe=best.fringe, ears_covered=best.ears_covered, parting=best.parting,
                   length=best.length, volume=best.volume, recession=best.recession, hairline=best.hairline)
    return replace(traits, masculine=masculine, hair=hair)


# ---------------------------------------------------------------------- looking again

def rendered_view(traits: Traits, view: PhotoView, head: HeadModel) -> PhotoView:
    """A picture of the assembled person as the photograph was taken."""
    person, params = build_identity(traits, head), view.fit.params
    vertices = head.vertices(head.neutral(traits.shape), params.expression, params.joint_pose())
    rgba = CpuRenderer(1).render(pose_identity(person, vertices, params.expression), view.camera)
    alpha = rgba[..., 3].astype(np.float32) / 255
    colors = np.clip(rgba[..., :3] / np.maximum(alpha[..., None], 1 / 255), 0, 255).astype(np.uint8)
    return PhotoView(view.name, rgba[..., :3], alpha, colors, view.landmarks, view.fit)


def corrected(traits: Traits, wanted: FaceReading, got: FaceReading) -> Traits:
    """Traits whose rendering reads more like the photograph."""
    skin_step = _step(wanted.skin, got.skin)
    exposure = traits.light.exposure * float(np.exp(np.clip(skin_step @ LUMINANCE, -0.35, 0.35)))
    tint = np.exp(skin_step - skin_step @ LUMINANCE)
    # what the brighter or tinted light does for hair and cloth is not for their albedo to do
    light_step = np.log(np.clip(exposure, 0.3, 1.25) / traits.light.exposure) + np.log(tint)

    def albedo(old: Array, a: Array, b: Array, low: float, high: float) -> Array:
        return np.clip(old * np.exp(_step(a, b) - light_step * np.isfinite(a).all()), low, high)

    hair = albedo(traits.hair.color, wanted.hair, got.hair, 0.008, 0.75)
    iris = albedo(traits.eyes.iris, wanted.iris, got.iris, 0.008, 0.4)
    cloth = albedo(traits.garment.color, wanted.cloth, got.cloth, 0.008, 0.85)
    return replace(
        traits, light=tinted(traits.light, tint, float(np.clip(exposure, 0.3, 1.25))),
        hair=replace(traits.hair, color=hair, color_name=nearest_name(hair, palette.HAIR_COLORS)),
        eyes=replace(traits.eyes, iris=iris, iris_name=nearest_name(iris, palette.IRIS_COLORS)),
        garment=replace(traits.garment, color=cloth, accent=0.6 * cloth),
        skin=_lips(traits.skin, wanted, got), brows=_brows(traits.brows, wanted.brows, got.brows, light_step),
    )


def _step(wanted: Array, got: Array) -> Array:
    """Logarithm [3] of the factor between two colours, limited; zero where either was not seen."""
    if not (np.isfinite(wanted).all() and np.isfinite(got).all()):
        return np.zeros(3)
    return np.clip(np.log(np.maximum(wanted, 0.004) / np.maximum(got, 0.004)), -STEP_LIMIT, STEP_LIMIT)


def _lips(skin: SkinTraits, wanted: FaceReading, got: FaceReading) -> SkinTraits:
    """Lips as much redder than the skin as the photograph's."""
    if not all(np.isfinite(c).all() for c in (wanted.lips, got.lips)):
        return skin
    redness = [_redness(r.lips) - _redness(r.skin) for r in (wanted, got)]
    return replace(skin, lip_saturation=float(np.clip(skin.lip_saturation + 2.0 * (redness[0] - redness[1]), 0.3, 1.8)))


def _redness(color: Array) -> float:
    return float(np.log(max(color[0], 1e-3) / max(color[1], 1e-3)))


def _brows(brows: BrowTraits, wanted: BrowReading | None, got: BrowReading | None, light_step: Array) -> BrowTraits:
    if wanted is None or got is None:
        return brows
    mass = float(np.clip(wanted.mass / max(got.mass, 2e-4), 0.5, 2.0))
    color = np.clip(brows.color * np.exp(_step(wanted.color, got.color) - light_step), 0.006, 0.3)
    return replace(brows, color=color, thickness=float(np.clip(brows.thickness * mass**0.7, 0.55, 1.7)),
                   density=float(np.clip(brows.density * mass**0.3, 0.45, 1.35)),
                   height=float(np.clip(brows.height + 0.7 * (wanted.height - got.height), -0.0025, 0.0025)))
