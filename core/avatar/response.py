"""The driving response of a pack: what a face landmarker reads on the pack's people, and ψ corrected by it.

A tracked ψ moves a drawn face by as much as the mesh of the driver moved, but a landmarker reads a drawn face differently
from a photographed one: a smile may hardly register and a pucker too much. A small network, fitted to renders of the
pack's people, predicts the landmarker's blendshape scores from ψ. Driving inverts it: ψ is changed as little as possible so
that the scores on the avatar rise above its resting face by as much as the driver's rose above theirs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import PackError
from core.types import FloatArray

SCORE_COUNT = 52
_STEPS = 3  # Gauss-Newton steps; the network is nearly linear over the distance of a correction
_SMALLEST_SCORE = 0.01
_SLOPE_FLOOR = 0.03  # a saturated score still counts a little, or nothing would pull it back
_WEIGHTS = ("weight_0", "bias_0", "weight_1", "bias_1", "weight_2", "bias_2", "linear")
_FLOATS = (*_WEIGHTS, "input_mean", "input_scale", "uncertainty", "freedom", "low", "high", "rest_scores")


@dataclass(frozen=True, eq=False)
class DrivingResponse:
    """Predicts scores and corrects ψ. All arrays float32 unless said otherwise.

    The network maps the normalised input x = [ψ, head rotation, resting logits] to logits above the resting ones:
    W₂ σ(W₁ σ(W₀ x + b₀) + b₁) + b₂ + L x, with σ(t) = t / (1 + e⁻ᵗ).

    Attributes:
        score: [C] int32, which of the landmarker's scores are predicted.
        variable: [J] int32, which entries of ψ may be corrected.
        weight_0, bias_0, weight_1, bias_1, weight_2, bias_2, linear: the network, [outputs, inputs] each.
        input_mean, input_scale: [P + 3 + C].
        uncertainty: [C] standard deviation of the network's error, logits.
        freedom: [J] standard deviation of a correction, units of ψ.
        low, high: [J] limits of the corrected entries.
        rest_scores: [C] scores of an average resting face of the pack.
    """

    score: NDArray[np.int32]
    variable: NDArray[np.int32]
    weight_0: FloatArray
    bias_0: FloatArray
    weight_1: FloatArray
    bias_1: FloatArray
    weight_2: FloatArray
    bias_2: FloatArray
    linear: FloatArray
    input_mean: FloatArray
    input_scale: FloatArray
    uncertainty: FloatArray
    freedom: FloatArray
    low: FloatArray
    high: FloatArray
    rest_scores: FloatArray

    @property
    def psi_size(self) -> int:
        return len(self.input_mean) - 3 - len(self.score)

    def correct(self, psi: FloatArray, scores: FloatArray, head_rotation: FloatArray,
                rest_scores: FloatArray | None = None) -> FloatArray:
        """ψ [P] that makes the avatar's scores rise as the driver's did.

        Args:
            psi: [P] tracked driving vector.
            scores: [52] the driver's scores above their resting face; without any, ψ is returned as it is.
            head_rotation: [3] axis-angle.
            rest_scores: [52] what the landmarker reads on this person at rest; the pack's average when not known (None or empty).
        """
        if len(scores) == 0:
            return psi
        known = rest_scores is not None and len(rest_scores) > 0
        resting = rest_scores[self.score] if known else self.rest_scores
        target = np.clip(resting + scores[self.score], _SMALLEST_SCORE, 1 - _SMALLEST_SCORE)
        precision = (target * (1 - target) + _SLOPE_FLOOR) / self.uncertainty**2
        goal, rest = logit(target), logit(resting)
        corrected = psi.astype(np.float32)
        tracked = corrected[self.variable].copy()
        for _ in range(_STEPS):
            predicted, jacobian = self._predict(corrected, head_rotation, rest)
            change = self._step(goal - predicted, jacobian, precision, corrected[self.variable] - tracked)
            corrected[self.variable] = np.clip(corrected[self.variable] + change, self.low, self.high)
        return corrected

    def predict(self, psi: FloatArray, head_rotation: FloatArray, rest_scores: FloatArray) -> FloatArray:
        """Scores [C] on a person whose resting face reads `rest_scores` [C]."""
        return 1 / (1 + np.exp(-self.logits(psi, head_rotation, logit(rest_scores))))

    def logits(self, psi: FloatArray, head_rotation: FloatArray, rest: FloatArray) -> FloatArray:
        """Logits [C] of the scores on a person whose resting face reads the logits `rest` [C]."""
        return self._predict(psi, head_rotation, rest)[0]

    def _step(self, error: FloatArray, jacobian: FloatArray, precision: FloatArray, offset: FloatArray) -> FloatArray:
        """One Gauss-Newton step of Σ precision (goal − predicted)² + Σ (offset / freedom)²."""
        weighted = jacobian * precision[:, None]
        normal = jacobian.T @ weighted + np.diag(self.freedom**-2)
        return np.linalg.solve(normal, weighted.T @ error - offset / self.freedom**2)

    def _predict(self, psi: FloatArray, head_rotation: FloatArray, rest: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Logits [C] and their derivatives with respect to the variables [C, J]."""
        x = (np.concatenate([psi, head_rotation, rest]) - self.input_mean) / self.input_scale
        first, first_slope = _swish(self.weight_0 @ x + self.bias_0)
        second, second_slope = _swish(self.weight_1 @ first + self.bias_1)
        value = self.weight_2 @ second + self.bias_2 + self.linear @ x + rest
        v = self.variable
        chain = second_slope[:, None] * (self.weight_1 @ (first_slope[:, None] * self.weight_0[:, v]))
        return value, (self.weight_2 @ chain + self.linear[:, v]) / self.input_scale[v]

    def tensors(self) -> dict[str, NDArray]:
        return {name: getattr(self, name) for name in ("score", "variable", *_FLOATS)}


def logit(score: FloatArray) -> FloatArray:
    """log(s / (1 − s)), with scores kept away from 0 and 1 by less than the landmarker can tell."""
    s = np.clip(score, 0.004, 0.996)
    return np.log(s / (1 - s))


def _swish(t: FloatArray) -> tuple[FloatArray, FloatArray]:
    """t / (1 + e⁻ᵗ) and its derivative."""
    gate = 1 / (1 + np.exp(-np.clip(t, -30, 30)))
    return t * gate, gate * (1 + t * (1 - gate))


def check_response(where: str, tensors: dict[str, NDArray], psi_size: int) -> DrivingResponse:
    """Builds a response from untrusted tensors.

    Raises:
        PackError: a tensor is missing, of the wrong type or shape, out of range, or holds NaN.
    """
    if set(tensors) != {"score", "variable", *_FLOATS}:
        raise PackError(f"{where}: must hold score, variable, {', '.join(_FLOATS)} and nothing else")
    scores, variables = _check_indices(where, tensors, psi_size)
    hidden = [tensors[name].shape[0] if tensors[name].ndim == 1 else 0 for name in ("bias_0", "bias_1")]
    inputs = psi_size + 3 + scores
    shapes = {"weight_0": (hidden[0], inputs), "bias_0": (hidden[0],), "weight_1": (hidden[1], hidden[0]),
              "bias_1": (hidden[1],), "weight_2": (scores, hidden[1]), "bias_2": (scores,), "linear": (scores, inputs),
              "input_mean": (inputs,), "input_scale": (inputs,), "uncertainty": (scores,), "freedom": (variables,),
              "low": (variables,), "high": (variables,), "rest_scores": (scores,)}
    for name, shape in shapes.items():
        value = tensors[name]
        if value.dtype != np.float32 or value.shape != shape:
            raise PackError(f"{where}/{name}: has type {value.dtype} and shape {value.shape}, expected float32 {shape}")
        if not np.isfinite(value).all():
            raise PackError(f"{where}/{name}: holds values that are not numbers")
    for name in ("input_scale", "uncertainty", "freedom"):
        if (tensors[name] <= 0).any():
            raise PackError(f"{where}/{name}: must be positive")
    if (tensors["low"] > tensors["high"]).any():
        raise PackError(f"{where}: a lower limit lies above its upper limit")
    return DrivingResponse(**tensors)


def _check_indices(where: str, tensors: dict[str, NDArray], psi_size: int) -> tuple[int, int]:
    for name, limit in (("score", SCORE_COUNT), ("variable", psi_size)):
        value = tensors[name]
        if value.dtype != np.int32 or value.ndim != 1 or len(value) == 0:
            raise PackError(f"{where}/{name}: has type {value.dtype} and shape {value.shape}, expected a list of int32")
        if value.min() < 0 or value.max() >= limit or len(np.unique(value)) != len(value):
            raise PackError(f"{where}/{name}: must hold different numbers from 0 to {limit - 1}")
    return len(tensors["score"]), len(tensors["variable"])
