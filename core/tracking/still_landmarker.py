"""The landmarker on photographs: every face in a picture, however small, and all that can be seen of one of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from core.assets import landmarker_model_path
from core.tracking.landmark_rig import LEFT_EYE_OUTER, RIGHT_EYE_OUTER
from core.tracking.mediapipe_landmarker import FaceLandmarker, Region
from core.types import FloatArray, Frame, Landmarks

WINDOW = 2.2  # side of the picture a face is examined in, in units of the face's larger side
SETTLING_FRAMES = 3  # the landmarker refines where it looks over the first frames
LARGEST_SEARCHED = 1280  # pixels; the detector sees 128, more only costs time
_CROP_STEPS = (0.0, 0.5, 1.0)
_SAME_FACE = 0.5  # faces whose centres are nearer than this share of their size are one


class StillLandmarker(FaceLandmarker):
    """Finds faces in photographs. Use from one thread and close there.

    Args:
        model_path: the ``face_landmarker.task`` file; fetched on first use by default.

    Raises:
        AssetError: the model file is missing or is not a landmarker model.
    """

    def __init__(self, model_path: str | Path | None = None) -> None:
        super().__init__(model_path or landmarker_model_path())

    def faces(self, image: NDArray[np.uint8]) -> list[FloatArray]:
        """Landmarks [478, 2] in pixels of the faces in an RGB picture, largest first.

        The detector squeezes what it is shown to 128x128 and misses faces under a tenth of the width, so a picture without a
        face is searched again in nine overlapping quarters.
        """
        shrink = min(1.0, LARGEST_SEARCHED / max(image.shape[:2]))
        small = image if shrink == 1 else cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        frame = Frame(small, 0)
        found = self._all_faces(small, Region.whole(frame))
        if not found:
            parts = [self._part(frame, x, y) for y in _CROP_STEPS for x in _CROP_STEPS]
            found = [face for part in parts for face in self._all_faces(part.cut(small), part)]
        return [face / shrink for face in _distinct(found)]

    def examine(self, image: NDArray[np.uint8], face: FloatArray) -> Landmarks | None:
        """Landmarks with depth and scores of the face whose 2D landmarks [478, 2] are known, in pixels of the whole picture.

        None when a closer look finds no human face there.
        """
        part, left, top = window(image, face.mean(0), WINDOW * float(np.ptp(face, axis=0).max()))
        self.reset()
        seen = None
        for index in range(SETTLING_FRAMES):
            seen = self.detect(Frame(part, index * 33_000_000, index))
            if seen is None:
                return None
        return replace(seen, points=seen.points + np.array([left, top, 0], np.float32), width=image.shape[1],
                       height=image.shape[0], time_ns=0)

    def examine_mirrored(self, image: NDArray[np.uint8], face: FloatArray) -> Landmarks | None:
        """As `examine`, through a mirror: the points are mapped back but keep the mirror's numbering and scores."""
        width = image.shape[1]
        mirrored = np.ascontiguousarray(image[:, ::-1])
        seen = self.examine(mirrored, face * np.array([-1, 1], np.float32) + np.array([width, 0], np.float32))
        return seen and replace(seen, points=seen.points * np.array([-1, 1, 1], np.float32) + np.array([width, 0, 0], np.float32))

    @staticmethod
    def _part(frame: Frame, x: float, y: float) -> Region:
        whole = Region.whole(frame)
        return Region.around(frame, (whole.width * (0.25 + 0.5 * x), whole.height * (0.25 + 0.5 * y)), 2.0)


def window(image: NDArray[np.uint8], centre: FloatArray, side: float) -> tuple[NDArray[np.uint8], int, int]:
    """A square of the picture, continued past its border, and the pixel of its upper left corner."""
    side_px = max(16, round(side))
    left, top = (round(float(c) - side_px / 2) for c in centre)
    height, width = image.shape[:2]
    x = np.clip(np.arange(left, left + side_px), 0, width - 1)
    y = np.clip(np.arange(top, top + side_px), 0, height - 1)
    return np.ascontiguousarray(image[y[:, None], x[None]]), left, top


def face_size(face: FloatArray) -> float:
    """Distance of the outer corners of the eyes in pixels, or the face's height over 1.6 where that is more (turned heads)."""
    return float(max(np.linalg.norm(face[LEFT_EYE_OUTER] - face[RIGHT_EYE_OUTER]), np.ptp(face[:, 1]) / 1.6))


def _distinct(faces: list[FloatArray]) -> list[FloatArray]:
    kept: list[FloatArray] = []
    for face in sorted(faces, key=face_size, reverse=True):
        if all(np.linalg.norm(face.mean(0) - other.mean(0)) > _SAME_FACE * face_size(other) for other in kept):
            kept.append(face)
    return kept
