"""The OpenGL renderer on whatever OpenGL the machine has, a software one included."""

from __future__ import annotations

import numpy as np
import pytest

from core.errors import DeviceError
from core.geometry import orbit_camera
from core.render.benchmark import compare_with_opengl, psnr, shell_cloud
from core.render.reference import render_reference
from core.render.renderer import open_renderer
from tests.render.clouds import cloud, front_camera, random_cloud

PARITY_DB = 52.0  # blending in half floats rounds every layer


@pytest.fixture(scope="module")
def opengl():
    try:
        renderer = open_renderer("opengl")
    except DeviceError as error:
        pytest.skip(str(error))
    yield renderer
    renderer.close()


def assert_parity(opengl, gaussians, camera, background):
    color, coverage = render_reference(gaussians, camera, background)
    picture = opengl.render(gaussians, camera, background)
    assert picture.dtype == np.uint8
    assert picture.shape == (camera.height, camera.width, 4)
    assert psnr(picture[..., :3] / 255, np.clip(color, 0, 1)) >= PARITY_DB
    assert psnr(picture[..., 3] / 255, coverage) >= PARITY_DB


@pytest.mark.parametrize("background", [None, (1.0, 1.0, 1.0), (0.0, 0.4, 0.2)])
def test_parity_on_a_head_sized_shell(opengl, background):
    gaussians, camera = shell_cloud(64**2, 128)
    assert_parity(opengl, gaussians, camera, background)


@pytest.mark.parametrize(("width", "height", "count"), [(33, 70, 300), (128, 50, 1500), (64, 64, 1), (50, 64, 257)])
def test_parity_on_random_clouds(opengl, generator, width, height, count):
    """Upright, whatever the size, when the cloud grows and shrinks."""
    assert_parity(opengl, random_cloud(generator, count), orbit_camera(0.5, 0.2, width, height, 1.0, np.zeros(3), 20), (1, 1, 1))


def test_thin_gaussians_in_every_direction(opengl):
    """The quad follows the ellipse's axes, also where they are those of the picture and where the ellipse is a disc."""
    for degrees in (0, 30, 45, 90, 120, 135, 179):
        half = np.radians(degrees) / 2
        gaussians = cloud([0, 0, 1], scale=[0.1, 0.004, 0.004], quat=[np.cos(half), 0, 0, np.sin(half)])
        assert_parity(opengl, gaussians, front_camera(60, 60), (0, 0, 0))
    assert_parity(opengl, cloud([0, 0, 1], scale=0.05), front_camera(60, 60), (0, 0, 0))


def test_nothing_to_draw(opengl):
    for gaussians in (cloud(np.zeros((0, 3))), cloud([0, 0, -1]), cloud([0, 0, 1], opacity=0.0)):
        assert (opengl.render(gaussians, front_camera(20, 10), (1, 0, 0)) == [255, 0, 0, 0]).all()


def test_comparison_names_the_device(opengl):
    gaussians, camera = shell_cloud(32**2, 64)
    comparison = compare_with_opengl(gaussians, camera, repeats=1)
    assert comparison.description == opengl.description
    assert comparison.is_software == opengl.is_software
    assert comparison.ratio > 0


def test_closing_one_renderer_leaves_the_others(opengl):
    gaussians, camera = shell_cloud(16**2, 32)
    expected = opengl.render(gaussians, camera)
    other = open_renderer("opengl")
    other.render(gaussians, camera)
    other.close()
    np.testing.assert_array_equal(opengl.render(gaussians, camera), expected)
