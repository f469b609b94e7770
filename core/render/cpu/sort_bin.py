"""Second stage of the CPU rasteriser: order the splats by depth and hand each to the tiles it touches."""

from __future__ import annotations

import numpy as np
from numba import njit

from core.render.cpu.project import NO_TILES

DEPTH_BINS = 1 << 15


@njit(cache=True, nogil=True)
def sort_and_bin(depths, boxes, count, depth_range, columns, histogram, order, starts, cursors, entries):
    """Counting sort by depth, then a counting sort by tile that keeps the order.

    Depths are compared by the leading bits of their float pattern, so many that the cloud's range fills `DEPTH_BINS`:
    a head at 1.3 m gets bins of a few micrometres. Splats of the same bin stay in the order of the cloud.

    Args:
        depths, boxes: [≥ count] uint32, and depth_range: [2], as `project` leaves them.
        columns: number of tiles in a row.
        histogram: [DEPTH_BINS + 1] int32; order: [≥ count] int32; cursors: [tiles] int32: working memory.
        starts: [tiles + 1] int32, receives where each tile's entries begin.
        entries: [E] int32, receives the splats of all tiles, front to back within a tile.

    Returns:
        The number of entries. When it is greater than E, nothing was written to `entries`.
    """
    nearest = depth_range[0]
    shift = 0
    while (depth_range[1] - nearest) >> shift >= DEPTH_BINS:
        shift += 1
    histogram[:] = 0
    starts[:] = 0
    for i in range(count):
        box = np.int64(boxes[i])
        if box == NO_TILES:
            continue
        histogram[((np.int64(depths[i]) - nearest) >> shift) + 1] += 1
        x0, x1, y0, y1 = box & 255, (box >> 8) & 255, (box >> 16) & 255, box >> 24
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                starts[y * columns + x + 1] += 1
    for i in range(DEPTH_BINS):
        histogram[i + 1] += histogram[i]
    for tile in range(len(cursors)):
        starts[tile + 1] += starts[tile]
        cursors[tile] = starts[tile]
    total = starts[len(cursors)]
    if total > len(entries):
        return total

    for i in range(count):
        if boxes[i] != NO_TILES:
            depth_bin = (np.int64(depths[i]) - nearest) >> shift
            order[histogram[depth_bin]] = i
            histogram[depth_bin] += 1
    for rank in range(histogram[DEPTH_BINS]):
        i = order[rank]
        box = np.int64(boxes[i])
        x0, x1, y0, y1 = box & 255, (box >> 8) & 255, (box >> 16) & 255, box >> 24
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                tile = y * columns + x
                entries[cursors[tile]] = i
                cursors[tile] += 1
    return total
