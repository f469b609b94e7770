"""The float64 reference against closed forms. These tests are the only check of the rules themselves."""

from __future__ import annotations

import numpy as np
import pytest

from core.geometry import orbit_camera, quat_from_axis_angle, rotation_from_quat
from core.render.reference import project, render_reference
from core.types import Camera, Gaussians
from tests.render.clouds import cloud, front_camera


def test_one_gaussian_has_the_closed_form():
    """A ball on the axis: Σ₂ = (f σ / z)²·I, widened by 0.3, opacity lowered by the ratio of the areas."""
    camera = front_camera(33, 33)
    picture, coverage = render_reference(cloud([0, 0, 2], scale=0.05, opacity=0.8), camera)
    variance = (100 * 0.05 / 2) ** 2
    y, x = np.mgrid[:33, :33] + 0.5 - 16.5
    expected = 0.8 * variance / (variance + 0.3) * np.exp(-0.5 * (x**2 + y**2) / (variance + 0.3))
    expected[expected < 1 / 255] = 0
    np.testing.assert_allclose(coverage, expected, atol=1e-7)
    np.testing.assert_allclose(picture, expected[..., None] * (1, 0, 0), atol=1e-7)


def test_projection_is_the_derivative_of_the_camera(generator):
    """Σ₂ of a tiny Gaussian equals the covariance of its projected samples' linearisation, by finite differences."""
    camera = orbit_camera(0.4, -0.2, 200, 160)
    quat = quat_from_axis_angle(generator.normal(size=3))
    scale = np.array([1e-3, 2e-3, 5e-4])
    center = np.array([0.03, -0.05, 0.02])
    gaussians = cloud(center, scale=scale, quat=quat)

    def pixel(point):
        p = camera.world_to_camera[:3, :3].astype(float) @ point + camera.world_to_camera[:3, 3]
        return np.array([camera.fx * p[0] / p[2] + camera.cx, camera.fy * p[1] / p[2] + camera.cy])

    axes = rotation_from_quat(quat) * scale
    step = 1e-3
    moved = np.stack([(pixel(center + step * axis) - pixel(center - step * axis)) / (2 * step) for axis in axes.T], -1)
    projected = project(gaussians, camera)
    np.testing.assert_allclose(projected.covariance[0] - 0.3 * np.eye(2), moved @ moved.T, rtol=1e-4)  # float32 inputs
    np.testing.assert_allclose(projected.center[0], pixel(gaussians.xyz[0].astype(float)), atol=1e-6)


def test_blending_is_front_to_back_whatever_the_order():
    """Two wide Gaussians over one pixel: C = α₁c₁ + (1 − α₁)α₂c₂."""
    near, far = [0, 0, 1], [0, 0, 2]
    wide = np.array([[0.5] * 3, [1.0] * 3])
    colors = np.array([[1, 0, 0], [0, 1, 0]])
    for order in ([0, 1], [1, 0]):
        gaussians = Gaussians(*(a[order] for a in (
            np.array([near, far], np.float32), wide.astype(np.float32), np.tile(np.float32([1, 0, 0, 0]), (2, 1)),
            colors.astype(np.float32), np.array([0.6, 0.5], np.float32))))
        picture, coverage = render_reference(gaussians, front_camera(1, 1), (0, 0, 1))
        shrink = 2500 / 2500.3
        first, second = 0.6 * shrink, 0.5 * shrink
        np.testing.assert_allclose(picture[0, 0], [first, (1 - first) * second, (1 - first) * (1 - second)], atol=1e-6)
        assert coverage[0, 0] == pytest.approx(1 - (1 - first) * (1 - second), abs=1e-6)


def test_alpha_is_capped_and_a_pixel_finishes():
    """Ten opaque layers: α is 0.999, so the second layer would bring T to 1e-6 and is not drawn."""
    gaussians = cloud([[0, 0, z] for z in range(1, 11)], scale=np.array([50.0] * 10), opacity=1.0)
    _, coverage = render_reference(gaussians, front_camera(1, 1))
    assert coverage[0, 0] == pytest.approx(0.999, abs=1e-9)


def test_faint_and_unseen_gaussians_are_not_drawn():
    nothing = (cloud([0, 0, 2], opacity=1 / 300), cloud([0, 0, -2]), cloud([0, 0, 0.005]), cloud([50, 0, 2]))
    for gaussians in nothing:
        assert not render_reference(gaussians, front_camera(16, 16))[1].any()


def test_the_camera_s_convention():
    """x to the right, y down, pixel centres at +0.5."""
    camera = Camera(np.eye(4, dtype=np.float32), 100, 100, 4, 4, 8, 8)
    _, coverage = render_reference(cloud([0.025, -0.015, 1], scale=1e-3), camera)
    assert np.unravel_index(coverage.argmax(), coverage.shape) == (2, 6)  # y = 4 − 1.5, x = 4 + 2.5
