"""The shared basis of a pack in the form that is blended: 8-bit planes over blocks of 1024 rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from core.avatar.kernels import BLOCK_ROWS, blend_blocks
from core.avatar.pair_blend import LANES, MAX_PAIRS, blend_pairs, interleave_pairs
from core.errors import PackError
from core.types import FloatArray

ATTRIBUTES = ("xyz", "rotation", "scale", "opacity")
_LEVELS = 127


@dataclass(frozen=True, eq=False)
class AttributeBasis:
    """The basis U [K, R, C] of one attribute.

    Only blocks in which something moves are stored. Each (block, plane) has a step of its own. A strong component may own two
    planes: the second holds the rounding error of the first, 254 times finer, which gives it about 15 bits.

    Attributes:
        planes: [B, P, C·1024] int8, channel-major within a block.
        steps: [B, P] float32, value of one integer step.
        component: [P] int32, which coefficient scales the plane.
        blocks: [B] int32, ascending row blocks that are stored.
        channels: C.
        components: K.
        rows: R, number of rows.
    """

    planes: NDArray[np.int8]
    steps: FloatArray
    component: NDArray[np.int32]
    blocks: NDArray[np.int32]
    channels: int
    components: int
    rows: int

    @property
    def row_blocks(self) -> int:
        return block_count(self.rows)

    @property
    def nbytes(self) -> int:
        """Bytes that a blend of everything reads."""
        return self.planes.nbytes

    def zeros(self, always: bool = True) -> FloatArray:
        """A target for `blend` [row blocks, C, 1024]; unless `always`, it has 0 blocks when nothing is stored."""
        blocks = self.row_blocks if always or len(self.blocks) else 0
        return np.zeros((blocks, self.channels, BLOCK_ROWS), np.float32)

    def blend(self, coefficients: FloatArray, out: FloatArray, threshold: float = 0.0, exact: bool = False) -> None:
        """Writes Σ_k c_k U_k into `out`, an array from `zeros`.

        Args:
            coefficients: [K] float32.
            threshold: contributions of a plane to a block below this size are left out, in units of the attribute.
            exact: blend in float32 also where a faster integer blend (weights of 16 bits) is available.
        """
        if not len(self.blocks):
            return
        weights = (self.steps, self.component, coefficients, self.blocks, np.float32(threshold))
        target = out.reshape(len(out), -1)
        if exact or self._pairs is None:
            blend_blocks(self.planes, *weights, target)
        else:
            blend_pairs(self._pairs, *weights, np.empty(self.planes.shape[2], np.int32), target)

    @cached_property
    def _pairs(self) -> NDArray[np.int8] | None:
        """The planes as the integer blend wants them, where the processor has the instruction for it."""
        if LANES == 0 or len(self.component) > 2 * MAX_PAIRS:
            return None
        return interleave_pairs(self.planes)

    def dense(self) -> FloatArray:
        """The basis as it is after rounding, [K, R, C] float32."""
        basis = np.zeros((self.components, self.row_blocks, self.channels * BLOCK_ROWS), np.float32)
        for b, block in enumerate(self.blocks):
            np.add.at(basis[:, block], self.component, self.planes[b] * self.steps[b][:, None])
        by_channel = basis.reshape(self.components, self.row_blocks, self.channels, BLOCK_ROWS)
        return np.ascontiguousarray(by_channel.transpose(0, 1, 3, 2)).reshape(self.components, -1, self.channels)[:, :self.rows]

    def tensors(self) -> dict[str, NDArray]:
        return {"planes": self.planes, "steps": self.steps, "component": self.component, "blocks": self.blocks}


def block_count(rows: int) -> int:
    return -(-rows // BLOCK_ROWS)


def quantize(basis: FloatArray, refined: int = 0, negligible: float = 0.0) -> AttributeBasis:
    """Rounds a basis to 8-bit planes.

    Args:
        basis: [K, R, C].
        refined: number of leading components that get a second plane for their rounding error.
        negligible: blocks whose largest entry is not above this are not stored.
    """
    components, rows, channels = basis.shape
    blocks = block_count(rows)
    padded = np.zeros((components, blocks * BLOCK_ROWS, channels), np.float32)
    padded[:, :rows] = basis
    by_block = padded.reshape(components, blocks, BLOCK_ROWS, channels).transpose(1, 0, 3, 2)
    values = by_block.reshape(blocks, components, channels * BLOCK_ROWS)
    stored = np.flatnonzero(np.abs(values).max((1, 2), initial=0.0) > negligible).astype(np.int32)
    values = np.ascontiguousarray(values[stored])
    planes, steps = _round(values)
    component = np.arange(components, dtype=np.int32)
    refined = min(refined, components)
    if refined:
        error = values[:, :refined] - planes[:, :refined] * steps[:, :refined, None]
        fine_planes, fine_steps = _round(error)
        planes = np.concatenate([planes, fine_planes], 1)
        steps = np.concatenate([steps, fine_steps], 1)
        component = np.concatenate([component, component[:refined]])
    return AttributeBasis(planes, steps, component, stored, channels, components, rows)


def _round(values: FloatArray) -> tuple[NDArray[np.int8], FloatArray]:
    largest = np.abs(values).max(2, initial=0.0)
    steps = (largest / _LEVELS).astype(np.float32)
    safe = np.where(steps > 0, steps, 1).astype(np.float32)
    return np.clip(np.rint(values / safe[:, :, None]), -_LEVELS, _LEVELS).astype(np.int8), steps


def check_basis(where: str, tensors: dict[str, NDArray], channels: int, components: int, rows: int) -> AttributeBasis:
    """Builds a basis from untrusted tensors.

    Raises:
        PackError: a shape, type, index or number is not what the manifest declares.
    """
    planes, steps, component, blocks = (_tensor(where, tensors, name) for name in ("planes", "steps", "component", "blocks"))
    stored, count = len(blocks), len(component)
    expected = {
        "planes": (planes, np.int8, (stored, count, channels * BLOCK_ROWS)),
        "steps": (steps, np.float32, (stored, count)),
        "component": (component, np.int32, (count,)),
        "blocks": (blocks, np.int32, (stored,)),
    }
    for name, (array, dtype, shape) in expected.items():
        if array.dtype != dtype or array.shape != shape:
            raise PackError(f"{where}/{name}: has type {array.dtype} and shape {array.shape}, "
                            f"expected {np.dtype(dtype)} {shape}")
    if not np.isfinite(steps).all():
        raise PackError(f"{where}/steps: holds values that are not finite")
    if count and (component.min() < 0 or component.max() >= components):
        raise PackError(f"{where}/component: out of range")
    if stored and not (blocks[0] >= 0 and blocks[-1] < block_count(rows) and (np.diff(blocks) > 0).all()):
        raise PackError(f"{where}/blocks: out of range or not ascending")
    return AttributeBasis(planes, steps, component, blocks, channels, components, rows)


def _tensor(where: str, tensors: dict[str, NDArray], name: str) -> NDArray:
    if name not in tensors:
        raise PackError(f"{where}/{name}: is missing")
    return tensors[name]
