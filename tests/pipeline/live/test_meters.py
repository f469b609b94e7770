"""Rates, ages and sliding times against numbers known beforehand, in fake time."""

from __future__ import annotations

import numpy as np
import pytest

from core.pipeline.live.meters import LatencyMeter, Meters, RateMeter
from core.pipeline.timing import SlidingStageTimer
from tests.pipeline.live.fakes_live import FakeClock


@pytest.mark.parametrize("fps", [5, 24, 30, 60])
def test_rate_of_a_steady_source(fps):
    clock = FakeClock()
    meter = RateMeter(clock)
    for _ in range(10 * fps):
        clock.advance(1000 / fps)
        meter.tick()
    assert meter.rate() == pytest.approx(fps, abs=0.51)


def test_rate_is_right_before_the_window_is_full():
    clock = FakeClock()
    meter = RateMeter(clock)
    assert meter.rate() == 0
    for _ in range(16):
        meter.tick()
        clock.advance(1000 / 30)
    assert meter.rate() == pytest.approx(30, rel=0.1)


def test_rate_falls_to_nothing_when_nothing_comes():
    clock = FakeClock()
    meter = RateMeter(clock)
    for _ in range(300):
        clock.advance(1000 / 30)
        meter.tick()
    clock.advance(1000)
    assert meter.rate() == pytest.approx(15, abs=1)
    clock.advance(1001)
    assert meter.rate() == 0


def test_latency_percentiles_are_those_of_the_last_ten_seconds():
    clock = FakeClock()
    meter = LatencyMeter(clock)
    assert meter.percentiles() == (0, 0)
    for _ in range(100):
        clock.advance(100)
        meter.add(900)
    ages = np.random.default_rng(0).uniform(20, 80, 100)
    for age in ages:
        clock.advance(100)
        meter.add(age)
    assert meter.percentiles() == pytest.approx(tuple(np.percentile(ages, [50, 95])))
    clock.advance(10_001)
    assert meter.percentiles() == (0, 0)


def test_meters_are_cleared_together():
    clock = FakeClock()
    meters = Meters(clock)
    for _ in range(5):
        clock.advance(100)
        meters.tracked.tick()
        meters.latency.add(5)
    meters.clear()
    assert meters.tracked.rate() == 0
    assert meters.latency.percentiles() == (0, 0)


def test_sliding_times_forget_and_keep_their_order():
    clock = FakeClock()
    timer = SlidingStageTimer(seconds=2.0, now=lambda: clock() / 1e9)
    timer.add("track", 50)
    clock.advance(1500)
    timer.add("render", 8)
    timer.add("track", 10)
    timer.add("track", 20)
    first = timer.report()
    assert [(t.stage, t.count) for t in first] == [("track", 3), ("render", 1)]
    clock.advance(1000)
    times = {t.stage: t for t in timer.report()}
    assert (times["track"].count, times["track"].p50, times["track"].total) == (2, 15, 30)
    clock.advance(2000)
    assert timer.report() == []


def test_sliding_times_measure_blocks():
    ticks = iter([1.0, 1.25])
    timer = SlidingStageTimer(clock=lambda: next(ticks))
    with timer.stage("compose"):
        pass
    assert timer.report()[0].p50 == pytest.approx(250)
