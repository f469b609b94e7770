"""Seats of the texture map against the mesh by hand, rigid motions and areas."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from core.geometry import rotation_from_axis_angle, rotation_from_quat
from core.head.library import load_open_head
from core.head.mesh import face_normals, vertex_normals
from core.networks.head_surface import CAVITY_FRONT, DRAWN_PARTS, EYE_CONE, EYE_PARTS, head_surface
from core.networks.reach import EYE, FACE, HAIR, MOUTH, TEETH, hair_seats, seat_reach

SEATS = {64: 3840, 128: 15242}


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def surface(head):
    return head_surface(head, 64)


@pytest.fixture(scope="module")
def posed(head):
    """A person who smiles with an open jaw and a turned neck."""
    return head.vertices(head.shape_bank[3], head.expression(mouthSmile=0.8, browInnerUp=0.5),
                         head.pose(jaw=0.5 * head.jaw_open_angle, gaze=(0.1, 0.2), neck=(0.1, 0.3, -0.1)))


def drawn_faces(head) -> np.ndarray:
    """Faces whose seats are drawn, but for the eyes' cones."""
    drawn = np.isin(head.part, [head.part_names.index(name) for name in DRAWN_PARTS])
    mouth = head.part == head.part_names.index("mouth")
    return drawn & ~(mouth & (head.v_template[head.faces].mean(1)[:, 2] > CAVITY_FRONT))


@pytest.mark.parametrize("resolution", SEATS)
def test_the_number_of_seats_is_known(head, resolution):
    made = head_surface(head, resolution)
    assert len(made) == SEATS[resolution]  # weights of trained generators are as long
    assert len(np.unique(made.row * resolution + made.column)) == len(made)
    for values in (made.column, made.triangle, made.corners, made.barycentric, made.part, made.template):
        assert len(values) == len(made)


def test_a_surface_is_computed_once(head, surface):
    assert head_surface(head, 64) is surface


def test_seats_lie_on_the_mesh(head, surface, posed):
    frames = surface.frames(posed)
    assert surface.barycentric.min() >= 0
    np.testing.assert_allclose(surface.barycentric.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(surface.corners, head.faces[surface.triangle])
    np.testing.assert_array_equal(surface.part, head.part[surface.triangle])
    for seat in range(0, len(surface), 97):
        a, b, c = posed[head.faces[surface.triangle[seat]]].astype(np.float64)
        u, v, w = surface.barycentric[seat]
        np.testing.assert_allclose(frames.xyz[seat], u * a + v * b + w * c, atol=1e-6)  # float32 metres
        np.testing.assert_allclose(surface.at(posed)[seat], frames.xyz[seat], atol=1e-6)


def test_seats_lie_where_their_texels_are(head, surface):
    """But for the eyes, whose charts are spread, the barycentric mean of texture coordinates is the texel's centre."""
    rows = np.flatnonzero(~surface.of_part(*EYE_PARTS))
    uv = np.einsum("gk,gkc->gc", surface.barycentric[rows], head.uv[head.uv_faces[surface.triangle[rows]]])
    np.testing.assert_allclose(uv[:, 0] * 64, surface.column[rows] + 0.5, atol=1e-3)
    np.testing.assert_allclose((1 - uv[:, 1]) * 64, surface.row[rows] + 0.5, atol=1e-3)


def test_frames_are_rotations(surface, posed):
    frames = surface.frames(posed)
    product = np.einsum("gki,gkj->gij", frames.frame, frames.frame)
    np.testing.assert_allclose(product, np.broadcast_to(np.eye(3), product.shape), atol=2e-6)  # float32
    np.testing.assert_allclose(np.linalg.det(frames.frame.astype(np.float64)), 1, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(frames.quat, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(rotation_from_quat(frames.quat.astype(np.float64)), frames.frame, atol=3e-6)


def test_normals_are_those_of_the_drawn_mesh(head, surface, posed):
    """Against vertex normals; the seats weigh corners by area too, which turns a normal where triangles differ in size."""
    rows = ~surface.of_part(*EYE_PARTS)
    normals = surface.at(vertex_normals(posed, head.faces[drawn_faces(head)]))[rows]
    cosine = (normals * surface.frames(posed).frame[rows, :, 2]).sum(1) / np.linalg.norm(normals, axis=1)
    assert cosine.min() > np.cos(np.radians(25))
    assert np.quantile(cosine, 0.02) > np.cos(np.radians(6))


def test_normals_point_outward(head, surface):
    """A skull and an eyeball are nearly convex: their normals point away from their middles."""
    frames = surface.frames(head.v_template)
    for name in EYE_PARTS:
        rows = surface.of_part(name)
        outward = frames.xyz[rows] - head.v_template[head.vertices_of(name)].mean(0)
        assert ((outward * frames.frame[rows, :, 2]).sum(1) > 0).all()
    skull = surface.of_part("skin") & (surface.template[:, 1] > 0.06)
    outward = frames.xyz[skull] - [0, 0.0, -0.085]
    assert skull.sum() > 300
    assert ((outward * frames.frame[skull, :, 2]).sum(1) > 0).all()


def test_tangents_follow_the_rows_of_the_map(surface, posed):
    """The next texel to the right on the same triangle lies along the tangent, as far as skin is smooth.

    (In the mouth two sheets share a chart in opposite directions; there the sheet that wins the vertices decides.)
    """
    frames = surface.frames(posed)
    index = np.full((64, 64), -1)
    index[surface.row, surface.column] = np.arange(len(surface))
    left, right = index[:, :-1].ravel(), index[:, 1:].ravel()
    both = (left >= 0) & (right >= 0)
    left, right = left[both], right[both]
    same = (surface.triangle[left] == surface.triangle[right]) & surface.of_part("skin")[left]
    left, right = left[same], right[same]
    step = frames.xyz[right] - frames.xyz[left]
    cosine = (step * frames.frame[left, :, 0]).sum(1) / np.linalg.norm(step, axis=1)
    assert len(left) > 200
    assert (cosine > 0).all()
    assert np.quantile(cosine, 0.12) > 0.9


def test_frames_turn_with_the_head(surface, posed):
    rotation = rotation_from_axis_angle(np.array([0.3, -1.1, 0.6])).astype(np.float32)
    shift = np.array([0.2, -0.1, 0.4], np.float32)
    still, moved = surface.frames(posed), surface.frames(posed @ rotation.T + shift)
    np.testing.assert_allclose(moved.xyz, still.xyz @ rotation.T + shift, atol=2e-6)
    # float32 vertices at half a metre have steps of 3e-8; edges of half a millimetre make an angle of a few 1e-4 of it
    np.testing.assert_allclose(moved.frame, np.einsum("ij,gjk->gik", rotation, still.frame), atol=5e-3)
    np.testing.assert_allclose(moved.pitch, still.pitch, rtol=5e-3)


def test_a_pitch_is_the_side_of_its_texel(head):
    """Squared pitches sum to the area of the skin, but for faces that are smaller than a texel and the limits of the pitch."""
    fine = head_surface(head, 128)
    skin = head.face_indices_of("skin")
    area = 0.5 * np.linalg.norm(face_normals(head.v_template, head.faces[skin]), axis=1).sum()
    pitch = fine.frames(head.v_template).pitch[fine.of_part("skin")]
    assert (pitch.astype(np.float64) ** 2).sum() == pytest.approx(area, rel=0.03)
    larger = fine.frames(1.5 * head.v_template).pitch[fine.of_part("skin")]
    np.testing.assert_allclose(np.median(larger / pitch), 1.5, rtol=1e-5)


def test_an_eye_fills_its_chart(head):
    """Seats reach from the pupil to the rim of the cone, evenly in angle: the share within half the angle is a quarter."""
    fine = head_surface(head, 128)
    for name in EYE_PARTS:
        rows = fine.of_part(name)
        ball = head.v_template[head.vertices_of(name)]
        middle = 0.5 * (ball.min(0) + ball.max(0))
        direction = fine.template[rows] - middle
        angle = np.arccos(direction[:, 2] / np.linalg.norm(direction, axis=1))
        assert angle.max() < EYE_CONE + 0.02  # a chord lies inside the ball
        assert angle.max() > 0.9 * EYE_CONE
        assert (angle < EYE_CONE / 2).mean() == pytest.approx(0.25, abs=0.08)  # 160 seats: two standard errors
        chart = head.uv[head.uv_faces[head.face_indices_of(name)]].reshape(-1, 2)
        box = np.prod(np.ptp(chart * 128, axis=0))
        assert rows.sum() == pytest.approx(np.pi / 4 * box, rel=0.15)  # the disc in the chart's box, less its faceted rim


def test_pictures_and_displacement_maps(head, surface):
    assert np.abs(surface.displacement_map(head.v_template)).max() == 0
    resting = head.neutral(head.shape_bank[5]).vertices
    found = surface.displacement_map(resting)
    assert found.shape == (3, 64, 64)
    moved = (resting - head.v_template).astype(np.float64)
    for seat in range(0, len(surface), 61):
        expected = surface.barycentric[seat].astype(np.float64) @ moved[head.faces[surface.triangle[seat]]]
        np.testing.assert_allclose(found[:, surface.row[seat], surface.column[seat]], expected, atol=1e-7)
    empty = np.ones((64, 64), bool)
    empty[surface.row, surface.column] = False
    assert np.abs(found[:, empty]).max() == 0
    assert surface.picture(np.ones((len(surface), 1), np.float32)).sum() == len(surface)


def test_reach_is_short_on_faces_and_long_where_hair_grows(head, surface):
    reach, points = seat_reach(surface), surface.template
    assert reach.dtype == np.float32
    for parts, expected in ((("eye_l", "eye_r"), EYE), (("teeth_u", "teeth_l"), TEETH), (("mouth", "tongue"), MOUTH)):
        np.testing.assert_allclose(reach[surface.of_part(*parts)], expected, atol=1e-7)
    skin = surface.of_part("skin")
    crown = skin & (points[:, 1] > 0.09)
    cheeks = skin & (np.abs(points[:, 1] + 0.02) < 0.02) & (points[:, 2] > 0.0)  # below the eyes, above the mouth, in front
    assert crown.sum() > 100
    assert cheeks.sum() > 20
    np.testing.assert_allclose(reach[crown], HAIR, atol=1e-6)
    np.testing.assert_allclose(reach[cheeks], FACE, atol=1e-4)
    assert reach.min() == pytest.approx(EYE)
    assert reach.max() == pytest.approx(HAIR)


def test_hair_grows_on_skin_of_the_scalp_only(surface):
    hair = hair_seats(surface)
    assert hair.min() == 0
    assert hair.max() == 1
    assert (hair[~surface.of_part("skin")] == 0).all()
    assert (hair[surface.template[:, 2] > -0.01] < 0.5).mean() > 0.9


def test_reach_is_the_same_on_both_sides(head):
    """Every seat of the skin has a neighbour within a pitch across the middle; the limits change little within one."""
    fine = head_surface(head, 128)
    skin = fine.of_part("skin")
    points, reach = fine.template[skin], seat_reach(fine)[skin]
    distance, mirror = cKDTree(points).query(points * [-1, 1, 1])
    assert distance.max() < 0.016
    assert np.quantile(np.abs(reach - reach[mirror]), 0.99) < 1e-3
