"""Displacement pictures against the general rasteriser in double precision and against displacements in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core.errors import InputError
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.head.mesh import project, rasterize_mesh
from trainer.mesh_render import LARGEST_DISPLACEMENT, SUPERSAMPLING, DisplacementRenderer

SIZE = 64


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def renderer(head):
    return DisplacementRenderer(head)


def psi_of(head, jaw: float = 0.0, gaze=(0.0, 0.0), **expression) -> np.ndarray:
    pose = head.pose(jaw=jaw * head.jaw_open_angle, gaze=gaze)
    columns = head.expression(**expression) if expression else np.zeros(head.expression_count, np.float32)
    return np.concatenate([columns, pose[2:].ravel()]).astype(np.float32)


def draw(renderer, psi, camera, shape=None, neck=(0, 0, 0), size=SIZE):
    shape = np.zeros(renderer.head.shape_count, np.float32) if shape is None else shape
    return renderer.render(shape[None], psi[None], np.array([neck], np.float32), camera.world_to_camera[None],
                           np.array([[camera.fx, camera.fy, camera.cx, camera.cy]], np.float32), size)[0]


def larger(camera, factor):
    return replace(camera, fx=camera.fx * factor, fy=camera.fy * factor, cx=camera.cx * factor, cy=camera.cy * factor,
                   width=camera.width * factor, height=camera.height * factor)


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.6, 0.2), (-0.9, -0.2)])
def test_the_picture_is_that_of_the_general_rasteriser(head, renderer, yaw, pitch):
    shape, neck = head.shape_bank[3], np.array([0.1, -0.2, 0.05], np.float32)
    psi = psi_of(head, jaw=0.6, gaze=(0.1, 0.3), mouthSmile=0.7, browInnerUp=1.0)
    camera = orbit_camera(yaw, pitch, SIZE, SIZE)
    pose = np.concatenate([np.zeros(3), neck, psi[-9:]]).reshape(5, 3).astype(np.float32)
    faces = head.faces_of(*(name for name in head.part_names if name != "lashes"))
    wide = SIZE * SUPERSAMPLING
    seen = rasterize_mesh(project(larger(camera, SUPERSAMPLING), head.vertices(shape, psi[:-9], pose)), faces, wide, wide)
    colours = np.einsum("hwk,hwkc->hwc", seen.barycentric, renderer.vertex_colours(psi)[faces[seen.triangle]])
    colours[seen.triangle < 0] = 0
    expected = colours.reshape(SIZE, SUPERSAMPLING, SIZE, SUPERSAMPLING, 3).mean((1, 3)).transpose(2, 0, 1)
    difference = np.abs(draw(renderer, psi, camera, shape, neck) - expected).max(0)
    # the general one draws both sides: a handful of pixels see the inside of the head through the corners of the eyes
    assert (difference > 1e-4).sum() <= 4


def test_a_resting_face_is_grey_on_black(head, renderer):
    picture = draw(renderer, psi_of(head), orbit_camera(0.4, 0.0, SIZE, SIZE), head.shape_bank[0], (0.2, 0.1, 0.0))
    values = np.unique(np.round(picture * SUPERSAMPLING**2 * 2).astype(int))
    assert set(values.tolist()) <= set(range(SUPERSAMPLING**2 + 1))  # 0.5 times a whole number of covered samples
    assert np.ptp(picture, axis=0).max() < 1e-5  # rounding of float32 metres
    assert (picture[0] > 0.499).mean() > 0.25
    assert (picture[0] == 0).mean() > 0.25


def test_colours_are_the_displacement_by_the_expression_columns(head, renderer):
    colours = renderer.vertex_colours(psi_of(head, mouthSmile=0.5, browDown=0.5))
    displacement = head.expression_dirs @ head.expression(mouthSmile=0.5, browDown=0.5)
    expected = np.clip(0.5 + displacement / (2 * LARGEST_DISPLACEMENT), 0, 1)
    np.testing.assert_allclose(colours, expected, atol=2e-5)  # float32 metres over 0.04


def test_large_displacements_saturate(head, renderer):
    colours = renderer.vertex_colours(psi_of(head, jaw=1.0))
    assert colours.min() == 0
    assert colours.max() <= 1


def test_the_head_turning_on_its_neck_keeps_its_colours(head, renderer):
    camera, psi = orbit_camera(0.0, 0.0, SIZE, SIZE), psi_of(head, mouthPucker=1.0)
    still, turned = draw(renderer, psi, camera), draw(renderer, psi, camera, neck=(0.0, 0.0, 0.3))
    assert np.abs(still - turned).max() > 0.2
    whole = [p[:, (p > 0.3).all(0)] for p in (still, turned)]
    np.testing.assert_allclose(whole[0].min(1), whole[1].min(1), atol=0.06)  # the same colours, resampled
    np.testing.assert_allclose(whole[0].max(1), whole[1].max(1), atol=0.06)


def test_the_picture_moves_with_the_principal_point(head, renderer):
    camera, psi = orbit_camera(0.0, 0.0, SIZE, SIZE), psi_of(head, jaw=0.5)
    moved = draw(renderer, psi, replace(camera, cx=camera.cx + 5, cy=camera.cy - 3))
    np.testing.assert_allclose(moved[:, :-3, 5:], draw(renderer, psi, camera)[:, 3:, :-5], atol=2e-3)


def test_samples_do_not_influence_each_other(head, renderer):
    camera = orbit_camera(0.2, 0.0, SIZE, SIZE)
    psis = np.stack([psi_of(head, jaw=1.0), psi_of(head, mouthSmile=1.0)])
    both = renderer.render(head.shape_bank[:2], psis, np.zeros((2, 3), np.float32), np.stack([camera.world_to_camera] * 2),
                           np.tile(np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32), (2, 1)), SIZE)
    assert both.shape == (2, 3, SIZE, SIZE)
    assert both.dtype == np.float32
    np.testing.assert_array_equal(both[1], draw(renderer, psis[1], camera, head.shape_bank[1]))


def test_a_head_behind_the_camera_is_not_drawn(head, renderer):
    camera = orbit_camera(0.0, 0.0, SIZE, SIZE)
    behind = replace(camera, world_to_camera=np.diag([1, 1, 1, 1]).astype(np.float32))
    assert np.isfinite(draw(renderer, psi_of(head), behind)).all()


def test_numbers_of_another_head_are_refused(head, renderer):
    with pytest.raises(InputError, match="takes 58"):
        draw(renderer, np.zeros(55, np.float32), orbit_camera(0.0, 0.0, SIZE, SIZE))
