"""Getting to know the person in front of the camera: guided calibration, profiles by name, a hint when one no longer fits."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Qt, Signal

from agora_app.models.calibration_words import Step, Words
from agora_app.settings.store import SettingsStore
from core.errors import AgoraError
from core.head.library import load_open_head
from core.pipeline.live.state import Observation
from core.tracking.calibration import Calibration, calibrate
from core.tracking.calibration_store import (
    list_calibrations,
    load_calibration,
    plain_name,
    remove_calibration,
    rename_calibration,
    save_calibration,
)
from core.tracking.drift import DriftMonitor
from core.tracking.guided_calibration import Guidance, GuidedCalibration, Phase, face_brightness, fit_error
from core.tracking.landmark_rig import LandmarkRig
from core.types import TrackState

log = logging.getLogger(__name__)
GOOD_RESIDUAL, FAIR_RESIDUAL = 0.013, 0.022  # fractions of the inter-ocular distance
_TELL_SECONDS = 0.05
_STATE_SECONDS = 0.25
_JOIN_SECONDS = 20.0


@dataclass(frozen=True)
class FaceState:
    """How the tracking is doing.

    Attributes:
        found: a face is seen.
        residual: smoothed fit error; 0 when there is none.
    """

    found: bool = False
    residual: float = 0.0

    @property
    def quality(self) -> str:
        """"good", "fair" or "poor"; empty without a face."""
        if not self.found or self.residual <= 0:
            return ""
        return "good" if self.residual < GOOD_RESIDUAL else "fair" if self.residual < FAIR_RESIDUAL else "poor"


@dataclass(frozen=True, eq=False)
class _Result:
    """What the computing thread brings home."""

    run: int
    calibration: Calibration | None
    before: float
    after: float
    reason: str = ""


class CalibrationModel(QObject):
    """Leads through calibrations and keeps them by name, per person and camera.

    Signals:
        phase_changed: (`Step`, or None when nothing is going on) what the user is to do now, or what came of it.
        progress: (0..1) of the present phase.
        profiles_changed: the list of profiles, or which one is used.
        drift: (text) the calibration in use no longer fits; empty when that is over.
        state_changed: (`FaceState`) a few times a second.
        failed: (what, hint) a profile cannot be read, saved, renamed or removed.

    Args:
        make_rig: the head model at the landmarks, made when it is first needed, in the computing thread.
    """

    phase_changed = Signal(object)
    progress = Signal(float)
    profiles_changed = Signal()
    drift = Signal(str)
    state_changed = Signal(object)
    failed = Signal(str, str)
    _guided = Signal(int, object)
    _computed = Signal(object)
    _drifted = Signal(int, object)
    _seen = Signal(object)

    def __init__(self, session, store: SettingsStore, parent: QObject | None = None, *,
                 make_rig: Callable[[], LandmarkRig] | None = None,
                 calibrate: Callable[..., Calibration] = calibrate) -> None:
        super().__init__(parent)
        self._session, self._store = session, store
        self._make_rig, self._calibrate = make_rig or _open_head_rig, calibrate
        self._rig: LandmarkRig | None = None
        self._words = Words()
        self._lock = threading.Lock()  # guards what the tracker's thread touches: the guide, the monitor and their numbers
        self._guide: GuidedCalibration | None = None
        self._run = 0
        self._monitor: DriftMonitor | None = None
        self._watch = 0
        self._errors: list[float] = []
        self._told = (Guidance(Phase.CANCELLED), 0.0)
        self._level, self._state_told = 0.0, 0.0
        self._threads: list[threading.Thread] = []
        self._replaced: tuple[str, Calibration] | None = None  # what the last calibration was saved over
        self._step: Step | None = None
        self._result: Calibration | None = None
        self._current = ""
        self._camera = ""
        self._drift_text = ""
        self._closed = False
        for signal, slot in ((self._guided, self._on_guidance), (self._computed, self._on_computed),
                             (self._drifted, self._on_drift), (self._seen, self.state_changed)):
            signal.connect(slot, Qt.ConnectionType.QueuedConnection)
        self._smoothing = store.settings.tracking.smoothing
        session.set_smoothing(self._smoothing)
        store.changed.connect(self._on_settings)
        session.add_observer(self._observe)
        if name := store.settings.tracking.calibration:
            self._recall(name)

    # ------------------------------------------------------------------------------------------------------------- course

    @property
    def step(self) -> Step | None:
        """What the user is to do now; None when nothing is going on."""
        return self._step

    @property
    def is_running(self) -> bool:
        return self._step is not None and not self._step.phase.is_over

    @property
    def can_save(self) -> bool:
        """Whether there is a new calibration that `save_as` can keep under another name."""
        return self._result is not None

    @property
    def drift_text(self) -> str:
        """The hint that is on; empty for none."""
        return self._drift_text

    def start(self, with_range: bool = False) -> None:
        """Begin a calibration; one under way starts anew."""
        with self._lock:
            self._run += 1
            self._guide = GuidedCalibration(with_range)
            self._errors = []
            guidance = self._guide.guidance
            self._told = (guidance, 0.0)
        self._result = None
        self._show(guidance)

    def skip(self) -> None:
        """Pass over a step of the range."""
        self._steer(GuidedCalibration.skip)

    def cancel(self) -> None:
        """Give up, or put away what a finished calibration says."""
        with self._lock:
            self._guide = None
            self._run += 1
        if self._step is not None:
            self._step = None
            self.phase_changed.emit(None)

    def close(self) -> None:
        """Let go of the session and wait for a computation under way."""
        self._closed = True
        self._session.remove_observer(self._observe)
        with self._lock:
            self._guide, self._monitor = None, None
            self._run += 1
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    # ----------------------------------------------------------------------------------------------------------- profiles

    def profiles(self) -> list[str]:
        """Names of the profiles that are kept."""
        return list_calibrations()

    @property
    def current_name(self) -> str:
        """Profile in use; empty for automatic."""
        return self._current

    def save_as(self, name: str) -> bool:
        """Keep the calibration that was just made under a name, instead of the one it got by itself. Returns whether it is."""
        if self._result is None:
            self.failed.emit(self.tr("There is no new calibration to save"), self.tr("Calibrate first"))
            return False
        previous = self._step.name if self._step is not None else ""
        if not self._keep(name, self._result):
            return False
        if previous and previous != name:
            self._put_back(previous)
        self._adopt(name, self._result)
        if self._step is not None:
            self._step = replace(self._step, name=name)
            self.phase_changed.emit(self._step)
        return True

    def use(self, name: str) -> bool:
        """Go on with a profile, with "" automatically. Returns whether it can be used; `failed` says why not."""
        if not name:
            self._result = None
            self._adopt("", None)
            return True
        loaded: list[Calibration] = []
        if self._attempt(lambda: loaded.append(load_calibration(name, load_open_head().sha256))):
            self._result = None
            self._adopt(name, loaded[0])
            return True
        self.profiles_changed.emit()
        return False

    def remove(self, name: str) -> None:
        """Forget a profile; in use, tracking goes on automatically."""
        if self._attempt(lambda: remove_calibration(name)):
            self._forget_camera_of(name)
            if name == self._current:
                self._adopt("", None)
            self.profiles_changed.emit()

    def rename(self, name: str, new_name: str) -> bool:
        """Give a profile another name. Returns whether it has it; `failed` says why not."""
        if not self._attempt(lambda: rename_calibration(name, new_name)):
            return False
        tracking = self._store.settings.tracking
        self._store.change("tracking", calibration=new_name if tracking.calibration == name else tracking.calibration,
                           profiles={camera: new_name if profile == name else profile
                                     for camera, profile in tracking.profiles.items()})
        if self._current == name:
            self._current = new_name
        self.profiles_changed.emit()
        return True

    def camera_opened(self, camera_id: str) -> None:
        """Recall the profile that was last used with a camera; none was: automatic."""
        self._camera = camera_id
        name = self._store.settings.tracking.profiles.get(camera_id, "")
        if name not in self.profiles():
            name = ""
        if name != self._current:
            self._recall(name)

    # ----------------------------------------------------------------------------------------- in the tracker's thread

    def _observe(self, observation: Observation) -> None:
        params, landmarks = observation.params, observation.landmarks
        now = time.monotonic()
        with self._lock:
            if self._guide is not None and self._guide.phase not in (Phase.COMPUTING, Phase.DONE, Phase.FAILED):
                brightness = face_brightness(observation.frame.image, landmarks)
                before = self._guide.phase
                guidance = self._guide.update(landmarks, observation.frame.time_ns, brightness)
                if before is Phase.REST and params.state is TrackState.TRACKED:
                    self._errors.append(params.residual)
                last, told_at = self._told
                news = (guidance.phase, guidance.waiting) != (last.phase, last.waiting)
                if news or (guidance.progress != last.progress and now - told_at >= _TELL_SECONDS):
                    self._told = (guidance, now)
                    self._guided.emit(self._run, guidance)
            elif self._monitor is not None and self._guide is None:
                found = self._monitor.update(params)
                if found is not None:
                    self._drifted.emit(self._watch, found)
        self._tell_state(params.state is TrackState.TRACKED, params.residual, now)

    def _tell_state(self, found: bool, residual: float, now: float) -> None:
        if found:
            self._level = residual if self._level == 0 else self._level + 0.1 * (residual - self._level)
        else:
            self._level = 0.0
        if now - self._state_told >= _STATE_SECONDS:
            self._state_told = now
            self._seen.emit(FaceState(found, self._level))

    # ------------------------------------------------------------------------------------------- in the computing thread

    def _compute(self, run: int, guide: GuidedCalibration, before: float) -> None:
        try:
            if self._rig is None:
                self._rig = self._make_rig()
            clip, resting = guide.clip, guide.resting
            made = self._calibrate(self._rig, clip, resting=resting, head_sha256=load_open_head().sha256)
            result = _Result(run, made, before, fit_error(self._rig, made, [clip[i] for i in resting]))
        except AgoraError as error:
            result = _Result(run, None, before, 0.0, error.message)
        except Exception as error:  # a bad picture must not take the program down
            log.exception("the calibration failed")
            result = _Result(run, None, before, 0.0, str(error))
        self._computed.emit(result)

    # -------------------------------------------------------------------------------------------------- in the GUI's thread

    def _steer(self, what: Callable[[GuidedCalibration], Guidance]) -> None:
        with self._lock:
            if self._guide is None:
                return
            guidance = what(self._guide)
            self._told = (guidance, 0.0)
            run = self._run
        self._on_guidance(run, guidance)

    def _on_guidance(self, run: int, guidance: Guidance) -> None:
        if run != self._run or self._closed:
            return
        if guidance.phase.is_over:
            with self._lock:
                self._guide = None
        starts = guidance.phase is Phase.COMPUTING and (self._step is None or self._step.phase is not Phase.COMPUTING)
        self._show(guidance)
        if starts:
            with self._lock:
                guide, errors = self._guide, self._errors
            before = sum(errors) / len(errors) if errors else 0.0
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(target=self._compute, args=(run, guide, before), name="calibration", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _on_computed(self, result: _Result) -> None:
        if result.run != self._run or self._closed:
            return
        with self._lock:
            guide, self._guide = self._guide, None
        if result.calibration is None:
            self._show(guide.fail(result.reason))
            return
        guidance = guide.complete(result.calibration)
        self._result = result.calibration
        name = self._automatic_name()
        self._replaced = self._stored(name)
        saved = self._keep(name, result.calibration)
        self._adopt(name if saved else "", result.calibration)
        self._show(guidance, name=name if saved else "", before=result.before, after=result.after)

    def _show(self, guidance: Guidance, **more) -> None:
        before = self._step
        self._step = self._words.step(guidance, **more)
        if before is None or replace(before, progress=0.0) != replace(self._step, progress=0.0):
            self.phase_changed.emit(self._step)
        self.progress.emit(self._step.progress)

    def _on_drift(self, watch: int, found) -> None:
        if watch == self._watch and self._store.settings.tracking.drift_hints and not self._closed:
            self._set_drift(self._words.drift(found))

    def _set_drift(self, text: str) -> None:
        if text != self._drift_text:
            self._drift_text = text
            self.drift.emit(text)

    def _on_settings(self, section: str) -> None:
        tracking = self._store.settings.tracking
        if section == "tracking" and tracking.smoothing != self._smoothing:
            self._smoothing = tracking.smoothing
            self._session.set_smoothing(self._smoothing)

    # -------------------------------------------------------------------------------------------------------- profiles, inside

    def _automatic_name(self) -> str:
        """The profile that is being renewed, else the camera's name, numbered when somebody has it."""
        if self._current:
            return self._current
        base, taken = plain_name(self._session.source_status().name), set(self.profiles())
        return next(name for number in range(1, len(taken) + 2)
                    if (name := base if number == 1 else f"{base} {number}") not in taken)

    def _stored(self, name: str) -> tuple[str, Calibration] | None:
        """A profile by its name; None when there is none that can be read."""
        try:
            return name, load_calibration(name, load_open_head().sha256)
        except AgoraError:
            return None

    def _put_back(self, name: str) -> None:
        """Undo the saving under an automatic name: what was there before is there again."""
        if self._replaced is not None and self._replaced[0] == name:
            self._keep(*self._replaced)
        elif self._attempt(lambda: remove_calibration(name)):
            self._forget_camera_of(name)
        self._replaced = None

    def _keep(self, name: str, calibration: Calibration) -> bool:
        return self._attempt(lambda: save_calibration(name, calibration))

    def _adopt(self, name: str, calibration: Calibration | None) -> None:
        """Use a calibration and remember that."""
        self._current = name
        with self._lock:
            self._watch += 1
            self._monitor = None if calibration is None else DriftMonitor(calibration)
        self._session.set_calibration(calibration)
        profiles = dict(self._store.settings.tracking.profiles)
        if self._camera:
            profiles[self._camera] = name
        self._store.change("tracking", calibration=name, profiles=profiles)
        self._set_drift("")
        self.profiles_changed.emit()

    def _recall(self, name: str) -> None:
        """Use a profile that the settings name; one that cannot be read is no reason to complain."""
        try:
            calibration = load_calibration(name, load_open_head().sha256) if name else None
        except AgoraError as error:
            log.warning("the calibration of this camera cannot be used: %s", error)
            name, calibration = "", None
        self._adopt(name, calibration)

    def _forget_camera_of(self, name: str) -> None:
        profiles = {camera: profile for camera, profile in self._store.settings.tracking.profiles.items() if profile != name}
        self._store.change("tracking", profiles=profiles)

    def _attempt(self, what: Callable[[], object]) -> bool:
        try:
            what()
        except AgoraError as error:
            self.failed.emit(error.message, error.hint)
            return False
        return True


def _open_head_rig() -> LandmarkRig:
    from core.head.embedding import load_landmark_embedding

    head = load_open_head()
    return LandmarkRig.of(head, load_landmark_embedding(head))
