"""From the driving vector that the tracker gives to the one a pack was made for, where the two are of different head models.

The published avatars are driven by 55 numbers of FLAME: 50 expression components, a jaw rotation and two eyelids. The tracker
fits the open head, whose 58 numbers are ARKit expressions, the jaw and both eyes. A linear map between them is fitted when the
avatars are imported; it lies in the pack, and `core.avatar.model.check_psi` is the one place that applies it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.errors import PackError
from core.types import FloatArray

_NAMES = ("matrix", "low", "high")


@dataclass(frozen=True, eq=False)
class DrivingMap:
    """ψ of the pack = matrix · tracked ψ, kept within limits.

    Attributes:
        matrix: [P, Q] float32.
        low, high: [P] float32 limits of the pack's ψ, so that no tracked face becomes one that the avatar never learned.
    """

    matrix: FloatArray
    low: FloatArray
    high: FloatArray

    def __call__(self, psi: FloatArray) -> FloatArray:
        """Driving vectors [..., P] of the pack for tracked ones [..., Q]."""
        return np.clip(psi @ self.matrix.T, self.low, self.high).astype(np.float32)

    def tensors(self) -> dict[str, NDArray]:
        return {name: getattr(self, name) for name in _NAMES}


def check_driving(where: str, tensors: dict[str, NDArray], psi_size: int, tracked_size: int) -> DrivingMap:
    """Builds a map from untrusted tensors.

    Raises:
        PackError: a tensor is missing, of the wrong type or shape, not finite, or the limits exclude the resting face.
    """
    shapes = {"matrix": (psi_size, tracked_size), "low": (psi_size,), "high": (psi_size,)}
    if set(tensors) != set(shapes):
        raise PackError(f"{where}: must hold {', '.join(_NAMES)} and nothing else")
    for name, shape in shapes.items():
        value = tensors[name]
        if value.dtype != np.float32 or value.shape != shape or not np.isfinite(value).all():
            raise PackError(f"{where}/{name}: must be float32 {shape} and finite")
    if (tensors["low"] > 0).any() or (tensors["high"] < 0).any():
        raise PackError(f"{where}: its limits exclude the resting face")
    return DrivingMap(**tensors)
