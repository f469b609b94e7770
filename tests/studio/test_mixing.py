from __future__ import annotations

from dataclasses import fields, is_dataclass, replace

import numpy as np
import pytest

from core.studio import build_identity, mix_traits, sample_traits

PAIRS = ((7, 42), (12, 100), (1010, 77), (3, 4))


@pytest.fixture(scope="module")
def people(head):
    return {seed: sample_traits(seed, head) for pair in PAIRS for seed in pair}


def leaves(value, path=""):
    """Every number, word and array of nested dataclasses, by path."""
    if is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name), f"{path}.{field.name}")
    else:
        yield path, value


def equal(a, b) -> bool:
    return all(np.array_equal(x, y) for (_, x), (_, y) in zip(leaves(a), leaves(b), strict=True))


@pytest.mark.parametrize("pair", PAIRS)
def test_the_ends_are_the_two_people(people, pair):
    a, b = (people[seed] for seed in pair)
    assert mix_traits(a, b, 0) is a
    assert mix_traits(a, b, 1.0) is b


@pytest.mark.parametrize("pair", PAIRS)
def test_numbers_stay_between_the_two_and_near_the_ends_nothing_jumps(people, pair):
    a, b = (people[seed] for seed in pair)
    for t in (0.01, 0.2, 0.49, 0.5, 0.51, 0.8, 0.99):
        mixed = mix_traits(a, b, t)
        for (path, value), (_, low), (_, high) in zip(leaves(mixed), leaves(a), leaves(b), strict=True):
            if isinstance(value, str | bool) or path in (".seed",):
                continue
            assert np.isfinite(value).all(), path
            if path in (".hair.length", ".beard.density", ".beard.length", ".skin.freckles") or "direction" in path:
                continue
            between = np.stack([np.minimum(low, high) - 1e-6, np.maximum(low, high) + 1e-6])
            assert ((value >= between[0]) & (value <= between[1])).all(), (path, t)
    near = mix_traits(a, b, 0.001)
    for (path, value), (_, own) in zip(leaves(near), leaves(a), strict=True):
        if isinstance(value, str | bool):
            assert value == own, path
        elif not (path in (".makeup.lip_color", ".makeup.shadow_color") and a.makeup.strength == 0):  # nobody sees those
            np.testing.assert_allclose(value, own, rtol=2e-3, atol=0.02, err_msg=path)


def test_eased_strengths_stay_in_their_sampled_ranges(people):
    for first, second in PAIRS:
        for t in np.linspace(0, 1, 21):
            mixed = mix_traits(people[first], people[second], float(t))
            assert 0.75 <= mixed.hair.length <= 1.3
            assert 0.7 <= mixed.beard.density <= 1.3
            assert 0.6 <= mixed.beard.length <= 1.5
            assert 0.41 <= mixed.skin.melanin <= 2.4
            assert np.linalg.norm(mixed.light.key.direction) == pytest.approx(1)


def test_choices_and_random_streams_change_at_one_half(people):
    a, b = people[12], people[100]
    before, after = mix_traits(a, b, 0.49), mix_traits(a, b, 0.5)
    assert (before.hair.style, before.beard.style, before.seed, before.masculine) == ("slick", "stubble", 12, a.masculine)
    assert (after.hair.style, after.beard.style, after.seed, after.masculine) == ("bald", "none", 100, b.masculine)
    assert before.generator("hair").integers(1 << 30) == a.generator("hair").integers(1 << 30)
    assert after.noise_seed("iris") == b.noise_seed("iris")
    assert before.beard.density < a.beard.density  # thinner before it goes


def test_melanin_is_mixed_by_its_logarithm(people):
    a, b = people[7], people[12]
    assert mix_traits(a, b, 0.5).skin.melanin == pytest.approx(np.sqrt(a.skin.melanin * b.skin.melanin))


def test_mixing_the_other_way_round_is_the_same_person_away_from_the_middle(people):
    a, b = people[1010], people[77]
    for t in (0.25, 0.4, 0.9):
        for (path, x), (_, y) in zip(leaves(mix_traits(a, b, t)), leaves(mix_traits(b, a, 1 - t)), strict=True):
            if isinstance(x, str | bool):
                assert x == y, path
            else:
                np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7, err_msg=path)


def test_make_up_of_one_comes_late_and_in_its_own_colours(people):
    bare = replace(people[12], makeup=replace(people[12].makeup, strength=0.0, lipstick=0.0, liner=0.0))
    worn = replace(people[42], makeup=replace(people[42].makeup, strength=1.0, lipstick=0.6, liner=0.8))
    quarter = mix_traits(bare, worn, 0.25).makeup
    assert 0 < quarter.strength < 0.1
    np.testing.assert_allclose(quarter.lip_color, worn.makeup.lip_color)
    assert mix_traits(worn, bare, 0.75).makeup.strength == pytest.approx(quarter.strength)


@pytest.mark.parametrize("t", [-0.01, 1.01, float("nan")])
def test_shares_out_of_range_are_refused(people, t):
    with pytest.raises(ValueError, match=r"not in 0..1"):
        mix_traits(people[7], people[42], t)


def test_a_mix_builds_the_same_every_time(head, people):
    mixed = mix_traits(people[7], people[42], 0.5)
    assert equal(mixed, mix_traits(sample_traits(7, head), sample_traits(42, head), 0.5))
    person = build_identity(mixed, head, "mix 7+42@0.5")
    again = build_identity(mixed, head, "mix 7+42@0.5")
    assert person.name.startswith("mix 7+42@0.5: ")
    for name in ("xyz", "scale", "quat", "rgb", "opacity"):
        values = getattr(person.gaussians, name)
        assert np.isfinite(values).all()
        np.testing.assert_array_equal(values, getattr(again.gaussians, name))
    assert 20_000 < len(person.gaussians) < 100_000


@pytest.mark.parametrize(("pair", "t"), [((12, 100), 0.49), ((1010, 77), 0.5)])
def test_mixes_around_the_change_build(head, people, pair, t):
    person = build_identity(mix_traits(*(people[seed] for seed in pair), t), head)
    assert np.isfinite(person.gaussians.xyz).all()
    assert np.isfinite(person.rest_vertices).all()
