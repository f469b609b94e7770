"""The driving response of a pack: a correction of ψ that makes its heads answer a face as strongly as the face moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import PackError
from core.types import FloatArray

_NAMES = ("matrix", "bias", "low", "high")


@dataclass(frozen=True, eq=False)
class DrivingResponse:
    """ψ' = clip(A ψ + b, low, high).

    Attributes:
        matrix: [P, P] float32 A.
        bias, low, high: [P] float32; limits may be infinite.
    """

    matrix: FloatArray
    bias: FloatArray
    low: FloatArray
    high: FloatArray

    @staticmethod
    def identity(size: int) -> DrivingResponse:
        """The response that changes nothing."""
        limit = np.full(size, np.inf, np.float32)
        return DrivingResponse(np.eye(size, dtype=np.float32), np.zeros(size, np.float32), -limit, limit)

    def __call__(self, psi: FloatArray) -> FloatArray:
        """Corrected driving vector(s) [..., P] float32."""
        return np.clip(np.asarray(psi, np.float32) @ self.matrix.T + self.bias, self.low, self.high)

    def tensors(self) -> dict[str, NDArray]:
        return {name: np.asarray(getattr(self, name), np.float32) for name in _NAMES}


def check_response(where: str, tensors: dict[str, NDArray], size: int) -> DrivingResponse:
    """Builds a response from untrusted tensors.

    Raises:
        PackError: a tensor is missing, not float32, of the wrong shape, or holds NaN.
    """
    shapes = {"matrix": (size, size), "bias": (size,), "low": (size,), "high": (size,)}
    if set(tensors) != set(shapes):
        raise PackError(f"{where}: must hold {', '.join(_NAMES)} and nothing else")
    for name, shape in shapes.items():
        value = tensors[name]
        if value.dtype != np.float32 or value.shape != shape:
            raise PackError(f"{where}/{name}: has type {value.dtype} and shape {value.shape}, expected float32 {shape}")
        finite = np.isfinite(value) if name in ("matrix", "bias") else ~np.isnan(value)
        if not finite.all():
            raise PackError(f"{where}/{name}: holds values that are not numbers")
    if (tensors["low"] > tensors["high"]).any():
        raise PackError(f"{where}: a lower limit lies above its upper limit")
    return DrivingResponse(**{name: tensors[name] for name in _NAMES})
