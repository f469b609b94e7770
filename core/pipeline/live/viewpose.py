"""From the pose that the user has set to the camera of a picture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from core.geometry import orbit_camera
from core.pipeline.live.state import ViewPose
from core.pipeline.views import Follower, orbit_swing
from core.types import Camera, HeadParams

STEEPEST = math.radians(85)  # straight from above there is no upright picture


def camera_of(view: ViewPose, params: HeadParams, seconds: float, width: int, height: int,
              follower: Follower | None = None) -> Camera:
    """The camera of a picture of `width` x `height` pixels.

    Args:
        view: the pose as set. In mode "follow" the head's turn is added to it, in mode "orbit" a slow swing.
        params: the head as it is drawn.
        seconds: since the swing began.
        follower: gives the camera of mode "follow" its inertia; without one it turns at once.
    """
    yaw, pitch = view.yaw, view.pitch
    if view.mode == "follow":
        more_yaw, more_pitch = (follower or Follower()).direction(params)
    elif view.mode == "orbit":
        more_yaw, more_pitch = orbit_swing(seconds)
    else:
        more_yaw = more_pitch = 0.0
    pitch = min(max(pitch + more_pitch, -STEEPEST), STEEPEST)
    camera = orbit_camera(yaw + more_yaw, pitch, width, height, view.distance)
    return _panned(camera, view) if view.pan_x or view.pan_y else camera


def scaled_camera(camera: Camera, width: int, height: int) -> Camera:
    """The same view in a picture of another size and (nearly) the same shape."""
    across, down = width / camera.width, height / camera.height
    return replace(camera, fx=camera.fx * across, fy=camera.fy * down, cx=camera.cx * across, cy=camera.cy * down,
                   width=width, height=height)


def _panned(camera: Camera, view: ViewPose) -> Camera:
    """The camera moved sideways, so that what it looks at appears to the right and up in the picture."""
    world_to_camera = np.array(camera.world_to_camera)
    world_to_camera[:2, 3] += np.array([view.pan_x, -view.pan_y], np.float32)
    return replace(camera, world_to_camera=world_to_camera)
