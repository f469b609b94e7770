from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.geometry import rotation_from_axis_angle
from core.head.library import load_open_head
from core.head.model import SHAPE_BANK_TRAITS, HeadModel
from core.head.presets import preset, presets
from tests.head.conftest import random_pose


def test_layout_is_flames(head: HeadModel) -> None:
    assert head.pose_dirs.shape == (head.vertex_count, 3, 36)
    assert head.joint_regressor.shape == (5, head.vertex_count)
    np.testing.assert_allclose(head.skin_weights.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(head.joint_regressor.sum(1), 1, atol=1e-5)
    assert head.expression_count == 49
    assert head.psi_layout.size == 58
    assert head.faces.max() < head.vertex_count
    assert head.uv.min() >= 0
    assert head.uv.max() <= 1


def test_head_space_is_metres_y_up_z_front_with_the_left_on_positive_x(head: HeadModel) -> None:
    joints = head.neutral(np.zeros(0)).joints
    _, neck, _, left_eye, right_eye = joints
    assert 0.05 < left_eye[0] - right_eye[0] < 0.07, "adult eyes are 5.4 to 6.8 cm apart"
    assert neck[1] < left_eye[1] - 0.08
    assert head.v_template[head.vertices_of("eye_l"), 2].max() > neck[2] + 0.05


def test_joints_follow_the_expressed_shape_as_the_regressor_says(head: HeadModel, rng: np.random.Generator) -> None:
    shape, expression = rng.normal(0, 1, head.shape_count), rng.uniform(0, 1, head.expression_count)
    posed = head.transforms(shape, expression, np.zeros((5, 3)))
    expressed = head.v_template + head.shape_dirs @ shape + head.expression_dirs @ expression
    np.testing.assert_allclose(posed.joints, head.joint_regressor @ expressed, atol=1e-6)  # float32 sums over 165 vertices
    np.testing.assert_allclose(posed.vertices, expressed, atol=1e-6)


def test_turning_the_root_turns_everything_rigidly(head: HeadModel, rng: np.random.Generator) -> None:
    shape = rng.normal(0, 1, head.shape_count)
    turn = np.array([0.2, -0.7, 0.1], np.float32)
    rest = head.transforms(shape)
    turned = head.vertices(shape, None, head.pose(root=tuple(turn)))
    expected = (rest.vertices - rest.joints[0]) @ rotation_from_axis_angle(turn).T + rest.joints[0]
    np.testing.assert_allclose(turned, expected, atol=1e-6)


def test_eyeballs_turn_about_their_centres_and_nothing_else_moves(head: HeadModel) -> None:
    identity = head.neutral(head.shape_bank[0])
    moved = np.linalg.norm(head.vertices(identity, None, head.pose(gaze=(0.1, 0.4))) - identity.vertices, axis=1)
    eyes = head.vertices_of("eye_l", "eye_r")
    assert moved[eyes].max() > 0.004
    others = np.setdiff1d(np.arange(head.vertex_count), eyes)
    assert moved[others].max() < 1e-6
    gazing = head.vertices(identity, None, head.pose(gaze=(0.0, 0.4)))
    pole = head.vertices_of("eye_l")[0]
    assert gazing[pole, 0] > identity.vertices[pole, 0], "positive yaw looks to the subject's left"


def test_the_jaw_opens_down_and_back_and_takes_the_lower_teeth_alone(head: HeadModel) -> None:
    identity = head.neutral(np.zeros(0))
    moved = head.vertices(identity, None, head.pose(jaw=head.jaw_open_angle)) - identity.vertices
    lower, upper = head.vertices_of("teeth_l"), head.vertices_of("teeth_u")
    assert moved[lower, 1].mean() < -0.015
    assert np.linalg.norm(moved[upper], axis=1).max() < 1e-6


def test_turning_the_neck_leaves_the_lowest_shoulders_still(head: HeadModel) -> None:
    identity = head.neutral(np.zeros(0))
    moved = np.linalg.norm(head.vertices(identity, None, head.pose(neck=(0, 0.5, 0))) - identity.vertices, axis=1)
    skin = head.vertices_of("skin")
    lowest = skin[head.v_template[skin, 1] < np.quantile(head.v_template[skin, 1], 0.02)]
    assert moved[lowest].max() < 0.001
    assert moved[head.vertices_of("eye_l")].min() > 0.02


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_expression_is_linear_without_pose(seed: int) -> None:
    head = load_open_head()
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1, 1, (2, head.expression_count)).astype(np.float32)
    identity = head.neutral(head.shape_bank[seed % len(head.shape_bank)])
    together = head.vertices(identity, a + b)
    apart = head.vertices(identity, a) + head.vertices(identity, b) - identity.vertices
    np.testing.assert_allclose(together, apart, atol=2e-6)  # float32 sums of 49 terms of up to 4 cm


def test_shorter_coefficient_vectors_mean_zeros(head: HeadModel, rng: np.random.Generator) -> None:
    shape = rng.normal(0, 1, 10).astype(np.float32)
    np.testing.assert_array_equal(head.vertices(shape), head.vertices(np.pad(shape, (0, head.shape_count - 10))))
    with pytest.raises(InputError, match="coefficients"):
        head.vertices(np.zeros(head.shape_count + 1))


def test_an_identity_is_computed_once(head: HeadModel) -> None:
    assert head.neutral(head.shape_bank[3]) is head.neutral(head.shape_bank[3].copy())


def test_results_are_the_callers_own(head: HeadModel) -> None:
    identity = head.neutral(head.shape_bank[3])
    head.vertices(identity)[:] = 0
    assert np.abs(head.vertices(identity)).max() > 0.05


def test_names_set_both_sides(head: HeadModel) -> None:
    both = head.expression(eyeBlink=0.5)
    assert both[head.expression_names.index("eyeBlinkLeft")] == both[head.expression_names.index("eyeBlinkRight")] == 0.5
    assert np.count_nonzero(head.expression(eyeBlinkLeft=1)) == 1
    with pytest.raises(InputError, match="noSuchUnit"):
        head.expression(noSuchUnit=1)


def test_left_expressions_move_the_left_side(head: HeadModel) -> None:
    for name in ("eyeBlink", "mouthSmile", "browOuterUp", "cheekSquint", "noseSneer"):
        for side, sign in (("Left", 1), ("Right", -1)):
            motion = np.linalg.norm(head.expression_dirs @ head.expression(**{name + side: 1.0}), axis=1)
            assert sign * (motion * head.v_template[:, 0]).sum() > 0, name + side


def test_presets_pass_through_head_params(head: HeadModel) -> None:
    for one in presets(head):
        params = one.head_params()
        assert len(params.psi()) == head.psi_layout.size
        np.testing.assert_allclose(params.joint_pose()[2:], one.pose[2:], atol=1e-7)
    assert not preset(head, "neutral").expression.any()


def test_the_bank_holds_people_with_traits(head: HeadModel) -> None:
    assert len(head.shape_bank) >= 600
    assert head.shape_bank.shape[1] == head.shape_count == 100
    assert head.shape_bank_traits.shape == (len(head.shape_bank), len(SHAPE_BANK_TRAITS))
    np.testing.assert_allclose(head.shape_bank_traits[:, 2:5].sum(1), 1, atol=5e-3)  # stored in half precision
    np.testing.assert_allclose(head.shape_bank.std(0), 1, atol=0.15)  # unit variance, up to sampling (640 people)


def test_random_poses_stay_finite(head: HeadModel, rng: np.random.Generator) -> None:
    for _ in range(5):
        vertices = head.vertices(head.shape_bank[1], rng.uniform(0, 1, 49), random_pose(rng))
        assert np.isfinite(vertices).all()
        assert np.abs(vertices).max() < 0.6
