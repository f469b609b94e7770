"""Driving vectors ψ as faces make them, for heads with ARKit expression names."""

from __future__ import annotations

import numpy as np

from core.head.model import HeadModel
from core.head.presets import presets
from core.types import FloatArray

_PRESET_SHARE = 0.55
_TALKING_SHARE = 0.2  # the rest are single units, as sliders make them
_BLINK_CHANCE = 0.2
_NOISE_CHANCE = 0.5
_MAX_MOUTH = 2.6  # sum of mouth units of one side beyond which a mouth is no longer a mouth
_MAX_LID = 1.15  # blink + squint + wide + look-down of one eye
_GAZE_PITCH = np.radians(20.0)
_GAZE_YAW = np.radians(25.0)
_TALKING_UNITS = ("mouthFunnel", "mouthPucker", "mouthClose", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft",
                  "mouthUpperUpRight", "mouthStretchLeft", "mouthStretchRight", "mouthShrugUpper", "mouthShrugLower",
                  "mouthSmileLeft", "mouthSmileRight", "mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper")


class PsiSampler:
    """Draws ψ = [expression, jaw, left eye, right eye]: posed faces, talking mouths, blinks, single units, gaze."""

    def __init__(self, head: HeadModel) -> None:
        self._head = head
        self._presets = presets(head)
        names = head.expression_names
        self._talking = [names.index(name) for name in _TALKING_UNITS if name in names]
        self._blink = [i for i, name in enumerate(names) if name.startswith("eyeBlink")]
        self._lids = [[i for i, name in enumerate(names) if name.endswith(side)
                       and name.startswith(("eyeBlink", "eyeSquint", "eyeWide", "eyeLookDown"))] for side in ("Left", "Right")]
        self._mouths = [[i for i, name in enumerate(names) if name.startswith("mouth") and not name.endswith(other)]
                        for other in ("Right", "Left")]

    def sample(self, rng: np.random.Generator, count: int) -> FloatArray:
        """`count` driving vectors [count, P] float32."""
        return np.stack([self._one(rng) for _ in range(count)])

    def _one(self, rng: np.random.Generator) -> FloatArray:
        head = self._head
        kind = rng.uniform()
        if kind < _PRESET_SHARE:
            expression, jaw, yaw = self._mixed_presets(rng)
        elif kind < _PRESET_SHARE + _TALKING_SHARE:
            expression, jaw, yaw = self._talking_mouth(rng)
        else:
            expression, jaw, yaw = self._single_units(rng)
        if rng.uniform() < _BLINK_CHANCE:
            expression[self._blink] = rng.uniform(0.3, 1.0) if rng.uniform() < 0.7 else rng.uniform(0, 1, len(self._blink))
        if rng.uniform() < _NOISE_CHANCE:  # trackers are never silent
            expression += np.abs(rng.normal(0, 0.04, len(expression)))
        self._limit(expression)
        jaw_pose = [jaw, yaw, rng.normal(0, 0.01)]
        gaze = np.clip(rng.normal(0, [0.13, 0.2, 0.01]), [-_GAZE_PITCH, -_GAZE_YAW, -0.05], [_GAZE_PITCH, _GAZE_YAW, 0.05])
        vergence = rng.normal(0, [0.01, 0.03, 0.0])
        return np.concatenate([expression, jaw_pose, gaze + vergence, gaze - vergence]).astype(np.float32)[:head.psi_layout.size]

    def _mixed_presets(self, rng: np.random.Generator) -> tuple[FloatArray, float, float]:
        """Two named faces at random strengths, and a few single units."""
        expression, jaw, yaw = np.zeros(self._head.expression_count), 0.0, 0.0
        for i in rng.choice(len(self._presets), 2, replace=False):
            strength = rng.uniform()
            expression += strength * self._presets[i].expression
            jaw += strength * float(self._presets[i].pose[2, 0])
            yaw += strength * float(self._presets[i].pose[2, 1]) * rng.choice([-1, 1])
        units = rng.choice(len(expression), rng.integers(0, 4), replace=False)
        expression[units] += rng.uniform(0, 0.7, len(units))
        return np.minimum(expression, 1.0), min(jaw + self._jaw(rng, 0.3), self._head.jaw_open_angle), yaw

    def _talking_mouth(self, rng: np.random.Generator) -> tuple[FloatArray, float, float]:
        """Many mouth units at once, left and right together, as a landmarker reports speech."""
        expression = np.zeros(self._head.expression_count)
        loudness = rng.uniform(0.1, 0.8)
        for i in self._talking:
            expression[i] = loudness * rng.beta(0.7, 2.5)
        names = self._head.expression_names
        for i in self._talking:
            if names[i].endswith("Right"):
                expression[i] = 0.8 * expression[names.index(names[i].replace("Right", "Left"))] + 0.2 * expression[i]
        brows = [i for i, name in enumerate(names) if name.startswith("brow")]
        expression[brows] = rng.uniform(0, 0.6) * rng.uniform(size=len(brows))
        return expression, self._jaw(rng, 1.0), rng.normal(0, 0.2) * self._head.jaw_yaw_angle

    def _single_units(self, rng: np.random.Generator) -> tuple[FloatArray, float, float]:
        expression = np.zeros(self._head.expression_count)
        units = rng.choice(len(expression), rng.integers(1, 5), replace=False)
        expression[units] = np.where(rng.uniform(size=len(units)) < 0.4, 1.0, rng.uniform(size=len(units)))
        return expression, self._jaw(rng, 0.5), rng.uniform(-1, 1) * self._head.jaw_yaw_angle * (rng.uniform() < 0.4)

    def _jaw(self, rng: np.random.Generator, chance: float) -> float:
        if rng.uniform() >= chance:
            return 0.0
        full = self._head.jaw_open_angle
        return full if rng.uniform() < 0.1 else full * rng.beta(1.2, 2.5)

    def _limit(self, expression: FloatArray) -> None:
        """Scales units down whose sum no face can reach."""
        np.clip(expression, 0.0, 1.0, out=expression)
        for group, largest in [(lid, _MAX_LID) for lid in self._lids] + [(mouth, _MAX_MOUTH) for mouth in self._mouths]:
            total = expression[group].sum()
            if total > largest:
                expression[group] *= largest / total
