"""Where the eyes look: the iris seen by the camera, found on the eyeball of the fitted head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.tracking.blink import LidRange, lid_closure
from core.tracking.landmark_rig import LEFT_IRIS, RIGHT_IRIS
from core.tracking.solver import Fit, viewer_points
from core.types import FloatArray, Landmarks

BLINKING = 0.45  # above this closure the iris is not to be trusted and the gaze is held
LIMIT = np.radians([26.0, 34.0])  # pitch, yaw: beyond, people turn the head, and an iris hides behind the lids
EASY = np.radians([14.0, 20.0])  # up to here gaze is followed exactly, then ever less up to the limit
# The landmarker draws irises toward the middle of the lids' opening. Measured on rendered people of known gaze
# (tools/tracking_truth.py): of a turn it shows these shares, and straight-ahead eyes seem to look down a little.
SEEN_SHARE = np.array([0.5, 0.83])
USUAL_ZERO = np.radians([4.5, 0.0])
OWN_ZERO_SHARE = np.array([0.5, 0.25])  # how far the clip's median counts: people do not look straight ahead on average
VERGENCE_SHARE = 0.25  # eyes turn together: of their difference in yaw most is noise, of that in pitch all
_LEFT_EYE, _RIGHT_EYE = 3, 4


@dataclass(frozen=True)
class GazeRange:
    """The person's zero.

    Attributes:
        zero: [2, 2] radians, (pitch, yaw) of the left and right eye that count as straight ahead.
    """

    zero: NDArray

    @staticmethod
    def average() -> GazeRange:
        return GazeRange(np.tile(USUAL_ZERO, (2, 1)))


def eye_directions(landmarks: Landmarks, fit: Fit, joints: NDArray, radius: float) -> NDArray:
    """(pitch, yaw) in radians of the left and right eye in head space [2, 2]; positive looks down and to the subject's left.

    The ray through the iris meets the eyeball's front; where it misses, its nearest point is taken.

    Args:
        joints: [5, 3] rest positions of the joints in head space.
        radius: metres from the eye joint to the iris.
    """
    seen = viewer_points(landmarks)
    angles = np.empty((2, 2))
    for eye, (joint, iris) in enumerate(((_LEFT_EYE, LEFT_IRIS), (_RIGHT_EYE, RIGHT_IRIS))):
        centre = fit.rotation @ joints[joint] + fit.translation
        ray = np.append(seen[iris], -1.0)
        ray /= np.linalg.norm(ray)
        along = ray @ centre
        depth = np.sqrt(max(along**2 - centre @ centre + radius**2, 0.0))
        direction = fit.rotation.T @ (ray * (along - depth) - centre)
        direction /= np.linalg.norm(direction)
        angles[eye] = pitch_yaw(direction)
    return angles


def pitch_yaw(direction: NDArray) -> NDArray:
    """Unit vector in head space -> (pitch, yaw) radians, zero along +z, positive down and to the subject's left."""
    return np.array([np.arcsin(np.clip(-direction[1], -1, 1)), np.arctan2(direction[0], direction[2])])


def eye_pose(angles: NDArray) -> FloatArray:
    """(pitch, yaw) -> axis-angle [3] of the eye joint that turns +z there without rolling the eye (Listing's law)."""
    pitch, yaw = angles
    direction = np.array([np.sin(yaw) * np.cos(pitch), -np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    axis = np.array([-direction[1], direction[0], 0.0])
    sine = np.linalg.norm(axis)
    if sine < 1e-9:
        return np.zeros(3, np.float32)
    return (axis / sine * np.arctan2(sine, direction[2])).astype(np.float32)


def measure_gaze_range(clip: Sequence[Landmarks], fits: Sequence[Fit], joints: NDArray, radius: float,
                       lids: LidRange) -> GazeRange:
    """Straight ahead: the median direction of the open eyes, drawn toward what is usual."""
    angles = np.stack([eye_directions(landmarks, fit, joints, radius) for landmarks, fit in zip(clip, fits, strict=True)])
    opened = np.array([lid_closure(landmarks, lids).max() < BLINKING for landmarks in clip])
    median = np.median(angles[opened] if opened.any() else angles, axis=0)
    return GazeRange(USUAL_ZERO + OWN_ZERO_SHARE * (median - USUAL_ZERO))


def true_directions(seen: NDArray, gaze_range: GazeRange) -> NDArray:
    """Directions [2, 2] relative to straight ahead, from those the landmarker shows (`eye_directions`).

    Both eyes' noise is shared out: they look up and down together, and converge little.
    """
    relative = (seen - gaze_range.zero) / SEEN_SHARE
    together = relative.mean(0)
    apart = (relative - together) * (0.0, VERGENCE_SHARE)
    return soften(together + apart)


def soften(gaze: NDArray) -> NDArray:
    """(pitch, yaw) [..., 2] that keep their order but never pass `LIMIT`."""
    beyond = np.maximum(np.abs(gaze) - EASY, 0)
    room = LIMIT - EASY
    return np.sign(gaze) * (np.minimum(np.abs(gaze), EASY) + room * np.tanh(beyond / room))


class GazeTracker:
    """Gaze over time: held while the eyes are shut, free again as they open."""

    def __init__(self) -> None:
        self.reset()

    @property
    def current(self) -> NDArray:
        """The last result of `update` [2, 2]."""
        return self._held

    def update(self, angles: NDArray, closure: NDArray, gaze_range: GazeRange) -> NDArray:
        """(pitch, yaw) of both eyes relative to straight ahead [2, 2].

        Args:
            angles: [2, 2] from `eye_directions`.
            closure: [2] of the lids. An eye that is shut follows the other, and both are held when both are.
        """
        shut = closure > BLINKING
        if shut.all():
            return self._held
        seen = angles if not shut.any() else gaze_range.zero + (angles - gaze_range.zero)[~shut]
        self._held = true_directions(seen, gaze_range)
        return self._held

    def reset(self) -> None:
        self._held = np.zeros((2, 2))
