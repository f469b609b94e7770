from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import HeadModelError
from core.head.embedding import LandmarkEmbedding, load_landmark_embedding, read_embedding
from core.head.model import HeadModel


@pytest.fixture(scope="module")
def embedding(head: HeadModel) -> LandmarkEmbedding:
    return load_landmark_embedding(head)


def test_points_lie_on_the_skin(head: HeadModel, embedding: LandmarkEmbedding) -> None:
    assert embedding.triangles.shape == embedding.barycentric.shape == (468, 3)
    np.testing.assert_allclose(embedding.barycentric.sum(1), 1, atol=1e-5)
    assert embedding.barycentric.min() >= 0
    faces = {tuple(face) for face in head.faces_of("skin").tolist()}
    assert all(tuple(triangle) in faces for triangle in embedding.triangles.tolist())


def test_landmarks_are_where_the_landmarkers_map_says(head: HeadModel, embedding: LandmarkEmbedding) -> None:
    """Well-known indices of MediaPipe's mesh: nose tip, chin, eye corners, corners of the mouth, forehead."""
    points = embedding.points(head.v_template)
    joints = head.neutral(np.zeros(0)).joints
    assert np.argmax(points[:, 2]) in (1, 4, 44, 274, 45, 275, 19, 5)
    assert points[152, 1] < points[17, 1] < points[0, 1] < points[1, 1] < points[9, 1] < points[10, 1]
    for inner, outer, eye, side in ((362, 263, joints[3], 1), (133, 33, joints[4], -1)):
        assert side * points[inner, 0] < side * eye[0] < side * points[outer, 0]
        assert np.abs(points[[inner, outer], 1] - eye[1]).max() < 0.008
    assert points[291, 0] > 0.015
    assert points[61, 0] < -0.015
    middle = points[[10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 17, 199, 152], 0]
    assert np.abs(middle).max() < 0.003


def test_lip_and_lid_landmarks_follow_their_own_side(head: HeadModel, embedding: LandmarkEmbedding) -> None:
    rest = embedding.points(head.v_template)
    opened = embedding.points(head.vertices(np.zeros(0), None, head.pose(jaw=head.jaw_open_angle))) - rest
    assert np.linalg.norm(opened[[13, 0, 12, 82, 312]], axis=1).max() < 0.008
    assert opened[[14, 17, 15, 87, 317], 1].max() < -0.015
    blink = embedding.points(head.vertices(np.zeros(0), head.expression(eyeBlink=1.0))) - rest
    assert blink[[159, 386], 1].max() < -0.006, "the upper lids come down"
    assert np.abs(blink[[145, 374], 1]).max() < 0.006


def test_expressions_move_the_landmarks_the_way_people_do(head: HeadModel, embedding: LandmarkEmbedding) -> None:
    rest = embedding.points(head.v_template)

    def moved(**units: float) -> np.ndarray:
        return embedding.points(head.vertices(np.zeros(0), head.expression(**units))) - rest

    assert moved(mouthSmile=1.0)[[61, 291], 1].min() > 0.004
    assert moved(browOuterUp=1.0)[[63, 293], 1].min() > 0.003
    assert moved(mouthPucker=1.0)[291, 0] < -0.003


def test_round_trip_through_a_file(embedding: LandmarkEmbedding, tmp_path: Path) -> None:
    path = tmp_path / "landmarks.npz"
    embedding.save(path)
    again = read_embedding(path)
    for name in ("triangles", "barycentric", "spread"):
        np.testing.assert_array_equal(getattr(again, name), getattr(embedding, name))


def test_bad_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "landmarks.npz"
    with pytest.raises(HeadModelError, match="landmarks"):
        read_embedding(path)
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(HeadModelError, match="landmarks"):
        read_embedding(path)
