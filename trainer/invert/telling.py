"""Tells a run folder and the terminal how far an inversion is, and hears there whether it shall end."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from core.assets import write_atomically
from core.errors import AgoraError
from core.run_folder import Request, RunFolder, RunState, RunStatus
from trainer.invert.pack import png
from trainer.invert.person import InvertProgress, PhotoScore

PHASES = ("reading the photograph", "fitting the head", "looking at hair and colours", "building the head", "painting the head",
          "comparing with the photograph", "judging the likeness")
CLOCK = 100  # the folder's clock counts percent


class Ended(Exception):
    """Somebody asked the inversion to end."""


class InvertTelling:
    """The progress of one inversion, for onlookers of a folder; without a folder only for the terminal.

    Args:
        folder: made when it is not there; None for none.
        bars: called with what is being done, and thousandths done of thousand.
    """

    def __init__(self, folder: Path | None, bars: Callable[[str, int, int], None]) -> None:
        self._run = RunFolder(folder) if folder is not None else None
        self._bars = bars
        self._status = RunStatus(RunState.PREPARING, phases=PHASES, total_images=CLOCK, started=_now())
        self._began = time.monotonic()

    @contextlib.contextmanager
    def telling(self) -> Iterator[None]:
        """While inside, the folder shows a live run; afterwards how it ended."""
        if self._run is None:
            yield
            return
        self._run.clear_requests()
        self._write(RunState.RUNNING)
        try:
            with self._run.heartbeat():
                yield
        except Ended:
            self._write(RunState.STOPPED, "stopped")
            raise
        except AgoraError as error:
            self._write(RunState.FAILED, f"{error.message}. {error.hint}" if error.hint else error.message)
            raise
        except BaseException as error:
            self._write(RunState.FAILED, f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
            raise
        self._status = replace(self._status, images=CLOCK)
        self._write(RunState.FINISHED)

    def __call__(self, news: InvertProgress) -> None:
        """Passes news on.

        Raises:
            Ended: it was asked to end.
        """
        self._bars(news.stage, round(1000 * news.done), 1000)
        if self._run is None:
            return
        if self._run.take_request() in (Request.STOP, Request.ABORT):
            raise Ended
        percent = min(math.floor(CLOCK * news.done), CLOCK)
        elapsed = time.monotonic() - self._began
        self._status = replace(self._status, phase=news.stage, images=percent, cpu_seconds=time.process_time(),
                               eta_seconds=elapsed * (1 - news.done) / news.done if news.done > 0.05 else None)
        if news.preview is not None:
            with contextlib.suppress(OSError):  # a picture less
                write_atomically(self._run.sample_file(percent), png(news.preview))
        self._write(RunState.RUNNING)

    def report(self, route: str, scores: PhotoScore, warnings: tuple[str, ...]) -> None:
        """What came out, for onlookers."""
        if self._run is not None:
            text = json.dumps({"route": route, "scores": plain(scores), "warnings": list(warnings)}, indent=1)
            write_atomically(self._run.report, text.encode())

    def _write(self, state: RunState, message: str = "") -> None:
        self._status = replace(self._status, state=state, message=message)
        with contextlib.suppress(OSError):  # onlookers hear less; the work goes on
            self._run.write_status(self._status)


def plain(scores: PhotoScore) -> dict[str, Any]:
    """For JSON: what is not known is null."""
    return {name: float(value) if math.isfinite(value) else None for name, value in asdict(scores).items()}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
