"""When a calibration is said to fit no longer, on made-up statistics and on real people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.assets import landmarker_model_path
from core.tracking.calibration import Calibration, calibrate
from core.tracking.drift import Drift, DriftMonitor
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.types import HeadParams, TrackState

LEVEL = 0.010
CALIBRATION = replace(Calibration.nobody(), residual=LEVEL)


class Feed:
    """Feeds frames at 30 a second and gathers the hints."""

    def __init__(self, monitor: DriftMonitor) -> None:
        self.monitor = monitor
        self.time_ns = 0
        self.rng = np.random.default_rng(1)

    def __call__(self, seconds: float, residual: float = LEVEL, shift: float = 0.0, state: TrackState = TrackState.TRACKED):
        hints = []
        for _ in range(round(seconds * 30)):
            self.time_ns += 33_333_333
            scores = np.abs(self.rng.normal(0, 0.03, 52)).astype(np.float32)
            scores[[SCORE_NAMES.index(name) for name in ("mouthSmileLeft", "mouthSmileRight", "browInnerUp", "mouthPucker",
                                                          "jawOpen", "browDownLeft")]] += shift
            params = replace(HeadParams.neutral(49), residual=residual * self.rng.uniform(0.7, 1.3), scores=scores,
                             time_ns=self.time_ns, state=state)
            hints.append(self.monitor.update(params))
        return [hint for hint in hints if hint]


@pytest.fixture
def feed() -> Feed:
    return Feed(DriftMonitor(CALIBRATION))


def test_a_fit_that_stays_as_it_was_raises_nothing(feed):
    assert feed(120, residual=1.3 * LEVEL, shift=0.1) == []


def test_a_worse_fit_is_told_once(feed):
    assert feed(60, residual=2 * LEVEL) == [Drift.SHAPE]


def test_another_resting_face_is_told_once(feed):
    assert feed(60, shift=0.7) == [Drift.REST]


def test_it_takes_its_time(feed):
    assert feed(15, residual=3 * LEVEL) == []
    assert feed(10, residual=3 * LEVEL) == [Drift.SHAPE]


def test_a_grimace_of_some_seconds_is_no_drift(feed):
    assert feed(40) == []
    assert feed(6, residual=3 * LEVEL, shift=0.7) == []
    assert feed(40) == []


def test_it_is_told_again_only_after_it_was_well_in_between(feed):
    assert feed(30, residual=2 * LEVEL) == [Drift.SHAPE]
    assert feed(30, residual=1.5 * LEVEL) == []
    assert feed(30, residual=2 * LEVEL) == [], "not well enough in between"
    assert feed(40) == []
    assert feed(40, residual=2 * LEVEL) == [Drift.SHAPE]


def test_only_tracked_time_counts(feed):
    assert feed(60, residual=3 * LEVEL, state=TrackState.EASING) == []
    assert feed(15, residual=3 * LEVEL) == []


def test_reset_forgets(feed):
    feed(18, residual=3 * LEVEL)
    feed.monitor.reset()
    assert feed(15, residual=3 * LEVEL) == []
    assert feed(10, residual=3 * LEVEL) == [Drift.SHAPE]


def test_motion_without_scores_or_residual_is_left_alone():
    monitor = DriftMonitor(CALIBRATION)
    for i in range(2000):
        assert monitor.update(replace(HeadParams.neutral(49), time_ns=i * 33_333_333)) is None


@pytest.mark.media
def test_another_person_is_noticed_and_the_same_one_is_not(head, rig, media):
    from core.media.video_reader import open_video
    from core.tracking.mediapipe_landmarker import FaceLandmarker
    from core.tracking.tracker import FaceFitter, TrackSettings

    def seen(name: str) -> list:
        with FaceLandmarker(landmarker_model_path()) as landmarker:
            found = [landmarker.detect(frame) for frame in open_video(media / "driving" / name)]
        return [landmarks for landmarks in found if landmarks is not None]

    me, other = seen("d10.mp4"), seen("d18.mp4")
    half = len(me) // 2
    calibration = calibrate(rig, me[:half], head_sha256=head.sha256)

    def hints(clip: list) -> list[Drift]:
        fitter, monitor, time_ns = FaceFitter(rig, TrackSettings(), calibration), DriftMonitor(calibration), 0
        found = []
        for _ in range(4):
            for landmarks in clip:
                time_ns += 33_333_333
                params = fitter(landmarks)
                if params is not None:
                    found.append(monitor.update(replace(params, time_ns=time_ns)))
        return [hint for hint in found if hint]

    assert hints(me[half:]) == []
    assert hints(other) == [Drift.SHAPE]
