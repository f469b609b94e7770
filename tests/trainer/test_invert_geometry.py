"""The head behind photographs, on heads that are known."""

from __future__ import annotations

import numpy as np
import pytest

from core.head.embedding import load_landmark_embedding
from core.head.library import load_open_head
from core.head.mesh import face_normals
from tests.trainer.photographed import photographed
from trainer.invert.geometry import KERNELS, facing, fit_head, kernel, landmark_error, own_expression, posed_in
from trainer.invert.sight import eye_distance


@pytest.fixture(scope="module")
def head():
    return load_open_head()


def misplaced(view, vertices, embedding) -> np.ndarray:
    """Landmark errors [468], fraction of the distance of the eyes."""
    return np.linalg.norm(landmark_error(view, vertices, embedding), axis=1) / eye_distance(view)


@pytest.mark.parametrize(("seed", "yaw"), [(5, 0.0), (8, 0.45)])
def test_landmarks_lie_on_the_photographs(head, seed, yaw):
    """A quarter of the shape is missing from the fit; the bend finds it where it is seen, to a tenth of the error."""
    photo, embedding = photographed(head, seed, yaw), load_landmark_embedding(head)
    fitted = fit_head([photo.view], head)
    seen = embedding.points(facing(photo.view, photo.vertices, head.faces_of("skin"))[:, None])[:, 0] > 0.5
    before = misplaced(photo.view, posed_in(photo.view, head, fitted.plain).vertices, embedding)[seen]
    after = misplaced(photo.view, fitted.posed[0].vertices, embedding)[seen]
    assert after.mean() < 0.2 * before.mean()
    assert after.mean() < 0.004


def test_the_hidden_side_follows_the_seen_one(head):
    """The missing shape is nearly symmetric, so the side that no photograph shows must come nearer to the truth as well."""
    photo = photographed(head, 8, 0.45)
    fitted = fit_head([photo.view], head)
    face = head.masks.face > 0.5
    hidden = face & (facing(photo.view, photo.vertices, head.faces_of("skin")) < 0)
    across = photo.view.camera.world_to_camera[:2, :3]

    def error(vertices):
        return np.linalg.norm((vertices - photo.person.rest_vertices)[hidden] @ across.T, axis=1).mean()

    assert error(fitted.shaped.vertices) < 0.8 * error(fitted.plain.vertices)


def test_nothing_is_turned_over(head):
    fitted = fit_head([photographed(head, 8, 0.45, known=0.3).view], head)
    faces = head.faces_of("skin")
    faces = faces[(head.masks.face[faces].min(1) > 0.5) & (head.masks.eyelids[faces].max(1) < 0.1)]  # lids fold by themselves
    before, after = (face_normals(v, faces) for v in (fitted.plain.vertices, fitted.shaped.vertices))
    assert ((before * after).sum(1) > 0).mean() > 0.998


def test_a_laugh_is_taken_out_and_a_shy_smile_stays(head):
    shy = photographed(head, 5, mouthSmile=0.2).view
    laugh = photographed(head, 5, mouthSmile=0.9, mouthUpperUp=0.5, jaw=0.2).view
    smile = head.expression_names.index("mouthSmileLeft")
    assert own_expression([shy], head)[smile] == pytest.approx(0.2)
    assert own_expression([laugh], head)[smile] == 0


def test_eyes_keep_their_form(head):
    """Eyeballs are moved, never bent: distances within them stay to a micrometre."""
    fitted = fit_head([photographed(head, 8, 0.45).view], head)
    for part in ("eye_l", "eye_r"):
        ball = head.vertices_of(part)
        before, after = (v[ball] - v[ball].mean(0) for v in (fitted.plain.vertices, fitted.shaped.vertices))
        assert np.abs(before - after).max() < 1e-6


def test_the_prior_is_a_covariance(head):
    """Positive semidefinite for every coordinate, and of the stated size in the middle of the face."""
    points = load_landmark_embedding(head).points(head.v_template).astype(np.float64)
    covariance = kernel(points, points)
    for axis in range(3):
        values = np.linalg.eigvalsh(covariance[:, :, axis])
        assert values[0] > -1e-9 * values[-1]
    own = kernel(np.array([[0.5, 0.0, 0.0]]), np.array([[0.5, 0.0, 0.0]]))  # far from its mirror image
    assert own[0, 0, 0] == pytest.approx(sum(deviation**2 for _, deviation, _ in KERNELS), rel=1e-6)
