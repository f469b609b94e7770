"""Stand-ins for the stages, simple enough to know what must come out."""

from __future__ import annotations

import threading

import numpy as np

from core.types import Gaussians, HeadParams, Landmarks


class LevelLandmarker:
    """Reports the mean level of a frame as its first landmark; sees no face in pictures darker than `blind_below`."""

    def __init__(self, blind_below: float = -1.0) -> None:
        self.blind_below = blind_below
        self.seen: list[int] = []
        self.thread = threading.get_ident()
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closed = True

    def detect(self, frame):
        assert threading.get_ident() == self.thread
        self.seen.append(frame.index)
        level = float(frame.image.mean())
        if level < self.blind_below:
            return None
        points = np.full((478, 3), level, np.float32)
        height, width = frame.image.shape[:2]
        return Landmarks(points, np.zeros(52, np.float32), np.eye(4, dtype=np.float32), width, height, frame.time_ns)


class NumberActor:
    """Its only Gaussian sits at x = the first expression coefficient."""

    def drive(self, params, rest_translation=None, out=None):
        xyz = np.array([[params.expression[0], 0, 0]], np.float32)
        return Gaussians(xyz, np.ones((1, 3), np.float32), np.array([[1, 0, 0, 0]], np.float32), np.ones((1, 3), np.float32),
                         np.ones(1, np.float32))

    def seen_from(self, camera, cloud):
        return cloud


class NumberRenderer:
    """Paints the whole picture with the x position of the first Gaussian, opaque in the left half only."""

    name = "number"

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.closed = False

    def render(self, gaussians, camera, background=None):
        assert threading.get_ident() == self.thread
        picture = np.zeros((camera.height, camera.width, 4), np.uint8)
        picture[:, : camera.width // 2, :3] = round(float(gaussians.xyz[0, 0]))
        picture[:, : camera.width // 2, 3] = 255
        return picture

    def close(self):
        self.closed = True


def motion_of(levels, step_ns=40_000_000):
    """Parameters whose first expression coefficient is the level."""
    return [params(level, time_ns=i * step_ns) for i, level in enumerate(levels)]


def params(level, time_ns=0, rotation=(0, 0, 0)):
    zero = np.zeros(3, np.float32)
    return HeadParams(np.array([level], np.float32), zero, zero, zero, np.array(rotation, np.float32),
                      np.array([0, 0, -0.6], np.float32), time_ns=time_ns)
