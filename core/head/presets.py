"""Named faces for tests, pictures and the first look at an avatar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.head.model import HeadModel
from core.types import FloatArray, HeadParams


@dataclass(frozen=True)
class Preset:
    """One face: expression [E] and joint rotations [5, 3]."""

    name: str
    expression: FloatArray
    pose: FloatArray

    def head_params(self) -> HeadParams:
        """The preset as the tracker would deliver it, looking into the camera from 0.6 m."""
        neutral = HeadParams.neutral(len(self.expression))
        return neutral.with_psi(np.concatenate([self.expression, self.pose[2], self.pose[3], self.pose[4]]))


@dataclass(frozen=True)
class _Recipe:
    units: dict[str, float]
    jaw: float = 0.0  # fraction of the full opening
    jaw_yaw: float = 0.0  # fraction of the full sideways motion
    gaze: tuple[float, float] = (0.0, 0.0)


_RECIPES = {
    "neutral": _Recipe({}),
    "smile": _Recipe({"mouthSmile": 0.9, "cheekSquint": 0.6, "eyeSquint": 0.25, "mouthUpperUp": 0.35, "mouthDimple": 0.3},
                     jaw=0.12),
    "grin": _Recipe({"mouthSmile": 0.9, "cheekSquint": 0.5, "eyeSquint": 0.2, "mouthUpperUp": 1.0, "mouthLowerDown": 0.6},
                    jaw=0.16),
    "jaw open": _Recipe({}, jaw=1.0),
    "blink": _Recipe({"eyeBlink": 1.0}),
    "wink": _Recipe({"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.7, "mouthSmileLeft": 0.5}),
    "surprise": _Recipe({"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.9}, jaw=0.7),
    "pucker": _Recipe({"mouthPucker": 1.0}),
    "funnel": _Recipe({"mouthFunnel": 0.9}, jaw=0.2),
    "frown": _Recipe({"browDown": 0.9, "mouthFrown": 0.8, "noseSneer": 0.4}),
    "cheek puff": _Recipe({"cheekPuff": 1.0}),
    "jaw left": _Recipe({}, jaw=0.2, jaw_yaw=1.0),
    "gaze left": _Recipe({"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6}, gaze=(0.0, 0.4)),
    "gaze up": _Recipe({"eyeLookUp": 0.8}, gaze=(-0.4, 0.0)),
    "gaze down": _Recipe({"eyeLookDown": 0.8}, gaze=(0.4, 0.0)),
    "tongue": _Recipe({"tongueOut": 0.9}, jaw=0.7),
    "lips in": _Recipe({"mouthRollLower": 0.9, "mouthRollUpper": 0.9}),
}
PRESET_NAMES = tuple(_RECIPES)


def preset(head: HeadModel, name: str) -> Preset:
    """The preset `name` on a head with ARKit expression names.

    Raises:
        KeyError: there is no preset of that name.
        InputError: the head model lacks one of its expressions.
    """
    recipe = _RECIPES[name]
    pose = head.pose(jaw=recipe.jaw * head.jaw_open_angle, jaw_yaw=recipe.jaw_yaw * head.jaw_yaw_angle, gaze=recipe.gaze)
    return Preset(name, head.expression(**recipe.units), pose)


def presets(head: HeadModel) -> tuple[Preset, ...]:
    """All presets, neutral first."""
    return tuple(preset(head, name) for name in PRESET_NAMES)
