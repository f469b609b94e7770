"""Looks of photographed people against studio people about whom everything is known: light, skin, colours, haircut, beard."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from core.head.library import load_open_head
from core.studio import build_identity, sample_traits
from core.studio.numerics import display_from_linear
from core.studio.trait_vector import TRAIT_VECTOR_SIZE, trait_vector
from tests.trainer.studio_photos import studio_photo
from trainer.invert.looks import first_guess, looks_of, nearest_name, with_haircut
from trainer.invert.looks_face import garment_style, read_face
from trainer.invert.looks_hair import HairChoice, HairJudge, coherence
from trainer.invert.looks_light import linear_from_display, skin_color
from trainer.invert.looks_regions import foreground, head_sight, photo_regions

STANDARD = {"fringe": "none", "ears_covered": True, "parting": 0.022, "length": 1.0, "volume": 1.0, "recession": 0.0,
            "hairline": 0.0}


@pytest.fixture(scope="module")
def head():
    return load_open_head()


def person(head, seed, style="textured", beard="none", **changes):
    t = sample_traits(seed, head)
    t = replace(t, hair=replace(t.hair, style=style, **STANDARD), beard=replace(t.beard, style=beard),
                accessories=replace(t.accessories, glasses="none", earrings=False))
    return replace(t, **changes)


@pytest.fixture(scope="module")
def long_haired(head):
    t = person(head, 2007, "long")
    return t, studio_photo(head, t, np.radians(15), 384)


@pytest.fixture(scope="module")
def bearded(head):
    t = person(head, 2001, "slick", "short", masculine=True)
    t = replace(t, beard=replace(t.beard, color=np.array([0.03, 0.02, 0.015]), density=1.0))
    return t, studio_photo(head, t, np.radians(-12), 384)


@pytest.fixture(scope="module")
def readings(head, long_haired, bearded):
    return read_face(long_haired[1], head), read_face(bearded[1], head)


def difference(first: np.ndarray, second: np.ndarray) -> float:
    """ΔE of 1976 between two linear colours as they would be shown."""
    lab = [cv2.cvtColor(display_from_linear(c).astype(np.float32).reshape(1, 1, 3), cv2.COLOR_RGB2LAB).ravel()
           for c in (first, second)]
    return float(np.linalg.norm(lab[0] - lab[1]))


# ---------------------------------------------------------------------- regions

def test_regions_find_skin_hair_and_cloth(head, long_haired, readings):
    """What the same person without hair leaves open is hair."""
    traits, view = long_haired
    bald = build_identity(replace(traits, hair=replace(traits.hair, style="bald")), head)
    surface = studio_photo(head, bald, np.radians(15), 384)
    regions = readings[0].regions
    hair = cv2.resize(regions.hair, (384, 384)) > 0.5
    only_hair = (view.alpha > 0.9) & (surface.alpha < 0.1) & (np.arange(384)[:, None] < 250)
    assert hair[only_hair].mean() > 0.95
    skin = cv2.resize(regions.skin, (384, 384)) > 0.5
    nose = view.landmarks[4].astype(int)
    assert skin[nose[1] - 40:nose[1] + 40, nose[0] - 20:nose[0] + 20].mean() > 0.95
    cloth = cv2.resize(regions.cloth, (384, 384)) > 0.5
    assert cloth[-12:][view.alpha[-12:] > 0.9].mean() > 0.6  # hair lies on it
    assert np.abs(foreground(view, regions)[:200] - view.alpha[:200]).mean() < 0.005


def test_what_looks_like_the_background_beside_the_shoulders_is_not_believed(head, bearded):
    """A mask with a flap of background beside the neck."""
    _, view = bearded
    alpha = view.alpha.copy()
    alpha[300:, :40] = 1.0
    fooled = replace(view, alpha=alpha, colors=np.where((view.alpha < 0.01)[..., None], view.picture, view.colors))
    regions = photo_regions(fooled, head_sight(fooled, head))
    added = (alpha - view.alpha)[300:, :40] > 0.9
    assert foreground(fooled, regions)[300:, :40][added].mean() < 0.3


# ---------------------------------------------------------------------- light and colours

def test_the_tone_curve_is_inverted():
    linear = np.linspace(0, 1.4, 200)
    np.testing.assert_allclose(linear_from_display(display_from_linear(linear)), linear, atol=1e-6)


def test_light_and_pigments_of_studio_people(head, long_haired, bearded, readings):
    for (traits, _), reading in zip((long_haired, bearded), readings, strict=True):
        cosine = float(reading.light.rig.key.direction @ traits.light.key.direction)
        assert np.degrees(np.arccos(cosine)) < 15  # 5 in the mean over 41 people
        color = skin_color(reading.samples, reading.light)
        assert abs(np.log(color.melanin / traits.skin.melanin)) < 0.3  # 0.1 in the mean
        assert abs(color.hemoglobin - traits.skin.hemoglobin) < 0.08
        np.testing.assert_allclose(color.tint, 1, atol=0.12)


def test_a_yellow_varnish_goes_to_the_light_and_not_to_the_skin(readings):
    reading = readings[0]
    plain = skin_color(reading.samples, reading.light)
    varnished = skin_color(reading.samples * [1.0, 0.9, 0.55], reading.light)
    assert varnished.tint[2] < 0.72 * plain.tint[2]
    assert 0.6 < varnished.melanin / plain.melanin < 2.0


def test_names_of_colours():
    names = {"black": (0.02, 0.02, 0.02), "red": (0.3, 0.04, 0.04)}
    assert nearest_name(np.array([0.2, 0.05, 0.05]), names) == "red"


# ---------------------------------------------------------------------- parts

def test_beards_are_seen_where_they_are(head, long_haired, bearded, readings):
    assert first_guess(readings[0], long_haired[0].shape, head).beard.style == "none"
    assert first_guess(readings[1], bearded[0].shape, head).beard.style in ("short", "stubble")


def test_turtlenecks_are_told_from_open_collars(head):
    found = []
    for style in ("turtle", "vneck"):
        t = person(head, 2010, "buzz")
        t = replace(t, garment=replace(t.garment, style=style, color=np.array([0.03, 0.05, 0.3]), stripes=False))
        found.append(garment_style(read_face(studio_photo(head, t, 0.0, 256), head)))
    assert found[0] == "turtle"
    assert found[1] != "turtle"


def test_the_true_haircut_is_more_alike_than_others(head, long_haired, readings):
    traits, view = long_haired
    judge = HairJudge([view], [readings[0].regions], head, traits.shape, traits)
    own = judge.likeness(traits.hair)
    assert own > 0.65
    for style in ("bald", "buzz", "afro", "ponytail"):
        assert judge.likeness(replace(traits.hair, style=style)) < own - 0.1
    assert coherence(view, readings[0].regions) > 0.7  # combed


def test_blue_hair_is_taken_for_a_scarf_and_lies_flat(head, long_haired, readings):
    traits, view = long_haired
    mask = cv2.resize(readings[0].regions.hair, (view.size,) * 2)[..., None] > 0.5
    blue = np.where(mask, np.array([40, 80, 170], np.uint8), view.colors)
    reading = read_face(replace(view, picture=blue, colors=blue), head)
    assert reading.odd_hair > 0.5
    assert readings[0].odd_hair < 0.1
    guess = first_guess(reading, traits.shape, head)
    worn = with_haircut(guess, [HairChoice(traits.hair, 0.8, 0.8)], reading)
    assert worn.hair.style == "slick"
    assert worn.hair.color[2] > 2 * worn.hair.color[0]


# ---------------------------------------------------------------------- the whole

def test_the_looks_of_a_studio_person_are_found(head, long_haired):
    traits, view = long_haired
    found = looks_of([view], head, traits.shape)
    assert found.hair.style in ("long", "wavy", "bob")
    assert difference(found.hair.color, traits.hair.color) < 15
    assert difference(found.eyes.iris, traits.eyes.iris) < 12
    assert difference(found.garment.color, traits.garment.color) < 12
    assert found.beard.style == "none"
    assert found.light.exposure == pytest.approx(traits.light.exposure, rel=0.25)
    np.testing.assert_array_equal(found.shape, traits.shape)
    assert trait_vector(found).shape == (TRAIT_VECTOR_SIZE,)


def test_a_grey_photograph_gives_a_complete_person(head, bearded):
    traits, view = bearded
    grey = np.repeat(cv2.cvtColor(view.picture, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    colors = np.repeat(cv2.cvtColor(view.colors, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    found = looks_of([replace(view, picture=grey, colors=colors)], head, traits.shape[:40])
    assert np.isfinite(trait_vector(found)).all()
    assert 0.26 <= found.skin.melanin <= 2.4
    assert 0.3 <= found.light.exposure <= 1.25
    assert found.hair.style in ("slick", "buzz", "textured", "fade", "side part", "pixie", "bun", "ponytail")
    assert len(build_identity(found, head).gaussians) > 30_000


def test_no_photograph_is_an_error(head):
    with pytest.raises(ValueError, match="photograph"):
        looks_of([], head, np.zeros(40, np.float32))
