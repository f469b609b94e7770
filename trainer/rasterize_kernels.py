"""Blending of splats front to back and its gradient, sixteen pixels at a time.

The stages before it are those of the CPU renderer (`core.render.cpu`): projection, sorting by depth, lists of splats per tile
and of blocks of 4×4 pixels per splat. Nothing is stored per pixel and splat. The gradient walks front to back once more: with

    L = Σ_pixels g·C + h·(1 − T),   s_i = g·c_i + h,   w_i = α_i T_i   (T_i: transmittance in front of splat i)

it needs, besides T_i, only what the splats behind i contribute to L, R_i = Σ_{j > i} w_j s_j. That is the whole, known from the
picture, minus what has been passed:  ∂L/∂log α_i = w_i s_i − α_i R_i / (1 − α_i).
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir
from numba import njit
from numba.extending import intrinsic

from core.render.cpu.blend import BATCH, TILE_COLUMNS, TILE_HEIGHT, TILE_ROWS, TILE_WIDTH, U_0, V_0, Workspace, list_blocks
from core.render.cpu.lanes import FLOATS, INTS, LANES, float_constant, float_lanes, fused_multiply_add, int_constant
from core.render.cpu.memory import broadcast_at, element, load, store, store_block, store_transposed
from core.render.cpu.project import (
    BLOCK,
    BLUE,
    GREEN,
    LOG2_OPACITY,
    LOG2_SCALE,
    RED,
    SPLAT_FLOATS,
    U_X,
    U_Y,
    V_Y,
)
from core.render.cpu.rasterizer import aligned_floats, make_workspace
from core.render.cpu.simd import any_lane, broadcast, exp2_coefficients, fma, fnma, minimum, select
from core.render.reference import ALPHA_MAX

GROUP = 3  # colour channels that are blended in one pass

# Of every block of a tile: transmittance, then three colours (forward), or what is still to come and the four upstream
# gradients (backward). Blocks of a tile beyond the picture's edge are kept at zero.
PLANES = 6
TRANSMITTANCE, FIRST_COLOR = 0, 1
TO_COME, FIRST_GRADIENT, COVERAGE_GRADIENT = 1, 2, 5
BLOCK_FLOATS = PLANES * LANES
ROW_FLOATS = TILE_COLUMNS * BLOCK_FLOATS + LANES  # padded, so that rows do not compete for the same cache lines
TILE_FLOATS = TILE_ROWS * ROW_FLOATS

# A splat's record of gradients. With p = ∂L/∂log α and (u, v) as `core.render.cpu.project` defines them: the sums over the
# pixels of p, pu, pv, puu, puv, pvv; then of the colours, where the splat has its colours.
RECORD_FLOATS = SPLAT_FLOATS
SUM_P, SUM_U, SUM_V, SUM_UU, SUM_UV, SUM_VV = range(6)
FIRST_SUM_OF_COLOR = RED


def make_blend_workspace() -> Workspace:
    """Working memory of the kernels of this module."""
    return make_workspace()._replace(state=aligned_floats(TILE_FLOATS))


_EXP2_COEFFICIENTS = exp2_coefficients(5)  # to 2e-7


@intrinsic
def _exp2_fine(typing_context, value):
    """2^(value·2⁻²³), as `exp2_scaled` of the renderer but exact to float32: gradients show what a picture does not."""
    if value != float_lanes:
        return None

    def generate(context, builder, sig, args):
        fixed = builder.fptosi(args[0], INTS)
        mantissa = builder.or_(builder.and_(fixed, int_constant(0x007FFFFF)), int_constant(0x3F800000))
        mantissa = builder.bitcast(mantissa, FLOATS)
        polynomial = float_constant(_EXP2_COEFFICIENTS[0])
        for coefficient in _EXP2_COEFFICIENTS[1:]:
            polynomial = fused_multiply_add(builder, polynomial, mantissa, float_constant(coefficient))
        exponent = builder.and_(fixed, ir.Constant(INTS, [-0x00800000] * LANES))
        return builder.bitcast(builder.add(builder.bitcast(polynomial, INTS), exponent), FLOATS)

    return float_lanes(value), generate


# ---- forward ---------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def blend_forward(splats, starts, entries, columns, width, height, alpha_min, transmittance_min, workspace, color, alpha):
    """Draw all tiles.

    Args:
        splats: [16·N] float32, from `project`; starts, entries: from `count_tiles` and `fill_tiles`.
        columns: number of tiles in a row.
        alpha_min: contributions below it are skipped.
        transmittance_min: a block is finished when all its pixels are at or below it.
        workspace: from `make_blend_workspace`.
        color: [3·height·width] float32, receives three planes; alpha: [height·width], receives the coverage.
    """
    edge = np.empty(LANES, np.float32)
    for tile in range(columns * ((height + TILE_HEIGHT - 1) // TILE_HEIGHT)):
        left, top = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        block_columns = min(TILE_COLUMNS, (width - left + BLOCK - 1) // BLOCK)
        block_rows = min(TILE_ROWS, (height - top + BLOCK - 1) // BLOCK)
        _begin_tile(workspace, block_rows, block_columns)
        for start in range(starts[tile], starts[tile + 1], BATCH):
            end = min(start + BATCH, starts[tile + 1])
            listed = list_blocks(splats, entries, start, end, left, top, workspace)
            _add_colors(listed, alpha_min, workspace)
            if not _find_live_blocks(workspace, transmittance_min):
                break
        for row in range(block_rows):
            for column in range(block_columns):
                block = row * ROW_FLOATS + column * BLOCK_FLOATS
                x, y = left + BLOCK * column, top + BLOCK * row
                coverage = broadcast(np.float32(1)) - load(workspace.state, block)
                _write_block(coverage, alpha, 0, x, y, width, height, edge)
                for channel in range(GROUP):
                    value = load(workspace.state, block + (FIRST_COLOR + channel) * LANES)
                    _write_block(value, color, channel * width * height, x, y, width, height, edge)


@njit(nogil=True)
def _begin_tile(workspace, block_rows, block_columns):
    """Full transmittance and nothing else; the blocks inside the picture are live."""
    one, zero = broadcast(np.float32(1)), broadcast(np.float32(0))
    for row in range(TILE_ROWS):
        workspace.live[row] = (1 << block_columns) - 1 if row < block_rows else 0
        for column in range(TILE_COLUMNS):
            block = row * ROW_FLOATS + column * BLOCK_FLOATS
            store(workspace.state, block, one)
            for plane in range(1, PLANES):
                store(workspace.state, block + plane * LANES, zero)


@njit(nogil=True)
def _add_colors(listed, alpha_min, workspace):
    """Rule 3 of the reference along the list of a batch."""
    state, batch = workspace.state, workspace.batch
    log2_alpha_min = broadcast(np.float32(LOG2_SCALE * math.log2(alpha_min)))
    alpha_max, zero = broadcast(np.float32(ALPHA_MAX)), broadcast(np.float32(0))
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
        alpha = select(log2_alpha >= log2_alpha_min, minimum(_exp2_fine(log2_alpha), alpha_max), zero)
        weight = alpha * transmittance
        store(state, block, transmittance - weight)
        red, green, blue = block + LANES, block + 2 * LANES, block + 3 * LANES
        store(state, red, fma(weight, broadcast_at(batch, splat + RED), load(state, red)))
        store(state, green, fma(weight, broadcast_at(batch, splat + GREEN), load(state, green)))
        store(state, blue, fma(weight, broadcast_at(batch, splat + BLUE), load(state, blue)))


@njit(nogil=True)
def _find_live_blocks(workspace, transmittance_min):
    """Drop the blocks that are finished from the live ones.

    Returns:
        Whether any is left.
    """
    limit = broadcast(np.float32(transmittance_min))
    left_over = np.int64(0)
    for row in range(TILE_ROWS):
        live = np.int64(workspace.live[row])
        if live != 0:
            unfinished = np.int64(0)
            for column in range(TILE_COLUMNS):
                transmittance = load(workspace.state, row * ROW_FLOATS + column * BLOCK_FLOATS)
                unfinished |= np.int64(any_lane(transmittance > limit)) << column
            live &= unfinished
            workspace.live[row] = live
            left_over |= live
    return left_over != 0


@njit(nogil=True)
def _write_block(value, picture, offset, x, y, width, height, edge):
    """Write 4×4 pixels at (x, y), or those of them that lie in the picture."""
    if x + BLOCK <= width and y + BLOCK <= height:
        store_block(picture, offset + y * width + x, width, value)
    else:
        store(edge, 0, value)
        for j in range(min(BLOCK, height - y)):
            for i in range(min(BLOCK, width - x)):
                picture[offset + (y + j) * width + x + i] = edge[BLOCK * j + i]


# ---- backward --------------------------------------------------------------------------------------------------------


@njit(cache=True, nogil=True)
def blend_backward(splats, starts, entries, columns, width, height, alpha_min, transmittance_min, workspace, color, alpha,
                   color_gradient, alpha_gradient, corner, records):
    """Gradients of the splats.

    Args:
        splats … alpha: as `blend_forward` had them and left them.
        color_gradient: [3·height·width] float32; alpha_gradient: [height·width]: the upstream gradient.
        corner: [256] float32 working memory.
        records: [16·N] float32, the sums described at the top of the module are added to it.
    """
    for tile in range(columns * ((height + TILE_HEIGHT - 1) // TILE_HEIGHT)):
        if starts[tile] == starts[tile + 1]:
            continue
        left, top = (tile % columns) * TILE_WIDTH, (tile // columns) * TILE_HEIGHT
        block_columns = min(TILE_COLUMNS, (width - left + BLOCK - 1) // BLOCK)
        block_rows = min(TILE_ROWS, (height - top + BLOCK - 1) // BLOCK)
        _begin_tile(workspace, block_rows, block_columns)
        _read_gradients(workspace.state, left, top, width, height, color, alpha, color_gradient, alpha_gradient)
        for start in range(starts[tile], starts[tile + 1], BATCH):
            end = min(start + BATCH, starts[tile + 1])
            listed = list_blocks(splats, entries, start, end, left, top, workspace)
            _add_gradients(listed, alpha_min, workspace, entries, start, corner, records)
            if not _find_live_blocks(workspace, transmittance_min):
                break


@njit(nogil=True)
def _read_gradients(state, left, top, width, height, color, alpha, color_gradient, alpha_gradient):
    """Fill the upstream gradient and its product with the picture into the tile's blocks."""
    pixels = width * height
    for y in range(top, min(top + TILE_HEIGHT, height)):
        row = (y - top) // BLOCK * ROW_FLOATS + (y - top) % BLOCK * BLOCK
        for x in range(left, min(left + TILE_WIDTH, width)):
            target = row + (x - left) // BLOCK * BLOCK_FLOATS + (x - left) % BLOCK
            pixel = y * width + x
            total = alpha_gradient[pixel] * alpha[pixel]
            state[target + COVERAGE_GRADIENT * LANES] = alpha_gradient[pixel]
            for channel in range(GROUP):
                gradient = color_gradient[channel * pixels + pixel]
                state[target + (FIRST_GRADIENT + channel) * LANES] = gradient
                total += gradient * color[channel * pixels + pixel]
            state[target + TO_COME * LANES] = total


@njit(nogil=True)
def _add_gradients(listed, alpha_min, workspace, entries, start, corner, records):
    """Gradients along the list of a batch, whose blocks of one splat stand together."""
    state, batch = workspace.state, workspace.batch
    log2_alpha_min = broadcast(np.float32(LOG2_SCALE * math.log2(alpha_min)))
    alpha_max = broadcast(np.float32(ALPHA_MAX))
    zero, one = broadcast(np.float32(0)), broadcast(np.float32(1))
    i = 0
    while i < listed:
        owner = element(workspace.owners, i)
        splat = owner * SPLAT_FLOATS
        sum_p, sum_u, sum_v, sum_uu, sum_uv, sum_vv = zero, zero, zero, zero, zero, zero
        sum_red, sum_green, sum_blue = zero, zero, zero
        while i < listed and element(workspace.owners, i) == owner:
            number = element(workspace.blocks, i)
            i += 1
            row, column = number // TILE_COLUMNS, number % TILE_COLUMNS
            block = row * ROW_FLOATS + column * BLOCK_FLOATS
            y = load(workspace.pixel_y, row * LANES)
            u = fma(broadcast_at(batch, splat + U_X), load(workspace.pixel_x, column * LANES),
                    fma(broadcast_at(batch, splat + U_Y), y, broadcast_at(batch, splat + U_0)))
            v = fma(broadcast_at(batch, splat + V_Y), y, broadcast_at(batch, splat + V_0))
            log2_alpha = fnma(u, u, fnma(v, v, broadcast_at(batch, splat + LOG2_OPACITY)))
            transmittance = load(state, block)
            unclamped = _exp2_fine(log2_alpha)
            alpha = select(log2_alpha >= log2_alpha_min, minimum(unclamped, alpha_max), zero)
            weight = alpha * transmittance
            store(state, block, transmittance - weight)

            red, green = load(state, block + FIRST_GRADIENT * LANES), load(state, block + (FIRST_GRADIENT + 1) * LANES)
            blue = load(state, block + (FIRST_GRADIENT + 2) * LANES)
            shade = fma(broadcast_at(batch, splat + RED), red, load(state, block + COVERAGE_GRADIENT * LANES))
            shade = fma(broadcast_at(batch, splat + GREEN), green, shade)
            shade = weight * fma(broadcast_at(batch, splat + BLUE), blue, shade)
            to_come = load(state, block + TO_COME * LANES) - shade
            store(state, block + TO_COME * LANES, to_come)
            p = fnma(alpha / (one - alpha), to_come, shade)
            p = select(alpha_max > alpha, p, zero)  # where α is clamped it does not move

            pu, pv = p * u, p * v
            sum_p, sum_u, sum_v = sum_p + p, sum_u + pu, sum_v + pv
            sum_uu, sum_uv, sum_vv = fma(pu, u, sum_uu), fma(pu, v, sum_uv), fma(pv, v, sum_vv)
            sum_red, sum_green, sum_blue = fma(weight, red, sum_red), fma(weight, green, sum_green), fma(weight, blue, sum_blue)
        store_transposed(corner, 0, (sum_p, sum_u, sum_v, sum_uu, sum_uv, sum_vv, sum_red, sum_green, sum_blue,
                                     zero, zero, zero, zero, zero, zero, zero))
        record = element(entries, start + owner) * RECORD_FLOATS
        sums = load(records, record)
        for lane in range(LANES):
            sums = sums + load(corner, lane * LANES)
        store(records, record, sums)
