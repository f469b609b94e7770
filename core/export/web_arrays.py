"""Arrays in the form in which a web page carries them: integers of few bits, differences, gzip, base64. decode.js reads them."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS = {"int8": "i8", "uint8": "u8", "int16": "i16", "uint16": "u16", "int32": "i32", "float32": "f32"}
_DROPPED_BITS = 7  # of a float's 23 bits of mantissa; what is left is exact to 8 parts in a million


@dataclass(frozen=True, eq=False)
class PackedArray:
    """An array of a page.

    Attributes:
        name: how the page finds it.
        values: [N, C]; of type float32, or integers that stand for low + step · value, or for its exponential.
        differences: whether each value is written as its difference to the one before it in the same column.
        low, step: [C] of integers that stand for numbers; empty when they stand for themselves.
        exponential: whether they stand for the logarithm.
    """

    name: str
    values: NDArray
    differences: bool = False
    low: tuple[float, ...] = ()
    step: tuple[float, ...] = ()
    exponential: bool = False

    def describe(self) -> dict[str, Any]:
        """What the page must know to read it."""
        described = {"name": self.name, "kind": _KINDS[self.values.dtype.name], "count": self.values.shape[0],
                     "width": self.values.shape[1], "differences": self.differences}
        if self.step:
            described |= {"low": self.low, "step": self.step, "exponential": self.exponential}
        return described

    def to_bytes(self) -> bytes:
        """Its bytes, the lowest byte of every value first, then the next ones: alike bytes side by side compress better."""
        values = self.values
        if self.differences:  # they wrap around, and so does their sum on the page
            values = values.copy()
            values[1:] -= self.values[:-1]
        little = np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<"), copy=False)
        return little.view(np.uint8).reshape(-1, values.dtype.itemsize).T.tobytes()


@dataclass(frozen=True)
class PackedPart:
    """Arrays that a page unpacks together.

    Attributes:
        name: how the page finds it.
        arrays: what each array is, in the order of the bytes.
        text: base64 of the gzip of all bytes.
    """

    name: str
    arrays: tuple[dict[str, Any], ...]
    text: str


def pack_part(name: str, arrays: Sequence[PackedArray]) -> PackedPart:
    """Compresses arrays. Equal arrays give equal texts."""
    content = b"".join(array.to_bytes() for array in arrays)
    return PackedPart(name, tuple(array.describe() for array in arrays),
                      base64.b64encode(gzip.compress(content, 6, mtime=0)).decode("ascii"))


def in_steps(name: str, values: NDArray, step: float | None = None, kind: type = np.uint8,
             differences: bool = True) -> PackedArray:
    """Numbers [N, C] as integers.

    Args:
        step: distance of neighbouring values; as fine as the type allows, column by column, when left out or out of its reach.
        kind: np.uint8 or np.uint16.
    """
    values = values.reshape(len(values), -1).astype(np.float64)
    low, high, levels = values.min(0), values.max(0), np.iinfo(kind).max
    steps = np.maximum((high - low) / levels, 1e-12 if step is None else step)
    return PackedArray(name, np.rint((values - low) / steps).astype(kind), differences, _floats(low), _floats(steps))


def in_ratios(name: str, values: NDArray, smallest: float) -> PackedArray:
    """Positive numbers [N, C] as 8 bits of their logarithm; what is below `smallest` is raised to it."""
    packed = in_steps(name, np.log(np.maximum(values.astype(np.float64), smallest)))
    return PackedArray(name, packed.values, True, packed.low, packed.step, True)


def whole_numbers(name: str, values: NDArray, kind: type, differences: bool = False) -> PackedArray:
    """Integers [N] or [N, C] as they are."""
    return PackedArray(name, values.reshape(len(values), -1).astype(kind), differences)


def as_floats(name: str, values: NDArray) -> PackedArray:
    """Weights of any shape, one after the other, with 16 bits of mantissa."""
    bits = np.ascontiguousarray(values, np.float32).reshape(-1, 1).view(np.uint32)
    rounded = (bits + np.uint32(1 << (_DROPPED_BITS - 1))) & np.uint32(0xFFFFFFFF << _DROPPED_BITS & 0xFFFFFFFF)
    return PackedArray(name, rounded.view(np.float32))


def _floats(values: NDArray) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
