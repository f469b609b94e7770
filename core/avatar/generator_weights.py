"""The weights of a generator as a pack holds them: what is needed to make new people, in half precision. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.avatar.manifest import PackManifest
from core.errors import PackError
from core.types import FloatArray

MAX_SHAPES, MAX_SHAPE_SIZE = 1 << 16, 1024
_WEIGHT, _SHAPES = "weight/", "shapes"


@dataclass(frozen=True, eq=False)
class GeneratorWeights:
    """Parameters and buffers by their names in `core.networks.head_generator.HeadGenerator`.

    Attributes:
        weights: float16 arrays.
        shapes: [T, s] float32 shape coefficients of plausible people, for the prior ``normal``; None for ``studio``.
    """

    weights: Mapping[str, NDArray[np.float16]]
    shapes: FloatArray | None = None

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in self.weights.values())

    def tensors(self) -> dict[str, NDArray]:
        shapes = {} if self.shapes is None else {_SHAPES: self.shapes}
        return {f"{_WEIGHT}{name}": value for name, value in self.weights.items()} | shapes


def check_generator(where: str, tensors: dict[str, NDArray], manifest: PackManifest) -> GeneratorWeights:
    """Builds the weights from untrusted tensors. Whether they fit the configuration is found when the network is built.

    Raises:
        PackError: a tensor is of the wrong type or shape, not finite, unexpected or missing.
    """
    weights, shapes = {}, None
    for name, value in tensors.items():
        is_table = name == _SHAPES
        if not is_table and not name.startswith(_WEIGHT):
            raise PackError(f"{where}/{name}: is unexpected")
        wanted = np.float32 if is_table else np.float16
        if value.dtype != wanted or not np.isfinite(value).all():
            raise PackError(f"{where}/{name}: must be {np.dtype(wanted)} and finite")
        if not is_table:
            weights[name.removeprefix(_WEIGHT)] = value
        elif value.ndim == 2 and 0 < len(value) <= MAX_SHAPES and value.shape[1] <= MAX_SHAPE_SIZE:
            shapes = value
        else:
            raise PackError(f"{where}/{name}: has shape {value.shape}, expected a table of shapes")
    if not weights:
        raise PackError(f"{where}: holds no weights")
    if (shapes is None) == (manifest.generator.prior == "normal"):
        raise PackError(f"{where}/{_SHAPES}: is {'missing' if shapes is None else 'unexpected'} with the prior "
                        f"'{manifest.generator.prior}'")
    return GeneratorWeights(weights, shapes)
