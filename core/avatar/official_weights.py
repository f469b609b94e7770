"""The published generator inside a pack: its weights, the head shapes of its seeds, and the order of the pack's Gaussians."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.avatar.manifest import PackManifest
from core.errors import PackError
from core.types import FloatArray

SHAPE_SIZE = 300  # shape coefficients of the published head model
CAMERA_SIZE = 6
MAX_SHAPES = 1 << 16
_WEIGHT = "weight/"
_TABLES = ("order", "shapes", "camera")


@dataclass(frozen=True, eq=False)
class OfficialWeights:
    """Parameters and buffers by their names in `core.networks.generator.Generator`, and what a seed needs besides.

    Weights stay in single precision: in half precision the planes would be several times the tolerance of the golden data off.

    Attributes:
        weights: float32 arrays, and int32 where the network has index tables.
        order: [N] int32, which of the network's Gaussians each Gaussian of the pack is.
        shapes: [T, 300] float32 head shapes, see `row_of`; T may be 0: everybody has the average head.
        camera: [6] float32, the camera c6 from the front: its rotation conditions the network, its centre sees the colours.
        table_rows: rows of the published table of shapes that seeds draw from; 0 when it was not at hand.
    """

    weights: Mapping[str, NDArray]
    order: NDArray[np.int32]
    shapes: FloatArray
    camera: FloatArray
    table_rows: int = 0

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for value in self.weights.values())

    def row_of(self, seed: int, drawn: int) -> int:
        """Row of `shapes` of a seed that draws this row of the published table.

        A small table is in the pack as a whole. Of a large one (the published one has 168 MB of shapes) the pack holds the rows
        that the first seeds draw, in the order of the seeds; later seeds share these, and so have a plausible shape but not
        the published one.
        """
        return drawn if len(self.shapes) == self.table_rows else seed % len(self.shapes)

    def tensors(self) -> dict[str, NDArray]:
        tables = {"order": self.order, "shapes": self.shapes, "camera": self.camera,
                  "table_rows": np.array([self.table_rows], np.int32)}
        return {f"{_WEIGHT}{name}": value for name, value in self.weights.items()} | tables


def check_official(where: str, tensors: dict[str, NDArray], manifest: PackManifest) -> OfficialWeights:
    """Builds the weights from untrusted tensors. Whether they fit each other is found when the network is built.

    Raises:
        PackError: a tensor is of the wrong type or shape, not finite, out of range, unexpected or missing.
    """
    weights = {name.removeprefix(_WEIGHT): value for name, value in tensors.items() if name.startswith(_WEIGHT)}
    tables = {name: value for name, value in tensors.items() if not name.startswith(_WEIGHT)}
    if set(tables) != {*_TABLES, "table_rows"} or not weights:
        raise PackError(f"{where}: must hold weights, {', '.join(_TABLES)} and table_rows, and nothing else")
    for name, value in weights.items():
        whole = value.dtype == np.int32
        if not whole and (value.dtype != np.float32 or not np.isfinite(value).all()):
            raise PackError(f"{where}/{_WEIGHT}{name}: must be int32, or float32 and finite")
    order, shapes, camera, count = (tables[name] for name in (*_TABLES, "table_rows"))
    expected = {"shapes": (shapes, np.float32, (len(shapes), SHAPE_SIZE)), "camera": (camera, np.float32, (CAMERA_SIZE,)),
                "order": (order, np.int32, (len(order),)), "table_rows": (count, np.int32, (1,))}
    for name, (value, kind, shape) in expected.items():
        if value.dtype != kind or value.shape != shape or (kind == np.float32 and not np.isfinite(value).all()):
            raise PackError(f"{where}/{name}: has type {value.dtype} and shape {value.shape}, expected {np.dtype(kind)} {shape}")
    if len(shapes) > MAX_SHAPES or int(count[0]) < (len(shapes) > 0) or (len(shapes) == 0 and int(count[0])):
        raise PackError(f"{where}/shapes: has {len(shapes)} rows of a table of {int(count[0])}")
    if len(order) < manifest.rows or not np.array_equal(np.sort(order), np.arange(len(order))):
        raise PackError(f"{where}/order: is not an order of the pack's Gaussians")
    return OfficialWeights(weights, order, shapes, camera, int(count[0]))
