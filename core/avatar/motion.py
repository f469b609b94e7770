"""How the tracked head pose moves an avatar: the head turns about the neck joint, the shoulders nearly stay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry import rotation_from_axis_angle
from core.types import FloatArray, HeadParams


@dataclass(frozen=True)
class MotionSettings:
    """How strongly the avatar follows the tracked head.

    Attributes:
        rotation_gain: share of the tracked head rotation.
        translation_gain: share of the movement of the neck, along x, y and z; depth is the noisiest to track.
        translation_limit: metres that the shift approaches but never passes.
        shoulder_share: share of the head's shift that the shoulders make.
    """

    rotation_gain: float = 1.0
    translation_gain: tuple[float, float, float] = (0.35, 0.35, 0.2)
    translation_limit: float = 0.04
    shoulder_share: float = 0.35


@dataclass(frozen=True)
class HeadMotion:
    """A rigid motion of the head over a resting body.

    Attributes:
        rotation: [3, 3] float32 about the neck joint.
        axis: [3] float32 unit axis of it;  angle: radians.
        head_shift, body_shift: [3] float32 metres, for points of full and of no neck weight.
    """

    rotation: FloatArray
    axis: FloatArray
    angle: float
    head_shift: FloatArray
    body_shift: FloatArray


def rest_motion() -> HeadMotion:
    """No motion at all."""
    zero = np.zeros(3, np.float32)
    return HeadMotion(np.eye(3, dtype=np.float32), np.array([0, 1, 0], np.float32), 0.0, zero, zero)


def head_motion(params: HeadParams, neck_joint: FloatArray, rest_translation: FloatArray | None = None,
                settings: MotionSettings | None = None) -> HeadMotion:
    """The motion of an avatar whose person moves like `params`.

    Turning about the neck displaces the head model's origin, which is what the tracker's translation measures. That part is
    taken out first: what remains is how far the neck itself has moved, and a limited share of it becomes the shift.

    Args:
        params: tracked head in viewer space.
        neck_joint: [3] metres, head space.
        rest_translation: [3] tracked translation of the resting head (a calibration, or the first frame); without it the
            avatar turns on the spot.
    """
    settings = settings or MotionSettings()
    axis_angle = np.asarray(params.head_rotation, np.float64)
    turned = rotation_from_axis_angle(axis_angle)
    shift = np.zeros(3)
    if rest_translation is not None:
        origin_by_turning = neck_joint - turned @ neck_joint
        neck_shift = np.asarray(params.head_translation, np.float64) - rest_translation - origin_by_turning
        wanted = neck_shift * settings.translation_gain
        shift = wanted / (1 + np.linalg.norm(wanted) / settings.translation_limit)
    followed = axis_angle * settings.rotation_gain
    angle = float(np.linalg.norm(followed))
    axis = followed / angle if angle > 1e-9 else np.array([0.0, 1.0, 0.0])
    return HeadMotion(rotation_from_axis_angle(followed).astype(np.float32), axis.astype(np.float32), angle,
                      shift.astype(np.float32), (shift * settings.shoulder_share).astype(np.float32))
