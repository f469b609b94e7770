"""The MediaPipe adapter: regions without the model, behaviour on rendered and real faces with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.assets import landmarker_model_path
from core.errors import AgoraError, AssetError
from core.tracking.mediapipe_landmarker import SCORE_NAMES, FaceLandmarker, Region, _only
from core.types import Frame
from tests.conftest import MEDIA


def blank(width: int = 320, height: int = 240, time_ns: int = 0) -> Frame:
    return Frame(np.full((height, width, 3), 127, np.uint8), time_ns)


@given(st.integers(2, 2000), st.integers(2, 2000), st.floats(-500, 2500), st.floats(-500, 2500), st.floats(1, 4))
def test_a_crop_lies_inside_the_frame(width, height, x, y, zoom):
    region = Region.around(Frame(np.broadcast_to(np.uint8(0), (height, width, 3)), 0), (x, y), zoom)
    assert region.left >= 0
    assert region.top >= 0
    assert region.left + region.width <= width
    assert region.top + region.height <= height
    assert region.width == max(1, round(width / zoom))


def test_a_crop_is_contiguous_and_maps_back():
    frame = Frame(np.arange(60 * 80 * 3, dtype=np.uint8).reshape(60, 80, 3), 0)
    region = Region.around(frame, (60, 20), 2.0)
    part = region.cut(frame.image)
    assert part.flags.c_contiguous
    np.testing.assert_array_equal(part[3, 4], frame.image[region.top + 3, region.left + 4])


def test_painting_over_everything_but_a_face_keeps_the_face():
    frame = Frame(np.random.default_rng(0).integers(0, 255, (100, 120, 3)).astype(np.uint8), 7, 3)
    alone = _only(frame, np.array([40.0, 30.0]), np.array([80.0, 70.0]))
    np.testing.assert_array_equal(alone.image[30:70, 40:80], frame.image[30:70, 40:80])
    assert (alone.image[:15] == 128).all()
    assert (alone.time_ns, alone.index) == (7, 3)


def test_the_scores_are_arkits():
    assert len(SCORE_NAMES) == len(set(SCORE_NAMES)) == 52
    assert SCORE_NAMES[0] == "_neutral"


def test_a_missing_or_wrong_model_is_named(tmp_path):
    with pytest.raises(AssetError, match="missing"):
        FaceLandmarker(tmp_path / "none.task")
    (tmp_path / "wrong.task").write_bytes(b"not a model")
    with pytest.raises(AssetError, match=r"wrong\.task"):
        FaceLandmarker(tmp_path / "wrong.task")


@pytest.fixture(scope="module")
def model() -> Path:
    try:
        return landmarker_model_path()
    except AgoraError as error:
        pytest.skip(f"the landmark model is not here: {error}")


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A rendered studio person, small enough to be quick."""
    from core.geometry import portrait_camera
    from core.head.library import load_open_head
    from core.render.renderer import open_renderer
    from core.studio.assemble import build_identity

    renderer = open_renderer("cpu")
    person = build_identity(1000, load_open_head())
    picture = renderer.render(person.gaussians, portrait_camera(360, 360), (0.5, 0.5, 0.5))[..., :3]
    renderer.close()
    return np.ascontiguousarray(picture)


def test_nothing_is_seen_in_an_empty_picture_and_equal_times_do_no_harm(model):
    with FaceLandmarker(model) as landmarker:
        for time_ns in (0, 0, 5, 5, 3):
            assert landmarker.detect(blank(time_ns=time_ns)) is None
    landmarker.close()  # closing twice is harmless


def test_a_face_is_found_in_pixels_of_the_frame(model, portrait):
    wide = np.full((360, 720, 3), 127, np.uint8)
    wide[:, 300:660] = portrait
    with FaceLandmarker(model) as landmarker:
        found = landmarker.detect(Frame(wide, 0))
    assert found.points.shape == (478, 3)
    assert found.scores.shape == (52,)
    assert (found.width, found.height) == (720, 360)
    assert 300 < found.points[:, 0].min() < found.points[:, 0].max() < 660
    assert found.points[263, 0] > found.points[33, 0]  # the subject's left eye is on the right of the picture
    assert found.points[152, 1] > found.points[10, 1]


def test_a_face_too_small_for_the_detector_is_found_in_a_crop(model, portrait):
    import cv2

    small = np.full((720, 1280, 3), 127, np.uint8)
    small[260:480, 530:750] = cv2.resize(portrait, (220, 220), interpolation=cv2.INTER_AREA)
    with FaceLandmarker(model) as landmarker:
        found = [landmarker.detect(Frame(small, i * 100_000_000, i)) for i in range(12)]
    assert all(landmarks is None for landmarks in found[:5])
    last = found[-1]
    assert last is not None
    assert 530 < last.points[:, 0].min() < last.points[:, 0].max() < 750
    assert 260 < last.points[:, 1].min() < last.points[:, 1].max() < 480


def test_the_largest_of_two_faces_is_followed(model, portrait):
    import cv2

    picture = np.full((480, 960, 3), 127, np.uint8)
    picture[60:420, 580:940] = portrait
    picture[120:360, 60:300] = cv2.resize(portrait, (240, 240), interpolation=cv2.INTER_AREA)
    for image, left, right in ((picture, 580, 940), (np.ascontiguousarray(picture[:, ::-1]), 20, 380)):
        with FaceLandmarker(model) as landmarker:
            for i in range(3):
                found = landmarker.detect(Frame(image, i * 33_000_000, i))
        assert left < found.points[:, 0].mean() < right


@pytest.mark.media
@pytest.mark.skipif(not MEDIA.is_dir(), reason="no footage beside the project")
@pytest.mark.parametrize(("picture", "human"), [
    ("animal_monkey.jpg", False), ("bouguereau_girl.jpg", True), ("mona_lisa.jpg", True), ("pearl_earring.jpg", True),
    ("sargent_lady_agnew.jpg", True), ("terracotta_statue.jpg", True)])
def test_painted_people_are_faces_and_animals_are_not(model, picture, human):
    from core.media.image import read_image

    image = read_image(MEDIA / "portraits" / picture)
    with FaceLandmarker(model, retry_after=0.1) as landmarker:
        found = [landmarker.detect(Frame(image, i * 100_000_000, i)) for i in range(6)]
    assert any(landmarks is not None for landmarks in found) is human
