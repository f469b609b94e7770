"""Photographs to training pictures: framing and fit against known heads, masks and filters on drawn pictures, the whole with
stand-ins for the networks, and once with the networks where they have been fetched."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import platformdirs
import pytest
from PIL import Image

from core.assets import APP_NAME, FACE_LANDMARKER, PERSON_SEGMENTER
from core.errors import InputError
from core.geometry import orbit_camera, rotation_from_axis_angle
from core.head.embedding import load_landmark_embedding
from core.head.library import load_open_head
from core.head.mesh import project
from core.tracking.landmark_rig import LEFT_IRIS, RIGHT_IRIS, LandmarkRig
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.tracking.person_segmenter import PersonSegmenter
from core.tracking.still_landmarker import window
from core.types import Landmarks
from trainer.data import portraits as ingestion
from trainer.data.check import check_data
from trainer.data.dataset import Dataset
from trainer.data.findings import Severity
from trainer.data.portrait_filter import CoverCheck, QualityLimits, Refusal, blur_of, duplicates_of, perceptual_hash
from trainer.data.portrait_fit import Framing, PortraitFitter
from trainer.data.portrait_mask import MaskSettings, foreground_colours, portrait_mask
from trainer.data.portrait_photo import Portrait, PortraitMaker, Refused
from trainer.data.portraits import PortraitSettings, ingest_portraits

PHOTO = (900, 700)  # width, height
SEGMENTER = Path(os.environ.get(PERSON_SEGMENTER.variable)
                 or Path(platformdirs.user_cache_dir(APP_NAME)) / "assets" / PERSON_SEGMENTER.name)


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def fitter(head):
    return PortraitFitter(head)


def truth(head, framing: Framing, yaw: float, shape: np.ndarray | None = None, **expression) -> Landmarks:
    """Landmarks in a photograph whose framed square shows a head exactly as the portrait camera does."""
    shape = np.zeros(head.shape_count, np.float32) if shape is None else shape
    columns = head.expression(**expression) if expression else None
    posed = head.transforms(head.neutral(shape), columns, head.pose())
    camera = orbit_camera(yaw, 0.0, 1, 1)
    points = np.empty((478, 3))
    points[:468] = load_landmark_embedding(head).points(posed.vertices)
    radius = LandmarkRig.of(head, load_landmark_embedding(head)).eyeball_radius
    for joint, iris in ((3, LEFT_IRIS), (4, RIGHT_IRIS)):
        points[iris:iris + 5] = posed.joints[joint] + (0, 0, radius)
    seen = project(camera, points.astype(np.float32)).astype(float)
    xy = (seen[:, :2] - 0.5) * framing.side @ framing.axes + framing.centre
    depth = (seen[:, 2] - seen[:, 2].mean()) / seen[:, 2].mean() * camera.fx * framing.side
    scores = np.zeros(len(SCORE_NAMES), np.float32)
    for name, value in expression.items():
        scores[[i for i, known in enumerate(SCORE_NAMES) if known.startswith(name)]] = value
    return Landmarks(np.column_stack([xy, depth]).astype(np.float32), scores, np.eye(4, dtype=np.float32), *PHOTO, 0)


# ---------------------------------------------------------------------- framing and fit

def test_a_square_is_cut_where_its_coordinates_say():
    y, x = np.mgrid[0:400, 0:500]
    ramps = np.stack([x / 2, y / 2, 0 * x], -1).astype(np.uint8)
    framing = Framing(np.array([260.0, 190.0]), 120.0, 0.4)
    cut = framing.cut(ramps, 60)
    for u, v in ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75)):
        photo = (np.array([u, v]) - 0.5) * framing.side @ framing.axes + framing.centre
        np.testing.assert_allclose(framing.to_square(photo), (u, v), atol=1e-9)
        at = cut[int(v * 60) - 1:int(v * 60) + 1, int(u * 60) - 1:int(u * 60) + 1, :2].mean((0, 1))
        np.testing.assert_allclose(at, (photo - 0.5) / 2, atol=1.0)  # 8-bit ramps of half a level a pixel


def test_what_a_square_lacks():
    whole = Framing(np.array([50.0, 50.0]), 80.0)
    assert whole.share_outside(100, 100) == 0
    assert Framing(np.array([50.0, 100.0]), 80.0).share_outside(100, 100) == pytest.approx(0.5)
    assert Framing(np.array([0.0, 0.0]), 80.0).share_outside(100, 100) == pytest.approx(0.75)


@pytest.mark.parametrize(("yaw", "roll"), [(0.0, 0.0), (0.5, 0.0), (-0.4, 0.3)])
def test_framing_and_pose_of_a_known_head_are_found(head, fitter, yaw, roll):
    framing = Framing(np.array([520.0, 300.0]), 330.0, roll)
    fit = fitter(truth(head, framing, yaw))
    assert np.linalg.norm(fit.framing.centre - framing.centre) < 0.01 * framing.side
    assert fit.framing.side == pytest.approx(framing.side, rel=0.02)
    assert fit.framing.roll == pytest.approx(roll, abs=math.radians(1.5))
    turned, _, leaning = fit.turn_degrees
    assert turned == pytest.approx(-math.degrees(yaw), abs=1.5)  # a camera on the subject's left sees the face turn away from it
    assert abs(leaning) < 1e-3
    expected = orbit_camera(yaw, 0.0, 128, 128)
    camera = fit.camera(128)
    assert (camera.fx, camera.cx) == pytest.approx((expected.fx, expected.cx), rel=1e-6)
    np.testing.assert_allclose(camera.position, expected.position, atol=0.04)  # of 1.3 m: 1.8 degrees


def test_the_fitted_head_lies_on_the_portrait(head, fitter):
    landmarks = truth(head, Framing(np.array([430.0, 380.0]), 410.0, -0.1), 0.3, head.shape_bank[5], mouthSmile=0.8)
    fit = fitter(landmarks)
    params = fit.params
    posed = head.vertices(params.shape, params.expression, params.joint_pose())
    drawn = project(fit.camera(256), load_landmark_embedding(head).points(posed))[:, :2]
    distance = np.linalg.norm(drawn - fit.to_crop(landmarks.points[:468, :2], 256), axis=1)
    assert distance.mean() < 1.5  # pixels of 256; the distance of the eyes is about 70


def test_identity_is_found_where_landmarks_are_exact(head, fitter):
    gains = []
    for row in (5, 17, 40):
        shape = head.shape_bank[row]
        fit = fitter(truth(head, Framing(np.array([430.0, 380.0]), 410.0), 0.3, shape))
        rig = fitter.rig
        true, found, average = (rig.neutral(s) for s in (shape[:40], fit.params.shape, np.zeros(40)))
        gains.append(_misfit(found, true) / _misfit(average, true))
    assert np.mean(gains) < 0.75  # depth is hardly seen from one side, hence no more


def _misfit(points: np.ndarray, target: np.ndarray) -> float:
    """Mean distance after the best similarity transform (Umeyama 1991)."""
    a, b = points - points.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    handed = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    return float(np.linalg.norm((s * handed).sum() / (a**2).sum() * a @ (u * handed) @ vt - b, axis=1).mean())


def test_something_that_is_no_face_is_not_fitted(head, fitter, generator):
    landmarks = truth(head, Framing(np.array([430.0, 380.0]), 410.0), 0.0)
    scattered = landmarks.points + generator.normal(0, 40, landmarks.points.shape).astype(np.float32)
    assert fitter(replace(landmarks, points=scattered)) is None


# ---------------------------------------------------------------------- masks

def disc(size: int, radius: float, centre=(0.5, 0.5)) -> np.ndarray:
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    distance = np.hypot(x - centre[0], y - centre[1])
    return np.clip((radius - distance) * size + 0.5, 0, 1).astype(np.float32)


def test_the_border_moves_to_the_pictures_edge():
    true = disc(256, 0.3)
    picture = (true[..., None] * (200, 150, 120) + (1 - true[..., None]) * (20, 60, 160)).astype(np.uint8)
    rough = cv2.GaussianBlur(disc(256, 0.31), (0, 0), 5)
    refined = portrait_mask(rough, picture, disc(256, 0.2) > 0.5)
    assert np.abs(refined - true).mean() < 0.5 * np.abs(rough - true).mean()


def test_what_does_not_touch_the_head_goes_and_holes_in_it_close():
    picture = np.full((128, 128, 3), 128, np.uint8)
    head_mask, other = disc(128, 0.2), disc(128, 0.1, (0.87, 0.87))
    confidence = np.maximum(head_mask, other)
    confidence[60:68, 60:68] = 0
    steps = MaskSettings(guided=False)
    mask = portrait_mask(confidence, picture, head_mask > 0.5, steps)
    assert mask[other > 0].max() == 0
    assert mask[60:68, 60:68].min() == 1
    untouched = portrait_mask(confidence, picture, head_mask > 0.5, MaskSettings(False, False, False))
    assert untouched[other > 0.9].min() == 1
    assert untouched[64, 64] == 0


def test_the_background_is_taken_out_of_the_border():
    alpha = cv2.GaussianBlur(disc(128, 0.3), (0, 0), 1.5)
    front, back = np.array([210, 160, 130]), np.array([20, 200, 40])
    picture = np.rint(alpha[..., None] * front + (1 - alpha[..., None]) * back).astype(np.uint8)
    colours = foreground_colours(picture, alpha)
    border = (alpha > 0.2) & (alpha < 0.95)
    before, after = (np.abs(c.astype(float) - front)[border].mean() for c in (picture, colours))
    assert after < 0.3 * before
    np.testing.assert_array_equal(colours[alpha == 1], picture[alpha == 1])


# ---------------------------------------------------------------------- filters

def test_blur_is_measured(generator):
    sharp = np.zeros((128, 128, 3), np.uint8)
    for left, top, width, height, grey in generator.integers((0, 0, 8, 8, 0), (110, 110, 40, 40, 256), (60, 5)):
        sharp[top:top + height, left:left + width] = grey
    everywhere = np.ones((128, 128), bool)
    values = [blur_of(cv2.GaussianBlur(sharp, (0, 0), s) if s else sharp, everywhere) for s in (0, 1, 2, 4)]
    assert values == sorted(values)
    assert values[0] < 0.5
    assert values[3] > QualityLimits().blur


def test_copies_are_found_in_order(generator):
    pictures = [cv2.resize(generator.integers(0, 256, (12, 12, 3)).astype(np.uint8), (128, 128)) for _ in range(30)]
    copies = [np.clip(pictures[4] * 0.8 + 10, 0, 255).astype(np.uint8), cv2.resize(cv2.resize(pictures[9], (70, 70)), (128, 128))]
    original = duplicates_of(np.stack([perceptual_hash(p) for p in pictures + copies]))
    assert original[30:].tolist() == [4, 9]
    assert (original[:30] == -1).all()
    blank = np.stack([perceptual_hash(np.full((64, 64, 3), 7, np.uint8))] * 2)
    assert duplicates_of(blank).tolist() == [-1, 0]


def test_doubts_are_about_the_part_that_differs(head, fitter):
    check = CoverCheck(fitter.rig)
    seen = truth(head, Framing(np.array([430.0, 380.0]), 410.0), 0.0)
    partner = check._partner
    mirrored = seen.points.copy()
    mirrored[:468] = mirrored[partner]  # the numbering of a mirror
    assert max(check.doubts(seen, replace(seen, points=mirrored))) < 0.006  # asymmetry of the landmarks' places on the head
    mirrored[partner[[13, 14, 82, 87, 312, 317, 0, 17, 61, 291]], 1] += 60
    lips, eyes = check.doubts(seen, replace(seen, points=mirrored))
    assert lips > QualityLimits().doubt
    assert eyes < QualityLimits().doubt
    assert check.doubts(seen, None) == (np.inf, np.inf)


def test_a_window_continues_past_the_border():
    image = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    part, left, top = window(image, np.array([2.0, 18.0]), 16)
    assert (part.shape, left, top) == ((16, 16, 3), -6, 10)
    np.testing.assert_array_equal(part[:10, 6:], image[10:, :10])
    np.testing.assert_array_equal(part[12, 8], image[19, 2])


# ---------------------------------------------------------------------- one photograph, with stand-ins for the networks

class FakeLandmarker:
    """Sees what it is told; mirrors agree with it."""

    def __init__(self, rig: LandmarkRig, *seen: Landmarks) -> None:
        self._seen, self._partner = seen, CoverCheck(rig)._partner

    def faces(self, image):
        return [landmarks.points[:, :2] for landmarks in self._seen]

    def examine(self, image, face):
        return self._seen[0]

    def examine_mirrored(self, image, face):
        points = self._seen[0].points.copy()
        points[:468] = points[self._partner]
        return replace(self._seen[0], points=points)

    def close(self):
        pass


def confident(image):
    """A person network that sees a large person."""
    size = len(image)
    return np.maximum(disc(size, 0.36, (0.5, 0.45)), disc(size, 0.45, (0.5, 1.1)))


@pytest.fixture
def photo(tmp_path, generator):
    noise = generator.integers(0, 256, (PHOTO[1] // 4, PHOTO[0] // 4, 3)).astype(np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(cv2.resize(noise, PHOTO)).save(path)
    return path


FRAME = Framing(np.array([450.0, 350.0]), 400.0)


def make(head, fitter, photo, *seen, size=64, limits=None, segmenter=confident):
    return PortraitMaker(head, size, limits, FakeLandmarker(fitter.rig, *seen), segmenter)(photo)


def test_a_portrait_carries_consistent_labels(head, fitter, photo):
    result = make(head, fitter, photo, truth(head, FRAME, 0.3))
    assert isinstance(result, Portrait)
    sample = result.sample
    assert sample.rgba.shape == (1, 64, 64, 4)
    assert (sample.rgba[..., :3] <= sample.rgba[..., 3:]).all()
    assert sample.rgba[0, 30, 32, 3] == 255
    assert sample.rgba[0, 1, 1].tolist() == [0, 0, 0, 0]
    assert sample.psi.shape == (1, head.psi_layout.size)
    assert sample.shape.shape == (1, head.shape_count)
    points, seen = sample.landmarks[0, :, :2], sample.landmarks[0, :, 2]
    assert ((points > 0) & (points < 64)).all()
    assert 0.5 < seen.mean() < 1
    rotation = sample.world_to_camera[0, :3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)


@pytest.mark.parametrize(("framing", "limits", "reason"), [
    (Framing(np.array([450.0, 350.0]), 30.0), QualityLimits(), Refusal.TOO_SMALL),
    (Framing(np.array([450.0, 620.0]), 400.0), QualityLimits(), Refusal.CUT_OFF),
    (FRAME, QualityLimits(yaw=10), Refusal.TURNED_AWAY),
    (FRAME, QualityLimits(residual=1e-6), Refusal.POOR_FIT),
    (FRAME, QualityLimits(doubt=1e-6), Refusal.MOUTH_COVERED),
    (FRAME, QualityLimits(blur=0.05), Refusal.BLURRED),
])
def test_reasons_for_refusal(head, fitter, photo, framing, limits, reason):
    result = make(head, fitter, photo, truth(head, framing, 0.3), limits=limits)
    assert isinstance(result, Refused)
    assert result.reason is reason


def test_other_faces_matter_only_inside_the_portrait(head, fitter, photo):
    main = truth(head, FRAME, 0.0)
    inside, outside = (truth(head, Framing(np.array([x, 420.0]), 200.0), 0.0) for x in (560.0, 800.0))
    assert make(head, fitter, photo, main, inside).reason is Refusal.SEVERAL_FACES
    assert isinstance(make(head, fitter, photo, main, outside), Portrait)


def test_no_face_no_picture_no_foreground(head, fitter, photo, tmp_path):
    assert make(head, fitter, photo).reason is Refusal.NO_FACE
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff and nothing else")
    assert make(head, fitter, broken, truth(head, FRAME, 0.0)).reason is Refusal.UNREADABLE
    blind = make(head, fitter, photo, truth(head, FRAME, 0.0), segmenter=lambda image: np.zeros(image.shape[:2], np.float32))
    assert blind.reason is Refusal.NO_FOREGROUND


def test_any_kind_of_picture_is_read_and_its_own_matte_believed(head, fitter, photo, tmp_path):
    rgb = Image.open(photo)
    seen = truth(head, FRAME, 0.0)
    plain = make(head, fitter, photo, seen).sample.rgba
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    rgb.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(make(head, fitter, tmp_path / "turned.png", seen).sample.rgba, plain)
    deep = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    for image, name in ((rgb.convert("L"), "grey.png"), (rgb.convert("CMYK"), "cmyk.tif"), (deep, "deep.png")):
        image.save(tmp_path / name)
        assert isinstance(make(head, fitter, tmp_path / name, seen), Portrait)
    matte = np.zeros(PHOTO[::-1], np.uint8)
    matte[:, 300:600] = 255
    rgb.putalpha(Image.fromarray(matte))
    rgb.save(tmp_path / "matte.png")
    alpha = make(head, fitter, tmp_path / "matte.png", seen).sample.rgba[0, ..., 3]
    assert alpha[:, :4].max() == 0  # the portrait shows columns 250 to 650
    assert alpha[2:-2, 12:50].min() == 255


# ---------------------------------------------------------------------- a folder of them

class FakeMaker:
    """Makes a portrait whose labels tell which file it came from."""

    made: list[str]

    def __init__(self, head, size, limits):
        self._head, self._size = head, size

    def close(self):
        pass

    def __call__(self, path):
        FakeMaker.made.append(path.name)
        if path.read_bytes() == b"bad":
            return Refused(Refusal.NO_FACE, "nobody")
        rng = np.random.default_rng(list(path.read_bytes()))
        size, head = self._size, self._head
        rgba = cv2.resize(rng.integers(0, 200, (6, 6, 4)).astype(np.uint8), (size, size))
        rgba[..., 3] = 255
        rgba[:2] = 0
        camera = orbit_camera(float(rng.uniform(-0.5, 0.5)), 0.0, size, size)
        shape = rng.normal(size=(1, head.shape_count)).astype(np.float32)
        sample = ingestion.Samples(rgba[None], shape, rng.uniform(0, 0.5, (1, head.psi_layout.size)).astype(np.float32),
                                   np.zeros((1, 3), np.float32), camera.world_to_camera[None],
                                   np.array([[camera.fx, camera.fy, camera.cx, camera.cy]], np.float32), np.zeros(1, np.int32),
                                   np.full((1, 468, 3), size / 2, np.float32))
        return Portrait(sample, perceptual_hash(rgba[..., :3]), 0.02)


@pytest.fixture
def _stand_ins(monkeypatch):
    FakeMaker.made = []
    monkeypatch.setattr(ingestion, "PortraitMaker", FakeMaker)
    monkeypatch.setattr(ingestion, "PARCEL", 8)
    monkeypatch.setattr(ingestion, "PORTRAITS_PER_SHARD", 10)
    for name in ("landmarker_model_path", "locate"):
        monkeypatch.setattr(ingestion, name, lambda *_: None)


@pytest.fixture
def album(tmp_path):
    folder = tmp_path / "album"
    (folder / "sub").mkdir(parents=True)
    for i in range(30):
        (folder / f"p{i:02d}.jpg").write_bytes(b"face %d" % i)
    (folder / "sub" / "again.JPG").write_bytes(b"face 7")
    (folder / "q.png").write_bytes(b"bad")
    (folder / "notes.txt").write_text("no picture")
    return folder


SETTINGS = PortraitSettings(size=32)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.usefixtures("_stand_ins")
def test_a_folder_becomes_a_dataset(album, tmp_path):
    out = tmp_path / "data"
    report = ingest_portraits(album, out, SETTINGS)
    assert report.counts == {Refusal.NO_FACE: 1, Refusal.DUPLICATE: 1}
    assert [(p.name, p.detail) for p in report.refused] == [("q.png", "nobody"), ("sub/again.JPG", "p07.jpg")]
    assert "30 of 32 photographs used: 28 train, 2 test" in report.text()
    dataset = Dataset.open(out)
    assert dataset.info.kind == "portraits"
    train = dataset.samples("train")
    assert len(train) == 28
    assert train.person.tolist() == list(range(28))
    assert dataset.people("train").seed.tolist() == [-1] * 28
    head = load_open_head()
    for row, name in enumerate(report.used["train"]):
        expected = FakeMaker(head, 32, None)(album / name).sample
        np.testing.assert_array_equal(train.rgba[row], expected.rgba[0])
        np.testing.assert_array_equal(train.psi[row], expected.psi[0])
    written = json.loads((out / "report.json").read_text())
    assert written["counts"] == {"no_face": 1, "duplicate": 1}
    assert all(f.severity is Severity.WARNING for f in check_data(out).findings)


@pytest.mark.usefixtures("_stand_ins")
def test_work_that_was_stopped_goes_on_and_ends_the_same(album, tmp_path):
    class Stop(Exception):
        pass

    def stop_after_two_parcels(done, total):
        if done >= 16:
            raise Stop

    out, other = tmp_path / "data", tmp_path / "other"
    with pytest.raises(Stop):
        ingest_portraits(album, out, SETTINGS, progress=stop_after_two_parcels)
    assert not (out / "dataset.json").exists()
    assert len(FakeMaker.made) == 16
    ingest_portraits(album, out, SETTINGS)
    assert len(FakeMaker.made) == 32
    ingest_portraits(album, other, SETTINGS)
    assert contents(out) == contents(other)
    ingest_portraits(album, out, SETTINGS)
    assert len(FakeMaker.made) == 64  # those of the other folder; nothing was done again in this one


@pytest.mark.usefixtures("_stand_ins")
def test_a_changed_album_costs_only_what_changed(album, tmp_path):
    out = tmp_path / "data"
    before = ingest_portraits(album, out, SETTINGS)
    damaged = next((out / "parcels").glob("*.safetensors"))
    damaged.write_bytes(damaged.read_bytes()[:100])
    FakeMaker.made.clear()
    ingest_portraits(album, out, SETTINGS)
    assert len(FakeMaker.made) == 8
    (album / "zz.jpg").write_bytes(b"another")
    FakeMaker.made.clear()
    after = ingest_portraits(album, out, SETTINGS)
    assert len(FakeMaker.made) == 1  # a parcel of its own: the four before it were full
    assert set(before.used["train"]) <= set(after.used["train"]) | set(after.used["test"])
    for i in range(12):
        (album / f"p{i:02d}.jpg").unlink()
    fewer = ingest_portraits(album, out, SETTINGS)
    assert Dataset.open(out).count("train") == len(fewer.used["train"])
    assert sorted(path.name for path in (out / "train").iterdir()) == ["shard-00000.safetensors", "shard-00001.safetensors"]


@pytest.mark.usefixtures("_stand_ins")
def test_nothing_to_work_with(tmp_path):
    with pytest.raises(InputError, match="not a folder"):
        ingest_portraits(tmp_path / "absent", tmp_path / "out", SETTINGS)
    folder = tmp_path / "album"
    folder.mkdir()
    with pytest.raises(InputError, match="holds no photographs"):
        ingest_portraits(folder, tmp_path / "out", SETTINGS)
    (folder / "a.jpg").write_bytes(b"bad")
    with pytest.raises(InputError, match="none of the 1 photographs") as error:
        ingest_portraits(folder, tmp_path / "out", SETTINGS)
    assert "no face found" in error.value.hint
    assert not (tmp_path / "out" / "dataset.json").exists()


# ---------------------------------------------------------------------- with the networks

needs_segmenter = pytest.mark.skipif(not SEGMENTER.is_file(), reason="the person segmentation model has not been fetched")
needs_landmarker = pytest.mark.skipif(FACE_LANDMARKER.variable not in os.environ, reason="the landmark model is not there")


@pytest.fixture(scope="module")
def person_photos(head, tmp_path_factory):
    """Two photographs of a studio person before a busy wall, one of the wall, and the true alpha of the first."""
    from core.render.cpu import CpuRenderer
    from core.studio import build_identity, pose_identity

    folder = tmp_path_factory.mktemp("people")
    person, rng = build_identity(3004, head), np.random.default_rng(3)
    wall = cv2.resize(rng.integers(40, 220, (24, 24, 3)).astype(np.uint8), (512, 512), interpolation=cv2.INTER_CUBIC)
    alphas = []
    for name, yaw, smile in (("a", 0.25, 0.0), ("b", -0.35, 0.8)):
        columns = head.expression(mouthSmile=smile)
        rgba = CpuRenderer(1).render(pose_identity(person, head.vertices(person.shape, columns, head.pose()), columns),
                                     orbit_camera(yaw, 0.0, 512, 512, distance=1.4))
        alpha = rgba[..., 3:] / 255
        Image.fromarray(np.rint(rgba[..., :3] + (1 - alpha) * wall).clip(0, 255).astype(np.uint8)).save(folder / f"{name}.jpg")
        alphas.append(alpha[..., 0])
    Image.fromarray(wall).save(folder / "wall.png")
    return folder, alphas[0]


@needs_segmenter
def test_the_network_finds_a_person(person_photos):
    folder, alpha = person_photos
    mask = PersonSegmenter(SEGMENTER)(np.asarray(Image.open(folder / "a.jpg")))
    assert mask.shape == alpha.shape
    union, common = ((mask > 0.5) | (alpha > 0.5)).sum(), ((mask > 0.5) & (alpha > 0.5)).sum()
    assert common > 0.95 * union


@needs_segmenter
@needs_landmarker
def test_photographs_become_a_dataset(person_photos, tmp_path, monkeypatch):
    monkeypatch.setenv(PERSON_SEGMENTER.variable, str(SEGMENTER))
    folder, alpha = person_photos
    limits = QualityLimits(outside=0.2)  # the studio's pictures end at the shoulders
    report = ingest_portraits(folder, tmp_path / "out", PortraitSettings(size=128, limits=limits))
    assert sorted(sum(report.used.values(), ())) == ["a.jpg", "b.jpg"]
    assert report.counts == {Refusal.NO_FACE: 1}
    assert report.residual < 0.04
    dataset = Dataset.open(tmp_path / "out")
    split = next(split for split, names in report.used.items() if "a.jpg" in names)
    sample = dataset.samples(split)
    position = -sample.world_to_camera[0, :3, :3].T @ sample.world_to_camera[0, :3, 3]
    yaw = math.degrees(math.atan2(position[0], position[2]))
    assert yaw == pytest.approx(math.degrees(0.25), abs=7)  # the landmarker's error
    row = sample.psi[0]
    assert np.linalg.norm(rotation_from_axis_angle(row[-9:-6]) - np.eye(3)) < 0.3  # the mouth is shut
    assert sample.rgba[0, ..., 3].mean() / 255 == pytest.approx(alpha.mean(), abs=0.2)
