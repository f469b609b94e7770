"""The tracker put together, fed with scripted landmarks."""

from __future__ import annotations

import numpy as np
import pytest

from core.tracking.calibration import Calibration
from core.tracking.filters import SmoothingSettings
from core.tracking.tracker import Tracker, TrackSettings
from core.types import Frame, TrackState

FRAME_NS = 33_333_333


class Script:
    """A landmarker that answers from a list."""

    def __init__(self, answers=()) -> None:
        self.answers = list(answers)
        self.resets = 0
        self.closed = False

    def detect(self, frame):
        return self.answers[frame.index]

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


def frames(count: int):
    blank = np.zeros((480, 640, 3), np.uint8)
    return [Frame(blank, i * FRAME_NS, i) for i in range(count)]


@pytest.fixture
def nod(observe, pose_of):
    """A second of someone who nods, smiles and opens the mouth."""
    clip = []
    for i in range(30):
        smile, jaw = 0.4 + 0.4 * np.sin(i / 4), max(0.0, 0.5 * np.sin(i / 5))
        clip.append(observe(pose_of(turn=(10 * np.sin(i / 5), 5, 0), jaw=jaw, mouthSmile=smile, time_ns=i * FRAME_NS),
                            scores={"mouthSmileLeft": smile, "mouthSmileRight": smile, "jawOpen": jaw}))
    return clip


def raw(smoothing: float = 0.0) -> TrackSettings:
    return TrackSettings(smoothing=SmoothingSettings(strength=smoothing))


def test_live_tracking_follows_pose_smile_and_jaw(head, nod, pose_of):
    tracker = Tracker(head, settings=raw(), calibration=Calibration.nobody(), landmarker=Script(nod))
    out = [tracker.update(frame) for frame in frames(30)]
    pitch = np.degrees([p.head_rotation[0] for p in out])
    np.testing.assert_allclose(pitch, 10 * np.sin(np.arange(30) / 5), atol=1.0)
    smile = [p.expression[head.expression_names.index("mouthSmileLeft")] for p in out]
    np.testing.assert_allclose(smile, 0.4 + 0.4 * np.sin(np.arange(30) / 4), atol=0.12)
    jaw = np.array([p.jaw_pose[0] for p in out]) / head.jaw_open_angle
    np.testing.assert_allclose(jaw, np.maximum(0, 0.5 * np.sin(np.arange(30) / 5)), atol=0.08)
    assert all(p.state is TrackState.TRACKED and p.residual < 0.01 for p in out)


def test_left_and_right_are_not_swapped(head, observe, pose_of):
    wink = observe(pose_of(eyeBlinkLeft=1.0, mouthSmileRight=0.8), scores={"eyeBlinkLeft": 0.8, "mouthSmileRight": 0.8})
    out = Tracker(head, calibration=Calibration.nobody(), landmarker=Script([wink])).update(frames(1)[0])
    value = dict(zip(head.expression_names, out.expression, strict=True))
    assert value["eyeBlinkLeft"] > 0.9
    assert value["eyeBlinkRight"] < 0.3
    assert value["mouthSmileRight"] > 0.5 > value["mouthSmileLeft"]


def test_no_face_at_all_is_lost_throughout(head):
    tracker = Tracker(head, landmarker=Script([None] * 40))
    track = tracker.track_clip(frames(40))
    assert track.found == 0
    assert len(track.params) == 40
    assert {p.state for p in track.params} == {TrackState.LOST}
    assert {tracker.update(frame).state for frame in frames(40)} == {TrackState.LOST}


def test_an_upside_down_face_is_not_believed(head, observe, pose_of):
    tumbled = observe(pose_of(turn=(0, 0, 180)))
    assert Tracker(head, landmarker=Script([tumbled])).update(frames(1)[0]).state is TrackState.LOST


def test_scrambled_landmarks_are_not_believed(head, observe, pose_of):
    noise = observe(pose_of(), noise=25.0)
    assert Tracker(head, landmarker=Script([noise])).update(frames(1)[0]).state is TrackState.LOST


def test_a_gap_in_a_clip_is_bridged(head, nod):
    answers = nod[:12] + [None] * 4 + nod[16:]
    track = Tracker(head, landmarker=Script(answers)).track_clip(frames(30))
    assert [p.state for p in track.params[12:16]] == [TrackState.HELD] * 4
    assert track.found == 26
    assert [p.time_ns for p in track.params] == [f.time_ns for f in frames(30)]


def test_one_frame_is_a_clip(head, nod):
    track = Tracker(head, landmarker=Script(nod[:1])).track_clip(frames(1))
    assert track.params[0].state is TrackState.TRACKED


def test_offline_tracking_has_no_lag(head, nod):
    track = Tracker(head, landmarker=Script(nod)).track_clip(frames(30))
    truth = np.sin(np.arange(30) / 5)
    pitch = np.array([p.head_rotation[0] for p in track.params])
    lags = {lag: np.corrcoef(truth[3:-3], pitch[3 + lag:30 - 3 + lag])[0, 1] for lag in (-2, -1, 0, 1, 2)}
    assert max(lags, key=lags.get) == 0
    assert lags[0] > 0.99


def test_the_person_is_learned_in_the_background_and_swapped_in(head, observe, pose_of):
    shape = np.zeros(20)
    shape[:4] = [1.5, -1.0, 1.0, -1.0]
    clip = [observe(pose_of(turn=(0, 10 * np.sin(i / 9), 0), time_ns=i * FRAME_NS), shape=shape, noise=0.1, seed=i)
            for i in range(75)]
    tracker = Tracker(head, landmarker=Script(clip))
    out = [tracker.update(frame) for frame in frames(70)]
    assert not tracker.calibration.shape.any()
    tracker._background.join()
    after = [tracker.update(frame) for frame in frames(75)[70:]]
    assert tracker.calibration.shape.any()
    assert after[-1].residual < 0.6 * out[30].residual


def test_reset_and_close_reach_the_landmarker(head, nod):
    script = Script(nod)
    with Tracker(head, landmarker=script) as tracker:
        tracker.update(frames(1)[0])
        tracker.reset()
    assert script.resets == 1
    assert script.closed


def test_another_calibration_is_used_at_once_and_ends_the_learning(head, nod):
    tracker = Tracker(head, landmarker=Script(nod))
    tracker.update(frames(1)[0])
    assert tracker._background is not None
    someone = Calibration.nobody("someone")
    tracker.use(someone)
    assert tracker.calibration is someone
    assert tracker._background is None
    tracker.use(None)
    assert tracker.calibration is not someone
    assert tracker._background is not None


def test_smoothing_changes_while_tracking(head, nod):
    def pitches(change=None):
        tracker = Tracker(head, settings=raw(4.0), calibration=Calibration.nobody(), landmarker=Script(nod))
        out = []
        for frame in frames(30):
            if change is not None and frame.index == 15:
                tracker.set_smoothing(change)
            out.append(float(tracker.update(frame).head_rotation[0]))
        return np.degrees(out)

    truth = 10 * np.sin(np.arange(30) / 5)
    calm, changed = pitches(), pitches(0.0)
    np.testing.assert_array_equal(calm[:15], changed[:15])
    assert np.abs(changed[16:] - truth[16:]).max() < 1.0 < np.abs(calm[16:] - truth[16:]).max()
