"""The lid columns of the head model: blinks, and the lids that follow the gaze."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.tracking.blink import LID_PAIRS
from core.tracking.landmark_rig import LandmarkRig

FULL_GAZE = np.radians([25.0, 35.0])  # pitch and yaw that make an eyeLook coefficient 1
MOST_BY_GAZE = 0.6  # lids lowered further than this share by looking down would leave nothing to blink with


class LidColumns:
    """Shares the closure of the lids between eyeBlink and the eyeLook columns of one head model.

    Eyes that look down have lowered lids, which is no blink: what eyeLookDown already lowers is taken off the blink.
    """

    def __init__(self, rig: LandmarkRig) -> None:
        names = rig.expression_names
        self._columns = {name: i for i, name in enumerate(names)}
        self._known = rig.has_arkit_expressions
        self._by_gaze = np.array([_lowering(rig, side, index) for index, side in enumerate(("Left", "Right"))])

    def coefficients(self, gaze: NDArray, closure: NDArray) -> dict[int, float]:
        """Values by expression column; none for a model without ARKit's columns.

        Args:
            gaze: [2, 2] (pitch, yaw) radians of the left and right eye.
            closure: [2] of the left and right eye, 0 open .. 1 shut.
        """
        if not self._known:
            return {}
        pitch, yaw = np.clip(gaze / FULL_GAZE, -1, 1).T
        down = np.maximum(pitch, 0)
        lowered = np.minimum(down * self._by_gaze, MOST_BY_GAZE)
        blink = np.clip((closure - lowered) / (1 - lowered), 0, 1)
        by_name = {
            "eyeBlinkLeft": blink[0], "eyeBlinkRight": blink[1],
            "eyeLookDownLeft": down[0], "eyeLookDownRight": down[1],
            "eyeLookUpLeft": max(-pitch[0], 0.0), "eyeLookUpRight": max(-pitch[1], 0.0),
            "eyeLookOutLeft": max(yaw[0], 0.0), "eyeLookInRight": max(yaw[1], 0.0),
            "eyeLookInLeft": max(-yaw[0], 0.0), "eyeLookOutRight": max(-yaw[1], 0.0),
        }
        return {self._columns[name]: float(value) for name, value in by_name.items() if name in self._columns}

    def keep_shut(self, expression: NDArray) -> None:
        """Take eyeWide off closing eyes, in place: the fit widens them to explain lids that are seen ajar in a blink."""
        for side in ("Left", "Right"):
            if f"eyeWide{side}" in self._columns and f"eyeBlink{side}" in self._columns:
                closed = np.clip(expression[self._columns[f"eyeBlink{side}"]], 0, 1)
                expression[self._columns[f"eyeWide{side}"]] *= 1 - closed


def _lowering(rig: LandmarkRig, side: str, index: int) -> float:
    """How much of a blink's lid motion a full look down makes."""
    names = rig.expression_names
    if f"eyeLookDown{side}" not in names or f"eyeBlink{side}" not in names:
        return 0.0
    upper, lower = LID_PAIRS[index].T

    def closing(name: str) -> float:
        motion = rig.expression_dirs[:, 1, names.index(name)]
        return float((motion[lower] - motion[upper]).mean())

    return max(closing(f"eyeLookDown{side}") / max(closing(f"eyeBlink{side}"), 1e-6), 0.0)
