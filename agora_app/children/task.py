"""A command that the window waits for, in a process of its own: progress, then a result or what is wrong."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import signal
from collections import deque

from PySide6.QtCore import QObject, QProcess, QProcessEnvironment, QTimer, Signal

from agora_app.children.answers import Problem

log = logging.getLogger(__name__)
KEPT_LINES = 200
ASK_MS, END_MS = 3000, 1500  # for a process to end by itself after it was asked to
_PERCENT, _OF = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%"), re.compile(r"(\d[\d,]*) ?(?:/|of) ?(\d[\d,]*)")
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class ChildTask(QObject):
    """Runs one command at a time; what it prints becomes progress. Raises nothing and never waits.

    Signals:
        progressed: (share 0..1 or -1 when it is not known, the last line in words).
        done: it has ended well.
        failed: (Problem).
        cancelled: it was stopped on request.
        running_changed: it has begun or ended.
    """

    progressed = Signal(float, str)
    done = Signal()
    failed = Signal(object)
    cancelled = Signal()
    running_changed = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._process: QProcess | None = None
        self._was_cancelled = False
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._rest = {QProcess.ProcessChannel.StandardOutput: "", QProcess.ProcessChannel.StandardError: ""}
        self._share = -1.0
        self._impatience = QTimer(self, singleShot=True, interval=ASK_MS)
        self._impatience.timeout.connect(self._kill)

    @property
    def is_running(self) -> bool:
        return self._process is not None

    @property
    def lines(self) -> tuple[str, ...]:
        """What it has printed last."""
        return tuple(self._lines)

    def start(self, command: list[str]) -> bool:
        """Begin. Returns False, and does nothing, while another command is running."""
        if self.is_running:
            return False
        self._was_cancelled, self._share = False, -1.0
        self._lines.clear()
        self._rest = dict.fromkeys(self._rest, "")
        process = self._process = QProcess(self)
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUNBUFFERED", "1")
        environment.insert("PYTHONIOENCODING", "utf-8")
        process.setProcessEnvironment(environment)
        process.readyReadStandardOutput.connect(self._read_output)
        process.readyReadStandardError.connect(self._read_errors)
        process.finished.connect(self._on_finished)
        process.errorOccurred.connect(self._on_error)
        process.start(command[0], command[1:])
        process.closeWriteChannel()
        self.running_changed.emit()
        return True

    def cancel(self) -> None:
        """Ask it to end; `cancelled` follows."""
        if self._process is not None and not self._was_cancelled:
            self._was_cancelled = True
            _ask_to_end(self._process)
            self._impatience.start()

    def close(self) -> None:
        """End it now and let nobody hear of it."""
        self._impatience.stop()
        process, self._process = self._process, None
        if process is not None:
            process.blockSignals(True)
            _ask_to_end(process)
            if not process.waitForFinished(END_MS):
                process.kill()
                process.waitForFinished(END_MS)
            process.deleteLater()

    # ------------------------------------------------------------------------------------------------------------ inside

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _read_output(self) -> None:
        self._read(QProcess.ProcessChannel.StandardOutput)

    def _read_errors(self) -> None:
        self._read(QProcess.ProcessChannel.StandardError)

    def _read(self, channel: QProcess.ProcessChannel) -> None:
        if self._process is None:
            return
        self._process.setReadChannel(channel)
        text = self._rest[channel] + bytes(self._process.readAll().data()).decode("utf-8", "replace")
        *lines, self._rest[channel] = re.split(r"\r\n|\n|\r", text)
        for line in lines:
            self._take(line)

    def _take(self, line: str) -> None:
        line = _CONTROL.sub("", line).strip()
        if not line:
            return
        self._lines.append(line)
        share = share_of(line)
        self._share = self._share if share is None else share
        self.progressed.emit(self._share, line)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart and self._process is not None:
            words = self._process.errorString()
            self._end()
            self.failed.emit(Problem(f"the program cannot be started: {words}", "the doctor in the Tools menu says why"))

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        for channel in self._rest:
            self._read(channel)
            self._take(self._rest[channel])
            self._rest[channel] = ""
        self._end()
        if self._was_cancelled:
            self.cancelled.emit()
        elif code == 0 and status is QProcess.ExitStatus.NormalExit:
            self.done.emit()
        else:
            crashed = status is QProcess.ExitStatus.CrashExit
            log.warning("a command ended with %s: %s", "a crash" if crashed else code, " | ".join(self._lines))
            self.failed.emit(problem_of(self._lines, crashed))

    def _end(self) -> None:
        self._impatience.stop()
        process, self._process = self._process, None
        process.deleteLater()
        self.running_changed.emit()


def _ask_to_end(process: QProcess) -> None:
    """As Ctrl-C does: the command then clears away what it has begun to write."""
    if os.name == "posix" and process.processId() > 0:
        with contextlib.suppress(OSError):  # it has ended by itself
            os.kill(process.processId(), signal.SIGINT)
    else:
        process.terminate()


def share_of(line: str) -> float | None:
    """How much is done according to a line such as "rendering 1,200/20,000" or "12 %"; None when it does not say."""
    found = _PERCENT.search(line)
    if found:
        return min(float(found[1]) / 100, 1.0)
    found = _OF.search(line)
    if found:
        done, total = (int(number.replace(",", "")) for number in found.groups())
        return min(done / total, 1.0) if total else None
    return None


def problem_of(lines, crashed: bool = False) -> Problem:
    """What a command that failed has said about it: its lines "error: …" and "hint: …", else its last words."""
    said = list(lines)
    error = next((line.removeprefix("error:").strip() for line in reversed(said) if line.startswith("error:")), "")
    hint = next((line.removeprefix("hint:").strip() for line in reversed(said) if line.startswith("hint:")), "")
    if error:
        return Problem(error, hint or "try again; if it stays, look into the log")
    if crashed:
        return Problem("the process was ended from outside or has crashed",
                       "there may have been too little memory: close other programs or choose less, then try again")
    return Problem(f"it failed: {said[-1]}" if said else "it failed without a word", "try again; if it stays, look into the log")
