"""Work that would hold up the window, done in a thread; the result is fetched by the window's own timer.

Because the thread knows no Qt object, the one that waits may be deleted at any time: the result is then dropped.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

log = logging.getLogger(__name__)
LOOK_EVERY_MS = 30


class Job(QObject):
    """One piece of work at a time.

    Signals:
        done: the result.
        failed: the exception.

    Args:
        name: of its threads.
    """

    done = Signal(object)
    failed = Signal(object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._outcome: _Outcome | None = None
        self._thread: threading.Thread | None = None
        self._timer = QTimer(self, interval=LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)

    @property
    def is_running(self) -> bool:
        """Whether a result is still to come."""
        return self._outcome is not None

    def run(self, work: Callable[[], Any]) -> bool:
        """Begin. Returns False, and does nothing, while the work before is not over."""
        if self.is_running:
            return False
        self._outcome = outcome = _Outcome()
        self._thread = threading.Thread(target=outcome.fill, args=(work,), name=self._name, daemon=True)
        self._thread.start()
        self._timer.start()
        return True

    def cancel(self) -> None:
        """Let nobody hear of the result; the thread ends by itself."""
        self._timer.stop()
        self._outcome = None

    def wait(self, seconds: float) -> bool:
        """Wait for the thread. Returns whether it has ended."""
        if self._thread is not None:
            self._thread.join(seconds)
        return self._thread is None or not self._thread.is_alive()

    def _look(self) -> None:
        outcome = self._outcome
        if outcome is None or not outcome.ready.is_set():
            return
        self._timer.stop()
        self._outcome = None
        if outcome.error is None:
            self.done.emit(outcome.result)
        else:
            log.error("%s failed", self._name, exc_info=outcome.error)
            self.failed.emit(outcome.error)


class _Outcome:
    """What a thread leaves behind."""

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.result: Any = None
        self.error: Exception | None = None

    def fill(self, work: Callable[[], Any]) -> None:
        try:
            self.result = work()
        except Exception as error:  # told to the one that waits
            self.error = error
        finally:
            self.ready.set()
