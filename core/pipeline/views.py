"""Where the camera stands: fixed in front, turning with the head, or slowly around it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from core.errors import InputError
from core.geometry import orbit_camera, portrait_camera, rotation_from_axis_angle
from core.types import Camera, HeadParams

VIEW_NAMES = ("frontal", "follow", "orbit")
FOLLOWED_SHARE = 0.9  # of the head's turn; the rest still shows which way it looks
FOLLOW_SECONDS = 0.2  # time constant of the camera
ORBIT_YAW, ORBIT_YAW_SECONDS = math.radians(35), 9.0
ORBIT_PITCH, ORBIT_PITCH_SECONDS = math.radians(6), 13.0
_LONGEST_STEP = 0.5  # seconds; after a gap in the time stamps the camera does not jump


def check_view(name: str) -> None:
    """Raise InputError unless `name` is one of `VIEW_NAMES`."""
    if name not in VIEW_NAMES:
        raise InputError(f"there is no view called '{name}'", f"choose one of {', '.join(VIEW_NAMES)}")


def camera_path(view: str, motion: Sequence[HeadParams], width: int, height: int) -> list[Camera]:
    """A camera for every frame of a motion. Raises InputError for an unknown view."""
    check_view(view)
    if view == "frontal":
        return [portrait_camera(width, height)] * len(motion)
    if view == "orbit":
        return [_orbiting((params.time_ns - motion[0].time_ns) / 1e9, width, height) for params in motion]
    follower = Follower()
    return [follower.update(params, width, height) for params in motion]


class Follower:
    """A camera that turns with the head, a little behind it."""

    def __init__(self) -> None:
        self._direction: np.ndarray | None = None
        self._time_ns = 0

    def update(self, params: HeadParams, width: int, height: int) -> Camera:
        """The camera at the time of `params`."""
        return orbit_camera(*self.direction(params), width, height)

    def direction(self, params: HeadParams) -> tuple[float, float]:
        """Yaw and pitch of the camera, radians, at the time of `params`."""
        facing = rotation_from_axis_angle(np.asarray(params.head_rotation, np.float64))[:, 2]
        wanted = FOLLOWED_SHARE * np.array([math.atan2(facing[0], facing[2]), math.asin(np.clip(facing[1], -1, 1))])
        if self._direction is None:
            self._direction = wanted
        else:
            step = min(max((params.time_ns - self._time_ns) / 1e9, 0.0), _LONGEST_STEP)
            self._direction = self._direction + (1 - math.exp(-step / FOLLOW_SECONDS)) * (wanted - self._direction)
        self._time_ns = params.time_ns
        return float(self._direction[0]), float(self._direction[1])


def _orbiting(seconds: float, width: int, height: int) -> Camera:
    return orbit_camera(*orbit_swing(seconds), width, height)


def orbit_swing(seconds: float) -> tuple[float, float]:
    """Yaw and pitch, radians, of a camera that has swung around the head for so long."""
    yaw = ORBIT_YAW * math.sin(2 * math.pi * seconds / ORBIT_YAW_SECONDS)
    pitch = ORBIT_PITCH * math.sin(2 * math.pi * seconds / ORBIT_PITCH_SECONDS)
    return yaw, pitch
