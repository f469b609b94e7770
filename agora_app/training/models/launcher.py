"""Starts a training so that it outlives the window, and ends one that no longer listens."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import psutil

CONSOLE = "console.txt"
_NEW_GROUP, _NO_WINDOW = 0x200, 0x0800_0000  # of Windows: Ctrl-C and the end of the console do not reach it


class Launcher:
    """One training process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started here; 0 for none."""
        return self._process.pid if self._process else 0

    def start(self, command: list[str], run: Path) -> None:
        """Start a command in a session of its own; what it prints goes to a file in the run's folder. Raises OSError."""
        run.mkdir(parents=True, exist_ok=True)
        detached: dict = {"creationflags": _NEW_GROUP | _NO_WINDOW} if sys.platform == "win32" else {"start_new_session": True}
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        with (run / CONSOLE).open("wb") as console:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                                             env=environment, close_fds=True, **detached)

    def is_running(self) -> bool:
        """Whether the process that was started here goes on. Asking also lets the system forget one that has ended."""
        return self._process is not None and self._process.poll() is None

    def has_ended(self) -> bool:
        """Whether a process was started here and is over."""
        return self._process is not None and self._process.poll() is not None


def end_process(pid: int, run: Path) -> bool:
    """End a training that does not answer, wherever it was started; only a process that was started for this run is touched.

    Returns:
        Whether it was told to end.
    """
    with contextlib.suppress(psutil.Error, OSError, ValueError):
        process = psutil.Process(pid)
        if str(run) in process.cmdline():
            process.kill()
            return True
    return False


def console_lines(run: Path, count: int = 200) -> list[str]:
    """The last lines that a training has printed."""
    try:
        with (run / CONSOLE).open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 200 * count))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.replace("\r", "\n").splitlines() if line.strip()][-count:]
