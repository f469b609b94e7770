"""The OpenGL renderer on whatever OpenGL the machine has, a software one included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.errors import DeviceError, InputError
from core.geometry import orbit_camera
from core.render.benchmark import compare_with_opengl, psnr, shell_cloud
from core.render.reference import ALPHA_MIN, render_reference
from core.render.renderer import open_renderer
from tests.render.clouds import cloud, front_camera, random_cloud

PARITY_DB = 52.0  # blending in half floats rounds every layer
BYTES_DB = 45.0


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


def test_less_detail_leaves_out_what_the_processor_leaves_out(opengl):
    from core.render.cpu import CpuRenderer

    gaussians, camera = shell_cloud(64**2, 128)
    full = opengl.render(gaussians, camera)
    opengl.alpha_min = 1 / 16
    rough = opengl.render(gaussians, camera)
    opengl.alpha_min = ALPHA_MIN
    expected = CpuRenderer(alpha_min=1 / 16).render(gaussians, camera)
    assert psnr(rough / 255, expected / 255) > 48 > psnr(rough / 255, full / 255)


def test_bytes_serve_where_half_floats_do_not():
    try:
        from core.render.opengl import OffscreenOpenGLRenderer

        renderer = OffscreenOpenGLRenderer(half_floats=False)
    except DeviceError as error:
        pytest.skip(str(error))
    gaussians, camera = shell_cloud(64**2, 128)
    color, _ = render_reference(gaussians, camera, (1, 1, 1))
    assert psnr(renderer.render(gaussians, camera, (1, 1, 1))[..., :3] / 255, np.clip(color, 0, 1)) >= BYTES_DB
    renderer.close()


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (1 << 20, 4)])
def test_impossible_pictures_are_refused(opengl, size):
    with pytest.raises(InputError, match=f"{size[0]}×{size[1]} pixels"):
        opengl.render(cloud([0, 0, 1]), replace(front_camera(8, 8), width=size[0], height=size[1]))


@pytest.mark.parametrize("far", [1.3, 50.0])
def test_depths_are_ordered_to_a_fraction_of_a_hair(generator, far):
    """A near cloud is sorted by 16-bit steps, a far one in full; what lies behind the camera comes first and is not drawn."""
    from core.render.opengl import depth_order

    depth = generator.uniform(0.7, far, 5000).astype(np.float32)
    depth[:10] = -0.3
    order = depth_order(depth)
    assert sorted(order) == list(range(5000))
    assert np.diff(depth[order]).min() > -2e-5
    assert set(order[:10]) == set(range(10))
    assert depth_order(np.full(7, 2.0, np.float32)).tolist() == list(range(7))  # ties keep their order
