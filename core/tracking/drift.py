"""Notices when a calibration no longer fits: another person, other glasses, a camera that was moved."""

from __future__ import annotations

from collections import deque
from enum import Enum

import numpy as np

from core.tracking.calibration import Calibration, resting_scores
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.types import FloatArray, HeadParams, TrackState

WINDOW_SECONDS = 20.0  # of tracked face
SAMPLE_SECONDS = 0.1
JUDGE_SECONDS = 2.0
WORSE_FACTOR, WORSE_BY = 1.6, 0.006  # a fit error above both, against the calibration's own, is that of another face
TYPICAL_RESIDUAL = 0.011  # level of a calibration that does not know its own
RESTING_SHIFT = 3.0  # sum over the scores by which a resting face may read differently
REARM_SHARE = 0.8  # below this share of the limits a raised hint is over
_FACE = [i for i, name in enumerate(SCORE_NAMES) if not name.startswith(("_", "eyeLook"))]


class Drift(Enum):
    """What no longer fits."""

    SHAPE = "the face has another shape than the calibrated one"
    REST = "the face rests differently than when it was calibrated"


class DriftMonitor:
    """Watches tracked frames. Has no clock: time comes with the frames, and only that in which a face is tracked counts.

    Args:
        calibration: what is in use.
        window: seconds over which the statistics are taken.
    """

    def __init__(self, calibration: Calibration, window: float = WINDOW_SECONDS) -> None:
        level = calibration.residual or TYPICAL_RESIDUAL
        self._limit = max(level * WORSE_FACTOR, level + WORSE_BY)
        self._window = window
        self.reset()

    def reset(self) -> None:
        """Start over, as after a new calibration or source."""
        self._samples: deque[tuple[float, float, FloatArray]] = deque()
        self._seconds = self._sampled = 0.0
        self._judged = self._window - JUDGE_SECONDS
        self._time_ns: int | None = None
        self._raised = False

    def update(self, params: HeadParams) -> Drift | None:
        """Take a frame. What drifted, once; again only after it has been well in between."""
        if params.state is not TrackState.TRACKED or len(params.scores) == 0:
            self._time_ns = None
            return None
        passed = 0.0 if self._time_ns is None else (params.time_ns - self._time_ns) * 1e-9
        self._time_ns = params.time_ns
        self._seconds += min(max(passed, 0.0), 0.2)
        if self._seconds - self._sampled >= SAMPLE_SECONDS or not self._samples:
            self._sampled = self._seconds
            self._samples.append((self._seconds, params.residual, params.scores))
            while self._samples[0][0] < self._seconds - self._window:
                self._samples.popleft()
        if self._seconds - self._judged < JUDGE_SECONDS:
            return None
        self._judged = self._seconds
        return self._judge()

    def _judge(self) -> Drift | None:
        residual, shift = self.levels()
        if self._raised:
            self._raised = residual > REARM_SHARE * self._limit or shift > REARM_SHARE * RESTING_SHIFT
            return None
        found = Drift.SHAPE if residual > self._limit else Drift.REST if shift > RESTING_SHIFT else None
        self._raised = found is not None
        return found

    def levels(self) -> tuple[float, float]:
        """Median fit error, and the sum by which the scores of the resting face have moved, over the window."""
        residual = float(np.median([sample[1] for sample in self._samples]))
        resting = resting_scores(np.stack([sample[2] for sample in self._samples]))
        return residual, float(np.abs(resting[_FACE]).sum())
