"""What a built person must be: deterministic, well-formed, opaque, pruned; and how it moves."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from core.geometry import orbit_camera, rotation_from_axis_angle, rotation_from_quat
from core.head.presets import PRESET_NAMES, preset
from core.studio import TexelAtlas, build_identity, pose_identity, sample_traits
from core.studio.traits import HAIR_STYLES
from core.types import Camera, Gaussians

LIMIT = 100_001


def covariances(gaussians: Gaussians) -> np.ndarray:
    axes = rotation_from_quat(gaussians.quat.astype(np.float64)) * gaussians.scale[:, None].astype(np.float64)
    return axes @ axes.transpose(0, 2, 1)


def check_well_formed(identity) -> None:
    g = identity.gaussians
    n = len(g)
    assert 40_000 < n < LIMIT
    for array, shape in ((g.xyz, (n, 3)), (g.scale, (n, 3)), (g.quat, (n, 4)), (g.rgb, (n, 3)), (g.opacity, (n,))):
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()
    assert (g.scale > 0).all()
    assert g.scale.max() < 0.05
    np.testing.assert_allclose(np.linalg.norm(g.quat, axis=1), 1, atol=1e-5)  # float32 rounding
    assert g.rgb.min() >= 0
    assert g.rgb.max() <= 1
    assert g.opacity.min() >= 0
    assert g.opacity.max() <= 1
    assert identity.triangle.min() >= 0
    assert identity.triangle.max() < len(identity.faces)
    assert np.abs(g.xyz).max() < 0.6


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_style_builds(head, style):
    traits = sample_traits(20, head)
    traits = replace(traits, hair=replace(traits.hair, style=style, fringe="side"))
    check_well_formed(build_identity(traits, head))


@pytest.mark.parametrize("beard", ["stubble", "short", "full", "goatee"])
def test_every_beard_builds(head, beard):
    traits = sample_traits(20, head)
    check_well_formed(build_identity(replace(traits, beard=replace(traits.beard, style=beard)), head))


def test_same_seed_gives_the_same_gaussians(head, person):
    again = build_identity(7, head)
    for name in ("xyz", "scale", "quat", "rgb", "opacity"):
        np.testing.assert_array_equal(getattr(again.gaussians, name), getattr(person.gaussians, name))
    np.testing.assert_array_equal(again.triangle, person.triangle)


def test_largest_seed_builds(head):
    check_well_formed(build_identity(2**32 - 1, head))


def test_skin_texels_lie_on_their_atlas_points(head, person):
    atlas = TexelAtlas(head)
    rows = np.flatnonzero(person.texel >= 0)
    texel = person.texel[rows]
    np.testing.assert_array_equal(person.triangle[rows], atlas.triangle[texel])
    assert not person.rigid[rows].any()
    assert len(np.unique(texel)) == len(texel)
    corners = person.rest_vertices[head.faces[atlas.triangle[texel]]]
    expected = np.einsum("nk,nkd->nd", atlas.barycentric[texel], corners)
    np.testing.assert_allclose(person.gaussians.xyz[rows], expected, atol=1e-6)  # metres; float32 rounding


def test_posing_at_neutral_returns_the_person(head, person):
    posed = pose_identity(person, head.vertices(person.shape), np.zeros(head.expression_count, np.float32))
    np.testing.assert_allclose(posed.xyz, person.gaussians.xyz, atol=1e-7)
    np.testing.assert_allclose(posed.scale, person.gaussians.scale, rtol=1e-4)
    np.testing.assert_allclose(posed.quat, person.gaussians.quat, atol=1e-5)
    np.testing.assert_array_equal(posed.opacity, person.gaussians.opacity)


def test_a_rigid_motion_of_the_head_moves_every_gaussian_rigidly(head, person):
    rotation = rotation_from_axis_angle(np.array([0.2, -0.5, 0.3]))
    shift = np.array([0.1, -0.05, 0.2])
    posed = pose_identity(person, (person.rest_vertices @ rotation.T + shift).astype(np.float32))
    np.testing.assert_allclose(posed.xyz, person.gaussians.xyz @ rotation.T + shift, atol=2e-6)
    np.testing.assert_allclose(posed.scale, person.gaussians.scale, rtol=2e-3)  # vertices are float32, triangles are small
    expected = rotation @ covariances(person.gaussians) @ rotation.T
    assert np.abs(covariances(posed) - expected).max() < 1e-3 * expected.max()


def test_skin_follows_the_affine_map_of_its_triangle(head, person):
    """Oracle: covariances pushed through the full 3×3 map that takes two edges and the normal to their posed counterparts."""
    face = preset(head, "smile")
    vertices = head.vertices(person.shape, face.expression, face.pose)
    posed = pose_identity(person, vertices, face.expression)
    rows = np.flatnonzero(person.texel >= 0)[::37]

    def frames(v):
        a, b, c = (v[person.faces[person.triangle[rows], k]].astype(np.float64) for k in range(3))
        normal = np.cross(b - a, c - a)
        return np.stack([b - a, c - a, normal / np.linalg.norm(normal, axis=1, keepdims=True)], 2), a

    rest_frame, rest_origin = frames(person.rest_vertices)
    posed_frame, posed_origin = frames(vertices)
    affine = posed_frame @ np.linalg.inv(rest_frame)
    xyz = np.einsum("nij,nj->ni", affine, person.gaussians.xyz[rows] - rest_origin) + posed_origin
    np.testing.assert_allclose(posed.xyz[rows], xyz, atol=2e-6)
    expected = affine @ covariances(person.gaussians.subset(rows)) @ affine.transpose(0, 2, 1)
    error = np.abs(covariances(posed.subset(rows)) - expected).max((1, 2)) / np.abs(expected).max((1, 2))
    # the axes of nearly round patches are damped on purpose, which costs a few per cent of their covariance
    assert np.median(error) < 1e-3
    assert np.quantile(error, 0.95) < 0.05


def test_rigid_parts_keep_their_scales(head, person):
    face = preset(head, "jaw open")
    posed = pose_identity(person, head.vertices(person.shape, face.expression, face.pose), face.expression)
    np.testing.assert_array_equal(posed.scale[person.rigid], person.gaussians.scale[person.rigid])
    moved = np.linalg.norm(posed.xyz - person.gaussians.xyz, axis=1)
    assert moved.max() > 0.02  # the chin goes down by centimetres


@pytest.mark.parametrize("name", PRESET_NAMES)
def test_every_preset_poses_to_finite_gaussians(head, person, name):
    face = preset(head, name)
    posed = pose_identity(person, head.vertices(person.shape, face.expression, face.pose), face.expression)
    for array in (posed.xyz, posed.scale, posed.quat, posed.opacity):
        assert np.isfinite(array).all()
    assert (posed.scale > 0).all()
    assert posed.scale.max() < 0.05


def test_wrinkles_come_with_the_expression_and_only_then(head):
    young = next(t for t in (sample_traits(seed, head) for seed in range(100)) if t.age < 30)
    person = build_identity(young, head)
    rows = person.wrinkles.index
    assert len(rows) > 100
    np.testing.assert_array_equal(person.gaussians.opacity[rows], 0)
    face = preset(head, "surprise")
    posed = pose_identity(person, head.vertices(person.shape, face.expression, face.pose), face.expression)
    assert posed.opacity[rows].max() > 0.3
    others = np.setdiff1d(np.arange(len(posed)), rows)
    np.testing.assert_array_equal(posed.opacity[others], person.gaussians.opacity[others])


def transmittance(gaussians: Gaussians, camera: Camera) -> np.ndarray:
    """Plain product of (1 - alpha) per pixel without anti-aliasing, on a coarse pixel grid."""
    view = camera.world_to_camera.astype(np.float64)
    points = gaussians.xyz @ view[:3, :3].T + view[:3, 3]
    z = points[:, 2]
    jacobian = np.zeros((len(points), 2, 3))
    jacobian[:, 0, 0] = jacobian[:, 1, 1] = camera.fx / z
    jacobian[:, :, 2] = -camera.fx * points[:, :2] / z[:, None] ** 2
    projection = jacobian @ view[:3, :3]
    inverse = np.linalg.inv(projection @ covariances(gaussians) @ projection.transpose(0, 2, 1) + 1e-9 * np.eye(2))
    center = camera.fx * points[:, :2] / z[:, None] + [camera.cx, camera.cy]
    left = np.ones((camera.height, camera.width))
    for c, m, opacity in zip(center, inverse, gaussians.opacity, strict=True):
        x, y = np.floor(c).astype(int)
        if not (8 <= x < camera.width - 8 and 8 <= y < camera.height - 8):
            continue
        columns, rows = np.arange(x - 7, x + 9), np.arange(y - 7, y + 9)
        dx, dy = np.meshgrid(columns + 0.5 - c[0], rows + 0.5 - c[1])
        power = m[0, 0] * dx**2 + 2 * m[0, 1] * dx * dy + m[1, 1] * dy**2
        left[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1] *= 1 - opacity * np.exp(-0.5 * power)
    return left


def test_one_layer_of_facial_skin_is_opaque(head, person):
    """The back of the head must not shine through the face: transmittance of the skin texels over cheeks and forehead."""
    rest = head.v_template[head.faces[person.triangle]].mean(1)
    front = (person.texel >= 0) & (rest[:, 2] > -0.03) & (rest[:, 1] > -0.06) & (rest[:, 1] < 0.05)
    camera = orbit_camera(0.0, 0.0, 200, 200, target=np.array([0.0, -0.01, 0.02]), fov_degrees=6.0)
    left = transmittance(person.gaussians.subset(np.flatnonzero(front)), camera)
    cheeks = left[110:150, 60:140]
    assert np.median(cheeks) < 2e-3
    assert np.quantile(cheeks, 0.95) < 2e-2


def test_pruned_gaussians_would_not_have_been_seen(head, person):
    """Everything that is kept shows, at the latest, when the head turns: the far side of a bald skull is not kept twice."""
    traits = sample_traits(7, head)
    bald = build_identity(replace(traits, hair=replace(traits.hair, style="bald")), head)
    texels = bald.texel >= 0
    normals_back = bald.gaussians.xyz[texels, 2] < -0.17
    view = orbit_camera(math.radians(75), 0.0, 64, 64)
    assert view.position[2] > 0  # no allowed view stands behind the head
    assert normals_back.mean() < 0.10


GOLDEN_HEAD = "9ca0e92bc9a0828a"  # the people below were recorded on this head model


def test_seed_7_is_who_she_always_was(head, person):
    """Recorded values hold a seed to one person across machines. A deliberate change of the studio or of the head model makes
    new people: record them anew, and shipped packs must be rebuilt.

    Tolerances: rounding differs between processors by 1e-6; a few Gaussians at the pruning threshold may come or go.
    """
    if not head.sha256.startswith(GOLDEN_HEAD):
        pytest.skip("recorded on another head model")
    skin = person.texel >= 0
    gaussians = person.gaussians
    np.testing.assert_allclose(person.shape[:6], (0.87565, -0.95569, 1.21325, -1.65061, 0.01380, -1.11784), atol=1e-4)
    assert len(gaussians) == pytest.approx(79712, abs=100)
    assert skin.sum() == pytest.approx(42304, abs=60)
    np.testing.assert_allclose(gaussians.xyz[skin].mean(0), (-0.00019, -0.03998, -0.03339), atol=1e-4)
    np.testing.assert_allclose(gaussians.rgb[skin].mean(0), (0.50469, 0.38359, 0.32546), atol=2e-3)
    np.testing.assert_allclose(gaussians.xyz[~skin].mean(0), (0.00056, -0.02480, -0.05148), atol=2e-4)
    np.testing.assert_allclose(gaussians.rgb[~skin].mean(0), (0.29166, 0.31556, 0.28979), atol=2e-3)
