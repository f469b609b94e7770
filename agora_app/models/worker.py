"""One thread for work that would hold up the window, done in order."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger(__name__)


class Worker:
    """Runs what it is given, one after the other. The thread begins with the first work.

    Work hands its results over itself, by a Qt signal; what it raises is logged.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def do(self, work: Callable[[], None]) -> None:
        """Have something done soon. Nothing is done any more after `close`."""
        if self._closed:
            return
        self._work.put(work)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()

    def close(self, timeout: float = 2.0) -> bool:
        """Finish what is under way and give up the rest. Returns whether the thread has ended."""
        self._closed = True
        self._work.put(None)
        if self._thread is None:
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (work := self._work.get()) is not None and not self._closed:
            try:
                work()
            except Exception:
                log.exception("work of %s failed", self._name)
