"""Manual control of the motion, against closed forms."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from core.avatar.motion import head_motion
from core.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from core.head.library import load_open_head
from core.head.presets import preset
from core.pipeline.live.state import DriveControls, Gains
from core.pipeline.live.steering import EXPRESSION_LIMIT, EYE_LIMIT, GROUPS, Steering, group_of, psi_limits
from core.pipeline.live.turn import Turn
from core.tracking.loss import LossPolicy
from core.types import HeadParams, TrackState

MS = 1_000_000
HEAD = load_open_head()
NAMES = HEAD.expression_names
COLUMN = {name: i for i, name in enumerate(NAMES)}
NECK = HEAD.neutral(np.zeros(0, np.float32)).joints[1].astype(float)
COUNT = len(NAMES)


def moving(seed: int, time_ns: int = 0, **changes) -> HeadParams:
    """Somebody in mid-motion."""
    rng = np.random.default_rng(seed)

    def small(size: int, scale: float) -> np.ndarray:
        return rng.uniform(-scale, scale, size).astype(np.float32)

    params = HeadParams(rng.uniform(0, 0.9, COUNT).astype(np.float32), np.array([rng.uniform(0, 0.4), 0.03, 0], np.float32),
                        small(3, 0.2), small(3, 0.2), small(3, 0.5), np.array([0.02, -0.03, -0.6], np.float32) + small(3, 0.02),
                        time_ns=time_ns, scores=small(52, 0.5))
    return replace(params, **changes)


def turned(params: HeadParams) -> np.ndarray:
    return rotation_from_axis_angle(params.head_rotation.astype(float))


@pytest.fixture
def steering() -> Steering:
    return Steering(NAMES)


@pytest.fixture
def smile() -> HeadParams:
    return preset(HEAD, "smile").head_params()


# ------------------------------------------------------------------------------------------------------- nothing to do


def test_without_controls_everything_passes_untouched(steering):
    params, controls = moving(1), DriveControls()
    psi = params.psi()
    assert steering.params(params, controls) is params
    assert steering.psi(psi, controls) is psi
    assert steering.rotation(params, controls) is params


def test_rotations_of_plain_floats_agree_with_matrices(generator):
    for a, b in generator.normal(0, 1.2, (50, 2, 3)):
        both = rotation_from_axis_angle(a) @ rotation_from_axis_angle(b)
        turn = Turn.of(a).after(Turn.of(b))
        np.testing.assert_allclose(rotation_from_axis_angle(turn.axis_angle().astype(float)), both, atol=1e-6)
        np.testing.assert_allclose(turn.apply(a), both @ a, atol=1e-9)
        np.testing.assert_allclose(turn.inverse.apply(a), both.T @ a, atol=1e-9)
    np.testing.assert_array_equal(Turn.of((0, 0, 0)).axis_angle(), 0)


# ---------------------------------------------------------------------------------------------------- relative driving


def test_the_zero_pose_is_no_motion_at_all(steering):
    zero = moving(3)
    steering.rezero()
    shown = steering.params(zero, DriveControls(relative=True))
    np.testing.assert_allclose(shown.psi(), 0, atol=1e-6)
    np.testing.assert_allclose(shown.head_rotation, 0, atol=1e-6)
    np.testing.assert_allclose(shown.scores, 0, atol=1e-6)
    np.testing.assert_allclose(shown.head_translation, steering.rest_translation, atol=1e-7)


def test_a_camera_that_stands_aside_sees_the_same_motion_as_one_in_front(steering):
    """The oracle: true motion of a head, filmed by a camera that is turned and moved."""
    aside = rotation_from_axis_angle(np.array([0.25, -0.6, 0.1]))
    camera_at = np.array([0.1, 0.05, -0.7])
    neck_moves = np.array([0.01, -0.004, 0.006])

    def filmed(turn: np.ndarray, neck: np.ndarray, time_ns: int) -> HeadParams:
        true = rotation_from_axis_angle(turn)
        origin = NECK + neck - true @ NECK
        return moving(0, time_ns, head_rotation=axis_angle_from_rotation(aside @ true).astype(np.float32),
                      head_translation=(aside @ origin + camera_at).astype(np.float32))

    controls = DriveControls(relative=True)
    steering.rezero()
    steering.params(filmed(np.zeros(3), np.zeros(3), 0), controls)
    nod = np.array([0.3, 0.1, -0.05])
    shown = steering.params(filmed(nod, neck_moves, 33 * MS), controls)
    np.testing.assert_allclose(shown.head_rotation, nod, atol=1e-5)
    origin = NECK + neck_moves - rotation_from_axis_angle(nod) @ NECK
    expected = head_motion(moving(0, head_rotation=nod, head_translation=origin), NECK, np.zeros(3))
    np.testing.assert_allclose(head_motion(shown, NECK, steering.rest_translation).head_shift, expected.head_shift, atol=1e-5)


def test_relative_expressions_are_differences_that_stay_on_the_head_models_side_of_zero(steering):
    zero, now = moving(4), moving(5, 33 * MS)
    controls = DriveControls(relative=True)
    steering.rezero()
    steering.params(zero, controls)
    shown = steering.params(now, controls)
    lids = [COLUMN["eyeBlinkLeft"], COLUMN["eyeBlinkRight"]]
    others = np.delete(np.arange(COUNT), lids)
    np.testing.assert_allclose(shown.expression[others], np.maximum(now.expression - zero.expression, 0)[others], atol=1e-6)
    np.testing.assert_allclose(shown.jaw_pose[0], max(now.jaw_pose[0] - zero.jaw_pose[0], 0), atol=1e-6)
    np.testing.assert_allclose(shown.left_eye_pose, now.left_eye_pose - zero.left_eye_pose, atol=1e-6)
    np.testing.assert_allclose(shown.scores, now.scores - zero.scores, atol=1e-6)


def test_eyes_that_rest_half_shut_can_still_shut(steering):
    def lids(value: float, time_ns: int) -> HeadParams:
        params = HeadParams.neutral(COUNT)
        return replace(params, expression=HEAD.expression(eyeBlink=value), time_ns=time_ns)

    controls = DriveControls(relative=True)
    steering.rezero()
    assert steering.params(lids(0.4, 0), controls).expression.max() == 0
    assert steering.params(lids(1.0, MS), controls).expression.max() == pytest.approx(1)


def test_absolute_driving_knows_no_zero_pose_but_its_translation(steering):
    first, later = moving(6), moving(7, 33 * MS)
    steering.params(first, DriveControls())
    np.testing.assert_array_equal(steering.rest_translation, first.head_translation)
    steering.rezero()
    assert steering.params(later, DriveControls()) is later
    np.testing.assert_array_equal(steering.rest_translation, later.head_translation)


def test_the_zero_pose_waits_for_a_face(steering):
    lost = moving(8, state=TrackState.LOST)
    steering.rezero()
    steering.params(lost, DriveControls())
    assert steering.rest_translation is None
    seen = moving(9, 33 * MS)
    steering.params(seen, DriveControls(relative=True))
    np.testing.assert_array_equal(steering.rest_translation, seen.head_translation)


def test_a_lost_face_eases_to_rest_without_a_jump_and_returns_without_one(steering):
    """A zero pose far from the camera's axis: easing to the absolute neutral would turn the avatar away."""
    loss, controls = LossPolicy(COUNT), DriveControls(relative=True)
    zero = moving(10, head_rotation=np.array([0.1, 0.7, 0], np.float32))
    steering.rezero()
    shown = []
    for i in range(120):
        tracked = None if 20 <= i < 80 else replace(zero, time_ns=i * 33 * MS)
        shown.append(steering.params(loss.update(tracked, i * 33 * MS), controls))
    for params in shown:  # the zero pose is rest, seen or not
        np.testing.assert_allclose(params.head_rotation, 0, atol=1e-5)
        np.testing.assert_allclose(params.psi(), 0, atol=1e-5)


def test_somebody_who_is_lost_in_mid_motion_eases_to_rest_and_back(steering):
    loss, controls = LossPolicy(COUNT), DriveControls(relative=True)
    steering.rezero()
    steering.params(loss.update(moving(10), 0), controls)
    shown = []
    for i in range(1, 500):
        tracked = None if 100 <= i < 250 else moving(11, i * 5 * MS)
        shown.append(steering.params(loss.update(tracked, i * 5 * MS), controls))
    away = shown[248]
    np.testing.assert_allclose(np.append(away.psi(), away.head_rotation), 0, atol=1e-5)
    steps = [np.abs(np.append(a.psi() - b.psi(), a.head_rotation - b.head_rotation)).max() for a, b in pairwise(shown)]
    assert max(steps) < 0.08  # 5 ms apart; the way back takes 100 ms
    np.testing.assert_allclose(shown[-1].psi(), shown[0].psi(), atol=1e-6)


def test_reset_forgets_the_zero_pose(steering):
    controls = DriveControls(relative=True)
    steering.params(moving(11), controls)
    steering.reset()
    assert steering.rest_translation is None
    other = moving(12, 33 * MS)
    np.testing.assert_allclose(steering.params(other, controls).head_rotation, 0, atol=1e-6)


# -------------------------------------------------------------------------------------------------------------- freeze


def test_freezing_holds_face_and_head_and_lets_go(steering):
    first, second, third = moving(1, 0), moving(2, 33 * MS), moving(3, 66 * MS)
    steering.params(first, DriveControls())
    held = steering.params(second, DriveControls(frozen=True))
    np.testing.assert_array_equal(held.psi(), first.psi())
    np.testing.assert_array_equal(held.head_rotation, first.head_rotation)
    np.testing.assert_array_equal(held.head_translation, first.head_translation)
    assert held.time_ns == second.time_ns
    assert steering.params(third, DriveControls()) is third


def test_rezero_under_a_frozen_face_does_not_move_it(steering):
    first, second = moving(1), moving(2, 33 * MS)
    steering.params(first, DriveControls())
    frozen = DriveControls(frozen=True)
    steering.params(second, frozen)
    rest = steering.rest_translation
    steering.rezero()
    steering.params(second, frozen)
    np.testing.assert_array_equal(steering.rest_translation, rest)
    steering.params(moving(3, 66 * MS), DriveControls())
    np.testing.assert_array_equal(steering.rest_translation, second.head_translation)


def test_frozen_from_the_first_picture_holds_that(steering):
    first = moving(1)
    assert steering.params(first, DriveControls(frozen=True)) is first
    np.testing.assert_array_equal(steering.params(moving(2, MS), DriveControls(frozen=True)).psi(), first.psi())


# ----------------------------------------------------------------------------------------------------- gains and offsets


@pytest.mark.parametrize("group", GROUPS)
def test_a_gain_touches_its_group_alone(steering, group):
    psi = moving(2).psi() * 0.5
    scaled = steering.psi(psi, DriveControls(gains=Gains(**{group: 0.5})))
    mine = np.array([group_of(name) == group for name in NAMES] + [group == "jaw"] * 3 + [group == "eyes"] * 6)
    np.testing.assert_allclose(scaled[mine], psi[mine] * 0.5, atol=1e-7)
    np.testing.assert_array_equal(scaled[~mine], psi[~mine])
    assert scaled.dtype == np.float32


def test_every_column_has_the_group_that_its_name_says():
    assert {group_of(name) for name in NAMES} == set(GROUPS)
    assert [group_of(name) for name in ("browInnerUp", "eyeLookInLeft", "jawForward", "mouthClose", "cheekPuff", "noseSneerLeft",
                                        "tongueOut", "expression 12")] == ["brows", "eyes", "jaw", *["mouth"] * 5]


def test_offsets_add_up_and_stay_sane(steering):
    psi = np.zeros(COUNT + 9, np.float32)
    psi[COLUMN["mouthSmileLeft"]] = 0.5
    offset = np.zeros_like(psi)
    offset[COLUMN["mouthSmileLeft"]], offset[COLUMN["browInnerUp"]], offset[COLUMN["cheekPuff"]] = 0.3, -0.4, 9.0
    offset[COUNT], offset[COUNT + 3], offset[COUNT + 4] = 9.0, -9.0, 0.2
    before = psi.copy()
    shown = steering.psi(psi, DriveControls(psi_offset=offset))
    assert shown[COLUMN["mouthSmileLeft"]] == pytest.approx(0.8)
    assert shown[COLUMN["browInnerUp"]] == 0
    assert shown[COLUMN["cheekPuff"]] == EXPRESSION_LIMIT
    assert shown[COUNT] == pytest.approx(1.2 * HEAD.jaw_open_angle, abs=1e-3)
    assert shown[COUNT + 3] == pytest.approx(-EYE_LIMIT)
    assert shown[COUNT + 4] == pytest.approx(0.2)
    np.testing.assert_array_equal(psi, before)


def test_limits_do_not_cut_what_was_tracked(steering):
    psi = np.zeros(COUNT + 9, np.float32)
    psi[COLUMN["mouthSmileLeft"]], psi[COLUMN["mouthFrownLeft"]] = 1.6, -0.2
    shown = steering.psi(psi, DriveControls(gains=Gains(brows=2)))
    np.testing.assert_array_equal(shown, psi)


def test_an_offset_for_another_head_model_is_ignored(steering):
    psi = moving(1).psi()
    assert steering.psi(psi, DriveControls(psi_offset=np.ones(55, np.float32))) is psi


def test_columns_without_names_are_two_sided():
    low, high = psi_limits([f"expression {i}" for i in range(50)])
    assert low.shape == high.shape == (59,)
    assert (low[:50] == -high[:50]).all()


# ---------------------------------------------------------------------------------------------------------------- head


def test_the_head_gain_scales_motion_about_rest(steering):
    rest, now = moving(1), moving(2, 33 * MS)
    steering.params(rest, DriveControls())
    shown = steering.rotation(now, DriveControls(gains=Gains(head=0.5), rotation_gain=0.8))
    np.testing.assert_allclose(shown.head_rotation, 0.4 * now.head_rotation, atol=1e-6)

    def neck_shift(params: HeadParams) -> np.ndarray:
        return params.head_translation - rest.head_translation - NECK + turned(params) @ NECK

    np.testing.assert_allclose(neck_shift(shown), 0.4 * neck_shift(now), atol=2e-5)
    still = steering.rotation(now, DriveControls(gains=Gains(head=0.0)))
    np.testing.assert_allclose(still.head_rotation, 0, atol=1e-7)
    np.testing.assert_allclose(still.head_translation, rest.head_translation, atol=1e-6)


def test_the_rotation_offset_turns_the_head_about_the_neck(steering):
    now = moving(2)
    steering.params(now, DriveControls())
    offset = np.array([0.1, -0.5, 0.2], np.float32)
    shown = steering.rotation(now, DriveControls(rotation_offset=offset))
    np.testing.assert_allclose(turned(shown), rotation_from_axis_angle(offset.astype(float)) @ turned(now), atol=1e-5)
    before, after = (head_motion(p, NECK, steering.rest_translation) for p in (now, shown))
    np.testing.assert_allclose(after.head_shift, before.head_shift, atol=1e-4)


# -------------------------------------------------------------------------------------------------------------- presets


def test_a_preset_eases_in_and_out(steering, smile):
    column = COLUMN["mouthSmileLeft"]
    psi = HeadParams.neutral(COUNT).psi()

    def shown(ms: float, face: HeadParams | None) -> float:
        controls = DriveControls(preset=face)
        steering.params(replace(HeadParams.neutral(COUNT), time_ns=round(ms * MS)), controls)
        return float(steering.psi(psi, controls)[column])

    full = float(smile.expression[column])
    assert shown(0, None) == 0
    assert shown(10, smile) == 0
    assert shown(10 + 75, smile) == pytest.approx(full / 2, abs=1e-5)
    assert steering.is_easing
    assert shown(10 + 150, smile) == pytest.approx(full)
    assert not steering.is_easing
    assert shown(500, smile) == pytest.approx(full)
    assert shown(500, None) == pytest.approx(full)
    assert shown(500, None) == pytest.approx(full), "no time has passed"
    assert shown(575, None) == pytest.approx(full / 2, abs=1e-5)
    assert shown(900, None) == 0


def test_one_preset_eases_into_another(steering, smile):
    frown = preset(HEAD, "frown").head_params()
    psi = HeadParams.neutral(COUNT).psi()
    for ms, face in ((0, smile), (300, smile), (300, frown), (375, frown)):
        controls = DriveControls(preset=face)
        steering.params(replace(HeadParams.neutral(COUNT), time_ns=ms * MS), controls)
    half = steering.psi(psi, controls)
    np.testing.assert_allclose(half, (smile.psi() + frown.psi()) / 2, atol=1e-5)


def test_a_preset_replaces_the_tracked_mouth_but_keeps_blinks_and_gaze_alive(steering, smile):
    tracked = moving(5)
    tracked.expression[COLUMN["eyeBlinkRight"]] = 1.0
    controls = DriveControls(preset=smile, gains=Gains(mouth=2))
    for ms in (0, 400):
        steering.params(replace(tracked, time_ns=ms * MS), controls)
    shown = steering.psi(tracked.psi(), controls)
    mouth = [i for i, name in enumerate(NAMES) if group_of(name) in ("mouth", "brows")]
    np.testing.assert_allclose(shown[mouth], smile.expression[mouth], atol=1e-6)
    assert shown[COLUMN["eyeBlinkRight"]] == 1.0
    np.testing.assert_allclose(shown[COUNT + 3:], tracked.psi()[COUNT + 3:])


def test_a_preset_that_looks_somewhere_keeps_its_gaze(steering):
    left = preset(HEAD, "gaze left").head_params()
    tracked = moving(5)
    controls = DriveControls(preset=left)
    for ms in (0, 400):
        steering.params(replace(tracked, time_ns=ms * MS), controls)
    np.testing.assert_allclose(steering.psi(tracked.psi(), controls)[COUNT + 3:], left.psi()[COUNT + 3:], atol=1e-6)


def test_wide_eyes_of_a_preset_still_shut_in_a_blink(steering):
    surprise = preset(HEAD, "surprise").head_params()
    tracked = replace(HeadParams.neutral(COUNT), expression=HEAD.expression(eyeBlink=1.0))
    controls = DriveControls(preset=surprise)
    for ms in (0, 400):
        steering.params(replace(tracked, time_ns=ms * MS), controls)
    assert steering.psi(tracked.psi(), controls)[COLUMN["eyeWideLeft"]] == pytest.approx(0, abs=1e-6)


def test_fades_go_on_with_the_time_of_the_picture_while_the_source_stands(steering, smile):
    still, controls = HeadParams.neutral(COUNT), DriveControls(preset=smile)
    steering.params(still, controls, now_ns=0)
    steering.params(still, controls, now_ns=200 * MS)
    assert steering.psi(still.psi(), controls)[COLUMN["mouthSmileLeft"]] == pytest.approx(0.9)


def test_offsets_come_on_top_of_a_preset(steering, smile):
    offset = np.zeros(COUNT + 9, np.float32)
    offset[COLUMN["browInnerUp"]] = 0.6
    controls = DriveControls(preset=smile, psi_offset=offset)
    for ms in (0, 400):
        steering.params(replace(HeadParams.neutral(COUNT), time_ns=ms * MS), controls)
    shown = steering.psi(HeadParams.neutral(COUNT).psi(), controls)
    np.testing.assert_allclose(shown, smile.psi() + offset, atol=1e-6)
