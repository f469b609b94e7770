"""The settings file: read at start, written shortly after every change, never half-written."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from agora_app.settings.model import Settings
from agora_app.settings.reading import Loaded, read_settings
from core.assets import write_atomically

log = logging.getLogger(__name__)
WRITE_DELAY_MS = 300  # a slider that is dragged is written once, not at every step


class SettingsStore(QObject):
    """Holds the current `Settings` and keeps them on disk.

    Signals:
        changed: name of the section that changed.
        problem_found: the settings cannot be kept, in words for the user; told once, until writing works again.

    Args:
        path: the file; None keeps nothing (tests).

    Attributes:
        problem: what was wrong with the file when it was read, in words for the user; empty when all was well.
    """

    changed = Signal(str)
    problem_found = Signal(str)

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path
        loaded = read_settings(path) if path is not None else Loaded(Settings())
        self.settings = loaded.settings
        self.problem = loaded.problem
        self._unwritten = False
        self._complained = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(WRITE_DELAY_MS)
        self._timer.timeout.connect(self.flush)
        if loaded.problem:
            log.warning(loaded.problem)
        if loaded.stale:
            self._write_soon()

    def change(self, section: str, **values: Any) -> None:
        """Change fields of a section. Raises ValueError for a value that is not allowed; nothing changes then."""
        old = getattr(self.settings, section)
        unknown = set(values) - set(type(old).model_fields)
        if unknown:
            raise ValueError(f"settings of {section} have no {', '.join(sorted(unknown))}")
        new = type(old).model_validate({**old.model_dump(), **values})
        self._replace(section, new)

    def set_shortcuts(self, sequences: dict[str, str]) -> None:
        """Replace the key sequences that differ from the defaults, by action."""
        self._replace("shortcuts", dict(sequences))

    def reset(self, section: str, *fields: str) -> None:
        """Put fields of a section back to their defaults; all of them when none is named."""
        kind = type(getattr(self.settings, section))
        defaults = kind()
        self.change(section, **{name: getattr(defaults, name) for name in fields or kind.model_fields})

    def flush(self) -> None:
        """Write now what has not been written yet."""
        self._timer.stop()
        if not self._unwritten or self.path is None:
            return
        try:
            write_atomically(self.path, self.settings.model_dump_json(indent=2).encode())
        except OSError as error:
            self._complain(error)
        else:
            self._unwritten = self._complained = False

    def _replace(self, section: str, new: Any) -> None:
        if new != getattr(self.settings, section):
            self.settings = self.settings.model_copy(update={section: new})
            self._write_soon()
            self.changed.emit(section)

    def _write_soon(self) -> None:
        self._unwritten = True
        if self.path is not None:
            self._timer.start()

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            self._complained = True
            words = self.tr("Settings cannot be saved in {0}: {1}. They hold until the program ends.").format(
                self.path.parent, error.strerror or type(error).__name__)
            log.warning(words)
            self.problem_found.emit(words)
