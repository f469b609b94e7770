"""How the live session is doing, asked four times a second, with the last minute kept for plots."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal

from agora_app.settings.store import SettingsStore
from core.pipeline.live.state import LiveStats

POLL_MS = 250
HISTORY_SECONDS = 60.0


@dataclass(frozen=True)
class Sample:
    """Statistics at a time in seconds of the model's clock."""

    seconds: float
    stats: LiveStats


class PerformanceModel(QObject):
    """Polls the session and tells it the settings of the governor.

    Signals:
        stats_changed: new `LiveStats`.
        settings_changed: governor or target are different now.

    Args:
        session: as `core.pipeline.live.session.LiveSession`.
        clock: seconds.
    """

    stats_changed = Signal(object)
    settings_changed = Signal()

    def __init__(self, session, store: SettingsStore, parent: QObject | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self._session, self._store, self._clock = session, store, clock
        self._history: deque[Sample] = deque()
        self._stats = LiveStats()
        self._timer = QTimer(self)
        self._timer.setInterval(POLL_MS)
        self._timer.timeout.connect(self.poll)
        store.changed.connect(self._on_settings)
        self._push()
        self._timer.start()

    @property
    def stats(self) -> LiveStats:
        """As of the last poll."""
        return self._stats

    @property
    def history(self) -> tuple[Sample, ...]:
        """The last minute, oldest first."""
        return tuple(self._history)

    @property
    def governor(self) -> bool:
        """Whether quality may be lowered to keep the frame rate."""
        return self._store.settings.performance.governor

    @property
    def target_fps(self) -> int:
        """The frame rate to keep."""
        return self._store.settings.performance.target_fps

    def set_governor(self, on: bool) -> None:
        """Allow or forbid lowering the quality."""
        self._store.change("performance", governor=on)

    def set_target_fps(self, fps: int) -> None:
        """Choose the frame rate to keep. Raises ValueError when it is out of range."""
        self._store.change("performance", target_fps=fps)

    def poll(self) -> None:
        """Ask the session now."""
        now = self._clock()
        self._stats = self._session.stats()
        self._history.append(Sample(now, self._stats))
        while self._history[0].seconds < now - HISTORY_SECONDS:
            self._history.popleft()
        self.stats_changed.emit(self._stats)

    def close(self) -> None:
        """Ask no more."""
        self._timer.stop()

    def _on_settings(self, section: str) -> None:
        if section == "performance":
            self._push()
            self.settings_changed.emit()

    def _push(self) -> None:
        self._session.set_quality(self.governor, self.target_fps)
