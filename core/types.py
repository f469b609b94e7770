"""The boxes of the pipeline: what one stage hands to the next. All are frozen; arrays inside are not to be written to.

Frames of reference
    *Head space* is FLAME's: metres, y up, z out of the face, x toward the subject's left.
    *Viewer space* is that of the camera that films the person, in the same orientation: origin at the camera, y up,
    x to the viewer's right, z toward the camera, so that a head looking straight into the lens has no rotation and a
    negative z translation.
    *Cameras* that render are OpenCV's: x right, y down, z forward, pixel centres at +0.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """One picture from a camera or a file.

    Attributes:
        image: uint8 RGB [H, W, 3], upright, C-contiguous.
        time_ns: capture time (``perf_counter_ns``) of a live frame, presentation time of a file's frame.
        index: running number from 0.
    """

    image: NDArray[np.uint8]
    time_ns: int
    index: int = 0


@dataclass(frozen=True)
class Landmarks:
    """What the landmarker saw in one frame.

    Attributes:
        points: [478, 3] float32; x and y in pixels of the frame, z in the same scale (smaller is nearer).
        scores: [52] float32 in 0..1, blendshape scores in the landmarker's own order.
        transform: [4, 4] float32, the landmarker's own head pose (centimetres, y up, z toward the camera).
        width, height: size of the frame in pixels.
        time_ns: time of the frame.
    """

    points: FloatArray
    scores: FloatArray
    transform: FloatArray
    width: int
    height: int
    time_ns: int


class TrackState(Enum):
    """How a frame's parameters came about."""

    TRACKED = "tracked"
    HELD = "held"
    EASING = "easing"
    LOST = "lost"


@dataclass(frozen=True)
class PsiLayout:
    """Which numbers make up the driving vector ψ, in this order: expression, jaw, eyes (left then right), eyelids."""

    expression: int
    jaw: int = 3
    eyes: int = 6
    eyelids: int = 0

    @property
    def size(self) -> int:
        return self.expression + self.jaw + self.eyes + self.eyelids


@dataclass(frozen=True)
class HeadParams:
    """Pose and expression of a head at one moment.

    Attributes:
        expression: [E] float32, coefficients of the head model's expression columns.
        jaw_pose: [3] float32, axis-angle (radians) of the jaw joint in head space.
        left_eye_pose, right_eye_pose: [3] float32, axis-angle of the eye joints in head space.
        head_rotation: [3] float32, axis-angle of the head in viewer space (zero = looking into the camera).
        head_translation: [3] float32, metres, of the head model's origin in viewer space.
        shape: [S] float32 shape coefficients, or empty when they are not known.
        state: tracked, held, easing to neutral, or lost.
        residual: reprojection error as a fraction of the inter-ocular distance (0 when there is none).
        time_ns: time of the frame the parameters belong to.
        scores: [52] float32, the landmarker's blendshape scores above the person's resting face, or empty when not known.
    """

    expression: FloatArray
    jaw_pose: FloatArray
    left_eye_pose: FloatArray
    right_eye_pose: FloatArray
    head_rotation: FloatArray
    head_translation: FloatArray
    shape: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    state: TrackState = TrackState.TRACKED
    residual: float = 0.0
    time_ns: int = 0
    scores: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))

    @staticmethod
    def neutral(expression_count: int) -> HeadParams:
        """A relaxed face that looks straight ahead, 0.6 m from the camera."""
        zero = np.zeros(3, np.float32)
        return HeadParams(np.zeros(expression_count, np.float32), zero, zero, zero, zero,
                          np.array([0, 0, -0.6], np.float32))

    def psi(self) -> FloatArray:
        """The driving vector ψ [E + 9]: expression, jaw pose, left eye pose, right eye pose."""
        return np.concatenate([self.expression, self.jaw_pose, self.left_eye_pose, self.right_eye_pose]).astype(np.float32)

    def with_psi(self, psi: FloatArray) -> HeadParams:
        """The same head with another driving vector ψ [E + 9]."""
        e = len(self.expression)
        return replace(self, expression=psi[:e], jaw_pose=psi[e:e + 3], left_eye_pose=psi[e + 3:e + 6],
                       right_eye_pose=psi[e + 6:e + 9])

    def joint_pose(self) -> FloatArray:
        """Axis-angle of the joints root, neck, jaw, left eye, right eye [5, 3]; root and neck stay at rest."""
        rest = np.zeros(3, np.float32)
        return np.stack([rest, rest, self.jaw_pose, self.left_eye_pose, self.right_eye_pose]).astype(np.float32)


@dataclass(frozen=True)
class Gaussians:
    """A cloud of 3D Gaussians, float32 and C-contiguous.

    Attributes:
        xyz: [N, 3] metres, head space.
        scale: [N, 3] metres, standard deviations along the local axes.
        quat: [N, 4] unit quaternions, wxyz, local axes to head space.
        rgb: [N, 3] display (sRGB) values in 0..1.
        opacity: [N] in 0..1.
    """

    xyz: FloatArray
    scale: FloatArray
    quat: FloatArray
    rgb: FloatArray
    opacity: FloatArray

    def __len__(self) -> int:
        return len(self.xyz)

    def subset(self, keep: NDArray) -> Gaussians:
        """The Gaussians that a boolean mask or an index array selects."""
        return Gaussians(*(np.ascontiguousarray(a[keep]) for a in (self.xyz, self.scale, self.quat, self.rgb, self.opacity)))


@dataclass(frozen=True)
class Camera:
    """A pinhole camera in OpenCV's convention.

    Attributes:
        world_to_camera: [4, 4] float32.
        fx, fy, cx, cy: intrinsics in pixels.
        width, height: picture size in pixels.
    """

    world_to_camera: FloatArray
    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    @property
    def position(self) -> FloatArray:
        """Centre of projection in world space [3]."""
        rotation = self.world_to_camera[:3, :3]
        return -rotation.T @ self.world_to_camera[:3, 3]
