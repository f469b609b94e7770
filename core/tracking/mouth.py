"""Closed lips in the picture are closed lips on the avatar.

A mouth that stays ajar while the person's is shut is the first thing a viewer notices, and small errors of jaw and lips are
enough for it. So when the lips touch in the picture, the opening that the fitted coefficients would leave is taken back:
first by the column that closes the lips over an open jaw, then by shrinking the columns that part them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.geometry import rotation_from_axis_angle
from core.tracking.landmark_rig import INNER_LIP_BOTTOM, INNER_LIP_TOP, MOUTH_CORNERS, LandmarkRig
from core.types import Landmarks

CLOSED_MARGIN, OPEN_MARGIN = 0.015, 0.05  # gap / width above the person's closed lips: closed below, open above
_LIPS = [INNER_LIP_TOP, INNER_LIP_BOTTOM]


def lip_gap(landmarks: Landmarks) -> float:
    """Gap between the inner lips as a fraction of the mouth's width."""
    points = landmarks.points
    gap = np.linalg.norm(points[INNER_LIP_TOP] - points[INNER_LIP_BOTTOM])
    width = np.linalg.norm(points[MOUTH_CORNERS[0]] - points[MOUTH_CORNERS[1]])
    return float(gap / max(width, 1e-6))


def lips_closed(gap: float, rest: float) -> float:
    """How surely the lips touch, 0..1.

    Args:
        gap: from `lip_gap`.
        rest: the person's own gap of closed lips.
    """
    x = np.clip((gap - rest - CLOSED_MARGIN) / (OPEN_MARGIN - CLOSED_MARGIN), 0, 1)
    return float(1 - x * x * (3 - 2 * x))


class ClosedMouthRule:
    """Takes back the opening of lips that touch in the picture, on one head model.

    Does nothing on a model without the ARKit column ``mouthClose``.
    """

    def __init__(self, rig: LandmarkRig) -> None:
        self._angles = np.array([rig.jaw_open_angle, rig.jaw_yaw_angle])
        self._rest = rig.template[_LIPS]
        self._dirs = rig.expression_dirs[_LIPS]
        self._jaw_dirs = rig.jaw_dirs[_LIPS]
        self._jaw_weight = rig.jaw_weight[_LIPS, None]
        self._jaw_joint = rig.joints[2]
        names = rig.expression_names
        self._close = names.index("mouthClose") if "mouthClose" in names else None
        parting = self._dirs[0, 1] - self._dirs[1, 1]
        self._parting = np.array([i for i, name in enumerate(names) if name.startswith("mouth") and parting[i] > 0], int)

    def opening(self, expression: NDArray, jaw: NDArray) -> float:
        """Metres by which coefficients [E] and jaw [2] part the lips of the average face."""
        swing = rotation_from_axis_angle(np.append(jaw * self._angles, 0.0)) - np.eye(3)
        points = self._rest + self._dirs @ expression + self._jaw_dirs @ swing.reshape(-1)
        points = points + self._jaw_weight * ((points - self._jaw_joint) @ swing.T)
        gap = points[0, 1] - points[1, 1]
        return float(gap - (self._rest[0, 1] - self._rest[1, 1]))

    def __call__(self, expression: NDArray, jaw: NDArray, closed: float) -> NDArray:
        """Expression [E] with its opening reduced to the share 1 - `closed` (from `lips_closed`)."""
        if self._close is None or closed <= 0:
            return expression
        before = self.opening(expression, jaw)
        if before <= 0:
            return expression
        allowed = (1 - closed) * before
        result = expression.copy()
        with_more = expression.copy()
        with_more[self._close] += 0.1
        per_unit = (before - self.opening(with_more, jaw)) / 0.1
        if per_unit > 1e-6:
            room = max(min(jaw[0], 1.0) - result[self._close], 0.0)
            result[self._close] += min((before - allowed) / per_unit, room)
        left = self.opening(result, jaw) - allowed
        if left > 1e-5 and len(self._parting):
            shrunk = result.copy()
            shrunk[self._parting] = 0
            by_columns = self.opening(result, jaw) - self.opening(shrunk, jaw)
            share = np.clip(left / max(by_columns, 1e-9), 0, 1)
            result[self._parting] *= 1 - share
        return result
