from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from core.tracking.filters import (
    OneEuro,
    OneEuroSettings,
    ParamsFilter,
    SmoothingSettings,
    interpolate,
    smooth_recording,
    smoothing_factor,
)
from core.types import HeadParams

COUNT = 4
FRAME = 1 / 30


def params(index: int, value: float, turn: float = 0.0) -> HeadParams:
    three = np.zeros(3, np.float32)
    return HeadParams(np.full(COUNT, value, np.float32), three, three, three, np.array([0, turn, 0], np.float32), three,
                      time_ns=round(index * 1e9 / 30))


def test_step_response_without_speed_term_is_the_exponential_low_pass():
    cutoff = 1.7
    low_pass = OneEuro(OneEuroSettings(cutoff, 0.0))
    low_pass(np.zeros(1), 0.0)
    alpha = 1 / (1 + 1 / (2 * np.pi * cutoff * FRAME))
    for step in range(1, 20):
        value = low_pass(np.ones(1), step * FRAME)[0]
        assert value == pytest.approx(1 - (1 - alpha) ** step, rel=1e-9)


def test_speed_raises_the_cutoff_as_published():
    settings = OneEuroSettings(1.0, 0.5, derivative_cutoff=2.0)
    one_euro = OneEuro(settings)
    one_euro(np.zeros(1), 0.0)
    speed = smoothing_factor(2.0, FRAME) * (1.0 / FRAME)
    expected = smoothing_factor(1.0 + 0.5 * speed, FRAME)
    assert one_euro(np.ones(1), FRAME)[0] == pytest.approx(expected, rel=1e-9)


def test_limit_cases():
    frozen, open_wide = OneEuro(OneEuroSettings(1e-9, 0.0)), OneEuro(OneEuroSettings(1e9, 0.0))
    off = OneEuro(OneEuroSettings(1.0, 0.0), strength=0.0)
    for one_euro in (frozen, open_wide, off):
        one_euro(np.zeros(2), 0.0)
    assert np.abs(frozen(np.ones(2), FRAME)).max() < 1e-6
    np.testing.assert_allclose(open_wide(np.ones(2), FRAME), 1, atol=1e-6)
    np.testing.assert_array_equal(off(np.ones(2), FRAME), 1)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30), st.floats(0.1, 10), st.floats(0, 5))
def test_output_stays_within_the_range_of_the_input(values, cutoff, beta):
    one_euro = OneEuro(OneEuroSettings(cutoff, beta))
    for i, value in enumerate(values):
        out = one_euro(np.array([value]), i * FRAME)[0]
        assert min(values) - 1e-9 <= out <= max(values) + 1e-9


def test_entries_are_filtered_independently():
    together, alone = OneEuro(OneEuroSettings(1.0, 2.0)), OneEuro(OneEuroSettings(1.0, 2.0))
    rng = np.random.default_rng(0)
    for i in range(10):
        sample = rng.normal(size=3)
        assert together(sample, i * FRAME)[1] == pytest.approx(alone(sample[1:2], i * FRAME)[0])


def test_time_that_does_not_advance_starts_anew():
    one_euro = OneEuro(OneEuroSettings(0.5, 0.0))
    one_euro(np.zeros(1), 1.0)
    assert one_euro(np.ones(1), 1.0)[0] == 1.0


def test_blinks_bypass_the_filter_and_the_rest_is_smoothed():
    smooth = ParamsFilter(SmoothingSettings(expression=OneEuroSettings(0.5, 0.0)), bypass=[2])
    smooth(params(0, 0.0))
    out = smooth(params(1, 1.0))
    assert out.expression[2] == 1.0
    assert out.expression[0] < 0.5


def test_a_recording_is_smoothed_without_delay():
    """A symmetric pulse keeps its place, and a recording played backwards gives the result backwards."""
    pulse = np.exp(-0.5 * ((np.arange(61) - 30) / 4.0) ** 2)
    track = [params(i, v) for i, v in enumerate(pulse)]
    out = np.array([p.expression[0] for p in smooth_recording(track)])
    assert out.argmax() == 30
    np.testing.assert_allclose(out, out[::-1], atol=1e-6)
    slanted = [params(i, v) for i, v in enumerate(np.cumsum(pulse) / 10)]
    backwards = [replace(p, time_ns=track[60 - i].time_ns) for i, p in enumerate(slanted)][::-1]
    there = np.array([p.expression[0] for p in smooth_recording(slanted)])
    back = np.array([p.expression[0] for p in smooth_recording(backwards)])
    np.testing.assert_allclose(there, back[::-1], atol=1e-5)


def test_a_recording_keeps_its_gaps_and_nothing_leaks_across_them():
    track = [params(i, 0.0) for i in range(10)] + [None, None] + [params(i, 1.0) for i in range(12, 20)]
    out = smooth_recording(track)
    assert [p is None for p in out] == [p is None for p in track]
    assert all(p.expression[0] == pytest.approx(0) for p in out[:10])
    assert all(p.expression[0] == pytest.approx(1) for p in out[12:])
    assert [p.time_ns for p in out if p] == [p.time_ns for p in track if p]


def test_smoothing_calms_noise():
    rng = np.random.default_rng(1)
    track = [params(i, 0.3 + 0.01 * rng.normal(), 0.001 * rng.normal()) for i in range(120)]
    out = smooth_recording(track)
    assert np.std([p.head_rotation[1] for p in out]) < 0.4 * np.std([p.head_rotation[1] for p in track])


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0, 1))
def test_interpolation_turns_along_the_shortest_arc(a, b, weight):
    mixed = interpolate(params(0, 0.0, a), params(0, 1.0, b), weight)
    total = np.linalg.norm(axis_angle_from_rotation(
        rotation_from_axis_angle(np.array([0, b, 0.0])) @ rotation_from_axis_angle(np.array([0, a, 0.0])).T))
    part = np.linalg.norm(axis_angle_from_rotation(
        rotation_from_axis_angle(mixed.head_rotation.astype(float)) @ rotation_from_axis_angle(np.array([0, a, 0.0])).T))
    if total < 3.1:  # at half a turn both ways round are shortest
        assert part == pytest.approx(weight * total, abs=1e-4)
    assert mixed.expression[0] == pytest.approx(weight, abs=1e-6)
