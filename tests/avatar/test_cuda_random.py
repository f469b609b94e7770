"""Random numbers of a GPU without one: known answers of the generator, and normal numbers that others have published."""

from __future__ import annotations

import numpy as np
import pytest

from core.avatar.cuda_random import MOST_NUMBERS, CudaRandom, philox4x32

# Random123's kat_vectors for philox4x32-10: counter, key, result.
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]
# What torch.randn gives on a GPU after torch.manual_seed(0), as published by several people who wrote generators like ours.
PUBLISHED = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122, -0.32838709, -1.07454231,
             -0.36314407, -1.67105067, 2.26550497]


def words(text):
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN_ANSWERS)
def test_known_answers(counter, key, expected):
    result = philox4x32(np.array(words(counter), np.uint32), tuple(words(key)))
    assert result.tolist() == words(expected)


def test_many_counters_at_once_equal_one_by_one():
    counters = np.random.default_rng(0).integers(0, 1 << 32, (20, 4), np.uint32)
    together = philox4x32(counters, (7, 9))
    assert all((philox4x32(counter, (7, 9)) == row).all() for counter, row in zip(counters, together, strict=True))


def test_normal_numbers_published_of_gpus():
    # a GPU's fast sine is 2^-21 off at most, the published digits end at 1e-8
    np.testing.assert_allclose(CudaRandom(0).normal(512)[:12], PUBLISHED, atol=1e-6, rtol=0)


def test_normal_numbers_are_normal_and_finite():
    drawn = np.concatenate([CudaRandom(seed).normal(MOST_NUMBERS) for seed in range(60)]).astype(np.float64)
    n = len(drawn)
    assert np.isfinite(drawn).all()
    # standard errors of mean and variance are n^-1/2 and (2/n)^1/2; four of them
    assert abs(drawn.mean()) < 4 / np.sqrt(n)
    assert abs(drawn.var() - 1) < 4 * np.sqrt(2 / n)


def test_each_call_moves_on_and_seeds_differ():
    first, again, other = CudaRandom(3), CudaRandom(3), CudaRandom(1 << 40)
    one, two = first.normal(512), first.normal(512)
    assert (one == again.normal(512)).all()
    assert np.abs(one - two).max() > 0.1
    assert np.abs(one - other.normal(512)).max() > 0.1


def test_the_row_comes_from_the_call_after():
    random = CudaRandom(10)
    random.normal(512)
    expected = int(philox4x32(np.array([1, 0, 0, 0], np.uint32), (10, 0))[0]) % 139_826
    assert random.integer(139_826) == expected


@pytest.mark.parametrize("count", [0, MOST_NUMBERS + 1])
def test_a_draw_of_unknown_layout_is_refused(count):
    with pytest.raises(ValueError, match="cannot be drawn"):
        CudaRandom(0).normal(count)
