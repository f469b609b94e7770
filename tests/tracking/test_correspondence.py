from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from core import assets
from core.errors import HeadModelError
from core.head.embedding import load_landmark_embedding
from core.head.library import load_open_head
from core.head.mesh import project
from core.tracking.correspondence import LOWER_LIP, embed_landmarks, landmark_embedding, mesh_views
from core.types import Frame, Landmarks


class _KnownLandmarks:
    """A landmarker that sees where given points of the mesh project to, plus noise."""

    def __init__(self, views, points: np.ndarray, noise: float) -> None:
        self.where = {view.image.tobytes(): project(view.camera, points) for view in views}
        self.noise, self.rng = noise, np.random.default_rng(3)

    def detect(self, frame: Frame) -> Landmarks | None:
        pixels = self.where[frame.image.tobytes()].astype(np.float32)
        pixels = np.concatenate([pixels, np.zeros((10, 3), np.float32)])
        pixels[:, :2] += self.rng.normal(0, self.noise, (478, 2))
        return Landmarks(pixels, np.zeros(52, np.float32), np.eye(4, dtype=np.float32), 640, 640, frame.time_ns)


class _Blind:
    def detect(self, frame: Frame) -> Landmarks | None:
        return None


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def views(head):
    return list(mesh_views(head, np.zeros(0, np.float32)))


def test_known_points_are_found_again(head, views) -> None:
    truth = load_landmark_embedding(head).points(head.v_template)
    found = embed_landmarks(head, _KnownLandmarks(views, truth, noise=1.0), views)
    error = np.linalg.norm(found.points(head.v_template) - truth, axis=1)
    # a pixel is 0.47 mm; the median of nine views with one pixel of noise stays near half a millimetre where the skin faces them
    assert np.median(error) < 0.0008
    assert np.quantile(error, 0.9) < 0.003


def test_lower_lip_points_attach_to_what_the_jaw_moves(head, views) -> None:
    truth = load_landmark_embedding(head).points(head.v_template)
    found = embed_landmarks(head, _KnownLandmarks(views, truth, noise=2.0), views)
    moved = found.points(head.vertices(np.zeros(0), None, head.pose(jaw=head.jaw_open_angle))) - found.points(head.v_template)
    middle = [i for i in LOWER_LIP if abs(truth[i, 0]) < 0.012]
    assert moved[middle, 1].max() < -0.012


def test_a_head_that_no_landmarker_sees_is_refused(head, views) -> None:
    with pytest.raises(HeadModelError, match="0 of its pictures"):
        embed_landmarks(head, _Blind(), views[:3])


def test_an_unknown_head_is_embedded_once(head, views) -> None:
    stranger = replace(head, name="stranger", sha256="5" * 64)
    truth = load_landmark_embedding(head).points(head.v_template)
    first = landmark_embedding(stranger, _KnownLandmarks(views, truth, noise=0.0))
    again = landmark_embedding(stranger, _Blind())  # from the cache: nothing needs to be seen
    np.testing.assert_array_equal(first.barycentric, again.barycentric)
    assert landmark_embedding(head, _Blind()).triangles.shape == (468, 3)


def test_the_shipped_embedding_is_what_the_landmarker_says(head, views) -> None:
    """The real landmarker on painted renders of the mesh."""
    pytest.importorskip("mediapipe")
    try:
        model = assets.landmarker_model_path()
    except Exception as error:
        pytest.skip(f"no landmark model: {error}")
    from core.tracking.mediapipe_landmarker import FaceLandmarker

    with FaceLandmarker(model) as landmarker:
        found = embed_landmarks(head, landmarker, views)
    distance = np.linalg.norm((found.points(head.v_template) - load_landmark_embedding(head).points(head.v_template)), axis=1)
    assert np.median(distance) < 0.001
    assert np.quantile(distance, 0.95) < 0.005
