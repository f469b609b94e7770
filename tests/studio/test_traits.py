"""The population: the same seed is the same person, and a crowd is balanced."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from core.head.model import HeadModel
from core.studio import Traits, sample_traits
from core.studio.casting import DIALS, face_measures
from core.studio.hair.styles import BEARDS, HAIR
from core.studio.traits import BEARDS as BEARD_NAMES
from core.studio.traits import HAIR_STYLES, MAXIMUM_SEED

CROWD = 1200


@pytest.fixture(scope="module")
def crowd(head: HeadModel) -> list[Traits]:
    return [sample_traits(seed, head) for seed in range(CROWD)]


def share(crowd: list[Traits], predicate) -> float:
    return sum(bool(predicate(t)) for t in crowd) / len(crowd)


def assert_same(a: object, b: object) -> None:
    if is_dataclass(a):
        for field in fields(a):
            assert_same(getattr(a, field.name), getattr(b, field.name))
    elif isinstance(a, np.ndarray):
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


@pytest.mark.parametrize("seed", [0, 1, 123456, MAXIMUM_SEED])
def test_a_seed_is_one_person(head, seed):
    assert_same(sample_traits(seed, head), sample_traits(seed, head))


def test_neighbouring_seeds_differ(head):
    first, second = sample_traits(10, head), sample_traits(11, head)
    assert np.linalg.norm(first.shape - second.shape) > 1


@pytest.mark.parametrize("seed", [-1, MAXIMUM_SEED + 1])
def test_seeds_out_of_range_are_refused(head, seed):
    with pytest.raises(ValueError, match="seed"):
        sample_traits(seed, head)


def test_every_named_style_can_be_grown():
    assert set(HAIR) == set(HAIR_STYLES)
    assert set(BEARDS) == set(BEARD_NAMES)
    assert len(HAIR_STYLES) == 15


def test_gender_presentation_is_even(crowd):
    assert share(crowd, lambda t: t.masculine) == pytest.approx(0.5, abs=0.05)  # 3.5 standard errors


def test_ages_span_adulthood(crowd):
    ages = np.array([t.age for t in crowd])
    assert ages.min() >= 18
    assert ages.max() <= 75
    assert 30 < np.median(ages) < 45
    assert (ages > 55).mean() > 0.08


def test_skin_tones_are_balanced(crowd):
    melanin = np.array([t.skin.melanin for t in crowd])
    assert (melanin < 0.65).mean() == pytest.approx(0.30, abs=0.10)
    assert (melanin > 1.05).mean() == pytest.approx(0.35, abs=0.10)


def test_hair_colors_are_varied(crowd):
    counts = Counter(t.hair.color_name for t in crowd)
    part = {name: count / len(crowd) for name, count in counts.items()}
    assert part["black"] < 0.30
    assert part["dark blond"] + part["blond"] > 0.10
    assert part["ginger"] + part["auburn"] > 0.04
    assert part["grey"] + part["white"] > 0.04
    assert sum(part[n] for n in ("dark brown", "brown", "chestnut", "light brown")) > 0.30
    assert part["dyed"] < 0.08


def test_every_style_occurs_and_none_dominates(crowd):
    counts = Counter(t.hair.style for t in crowd)
    assert set(counts) == set(HAIR_STYLES)
    assert max(counts.values()) / len(crowd) < 0.15


def test_beards_are_worn_by_men(crowd):
    assert share(crowd, lambda t: t.beard.style != "none" and not t.masculine) == 0
    men = [t for t in crowd if t.masculine]
    assert share(men, lambda t: t.beard.style != "none") == pytest.approx(0.55, abs=0.12)


def test_faces_stay_within_the_dialled_range(crowd, head):
    """Eyes are open and mouths do not droop; the dial is a soft constraint, so limits hold to half a standard deviation."""
    measures = face_measures(head)
    values = np.array([measures.of(t.shape.astype(np.float64)) for t in crowd])
    for column, name in zip(values.T, measures.names, strict=True):
        low, high = np.quantile(column, [0.02, 0.98])
        assert low > DIALS[name].low - 0.5, name
        assert high < DIALS[name].high + 0.5, name


def test_faces_differ_as_much_as_the_bank(crowd, head):
    """No family likeness: the spread of the faces is comparable to the spread of the head model's own bank."""
    shapes = np.array([t.shape for t in crowd])[:, :60]
    ratio = shapes.std(0) / head.shape_bank[:, :60].std(0)
    assert np.median(ratio) > 0.75
