"""A training as the window sees it."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from agora_app.children.answers import Problem
from agora_app.children.followed import Condition, FollowedRun
from agora_app.children.launcher import Launcher
from agora_app.training.models.series import Measurements
from core.run_folder import LogRecord, Request, RunStatus

KEPT_LINES = 500
_LESS_MEMORY = "if it happens again, choose fewer pictures in a batch"


class RunModel(FollowedRun):
    """Follows the run folder of one training.

    Signals:
        measured: there are new numbers.
        lines_added: (list of str) new lines for the log.

    Args:
        folder, launcher, left_behind: see `FollowedRun`.
    """

    measured = Signal()
    lines_added = Signal(list)

    def __init__(self, folder: Path, launcher: Launcher | None = None, parent: QObject | None = None, *,
                 left_behind: RunStatus | None = None) -> None:
        self.measurements = Measurements()
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._offset = 0
        super().__init__(folder, launcher, parent, left_behind=left_behind)

    @property
    def has_result(self) -> bool:
        """Whether there is something to evaluate and to go on from."""
        return any(_has_entries(folder) for folder in (self.folder.snapshots, self.folder.checkpoints))

    @property
    def can_resume(self) -> bool:
        """Whether it is over before its end and has a checkpoint."""
        return (self.condition in (Condition.STOPPED, Condition.FAILED, Condition.DIED)
                and _has_entries(self.folder.checkpoints))

    @property
    def problem(self) -> Problem | None:
        """Why it failed and what to do; None when it did not."""
        found = super().problem
        if found is None:
            return None
        go_on = "continue from its last checkpoint" if self.can_resume else "change the settings and start again"
        if self.condition is Condition.DIED:
            return Problem(found.what, f"{go_on}; {_LESS_MEMORY}")
        return Problem(found.what, found.mend or go_on)

    def pause(self) -> None:
        self._ask(Request.PAUSE, Condition.RUNNING, Condition.STARTING)

    def resume(self) -> None:
        """Go on after a pause."""
        self._ask(Request.RESUME, Condition.PAUSED)

    def _read_more(self) -> None:
        """The log, as far as it has been written."""
        lines: list[str] = []
        new_numbers = False
        while True:
            records, offset = self.folder.read_log(self._offset)
            if offset == self._offset:
                break
            self._offset = offset
            for record in records:
                begun = len(self.measurements.phases)
                self.measurements.add([record])
                if len(self.measurements.phases) > begun:
                    lines.append(_line(LogRecord("phase", record.images, text=record.phase, time=record.time)))
                if line := _line(record):
                    lines.append(line)
            new_numbers = new_numbers or any(record.values for record in records)
        if lines:
            self.lines.extend(lines)
            self.lines_added.emit(lines)
        if new_numbers:
            self.measured.emit()


def _line(record: LogRecord) -> str:
    """An event of the log as a line to read; empty for plain numbers."""
    values = "  ".join(f"{name} {value:.4g}" for name, value in record.values)
    if not record.text and record.kind in ("numbers", "step"):
        return ""
    words = ": ".join(part for part in (record.kind if record.kind != "note" else "", record.text) if part)
    clock = record.time[11:19] if len(record.time) > 18 else ""
    return "  ".join(part for part in (clock, f"{record.images:,}", words, values) if part)


def _has_entries(folder: Path) -> bool:
    try:
        return any(not entry.name.startswith(".") for entry in folder.iterdir())
    except OSError:
        return False
