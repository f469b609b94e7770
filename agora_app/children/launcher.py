"""Starts a command so that it outlives the window, and ends one that no longer listens."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil

CONSOLE = "console.txt"
_END_SECONDS = 1.0
_NEW_GROUP, _NO_WINDOW = 0x200, 0x0800_0000  # of Windows: Ctrl-C and the end of the console do not reach it


class Launcher:
    """One process that works in a run's folder."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None
        self._found: psutil.Process | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started here, or found; 0 for none."""
        process = self._process or self._found
        return process.pid if process else 0

    def start(self, command: list[str], run: Path) -> None:
        """Start a command in a session of its own; what it prints goes to a file in the run's folder. Raises OSError."""
        run.mkdir(parents=True, exist_ok=True)
        detached: dict = {"creationflags": _NEW_GROUP | _NO_WINDOW} if sys.platform == "win32" else {"start_new_session": True}
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        with (run / CONSOLE).open("wb") as console:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                                             env=environment, close_fds=True, **detached)

    def find(self, run: Path) -> bool:
        """Take over the process that works in a run's folder, started by an earlier window. Returns whether there is one."""
        for process in psutil.process_iter(["cmdline"]):
            if str(run) in (process.info["cmdline"] or ()):
                self._found = process
                return True
        return False

    def is_running(self) -> bool:
        """Whether the process that was started here goes on. Asking also lets the system forget one that has ended."""
        if self._found is not None:
            return _runs(self._found)
        return self._process is not None and self._process.poll() is None

    def has_ended(self) -> bool:
        """Whether a process was started here and is over."""
        return self._process is not None and self._process.poll() is not None


def end_process(pid: int, run: Path) -> bool:
    """End a process that does not answer, wherever it was started; only a process that was started for this run is touched.

    Returns:
        Whether it was told to end.
    """
    with contextlib.suppress(psutil.Error, OSError, ValueError):
        process = psutil.Process(pid)
        if str(run) in process.cmdline():
            family = [*process.children(recursive=True), process]
            for one in family:
                one.kill()
            psutil.wait_procs(family, _END_SECONDS)  # a killed process is gone within milliseconds
            return True
    return False


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def console_lines(run: Path, count: int = 200) -> list[str]:
    """The last lines that a run's process has printed."""
    try:
        with (run / CONSOLE).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 200 * count))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()][-count:]
