"""Landmarks with a known truth: points of the head model projected by the tracker's camera, no landmarker involved."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from core.geometry import rotation_from_axis_angle
from core.head.embedding import LandmarkEmbedding, load_landmark_embedding
from core.head.library import load_open_head
from core.head.model import HeadModel
from core.tracking.landmark_rig import LEFT_IRIS, RIGHT_IRIS, LandmarkRig
from core.tracking.mediapipe_landmarker import SCORE_NAMES
from core.tracking.solver import FOCAL_FACTOR
from core.types import HeadParams, Landmarks

WIDTH, HEIGHT = 640, 480


@pytest.fixture(scope="session")
def head() -> HeadModel:
    return load_open_head()


@pytest.fixture(scope="session")
def embedding(head: HeadModel) -> LandmarkEmbedding:
    return load_landmark_embedding(head)


@pytest.fixture(scope="session")
def rig(head: HeadModel, embedding: LandmarkEmbedding) -> LandmarkRig:
    return LandmarkRig.of(head, embedding)


@pytest.fixture(scope="session")
def observe(head: HeadModel, embedding: LandmarkEmbedding, rig: LandmarkRig) -> Callable[..., Landmarks]:
    """A function that photographs head parameters as landmarks, through the head model's own full forward pass."""

    def photograph(params: HeadParams, shape: NDArray | None = None, noise: float = 0.0, seed: int = 0,
                   scores: dict[str, float] | None = None) -> Landmarks:
        rest = head.neutral(np.zeros(0, np.float32) if shape is None else np.asarray(shape, np.float32))
        posed = head.transforms(rest, params.expression, params.joint_pose())
        points = np.empty((478, 3))
        points[:468] = embedding.points(posed.vertices)
        for joint, iris, pose in ((3, LEFT_IRIS, params.left_eye_pose), (4, RIGHT_IRIS, params.right_eye_pose)):
            look = rotation_from_axis_angle(pose.astype(float))[:, 2]
            points[iris:iris + 5] = rest.joints[joint] + rig.eyeball_radius * look
        in_view = points @ rotation_from_axis_angle(params.head_rotation.astype(float)).T + params.head_translation
        focal = FOCAL_FACTOR * max(WIDTH, HEIGHT)
        depth = -in_view[:, 2]
        pixels = np.stack([in_view[:, 0] / depth * focal + WIDTH / 2, -in_view[:, 1] / depth * focal + HEIGHT / 2,
                           -(in_view[:, 2] - params.head_translation[2]) / depth * focal], 1)
        pixels[:, :2] += np.random.default_rng(seed).normal(0, noise, (478, 2)) if noise else 0
        values = np.zeros(len(SCORE_NAMES), np.float32)
        for name, value in (scores or {}).items():
            values[SCORE_NAMES.index(name)] = value
        return Landmarks(pixels.astype(np.float32), values, np.eye(4, dtype=np.float32), WIDTH, HEIGHT, params.time_ns)

    return photograph


@pytest.fixture(scope="session")
def pose_of(head: HeadModel) -> Callable[..., HeadParams]:
    """A function that builds head parameters from names, fractions and degrees."""

    def build(jaw: float = 0.0, gaze: tuple[float, float] = (0.0, 0.0), turn: tuple[float, float, float] = (0.0, 0.0, 0.0),
              at: tuple[float, float, float] = (0.01, -0.02, -0.6), time_ns: int = 0, **units: float) -> HeadParams:
        pitch, yaw = np.radians(gaze)
        eye = np.array([pitch, yaw, 0.0], np.float32)
        return HeadParams(head.expression(**units) if units else np.zeros(head.expression_count, np.float32),
                          np.array([jaw * head.jaw_open_angle, 0, 0], np.float32), eye, eye,
                          np.radians(turn).astype(np.float32), np.array(at, np.float32), time_ns=time_ns)

    return build
