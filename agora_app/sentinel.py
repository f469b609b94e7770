"""Notices at the next start that the program did not end properly, and keeps a trace of what brought it down."""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from core.assets import data_folder, write_atomically
from core.version import VERSION

log = logging.getLogger(__name__)
_LARGEST_TRACE = 1_000_000  # bytes; an older trace is dropped beyond it
_SAME_START = 2.0  # seconds by which two reports of when a process was started may differ


@dataclass(frozen=True)
class SafeStart:
    """How the run before ended.

    Attributes:
        crashed: it did not shut down properly.
        last_log: where it left its last words; may not be there.
    """

    crashed: bool
    last_log: Path


class Sentinel:
    """A marker file that is there while the program runs: `running/PID.json` in the user's data folder.

    Args:
        folder: the data folder.
        trace: write the stacks of all threads to `logs/crash.log` when the interpreter dies.
    """

    def __init__(self, folder: Path | None = None, trace: bool = True) -> None:
        self._folder, self._wants_trace = folder or data_folder(), trace
        self._trace: IO[str] | None = None
        self._marker = self._folder / "running" / f"{os.getpid()}.json"

    def arm(self) -> SafeStart:
        """Look for the markers of dead runs, remove them, and leave one of our own. Never raises."""
        outcome = SafeStart(self._take_dead_markers(), self._last_log())
        started = psutil.Process().create_time()
        content = json.dumps({"pid": os.getpid(), "started": started, "version": VERSION})
        try:
            write_atomically(self._marker, content.encode())
            if self._wants_trace:
                self._start_trace()
        except OSError as error:  # a full or read-only disk must not keep the program from starting
            log.warning("the run cannot be marked in %s: %s", self._folder, error)
        return outcome

    def disarm(self) -> None:
        """The program ends properly. Harmless when it was never armed."""
        try:
            self._marker.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be removed: %s", self._marker, error)
        if self._trace is not None:
            faulthandler.disable()
            self._trace.close()
            self._trace = None

    def _take_dead_markers(self) -> bool:
        found = False
        for marker in sorted(self._marker.parent.glob("*.json")):
            if not _is_alive(marker):
                log.warning("the run of %s did not end properly", marker.stem)
                found = True
                try:
                    marker.unlink(missing_ok=True)
                except OSError as error:
                    log.warning("%s cannot be removed: %s", marker, error)
        return found

    def _last_log(self) -> Path:
        """The newest log; the trace of a crash when that is where the last words are."""
        logs = [path for path in (self._folder / "logs").glob("*.log") if path.stat().st_size]
        return max(logs, key=lambda path: path.stat().st_mtime_ns, default=self._folder / "logs" / "crash.log")

    def _start_trace(self) -> None:
        path = self._folder / "logs" / "crash.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        keep = path.exists() and path.stat().st_size < _LARGEST_TRACE
        existed = path.stat().st_mtime_ns if path.exists() else None
        self._trace = path.open("a" if keep else "w", encoding="utf-8")
        self._trace.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} AGORA live {VERSION}, process {os.getpid()}\n")
        self._trace.flush()
        if existed is not None:  # a header is no last word: the file is only newest when a crash was written to it
            os.utime(path, ns=(existed, existed))
        faulthandler.enable(self._trace)


def _is_alive(marker: Path) -> bool:
    """Whether the run that left a marker still goes on; another process may have its number by now."""
    try:
        content = json.loads(marker.read_text())
        process = psutil.Process(int(content["pid"]))
        return abs(process.create_time() - float(content["started"])) < _SAME_START and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return False
