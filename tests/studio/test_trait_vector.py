"""A person as numbers: of constant length, repeatable, about unit scale, and telling people apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.studio import sample_traits
from core.studio.trait_vector import TRAIT_VECTOR_SIZE, trait_vector
from core.studio.traits import BEARDS, HAIR_STYLES, MAXIMUM_SEED

CROWD = 200


@pytest.fixture(scope="module")
def crowd(head):
    return [sample_traits(seed, head) for seed in range(CROWD)]


@pytest.fixture(scope="module")
def table(crowd):
    return np.stack([trait_vector(traits) for traits in crowd])


def test_the_length_is_that_of_the_declaration(crowd, table, head):
    assert table.shape == (CROWD, TRAIT_VECTOR_SIZE)
    assert table.dtype == np.float32
    assert trait_vector(sample_traits(MAXIMUM_SEED, head)).shape == (TRAIT_VECTOR_SIZE,)


def test_the_same_person_is_the_same_vector(crowd, table, head):
    for seed in (0, 17, 199):
        np.testing.assert_array_equal(trait_vector(sample_traits(seed, head)), table[seed])


def test_everybody_is_finite_and_of_unit_scale(table):
    """No number is so large that it drowns the others, and none so small that nobody could learn from it."""
    assert np.isfinite(table).all()
    assert np.abs(table).max() < 6
    spread = table.std(0)
    assert spread.min() > 0.02
    assert spread.max() < 1.5
    assert np.abs(table.mean(0)).max() < 2
    assert 0.4 < np.sqrt(table.var(0).mean()) < 1.2


def test_people_differ(table):
    distance = np.linalg.norm(table[:, None] - table[None], axis=2) + np.diag(np.full(CROWD, np.inf))
    assert distance.min() > 1.0


def test_what_is_worn_is_left_out(crowd):
    """Glasses and earrings are no part of the head's surface."""
    traits = crowd[3]
    worn = replace(traits.accessories, glasses="round", earrings=True, hoops=True, frame_width=0.01)
    np.testing.assert_array_equal(trait_vector(replace(traits, accessories=worn)), trait_vector(traits))


def test_the_shape_has_a_channel_of_its_own(crowd):
    traits = crowd[3]
    np.testing.assert_array_equal(trait_vector(replace(traits, shape=-traits.shape)), trait_vector(traits))


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_a_style_is_one_of_many(crowd, style):
    """Changing the style moves exactly one number down and one up, by the same amount."""
    traits = next(t for t in crowd if t.hair.style != style)
    change = trait_vector(replace(traits, hair=replace(traits.hair, style=style))) - trait_vector(traits)
    assert sorted(np.unique(change)) == [-2.0, 0.0, 2.0]
    assert np.count_nonzero(change) == 2


@pytest.mark.parametrize("style", BEARDS[1:])
def test_a_beard_nobody_wears_says_nothing(crowd, style):
    shaven = next(t for t in crowd if t.beard.style == "none")
    dyed = replace(shaven, beard=replace(shaven.beard, color=np.array([0.9, 0.1, 0.1]), density=1.3))
    np.testing.assert_array_equal(trait_vector(dyed), trait_vector(shaven))
    grown = replace(shaven, beard=replace(shaven.beard, style=style))
    regrown = replace(dyed, beard=replace(dyed.beard, style=style))
    assert np.abs(trait_vector(grown) - trait_vector(regrown)).max() > 0.5


@pytest.mark.parametrize(("part", "change"), [
    ("skin", {"melanin": 2.0}), ("skin", {"freckles": 1.0}), ("hair", {"color": np.array([0.5, 0.3, 0.1])}),
    ("hair", {"length": 1.4}), ("hair", {"fringe": "full"}), ("brows", {"thickness": 1.5}), ("makeup", {"strength": 1.0}),
    ("eyes", {"iris": np.array([0.1, 0.3, 0.6])}), ("garment", {"style": "turtle"}),
    ("garment", {"color": np.array([0.9, 0.0, 0.0])})])
def test_every_trait_is_seen(crowd, part, change):
    traits = next(t for t in crowd if t.makeup.strength == 0 and t.hair.fringe != "full" and t.garment.style != "turtle")
    changed = replace(traits, **{part: replace(getattr(traits, part), **change)})
    assert np.abs(trait_vector(changed) - trait_vector(traits)).max() > 0.2
