"""The capture stage: plays one source at a time into a slot, notices when it is lost, and brings it back by itself."""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2

from core.errors import AgoraError
from core.pipeline.live.state import Captured, FrameSource, SourceState, SourceStatus
from core.pipeline.live.watchdog import Trouble, Watchdog, back_off, picture_mark
from core.pipeline.slots import Slot, SlotClosed
from core.types import Frame

log = logging.getLogger(__name__)

LOST_DETAIL = "Camera lost – reconnecting"
_FPS_WINDOW_NS = 2_000_000_000
_SLOW_OPENING_NS = 3_000_000_000
_LONGEST_OPENING_NS = 15_000_000_000
_STEADY_NS = 5_000_000_000  # a camera that has run so long since it came back starts with the shortest wait when lost again
_TICK_SECONDS = 0.05
_MOST_STUCK_THREADS = 3
_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class Timer(Protocol):
    """Measures stages, as `core.pipeline.timing.StageTimer`."""

    def stage(self, name: str) -> AbstractContextManager: ...


@dataclass(eq=False)
class _Run:
    """One opening of a source, with the thread that it lives in. Given up, it ends by itself whenever the driver lets it."""

    original: FrameSource
    source: FrameSource
    started_ns: int
    predecessors: list[_Run]
    watchdog: Watchdog | None = None  # once it is open
    first_item_ns: int | None = None
    given_up: bool = False
    stuck: bool = False  # as far as can be told from outside
    ended: threading.Event = field(default_factory=threading.Event)


class Capture:
    """Plays sources. All methods may be called from any thread and return at once, but for `stop`.

    A thread opens and reads each source; another one only watches. A thread that hangs in a driver is left behind and never
    waited for.

    Args:
        out: where what was captured goes.
        clock: nanoseconds.
        timer: told the processor time of the stage "capture".
        release_seconds: how long a camera may take to be released before it is opened again all the same.
    """

    def __init__(self, out: Slot[Captured], clock: Callable[[], int] = time.perf_counter_ns, timer: Timer | None = None,
                 release_seconds: float = 2.0) -> None:
        self._out, self._clock, self._timer, self._release_seconds = out, clock, timer, release_seconds
        self._condition = threading.Condition()
        self._source: FrameSource | None = None
        self._run: _Run | None = None
        self._leaving: list[_Run] = []
        self._status = SourceStatus()
        self._arrivals: deque[int] = deque()
        self._retry_ns: int | None = None
        self._attempt = 0
        self._still: int | None = None
        self._dropped_before = 0
        self._options = (False, 0)
        self._watcher: threading.Thread | None = None
        self._stopped = False

    # ---------------------------------------------------------------------------------------------------------- controls

    def play(self, source: FrameSource | None) -> None:
        """Play a source from now on, or none. The one before is closed in its own thread."""
        with self._condition:
            if self._stopped:
                return
            self._give_up()
            self._source, self._attempt, self._still = source, 0, None
            self._dropped_before = self._out.dropped
            if source is None:
                self._status = SourceStatus()
                return
            self._status = SourceStatus(SourceState.OPENING, source.name)
            self._begin()

    def retry(self) -> None:
        """Try a source again that failed, was lost or is over."""
        with self._condition:
            if self._status.state is SourceState.LOST and self._run is None:
                self._retry_ns, self._attempt = self._clock(), 0
                self._condition.notify_all()
            elif self._status.state in (SourceState.FAILED, SourceState.ENDED):
                self.play(self._source)

    def set_options(self, mirror: bool, rotation: int) -> None:
        """Turn pictures clockwise by 0, 90, 180 or 270 degrees, then mirror them left to right."""
        self._options = (mirror, rotation)

    def status(self) -> SourceStatus:
        """How the source is doing now."""
        with self._condition:
            return replace(self._status, fps=self._fps())

    @property
    def dropped(self) -> int:
        """Items overwritten in the slot before anybody took them, since the source was set."""
        return self._out.dropped - self._dropped_before

    def stop(self, timeout: float = 2.0) -> bool:
        """End all threads. Returns whether they ended in time; one that hangs in a driver is left behind."""
        deadline = time.monotonic() + timeout
        with self._condition:
            self.play(None)
            self._stopped = True
            leaving, watcher = list(self._leaving), self._watcher
            self._condition.notify_all()
        if watcher is not None:
            watcher.join(max(0.0, deadline - time.monotonic()))
        return all(run.ended.wait(0 if run.stuck else max(0.0, deadline - time.monotonic())) for run in leaving)

    # ---------------------------------------------------------------------------------------------------------- watching

    def check(self) -> None:
        """Look whether the source is well, and open it again when its time has come. Called twenty times a second."""
        with self._condition:
            now, run = self._clock(), self._run
            self._leaving = [left for left in self._leaving if not left.ended.is_set()]
            if run is None:
                if self._retry_ns is not None and now >= self._retry_ns and len(self._leaving) < _MOST_STUCK_THREADS:
                    self._begin()
            elif not run.source.is_live:
                return
            elif run.watchdog is None:
                self._check_opening(run, now)
            else:
                self._check_pictures(run, run.watchdog, now)

    def _check_opening(self, run: _Run, now: int) -> None:
        waited = now - run.started_ns
        if waited >= _LONGEST_OPENING_NS:
            run.stuck = True
            self._lose(run, f"{run.source.name} does not answer", "unplug it and plug it in again")
        elif waited >= _SLOW_OPENING_NS and self._status.state is SourceState.OPENING:
            self._status = replace(self._status, detail=f"{run.source.name} takes long to answer")

    def _check_pictures(self, run: _Run, watchdog: Watchdog, now: int) -> None:
        trouble = watchdog.trouble(now)
        run.stuck = trouble is Trouble.SILENT
        if trouble is Trouble.FROZEN:
            self._still = watchdog.mark
        if trouble is not None:
            self._lose(run, f"{run.source.name} delivers no pictures", trouble.value)
        elif self._status.state is SourceState.RUNNING:
            detail = "The picture stands still" if watchdog.is_still(now) else ""
            self._status = replace(self._status, detail=detail)

    def _watch(self) -> None:
        while True:
            with self._condition:
                idle = self._retry_ns is None and (self._run is None or not self._run.source.is_live)
                if not self._stopped:
                    self._condition.wait(None if idle else _TICK_SECONDS)
                if self._stopped:
                    return
            self.check()

    # ----------------------------------------------------------------------------------- inside; the lock is held in these

    def _begin(self) -> None:
        """Open the source in a thread of its own, behind those that still hold the same camera."""
        source = self._source
        holders = [left for left in self._leaving if not left.ended.is_set()
                   and (left.original is source or _same_device(left.source, source))]
        taken = source.is_live and any(left.original is source for left in holders)  # a thread may hang in it
        self._run = _Run(source, copy.copy(source) if taken else source, self._clock(), holders)
        self._retry_ns = None
        threading.Thread(target=self._work, args=(self._run,), name=f"capture {source.name}", daemon=True).start()
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="capture watch", daemon=True)
            self._watcher.start()
        self._condition.notify_all()

    def _give_up(self) -> None:
        """Let the run under way end by itself, whenever that is."""
        if self._run is not None:
            self._run.given_up = True
            self._leaving.append(self._run)
        self._run, self._retry_ns = None, None
        self._arrivals.clear()

    def _lose(self, run: _Run, message: str, hint: str) -> None:
        """The source has failed: for good when it never ran or is a file, else until it comes back."""
        was_running = self._status.state in (SourceState.RUNNING, SourceState.LOST)
        if run.first_item_ns is not None and self._clock() - run.first_item_ns >= _STEADY_NS:
            self._attempt = 0
        self._give_up()
        if not (run.source.is_live and was_running):
            self._status = SourceStatus(SourceState.FAILED, run.source.name, message, hint)
            return
        if self._status.state is SourceState.RUNNING:
            log.warning("%s is lost: %s %s", run.source.name, message, hint)
        self._status = SourceStatus(SourceState.LOST, run.source.name, LOST_DETAIL, hint or message)
        self._retry_ns = self._clock() + back_off(self._attempt)
        self._attempt += 1
        self._condition.notify_all()

    def _fps(self) -> float:
        since = self._clock() - _FPS_WINDOW_NS
        while self._arrivals and self._arrivals[0] < since:
            self._arrivals.popleft()
        if len(self._arrivals) < 2 or self._arrivals[-1] <= self._arrivals[0]:
            return 0.0
        return (len(self._arrivals) - 1) * 1e9 / (self._arrivals[-1] - self._arrivals[0])

    # --------------------------------------------------------------------------------------------- in the source's thread

    def _work(self, run: _Run) -> None:
        try:
            deadline = time.monotonic() + self._release_seconds
            for holder in run.predecessors:
                holder.ended.wait(max(0.0, deadline - time.monotonic()))
            if not run.given_up:
                self._play_to_end(run)
        except SlotClosed:
            with self._condition:
                if not run.given_up:
                    self._give_up()
                    self._status = SourceStatus()
        except Exception as error:
            self._report(run, error)
        finally:
            try:
                run.source.close()
            except Exception:
                log.exception("%s cannot be closed", run.source.name)
            run.predecessors.clear()
            run.ended.set()

    def _play_to_end(self, run: _Run) -> None:
        run.source.open()
        with self._condition:
            run.watchdog = Watchdog(self._clock(), self._still)
        while not run.given_up:
            with self._timer.stage("capture") if self._timer else nullcontext():
                captured = run.source.read()
                mark = picture_mark(captured.value.image) if _is_picture(captured) and run.source.is_live else None
                captured = captured and self._turned(captured)
            if captured is not None:
                self._deliver(run, captured, mark)

    def _turned(self, captured: Captured) -> Captured:
        mirror, rotation = self._options
        if not isinstance(captured.value, Frame) or not (mirror or rotation):
            return captured
        image = captured.value.image
        if rotation in _TURNS:
            image = cv2.rotate(image, _TURNS[rotation])
        if mirror:
            image = cv2.flip(image, 1)
        return replace(captured, value=replace(captured.value, image=image))

    def _deliver(self, run: _Run, captured: Captured, mark: int | None) -> None:
        with self._condition:
            if run.given_up:
                return
            now = self._clock()
            run.watchdog.received(now, mark)
            if run.first_item_ns is None:
                run.first_item_ns = now
            if self._status.state is not SourceState.RUNNING:
                log.info("%s is running", run.source.name)
                self._status = SourceStatus(SourceState.RUNNING, run.source.name)
            if isinstance(captured.value, Frame):
                height, width = captured.value.image.shape[:2]
                if (width, height) != (self._status.width, self._status.height):
                    self._status = replace(self._status, width=width, height=height)
            self._arrivals.append(now)
            self._out.put(captured, captured.captured_ns)

    def _report(self, run: _Run, error: Exception) -> None:
        if not isinstance(error, AgoraError | EOFError):
            log.error("%s failed", run.source.name, exc_info=error)
        with self._condition:
            if run.given_up:
                return
            if isinstance(error, EOFError) and not run.source.is_live:
                self._give_up()
                self._status = replace(self._status, state=SourceState.ENDED, detail="", hint="")
            elif isinstance(error, AgoraError):
                self._lose(run, error.message, error.hint)
            else:
                self._lose(run, f"{run.source.name} failed: {error or type(error).__name__}", "")


def _is_picture(captured: Captured | None) -> bool:
    return captured is not None and isinstance(captured.value, Frame)


def _same_device(a: FrameSource, b: FrameSource) -> bool:
    return a.is_live and b.is_live and getattr(a, "device_id", a.name) == getattr(b, "device_id", b.name)
