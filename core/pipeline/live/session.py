"""The live session: capture, tracking and drawing in their threads, joined by one-element slots in which the newest item wins."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import cv2

from core.avatar.pack import AvatarPack
from core.errors import AgoraError
from core.pipeline.live.capture import Capture
from core.pipeline.live.drawing import DrawingStage, Steers, steering_for
from core.pipeline.live.meters import Meters
from core.pipeline.live.state import (
    Captured,
    Cast,
    DriveControls,
    FrameSource,
    LivePicture,
    LiveStats,
    Look,
    Observation,
    Sink,
    SourceStatus,
)
from core.pipeline.live.tracking_stage import LiveTracker, Tracked, TrackingStage
from core.pipeline.slots import Slot, SlotClosed
from core.pipeline.timing import SlidingStageTimer
from core.tracking.calibration import Calibration

if TYPE_CHECKING:
    from core.avatar.backend import Backend

log = logging.getLogger(__name__)

STAGES = ("capture", "track", "drive", "render", "compose")
OUTPUT_STAGE = "output"
_TRACKER_WAITS_SECONDS = 1.0

Observer = Callable[[Observation], None]
MakeCapture = Callable[..., Capture]


def open_cpu_backend() -> Backend:
    """The backend that every machine has."""
    from core.avatar.backend_choice import open_backend

    return open_backend("cpu")


class LiveSession:
    """Everything live but the screen. All methods may be called from any thread and return at once, except `stop`.

    What is set before `start`, or while stopped, holds for the next start.

    Args:
        make_tracker: makes the tracker, in the tracker's thread, when the first frame comes.
        open_backend: opens what draws, in the drawing thread.
        clock: nanoseconds.
        make_capture: the capture stage; called with a slot, `clock` and `timer`.
        make_steering: the user's controls for a pack.
        open_fallback: opens what draws when `open_backend` raises.

    Attributes:
        on_picture: called in the drawing thread after each picture.
        on_problem: called with an error and the name of the stage in which it happened, from any thread.
    """

    def __init__(self, make_tracker: Callable[[], LiveTracker], open_backend: Callable[[], Backend], *,
                 clock: Callable[[], int] = time.perf_counter_ns, make_capture: MakeCapture = Capture,
                 make_steering: Callable[[AvatarPack], Steers] = steering_for,
                 open_fallback: Callable[[], Backend] = open_cpu_backend) -> None:
        self._make_tracker, self._open_backend, self._open_fallback = make_tracker, open_backend, open_fallback
        self._clock, self._make_capture, self._make_steering = clock, make_capture, make_steering
        self.on_picture: Callable[[], None] | None = None
        self.on_problem: Callable[[Exception, str], None] | None = None
        self._lock = threading.RLock()
        self._source: FrameSource | None = None
        self._options = (False, 0)
        self._wishes: dict[str, object] = {}
        self._calibration: Calibration | None = None
        self._smoothing: float | None = None
        self._observers: tuple[Observer, ...] = ()
        self._sinks: tuple[Sink, ...] = ()
        self._meters = Meters(clock)
        self._latest: LivePicture | None = None
        self._shown_index: int | None = None
        self._run: _Run | None = None

    # ----------------------------------------------------------------------------------------------------- start and stop

    def start(self) -> None:
        """Start the threads; nothing happens when they run already."""
        with self._lock:
            if self._run is not None:
                return
            cv2.setNumThreads(1)
            self._meters.clear()
            self._shown_index = None
            run = self._run = _Run(self)
            run.drawing.wish(**self._wishes)
            run.capture.set_options(*self._options)
            if self._calibration is not None:
                run.tracking.set_calibration(self._calibration)
            if self._smoothing is not None:
                run.tracking.set_smoothing(self._smoothing)
            for observer in self._observers:
                run.tracking.add_observer(observer)
            run.begin()
            run.play(self._source)

    def stop(self, timeout: float = 2.0) -> bool:
        """End all threads. Returns False when one is stuck: it is left behind and ends by itself when it can."""
        with self._lock:
            run, self._run = self._run, None
        return run is None or run.end(timeout)

    # ------------------------------------------------------------------------------------------------------------ controls

    def set_source(self, source: FrameSource | None) -> None:
        """Take frames or parameters from here on; the source before is closed in its own thread."""
        with self._lock:
            self._source = source
            if self._run is not None:
                self._run.play(source)

    def retry_source(self) -> None:
        """Try a source again that failed, was lost or is over."""
        with self._lock:
            if self._run is not None:
                self._run.capture.retry()

    def set_picture_options(self, mirror: bool, rotation: int) -> None:
        """Turn camera pictures clockwise by 0, 90, 180 or 270 degrees, then mirror them."""
        with self._lock:
            self._options = (mirror, rotation)
            if self._run is not None:
                self._run.capture.set_options(mirror, rotation)

    def set_cast(self, cast: Cast | None) -> None:
        """Who is on stage: one person or two, or nobody."""
        self._wish(cast=cast)

    def set_look(self, look: Look) -> None:
        """Size, camera, background and label of the picture."""
        self._wish(look=look)

    def set_drive(self, drive: DriveControls) -> None:
        """What the user changes about the motion."""
        self._wish(drive=drive)

    def set_paused(self, paused: bool) -> None:
        """Hold the motion; the source goes on, and the camera can still be moved."""
        self._wish(paused=paused)

    def set_quality(self, governor: bool, target_fps: int) -> None:
        """Whether quality may be lowered to keep a frame rate, and which."""
        self._wish(governor=governor, target_fps=target_fps)

    def rezero(self) -> None:
        """What is tracked next becomes the zero pose of relative driving, and where the head rests."""
        with self._lock:
            if self._run is not None:
                self._run.drawing.rezero()

    def set_calibration(self, calibration: Calibration | None) -> None:
        """A known person; None gets to know whoever comes, in the background."""
        with self._lock:
            self._calibration = calibration
            if self._run is not None:
                self._run.tracking.set_calibration(calibration)

    def set_smoothing(self, strength: float) -> None:
        """0 is off, 1 the default, larger is calmer."""
        with self._lock:
            self._smoothing = strength
            if self._run is not None:
                self._run.tracking.set_smoothing(strength)

    def add_sink(self, sink: Sink) -> None:
        """Give every picture to `sink` from now on."""
        with self._lock:
            self._sinks = (*self._sinks, sink)

    def remove_sink(self, sink: Sink) -> None:
        """Harmless for one that is not there. It may be given one more picture while this returns."""
        with self._lock:
            self._sinks = tuple(other for other in self._sinks if other is not sink)

    def add_observer(self, observer: Observer) -> None:
        """Have every tracked frame told to `observer`, in the tracker's thread."""
        with self._lock:
            self._observers = (*self._observers, observer)
            if self._run is not None:
                self._run.tracking.add_observer(observer)

    def remove_observer(self, observer: Observer) -> None:
        """Harmless for one that is not there."""
        with self._lock:
            self._observers = tuple(other for other in self._observers if other != observer)
            if self._run is not None:
                self._run.tracking.remove_observer(observer)

    # ------------------------------------------------------------------------------------------------------------- results

    def latest_picture(self) -> LivePicture | None:
        """The newest picture; None before the first one."""
        return self._latest

    def shown(self, picture: LivePicture) -> None:
        """The screen has painted `picture`; painting it again does not count."""
        if picture.index == self._shown_index:
            return
        self._shown_index = picture.index
        self._meters.shown.tick()
        if picture.fresh:
            self._meters.latency.add((self._clock() - picture.captured_ns) / 1e6)

    def source_status(self) -> SourceStatus:
        """How the source is doing."""
        run = self._run
        return SourceStatus() if run is None else run.capture.status()

    def stats(self) -> LiveStats:
        """How the chain is doing."""
        run, meters = self._run, self._meters
        if run is None:
            return LiveStats()
        median, high = meters.latency.percentiles()
        times = sorted((times for times in run.timer.report() if times.stage in STAGES), key=lambda t: STAGES.index(t.stage))
        return LiveStats(tuple(times), run.capture.status().fps, meters.tracked.rate(), meters.drawn.rate(), meters.shown.rate(),
                         median, high, run.dropped, run.drawing.quality, run.drawing.renderer)

    # -------------------------------------------------------------------------------------------------------------- inside

    def _wish(self, **changes) -> None:
        with self._lock:
            self._wishes.update(changes)
            if self._run is not None:
                self._run.wish(**changes)

    def _report(self, error: Exception, stage: str) -> None:
        expected = isinstance(error, AgoraError)
        log.warning("%s: %s", stage, error, exc_info=None if expected else error)
        if self.on_problem is not None:
            self.on_problem(error, stage)

    def _publish(self, picture: LivePicture) -> None:
        """Called in the drawing thread."""
        self._latest = picture
        self._meters.drawn.tick()
        for sink in self._sinks:
            try:
                sink.accept(picture)
            except Exception as error:
                self.remove_sink(sink)
                self._report(error, OUTPUT_STAGE)
        if self.on_picture is not None:
            self.on_picture()


class _Run:
    """The threads between one start and the next stop. A run that could not be ended never gets in the way of a later one."""

    def __init__(self, session: LiveSession) -> None:
        self._session = session
        clock = session._clock
        self.timer = SlidingStageTimer()
        self._captured: Slot[Captured] = Slot()
        self._tracked: Slot[Tracked] = Slot()
        self.capture = session._make_capture(self._captured, clock=clock, timer=self.timer)
        self.tracking = TrackingStage(session._make_tracker, self._report, clock, self.timer)
        self.drawing = DrawingStage(session._open_backend, session._open_fallback, self._report, clock, self.timer,
                                    session._make_steering, lambda: self.capture.status().fps)
        self._overwritten_before = 0
        self._ended = False
        self._threads = [threading.Thread(target=self._draw, name="live drawing", daemon=True),
                         threading.Thread(target=self._track, name="live tracking", daemon=True)]

    @property
    def dropped(self) -> int:
        """Items that were overwritten in either slot since the source was set."""
        return self.capture.dropped + self._tracked.dropped - self._overwritten_before

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def play(self, source: FrameSource | None) -> None:
        """Change the source. Nothing that the old one has captured is seen after this."""
        self.capture.play(None)
        self.tracking.new_source()
        self.drawing.new_source()
        self._overwritten_before = self._tracked.dropped
        self.capture.play(source)
        self._tracked.poke()

    def wish(self, **changes) -> None:
        self.drawing.wish(**changes)
        self._tracked.poke()

    def end(self, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        self._ended = True
        for slot in (self._captured, self._tracked):
            slot.close()
        stopped = self.capture.stop(max(0.0, deadline - time.monotonic()))
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if stuck:
            log.warning("left behind: %s", ", ".join(stuck))
        return stopped and not stuck

    def _track(self) -> None:
        try:
            while not self._ended:
                item = self._captured.take(_TRACKER_WAITS_SECONDS)
                tracked = self.tracking.step(item.value) if item is not None else None
                if tracked is not None:
                    self._session._meters.tracked.tick()
                    self._tracked.put(tracked, tracked.captured_ns)
        except SlotClosed:
            pass
        except Exception as error:
            self._report(error, "tracking")
        finally:
            self.tracking.close()

    def _draw(self) -> None:
        try:
            self.drawing.open()
            while not self._ended:
                item = self._tracked.take(self.drawing.wait_seconds())
                picture = self.drawing.step(item.value if item is not None else None)
                if picture is not None and not self._ended:
                    self._session._publish(picture)
        except SlotClosed:
            pass
        except Exception as error:
            self._report(error, "drawing")
        finally:
            self.drawing.close()

    def _report(self, error: Exception, stage: str) -> None:
        if not self._ended:
            self._session._report(error, stage)
