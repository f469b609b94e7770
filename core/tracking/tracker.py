"""A video of a face in, head parameters out: live frame by frame, or a whole clip at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.assets import landmarker_model_path
from core.geometry import axis_angle_from_rotation
from core.head.embedding import load_landmark_embedding
from core.head.model import HeadModel
from core.tracking.blink import lid_closure
from core.tracking.calibration import MINIMUM_FRAMES, Calibration, calibrate
from core.tracking.filters import ParamsFilter, SmoothingSettings, smooth_recording
from core.tracking.gaze import GazeTracker, eye_directions, eye_pose
from core.tracking.landmark_rig import LandmarkRig
from core.tracking.lids import LidColumns
from core.tracking.loss import LossPolicy, Plausibility
from core.tracking.mediapipe_landmarker import FaceLandmarker
from core.tracking.mouth import ClosedMouthRule, lip_gap, lips_closed
from core.tracking.score_prior import ScorePrior
from core.tracking.solver import Fit, FitSettings, HeadSolver, viewer_points
from core.types import Frame, HeadParams, Landmarks, TrackState

CALIBRATE_AFTER_SECONDS = (2.0, 10.0)  # of tracked face; the second look has seen more of the person
CALIBRATION_FRAMES = 300
FIRST_PASSES = 4
OFFLINE_PASSES = 2  # Gauss-Newton steps per frame where there is time


@dataclass(frozen=True)
class TrackSettings:
    """Everything a user may want to change.

    Attributes:
        fit: strengths of the fit's terms.
        smoothing: filters of live tracking; recordings are smoothed with the same, without delay.
        plausibility: what is not believed to be a face.
        close_lips: apply the closed-mouth rule.
    """

    fit: FitSettings = field(default_factory=FitSettings)
    smoothing: SmoothingSettings = field(default_factory=SmoothingSettings)
    plausibility: Plausibility = field(default_factory=Plausibility)
    close_lips: bool = True


class FaceFitter:
    """Landmarks of one person to head parameters, without filters: fit, blinks, gaze and lips put together.

    Args:
        rig: the head model at the landmarks.
        calibration: the person; the average person at first.
    """

    def __init__(self, rig: LandmarkRig, settings: TrackSettings, calibration: Calibration | None = None) -> None:
        self.rig = rig
        self.settings = settings
        self._solver = HeadSolver(rig, settings.fit)
        self._prior = ScorePrior(rig)
        self._mouth = ClosedMouthRule(rig)
        self._gaze = GazeTracker()
        self._lids = LidColumns(rig)
        self._fit: Fit | None = None
        self.use(calibration or Calibration.nobody())

    def use(self, calibration: Calibration) -> None:
        """Go on with another calibration."""
        self.calibration = calibration
        self._joints = calibration.joints(self.rig)
        calibration.apply(self._solver)

    def reset(self) -> None:
        """Forget the last frame, as after a loss or a seek."""
        self._fit = None
        self._gaze.reset()

    def __call__(self, landmarks: Landmarks, passes: int = 1) -> HeadParams | None:
        """Parameters of the face in a frame, or None when the fit is not plausible.

        Args:
            passes: Gauss-Newton steps. With one, the lids follow the gaze a frame later.
        """
        observed = viewer_points(landmarks)
        closure = lid_closure(landmarks, self.calibration.lids)
        previous = fit = self._fit
        if fit is None:
            fit = self._solver.start(landmarks)
            passes = max(passes, FIRST_PASSES)
        gaze = self._gaze.current
        for _ in range(passes):
            lids = self._lids.coefficients(gaze, closure)
            prior = self._prior(landmarks.scores, self.calibration.neutral_scores, lids)
            fit = self._solver.refine(fit, observed, prior, previous)
            angles = eye_directions(landmarks, fit, self._joints, self.rig.eyeball_radius)
            gaze = self._gaze.update(angles, closure, self.calibration.gaze)
        errors = self._solver.errors(fit, observed)
        fit = replace(fit, residual=float(errors.mean()))
        if self.settings.plausibility.reason_against(fit):
            self.reset()
            return None
        self._fit = fit
        return self._params(landmarks, fit, gaze, lids)

    def _params(self, landmarks: Landmarks, fit: Fit, gaze: NDArray, lids: dict[int, float]) -> HeadParams:
        expression = fit.expression.copy()
        if self.settings.close_lips:
            closed = lips_closed(lip_gap(landmarks), self.calibration.lip_gap)
            expression = self._mouth(expression, fit.jaw, closed)
        for column, value in lids.items():
            expression[column] = value
        self._lids.keep_shut(expression)
        jaw = (fit.jaw[0] * self.rig.jaw_open_angle, fit.jaw[1] * self.rig.jaw_yaw_angle, 0.0)
        return HeadParams(
            expression=expression.astype(np.float32), jaw_pose=np.array(jaw, np.float32),
            left_eye_pose=eye_pose(gaze[0]), right_eye_pose=eye_pose(gaze[1]),
            head_rotation=axis_angle_from_rotation(fit.rotation).astype(np.float32),
            head_translation=fit.translation.astype(np.float32), shape=self.calibration.shape.astype(np.float32),
            state=TrackState.TRACKED, residual=fit.residual, time_ns=landmarks.time_ns,
            scores=(landmarks.scores - self.calibration.neutral_scores).astype(np.float32),
        )


class BackgroundCalibration:
    """Collects frames of a face and calibrates on them in a thread of its own.

    Args:
        rig: the head model at the landmarks.
        head_sha256: hash of the head model, stored with the result.
        work: what calibrates; called in the thread.
    """

    def __init__(self, rig: LandmarkRig, head_sha256: str, work: Callable[..., Calibration] = calibrate) -> None:
        self._rig = rig
        self._sha256 = head_sha256
        self._calibrate = work
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        """Start over with a new person."""
        self._clip: list[Landmarks] = []
        self._seconds = 0.0
        self._due = list(CALIBRATE_AFTER_SECONDS)
        self._result: Calibration | None = None
        self._generation = getattr(self, "_generation", 0) + 1
        self._thread: threading.Thread | None = None

    def add(self, landmarks: Landmarks) -> None:
        """Take a tracked frame; starts the work when enough has been seen."""
        if not self._due:
            return
        if self._clip:
            self._seconds += min((landmarks.time_ns - self._clip[-1].time_ns) * 1e-9, 0.2)
        self._clip.append(landmarks)
        busy = self._thread is not None and self._thread.is_alive()
        if self._seconds >= self._due[0] and len(self._clip) >= MINIMUM_FRAMES and not busy:
            self._due.pop(0)
            self._thread = threading.Thread(target=self._work, args=(self._clip[:], self._generation), daemon=True)
            self._thread.start()

    def take(self) -> Calibration | None:
        """A finished calibration, once."""
        with self._lock:
            result, self._result = self._result, None
        return result

    def join(self) -> None:
        """Wait for work under way."""
        if self._thread is not None:
            self._thread.join()

    def _work(self, clip: list[Landmarks], generation: int) -> None:
        step = max(1, len(clip) // CALIBRATION_FRAMES)
        result = self._calibrate(self._rig, clip[::step], head_sha256=self._sha256)
        with self._lock:
            if generation == self._generation:
                self._result = result


class Tracker:
    """Follows one face through a video.

    Use it from one thread; close it there or use it as a context manager.

    Args:
        head: the head model to fit.
        model_path: MediaPipe's ``face_landmarker.task``.
        settings: strengths, filters and rules.
        calibration: a known person. Without one the first seconds are used to get to know them, in the background.
        landmarker: what finds landmarks; a `FaceLandmarker` by default.
        calibrate: what gets to know a person in the background, in a thread
            (`core.tracking.calibration_child.calibrate_apart` leaves the interpreter to the live threads).

    Raises:
        AssetError: the landmark model is missing or unusable.
        HeadModelError: the landmarks of `head` are not known.
    """

    def __init__(self, head: HeadModel, model_path: str | Path | None = None, settings: TrackSettings | None = None,
                 calibration: Calibration | None = None, landmarker: FaceLandmarker | None = None,
                 calibrate: Callable[..., Calibration] = calibrate) -> None:
        if landmarker is None:
            landmarker = FaceLandmarker(model_path or landmarker_model_path())
        self.settings = settings or TrackSettings()
        self.rig = LandmarkRig.of(head, load_landmark_embedding(head))
        self.landmarker = landmarker
        self._sha256 = head.sha256
        self._fitter = FaceFitter(self.rig, self.settings, calibration)
        self._filter = ParamsFilter(self.settings.smoothing, blink_columns(self.rig))
        self._loss = LossPolicy(head.expression_count)
        self._calibrate = calibrate
        self._background = None if calibration is not None else self._new_background()

    def __enter__(self) -> Tracker:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def calibration(self) -> Calibration:
        """The person as known now."""
        return self._fitter.calibration

    def update(self, frame: Frame) -> HeadParams:
        """The head in a live frame: fitted, filtered, and bridged over losses."""
        return self.update_landmarks(self.landmarker.detect(frame), frame.time_ns)

    def update_landmarks(self, landmarks: Landmarks | None, time_ns: int) -> HeadParams:
        """As `update`, for landmarks that were found elsewhere (None: no face)."""
        if self._background is not None and (fresh := self._background.take()) is not None:
            self._fitter.use(fresh)
        fitted = self._fitter(landmarks) if landmarks is not None else None
        if fitted is None:
            self._fitter.reset()
            self._filter.reset()
        else:
            fitted = self._filter(fitted)
            if self._background is not None:
                self._background.add(landmarks)
        return self._loss.update(fitted, time_ns)

    def use(self, calibration: Calibration | None) -> None:
        """Go on with a known person; None gets to know whoever comes, in the background, from the average person on."""
        self._background = None if calibration is not None else self._new_background()
        self._fitter.use(calibration or Calibration.nobody(self._sha256))

    def set_smoothing(self, strength: float) -> None:
        """Smooth live tracking more or less from now on: 0 turns it off, 1 is the default, larger is calmer."""
        self.settings = replace(self.settings, smoothing=replace(self.settings.smoothing, strength=strength))
        self._filter.set_strength(strength)

    def recalibrate(self) -> None:
        """Get to know the person anew, from now on."""
        self._background = self._new_background()

    def reset(self) -> None:
        """Start anew after a seek or a change of source. The calibration stays."""
        self.landmarker.reset()
        self._fitter.reset()
        self._filter.reset()
        self._loss.reset()

    def close(self) -> None:
        """Free the landmarker."""
        self.landmarker.close()

    def track_clip(self, frames: Iterable[Frame], calibration: Calibration | None = None,
                   progress: Callable[[int], None] | None = None) -> ClipTrack:
        """Track a whole clip: landmarks first, then the person from all of them, then the fit, smoothed without delay.

        Args:
            frames: the clip, in order of time.
            calibration: a known person; from the clip itself by default.
            progress: called with the number of frames read so far.
        """
        seen, times = [], []
        for count, frame in enumerate(frames, 1):
            seen.append(self.landmarker.detect(frame))
            times.append(frame.time_ns)
            if progress is not None:
                progress(count)
        return self.track_landmarks(seen, times, calibration)

    def track_landmarks(self, seen: list[Landmarks | None], times: list[int],
                        calibration: Calibration | None = None) -> ClipTrack:
        """The second half of `track_clip`: from landmarks per frame (None: no face) and the frames' times."""
        found = [landmarks for landmarks in seen if landmarks is not None]
        if calibration is None:
            calibration = self._calibration_of(found)
        fitter = FaceFitter(self.rig, self.settings, calibration)
        fitted = [None if landmarks is None else fitter(landmarks, OFFLINE_PASSES) for landmarks in seen]
        smoothed = smooth_recording(fitted, self.settings.smoothing, blink_columns(self.rig))
        loss = LossPolicy(len(self.rig.expression_names))
        params = [loss.update(raw, time) for raw, time in zip(smoothed, times, strict=True)]
        return ClipTrack(params, seen, calibration, sum(raw is not None for raw in fitted))

    def _new_background(self) -> BackgroundCalibration:
        return BackgroundCalibration(self.rig, self._sha256, self._calibrate)

    def _calibration_of(self, found: list[Landmarks]) -> Calibration:
        """The person of a clip; the average one when it is too short to tell."""
        if len(found) < MINIMUM_FRAMES:
            return Calibration.nobody(self._sha256)
        step = max(1, len(found) // CALIBRATION_FRAMES)
        return calibrate(self.rig, found[::step], head_sha256=self._sha256)


@dataclass(frozen=True)
class ClipTrack:
    """A tracked clip.

    Attributes:
        params: one per frame.
        landmarks: one per frame, None where no face was found.
        calibration: the person.
        found: number of frames with a believable face.
    """

    params: list[HeadParams]
    landmarks: list[Landmarks | None]
    calibration: Calibration
    found: int


def blink_columns(rig: LandmarkRig) -> list[int]:
    """Expression columns that no filter may touch."""
    return [i for i, name in enumerate(rig.expression_names) if name.startswith(("eyeBlink", "eyeLook"))]
