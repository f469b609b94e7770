"""Depth of what the photograph shows beside the rendered person: a smooth continuation with a rounded front and back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.sparse
import scipy.sparse.linalg
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from core.types import FloatArray

FRONT_SHARE = 0.6  # of the rounding lies in front of the continued surface, the rest of the body behind it
_BORDER_BLUR = 5  # cells over which the rendered depth is smoothed along its border: single strands stand off
UNDERLAP, FACE_UNDERLAP = 3, 0.028  # cells by which the shell goes on behind what is rendered, and metres behind the face
_SEAM_GAP, _SEAM_SLOPE = 0.004, 0.0012  # metres behind what is rendered there, at once and per cell
_FAR = 1e-6  # pull of cells that no border determines toward the head's middle


@dataclass(frozen=True)
class ShellField:
    """Surfaces [g, g] over the cells `inside`, metres along the optical axis; undefined elsewhere.

    Attributes:
        inside: [g, g] bool.
        front, back: depths; they meet at the silhouette and where the shell joins what is rendered.
        middle: depth halfway through, the continuation of the rendered surface.
    """

    inside: NDArray[np.bool_]
    front: FloatArray
    back: FloatArray
    middle: FloatArray


def shell_field(inside: NDArray[np.bool_], held: NDArray[np.bool_], depth: FloatArray, roundness: FloatArray,
                pixel: float, middle: float, deepest: float) -> ShellField:
    """Solves for a body over the cells `inside`.

    The middle surface is harmonic, equal to the rendered depth at cells `held` next to it and free at the silhouette. The body's
    half thickness h follows Δh² = −4 with h = 0 at the silhouette and at the held border, which makes bands half circles;
    at the border of the picture it is free, since the body goes on there.

    Args:
        inside: [g, g] cells to fill.
        held: [g, g] cells of the rendered person.
        depth: [g, g] metres at held cells.
        roundness: [g, g] 0..1, how much of the half circle is kept.
        pixel: metres that a cell measures at the head's distance.
        middle: depth of the middle of the head, metres.
        deepest: greatest half thickness, metres.
    """
    smooth = _smoothed(depth, held)
    row = np.full(inside.shape, -1, np.int64)
    row[inside] = np.arange(int(inside.sum()))
    plane = _solve(row, held, smooth, 0.0, middle, free_border=True)
    square = _solve(row, held, np.zeros(inside.shape), 2.0, 0.0, free_border=False)
    half = np.sqrt(np.maximum(square, 0)) * pixel * roundness
    half = deepest * np.tanh(half / deepest)
    return ShellField(inside, plane - FRONT_SHARE * half, plane + half, plane)


@dataclass(frozen=True)
class Seam:
    """Cells where the shell goes on behind what is rendered, so that no gap opens when the head turns.

    Attributes:
        cells: [g, g] bool; behind_face: those of them that lie behind the face.
        row, column: [g, g] nearest cell of the shell proper.
        away: [g, g] distance to it in cells.
    """

    cells: NDArray[np.bool_]
    behind_face: NDArray[np.bool_]
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    away: FloatArray


def seam_of(inside: NDArray[np.bool_], held: NDArray[np.bool_], face: NDArray[np.bool_], on_body: FloatArray,
            pixel: float) -> Seam:
    """A narrow seam under hair and clothes, a broad one behind the face, from which what hangs beside it stands off."""
    away, (row, column) = distance_transform_edt(~inside, return_indices=True)
    behind_face = face & ~inside & (away <= FACE_UNDERLAP / pixel) & (on_body[row, column] < 0.5)
    cells = behind_face | (held & ~face & ~inside & (away <= UNDERLAP))
    return Seam(cells, behind_face, row, column, away)


def underlapped(field: ShellField, seam: Seam, depth: FloatArray) -> ShellField:
    """The shell with its seam, behind the rendered `depth` [g, g]."""
    behind = depth + _SEAM_GAP + _SEAM_SLOPE * seam.away

    def continued(surface: FloatArray) -> FloatArray:
        carried_on = np.maximum(surface[seam.row, seam.column], behind)
        return np.where(seam.cells, np.where(seam.behind_face, carried_on, behind), surface)

    return ShellField(field.inside | seam.cells, continued(field.front), continued(field.back), continued(field.middle))


def _smoothed(depth: FloatArray, held: NDArray[np.bool_]) -> FloatArray:
    """Depth averaged over near held cells, without what lies far behind."""
    weight = held.astype(np.float32)
    value = np.where(held, depth, 0).astype(np.float32)
    size = (_BORDER_BLUR, _BORDER_BLUR)
    return cv2.blur(value, size) / np.maximum(cv2.blur(weight, size), 1e-6)


def _solve(row: NDArray[np.int64], held: NDArray[np.bool_], value: FloatArray, source: float, pull: float,
           free_border: bool) -> FloatArray:
    """Δu = −source over the cells that have a row; u = value at held neighbours.

    Neighbours that are neither inside nor held are left out of the equation (free border), or count as u = 0.
    """
    inside = row >= 0
    count = int(inside.sum())
    diagonal, right = np.full(count, _FAR), np.full(count, source + _FAR * pull)
    pairs = []
    for axis, step in ((0, 1), (0, -1), (1, 1), (1, -1)):
        neighbour, next_held = _shifted(row, axis, step, -1), _shifted(held, axis, step, False)
        exists = _shifted(np.ones(inside.shape, bool), axis, step, False)
        linked = inside & (neighbour >= 0)
        fixed = inside & (neighbour < 0) & (next_held if free_border else exists)
        pairs.append((row[linked], neighbour[linked]))
        diagonal += np.bincount(row[linked | fixed], minlength=count)
        right += np.bincount(row[fixed], (_shifted(value, axis, step, 0.0) * next_held)[fixed], minlength=count)
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    matrix = scipy.sparse.csc_matrix((np.full(len(rows), -1.0), (rows, columns)), (count, count)) + scipy.sparse.diags(diagonal)
    out = np.zeros(inside.shape)
    out[inside] = scipy.sparse.linalg.spsolve(matrix.tocsc(), right)
    return out


def _shifted(array: NDArray, axis: int, step: int, fill: float) -> NDArray:
    """The neighbour's value at every cell; `fill` beyond the border."""
    out = np.full_like(array, fill)
    here, there = [slice(None)] * 2, [slice(None)] * 2
    here[axis], there[axis] = (slice(None, -1), slice(1, None)) if step > 0 else (slice(1, None), slice(None, -1))
    out[tuple(here)] = array[tuple(there)]
    return out
