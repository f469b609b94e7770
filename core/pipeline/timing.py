"""How long each stage takes: collected from any thread, told as median and 95th percentile."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds of one stage over `count` runs."""

    stage: str
    count: int
    p50: float
    p95: float
    total: float


class StageTimer:
    """Collects the processor time of stages; time in which other threads ran does not count.

    Args:
        clock: seconds; the calling thread's processor time by default.
    """

    def __init__(self, clock=time.thread_time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._milliseconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as one run of the stage `name`; a run that raises does not count."""
        start = self._clock()
        yield
        self.add(name, 1e3 * (self._clock() - start))

    def add(self, name: str, milliseconds: float) -> None:
        """Record one run."""
        with self._lock:
            self._milliseconds[name].append(milliseconds)

    def clear(self) -> None:
        """Forget all runs."""
        with self._lock:
            self._milliseconds.clear()

    def report(self) -> list[StageTimes]:
        """All stages in the order in which they first ran."""
        with self._lock:
            runs = {name: np.array(values) for name, values in self._milliseconds.items()}
        return _summaries(runs)


class SlidingStageTimer(StageTimer):
    """A `StageTimer` that only remembers the last seconds; its report's `total` and `count` are of those.

    Args:
        seconds: how far back.
        clock: seconds, as in `StageTimer`.
        now: seconds; tells the age of runs.
    """

    def __init__(self, seconds: float = 2.0, clock: Callable[[], float] = time.thread_time,
                 now: Callable[[], float] = time.perf_counter) -> None:
        super().__init__(clock)
        self._seconds, self._now = seconds, now
        self._runs: dict[str, deque[tuple[float, float]]] = defaultdict(deque)

    def add(self, name: str, milliseconds: float) -> None:
        with self._lock:
            runs = self._runs[name]
            runs.append((self._now(), milliseconds))
            self._forget(runs)

    def clear(self) -> None:
        with self._lock:
            self._runs.clear()

    def report(self) -> list[StageTimes]:
        """Stages that ran lately, in the order in which they first ran."""
        with self._lock:
            for runs in self._runs.values():
                self._forget(runs)
            lately = {name: np.array([value for _, value in runs]) for name, runs in self._runs.items() if runs}
        return _summaries(lately)

    def _forget(self, runs: deque[tuple[float, float]]) -> None:
        oldest = self._now() - self._seconds
        while runs and runs[0][0] < oldest:
            runs.popleft()


def _summaries(runs: dict[str, np.ndarray]) -> list[StageTimes]:
    return [StageTimes(name, len(values), *(float(v) for v in np.percentile(values, [50, 95])), float(values.sum()))
            for name, values in runs.items()]
