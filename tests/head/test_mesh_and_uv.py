from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.geometry import orbit_camera, portrait_camera
from core.head.mesh import boundary_loops, closest_points, edges, project, rasterize_mesh, vertex_normals
from core.head.model import HeadModel
from core.head.regions import eyelid_rings, head_regions
from core.head.uv import FaceLayout, texture_importance, unwrap_skin


def _dome(rings: int = 12, sectors: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """An egg open at the bottom, symmetric about x = 0: a simple head."""
    polar = np.linspace(0, 0.8 * np.pi, rings + 1)[1:]
    azimuth = 2 * np.pi * np.arange(sectors) / sectors
    points = np.stack([np.sin(polar)[:, None] * np.sin(azimuth), np.repeat(np.cos(polar)[:, None], sectors, 1),
                       np.sin(polar)[:, None] * np.cos(azimuth)], -1).reshape(-1, 3)
    vertices = np.concatenate([[[0, 1, 0]], points]) * [0.08, 0.12, 0.1]
    this, following = np.arange(sectors), (np.arange(sectors) + 1) % sectors
    faces = [np.stack([np.zeros_like(this), 1 + this, 1 + following], 1)]
    for ring in range(rings - 1):
        a, b = 1 + ring * sectors + this, 1 + ring * sectors + following
        faces += [np.stack([a, a + sectors, b + sectors], 1), np.stack([a, b + sectors, b], 1)]
    return vertices, np.concatenate(faces)


def test_boundary_of_a_dome_is_its_lower_ring() -> None:
    vertices, faces = _dome()
    loops = boundary_loops(faces)
    assert [len(loop) for loop in loops] == [24]
    assert vertices[loops[0], 1].max() < vertices[:, 1].min() + 1e-9
    # Euler: V - E + F = 1 for a disk
    assert len(vertices) - len(edges(faces)[0]) + len(faces) == 1


def test_vertex_normals_of_a_sphere_point_outwards() -> None:
    vertices, faces = _dome(40, 60)
    round_vertices = vertices / [0.08, 0.12, 0.1]
    inner = np.setdiff1d(np.arange(len(vertices)), boundary_loops(faces)[0])
    cosine = (vertex_normals(round_vertices, faces) * round_vertices).sum(1)[inner]
    assert cosine.min() > 0.995  # the mesh is a polyhedron with edges of 6 degrees


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_closest_point_beats_every_sampled_point_of_the_triangle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners, point = rng.normal(size=(1, 3, 3)), rng.normal(0, 2, (1, 3))
    weights, squared = closest_points(point, corners)
    assert weights.min() >= -1e-12
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(squared[0], ((weights[0] @ corners[0] - point[0]) ** 2).sum(), rtol=1e-9, atol=1e-12)
    samples = rng.dirichlet([0.7] * 3, 200) @ corners[0]
    assert squared[0] <= ((samples - point) ** 2).sum(1).min() + 1e-9


def test_rasterised_pixels_reproject_to_their_own_centres(head: HeadModel) -> None:
    camera = orbit_camera(0.4, 0.1, 96, 80)
    seen = rasterize_mesh(project(camera, head.v_template), head.faces, 96, 80)
    y, x = np.nonzero(seen.triangle >= 0)
    points = np.einsum("nk,nkd->nd", seen.barycentric[y, x], head.v_template[head.faces[seen.triangle[y, x]]])
    back = project(camera, points)
    np.testing.assert_allclose(back[:, :2], np.stack([x, y], 1) + 0.5, atol=2e-3)  # float32 weights, focal length 320 px
    np.testing.assert_allclose(back[:, 2], seen.depth[y, x], rtol=1e-5)


def test_the_nearer_of_two_triangles_is_seen() -> None:
    points = np.array([[0, 0, 2.0], [8, 0, 2], [0, 8, 2], [0, 0, 1], [8, 0, 1], [0, 8, 1]])
    for order in ([[0, 1, 2], [3, 4, 5]], [[3, 4, 5], [0, 1, 2]]):
        seen = rasterize_mesh(points, np.array(order), 8, 8)
        assert set(seen.depth[np.isfinite(seen.depth)]) == {1.0}


def test_regions_of_the_open_head(head: HeadModel) -> None:
    regions = head_regions(head)
    assert len(regions.mouth_loop) > 20
    assert head.v_template[regions.left_eye_loop, 0].min() > 0 > head.v_template[regions.right_eye_loop, 0].max()
    assert head.v_template[regions.neck_loop, 1].max() < head.v_template[regions.mouth_loop, 1].min()
    for side in ("left", "right"):
        lids = eyelid_rings(head, side)
        widths = [np.ptp(head.v_template[ring, 0]) for ring in lids]
        assert widths[-1] > widths[2]
        assert len(np.unique(np.concatenate(lids))) == sum(map(len, lids)), "rings do not share vertices"


def test_a_dome_unwraps_without_flips_into_the_rectangle() -> None:
    vertices, faces = _dome()
    unwrapped = unwrap_skin(vertices, faces, np.ones(len(vertices)), 0.875)
    assert unwrapped.flipped == 0
    assert unwrapped.uv.min() >= -1e-9
    assert unwrapped.uv[:, 0].max() <= 1 + 1e-9
    assert unwrapped.uv[:, 1].max() <= 0.875 + 1e-9
    np.testing.assert_array_equal(unwrapped.vertex[unwrapped.faces], faces)
    a, b, c = (unwrapped.uv[unwrapped.faces[:, k]] for k in range(3))
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert areas.min() > 0
    # triangles do not overlap: together they cover exactly what the border encloses
    border = unwrapped.uv[boundary_loops(unwrapped.faces)[0]]
    shifted = np.roll(border, -1, axis=0)
    enclosed = 0.5 * abs((border[:, 0] * shifted[:, 1] - border[:, 1] * shifted[:, 0]).sum())
    assert 0.5 * areas.sum() == pytest.approx(enclosed, rel=1e-9)


def test_importance_gives_its_share_of_the_map() -> None:
    vertices, faces = _dome(20, 40)
    important = np.where(vertices[:, 2] > 0.03, 6.0, 1.0)
    plain, weighted = (unwrap_skin(vertices, faces, w, 0.875) for w in (np.ones(len(vertices)), important))
    front = vertices[faces].mean(1)[:, 2] > 0.05

    def share(unwrapped) -> float:
        a, b, c = (unwrapped.uv[unwrapped.faces[:, k]] for k in range(3))
        areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
        return areas[front].sum() / areas.sum()

    assert share(weighted) > 1.3 * share(plain)


def test_the_open_heads_texture_map(head: HeadModel) -> None:
    skin = head.face_indices_of("skin")
    a, b, c = (head.uv[head.uv_faces[skin, k]].astype(float) for k in range(3))
    areas = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    assert (areas <= 0).sum() == 0
    flat = np.concatenate([head.uv * 256, np.ones((len(head.uv), 1))], 1)
    seen = rasterize_mesh(flat, head.uv_faces, 256, 256)
    assert (seen.triangle >= 0).mean() > 0.9


def test_importance_favours_eyes_and_lips_over_the_back_of_the_head() -> None:
    layout = FaceLayout(np.array([0.03, 0, 0]), np.array([-0.03, 0, 0]), np.array([0, -0.066, 0.015]), -0.178)
    eye, lips, back, shoulder = texture_importance(
        np.array([[0.031, 0, 0.01], [0, -0.066, 0.02], [0, 0, -0.18], [0.1, -0.25, -0.1]]), layout)
    assert min(eye, lips) > 5 * back > shoulder


def test_portrait_camera_frames_the_head(head: HeadModel) -> None:
    seen = rasterize_mesh(project(portrait_camera(64, 64), head.v_template), head.faces, 64, 64)
    assert 0.3 < (seen.triangle >= 0).mean() < 0.8
    assert not (seen.triangle[0] >= 0).any(), "nothing is cut off at the top"
