"""The one place that talks to MediaPipe: frames in, landmarks and blendshape scores out.

The model is Google's Face Landmarker (Tasks API): 478 landmarks (468 skin points and five for each iris), 52 blendshape
scores in ARKit's vocabulary, and a 4x4 head pose. It runs in VIDEO mode, where the face's place in one frame is where the
network looks in the next; the detector runs only while no face is held.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.errors import AssetError
from core.types import Frame, Landmarks

SCORE_NAMES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft", "mouthSmileRight",
    "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)
"""The landmarker's 52 scores, in its own order."""

RETRY_AFTER_SECONDS = 0.5  # the detector squeezes the whole frame to 128x128: faces under a tenth of its width need a crop
CROP_ZOOM = 2.0
CROP_MARGIN = 0.12  # a held face nearer than this (fraction of the crop) to the crop's border moves the crop
MAX_FACES_AT_ACQUISITION = 4
AGREEMENT = 0.06  # mean distance of the landmarks with and without colour, in outer-eye distances; humans stay below 0.035


@dataclass(frozen=True)
class Region:
    """A rectangle of the frame in whole pixels."""

    left: int
    top: int
    width: int
    height: int

    @staticmethod
    def whole(frame: Frame) -> Region:
        height, width = frame.image.shape[:2]
        return Region(0, 0, width, height)

    @staticmethod
    def around(frame: Frame, centre: tuple[float, float], zoom: float) -> Region:
        """The frame's shape, `zoom` times smaller, as near to `centre` as the border allows."""
        height, width = frame.image.shape[:2]
        crop_width, crop_height = max(1, round(width / zoom)), max(1, round(height / zoom))
        left = min(max(round(centre[0] - crop_width / 2), 0), width - crop_width)
        top = min(max(round(centre[1] - crop_height / 2), 0), height - crop_height)
        return Region(left, top, crop_width, crop_height)

    def cut(self, image: np.ndarray) -> np.ndarray:
        part = image[self.top:self.top + self.height, self.left:self.left + self.width]
        return np.ascontiguousarray(part)


class FaceLandmarker:
    """Finds the landmarks of one human face, the largest one in sight, and stays with it.

    Use it from one thread and close it there (or use it as a context manager).

    Args:
        model_path: the ``face_landmarker.task`` file.
        retry_after: seconds without a face after which 2x crops (frame centre, place last seen) are searched too.
        verify: examine every newly acquired face: it must also be found without colour (animals' faces, which the network
            half believes in, are not), and it must be the largest in sight. Costs two inferences at that moment.

    Raises:
        AssetError: the model file is missing or is not a landmarker model.
    """

    def __init__(self, model_path: str | Path, retry_after: float = RETRY_AFTER_SECONDS, verify: bool = True) -> None:
        self._model_path = Path(model_path)
        self._retry_after_ns = round(retry_after * 1e9)
        self._verify = verify
        self._vision = _load_mediapipe()
        self._video = self._create(video=True)
        self._still = None
        self._clock_ms = 0
        self._forget()

    def __enter__(self) -> FaceLandmarker:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def detect(self, frame: Frame) -> Landmarks | None:
        """Landmarks of the face in `frame`, or None when there is none.

        A frame whose time is not later than the last one's (seek, loop) starts tracking anew.
        """
        if self._last_time_ns is not None and frame.time_ns <= self._last_time_ns:
            self.reset()
        elapsed_ms = 33 if self._last_time_ns is None else round((frame.time_ns - self._last_time_ns) / 1e6)
        self._last_time_ns = frame.time_ns
        region = self._region_to_search(frame)
        if region != self._region:
            self._held = False
        self._region = region
        found = self._detect_region(frame, region, elapsed_ms)
        if found is not None and not self._held and self._verify:
            found = self._verified(frame, region, found)
        self._held = found is not None
        if found is not None:
            self._last_found_ns = frame.time_ns
            self._last_centre = tuple(found.points[:, :2].mean(0))
            self._crops_tried = 0
        return found

    def reset(self) -> None:
        """Forget the face and the time, as before the first frame."""
        self._video.close()
        self._video = self._create(video=True)
        self._forget()

    def close(self) -> None:
        """Free the native graph. Must happen before the interpreter exits; closing twice is harmless."""
        for graph in (self._video, self._still):
            if graph is not None:
                graph.close()
        self._video = self._still = None

    def _forget(self) -> None:
        self._last_time_ns: int | None = None
        self._first_time_ns: int | None = None
        self._last_found_ns: int | None = None
        self._last_centre: tuple[float, float] | None = None
        self._region: Region | None = None
        self._held = False
        self._crops_tried = 0

    def _create(self, video: bool):
        mode = self._vision.RunningMode
        options = self._vision.FaceLandmarkerOptions(
            base_options=_base_options(str(self._model_path)),
            running_mode=mode.VIDEO if video else mode.IMAGE,
            num_faces=1 if video else MAX_FACES_AT_ACQUISITION,
            output_face_blendshapes=video,
            output_facial_transformation_matrixes=video,
        )
        if not self._model_path.is_file():
            raise AssetError(f"{self._model_path}: the face landmark model is missing", "run `python3 main.py doctor`")
        try:
            with _quiet_native_log():
                return self._vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as error:
            raise AssetError(f"{self._model_path}: not a usable face landmark model") from error

    def _region_to_search(self, frame: Frame) -> Region:
        whole = Region.whole(frame)
        if self._held:
            return self._follow(frame, whole)
        if self._first_time_ns is None:
            self._first_time_ns = frame.time_ns
        since = self._first_time_ns if self._last_found_ns is None else self._last_found_ns
        if frame.time_ns - since < self._retry_after_ns:
            return whole
        self._crops_tried += 1
        centres = [(whole.width / 2, whole.height / 2)]
        if self._last_centre is not None:
            centres.insert(0, self._last_centre)
        turn = self._crops_tried % (len(centres) + 1)
        return whole if turn == 0 else Region.around(frame, centres[turn - 1], CROP_ZOOM)

    def _follow(self, frame: Frame, whole: Region) -> Region:
        """The region that holds the face now: moved with it when it nears the border of a crop."""
        region = self._region
        if region is None or region.width >= whole.width or self._last_centre is None:
            return whole
        x = (self._last_centre[0] - region.left) / region.width
        y = (self._last_centre[1] - region.top) / region.height
        inside = min(x, 1 - x, y, 1 - y)
        return region if inside > 0.25 + CROP_MARGIN else Region.around(frame, self._last_centre, CROP_ZOOM)

    def _detect_region(self, frame: Frame, region: Region, elapsed_ms: int) -> Landmarks | None:
        self._clock_ms += max(1, elapsed_ms)
        result = self._run_video(region.cut(frame.image))
        if not result.face_landmarks:
            return None
        landmarks = Landmarks(
            points=_points(result.face_landmarks[0], region),
            scores=np.array([category.score for category in result.face_blendshapes[0]], np.float32),
            transform=np.asarray(result.facial_transformation_matrixes[0], np.float32),
            width=frame.image.shape[1], height=frame.image.shape[0], time_ns=frame.time_ns,
        )
        return landmarks if np.isfinite(landmarks.points).all() else None

    def _run_video(self, image: np.ndarray):
        import mediapipe as mp

        with _quiet_native_log() if self._clock_ms < 100 else contextlib.nullcontext():
            return self._video.detect_for_video(mp.Image(image_format=mp.ImageFormat.SRGB, data=image), self._clock_ms)

    def _verified(self, frame: Frame, region: Region, found: Landmarks) -> Landmarks | None:
        """`found`, or the largest face in its place when another one is larger; None when it is no human face.

        The tracker can only be told where to look by what it sees: to move it, it is started anew on the frame with
        everything but the largest face painted over, and keeps that place from then on.
        """
        faces = self._all_faces(region.cut(frame.image), region)
        if not faces:
            return None
        largest = max(faces, key=lambda points: np.prod(np.ptp(points, axis=0)))
        low, high = largest.min(0), largest.max(0)
        centre = found.points[:, :2].mean(0)
        if not ((low <= centre) & (centre <= high)).all():
            self._video.close()
            self._video = self._create(video=True)
            found = self._detect_region(_only(frame, low, high), region, 1)
        colourless = self._all_faces(_grey(region.cut(frame.image)), region)
        scale = max(np.linalg.norm(largest[33] - largest[263]), 1e-6)
        agree = (np.linalg.norm(points - largest, axis=1).mean() < AGREEMENT * scale for points in colourless)
        return found if any(agree) else None

    def _all_faces(self, image: np.ndarray, region: Region) -> list[np.ndarray]:
        """Landmarks [478, 2] of every face in a picture, looked at for itself."""
        import mediapipe as mp

        with _quiet_native_log():
            self._still = self._still or self._create(video=False)
            result = self._still.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=image))
        return [_points(face, region)[:, :2] for face in result.face_landmarks]


def _points(face, region: Region) -> np.ndarray:
    """MediaPipe's normalised landmarks as pixels of the frame [478, 3] float32."""
    normalised = np.array([(p.x, p.y, p.z) for p in face], np.float32)
    scale = np.array([region.width, region.height, region.width], np.float32)
    return normalised * scale + np.array([region.left, region.top, 0], np.float32)


def _only(frame: Frame, low: np.ndarray, high: np.ndarray) -> Frame:
    """The frame with everything grey but the box from `low` to `high`, enlarged by half its size."""
    height, width = frame.image.shape[:2]
    margin = (high - low) / 4
    left, top = np.maximum(low - margin, 0).astype(int)
    right, bottom = np.minimum(np.ceil(high + margin), (width, height)).astype(int)
    image = np.full_like(frame.image, 128)
    image[top:bottom, left:right] = frame.image[top:bottom, left:right]
    return replace(frame, image=image)


def _grey(image: np.ndarray) -> np.ndarray:
    """A picture without its colours, still [H, W, 3]."""
    luma = image @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.repeat(np.rint(luma).astype(np.uint8)[..., None], 3, axis=2)


def _load_mediapipe():
    """Import MediaPipe's vision tasks, with their logging down and without the side effects of the cv2 they bring."""
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    qt_before = {name: os.environ.get(name) for name in ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")}
    with _quiet_native_log():
        import cv2
        import mediapipe as mp
    for name, value in qt_before.items():  # cv2 points these at its own Qt plugins, which breaks PySide6's
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    cv2.setNumThreads(1)
    return mp.tasks.vision


def _base_options(path: str):
    import mediapipe as mp

    return mp.tasks.BaseOptions(model_asset_path=path)


_stderr_lock = threading.RLock()  # two threads that redirect and restore crosswise would lose stderr for good


@contextlib.contextmanager
def _quiet_native_log() -> Iterator[None]:
    """Send the process's stderr to nowhere: the native library prints start-up notes that no setting turns off."""
    with _stderr_lock:
        try:
            sys.stderr.flush()
            saved = os.dup(2)
        except (OSError, AttributeError, ValueError):  # no usable stderr (windowed application)
            yield
            return
        sink = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(sink, 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            os.close(sink)
