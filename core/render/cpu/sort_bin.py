"""Second stage of the CPU rasteriser: order the splats by depth and hand each to the tiles it touches."""

from __future__ import annotations

import numpy as np
from numba import njit

from core.render.cpu.project import NO_TILES

DIGIT_BITS = 11
DIGITS = 1 << DIGIT_BITS
DIGIT_MASK = DIGITS - 1


@njit(cache=True, nogil=True)
def sort_by_depth(depths, boxes, count, depth_range, histograms, by_low_digit, order):
    """Radix sort of the splats that are drawn, nearest first.

    Depths are compared by the 22 leading bits that differ within the cloud, of their float pattern: exactly for a head in
    front of the camera, and to a relative 1e-4 or better for anything. Equal depths stay in the order of the cloud.

    Args:
        depths, boxes: [≥ count] uint32, and depth_range: [2], as `project` leaves them.
        histograms: [2·(DIGITS + 1)] int32, by_low_digit: [≥ count] int64: working memory.
        order: [≥ count] int32, receives the numbers of the splats.

    Returns:
        How many there are.
    """
    nearest = depth_range[0]
    span = max(depth_range[1] - nearest, 0)
    shift = 0
    while span >> (shift + 2 * DIGIT_BITS):
        shift += 1
    low, high = histograms[:DIGITS + 1], histograms[DIGITS + 1:]
    histograms[:] = 0
    for i in range(count):
        if boxes[i] != NO_TILES:
            key = (np.int64(depths[i]) - nearest) >> shift
            low[(key & DIGIT_MASK) + 1] += 1
            high[(key >> DIGIT_BITS) + 1] += 1
    for digit in range(DIGITS):
        low[digit + 1] += low[digit]
        high[digit + 1] += high[digit]

    for i in range(count):
        if boxes[i] != NO_TILES:
            key = (np.int64(depths[i]) - nearest) >> shift
            digit = key & DIGIT_MASK
            by_low_digit[low[digit]] = (key << 32) | i
            low[digit] += 1
    drawn = low[DIGITS]
    for k in range(drawn):
        item = by_low_digit[k]
        digit = item >> (32 + DIGIT_BITS)
        order[high[digit]] = np.int32(item)
        high[digit] += 1
    return drawn


@njit(cache=True, nogil=True)
def count_tiles(boxes, count, columns, rows, starts):
    """Where each tile's list of splats begins.

    Every box adds ±1 at its four corners; running sums in x and y then give the number of boxes over each tile, with no
    loop, and no mispredicted branch, per box.

    Args:
        boxes: [≥ count] uint32 from `project`.
        starts: [≥ (columns + 1)·(rows + 1) + 1] int32, receives the beginning of tile t's list at t, the end of the last at
            columns·rows.

    Returns:
        Length of all lists together.
    """
    pitch = columns + 1
    starts[:] = 0
    for i in range(count):
        box = np.int64(boxes[i])
        x0, x1, y0, y1 = box & 255, (box >> 8) & 255, (box >> 16) & 255, box >> 24
        if x0 <= x1:
            starts[y0 * pitch + x0] += 1
            starts[y0 * pitch + x1 + 1] -= 1
            starts[(y1 + 1) * pitch + x0] -= 1
            starts[(y1 + 1) * pitch + x1 + 1] += 1
    for y in range(rows):
        for x in range(1, columns):
            starts[y * pitch + x] += starts[y * pitch + x - 1]
    for y in range(1, rows):
        for x in range(columns):
            starts[y * pitch + x] += starts[(y - 1) * pitch + x]
    total = 0
    for y in range(rows):
        for x in range(columns):
            splats = starts[y * pitch + x]
            starts[y * columns + x] = total
            total += splats
    starts[columns * rows] = total
    return total


@njit(cache=True, nogil=True)
def fill_tiles(boxes, order, drawn, columns, starts, cursors, entries):
    """Write each tile's list, nearest splat first.

    Args:
        boxes: from `project`; order, drawn: from `sort_by_depth`; starts: from `count_tiles`.
        cursors: [tiles + 3] int32 working memory.
        entries: [≥ total + 3] int32, receives the lists.
    """
    tiles = len(cursors) - 3
    for tile in range(tiles):
        cursors[tile] = starts[tile]
    for i in range(3):  # where a write goes that a narrow box does not need
        cursors[tiles + i] = starts[tiles] + i
    for rank in range(drawn):
        i = order[rank]
        box = np.int64(boxes[i])
        x0, x1, y0, y1 = box & 255, (box >> 8) & 255, (box >> 16) & 255, box >> 24
        if x1 - x0 <= 1 and y1 - y0 <= 1:
            wide, high = x1 - x0, y1 - y0
            corner = y0 * columns + x0
            _append(entries, cursors, corner, 1, i)
            _append(entries, cursors, corner + 1 if wide else tiles, wide, i)
            _append(entries, cursors, corner + columns if high else tiles + 1, high, i)
            _append(entries, cursors, corner + columns + 1 if wide & high else tiles + 2, wide & high, i)
        else:
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    _append(entries, cursors, y * columns + x, 1, i)


@njit(nogil=True)
def _append(entries, cursors, tile, step, value):
    """Write at a tile's cursor and move it by `step`; a step of 0 leaves the value to be overwritten."""
    cursor = cursors[tile]
    entries[cursor] = value
    cursors[tile] = cursor + step
