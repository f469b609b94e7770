"""The container of glTF 2.0 in one binary file (GLB): accessors, dense or sparse, over one buffer."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

GLB_MAGIC, GLB_VERSION = 0x46546C67, 2
VERTEX_BUFFER, INDEX_BUFFER = 34962, 34963
_JSON_CHUNK, _BINARY_CHUNK = 0x4E4F534A, 0x004E4942
_COMPONENTS = {"u1": 5121, "u2": 5123, "u4": 5125, "f4": 5126}
_SHAPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}
_ALIGNMENT = 4

Json = dict[str, Any]


class GlbWriter:
    """Collects accessors and their data."""

    def __init__(self) -> None:
        self._accessors: list[Json] = []
        self._views: list[Json] = []
        self._data = bytearray()

    def accessor(self, values: NDArray, target: int | None = None, limits: bool = False) -> int:
        """A dense accessor over values [N, ...] of type uint8, uint16, uint32 or float32; returns its number.

        Args:
            target: `VERTEX_BUFFER`, `INDEX_BUFFER` or None for other data.
            limits: state the smallest and largest values, which positions and times must.
        """
        values = np.ascontiguousarray(values)
        view = self.view(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes(), target)
        return self._add(values, limits, {"bufferView": view})

    def sparse(self, values: NDArray[np.float32]) -> int:
        """An accessor over vectors [N, 3] float32 that are mostly zero: only the others are stored, if that is shorter."""
        rows = np.flatnonzero(np.abs(values).max(1) > 0)
        if not len(rows) or len(rows) * 14 >= values.nbytes or len(values) > 0xFFFF:
            return self.accessor(values, VERTEX_BUFFER, limits=True)
        indices = {"bufferView": self.view(rows.astype("<u2").tobytes()), "componentType": _COMPONENTS["u2"]}
        moved = {"bufferView": self.view(values[rows].astype("<f4").tobytes())}
        return self._add(values, True, {"sparse": {"count": len(rows), "indices": indices, "values": moved}})

    def view(self, content: bytes, target: int | None = None) -> int:
        """A stretch of the buffer with this content; returns its number."""
        self._data.extend(b"\0" * (-len(self._data) % _ALIGNMENT))
        view: Json = {"buffer": 0, "byteOffset": len(self._data), "byteLength": len(content)}
        if target is not None:
            view["target"] = target
        self._views.append(view)
        self._data.extend(content)
        return len(self._views) - 1

    def finish(self, document: Json) -> bytes:
        """The file: `document` with accessors, buffer and its views added."""
        self._data.extend(b"\0" * (-len(self._data) % _ALIGNMENT))
        whole = document | {"accessors": self._accessors, "bufferViews": self._views,
                            "buffers": [{"byteLength": len(self._data)}]}
        text = json.dumps(whole, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        size = 12 + 8 + len(text) + 8 + len(self._data)
        return b"".join((struct.pack("<III", GLB_MAGIC, GLB_VERSION, size), struct.pack("<II", len(text), _JSON_CHUNK), text,
                         struct.pack("<II", len(self._data), _BINARY_CHUNK), bytes(self._data)))

    def _add(self, values: NDArray, limits: bool, entry: Json) -> int:
        kind = f"{values.dtype.kind}{values.dtype.itemsize}"
        entry |= {"componentType": _COMPONENTS[kind], "count": len(values), "type": _SHAPES[values.shape[1:]]}
        if limits:
            entry |= {"min": np.atleast_1d(values.min(0)).tolist(), "max": np.atleast_1d(values.max(0)).tolist()}
        self._accessors.append(entry)
        return len(self._accessors) - 1
