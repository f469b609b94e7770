"""What a training has measured, number by number, ready to be drawn: thinned out as it grows, without what was overtaken."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

from core.run_folder import LogRecord

MOST_POINTS = 4000
SHOWN_OF_EVALUATIONS = ("FD-synth", "skin leak")  # the others are for the table of the evaluation


class Series:
    """One number over the training pictures shown. Beyond `MOST_POINTS` every other point goes, and only every other is kept."""

    def __init__(self) -> None:
        self.images: list[int] = []
        self.values: list[float] = []
        self._every, self._skipped = 1, 0

    def add(self, images: int, value: float) -> None:
        """Add a measurement; numbers that are none are left out."""
        if not math.isfinite(value):
            return
        self._skipped += 1
        if self._skipped < self._every:
            return
        self._skipped = 0
        self.images.append(images)
        self.values.append(value)
        if len(self.images) > MOST_POINTS:
            self.images, self.values = self.images[::2], self.values[::2]
            self._every *= 2

    def go_back_to(self, images: int) -> None:
        """Forget what came after a checkpoint."""
        kept = bisect_right(self.images, images)
        del self.images[kept:], self.values[kept:]


class Measurements:
    """All numbers of a training by name, in the order in which they came up, and where its phases began."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.phases: list[tuple[int, str]] = []

    def add(self, records: Iterable[LogRecord]) -> None:
        """Take in new lines of the log."""
        for record in records:
            if record.kind == "resume":
                for series in self.series.values():
                    series.go_back_to(record.images)
                self.phases = [(images, phase) for images, phase in self.phases if images <= record.images]
            if record.phase and (not self.phases or self.phases[-1][1] != record.phase):
                self.phases.append((record.images, record.phase))
            for name, value in record.values:
                if record.kind == "evaluation" and name not in SHOWN_OF_EVALUATIONS:
                    continue
                self.series.setdefault(name, Series()).add(record.images, value)
