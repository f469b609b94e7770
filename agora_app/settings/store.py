"""The settings file: read at start, written shortly after every change, never half-written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal

from agora_app.settings.model import Settings


class SettingsStore(QObject):
    """Holds the current `Settings` and keeps them on disk.

    Signals:
        changed: name of the section that changed.

    Args:
        path: the file; None keeps nothing (tests).
    """

    changed = Signal(str)

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path
        self.settings = Settings()
        self.problem = ""

    def change(self, section: str, **values: Any) -> None:
        """Change fields of a section. Raises ValueError for a value that is not allowed; nothing changes then."""
        old = getattr(self.settings, section)
        new = type(old).model_validate({**old.model_dump(), **values})
        if new != old:
            self.settings = self.settings.model_copy(update={section: new})
            self.changed.emit(section)

    def flush(self) -> None:
        """Write now what has not been written yet."""
