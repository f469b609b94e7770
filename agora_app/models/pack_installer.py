"""Puts a pack among the user's packs, into the gallery, and its first person on stage."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from agora_app.background import Job
from agora_app.children.answers import Problem
from agora_app.models.user_packs import keep_copy
from core.errors import AgoraError

PATIENCE_MS = 600_000  # for the first person of a new pack to be on stage: they are built in the background, at ease


class PackInstaller(QObject):
    """One pack at a time; nothing here waits.

    Signals:
        changed: it has begun, or failed.
        installed: its first person is on stage.

    Args:
        cast: the people of the live session.

    Attributes:
        failure: why it could not be installed; None when it could.
        is_done: it is on stage.
    """

    changed = Signal()
    installed = Signal()

    def __init__(self, cast, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cast = cast
        self.failure: Problem | None = None
        self.is_done = False
        self._key = ""
        self._job = Job("install pack", self)
        self._job.done.connect(self.open)
        self._job.failed.connect(lambda error: self._fail(_words(error), "make room, then try again"))
        self._patience = QTimer(self, singleShot=True, interval=PATIENCE_MS)
        self._patience.timeout.connect(lambda: self._fail("nobody of the pack has come on stage", "look into the log"))
        cast.cast_changed.connect(self._on_cast)
        cast.failed.connect(self._on_cast_failed)
        cast.build_failed.connect(lambda _person, why: self._on_cast_failed(why, ""))

    @property
    def is_busy(self) -> bool:
        return self._job.is_running or bool(self._key)

    def install(self, pack: Path, name: str) -> None:
        """Copy a pack to the user's packs, as `name` where that is free, and open it."""
        if not self.is_busy:
            self.failure, self.is_done = None, False
            self._job.run(lambda: keep_copy(pack, name))
            self.changed.emit()

    def open(self, pack: Path) -> None:
        """Open a pack where it lies."""
        self.failure, self.is_done = None, False
        self._key = str(pack.absolute())
        self._patience.start()
        self.changed.emit()
        self._cast.open_pack(pack)
        self._on_cast()

    def close(self) -> None:
        """Let nobody hear of it."""
        self._job.cancel()
        self._patience.stop()
        self._key = ""

    def _on_cast(self) -> None:
        if self._key and self._cast.stage.shelf == self._key:
            self.close()
            self.is_done = True
            self.installed.emit()

    def _on_cast_failed(self, what: str, hint: str) -> None:
        if self._key:
            self._fail(what, hint)

    def _fail(self, what: str, hint: str) -> None:
        self.close()
        self.failure = Problem(what, hint)
        self.changed.emit()


def _words(error: Exception) -> str:
    if isinstance(error, AgoraError):
        return error.message
    return f"the pack cannot be copied: {getattr(error, 'strerror', '') or error}"
