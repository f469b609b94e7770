"""Progress bars on a terminal; elsewhere silence, or a plain line now and then for who reads along."""

from __future__ import annotations

import sys
import time
from types import TracebackType

SHARES = "‰"
"""Unit of work whose share is known, not its number of parts."""
_LINE_SECONDS = 1.0


class ProgressBars:
    """One bar after the other, on stderr. Called by the work as it goes on.

    Args:
        unit: what is counted.
        lines: where there is no terminal, print "WHAT: N/M" (of shares "WHAT: P%") to stdout, at most every second.
    """

    def __init__(self, unit: str = "frames", *, lines: bool = False) -> None:
        self._bar = None
        self._doing = ""
        self._unit, self._lines, self._printed = unit, lines, 0.0

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Show that `done` of `total` are done of what is being done."""
        if not sys.stderr.isatty():
            self._line(doing, done, total)
            return
        if doing != self._doing:
            self._next_bar(doing, total)
        self._bar.total = max(total, done)
        self._bar.update(done - self._bar.n)

    def __enter__(self) -> ProgressBars:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

    def _next_bar(self, doing: str, total: int) -> None:
        from tqdm import tqdm

        if self._bar is not None:
            self._bar.close()
        self._doing = doing
        self._bar = tqdm(total=total, desc=f"{doing:>11}", unit=f" {self._unit}", file=sys.stderr, leave=True, dynamic_ncols=True)

    def _line(self, doing: str, done: int, total: int) -> None:
        now = time.monotonic()
        if self._lines and (now - self._printed >= _LINE_SECONDS or done >= total):
            self._printed = now
            print(f"{doing}: {done / total:.0%}" if self._unit == SHARES else f"{doing}: {done}/{total}", flush=True)
