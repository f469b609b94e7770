"""Third stage of the CPU rasteriser: blend the splats of a tile front to back, in blocks of 4×4 pixels.

A tile is small enough to stay in the processor's innermost cache. Its pixels are kept block by block (16 transmittances,
then 16 reds, greens and blues), so that one vector is one block. The splats of a tile are taken in batches, in two steps:
list the blocks that each splat's ellipse touches and in which something can still be seen; then blend along that list.
Neither step has branches that depend on a splat's shape. Mispredicted branches, not arithmetic, are what limits the
obvious loop over rows and columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from core.render.cpu.lanes import LANES
from core.render.cpu.memory import (
    broadcast_at,
    element,
    load,
    load_bytes,
    memory_fence,
    prefetch,
    store,
    store_block,
    store_bytes,
)
from core.render.cpu.project import (
    BLOCK,
    BLUE,
    CENTER_X,
    CENTER_Y,
    CORRELATION,
    GREEN,
    HALF_CHORD,
    INVERSE_HALF_HEIGHT,
    LOG2_OPACITY,
    LOG2_SCALE,
    RED,
    SKEW,
    SPLAT_FLOATS,
    U_X,
    U_Y,
    V_Y,
)
from core.render.cpu.simd import (
    any_lane,
    broadcast,
    count_bits,
    exp2_scaled,
    fma,
    fnma,
    lane_numbers,
    lowest_bit,
    mask_bits,
    maximum,
    minimum,
    select,
    to_float,
    to_int,
)
from core.render.reference import ALPHA_MAX

TILE_ROWS = LANES  # rows of blocks in a tile: one lane each
TILE_COLUMNS = 8  # blocks in a row: one bit of a byte each
TILE_HEIGHT, TILE_WIDTH = BLOCK * TILE_ROWS, BLOCK * TILE_COLUMNS
BLOCK_FLOATS = 4 * LANES
ROW_FLOATS = (TILE_COLUMNS + 1) * BLOCK_FLOATS  # one block of padding, so that rows do not compete for the same cache lines
TILE_FLOATS = TILE_ROWS * ROW_FLOATS

BATCH = 64
LISTED = BATCH * TILE_ROWS * TILE_COLUMNS + 64  # the worst case, and what the last writes of eight may touch beyond it
PREFETCH_DISTANCE = 16
EVERY_BYTE = 0x0101010101010101

# A pixel is finished at T ≤ 1/1024 rather than at the reference's 1e-4: what could still come is a quarter of an 8-bit step.
TRANSMITTANCE_MIN = 1 / 1024

# Set bits of each byte as a list of bytes: POSITIONS[0b100110] = 1, 2, 5 from the lowest byte up.
POSITIONS = np.array([[b for b in range(8) if byte >> b & 1] + [0] * (8 - bin(byte).count("1")) for byte in range(256)],
                     np.uint8).reshape(-1)

# Where a batch's copy of a splat keeps what depends on the tile: u = U_X·x + U_Y·y + U_0 and v = V_Y·y + V_0.
U_0, V_0 = CENTER_X, CENTER_Y


class Workspace(NamedTuple):
    """Working memory of one thread. The float arrays begin at cache lines.

    Attributes:
        state: [TILE_FLOATS] the tile's transmittance and colour.
        batch: [BATCH·16] copies of the splats of a batch.
        pixel_x: [TILE_COLUMNS·16] and pixel_y: [TILE_ROWS·16], coordinates of the pixels of each column and row of blocks.
        live: [16] int32, for each row of blocks a bit for every block in which something can still be seen.
        spans: [16 + 16] uint8, for each row of blocks the blocks that a splat touches.
        blocks, owners: [LISTED] uint8, the list to blend along: number of the block, number of the splat in the batch.
    """

    state: np.ndarray
    batch: np.ndarray
    pixel_x: np.ndarray
    pixel_y: np.ndarray
    live: np.ndarray
    spans: np.ndarray
    blocks: np.ndarray
    owners: np.ndarray


@njit(cache=True, nogil=True)
def blend_tiles(splats, starts, entries, columns, width, height, alpha_min, background, workspace, picture, ends, from_tail,
                finished):
    """Draw tiles from one end of the list of tiles until the other end's worker is met.

    Two threads may draw a picture together, one from each end. They share no lock: each moves its own end only, so at
    worst both draw the tile at which they meet, with the same result.

    Args:
        splats: [16·N] float32, from `project`; starts, entries: from `count_tiles` and `fill_tiles`. `entries` is readable
            up to `PREFETCH_DISTANCE` beyond its last value, with valid numbers of splats there.
        columns: number of tiles in a row.
        alpha_min: contributions below it are skipped.
        background: [3] float32 that shows through.
        picture: [height·width] uint32, receives RGBA with R in the low byte.
        ends: [2] int64, the first and the last tile that nobody has taken.
        from_tail: which end to take tiles from.
        finished: [tiles] uint8, set to 1 for each tile that is complete in `picture`.
    """
    while ends[0] <= ends[1]:
        if from_tail:
            tile = ends[1]
            ends[1] = tile - 1
        else:
            tile = ends[0]
            ends[0] = tile + 1
        left, top = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        block_columns = min(TILE_COLUMNS, (width - left + BLOCK - 1) // BLOCK)
        block_rows = min(TILE_ROWS, (height - top + BLOCK - 1) // BLOCK)
        _clear(workspace, block_rows, block_columns)
        for start in range(starts[tile], starts[tile + 1], BATCH):
            end = min(start + BATCH, starts[tile + 1])
            listed = list_blocks(splats, entries, start, end, left, top, workspace)
            _blend_blocks(listed, alpha_min, workspace)
            if not _find_live_blocks(workspace):
                break
        _resolve(workspace.state, block_rows, block_columns, left, top, width, height, background, picture)
        memory_fence()
        finished[tile] = 1


@njit(nogil=True)
def _clear(workspace, block_rows, block_columns):
    """Full transmittance, no colour; the blocks inside the picture are live."""
    one, zero = broadcast(np.float32(1)), broadcast(np.float32(0))
    for row in range(TILE_ROWS):
        workspace.live[row] = (1 << block_columns) - 1 if row < block_rows else 0
        for column in range(TILE_COLUMNS):
            block = row * ROW_FLOATS + column * BLOCK_FLOATS
            store(workspace.state, block, one)
            store(workspace.state, block + LANES, zero)
            store(workspace.state, block + 2 * LANES, zero)
            store(workspace.state, block + 3 * LANES, zero)


@njit(nogil=True)
def list_blocks(splats, entries, start, end, left, top, workspace):
    """Copy the splats of a batch and list the live blocks that each touches, front to back.

    Returns:
        Length of the list.
    """
    origin_x, origin_y = broadcast(np.float32(left)), broadcast(np.float32(top))
    live = load(workspace.live, 0)
    nothing = broadcast(np.int32(0))
    listed = 0
    for k in range(start, end):
        prefetch(splats, element(entries, k + PREFETCH_DISTANCE) * SPLAT_FLOATS)
        splat = element(entries, k) * SPLAT_FLOATS
        center_x, center_y = broadcast_at(splats, splat + CENTER_X) - origin_x, broadcast_at(splats, splat + CENTER_Y) - origin_y
        touched = _touched_blocks(splats, splat, center_x, center_y) & live
        rows = mask_bits(touched != nothing)
        if rows == 0:
            continue
        _copy_splat(splats, splat, center_x, center_y, workspace.batch, (k - start) * SPLAT_FLOATS)
        store_bytes(workspace.spans, 0, touched)
        owner = (k - start) * EVERY_BYTE
        while rows != 0:  # most splats touch four rows or fewer: one pass
            row = lowest_bit(rows)
            rows &= ~(np.int64(15) << row)
            for i in range(4):
                span = element(workspace.spans, row + i)
                positions = load_bytes(POSITIONS, 8 * span) + (row + i) * TILE_COLUMNS * EVERY_BYTE
                store_bytes(workspace.blocks, listed, positions)
                store_bytes(workspace.owners, listed, owner)
                listed += count_bits(span)
    return listed


@njit(nogil=True)
def _copy_splat(splats, source, center_x, center_y, batch, target):
    """Copy a splat, with u and v as functions of the position in the tile instead of the distance to the center."""
    zero = broadcast(np.float32(0))
    u_0 = zero - fma(broadcast_at(splats, source + U_X), center_x, broadcast_at(splats, source + U_Y) * center_y)
    v_0 = zero - broadcast_at(splats, source + V_Y) * center_y
    lane = lane_numbers()
    values = load(splats, source)
    values = select(broadcast(np.int32(U_0)) != lane, values, u_0)
    values = select(broadcast(np.int32(V_0)) != lane, values, v_0)
    store(batch, target, values)


@njit(nogil=True)
def _touched_blocks(splats, splat, center_x, center_y):
    """For each row of blocks, the bits of the blocks that a splat's ellipse touches.

    Heights are in units of the ellipse's half-height. Within a row the ellipse reaches farthest to the right where the
    height is nearest to CORRELATION, and to the left where it is nearest to −CORRELATION. Rows beside the ellipse get a
    chord of negative length.
    """
    per_height = broadcast_at(splats, splat + INVERSE_HALF_HEIGHT)
    y0 = (to_float(lane_numbers()) * broadcast(np.float32(BLOCK)) - center_y) * per_height
    y1 = fma(per_height, broadcast(np.float32(BLOCK - 1)), y0)
    correlation = broadcast_at(splats, splat + CORRELATION)
    height_right = minimum(maximum(correlation, y0), y1)
    height_left = minimum(maximum(broadcast(np.float32(0)) - correlation, y0), y1)

    skew, half_chord = broadcast_at(splats, splat + SKEW), broadcast_at(splats, splat + HALF_CHORD)
    x = center_x * broadcast(np.float32(1 / BLOCK))
    # The first block is the first whose last pixel is not left of the left end, the end is one past the right end's block.
    one = broadcast(np.float32(1))
    right = fma(half_chord, _chord(height_right), fma(skew, height_right, x + one))
    left = fnma(half_chord, _chord(height_left), fma(skew, height_left, x + broadcast(np.float32(1 / BLOCK))))
    zero, end = broadcast(np.float32(0)), broadcast(np.float32(TILE_COLUMNS))
    first_column = to_int(minimum(maximum(left, zero), end))
    end_column = maximum(to_int(minimum(maximum(right, zero), end)), first_column)
    bit = broadcast(np.int32(1))
    return (bit << end_column) - (bit << first_column)


@njit(nogil=True)
def _chord(height):
    """An upper bound of sqrt(1 − height²) from two tangents of the square root, cheaper than the root itself."""
    square = fnma(height, height, broadcast(np.float32(1)))
    near_middle = fma(square, broadcast(np.float32(0.5 / 0.9)), broadcast(np.float32(0.5 * 0.9)))
    near_end = fma(square, broadcast(np.float32(0.5 / 0.35)), broadcast(np.float32(0.5 * 0.35)))
    return minimum(near_middle, near_end)


@njit(nogil=True)
def _blend_blocks(listed, alpha_min, workspace):
    """Rule 3 of the reference along the list of a batch."""
    state, batch = workspace.state, workspace.batch
    log2_alpha_min = broadcast(np.float32(LOG2_SCALE * math.log2(alpha_min)))
    alpha_max = broadcast(np.float32(ALPHA_MAX))
    zero = broadcast(np.float32(0))
    for i in range(listed):
        splat = element(workspace.owners, i) * SPLAT_FLOATS
        number = element(workspace.blocks, i)
        row, column = number // TILE_COLUMNS, number % TILE_COLUMNS
        block = row * ROW_FLOATS + column * BLOCK_FLOATS
        y = load(workspace.pixel_y, row * LANES)
        u = fma(broadcast_at(batch, splat + U_X), load(workspace.pixel_x, column * LANES),
                fma(broadcast_at(batch, splat + U_Y), y, broadcast_at(batch, splat + U_0)))
        v = fma(broadcast_at(batch, splat + V_Y), y, broadcast_at(batch, splat + V_0))
        log2_alpha = fnma(u, u, fnma(v, v, broadcast_at(batch, splat + LOG2_OPACITY)))
        transmittance = load(state, block)
        alpha = minimum(exp2_scaled(log2_alpha), alpha_max)
        weight = select(log2_alpha >= log2_alpha_min, alpha * transmittance, zero)
        store(state, block, transmittance - weight)
        store(state, block + LANES, fma(weight, broadcast_at(batch, splat + RED), load(state, block + LANES)))
        store(state, block + 2 * LANES, fma(weight, broadcast_at(batch, splat + GREEN), load(state, block + 2 * LANES)))
        store(state, block + 3 * LANES, fma(weight, broadcast_at(batch, splat + BLUE), load(state, block + 3 * LANES)))


@njit(nogil=True)
def _find_live_blocks(workspace):
    """Drop the blocks that have become opaque from the live ones.

    Returns:
        Whether any is left.
    """
    limit = broadcast(np.float32(TRANSMITTANCE_MIN))
    left_over = np.int64(0)
    for row in range(TILE_ROWS):
        live = np.int64(workspace.live[row])
        if live != 0:
            translucent = np.int64(0)
            for column in range(TILE_COLUMNS):
                transmittance = load(workspace.state, row * ROW_FLOATS + column * BLOCK_FLOATS)
                translucent |= np.int64(any_lane(transmittance > limit)) << column
            live &= translucent
            workspace.live[row] = live
            left_over |= live
    return left_over != 0


@njit(nogil=True)
def _resolve(state, block_rows, block_columns, left, top, width, height, background, picture):
    """Let the background through and write the tile into the picture as 8-bit RGBA."""
    one = broadcast(np.float32(1))
    red_behind, green_behind, blue_behind = broadcast(background[0]), broadcast(background[1]), broadcast(background[2])
    edge = np.empty(LANES, np.uint32)
    for row in range(block_rows):
        for column in range(block_columns):
            block = row * ROW_FLOATS + column * BLOCK_FLOATS
            transmittance = load(state, block)
            red = _to_byte(fma(transmittance, red_behind, load(state, block + LANES)))
            green = _to_byte(fma(transmittance, green_behind, load(state, block + 2 * LANES)))
            blue = _to_byte(fma(transmittance, blue_behind, load(state, block + 3 * LANES)))
            alpha = _to_byte(one - transmittance)
            eight = broadcast(np.int32(8))
            rgba = red | ((green | ((blue | (alpha << eight)) << eight)) << eight)
            x, y = left + BLOCK * column, top + BLOCK * row
            if x + BLOCK <= width and y + BLOCK <= height:
                store_block(picture, y * width + x, width, rgba)
            else:
                store(edge, 0, rgba)
                for j in range(min(BLOCK, height - y)):
                    for i in range(min(BLOCK, width - x)):
                        picture[(y + j) * width + x + i] = edge[BLOCK * j + i]


@njit(nogil=True)
def _to_byte(value):
    clamped = minimum(maximum(value, broadcast(np.float32(0))), broadcast(np.float32(1)))
    return to_int(fma(clamped, broadcast(np.float32(255)), broadcast(np.float32(0.5))))
