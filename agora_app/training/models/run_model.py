"""A training as the window sees it: read from its folder twice a second, steered through it, wherever it was started."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from agora_app.training.models.answers import Problem
from agora_app.training.models.launcher import Launcher, console_lines, end_process
from agora_app.training.models.series import Measurements
from agora_app.training.models.task import problem_of
from core.run_folder import LogRecord, Request, RunFolder, RunState, RunStatus

POLL_MS = 500
ABORT_SECONDS = 10.0  # a training that was told to stop at once and does not is ended from outside after this time
KEPT_LINES = 500
_LESS_MEMORY = "if it happens again, choose fewer pictures in a batch"


class Condition(Enum):
    """How a training is. DIED: its process is gone and has not said why."""

    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FINISHED = "finished"
    FAILED = "failed"
    DIED = "died"

    @property
    def is_over(self) -> bool:
        return self in (Condition.STOPPED, Condition.FINISHED, Condition.FAILED, Condition.DIED)


_CONDITIONS = {RunState.PREPARING: Condition.STARTING, RunState.RUNNING: Condition.RUNNING, RunState.PAUSED: Condition.PAUSED,
               RunState.STOPPING: Condition.STOPPING, RunState.STOPPED: Condition.STOPPED,
               RunState.FINISHED: Condition.FINISHED, RunState.FAILED: Condition.FAILED}


class RunModel(QObject):
    """Follows one run folder.

    Signals:
        changed: status, condition or what was asked for is different.
        measured: there are new numbers.
        lines_added: (list of str) new lines for the log.
        samples_changed: there are new sample grids.
        ended: it was under way and is over now.
        failed: (what, hint) it cannot be steered.

    Args:
        folder: of the run.
        launcher: has started it; None when somebody else has.
        left_behind: what an earlier process had said there; it tells nothing about the one that was just started.
    """

    changed = Signal()
    measured = Signal()
    lines_added = Signal(list)
    samples_changed = Signal()
    ended = Signal()
    failed = Signal(str, str)

    def __init__(self, folder: Path, launcher: Launcher | None = None, parent: QObject | None = None, *,
                 left_behind: RunStatus | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self.folder, self._launcher, self._clock = RunFolder(folder), launcher, clock
        self.measurements = Measurements()
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.status: RunStatus | None = None
        self.samples: list[Path] = []
        self.condition = Condition.STARTING
        self.asked: Request | None = None
        self._offset = 0
        self._aborted_at: float | None = None
        self._stale = left_behind
        self._timer = QTimer(self, interval=POLL_MS)
        self._timer.timeout.connect(self.poll)
        self.poll()
        if not self.condition.is_over:
            self._timer.start()

    # ------------------------------------------------------------------------------------------------------ what is so

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def is_active(self) -> bool:
        return not self.condition.is_over

    @property
    def share(self) -> float:
        """How much is done, 0 to 1."""
        return min(self.status.images / self.status.total_images, 1.0) if self.status and self.status.total_images else 0.0

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
        go_on = "continue from its last checkpoint" if self.can_resume else "change the settings and start again"
        if self.condition is Condition.FAILED:
            told = problem_of(console_lines(self.path)) if not (self.status and self.status.message) else None
            return told or Problem(self.status.message, self._said_hint() or go_on)
        if self.condition is Condition.DIED:
            said = problem_of(console_lines(self.path), crashed=True)
            return Problem(said.what, f"{go_on}; {_LESS_MEMORY}")
        return None

    # -------------------------------------------------------------------------------------------------------- steering

    def pause(self) -> None:
        self._ask(Request.PAUSE, Condition.RUNNING, Condition.STARTING)

    def resume(self) -> None:
        """Go on after a pause."""
        self._ask(Request.RESUME, Condition.PAUSED)

    def stop(self) -> None:
        """Write a checkpoint and end."""
        self._ask(Request.STOP, Condition.RUNNING, Condition.STARTING, Condition.PAUSED)

    def abort(self) -> None:
        """End at once; what came after the last checkpoint is lost."""
        if self.is_active and self._aborted_at is None:
            self._aborted_at = self._clock()
            self._ask(Request.ABORT, *(condition for condition in Condition if not condition.is_over))

    def close(self) -> None:
        """Look no more; the training goes on."""
        self._timer.stop()

    # ---------------------------------------------------------------------------------------------------------- looking

    def poll(self) -> None:
        """Look at the folder now."""
        was_active, before = not self.condition.is_over, (self.status, self.condition, self.asked)
        self._read_log()
        self._look_at_samples()
        status = self.folder.status()
        if self._stale is not None and status == self._stale:
            status = None
        else:
            self._stale = None
        self.status = status
        self.condition = self._look()
        self._settle_request(before[1])
        if (self.status, self.condition, self.asked) != before:
            self.changed.emit()
        if was_active and self.condition.is_over:
            self._timer.stop()
            self._read_log()
            self._look_at_samples()
            self.ended.emit()
        elif self._aborted_at is not None and self._clock() - self._aborted_at > ABORT_SECONDS:
            self._end_it()

    def _starting(self) -> bool:
        return self._launcher is not None and self._launcher.is_running()

    def _look(self) -> Condition:
        status = self.status
        if status is None:
            if self._starting():
                return Condition.STARTING
            return Condition.FAILED if console_lines(self.path) else Condition.DIED
        condition = _CONDITIONS[status.state]
        if condition.is_over or self.folder.is_alive():
            return condition
        fresh = self.folder.status()  # it may have said its last word between the two looks
        if fresh is not None and fresh.state.is_final:
            self.status = fresh
            return _CONDITIONS[fresh.state]
        return Condition.DIED if fresh is not None else self.condition

    def _settle_request(self, before: Condition) -> None:
        if self.asked is not None and (self.condition is not before or self.condition.is_over):
            self.asked = None

    def _read_log(self) -> None:
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

    def _look_at_samples(self) -> None:
        samples = self.folder.samples()
        if samples != self.samples:
            self.samples = samples
            self.samples_changed.emit()

    def _said_hint(self) -> str:
        lines = [line for line in console_lines(self.path) if line.startswith("hint:")]
        return lines[-1].removeprefix("hint:").strip() if lines else ""

    def _ask(self, request: Request, *when: Condition) -> None:
        if self.condition not in when:
            return
        try:
            self.folder.request(request)
        except OSError as error:
            self.failed.emit(f"The training cannot be told: {error.strerror or error}", f"make room for {self.folder.control}")
            return
        self.asked = request
        self.changed.emit()

    def _end_it(self) -> None:
        """It was told to stop at once and has not listened."""
        self._aborted_at = self._clock()
        here = self.status is None or self.status.host == socket.gethostname()
        pid = self.status.pid if self.status else self._launcher.pid if self._launcher else 0
        if not (here and pid and end_process(pid, self.path)):
            self.failed.emit("The training does not answer", "end its process with the tools of the system")


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
