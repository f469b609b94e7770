"""Rotations against SciPy and the group axioms; cameras against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from core import geometry

TOLERANCE = 1e-12  # float64 formulas of a handful of operations


@pytest.fixture
def rotations(generator) -> Rotation:
    """Random rotations, some of them near zero and near half a turn."""
    vectors = generator.normal(size=(300, 3))
    vectors[:50] *= 1e-9
    vectors[50:100] *= (np.pi - 1e-6) / np.linalg.norm(vectors[50:100], axis=1, keepdims=True)
    return Rotation.from_rotvec(vectors)


def test_axis_angle_to_matrix_equals_scipy(rotations):
    np.testing.assert_allclose(geometry.rotation_from_axis_angle(rotations.as_rotvec()), rotations.as_matrix(), atol=1e-10)


def test_matrix_quaternion_and_axis_angle_round_trips(rotations):
    matrix = rotations.as_matrix()
    quat = geometry.quat_from_rotation(matrix)
    np.testing.assert_allclose(np.linalg.norm(quat, axis=-1), 1, atol=TOLERANCE)
    np.testing.assert_allclose(geometry.rotation_from_quat(quat), matrix, atol=1e-9)
    again = geometry.rotation_from_axis_angle(geometry.axis_angle_from_rotation(matrix))
    np.testing.assert_allclose(again, matrix, atol=1e-8)


def test_quaternion_product_is_composition(rotations, generator):
    other = Rotation.random(len(rotations), random_state=1)
    product = geometry.quat_multiply(geometry.quat_from_rotation(rotations.as_matrix()),
                                     geometry.quat_from_rotation(other.as_matrix()))
    np.testing.assert_allclose(geometry.rotation_from_quat(product), (rotations * other).as_matrix(), atol=1e-9)


def test_quat_from_axis_angle_keeps_small_angles():
    tiny = np.array([1e-12, 0.0, 0.0])
    np.testing.assert_allclose(geometry.axis_angle_from_quat(geometry.quat_from_axis_angle(tiny)), tiny, rtol=1e-6)


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.6, 0.2), (-1.3, -0.4), (3.0, 0.1)])
def test_orbit_camera_sees_its_target_in_the_middle(yaw, pitch):
    camera = geometry.orbit_camera(yaw, pitch, 640, 480)
    target = camera.world_to_camera @ [*geometry.PORTRAIT_TARGET, 1.0]
    np.testing.assert_allclose(target[:3], [0, 0, geometry.PORTRAIT_DISTANCE], atol=1e-6)
    rotation = camera.world_to_camera[:3, :3].astype(float)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-6)


def test_portrait_camera_has_up_up_and_left_of_the_subject_right():
    camera = geometry.portrait_camera(512, 512)

    def pixel(point):
        x, y, z = (camera.world_to_camera @ [*point, 1.0])[:3]
        return camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy

    centre = pixel(geometry.PORTRAIT_TARGET)
    assert centre == pytest.approx((256, 256), abs=1e-3)
    assert pixel(geometry.PORTRAIT_TARGET + [0, 0.05, 0])[1] < 256
    assert pixel(geometry.PORTRAIT_TARGET + [0.05, 0, 0])[0] > 256


def test_camera_position_is_where_the_orbit_puts_it():
    camera = geometry.orbit_camera(np.pi / 2, 0.0, 64, 64, distance=2.0)
    np.testing.assert_allclose(camera.position, geometry.PORTRAIT_TARGET + [2, 0, 0], atol=1e-6)
