"""A finished studio person: Gaussians on the open head and what each of them is attached to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.types import FloatArray, Gaussians


@dataclass(frozen=True)
class Wrinkles:
    """Creases that an expression brings out: their opacity grows with the expression.

    Attributes:
        index: [W] int32 rows of the identity's Gaussians.
        weights: [W, E] float32, opacity gained per unit of each expression coefficient.
    """

    index: NDArray[np.int32]
    weights: FloatArray

    def opacity(self, base: FloatArray, expression: FloatArray | None) -> FloatArray:
        """Opacity [W] of the creases under an expression [E]; `base` [W] at neutral."""
        if expression is None or len(self.index) == 0:
            return base
        gain = self.weights @ np.asarray(expression, np.float32)[: self.weights.shape[1]]
        return np.clip(base + gain, 0.0, 0.9).astype(np.float32)


@dataclass(frozen=True)
class StudioIdentity:
    """One procedural person on a head model.

    Attributes:
        seed: the number the person was made from.
        shape: [S] float32 shape coefficients of the head.
        gaussians: the person at neutral expression and pose.
        triangle: [N] int32 root triangle in `faces`.
        texel: [N] int32 index into `TexelAtlas`, -1 where the Gaussian is not a skin texel.
        rigid: [N] bool; True: follows the rotation of its triangle, False: lies on it and follows its affine map.
        wrinkles: Gaussians whose opacity follows the expression.
        faces: [F, 3] int32 of the head model.
        rest_vertices: [V, 3] float32, the head at neutral.
        name: a short description for people.
        tags: words to filter by (style of hair, beard, garment, …).
    """

    seed: int
    shape: FloatArray
    gaussians: Gaussians
    triangle: NDArray[np.int32]
    texel: NDArray[np.int32]
    rigid: NDArray[np.bool_]
    wrinkles: Wrinkles
    faces: NDArray[np.int32]
    rest_vertices: FloatArray
    name: str
    tags: tuple[str, ...]
