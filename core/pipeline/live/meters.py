"""Counters of the live chain: how many items come per second, and how old pictures are when they are painted."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

Clock = Callable[[], int]  # nanoseconds

RATE_SECONDS = 2.0
LATENCY_SECONDS = 10.0


class RateMeter:
    """Items per second over the last seconds, from any thread.

    Args:
        clock: nanoseconds.
        seconds: how far back it looks.
    """

    def __init__(self, clock: Clock = time.perf_counter_ns, seconds: float = RATE_SECONDS) -> None:
        self._clock, self._window_ns = clock, round(seconds * 1e9)
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Start anew."""
        with self._lock:
            self._ticks: deque[int] = deque()
            self._first_ns: int | None = None

    def tick(self) -> None:
        """Count an item."""
        now = self._clock()
        with self._lock:
            if self._first_ns is None:
                self._first_ns = now
            self._ticks.append(now)
            self._forget(now)

    def rate(self) -> float:
        """Items per second."""
        now = self._clock()
        with self._lock:
            self._forget(now)
            if self._first_ns is None or not self._ticks:
                return 0.0
            age = now - self._first_ns
            if age >= self._window_ns:
                return len(self._ticks) * 1e9 / self._window_ns
            # Younger than the window: what has come since the first one, which itself does not count.
            return (len(self._ticks) - 1) * 1e9 / age if age > 0 else 0.0

    def _forget(self, now: int) -> None:
        while self._ticks and self._ticks[0] <= now - self._window_ns:
            self._ticks.popleft()


class LatencyMeter:
    """Median and 95th percentile of ages over the last seconds, from any thread.

    Args:
        clock: nanoseconds.
        seconds: how far back it looks.
    """

    def __init__(self, clock: Clock = time.perf_counter_ns, seconds: float = LATENCY_SECONDS) -> None:
        self._clock, self._window_ns = clock, round(seconds * 1e9)
        self._lock = threading.Lock()
        self._ages: deque[tuple[int, float]] = deque()

    def clear(self) -> None:
        """Start anew."""
        with self._lock:
            self._ages.clear()

    def add(self, milliseconds: float) -> None:
        """Record the age of something that is shown now."""
        now = self._clock()
        with self._lock:
            self._ages.append((now, milliseconds))
            self._forget(now)

    def percentiles(self) -> tuple[float, float]:
        """Median and 95th percentile in milliseconds; zeros when nothing was shown lately."""
        with self._lock:
            self._forget(self._clock())
            ages = [age for _, age in self._ages]
        if not ages:
            return 0.0, 0.0
        median, high = np.percentile(ages, [50, 95])
        return float(median), float(high)

    def _forget(self, now: int) -> None:
        while self._ages and self._ages[0][0] <= now - self._window_ns:
            self._ages.popleft()


class Meters:
    """What `LiveSession.stats` tells in rates and ages.

    Attributes:
        tracked: parameters that came out of the tracker, or past it.
        drawn, shown: pictures finished, and painted on screen.
        latency: capture to paint.
    """

    def __init__(self, clock: Clock = time.perf_counter_ns) -> None:
        self.tracked, self.drawn, self.shown = RateMeter(clock), RateMeter(clock), RateMeter(clock)
        self.latency = LatencyMeter(clock)

    def clear(self) -> None:
        """Start anew."""
        for meter in (self.tracked, self.drawn, self.shown, self.latency):
            meter.clear()
