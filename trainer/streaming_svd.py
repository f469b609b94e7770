"""The leading right singular vectors of a matrix that is too large to be held: its rows come in chunks, several times over.

Randomised subspace iteration in passes (Halko, Martinsson and Tropp, "Finding structure with randomness", 2011, algorithms 4.4
and 5.1): the first pass sketches the row space, further passes sharpen the sketch, the last one solves the small problem in it.
Nothing is centred (AGORA-M, specification 9.2). Memory is a few times (K + oversampling) × columns.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.types import FloatArray

Chunk = Sequence[FloatArray]  # one array [n, columns] for each matrix
_RANK = 1e-5  # singular values below this share of the largest are rounding
_BLOCK = 8192  # columns that are worked on at a time in float64


@dataclass(frozen=True)
class RightVectors:
    """The leading part of X ≈ U S Vᵀ.

    Attributes:
        vectors: [K, columns] float32, orthonormal rows; K is smaller than asked for where the rank is.
        singular: [K] singular values, largest first.
        energy: sum of squares of all of X.
    """

    vectors: FloatArray
    singular: FloatArray
    energy: float


def streaming_svd(passes: Callable[[], Iterable[Chunk]], counts: Sequence[int], *, oversampling: int = 16, power: int = 1,
                  seed: int = 0) -> tuple[RightVectors, ...]:
    """Right singular vectors of several matrices whose rows come together.

    Args:
        passes: starts over; must give the same rows in the same order every time. It is called power + 2 times.
        counts: K of each matrix.
        oversampling: further dimensions of the sketch.
        power: passes that sharpen it; 1 is enough where singular values fall off, 2 where they hardly do.
        seed: of the sketch.
    """
    rng = np.random.default_rng(seed)
    sketches = [_Sketch(count + oversampling if count else 0) for count in counts]
    for chunk in passes():
        for sketch, rows in zip(sketches, chunk, strict=True):
            sketch.start(rows, rng)
    for _ in range(power):
        bases = [sketch.basis() for sketch in sketches]
        for chunk in passes():
            for sketch, basis, rows in zip(sketches, bases, chunk, strict=True):
                sketch.sharpen(rows, basis)
    bases = [sketch.basis() for sketch in sketches]
    grams = [np.zeros((len(basis), len(basis))) for basis in bases]
    for chunk in passes():
        for basis, gram, rows in zip(bases, grams, chunk, strict=True):
            inside = (rows @ basis.T).astype(np.float64)
            gram += inside.T @ inside
    return tuple(_solve(basis, gram, count, sketch.energy)
                 for basis, gram, count, sketch in zip(bases, grams, counts, sketches, strict=True))


class _Sketch:
    """A random mixture of the rows [L, columns], made without holding them."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._mixture: FloatArray | None = None
        self._next: FloatArray | None = None
        self.energy, self._rows = 0.0, 0

    def start(self, rows: FloatArray, rng: np.random.Generator) -> None:
        if self._mixture is None:
            self._mixture = np.zeros((min(self._width, rows.shape[1]), rows.shape[1]), np.float32)
        weights = rng.standard_normal((len(self._mixture), len(rows))).astype(np.float32)
        self._mixture += weights @ rows
        flat = rows.reshape(-1)
        self.energy += sum(float(np.dot(part, part)) for part in np.array_split(flat, max(1, flat.size >> 20)))
        self._rows += len(rows)

    def sharpen(self, rows: FloatArray, basis: FloatArray) -> None:
        if self._next is None:
            self._next = np.zeros_like(basis)
        self._next += (rows @ basis.T).T @ rows

    def basis(self) -> FloatArray:
        """Orthonormal rows that span the mixture."""
        if self._next is not None:
            self._mixture, self._next = self._next, None
        if self._mixture is None:
            return np.zeros((0, 0), np.float32)
        return _orthonormal(self._mixture[:max(1, self._rows)] if len(self._mixture) else self._mixture)


def _orthonormal(rows: FloatArray) -> FloatArray:
    """Through the Gram matrix, twice, since once loses precision where the spectrum is steep; what is rounding is dropped."""
    for _ in range(2):
        gram = np.zeros((len(rows), len(rows)))
        for start in range(0, rows.shape[1], _BLOCK):
            block = rows[:, start:start + _BLOCK].astype(np.float64)
            gram += block @ block.T
        values, vectors = np.linalg.eigh(gram)
        kept = values > max(values.max(initial=0.0), 1e-300) * 1e-13
        mix = (vectors[:, kept] / np.sqrt(values[kept])).T
        rows = np.concatenate([(mix @ rows[:, start:start + _BLOCK].astype(np.float64)).astype(np.float32)
                               for start in range(0, rows.shape[1], _BLOCK)], 1) if kept.any() else rows[:0]
    return rows


def _solve(basis: FloatArray, gram: np.ndarray, count: int, energy: float) -> RightVectors:
    values, vectors = np.linalg.eigh(gram)
    order = np.argsort(-values)[:count]
    singular = np.sqrt(values[order].clip(0))
    order, singular = order[singular > singular.max(initial=0.0) * _RANK], singular[singular > singular.max(initial=0.0) * _RANK]
    return RightVectors((vectors[:, order].T.astype(np.float32) @ basis), singular.astype(np.float32), energy)


class Spool:
    """Chunks that are expensive to make, kept in a temporary file so that they can be read again. Use it as a context manager.

    Args:
        chunks: made once, at the first pass.
        folder: where the file goes; by default the system's folder for temporary files.
        precision: how numbers are kept. Half precision rounds by 1/2048, which is less than an 8-bit basis does.
    """

    def __init__(self, chunks: Iterable[Chunk], folder: Path | None = None, precision: type = np.float16) -> None:
        self._chunks: Iterable[Chunk] | None = chunks
        self._precision = precision
        self._shapes: list[tuple[tuple[int, ...], ...]] = []
        self._file = tempfile.TemporaryFile(dir=folder, prefix="agora-spool-")  # noqa: SIM115 - closed on leaving the context

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        size = np.dtype(self._precision).itemsize
        return sum(size * int(np.prod(shape)) for shapes in self._shapes for shape in shapes)

    def __call__(self) -> Iterator[Chunk]:
        """All chunks from the beginning, as they were kept."""
        if self._chunks is not None:
            yield from self._first_pass()
            return
        self._file.seek(0)
        for shapes in self._shapes:
            yield tuple(self._read(shape) for shape in shapes)

    def _first_pass(self) -> Iterator[Chunk]:
        for chunk in self._chunks:
            kept = [np.ascontiguousarray(rows, self._precision) for rows in chunk]
            for rows in kept:
                self._file.write(rows.tobytes())
            self._shapes.append(tuple(rows.shape for rows in kept))
            yield tuple(rows.astype(np.float32) for rows in kept)
        self._chunks = None

    def _read(self, shape: tuple[int, ...]) -> FloatArray:
        size = int(np.prod(shape)) * np.dtype(self._precision).itemsize
        return np.frombuffer(self._file.read(size), self._precision).reshape(shape).astype(np.float32)
