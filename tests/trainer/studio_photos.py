"""Photographs of studio people about whom everything is known, as if a `PhotoReader` had read them without error."""

from __future__ import annotations

import cv2
import numpy as np

from core.geometry import axis_angle_from_rotation, orbit_camera
from core.head.embedding import load_landmark_embedding
from core.head.mesh import project
from core.head.model import HeadModel
from core.render.cpu import CpuRenderer
from core.studio import StudioIdentity, Traits, build_identity
from core.tracking.landmark_rig import LEFT_IRIS, RIGHT_IRIS
from core.types import HeadParams
from trainer.data.portrait_fit import Framing, PortraitFit
from trainer.data.synth import enlarged
from trainer.invert.view import PhotoView

IRIS_RADIUS = 0.0058  # metres


def studio_photo(head: HeadModel, who: Traits | StudioIdentity, yaw: float = 0.0, size: int = 512,
                 background: tuple[int, int, int] = (96, 128, 160)) -> PhotoView:
    """A resting person from the portrait camera's distance.

    Args:
        yaw: radians that the camera stands toward the subject's left.
    """
    person = who if isinstance(who, StudioIdentity) else build_identity(who, head)
    camera = orbit_camera(yaw, 0.0, size, size)
    rgba = cv2.resize(CpuRenderer(1).render(person.gaussians, enlarged(camera, 2)), (size, size), interpolation=cv2.INTER_AREA)
    alpha = rgba[..., 3].astype(np.float32) / 255
    picture = rgba[..., :3] + (1 - alpha[..., None]) * np.array(background)
    colors = np.clip(rgba[..., :3] / np.maximum(alpha[..., None], 1 / 255), 0, 255)
    to_viewer = np.diag([1.0, -1.0, -1.0]) @ camera.world_to_camera[:3].astype(float)
    zero = np.zeros(3, np.float32)
    params = HeadParams(np.zeros(head.expression_count, np.float32), zero, zero, zero,
                        axis_angle_from_rotation(to_viewer[:, :3]).astype(np.float32), to_viewer[:, 3].astype(np.float32),
                        person.shape)
    fit = PortraitFit(params, Framing(np.full(2, size / 2), float(size)), 0.01)
    return PhotoView("studio", np.rint(picture).astype(np.uint8), alpha, colors.astype(np.uint8),
                     _landmarks(head, person, camera), fit)


def _landmarks(head: HeadModel, person: StudioIdentity, camera) -> np.ndarray:
    points = np.empty((478, 3))
    points[:468] = load_landmark_embedding(head).points(person.rest_vertices)
    for part, iris in (("eye_l", LEFT_IRIS), ("eye_r", RIGHT_IRIS)):
        ball = person.rest_vertices[head.vertices_of(part)]
        front = ball.mean(0) + (0, 0, np.ptp(ball[:, 2]) / 2)
        points[iris:iris + 5] = front
        points[iris + 1:iris + 5] += IRIS_RADIUS * np.array([[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]])
    return project(camera, points)[:, :2].astype(np.float32)
