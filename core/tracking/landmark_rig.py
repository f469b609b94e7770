"""The head model seen only at the landmarker's 468 skin points: all that a fit needs of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.head.embedding import SKIN_LANDMARKS, LandmarkEmbedding
from core.head.model import HeadModel

RIGHT_EYE_OUTER, LEFT_EYE_OUTER = 33, 263  # the inter-ocular distance (IOD) is the distance of these two
INNER_LIP_TOP, INNER_LIP_BOTTOM = 13, 14
INNER_LIP_PAIRS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
MOUTH_CORNERS = (61, 291)
LIPS = (
    185, 40, 39, 37, 0, 267, 269, 270, 409, 191, 80, 81, 82, 13, 312, 311, 310, 415, 74, 73, 72, 11, 302, 303, 304, 184,
    42, 41, 38, 12, 268, 271, 272, 408, 146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324,
    77, 90, 180, 85, 16, 315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403, 319, 325, 61, 291, 78, 308, 76, 306, 62, 292,
)
INNER_LIPS = (13, 14, 82, 87, 312, 317, 81, 178, 311, 402)
EYELIDS = (
    246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398,
    7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382, 33, 133, 263, 362,
)
BROWS = (70, 63, 105, 66, 107, 46, 53, 52, 65, 55, 300, 293, 334, 296, 336, 276, 283, 282, 295, 285)
SILHOUETTE = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136,
    172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)
SIDES = (234, 454, 127, 356, 93, 323, 132, 361, 162, 389)
NOSE_AND_CHEEKS = (
    1, 2, 4, 5, 6, 19, 94, 97, 98, 168, 195, 197, 326, 327, 48, 278, 64, 294, 115, 344, 129, 358, 8, 9, 151, 108, 337, 69, 299,
    50, 280, 101, 330, 36, 266, 205, 425, 206, 426, 207, 427, 187, 411, 203, 423, 216, 436, 212, 432, 117, 346, 118, 347,
    119, 348, 120, 349, 199, 200, 175, 201, 421, 208, 428, 18, 83, 313, 106, 335, 43, 273, 57, 287, 122, 351, 196, 419,
)
LEFT_IRIS, RIGHT_IRIS = 473, 468  # centres; the subject's left eye is on the picture's right


@dataclass(frozen=True)
class LandmarkRig:
    """A head model restricted to landmarks. Points are averages of mesh vertices, so everything stays linear in them.

    Attributes:
        template: [L, 3] metres, head space.
        shape_dirs: [L, 3, S].
        expression_dirs: [L, 3, E].
        jaw_dirs: [L, 3, 9] correctives per entry of (R_jaw - I), row-major.
        jaw_weight: [L] skinning weight of the jaw.
        normals: [L, 3] outward unit normals of the template.
        joints: [5, 3] rest positions; joint_shape_dirs: [5, 3, S] how identity moves them.
        expression_names: [E].
        jaw_open_angle, jaw_yaw_angle: radians of a fully open and a fully turned jaw.
        eyeball_radius: metres from the eye joint to the iris.
    """

    template: NDArray
    shape_dirs: NDArray
    expression_dirs: NDArray
    jaw_dirs: NDArray
    jaw_weight: NDArray
    normals: NDArray
    joints: NDArray
    joint_shape_dirs: NDArray
    expression_names: tuple[str, ...]
    jaw_open_angle: float
    jaw_yaw_angle: float
    eyeball_radius: float

    @staticmethod
    def of(head: HeadModel, embedding: LandmarkEmbedding, shape_count: int = 40) -> LandmarkRig:
        """Restrict `head` to the embedded landmarks, with its first `shape_count` shape columns."""
        triangles = embedding.triangles
        barycentric = np.asarray(embedding.barycentric, float)

        def at_landmarks(values: NDArray) -> NDArray:
            return np.einsum("lk,lk...->l...", barycentric, np.asarray(values[triangles], float))

        shape_dirs = head.shape_dirs[:, :, :shape_count].astype(np.float32)
        corners = head.v_template[triangles].astype(float)
        normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        joints = np.asarray(head.joint_regressor @ head.v_template, float)
        return LandmarkRig(
            template=at_landmarks(head.v_template), shape_dirs=at_landmarks(shape_dirs),
            expression_dirs=at_landmarks(head.expression_dirs), jaw_dirs=at_landmarks(head.pose_dirs[:, :, 9:18]),
            jaw_weight=at_landmarks(head.skin_weights[:, 2]),
            normals=normals / np.linalg.norm(normals, axis=1, keepdims=True), joints=joints,
            joint_shape_dirs=np.einsum("jv,vas->jas", head.joint_regressor, shape_dirs).astype(float),
            expression_names=tuple(head.expression_names), jaw_open_angle=float(head.jaw_open_angle),
            jaw_yaw_angle=float(head.jaw_yaw_angle), eyeball_radius=_eyeball_radius(head, joints),
        )

    @property
    def has_arkit_expressions(self) -> bool:
        """Whether the expression columns are ARKit's blendshapes, so that the landmarker's scores can drive them."""
        return "eyeBlinkLeft" in self.expression_names and "mouthSmileLeft" in self.expression_names

    def neutral(self, shape: NDArray) -> NDArray:
        """Landmarks [L, 3] of the resting face with the identity `shape` [<= S]."""
        return self.template + self.shape_dirs[:, :, :len(shape)] @ shape

    def joints_of(self, shape: NDArray) -> NDArray:
        """Rest positions [5, 3] of the joints with the identity `shape` [<= S]."""
        return self.joints + self.joint_shape_dirs[:, :, :len(shape)] @ shape


def landmark_weights() -> NDArray:
    """How much each of the 468 landmarks counts in a fit: lips and lids most, the silhouette (which slides) little."""
    weights = np.ones(SKIN_LANDMARKS)
    weights[list(LIPS)] = 2.0
    weights[list(INNER_LIPS)] = 3.0
    weights[list(EYELIDS)] = 2.5
    weights[list(BROWS)] = 1.6
    weights[list(SILHOUETTE)] = 0.35
    weights[list(SIDES)] = 0.1
    return weights


def fit_subset() -> NDArray[np.int64]:
    """The landmarks a live fit uses: the moving regions in full, the rest thinned."""
    return np.unique(LIPS + EYELIDS + BROWS + NOSE_AND_CHEEKS + SILHOUETTE[::3])


def _eyeball_radius(head: HeadModel, joints: NDArray) -> float:
    """Distance from the eye joints to the front of the eyeballs; the human average where the model has no eyes."""
    if "eye_l" not in head.part_names:
        return 0.012
    vertices = head.v_template[head.vertices_of("eye_l")]
    return float(vertices[:, 2].max() - joints[3, 2])
