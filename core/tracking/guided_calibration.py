"""A calibration led by instructions: the resting face first, then, if wanted, how far mouth, lids and brows go.

Nothing here asks which side is left: landmarks and avatar come from the same picture, so a mirrored one stays in step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from core.tracking.blink import lid_aperture
from core.tracking.calibration import Calibration
from core.tracking.landmark_rig import BROWS, LEFT_EYE_OUTER, RIGHT_EYE_OUTER, LandmarkRig
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.tracking.mouth import lip_gap
from core.tracking.score_prior import ScorePrior
from core.tracking.solver import HeadSolver, viewer_points
from core.types import FloatArray, Landmarks

REST_SECONDS, RANGE_SECONDS, SHUT_SECONDS = 2.0, 1.5, 1.2
LEAST_RESTING_FRAMES = 10  # also at a low frame rate
REST_TIMEOUT, RANGE_TIMEOUT = 45.0, 15.0  # seconds; a range step that is not done in time is passed over
LONGEST_STEP = 0.2  # seconds between two frames that count; more is a gap
MOST_YAW, MOST_PITCH = 15.0, 20.0  # degrees; cameras stand above or below the screen more often than beside it
MOST_WANDERING = 12.0  # degrees from where the resting face began
MOTION_SECONDS, MOST_MOTION = 0.15, 0.2  # mean motion of the landmarks over that time, inter-ocular distances a second
SMALLEST_FACE = 0.055  # inter-ocular distance over the longer side of the picture
DARKEST = 40.0  # mean brightness of the face, of 255
SHUT_SCORE = 0.5  # a blink is no resting face, though it does not disturb one
MOST_FRAMES = 300

_STEADY = [i for i, name in enumerate(SCORE_NAMES) if name.startswith(("mouth", "jaw", "brow", "cheek"))]
_OTHER_FACE = 0.12  # mean difference of those scores that is another expression
_MOTION_POINTS = np.array([i for i in range(468) if i % 3 == 0], int)
_JAW, _SMILE, _BLINK, _BROW = ([SCORE_NAMES.index(name) for name in names] for names in (
    ("jawOpen",), ("mouthSmileLeft", "mouthSmileRight"), ("eyeBlinkLeft", "eyeBlinkRight"),
    ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")))


class Phase(Enum):
    """Where a calibration stands."""

    REST = "rest"
    OPEN = "open"
    SMILE = "smile"
    SHUT = "shut"
    BROWS = "brows"
    COMPUTING = "computing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in (Phase.DONE, Phase.FAILED, Phase.CANCELLED)


RANGE_PHASES = (Phase.OPEN, Phase.SMILE, Phase.SHUT, Phase.BROWS)


class Waiting(Enum):
    """Why it does not go on."""

    NOTHING = ""
    NO_FACE = "no face"
    TURN = "turn toward the camera"
    CLOSER = "come closer"
    STILL = "hold still"
    DARK = "too dark"
    MORE = "a little more"


@dataclass(frozen=True)
class Guidance:
    """What the user is to be told.

    Attributes:
        phase: what is being done.
        progress: 0..1 of this phase.
        waiting: why the progress stands.
        step, steps: number of the phase among those that need the user, from 1.
        reason: why it failed.
    """

    phase: Phase
    progress: float = 0.0
    waiting: Waiting = Waiting.NOTHING
    step: int = 1
    steps: int = 1
    reason: str = ""


class GuidedCalibration:
    """The course of a guided calibration. It has no clock: time comes with the frames. Not to be shared between threads.

    Feed it with `update` until its phase is COMPUTING; then calibrate on `clip` and `resting` and tell it by `complete` or
    `fail`.

    Args:
        with_range: go through `RANGE_PHASES` after the resting face.
    """

    def __init__(self, with_range: bool = False) -> None:
        self._phases = (Phase.REST, *(RANGE_PHASES if with_range else ()))
        self._frames: list[tuple[Landmarks, bool]] = []
        self._recent: list[Landmarks] = []
        self._reference: _Reference | None = None
        self._rest: _Expression | None = None
        self._last_ns: int | None = None
        self._reason = ""
        self.calibration: Calibration | None = None
        self._enter(Phase.REST)

    # ------------------------------------------------------------------------------------------------------ what it says

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def guidance(self) -> Guidance:
        """What to tell the user now."""
        done = self._phase in (Phase.COMPUTING, Phase.DONE)
        step = self._phases.index(self._phase) + 1 if self._phase in self._phases else len(self._phases)
        return Guidance(self._phase, 1.0 if done else self._progress, self._waiting, step, len(self._phases), self._reason)

    @property
    def clip(self) -> list[Landmarks]:
        """Frames to calibrate on, in order of time."""
        return [landmarks for landmarks, _ in self._kept()]

    @property
    def resting(self) -> list[int]:
        """Indices in `clip` of the frames in which the face rested."""
        return [i for i, (_, rests) in enumerate(self._kept()) if rests]

    # ----------------------------------------------------------------------------------------------------- what drives it

    def update(self, landmarks: Landmarks | None, time_ns: int, brightness: float | None = None) -> Guidance:
        """Take a frame.

        Args:
            landmarks: what was seen in it, None for no face.
            time_ns: its time; one that runs back counts as a gap.
            brightness: mean of the face, 0..255, None when not known (`face_brightness`).
        """
        if self._phase not in self._phases:
            return self.guidance
        passed = 0.0 if self._last_ns is None else (time_ns - self._last_ns) * 1e-9
        self._last_ns = time_ns
        passed = min(passed, LONGEST_STEP) if passed > 0 else 0.0
        self._spent += passed
        self._waiting = self._why_wait(landmarks, brightness)
        if landmarks is not None:
            self._take(landmarks, passed)
        if self._phase in self._phases and self._spent > (REST_TIMEOUT if self._phase is Phase.REST else RANGE_TIMEOUT):
            self._run_out()
        return self.guidance

    def skip(self) -> Guidance:
        """Pass over a step of the range; the resting face cannot be skipped."""
        if self._phase in RANGE_PHASES:
            self._next()
        return self.guidance

    def cancel(self) -> Guidance:
        """Give up. A calibration that is over stays as it is."""
        if not self._phase.is_over:
            self._enter(Phase.CANCELLED)
        return self.guidance

    def complete(self, calibration: Calibration) -> Guidance:
        """The computation is done."""
        if self._phase is Phase.COMPUTING:
            self.calibration = calibration
            self._enter(Phase.DONE)
        return self.guidance

    def fail(self, reason: str) -> Guidance:
        """The computation came to nothing."""
        if not self._phase.is_over:
            self._reason = reason
            self._enter(Phase.FAILED)
        return self.guidance

    # ------------------------------------------------------------------------------------------------------------- inside

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._seconds = self._spent = self._progress = 0.0
        self._waiting = Waiting.NOTHING

    def _next(self) -> None:
        place = self._phases.index(self._phase) + 1
        self._enter(self._phases[place] if place < len(self._phases) else Phase.COMPUTING)

    def _run_out(self) -> None:
        if self._phase is Phase.REST:
            waiting = self._waiting.value or Waiting.STILL.value
            self.fail(f"the resting face was not seen long enough ({waiting})")
        else:
            self._next()

    def _why_wait(self, landmarks: Landmarks | None, brightness: float | None) -> Waiting:
        """What is in the way of any phase; shut or laughing eyes are not."""
        dark = brightness is not None and brightness < DARKEST
        if landmarks is None:
            self._recent.clear()
            return Waiting.DARK if dark else Waiting.NO_FACE
        if dark:
            return Waiting.DARK
        yaw, pitch = head_angles(landmarks)
        if abs(yaw) > MOST_YAW or abs(pitch) > MOST_PITCH:
            return Waiting.TURN
        if interocular(landmarks) / max(landmarks.width, landmarks.height) < SMALLEST_FACE:
            return Waiting.CLOSER
        return Waiting.NOTHING

    def _take(self, landmarks: Landmarks, passed: float) -> None:
        blinks = landmarks.scores[_BLINK].max() > SHUT_SCORE
        if self._phase is Phase.REST:
            moves = self._motion(landmarks) > MOST_MOTION
            if self._waiting is Waiting.NOTHING and moves:
                self._waiting = Waiting.STILL
            rests = self._waiting is Waiting.NOTHING and not blinks
            self._frames.append((landmarks, rests))
            if rests:
                self._rest_goes_on(landmarks, passed)
        else:
            self._frames.append((landmarks, False))
            if self._waiting is Waiting.NOTHING:
                self._range_goes_on(landmarks, passed)

    def _rest_goes_on(self, landmarks: Landmarks, passed: float) -> None:
        if self._reference is None or self._reference.differs(landmarks):
            self._reference = _Reference.of(landmarks)  # the face has changed: what was gathered is not at rest
            self._frames = [(seen, False) for seen, _ in self._frames[:-1]] + self._frames[-1:]
            self._seconds = 0.0
        self._seconds += passed
        gathered = sum(rests for _, rests in self._frames)
        self._progress = min(self._seconds / REST_SECONDS, gathered / LEAST_RESTING_FRAMES, 1.0)
        if self._progress >= 1:
            self._rest = _Expression.median([seen for seen, rests in self._frames if rests])
            self._next()

    def _range_goes_on(self, landmarks: Landmarks, passed: float) -> None:
        if not reaches(self._phase, _Expression.of(landmarks), self._rest):
            self._waiting = Waiting.MORE
            return
        self._seconds += passed
        self._progress = min(self._seconds / (SHUT_SECONDS if self._phase is Phase.SHUT else RANGE_SECONDS), 1.0)
        if self._progress >= 1:
            self._next()

    def _motion(self, landmarks: Landmarks) -> float:
        """How fast the face moves; infinite before there is anything to compare with."""
        if self._recent and landmarks.time_ns <= self._recent[-1].time_ns:
            self._recent.clear()
        self._recent.append(landmarks)
        since = landmarks.time_ns - round(MOTION_SECONDS * 1e9)
        while len(self._recent) > 2 and self._recent[1].time_ns <= since:
            self._recent.pop(0)
        earlier = self._recent[0]
        seconds = (landmarks.time_ns - earlier.time_ns) * 1e-9
        if seconds < MOTION_SECONDS / 2 or seconds > 1:
            return np.inf
        step = np.linalg.norm(landmarks.points[_MOTION_POINTS, :2] - earlier.points[_MOTION_POINTS, :2], axis=1).mean()
        return float(step / interocular(landmarks) / seconds)

    def _kept(self) -> list[tuple[Landmarks, bool]]:
        """At most `MOST_FRAMES`: all resting ones that fit in, the others thinned evenly."""
        if len(self._frames) <= MOST_FRAMES:
            return self._frames
        resting = [i for i, (_, rests) in enumerate(self._frames) if rests][:MOST_FRAMES // 2]
        others = [i for i, (_, rests) in enumerate(self._frames) if not rests]
        spread = np.linspace(0, len(others) - 1, MOST_FRAMES - len(resting)).astype(int) if others else []
        return [self._frames[i] for i in sorted({*resting, *(others[i] for i in spread)})]


# ------------------------------------------------------------------------------------------------------------ measurements


@dataclass(frozen=True)
class _Reference:
    """The face with which the resting seconds began."""

    angles: FloatArray
    scores: FloatArray

    @staticmethod
    def of(landmarks: Landmarks) -> _Reference:
        return _Reference(np.array(head_angles(landmarks)), landmarks.scores[_STEADY])

    def differs(self, landmarks: Landmarks) -> bool:
        turned = np.abs(np.array(head_angles(landmarks)) - self.angles).max()
        return bool(turned > MOST_WANDERING or np.abs(landmarks.scores[_STEADY] - self.scores).mean() > _OTHER_FACE)


@dataclass(frozen=True)
class _Expression:
    """What tells the range steps apart: the landmarker's scores, and distances that do not depend on them.

    Attributes:
        scores: [52].
        gap: of the lips over the width of the mouth.
        smile: width of the mouth over the inter-ocular distance.
        lids: mean aperture of both eyes.
        brows: mean height of the brows above the eyes' corners over the inter-ocular distance.
    """

    scores: FloatArray
    gap: float
    smile: float
    lids: float
    brows: float

    @staticmethod
    def of(landmarks: Landmarks) -> _Expression:
        points, unit = landmarks.points, interocular(landmarks)
        width = float(np.linalg.norm(points[61] - points[291]))
        eyes = points[[RIGHT_EYE_OUTER, LEFT_EYE_OUTER], 1].mean()
        return _Expression(landmarks.scores, lip_gap(landmarks), width / unit, float(lid_aperture(points).mean()),
                           float(eyes - points[list(BROWS), 1].mean()) / unit)

    @staticmethod
    def median(clip: Sequence[Landmarks]) -> _Expression:
        each = [_Expression.of(landmarks) for landmarks in clip]
        numbers = (float(np.median([getattr(e, name) for e in each])) for name in ("gap", "smile", "lids", "brows"))
        return _Expression(np.median([e.scores for e in each], axis=0), *numbers)


def reaches(phase: Phase, face: _Expression, rest: _Expression) -> bool:
    """Whether a face does what a range phase asks for, by score or by distance: either can miss it on some people."""
    rise = face.scores - rest.scores
    if phase is Phase.OPEN:
        return bool(rise[_JAW].mean() > 0.35 or face.gap > rest.gap + 0.35)
    if phase is Phase.SMILE:
        return bool(rise[_SMILE].mean() > 0.3 or face.smile > 1.12 * rest.smile)
    if phase is Phase.SHUT:
        return bool(rise[_BLINK].min() > 0.3 or face.lids < 0.5 * rest.lids)
    return bool(rise[_BROW].mean() > 0.25 or face.brows > rest.brows + 0.04)


def head_angles(landmarks: Landmarks) -> tuple[float, float]:
    """Yaw and pitch of the head in degrees by the landmarker's own pose: toward the picture's right, and up."""
    forward = landmarks.transform[:3, 2]
    yaw = np.degrees(np.arctan2(forward[0], forward[2]))
    pitch = np.degrees(np.arctan2(forward[1], np.hypot(forward[0], forward[2])))
    return float(yaw), float(pitch)


def interocular(landmarks: Landmarks) -> float:
    """Distance of the eyes' outer corners in pixels; their depth keeps it steady when the head turns."""
    return max(float(np.linalg.norm(landmarks.points[RIGHT_EYE_OUTER] - landmarks.points[LEFT_EYE_OUTER])), 1e-6)


def face_brightness(image: FloatArray, landmarks: Landmarks | None) -> float:
    """Mean brightness 0..255 of the face in an RGB picture, of the whole picture when there is no face."""
    if landmarks is None:
        return float(image[::16, ::16].mean())
    height, width = image.shape[:2]
    low = np.clip(landmarks.points[:468, :2].min(0).astype(int), 0, (width - 1, height - 1))
    high = np.clip(landmarks.points[:468, :2].max(0).astype(int), low + 1, (width, height))
    return float(image[low[1]:high[1]:4, low[0]:high[0]:4].mean())


def fit_error(rig: LandmarkRig, calibration: Calibration, clip: Sequence[Landmarks]) -> float:
    """Mean fit error over a clip with a calibration, a fraction of the inter-ocular distance; what a user gains by it."""
    solver, prior_of = HeadSolver(rig), ScorePrior(rig)
    calibration.apply(solver)
    errors, fit = [], None
    for landmarks in clip:
        observed = viewer_points(landmarks)
        fit = solver.refine(fit or solver.start(landmarks), observed, prior_of(landmarks.scores, calibration.neutral_scores), fit)
        errors.append(solver.errors(fit, observed).mean())
    return float(np.mean(errors)) if errors else 0.0
