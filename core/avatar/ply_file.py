"""PLY tables: the `vertex` element of a PLY file as named columns, whatever the order of its properties and its encoding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError

LONGEST_HEADER = 1 << 16  # bytes
_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}
_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}


@dataclass(frozen=True)
class PlyTable:
    """The vertices of a PLY file.

    Attributes:
        rows: structured array [N]; its fields are the properties.
        comments: the header's comments.
    """

    rows: NDArray
    comments: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return self.rows.dtype.names or ()

    def columns(self, *names: str) -> NDArray[np.float32]:
        """Properties as [N, len(names)] float32."""
        return np.stack([self.rows[name].astype(np.float32) for name in names], 1)


@dataclass(frozen=True)
class _Header:
    encoding: str
    elements: list[tuple[str, int, list[tuple[str, str]]]]  # name, count, (property, type) with "list" for lists
    comments: tuple[str, ...]
    size: int


def read_ply(path: Path, most: int) -> PlyTable:
    """The vertices of a PLY file.

    Args:
        most: rows that are taken at most; a longer table is refused before it is read.

    Raises:
        InputError: not a PLY file, damaged, cut off, without vertices, or too long.
    """
    with path.open("rb") as file:
        header = _parse_header(path, file.read(LONGEST_HEADER))
        names = [name for name, _, _ in header.elements]
        if "vertex" not in names:
            raise InputError(f"{path}: the PLY file has no vertices")
        place = names.index("vertex")
        before, (_, count, properties) = header.elements[:place], header.elements[place]
        if not 0 < count <= most:
            raise InputError(f"{path}: holds {count} vertices", f"between 1 and {most} can be opened; thin it out in an editor")
        kinds = [kind for _, _, fields in [*before, header.elements[place]] for _, kind in fields]
        if "list" in kinds:
            raise InputError(f"{path}: the PLY file has lists among its vertices, which 3D Gaussians have not")
        labels = [name for name, _ in properties]
        if len(set(labels)) != len(labels):
            raise InputError(f"{path}: the PLY file is damaged (a property is declared twice)")
        file.seek(header.size)
        if header.encoding == "ascii":
            rows = _read_text(path, file.read(), sum(n for _, n, _ in before), count, properties)
        else:
            order = _ORDERS[header.encoding]
            file.seek(sum(n * _row_type(order, fields).itemsize for _, n, fields in before), 1)
            kind = _row_type(order, properties)
            content = file.read(count * kind.itemsize)
            if len(content) < count * kind.itemsize:
                raise InputError(f"{path}: the PLY file is cut off")
            rows = np.frombuffer(content, kind)
    return PlyTable(rows, header.comments)


def _row_type(order: str, properties: list[tuple[str, str]]) -> np.dtype:
    return np.dtype([(name, order + _TYPES[kind]) for name, kind in properties])


def _parse_header(path: Path, start: bytes) -> _Header:
    end = start.find(b"end_header")
    if not start.startswith(b"ply") or end < 0:
        raise InputError(f"{path}: is not a PLY file")
    size = start.find(b"\n", end) + 1
    if size == 0:
        raise InputError(f"{path}: the PLY file is cut off")
    encoding, comments, elements = "", [], []
    for line in start[:end].decode("latin-1").splitlines()[1:]:
        words = line.split()
        if not words:
            continue
        if words[0] in ("comment", "obj_info"):
            comments.append(" ".join(words[1:]))
        elif words[0] == "format" and len(words) == 3 and words[1] in _ORDERS:
            encoding = words[1]
        elif words[0] == "element" and len(words) == 3 and words[2].isdigit():
            elements.append((words[1], int(words[2]), []))
        elif words[0] == "property" and elements and len(words) >= 3 and (words[1] in _TYPES or words[1] == "list"):
            elements[-1][2].append((words[-1], words[1]))
        else:
            raise InputError(f"{path}: the PLY file is damaged ('{line[:60]}')")
    if not encoding:
        raise InputError(f"{path}: the PLY file does not say how it is encoded")
    return _Header(encoding, elements, tuple(comments), size)


def _read_text(path: Path, content: bytes, skipped: int, count: int, properties: list[tuple[str, str]]) -> NDArray:
    lines = content.decode("latin-1").splitlines()[skipped:skipped + count]
    if len(lines) < count:
        raise InputError(f"{path}: the PLY file is cut off")
    try:
        values = np.array(" ".join(lines).split(), np.float64)
        table = values.reshape(count, len(properties))
    except ValueError as error:
        raise InputError(f"{path}: the PLY file is damaged (a row is not {len(properties)} numbers)") from error
    return np.rec.fromarrays(table.T, dtype=np.dtype([(name, "f8") for name, _ in properties]))
