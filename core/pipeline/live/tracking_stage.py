"""The tracking stage: captured frames become head parameters; parameters that need no tracking pass it by."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from core.pipeline.live.state import Captured, Observation
from core.pipeline.timing import StageTimer
from core.tracking.calibration import Calibration
from core.types import Frame, HeadParams, Landmarks

STAGE = "tracking"
Report = Callable[[Exception, str], None]  # what went wrong, in which stage
Observer = Callable[[Observation], None]


class Landmarker(Protocol):
    """Finds the landmarks of a face."""

    def detect(self, frame: Frame) -> Landmarks | None: ...


class LiveTracker(Protocol):
    """What follows a face (`core.tracking.tracker.Tracker`)."""

    landmarker: Landmarker

    def update_landmarks(self, landmarks: Landmarks | None, time_ns: int) -> HeadParams: ...

    def use(self, calibration: Calibration | None) -> None: ...

    def set_smoothing(self, strength: float) -> None: ...

    def reset(self) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, eq=False)
class Tracked:
    """What the drawing stage gets.

    Attributes:
        params: the head; None when a frame could not be tracked because there is no tracker.
        captured_ns: `perf_counter_ns` of the capture.
        frame, landmarks: of cameras and videos.
        position_ns, lap: as in `core.pipeline.live.state.Captured`.
    """

    params: HeadParams | None
    captured_ns: int
    frame: Frame | None = None
    landmarks: Landmarks | None = None
    position_ns: int | None = None
    lap: int = 0


class TrackingStage:
    """Turns one captured item after another into `Tracked`. `step` and `close` belong to its thread, the rest to anybody.

    The tracker is made when the first frame comes: motion clips and the demo do not wait for it.

    Args:
        make_tracker: called in the stage's thread.
        report: told what goes wrong, once for each source.
        clock: nanoseconds.
        timer: told the stage "track".
    """

    def __init__(self, make_tracker: Callable[[], LiveTracker], report: Report, clock: Callable[[], int] = time.perf_counter_ns,
                 timer: StageTimer | None = None) -> None:
        self._make_tracker, self._report, self._clock = make_tracker, report, clock
        self._timer = timer or StageTimer()
        self._lock = threading.Lock()
        self._tracker: LiveTracker | None = None
        self._calibration: Calibration | None = None
        self._smoothing: float | None = None
        self._observers: tuple[Observer, ...] = ()
        self._since_ns = 0
        self._new_source = self._new_calibration = self._new_smoothing = False
        self._gave_up = self._complained = False

    # ----------------------------------------------------------------------------------------------- from any thread

    def new_source(self) -> None:
        """What was captured before now counts no more; the next frame may show another person."""
        with self._lock:
            self._since_ns, self._new_source = self._clock(), True

    def set_calibration(self, calibration: Calibration | None) -> None:
        """A known person, or None to get to know whoever comes."""
        with self._lock:
            self._calibration, self._new_calibration = calibration, True

    def set_smoothing(self, strength: float) -> None:
        """As `core.tracking.tracker.Tracker.set_smoothing`."""
        with self._lock:
            self._smoothing, self._new_smoothing = strength, True

    def add_observer(self, observer: Observer) -> None:
        """Have every tracked frame told to `observer`, in the stage's thread."""
        with self._lock:
            self._observers = (*self._observers, observer)

    def remove_observer(self, observer: Observer) -> None:
        """Harmless for one that is not there."""
        with self._lock:
            self._observers = tuple(other for other in self._observers if other != observer)

    # --------------------------------------------------------------------------------------------- in the stage's thread

    def step(self, captured: Captured) -> Tracked | None:
        """The item tracked; None when it belongs to a source that is gone."""
        if captured.captured_ns < self._since_ns:
            return None
        value = captured.value
        if isinstance(value, HeadParams):
            return Tracked(value, captured.captured_ns, None, None, captured.position_ns, captured.lap)
        landmarks, params = self._track(value)
        if params is not None:
            self._tell(Observation(value, landmarks, params))
        return Tracked(params, captured.captured_ns, value, landmarks, captured.position_ns, captured.lap)

    def close(self) -> None:
        """Free the tracker."""
        if self._tracker is not None:
            self._tracker.close()
            self._tracker = None

    def _track(self, frame: Frame) -> tuple[Landmarks | None, HeadParams | None]:
        try:
            tracker = self._ready_tracker()
            if tracker is None:
                return None, None
            with self._timer.stage("track"):
                landmarks = tracker.landmarker.detect(frame)
                return landmarks, tracker.update_landmarks(landmarks, frame.time_ns)
        except Exception as error:
            self._complain(error)
            return None, None

    def _ready_tracker(self) -> LiveTracker | None:
        """The tracker, with everything that was wished for; None when there is none to be had."""
        with self._lock:
            wishes = (self._new_source, self._new_calibration, self._new_smoothing)
            calibration, smoothing = self._calibration, self._smoothing
            self._new_source = self._new_calibration = self._new_smoothing = False
        new_source, new_calibration, new_smoothing = wishes
        if new_source:
            self._gave_up = self._complained = False
        if self._gave_up:
            return None
        fresh = self._tracker is None
        if fresh:
            try:
                self._tracker = self._make_tracker()
            except Exception:
                self._gave_up = True
                raise
        tracker = self._tracker
        if new_source and not fresh:
            tracker.reset()
        if (calibration is not None and (fresh or new_calibration)) or (calibration is None and not fresh
                                                                        and (new_source or new_calibration)):
            tracker.use(calibration)
        if smoothing is not None and (fresh or new_smoothing):
            tracker.set_smoothing(smoothing)
        return tracker

    def _tell(self, observation: Observation) -> None:
        for observer in self._observers:
            try:
                observer(observation)
            except Exception as error:
                self.remove_observer(observer)
                self._report(error, STAGE)

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            self._report(error, STAGE)
