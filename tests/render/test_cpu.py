"""The CPU rasteriser against the reference, and what its users rely on.

Tolerances: an 8-bit picture of a float64 one has 58.9 dB from rounding alone where nothing is exactly representable, so 58 dB
on whole pictures leaves no room for a wrong pixel; no value may be off by more than one and a half steps.
"""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InputError
from core.geometry import orbit_camera
from core.render.benchmark import psnr, shell_cloud
from core.render.cpu import CpuRenderer
from core.render.cpu.blend import TILE_HEIGHT, TILE_WIDTH
from core.render.reference import render_reference
from core.types import Camera, Gaussians
from tests.render.clouds import FIELDS, cloud, front_camera, random_cloud

PARITY_DB = 58.0
STEP = 1 / 255
BACKGROUND = (0.2, 0.6, 0.8)  # exact in 8 bits, so that empty pixels count as right


@pytest.fixture(scope="module")
def renderer():
    return CpuRenderer()


def assert_parity(picture, gaussians, camera, background):
    color, coverage = render_reference(gaussians, camera, background)
    expected = np.concatenate([np.clip(color, 0, 1), coverage[..., None]], -1)
    assert np.abs(picture / 255 - expected).max() <= 1.5 * STEP
    if coverage.size > 200:  # too few pixels make no mean
        assert psnr(picture[..., :3] / 255, expected[..., :3]) >= PARITY_DB
        assert psnr(picture[..., 3] / 255, coverage) >= PARITY_DB


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.7, 0.1), (-1.3, 0.0), (2.6, 0.2), (0.3, -0.5)])
def test_parity_on_a_head_sized_shell(renderer, yaw, pitch):
    gaussians, _ = shell_cloud(64**2)
    camera = orbit_camera(yaw, pitch, 128, 128, 1.0, np.zeros(3))
    assert_parity(renderer.render(gaussians, camera, (1, 1, 1)), gaussians, camera, (1, 1, 1))


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (3, 5), (31, 65), (TILE_WIDTH, TILE_HEIGHT), (100, 37), (37, 200), (129, 127)])
def test_parity_at_any_size(renderer, generator, width, height):
    gaussians = random_cloud(generator, 500)
    camera = orbit_camera(0.3, 0.2, width, height, 1.0, np.zeros(3), 20)
    assert_parity(renderer.render(gaussians, camera, BACKGROUND), gaussians, camera, BACKGROUND)
    assert_parity(renderer.render(gaussians, camera), gaussians, camera, None)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 33, 1000])
def test_parity_at_any_count(renderer, generator, count):
    gaussians = random_cloud(generator, count)
    camera = orbit_camera(0.0, 0.0, 90, 90, 1.0, np.zeros(3), 25)
    assert_parity(renderer.render(gaussians, camera, (1, 1, 1)), gaussians, camera, (1, 1, 1))


def test_parity_from_inside_the_cloud(renderer, generator):
    """Gaussians behind, beside and right before the camera; splats larger than the picture; a depth range of decades."""
    gaussians = random_cloud(generator, 400)
    far = replace(gaussians, xyz=gaussians.xyz * 100)
    gaussians = Gaussians(*(np.concatenate([getattr(gaussians, f), getattr(far, f)]) for f in FIELDS))
    camera = front_camera(80, 60, 60.0)
    assert_parity(renderer.render(gaussians, camera, (0, 0, 0)), gaussians, camera, (0, 0, 0))


def test_an_off_centre_camera_with_unequal_focal_lengths(renderer, generator):
    gaussians = random_cloud(generator, 300)
    base = orbit_camera(-0.4, 0.3, 96, 64, 1.0, np.zeros(3), 20)
    camera = replace(base, fy=base.fy * 1.4, cx=20.3, cy=50.8)
    assert_parity(renderer.render(gaussians, camera, (1, 1, 0)), gaussians, camera, (1, 1, 0))


@settings(max_examples=30, deadline=None)
@given(sigma=st.floats(1e-4, 0.3), aspect=st.floats(0.02, 1.0), angle=st.floats(0, 3.2), opacity=st.floats(0.02, 1.0),
       x=st.floats(-0.4, 0.4), y=st.floats(-0.4, 0.4))
def test_every_pixel_of_one_gaussian(sigma, aspect, angle, opacity, x, y):
    """No block that an ellipse touches is left out, however thin, large or far outside it is."""
    gaussians = cloud([x, y, 1], scale=[sigma, sigma * aspect, sigma * aspect], quat=[np.cos(angle / 2), 0, 0, np.sin(angle / 2)],
                      opacity=opacity)
    camera = front_camera(70, 90)
    picture = CpuRenderer().render(gaussians, camera)
    _, coverage = render_reference(gaussians, camera)
    # One step for rounding; a pixel whose α is within float32 of the cut-off 1/255 may be there or not.
    assert np.abs(picture[..., 3] / 255 - coverage).max() <= 1.1 * STEP


def test_background_and_premultiplied_pictures_agree(renderer, generator):
    gaussians = random_cloud(generator, 300)
    camera = orbit_camera(0.0, 0.0, 70, 70, 1.0, np.zeros(3), 25)
    background = np.array([0.1, 0.6, 0.3])
    premultiplied = renderer.render(gaussians, camera) / 255
    over = renderer.render(gaussians, camera, tuple(background)) / 255
    composed = premultiplied[..., :3] + (1 - premultiplied[..., 3:]) * background
    assert np.abs(composed - over[..., :3]).max() <= 1.6 * STEP  # three roundings
    np.testing.assert_array_equal(premultiplied[..., 3], over[..., 3])
    assert (premultiplied[..., :3] <= premultiplied[..., 3:] + STEP).all()


def test_the_order_of_the_cloud_does_not_matter(renderer, generator):
    gaussians = random_cloud(generator, 700)
    camera = orbit_camera(0.2, 0.0, 80, 80, 1.0, np.zeros(3), 25)
    expected = renderer.render(gaussians, camera, (1, 1, 1)).astype(int)
    shuffled = renderer.render(gaussians.subset(generator.permutation(700)), camera, (1, 1, 1))
    assert np.abs(expected - shuffled).max() <= 1


def test_a_nearer_opaque_layer_hides_what_is_behind(renderer, generator):
    """The hidden cloud must not matter at all, and is left out early."""
    side = 40
    grid = np.stack(np.meshgrid(np.linspace(-0.5, 0.5, side), np.linspace(-0.5, 0.5, side)), -1).reshape(-1, 2)
    layers = [cloud(np.column_stack([grid, np.full(side**2, 1 + 0.01 * layer)]), scale=0.02, rgb=(0.2, 0.4, 0.8), opacity=0.99)
              for layer in range(3)]
    behind = random_cloud(generator, 300)
    behind = replace(behind, xyz=behind.xyz + np.float32([0, 0, 2]))
    everything = Gaussians(*(np.concatenate([getattr(part, f) for part in (behind, *layers)]) for f in FIELDS))
    wall = Gaussians(*(np.concatenate([getattr(part, f) for part in layers]) for f in FIELDS))
    camera = front_camera(64, 64, 120.0)
    np.testing.assert_allclose(renderer.render(everything, camera).astype(int), renderer.render(wall, camera), atol=1)


def test_energy_of_a_faint_gaussian(renderer):
    """The antialiased rules keep opacity × area: the sum of α over the picture does not depend on sub-pixel position."""
    sums = []
    for shift in np.linspace(0, 1, 7):
        camera = replace(front_camera(40, 40), cx=20 + shift, cy=20 + 0.3 * shift)
        sums.append(renderer.render(cloud([0, 0, 1], scale=0.03, opacity=1.0), camera)[..., 3].sum())
    assert np.ptp(sums) / np.mean(sums) < 0.01  # the tail below 1/255 and the rounding


def test_nothing_to_draw(renderer):
    camera = front_camera(45, 33)
    empty = cloud(np.zeros((0, 3)))
    for gaussians in (empty, cloud([0, 0, -1]), cloud([1000, 0, 1]), cloud([0, 0, 1], opacity=0.0)):
        assert not renderer.render(gaussians, camera).any()
        picture = renderer.render(gaussians, camera, (0.0, 1.0, 0.2))
        assert (picture == [0, 255, 51, 0]).all()


def test_degenerate_gaussians_leave_no_trace(renderer):
    """Zero quaternions, no extent, not-a-number and infinity draw nothing or something finite, and never spread."""
    camera = front_camera(32, 32)
    good = cloud([0.1, 0.1, 1], rgb=(0, 1, 0))
    expected = renderer.render(good, camera)
    nan, infinity = np.nan, np.inf
    for bad in (cloud([0, 0, 1], quat=(0, 0, 0, 0)), cloud([0, 0, 1], scale=0.0), cloud([nan, 0, 1]), cloud([0, 0, nan]),
                cloud([0, 0, infinity]), cloud([0, 0, 1], scale=nan), cloud([0, 0, 1], opacity=nan)):
        both = Gaussians(*(np.concatenate([getattr(bad, f), getattr(good, f)]) for f in FIELDS))
        np.testing.assert_array_equal(renderer.render(both, camera), expected)


def test_a_gaussian_that_fills_everything(renderer):
    picture = renderer.render(cloud([0, 0, 1], scale=1e4, rgb=(1, 1, 1), opacity=1.0), front_camera(50, 50))
    assert (picture >= 254).all()


def test_pictures_that_cannot_be(renderer):
    for width, height in ((0, 10), (10, -1), (5000, 10)):
        with pytest.raises(InputError, match="cannot be drawn"):
            renderer.render(cloud([0, 0, 1]), front_camera(width, height))


def test_the_largest_picture(renderer):
    gaussians = cloud([[0, 0, 1], [19, 19, 1]], scale=np.array([0.5, 0.1]))
    picture = renderer.render(gaussians, front_camera(4096, 4096))
    assert picture[2048, 2048, 3] in (229, 230)  # 0.9 of 255
    assert picture[3948, 3948, 3] in (229, 230)
    assert picture[0, 0, 3] == 0


def test_the_same_input_gives_the_same_picture(generator):
    gaussians = random_cloud(generator, 800)
    camera = orbit_camera(0.0, 0.0, 150, 150, 1.0, np.zeros(3), 25)
    pictures = [CpuRenderer().render(gaussians, camera, (1, 1, 1)) for _ in range(2)]
    np.testing.assert_array_equal(*pictures)


def test_a_picture_stays_the_caller_s(renderer):
    first = renderer.render(cloud([0, 0, 1]), front_camera(20, 20))
    kept = first.copy()
    renderer.render(cloud([0, 0, 1], rgb=(0, 0, 1)), front_camera(20, 20))
    np.testing.assert_array_equal(first, kept)


def test_the_helper_thread_changes_nothing(generator):
    """Whatever share the helper takes, and whether or not it is still at work when a picture is handed out."""
    single, double = CpuRenderer(), CpuRenderer(threads=2)
    for size in (33, 200, 150, 320, 64):
        gaussians = random_cloud(generator, 60 * size)
        camera = orbit_camera(0.0, 0.0, size, size, 1.0, np.zeros(3), 25)
        for background in (None, (1, 0, 0), (0, 1, 0)):
            expected = single.render(gaussians, camera, background)
            np.testing.assert_array_equal(double.render(gaussians, camera, background), expected)
    double.close()


def test_read_only_and_strided_arrays_are_taken(renderer, generator):
    gaussians = random_cloud(generator, 50)
    camera = orbit_camera(0.0, 0.0, 40, 40, 1.0, np.zeros(3), 25)
    expected = renderer.render(gaussians, camera)
    frozen = gaussians.subset(np.arange(50))
    for field in FIELDS:
        getattr(frozen, field).flags.writeable = False
    strided = Gaussians(*(np.repeat(getattr(gaussians, f), 2, axis=0)[::2] for f in FIELDS))
    wide = Gaussians(*(getattr(gaussians, f).astype(np.float64) for f in FIELDS))
    for variant in (frozen, strided, wide):
        np.testing.assert_array_equal(renderer.render(variant, camera), expected)
    assert gaussians.xyz.flags.writeable


def test_a_higher_cut_off_costs_little_quality(generator):
    gaussians, camera = shell_cloud(64**2, 128)
    expected, _ = render_reference(gaussians, camera, (1, 1, 1))
    coarse = CpuRenderer(alpha_min=1 / 64).render(gaussians, camera, (1, 1, 1))
    assert 45 < psnr(coarse[..., :3] / 255, expected) < PARITY_DB


def test_warming_up_in_a_thread_while_drawing(renderer):
    errors = []

    def warm():
        try:
            CpuRenderer().warm_up()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=warm)
    thread.start()
    picture = renderer.render(cloud([0, 0, 1]), front_camera(20, 20))
    thread.join()
    assert not errors
    assert picture[10, 10, 3] > 0


def test_stage_times_are_reported(renderer, generator):
    renderer.render(random_cloud(generator, 2000), Camera(np.eye(4, dtype=np.float32), 100, 100, 50, 50, 100, 100))
    stats = renderer.stats
    assert stats.gaussian_count == 2000
    assert stats.total_ms == pytest.approx(stats.project_ms + stats.sort_ms + stats.blend_ms)
    assert stats.total_ms > 0
