"""Real clips (thresholds are the project's targets) and rendered people whose motion is known (guards against getting worse)."""

from __future__ import annotations

import numpy as np
import pytest

from core.assets import landmarker_model_path
from core.tracking.solver import HeadSolver, viewer_points
from core.tracking.tracker import Tracker
from core.types import TrackState
from tests.conftest import MEDIA

needs_media = pytest.mark.skipif(not MEDIA.is_dir(), reason="no footage beside the project")


def tracked(head, name: str):
    from core.media.video_reader import open_video

    with Tracker(head, landmarker_model_path()) as tracker:
        return tracker.track_clip(open_video(MEDIA / "driving" / name))


def noise(values: np.ndarray) -> np.ndarray:
    """Robust standard deviation of what differs from the mean of both neighbours."""
    second = values[1:-1] - (values[2:] + values[:-2]) / 2
    return 1.4826 * np.median(np.abs(second), axis=0) / np.sqrt(1.5)


@pytest.mark.media
@needs_media
@pytest.mark.parametrize("name", ["d18.mp4", *(pytest.param(f"{n}.mp4", marks=pytest.mark.slow) for n in ("d9", "d10", "d14"))])
def test_fit_error_with_the_frozen_resting_face(head, name):
    """At most 1.2 % of the inter-ocular distance, mean over all 468 landmarks and frames."""
    track = tracked(head, name)
    assert track.found == len(track.params)
    assert np.mean([p.residual for p in track.params]) <= 0.012


@pytest.mark.media
@pytest.mark.slow
@needs_media
def test_a_still_face_is_still(head):
    track = tracked(head, "s18_still.mp4")
    assert noise(np.degrees([p.head_rotation for p in track.params])).max() <= 0.03
    assert noise(1e3 * np.array([p.head_translation for p in track.params])).max() <= 0.15


@pytest.mark.media
@needs_media
def test_a_dancer_too_far_away_is_no_face(head):
    assert {p.state for p in tracked(head, "s13_no_face.mp4").params} == {TrackState.LOST}


@pytest.mark.media
@pytest.mark.slow
@needs_media
def test_the_fit_returns_to_rest_without_drift(head):
    """Played forwards and then backwards, the last frame is fitted like the first."""
    track = tracked(head, "d18.mp4")
    there = [landmarks for landmarks in track.landmarks if landmarks is not None]
    with Tracker(head, landmarker_model_path()) as tracker:
        solver = HeadSolver(tracker.rig)
    track.calibration.apply(solver)
    from core.tracking.score_prior import ScorePrior

    prior = ScorePrior(solver.rig)
    fit = solver.start(there[0])
    fits = []
    for landmarks in there + there[::-1]:
        fit = solver.refine(fit, viewer_points(landmarks), prior(landmarks.scores, track.calibration.neutral_scores), fit)
        fits.append(fit)
    settled = fits[5]
    assert np.abs(fits[-6].expression - settled.expression).max() < 0.08
    assert np.abs(fits[-6].translation - settled.translation).max() < 2e-3


@pytest.mark.slow
def test_known_motion_of_a_rendered_person():
    from tools.tracking_truth import ACTIONS, measure

    chosen = {name: ACTIONS[name] for name in ("neutral", "jawOpen", "smile", "blink", "browUp")}
    accuracy = measure(1000, chosen, frames=10, size=400)
    assert accuracy.found == 1
    assert accuracy.expression_rmse <= 0.12
    assert accuracy.jaw_rmse <= 0.06
    assert accuracy.pose_mae.mean() <= 1.2
    assert accuracy.gaze_mae.max() <= 4
    assert accuracy.peaks["jawOpen"] > 0.6
    assert accuracy.peaks["smile"] > 0.5
    assert accuracy.peaks["blink"] > 0.9
    assert accuracy.peaks["browUp"] > 0.5
