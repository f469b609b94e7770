"""The head in one photograph: identity, expression and the crop in which it is seen by the canonical portrait camera.

A photograph does not tell how far away its camera was. The fit assumes the portrait camera's perspective, and the crop is
chosen so that the head stands upright with its centre in the middle, at the portrait camera's distance; framing and fit are
found together by alternation. The identity follows `core.tracking.calibration`, with a prior for the fact that one picture
cannot tell it from the expression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from core.geometry import (
    PORTRAIT_DISTANCE,
    PORTRAIT_FOV_DEGREES,
    PORTRAIT_TARGET,
    axis_angle_from_rotation,
    rotation_from_axis_angle,
)
from core.head.embedding import load_landmark_embedding
from core.head.model import HeadModel
from core.tracking.blink import LidRange
from core.tracking.calibration import Calibration
from core.tracking.gaze import GazeRange
from core.tracking.landmark_rig import LandmarkRig
from core.tracking.score_prior import ScorePrior
from core.tracking.solver import FOCAL_FACTOR, Fit, HeadSolver, viewer_points
from core.tracking.tracker import FaceFitter, TrackSettings
from core.types import Camera, FloatArray, HeadParams, Landmarks

FOCAL = 0.5 / math.tan(math.radians(PORTRAIT_FOV_DEGREES) / 2)  # of the portrait camera, in sides of its picture
SHAPE_COUNT = 40
SHAPE_RIDGE = 1e-5  # squared IODs of mean landmark error that a standard deviation of shape is worth; best on studio people
FRAMINGS, ROUNDS, FITS_PER_ROUND, FINAL_PASSES = 3, 4, 2, 8
_FIRST_SIDE = 4.0  # sides of the first crop in interocular distances


@dataclass(frozen=True)
class Framing:
    """The square of a photograph that becomes the portrait.

    Attributes:
        centre: [2] pixels of the photograph.
        side: pixels of the photograph.
        roll: radians by which the square is turned counter-clockwise against the photograph.
    """

    centre: NDArray
    side: float
    roll: float = 0.0

    @property
    def axes(self) -> NDArray:
        """Unit vectors [2, 2] along the square's rows and columns, in the photograph's pixels."""
        cosine, sine = math.cos(self.roll), math.sin(self.roll)
        return np.array([[cosine, -sine], [sine, cosine]])

    def to_square(self, points: NDArray) -> NDArray:
        """Pixels of the photograph [..., 2] in a square of side 1."""
        return (points - self.centre) @ self.axes.T / self.side + 0.5

    def cut(self, image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
        """The square as a picture [size, size(, C)], continued past the photograph's border."""
        native = max(size, round(self.side))
        step = self.side / native
        to_photo = np.concatenate([step * self.axes.T, np.zeros((2, 1))], 1)
        to_photo[:, 2] = self.centre - to_photo[:, :2] @ np.full(2, (native - 1) / 2) - 0.5  # pixel centres lie at +0.5
        flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_LINEAR if step >= 0.99 else cv2.INTER_CUBIC)
        square = cv2.warpAffine(image, to_photo, (native, native), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return square if native == size else cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA)

    def share_outside(self, width: int, height: int) -> float:
        """How much of the square lies outside a photograph of this size, 0..1."""
        steps = (np.arange(32) + 0.5) / 32 - 0.5
        points = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2) * self.side @ self.axes + self.centre
        return float(1 - ((points >= 0) & (points <= (width, height))).all(1).mean())


@dataclass(frozen=True)
class PortraitFit:
    """A head found in a photograph.

    Attributes:
        params: the head before the portrait camera; its shape has `SHAPE_COUNT` coefficients.
        framing: where the portrait lies in the photograph.
        residual: mean landmark error, fraction of the interocular distance.
    """

    params: HeadParams
    framing: Framing
    residual: float

    def camera(self, size: int) -> Camera:
        """The canonical portrait camera's intrinsics, with the head's pose as its place in the head's frame."""
        to_opencv = np.diag([1.0, -1.0, -1.0])
        world_to_camera = np.eye(4)
        world_to_camera[:3, :3] = to_opencv @ rotation_from_axis_angle(self.params.head_rotation.astype(float))
        world_to_camera[:3, 3] = to_opencv @ self.params.head_translation
        return Camera(world_to_camera.astype(np.float32), FOCAL * size, FOCAL * size, size / 2, size / 2, size, size)

    def to_crop(self, points: FloatArray, size: int) -> FloatArray:
        """Pixels of the photograph [..., 2] in the portrait of `size` pixels."""
        return (self.framing.to_square(points) * size).astype(np.float32)

    @property
    def turn_degrees(self) -> tuple[float, float, float]:
        """Yaw (positive: the face turns to its own left), pitch (positive: down) and roll of the head against the camera."""
        rotation = rotation_from_axis_angle(self.params.head_rotation.astype(float))
        out = rotation[:, 2]
        yaw, pitch = math.atan2(out[0], out[2]), math.asin(float(np.clip(-out[1], -1, 1)))
        return math.degrees(yaw), math.degrees(pitch), math.degrees(_roll(rotation))


class PortraitFitter:
    """Fits a head model to the landmarks of single photographs. Keeps nothing from one to the next.

    Raises:
        HeadModelError: the landmarks of `head` are not known.
    """

    def __init__(self, head: HeadModel, shape_ridge: float = SHAPE_RIDGE) -> None:
        self.rig = LandmarkRig.of(head, load_landmark_embedding(head), SHAPE_COUNT)
        self._sha256 = head.sha256
        self._ridge = shape_ridge
        self._all = np.arange(len(self.rig.template))
        self._prior = ScorePrior(self.rig)

    def __call__(self, landmarks: Landmarks) -> PortraitFit | None:
        """The head behind landmarks in pixels of the whole photograph, or None when they do not look like a head."""
        framing = self._first_framing(landmarks)
        solver = HeadSolver(self.rig, subset=self._all)
        shape = np.zeros(min(SHAPE_COUNT, self.rig.shape_dirs.shape[2]))
        for _ in range(FRAMINGS):
            shape, fit = self._shape(solver, framed(landmarks, framing), shape)
            framing = _centred(framing, fit.rotation, fit.translation)
        view = framed(landmarks, framing)
        params = FaceFitter(self.rig, TrackSettings(), self._person(shape))(view, FINAL_PASSES)
        if params is None:
            return None
        final = PortraitFit(params, framing, params.residual)
        centred = _centred(framing, rotation_from_axis_angle(params.head_rotation.astype(float)), params.head_translation)
        return _reframed(final, centred)

    def _shape(self, solver: HeadSolver, view: Landmarks, shape: NDArray) -> tuple[NDArray, Fit]:
        """Alternates expression and identity, both drawn to the average."""
        observed = viewer_points(view)
        prior = self._prior(view.scores, np.zeros_like(view.scores))
        fit = solver.start(view)
        for _ in range(ROUNDS):
            for _ in range(FITS_PER_ROUND):
                fit = solver.refine(fit, observed, prior)
            shape = shape + self._shape_step(solver, fit, observed, shape)
            solver.set_neutral(self.rig.neutral(shape), self.rig.joints_of(shape)[2])
        return shape, solver.refine_pose(fit, observed)

    def _shape_step(self, solver: HeadSolver, fit: Fit, observed: NDArray, shape: NDArray) -> NDArray:
        """Gauss-Newton step of the shape coefficients with pose and expression held."""
        view = solver.look(fit, observed)
        jacobian = np.matmul(view.by_rest, self.rig.shape_dirs[:, :, :len(shape)])
        weighted = jacobian * view.weights[:, None, None]
        hessian = self._ridge * np.eye(len(shape)) + np.tensordot(weighted, jacobian, ((0, 1), (0, 1)))
        gradient = self._ridge * shape + np.tensordot(weighted, view.residual, ((0, 1), (0, 1)))
        return np.linalg.solve(hessian, -gradient)

    def _person(self, shape: NDArray) -> Calibration:
        return Calibration(shape, np.zeros((len(self.rig.template), 3)), np.zeros(52), LidRange.average(), GazeRange.average(),
                           0.02, self._sha256)

    def _first_framing(self, landmarks: Landmarks) -> Framing:
        points = landmarks.points[:468, :2].astype(float)
        iod = max(float(np.linalg.norm(landmarks.points[33] - landmarks.points[263])), 1.0)
        return Framing(points.mean(0), _FIRST_SIDE * iod)


def framed(landmarks: Landmarks, framing: Framing) -> Landmarks:
    """Landmarks of the photograph as the solver's own camera sees them when its picture is the framed square."""
    side = FOCAL / FOCAL_FACTOR * framing.side  # the solver's focal length is FOCAL_FACTOR times the side of its picture
    points = landmarks.points.astype(float)
    points[:, :2] = (points[:, :2] - framing.centre) @ framing.axes.T + side / 2
    return replace(landmarks, points=points.astype(np.float32), width=side, height=side)


def _centred(framing: Framing, rotation: NDArray, translation: NDArray) -> Framing:
    """The square in which the head is upright, in the middle and at the portrait camera's distance."""
    x, y, z = rotation @ PORTRAIT_TARGET + translation
    centre = framing.centre + FOCAL * framing.side * np.array([x / -z, y / z]) @ framing.axes
    return Framing(centre, framing.side * PORTRAIT_DISTANCE / -z, framing.roll + _roll(rotation))


def _roll(rotation: NDArray) -> float:
    """Counter-clockwise lean of the head in the picture, radians."""
    return math.atan2(-rotation[0, 1], rotation[1, 1])


def _reframed(fit: PortraitFit, framing: Framing) -> PortraitFit:
    """The same head in a square that differs by little: turned and moved there instead of fitted again."""
    lean = rotation_from_axis_angle(np.array([0.0, 0.0, fit.framing.roll - framing.roll]))
    rotation = lean @ rotation_from_axis_angle(fit.params.head_rotation.astype(float))
    translation = np.array([0, 0, -PORTRAIT_DISTANCE]) - rotation @ PORTRAIT_TARGET
    params = replace(fit.params, head_rotation=axis_angle_from_rotation(rotation).astype(np.float32),
                     head_translation=translation.astype(np.float32))
    return PortraitFit(params, framing, fit.residual)
