"""Work in a folder of its own as the window sees it: read twice a second, steered through it, wherever it was started."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from enum import Enum
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from agora_app.children.answers import Problem
from agora_app.children.launcher import Launcher, console_lines, end_process
from agora_app.children.task import problem_of
from core.run_folder import Request, RunFolder, RunState, RunStatus

POLL_MS = 500
ABORT_SECONDS = 10.0  # a process that was told to stop at once and does not is ended from outside after this time
_LAST_WORDS_SECONDS = 3.0  # for a process that has failed to say why and to end


class Condition(Enum):
    """How the work is. DIED: its process is gone and has not said why."""

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


class FollowedRun(QObject):
    """Follows one run folder.

    Signals:
        changed: status, condition or what was asked for is different.
        samples_changed: there are new sample pictures.
        ended: it was under way and is over now.
        failed: (what, hint) it cannot be steered.

    Args:
        folder: of the run.
        launcher: has started it; None when somebody else has.
        left_behind: what an earlier process had said there; it tells nothing about the one that was just started.
        patience: seconds after which a process that was told to stop at once is ended from outside; ABORT_SECONDS by default.
    """

    changed = Signal()
    samples_changed = Signal()
    ended = Signal()
    failed = Signal(str, str)

    def __init__(self, folder: Path, launcher: Launcher | None = None, parent: QObject | None = None, *,
                 left_behind: RunStatus | None = None, patience: float | None = None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(parent)
        self.folder, self._launcher, self._clock = RunFolder(folder), launcher, clock
        self.status: RunStatus | None = None
        self.samples: list[Path] = []
        self.condition = Condition.STARTING
        self.asked: Request | None = None
        self._patience = ABORT_SECONDS if patience is None else patience
        self._aborted_at: float | None = None
        self._last_words_by: float | None = None
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
    def problem(self) -> Problem | None:
        """Why it failed and what to do; None when it did not."""
        if self.condition is Condition.FAILED:
            message, hint = self.status.message if self.status else "", self._said_hint()
            if hint and message.endswith(hint):  # it may be told with the reason as well
                message = message.removesuffix(hint).rstrip(" .")
            return Problem(message, hint) if message else problem_of(console_lines(self.path))
        if self.condition is Condition.DIED:
            return problem_of(console_lines(self.path), crashed=True)
        return None

    # -------------------------------------------------------------------------------------------------------- steering

    def stop(self) -> None:
        """Save and end."""
        self._ask(Request.STOP, Condition.RUNNING, Condition.STARTING, Condition.PAUSED)

    def abort(self) -> None:
        """End at once; what was not saved is lost."""
        if self.is_active and self._aborted_at is None:
            self._aborted_at = self._clock()
            self._ask(Request.ABORT, *(condition for condition in Condition if not condition.is_over))

    def close(self) -> None:
        """Look no more; the work goes on."""
        self._timer.stop()

    # ---------------------------------------------------------------------------------------------------------- looking

    def poll(self) -> None:
        """Look at the folder now."""
        was_active, before = not self.condition.is_over, (self.status, self.condition, self.asked)
        self._read_more()
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
            self._read_more()
            self._look_at_samples()
            self.ended.emit()
        elif self._aborted_at is not None and self._clock() - self._aborted_at > self._patience:
            self._end_it()

    def _read_more(self) -> None:
        """For those who want to know more than the status: called at every look, before it is told of."""

    def _starting(self) -> bool:
        return self._launcher is not None and self._launcher.is_running()

    def _look(self) -> Condition:
        status = self.status
        if status is None:
            if self._starting():
                return Condition.STARTING
            return Condition.FAILED if console_lines(self.path) else Condition.DIED
        condition = _CONDITIONS[status.state]
        if condition is Condition.FAILED and not self.condition.is_over and self._is_still_talking():
            return self.condition
        if condition.is_over or self.folder.is_alive():
            return condition
        fresh = self.folder.status()  # it may have said its last word between the two looks
        if fresh is not None and fresh.state.is_final:
            self.status = fresh
            return _CONDITIONS[fresh.state]
        return Condition.DIED if fresh is not None else self.condition

    def _is_still_talking(self) -> bool:
        """Whether a process that has said that it failed may still print what to do about it."""
        if self._last_words_by is None:
            self._last_words_by = self._clock() + _LAST_WORDS_SECONDS
        return self._starting() and self._clock() < self._last_words_by

    def _settle_request(self, before: Condition) -> None:
        if self.asked is not None and (self.condition is not before or self.condition.is_over):
            self.asked = None

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
            self.failed.emit(f"It cannot be told: {error.strerror or error}", f"make room for {self.folder.control}")
            return
        self.asked = request
        self.changed.emit()

    def _end_it(self) -> None:
        """It was told to stop at once and has not listened."""
        self._aborted_at = self._clock()
        here = self.status is None or self.status.host == socket.gethostname()
        pid = self.status.pid if self.status else self._launcher.pid if self._launcher else 0
        if not (here and pid and end_process(pid, self.path)):
            self.failed.emit("Its process does not answer", "end its process with the tools of the system")
