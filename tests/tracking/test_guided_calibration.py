"""The guided calibration on synthetic faces that do as they are told, or do not, and on real footage where there is some."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest

from core.assets import landmarker_model_path
from core.geometry import rotation_from_axis_angle
from core.tracking.calibration import calibrate
from core.tracking.guided_calibration import (
    MOST_FRAMES,
    Guidance,
    GuidedCalibration,
    Phase,
    Waiting,
    face_brightness,
    fit_error,
    head_angles,
)
from core.tracking.landmark_rig import EYELIDS
from core.types import Landmarks

FRAME_NS = 33_333_333


class Actor:
    """Photographs a face frame after frame, with the landmarker's head pose as it would be."""

    def __init__(self, observe, pose_of) -> None:
        self._observe, self._pose_of = observe, pose_of
        self.time_ns = 0

    def frame(self, turn=(0.0, 0.0, 0.0), at=(0.01, -0.02, -0.6), scores=None, **pose) -> Landmarks:
        self.time_ns += FRAME_NS
        params = self._pose_of(turn=turn, at=at, time_ns=self.time_ns, **pose)
        landmarks = self._observe(params, noise=0.1, seed=self.time_ns % 100_003, scores=scores)
        transform = np.eye(4, dtype=np.float32)
        transform[:3, :3] = rotation_from_axis_angle(params.head_rotation.astype(float))
        return replace(landmarks, transform=transform)

    def hold(self, seconds: float, **pose) -> Iterable[Landmarks]:
        for _ in range(round(seconds * 30)):
            yield self.frame(**pose)


@pytest.fixture
def actor(observe, pose_of) -> Actor:
    return Actor(observe, pose_of)


def feed(guided: GuidedCalibration, frames: Iterable[Landmarks]) -> Guidance:
    for landmarks in frames:
        guided.update(landmarks, landmarks.time_ns)
    return guided.guidance


def nobody(guided: GuidedCalibration, actor: Actor, seconds: float) -> Guidance:
    for _ in range(round(seconds * 30)):
        actor.time_ns += FRAME_NS
        guided.update(None, actor.time_ns)
    return guided.guidance


OPEN = {"jaw": 0.9, "scores": {"jawOpen": 0.8}}
SMILE = {"mouthSmile": 0.9, "scores": {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7}}
SHUT = {"eyeBlink": 1.0, "scores": {"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.6}}
BROWS = {"browInnerUp": 0.9, "browOuterUp": 0.9, "scores": {"browInnerUp": 0.8, "browOuterUpLeft": 0.7, "browOuterUpRight": 0.7}}


def test_two_quiet_seconds_are_all_it_takes(rig, actor):
    guided = GuidedCalibration()
    assert guided.guidance == Guidance(Phase.REST, waiting=Waiting.NOTHING)
    halfway = feed(guided, actor.hold(1.1))
    assert halfway.phase is Phase.REST
    assert 0.4 < halfway.progress < 0.6
    feed(guided, actor.hold(1.2))
    assert guided.phase is Phase.COMPUTING
    assert len(guided.resting) >= 55
    result = calibrate(rig, guided.clip, resting=guided.resting)
    assert guided.complete(result).phase is Phase.DONE
    assert guided.calibration is result
    assert fit_error(rig, result, guided.clip) < 0.01


def test_it_goes_through_the_range_step_by_step(actor):
    guided = GuidedCalibration(with_range=True)
    feed(guided, actor.hold(2.3))
    for number, (phase, pose) in enumerate(zip((Phase.OPEN, Phase.SMILE, Phase.SHUT, Phase.BROWS), (OPEN, SMILE, SHUT, BROWS),
                                               strict=True), 2):
        guidance = feed(guided, actor.hold(0.3))  # still at rest
        assert (guidance.phase, guidance.progress, guidance.waiting) == (phase, 0, Waiting.MORE)
        assert (guidance.step, guidance.steps) == (number, 5)
        guidance = feed(guided, actor.hold(0.8, **pose))
        assert guidance.phase is phase
        assert 0.4 < guidance.progress < 0.8
        feed(guided, actor.hold(0.8, **pose))
    assert guided.phase is Phase.COMPUTING
    assert len(guided.clip) <= MOST_FRAMES
    times = [landmarks.time_ns for landmarks in guided.clip]
    assert times == sorted(times)


def test_each_step_is_also_seen_without_the_scores(actor):
    """A landmarker that scores nothing: distances decide."""
    guided = GuidedCalibration(with_range=True)
    feed(guided, actor.hold(2.3))
    for pose in (OPEN, SMILE, SHUT, BROWS):
        feed(guided, actor.hold(2.0, **{**pose, "scores": None}))
        feed(guided, actor.hold(0.2))
    assert guided.phase is Phase.COMPUTING


def test_a_step_can_be_skipped_but_not_the_resting_face(actor):
    guided = GuidedCalibration(with_range=True)
    assert guided.skip().phase is Phase.REST
    feed(guided, actor.hold(2.3))
    assert [guided.skip().phase for _ in range(4)] == [Phase.SMILE, Phase.SHUT, Phase.BROWS, Phase.COMPUTING]
    assert guided.resting


def test_a_step_that_is_not_done_is_passed_over(actor):
    guided = GuidedCalibration(with_range=True)
    feed(guided, actor.hold(2.3))
    assert feed(guided, actor.hold(15.5)).phase is Phase.SMILE


@pytest.mark.parametrize(("pose", "waiting"), [
    ({"turn": (0, 25, 0)}, Waiting.TURN), ({"turn": (-28, 0, 0)}, Waiting.TURN), ({"at": (0, 0, -2.5)}, Waiting.CLOSER)])
def test_it_says_why_it_waits(actor, pose, waiting):
    guided = GuidedCalibration()
    guidance = feed(guided, actor.hold(3, **pose))
    assert (guidance.phase, guidance.progress, guidance.waiting) == (Phase.REST, 0, waiting)


def test_a_face_that_moves_is_asked_to_hold_still(actor):
    guided = GuidedCalibration()
    guidance = feed(guided, (actor.frame(turn=(0, 10 * np.sin(i / 3), 0)) for i in range(90)))
    assert guidance.waiting is Waiting.STILL
    assert guidance.progress < 0.7
    assert guided.phase is Phase.REST


def test_no_face_and_darkness_are_named(actor):
    guided = GuidedCalibration()
    assert nobody(guided, actor, 0.5).waiting is Waiting.NO_FACE
    landmarks = actor.frame()
    assert guided.update(landmarks, landmarks.time_ns, brightness=12.0).waiting is Waiting.DARK
    assert guided.update(None, landmarks.time_ns + FRAME_NS, brightness=12.0).waiting is Waiting.DARK
    assert guided.update(landmarks, landmarks.time_ns + 2 * FRAME_NS, brightness=120.0).waiting is not Waiting.DARK


def test_progress_stands_while_the_face_is_away(actor):
    guided = GuidedCalibration()
    before = feed(guided, actor.hold(1)).progress
    assert nobody(guided, actor, 5).progress == before
    assert feed(guided, actor.hold(0.5)).progress > before


def test_a_blink_neither_disturbs_nor_counts_as_rest(actor):
    guided = GuidedCalibration()
    feed(guided, actor.hold(1))
    feed(guided, actor.hold(0.15, **SHUT))
    feed(guided, actor.hold(1.6))
    assert guided.phase is Phase.COMPUTING
    assert max(guided.clip[i].scores.max() for i in guided.resting) < 0.5


def test_another_expression_starts_the_resting_face_anew(actor):
    """A smile held for a second, then relaxed: only what comes after is rest."""
    guided = GuidedCalibration()
    laughing = dict.fromkeys(("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft", "mouthUpperUpRight",
                              "mouthLowerDownLeft", "mouthLowerDownRight", "jawOpen", "cheekSquintLeft"), 0.8)
    feed(guided, actor.hold(1.2, mouthSmile=0.9, scores=laughing))
    feed(guided, actor.hold(1.4))
    assert guided.phase is Phase.REST
    feed(guided, actor.hold(1.2))
    assert guided.phase is Phase.COMPUTING
    assert max(guided.clip[i].scores.max() for i in guided.resting) < 0.1


def test_nobody_at_all_fails_after_a_while_with_the_reason(actor):
    guided = GuidedCalibration()
    guidance = nobody(guided, actor, 46)
    assert guidance.phase is Phase.FAILED
    assert "no face" in guidance.reason


def test_a_slow_camera_still_gives_enough_frames(actor):
    guided = GuidedCalibration()
    frames = list(actor.hold(10))
    for landmarks in frames[::10]:  # 3 a second, over the longest step that counts
        guided.update(landmarks, landmarks.time_ns)
    assert guided.phase is Phase.COMPUTING
    assert len(guided.resting) >= 10


def test_cancelled_is_the_end(actor):
    guided = GuidedCalibration()
    feed(guided, actor.hold(1))
    assert guided.cancel().phase is Phase.CANCELLED
    assert feed(guided, actor.hold(5)).phase is Phase.CANCELLED
    assert guided.complete(object()).phase is Phase.CANCELLED
    assert guided.fail("x").phase is Phase.CANCELLED


def test_a_computation_that_fails_says_why(actor):
    guided = GuidedCalibration()
    feed(guided, actor.hold(2.3))
    assert guided.fail("too few frames") == Guidance(Phase.FAILED, reason="too few frames")
    assert guided.cancel().phase is Phase.FAILED


def test_a_time_that_runs_back_is_a_gap(actor):
    guided = GuidedCalibration()
    feed(guided, actor.hold(1))
    before = guided.guidance.progress
    landmarks = replace(actor.frame(), time_ns=0)
    assert guided.update(landmarks, 0).progress <= before


def test_the_guided_resting_face_is_neutral_even_when_it_looks_like_a_smile(rig, actor):
    """Known rest decides: whoever rests with raised corners of the mouth does not smile."""
    smirk = {"mouthSmile": 0.35, "scores": {"mouthSmileLeft": 0.4, "mouthSmileRight": 0.4}}
    guided = GuidedCalibration(with_range=True)
    feed(guided, actor.hold(2.5, **smirk))
    feed(guided, actor.hold(1.8, **OPEN))
    for _ in range(3):
        guided.skip()
    result = calibrate(rig, guided.clip, resting=guided.resting)
    assert result.neutral_scores.max() == pytest.approx(0.4, abs=0.01)
    raised = (result.neutral(rig) - rig.template)[[61, 291], 1].mean()
    smile = [rig.expression_names.index(f"mouthSmile{side}") for side in ("Left", "Right")]
    by_smile = rig.expression_dirs[[61, 291], 1][:, smile]
    assert raised > 0.5 * 0.35 * by_smile.sum(1).mean()


def test_head_angles_and_brightness_by_hand(actor):
    landmarks = actor.frame(turn=(0, 20, 0))
    assert head_angles(landmarks) == pytest.approx((20, 0), abs=1e-3)
    assert head_angles(actor.frame(turn=(-10, 0, 0))) == pytest.approx((0, 10), abs=1e-3)
    image = np.zeros((480, 640, 3), np.uint8)
    centre = landmarks.points[:468, :2].mean(0).astype(int)
    image[centre[1] - 60:centre[1] + 60, centre[0] - 50:centre[0] + 50] = 200
    assert face_brightness(image, landmarks) > 50
    assert face_brightness(image, None) < 30
    outside = replace(landmarks, points=landmarks.points + np.float32(5000))
    assert face_brightness(image, outside) == 0


def test_shut_lids_of_the_oracle_are_shut(actor):
    """Guards the tests themselves: the synthetic blink closes the eyes."""
    open_eyes, shut = actor.frame(), actor.frame(**SHUT)
    moved = np.linalg.norm(open_eyes.points[list(EYELIDS), :2] - shut.points[list(EYELIDS), :2], axis=1).max()
    assert moved > 5


@pytest.mark.media
def test_on_real_footage_it_is_not_worse_than_the_automatic_calibration(rig, media):
    from core.media.video_reader import open_video
    from core.tracking.mediapipe_landmarker import FaceLandmarker

    guided, seen = GuidedCalibration(), []
    with FaceLandmarker(landmarker_model_path()) as landmarker:
        for frame in open_video(media / "driving" / "d10.mp4"):
            seen.append(landmarker.detect(frame))
            guidance = guided.update(seen[-1], frame.time_ns, face_brightness(frame.image, seen[-1]))
            if guidance.phase is Phase.COMPUTING and len(seen) > 240:
                break
    assert guided.phase is Phase.COMPUTING
    used = [landmarks for landmarks in seen if landmarks is not None]
    by_guide = calibrate(rig, guided.clip, resting=guided.resting)
    assert fit_error(rig, by_guide, used) <= 1.02 * fit_error(rig, calibrate(rig, used), used)
