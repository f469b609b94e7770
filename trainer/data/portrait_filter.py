"""Which photographs are good enough to train on, and why the others are not."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from core.tracking.landmark_rig import EYELIDS, LEFT_EYE_OUTER, LIPS, RIGHT_EYE_OUTER, LandmarkRig
from core.types import FloatArray, Landmarks
from trainer.data.portrait_fit import PortraitFit

BLUR_LENGTH = 9  # pixels of the box filter that sharp edges suffer from and blurred ones do not
HASH_SIDE = 16
HASH_BANDS = 16  # a pair within MOST_DIFFERENT_BITS shares at least one of so many equal parts of the hash
MOST_DIFFERENT_BITS = HASH_BANDS - 1


class Refusal(Enum):
    """Why a photograph is left out; the value is what a person is told."""

    UNREADABLE = "not a picture that can be read"
    NO_FACE = "no face found"
    SEVERAL_FACES = "several faces in the portrait"
    TOO_SMALL = "the face is too small"
    CUT_OFF = "the head is cut off by the picture's border"
    TURNED_AWAY = "the face is turned away"
    POOR_FIT = "the head model does not fit the face"
    BLURRED = "the face is blurred"
    MOUTH_COVERED = "the mouth seems covered"
    EYE_COVERED = "an eye seems covered"
    NO_FOREGROUND = "the person cannot be told from the background"
    DUPLICATE = "the same picture as another one"


@dataclass(frozen=True)
class QualityLimits:
    """What a photograph must keep to.

    Attributes:
        resolution: least pixels of the photograph per pixel of the portrait.
        outside: largest share of the portrait beyond the photograph's border.
        yaw, pitch: largest turn of the head in degrees.
        residual: largest landmark error of the fit, fraction of the interocular distance.
        blur: largest blur from 0 sharp to 1; 0.66 is a Gaussian blur of 1.5 pixels of the portrait.
        doubt: largest disagreement about lips or lids with the mirrored picture, fraction of the interocular distance.
        other_face: another face counts from this share of the face's size on.
        person: least confidence of the person network on the head.
    """

    resolution: float = 0.75
    outside: float = 0.08
    yaw: float = 60.0
    pitch: float = 35.0
    residual: float = 0.045
    blur: float = 0.66
    doubt: float = 0.018
    other_face: float = 0.3
    person: float = 0.6


def blur_of(portrait: NDArray[np.uint8], face: NDArray[np.bool_]) -> float:
    """Blur of the face from 0 sharp to 1: how little of its edges another blur takes away.

    Crété et al., "The blur effect: perception and estimation with a new no-reference perceptual blur metric" (SPIE 2007).

    Args:
        portrait: [S, S, 3] RGB.
        face: [S, S] where to look.
    """
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY).astype(np.float32)
    values = []
    for axis, kernel in ((0, (1, BLUR_LENGTH)), (1, (BLUR_LENGTH, 1))):
        inside = np.delete(face, 0, axis)
        edges = np.abs(np.diff(grey, axis=axis))[inside]
        left = np.abs(np.diff(cv2.blur(grey, kernel), axis=axis))[inside]
        values.append(1 - np.maximum(edges - left, 0).sum() / max(float(edges.sum()), 1e-6))
    return float(max(values))


class CoverCheck:
    """Doubts about mouth and eyes: a landmarker that cannot see a part invents it, and not the same way in a mirror.

    On studio people it finds three quarters of the covered mouths and half of the covered eyes, whose place is known from the
    rest of the face, and doubts 3 % of the uncovered ones.
    """

    def __init__(self, rig: LandmarkRig) -> None:
        mirrored = rig.template * [-1, 1, 1]
        self._partner = np.array([np.linalg.norm(rig.template - point, axis=1).argmin() for point in mirrored])
        lids = np.array(EYELIDS)
        self._groups = (np.array(LIPS), lids[rig.template[lids, 0] > 0], lids[rig.template[lids, 0] <= 0])

    def doubts(self, landmarks: Landmarks, mirrored: Landmarks | None) -> tuple[float, float]:
        """Disagreement about the lips and about the worse eye, fractions of the interocular distance.

        Args:
            mirrored: as `StillLandmarker.examine_mirrored` returns; where there is none, both are infinite.
        """
        if mirrored is None:
            return np.inf, np.inf
        points = landmarks.points[:468, :2]
        difference = points - mirrored.points[:468, :2][self._partner]
        difference = difference - np.median(difference, axis=0)
        iod = max(float(np.linalg.norm(landmarks.points[LEFT_EYE_OUTER] - landmarks.points[RIGHT_EYE_OUTER])), 1e-6)
        lips, left, right = (float(np.linalg.norm(difference[group], axis=1).mean() / iod) for group in self._groups)
        return lips, max(left, right)


def crowded(fit: PortraitFit, faces: list[FloatArray], sizes: list[float], limits: QualityLimits) -> bool:
    """Whether another of the photograph's faces (the first is the fitted one) looks into the portrait."""
    for face, size in zip(faces[1:], sizes[1:], strict=True):
        centre = fit.framing.to_square(face.mean(0))
        if size >= limits.other_face * sizes[0] and ((centre > 0) & (centre < 1)).all():
            return True
    return False


def perceptual_hash(portrait: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """32 bytes that nearly equal pictures share nearly all bits of: the signs of horizontal differences of a tiny copy."""
    grey = cv2.cvtColor(portrait, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    return np.packbits(np.diff(small, axis=1) > 0)


def duplicates_of(hashes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """For each picture the earlier one it repeats, or -1 [n].

    Args:
        hashes: [n, 32] from `perceptual_hash`, in the order in which the first of equal pictures is kept.
    """
    bits = np.unpackbits(hashes, axis=1)
    width = hashes.shape[1] // HASH_BANDS
    shelves: dict[tuple[int, bytes], list[int]] = {}
    original = np.full(len(hashes), -1, np.int64)
    for i, row in enumerate(hashes):
        parts = [(band, row[band * width:(band + 1) * width].tobytes()) for band in range(HASH_BANDS)]
        keys = [part for part in parts if any(part[1])] or parts  # plain backgrounds would put all pictures on one shelf
        candidates = sorted({j for key in keys for j in shelves.get(key, ())})
        if candidates:
            distance = (bits[candidates] != bits[i]).sum(1)
            if distance.min() <= MOST_DIFFERENT_BITS:
                original[i] = candidates[int(distance.argmin())]
                continue
        for key in keys:
            shelves.setdefault(key, []).append(i)
    return original
