"""Progress bars on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType


class ProgressBars:
    """One bar after the other, on stderr; nothing when that is not a terminal. Called by the work as it goes on."""

    def __init__(self) -> None:
        self._bar = None
        self._doing = ""

    def __call__(self, doing: str, done: int, total: int) -> None:
        """Show that `done` of `total` frames are done of what is being done."""
        if not sys.stderr.isatty():
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
        self._bar = tqdm(total=total, desc=f"{doing:>11}", unit=" frames", file=sys.stderr, leave=True, dynamic_ncols=True)
