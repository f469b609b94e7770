"""Gaze, blinks and closed lips."""

from __future__ import annotations

import numpy as np
import pytest

from core.geometry import rotation_from_axis_angle
from core.tracking.blink import LidRange, lid_aperture, lid_closure, measure_lid_range, snap_shut
from core.tracking.gaze import (
    LIMIT,
    SEEN_SHARE,
    GazeRange,
    GazeTracker,
    eye_directions,
    eye_pose,
    measure_gaze_range,
    pitch_yaw,
    soften,
)
from core.tracking.lids import LidColumns
from core.tracking.mouth import ClosedMouthRule, lip_gap, lips_closed
from core.tracking.solver import Fit

STRAIGHT = GazeRange(np.zeros((2, 2)))
OPEN = np.zeros(2)


def fit_of(params) -> Fit:
    return Fit(rotation_from_axis_angle(params.head_rotation.astype(float)), params.head_translation.astype(float),
               params.expression, np.zeros(2))


@pytest.mark.parametrize("gaze", [(0, 0), (12, 0), (-9, 20), (15, -30)])
@pytest.mark.parametrize("turn", [(0, 0, 0), (10, -25, 15)])
def test_the_iris_ray_meets_the_eyeball_where_the_eye_looks(rig, observe, pose_of, gaze, turn):
    params = pose_of(gaze=gaze, turn=turn)
    seen = eye_directions(observe(params), fit_of(params), rig.joints, rig.eyeball_radius)
    look = rotation_from_axis_angle(params.left_eye_pose.astype(float))[:, 2]
    np.testing.assert_allclose(seen, np.tile(pitch_yaw(look), (2, 1)), atol=np.radians(0.1))  # float32 pixels


def test_a_ray_beside_the_eyeball_gives_its_rim_and_no_nan(rig, observe, pose_of):
    params = pose_of()
    landmarks = observe(params)
    landmarks.points[468:478, 0] += 60
    assert np.isfinite(eye_directions(landmarks, fit_of(params), rig.joints, rig.eyeball_radius)).all()


@pytest.mark.parametrize("angles", [(0.0, 0.0), (0.3, -0.5), (-0.2, 0.6)])
def test_eye_pose_turns_the_eye_there_without_rolling_it(angles):
    pose = eye_pose(np.array(angles))
    rotation = rotation_from_axis_angle(pose.astype(float))
    np.testing.assert_allclose(pitch_yaw(rotation[:, 2]), angles, atol=1e-6)
    assert pose[2] == 0


def test_gaze_is_held_while_both_eyes_are_shut():
    tracker = GazeTracker()
    before = tracker.update(np.full((2, 2), 0.1), OPEN, STRAIGHT)
    during = tracker.update(np.full((2, 2), 0.9), np.array([0.9, 0.8]), STRAIGHT)
    np.testing.assert_array_equal(during, before)


def test_a_winking_eye_follows_the_open_one():
    seen = np.array([[0.1, 0.2], [0.9, -0.7]])
    out = GazeTracker().update(seen, np.array([0.0, 1.0]), STRAIGHT)
    np.testing.assert_allclose(out, np.tile([0.1, 0.2] / SEEN_SHARE, (2, 1)))


def test_gaze_is_limited_to_what_eyes_can_do():
    out = GazeTracker().update(np.full((2, 2), 2.0), OPEN, STRAIGHT)
    np.testing.assert_allclose(out, np.tile(LIMIT, (2, 1)))


def test_the_median_gaze_moves_straight_ahead(rig, observe, pose_of):
    clip = [observe(pose_of(gaze=(g, 2 * g))) for g in (6, 6, 6, -20, 30)]
    fits = [fit_of(pose_of())] * len(clip)
    zero = measure_gaze_range(clip, fits, rig.joints, rig.eyeball_radius, LidRange.average()).zero
    assert (zero[:, 0] > np.radians(4)).all()
    assert (zero[:, 1] > np.radians(2)).all()


def test_aperture_does_not_depend_on_size_or_place(observe, pose_of):
    near, far = observe(pose_of(at=(0, 0, -0.5))), observe(pose_of(at=(0.05, 0.02, -0.9)))
    np.testing.assert_allclose(lid_aperture(near.points), lid_aperture(far.points), rtol=0.04)  # perspective


def blinking_clip(observe, pose_of, amounts):
    return [observe(pose_of(eyeBlink=a), scores={"eyeBlinkLeft": 0.05 + 0.6 * a, "eyeBlinkRight": 0.05 + 0.6 * a})
            for a in amounts]


def test_a_persons_own_range_spans_open_to_shut(observe, pose_of):
    clip = blinking_clip(observe, pose_of, [0] * 20 + [0.5, 1.0, 1.0, 0.5] + [0] * 20)
    lids = measure_lid_range(clip)
    closures = np.array([lid_closure(landmarks, lids) for landmarks in clip])
    assert closures[:20].max() < 0.05
    assert closures[21:23].min() >= 0.9
    assert 0.2 < closures[20].mean() < 1


def test_without_a_blink_closed_is_a_share_of_open(observe, pose_of):
    lids = measure_lid_range(blinking_clip(observe, pose_of, [0.0] * 30))
    np.testing.assert_allclose(lids.closed / lids.open, 0.3, atol=0.01)
    assert (lids.closed_score >= lids.open_score + 0.3).all()


def test_closures_snap_shut_monotonically():
    x = np.linspace(0, 1, 201)
    y = snap_shut(x)
    assert (np.diff(y) >= 0).all()
    np.testing.assert_array_equal(y[x <= 0.5], x[x <= 0.5])
    np.testing.assert_array_equal(y[x >= 0.75], 1)
    assert np.abs(np.diff(y)).max() < 0.02  # no step


def test_looking_down_is_not_blinking(rig):
    lids = LidColumns(rig)
    names = rig.expression_names
    down = np.tile(np.radians([20.0, 0.0]), (2, 1))
    half_lowered = lids.coefficients(down, np.full(2, 0.3))
    level = lids.coefficients(np.zeros((2, 2)), np.full(2, 0.3))
    shut = lids.coefficients(down, np.ones(2))
    blink = names.index("eyeBlinkLeft")
    assert half_lowered[blink] < level[blink] == pytest.approx(0.3)
    assert shut[blink] == pytest.approx(1)
    assert half_lowered[names.index("eyeLookDownLeft")] == pytest.approx(0.8)


def test_left_is_the_subjects_left(rig):
    toward_left = LidColumns(rig).coefficients(np.tile(np.radians([0.0, 20.0]), (2, 1)), np.zeros(2))
    names = rig.expression_names
    assert toward_left[names.index("eyeLookOutLeft")] > 0.5
    assert toward_left[names.index("eyeLookInRight")] > 0.5
    assert toward_left[names.index("eyeLookInLeft")] == 0


def test_lip_gap_grows_with_the_jaw(observe, pose_of):
    gaps = [lip_gap(observe(pose_of(jaw=j))) for j in (0, 0.3, 0.6, 1.0)]
    assert (np.diff(gaps) > 0).all()
    assert gaps[0] < 0.06


def test_lips_closed_is_sure_at_rest_and_never_when_open():
    assert lips_closed(0.02, 0.02) == 1
    assert lips_closed(0.2, 0.02) == 0
    values = [lips_closed(g, 0.02) for g in np.linspace(0, 0.2, 100)]
    assert (np.diff(values) <= 0).all()


@pytest.mark.parametrize("units", [{}, {"mouthLowerDown": 0.4}, {"mouthUpperUp": 0.5, "mouthFunnel": 0.3}])
@pytest.mark.parametrize("jaw", [0.1, 0.4])
def test_closed_lips_close_the_avatars(head, rig, units, jaw):
    rule = ClosedMouthRule(rig)
    expression = head.expression(**units).astype(float)
    pose = np.array([jaw, 0.0])
    before = rule.opening(expression, pose)
    after = rule.opening(rule(expression, pose, closed=1.0), pose)
    assert before > 2e-3
    assert abs(after) < max(1e-3, 0.15 * before)
    assert rule.opening(rule(expression, pose, closed=0.5), pose) == pytest.approx(before / 2, rel=0.25)


def test_open_lips_are_left_alone(head, rig):
    expression = head.expression(mouthLowerDown=0.4).astype(float)
    np.testing.assert_array_equal(ClosedMouthRule(rig)(expression, np.array([0.4, 0]), closed=0.0), expression)


def test_the_rule_predicts_the_head_models_own_opening(head, embedding, rig):
    expression = head.expression(mouthLowerDown=0.5, mouthUpperUp=0.3)
    points = embedding.points(head.vertices(np.zeros(0), expression, head.pose(jaw=0.5 * head.jaw_open_angle)))
    rest = embedding.points(head.vertices(np.zeros(0)))
    opening = (points[13, 1] - points[14, 1]) - (rest[13, 1] - rest[14, 1])
    assert ClosedMouthRule(rig).opening(expression.astype(float), np.array([0.5, 0])) == pytest.approx(opening, abs=1e-3)


def test_gaze_is_followed_exactly_while_easy_and_in_order_beyond():
    easy = np.radians([[10.0, -15.0], [-13.0, 19.0]])
    np.testing.assert_allclose(soften(easy), easy)
    yaw = np.radians(np.linspace(0, 80, 60))
    softened = soften(np.stack([np.zeros(60), yaw], -1))[:, 1]
    assert (np.diff(softened) > 0).all()
    assert softened.max() < LIMIT[1] + 1e-12
