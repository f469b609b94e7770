"""Third stage of the CPU rasteriser: blend the splats of a tile front to back, in blocks of 4×4 pixels.

A tile of the picture is small enough to stay in the processor's inner caches. Its pixels are kept block by block (16
transmittances, then 16 reds, greens and blues), so that one vector is one block and every access is aligned. A splat
visits the blocks that its ellipse touches; bit masks, one integer per row of blocks, leave out the blocks in which nothing
more can be seen, so that what is hidden costs almost nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from core.render.cpu.project import (
    APEX,
    BLUE,
    CENTER_X,
    CENTER_Y,
    GREEN,
    HALF_HEIGHT,
    HALF_WIDTH,
    INVERSE_HALF_HEIGHT,
    LOG2_OPACITY,
    RED,
    SKEW,
    SPLAT_FLOATS,
    XX,
    XY,
    YY,
)
from core.render.cpu.simd import (
    LANES,
    any_lane,
    broadcast,
    exp2,
    fma,
    lane_numbers,
    load,
    lowest_bit,
    mask_bits,
    maximum,
    minimum,
    prefetch,
    select,
    store,
    store_block,
    to_float,
    to_int,
)
from core.render.reference import ALPHA_MAX, TRANSMITTANCE_MIN

BLOCK = 4  # pixels on a side; BLOCK² = LANES
TILE_ROWS = LANES  # rows of blocks in a tile: one lane each
TILE_HEIGHT = BLOCK * TILE_ROWS
TILE_COLUMNS = 16
TILE_WIDTH = BLOCK * TILE_COLUMNS
BLOCK_FLOATS = 4 * LANES
TILE_FLOATS = TILE_ROWS * TILE_COLUMNS * BLOCK_FLOATS
PREFETCH_DISTANCE = 8


@njit(cache=True, nogil=True)
def blend_tiles(splats, starts, entries, first_tile, end_tile, columns, width, height, alpha_min, background, state, picture):
    """Draw a range of tiles.

    Args:
        splats: [16·N] float32, from `project`; starts, entries: from `sort_and_bin`. `entries` is readable up to
            `PREFETCH_DISTANCE` beyond its last value, with valid numbers of splats there.
        alpha_min: contributions below it are skipped.
        background: [3] float32 that shows through.
        state: [TILE_FLOATS + 32] float32 working memory.
        picture: [height·width] uint32, receives RGBA with R in the low byte.
    """
    live = np.zeros(LANES, np.int32)
    spans = np.zeros(LANES, np.int32)
    for tile in range(first_tile, end_tile):
        left, top = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        block_columns = min(TILE_COLUMNS, (width - left + BLOCK - 1) // BLOCK)
        block_rows = min(TILE_ROWS, (height - top + BLOCK - 1) // BLOCK)
        _clear(state, live, block_rows, block_columns)
        if starts[tile + 1] > starts[tile]:
            _blend_entries(splats, entries, starts[tile], starts[tile + 1], left, top, alpha_min, live, spans, state)
        _resolve(state, block_rows, block_columns, left, top, width, height, background, picture)


@njit(nogil=True)
def _clear(state, live, block_rows, block_columns):
    """Full transmittance, no colour; the blocks inside the picture are live."""
    one, zero = broadcast(np.float32(1)), broadcast(np.float32(0))
    for row in range(TILE_ROWS):
        live[row] = (1 << block_columns) - 1 if row < block_rows else 0
        for column in range(TILE_COLUMNS):
            block = (row * TILE_COLUMNS + column) * BLOCK_FLOATS
            store(state, block, one)
            store(state, block + LANES, zero)
            store(state, block + 2 * LANES, zero)
            store(state, block + 3 * LANES, zero)


@njit(nogil=True)
def _blend_entries(splats, entries, first, end, left, top, alpha_min, live, spans, state):
    log2_alpha_min = broadcast(np.float32(math.log2(alpha_min)))
    alpha_max = broadcast(np.float32(ALPHA_MAX))
    transmittance_min = broadcast(np.float32(TRANSMITTANCE_MIN))
    zero = broadcast(np.float32(0))
    lane = lane_numbers()
    three = broadcast(np.int32(3))
    lane_x, lane_y = to_float(lane & three), to_float(lane >> broadcast(np.int32(2)))
    left, top = np.float32(left), np.float32(top)

    for k in range(first, end):
        prefetch(splats, np.int64(entries[k + PREFETCH_DISTANCE]) * SPLAT_FLOATS)
        splat = splats[np.int64(entries[k]) * SPLAT_FLOATS:]
        center_x, center_y = splat[CENTER_X] - left, splat[CENTER_Y] - top
        touched = _live_blocks(splat, center_x, center_y, live)
        rows = mask_bits(touched != broadcast(np.int32(0)))
        if rows == 0:
            continue
        store(spans, 0, touched)
        xx, xy, yy = broadcast(splat[XX]), broadcast(splat[XY]), broadcast(splat[YY])
        log2_opacity = broadcast(splat[LOG2_OPACITY])
        red, green, blue = broadcast(splat[RED]), broadcast(splat[GREEN]), broadcast(splat[BLUE])
        from_center_x = lane_x - broadcast(center_x)
        from_center_y = lane_y - broadcast(center_y)
        while rows != 0:
            row = lowest_bit(rows)
            rows &= rows - 1
            dy = from_center_y + broadcast(np.float32(BLOCK * row))
            constant = fma(yy * dy, dy, log2_opacity)
            linear = xy * dy
            span = np.int64(spans[row])
            while span != 0:
                column = lowest_bit(span)
                span &= span - 1
                block = (row * TILE_COLUMNS + column) * BLOCK_FLOATS
                dx = from_center_x + broadcast(np.float32(BLOCK * column))
                log2_alpha = fma(fma(xx, dx, linear), dx, constant)
                transmittance = load(state, block)
                contributes = (log2_alpha >= log2_alpha_min) & (transmittance > transmittance_min)
                alpha = minimum(exp2(log2_alpha), alpha_max)
                weight = select(contributes, alpha * transmittance, zero)
                transmittance = transmittance - weight
                store(state, block, transmittance)
                store(state, block + LANES, fma(weight, red, load(state, block + LANES)))
                store(state, block + 2 * LANES, fma(weight, green, load(state, block + 2 * LANES)))
                store(state, block + 3 * LANES, fma(weight, blue, load(state, block + 3 * LANES)))
                if not any_lane(transmittance > transmittance_min):
                    live[row] &= ~(1 << column)


@njit(nogil=True)
def _live_blocks(splat, center_x, center_y, live):
    """For each row of blocks, the bits of the live blocks that the splat's ellipse touches.

    Within a row the ellipse reaches farthest to the right where |dy − APEX| is least, and to the left where |dy + APEX| is.
    """
    zero = broadcast(np.float32(0))
    half_height = broadcast(splat[HALF_HEIGHT])
    y0 = to_float(lane_numbers()) * broadcast(np.float32(BLOCK)) - broadcast(center_y)
    y1 = y0 + broadcast(np.float32(BLOCK - 1))
    inside = (y1 >= zero - half_height) & (half_height >= y0)

    apex = broadcast(splat[APEX])
    dy_right = minimum(maximum(apex, y0), y1)
    dy_left = minimum(maximum(zero - apex, y0), y1)
    inverse_height = broadcast(splat[INVERSE_HALF_HEIGHT])
    skew, half_width, x = broadcast(splat[SKEW]), broadcast(splat[HALF_WIDTH]), broadcast(center_x)
    right = fma(half_width, _chord(dy_right * inverse_height), fma(skew, dy_right, x))
    left = fma(skew, dy_left, x) - half_width * _chord(dy_left * inverse_height)

    per_block = broadcast(np.float32(1 / BLOCK))
    last = broadcast(np.float32(TILE_COLUMNS - 1))
    # First block whose last pixel lies right of the left end, and last block whose first pixel lies left of the right end.
    first_column = to_int(maximum(minimum(fma(left, per_block, per_block), last + broadcast(np.float32(1))), zero))
    end_column = to_int(maximum(minimum(fma(right, per_block, broadcast(np.float32(1))), last + broadcast(np.float32(1))), zero))
    one = broadcast(np.int32(1))
    nothing = broadcast(np.int32(0))
    span = (one << end_column) - (one << first_column)
    return select(inside & (end_column >= first_column), span & load(live, 0), nothing)


@njit(nogil=True)
def _chord(height):
    """An upper bound of sqrt(1 − height²): the least of three tangents of the square root, cheaper than the root itself."""
    square = maximum(fma(broadcast(np.float32(-1)) * height, height, broadcast(np.float32(1))), broadcast(np.float32(0)))
    half = broadcast(np.float32(0.5))
    near_middle = fma(square, half, half)
    between = square + broadcast(np.float32(0.25))
    near_end = fma(square, broadcast(np.float32(2.0)), broadcast(np.float32(0.125)))
    return minimum(near_middle, minimum(between, near_end))


@njit(nogil=True)
def _resolve(state, block_rows, block_columns, left, top, width, height, background, picture):
    """Let the background through and write the tile into the picture as 8-bit RGBA."""
    one = broadcast(np.float32(1))
    red_behind, green_behind, blue_behind = broadcast(background[0]), broadcast(background[1]), broadcast(background[2])
    edge = np.empty(LANES, np.uint32)
    for row in range(block_rows):
        for column in range(block_columns):
            block = (row * TILE_COLUMNS + column) * BLOCK_FLOATS
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
