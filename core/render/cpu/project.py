"""First stage of the CPU rasteriser: Gaussians in head space to splats in the picture, sixteen at a time."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from core.render.cpu.lanes import LANES
from core.render.cpu.memory import (
    load,
    load_strided,
    store,
    store_transposed,
)
from core.render.cpu.simd import (
    broadcast,
    float_bits,
    fma,
    log2,
    maximum,
    minimum,
    select,
    square_root,
    to_int,
)
from core.render.reference import FRUSTUM_MARGIN, LOW_PASS_VARIANCE, NEAR_PLANE
from core.types import Camera

# One splat is one cache line of 16 floats. With d = pixel − center,
#     log2 α = (LOG2_OPACITY − u² − v²) / 2²³,   u = U_X·dx + U_Y·dy,   v = V_Y·dy,
# which is the ellipse's quadratic form after a Cholesky factorisation, scaled as `exp2_scaled` wants it. The ellipse on
# which α equals the cut-off is kept for finding the blocks it touches, with heights h = dy / half-height and widths in
# blocks: its chord at h is SKEW·h ± HALF_CHORD·sqrt(1 − h²), and it reaches farthest to the right at h = CORRELATION.
SPLAT_FLOATS = 16
CENTER_X, CENTER_Y, U_X, U_Y, V_Y, LOG2_OPACITY, RED, GREEN, BLUE = range(9)
INVERSE_HALF_HEIGHT, SKEW, HALF_CHORD, CORRELATION = range(9, 13)

BLOCK = 4  # pixels on a side of the blocks in which `blend` works
LOG2_SCALE = float(1 << 23)
NO_TILES = 0x000000FF  # a box of tiles packed as x0 | x1 << 8 | y0 << 16 | y1 << 24, with x0 > x1


def pack_camera(camera: Camera) -> np.ndarray:
    """The camera as the kernel reads it [24] float32: rows of world_to_camera, fx, fy, cx, cy, limits of x/z and y/z, size."""
    margin_x, margin_y = FRUSTUM_MARGIN * camera.width / camera.fx, FRUSTUM_MARGIN * camera.height / camera.fy
    limits = (-camera.cx / camera.fx - margin_x, (camera.width - camera.cx) / camera.fx + margin_x,
              -camera.cy / camera.fy - margin_y, (camera.height - camera.cy) / camera.fy + margin_y)
    packed = [*camera.world_to_camera[:3].ravel(), camera.fx, camera.fy, camera.cx, camera.cy, *limits,
              camera.width, camera.height, 0.0, 0.0]
    return np.array(packed, np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def project(xyz, scale, quat, rgb, opacity, first, camera, alpha_min, tile_width, tile_height, splats, depths, boxes,
            depth_range):
    """Project a cloud whose length N is a multiple of 16.

    Args:
        xyz, scale, rgb: [3N] float32; quat: [4N]; opacity: [N]: the fields of `Gaussians`, flattened, read-only.
        first: number of the first Gaussian in the outputs.
        camera: [24], from `pack_camera`.
        alpha_min: α below which a splat ends.
        splats: [16·M] float32, receives one splat per Gaussian.
        depths: [M] uint32, receives the bit pattern of the depth (for positive floats it sorts like the number).
        boxes: [M] uint32, receives the packed range of tiles that the splat touches, `NO_TILES` when it is not drawn.
        depth_range: [2] int64, the least and the greatest bit pattern of the splats that are drawn, is widened.
    """
    nearest, farthest = broadcast(np.int32(depth_range[0])), broadcast(np.int32(depth_range[1]))
    one, zero = broadcast(np.float32(1)), broadcast(np.float32(0))
    cut, log2_cut = broadcast(np.float32(alpha_min)), broadcast(np.float32(math.log2(alpha_min)))
    picture_right, picture_bottom = broadcast(camera[20]) - one, broadcast(camera[21]) - one
    per_column, per_row = broadcast(np.float32(1 / tile_width)), broadcast(np.float32(1 / tile_height))
    half = broadcast(np.float32(0.5))
    for source in range(0, len(opacity), LANES):
        x, y, depth = _to_camera(xyz, source, camera)
        in_front = depth >= broadcast(np.float32(NEAR_PLANE))
        inverse_depth = one / select(in_front, depth, one)
        x, y = x * inverse_depth, y * inverse_depth
        xx, xy, yy, determinant, compensation = _covariance(scale, quat, source, x, y, inverse_depth, camera)
        visible_opacity = load(opacity, source) * compensation
        drawn = in_front & (visible_opacity >= cut)
        log2_opacity = log2(select(drawn, visible_opacity, one))

        # Extent of the ellipse on which α equals the cut-off.
        reach_squared = maximum(broadcast(np.float32(2 * math.log(2))) * (log2_opacity - log2_cut), zero)
        half_width, half_height = square_root(reach_squared * xx), square_root(reach_squared * yy)
        center_x = fma(broadcast(camera[12]), x, broadcast(camera[14]) - half)
        center_y = fma(broadcast(camera[13]), y, broadcast(camera[15]) - half)
        left, right = center_x - half_width, center_x + half_width
        top, bottom = center_y - half_height, center_y + half_height
        drawn = drawn & (right >= zero) & (picture_right >= left) & (bottom >= zero) & (picture_bottom >= top)

        x0, x1 = to_int(maximum(left, zero) * per_column), to_int(minimum(right, picture_right) * per_column)
        y0, y1 = to_int(maximum(top, zero) * per_row), to_int(minimum(bottom, picture_bottom) * per_row)
        eight = broadcast(np.int32(8))
        box = x0 | (x1 << eight) | ((y0 | (y1 << eight)) << (eight + eight))
        target = first + source
        store(boxes, target, select(drawn, box, broadcast(np.int32(NO_TILES))))
        depth_bits = float_bits(depth)
        store(depths, target, depth_bits)
        nearest = minimum(nearest, select(drawn, depth_bits, nearest))
        farthest = maximum(farthest, select(drawn, depth_bits, farthest))
        _store_splats(splats, target, rgb, source, center_x, center_y, xx, xy, yy, determinant, log2_opacity, reach_squared,
                      half_height)
    ends = np.empty(2 * LANES, np.int32)
    store(ends, 0, nearest)
    store(ends, LANES, farthest)
    depth_range[0], depth_range[1] = ends[:LANES].min(), ends[LANES:].max()


@njit(nogil=True, error_model="numpy")
def _to_camera(xyz, source, camera):
    """Positions in camera space of 16 Gaussians."""
    x, y, z = load_strided(xyz, 3 * source, 3, 0), load_strided(xyz, 3 * source, 3, 1), load_strided(xyz, 3 * source, 3, 2)
    return (fma(broadcast(camera[0]), x, fma(broadcast(camera[1]), y, fma(broadcast(camera[2]), z, broadcast(camera[3])))),
            fma(broadcast(camera[4]), x, fma(broadcast(camera[5]), y, fma(broadcast(camera[6]), z, broadcast(camera[7])))),
            fma(broadcast(camera[8]), x, fma(broadcast(camera[9]), y, fma(broadcast(camera[10]), z, broadcast(camera[11])))))


@njit(nogil=True, error_model="numpy")
def _covariance(scale, quat, source, x, y, inverse_depth, camera):
    """Rules 1 and 2 of the reference for 16 Gaussians at (x, y, 1) / inverse_depth in camera space.

    Returns:
        xx, xy, yy of the widened covariance in pixels², its determinant, and the factor for the opacity.
    """
    one = broadcast(np.float32(1))
    # Rows of J·W: how the pixel moves with the position in head space.
    x = minimum(maximum(x, broadcast(camera[16])), broadcast(camera[17]))
    y = minimum(maximum(y, broadcast(camera[18])), broadcast(camera[19]))
    jx, jy = broadcast(camera[12]) * inverse_depth, broadcast(camera[13]) * inverse_depth
    w20, w21, w22 = broadcast(camera[8]), broadcast(camera[9]), broadcast(camera[10])
    gx0, gx1, gx2 = (jx * (broadcast(camera[0]) - x * w20), jx * (broadcast(camera[1]) - x * w21),
                     jx * (broadcast(camera[2]) - x * w22))
    gy0, gy1, gy2 = (jy * (broadcast(camera[4]) - y * w20), jy * (broadcast(camera[5]) - y * w21),
                     jy * (broadcast(camera[6]) - y * w22))

    # Local axes of the Gaussian, times its scales; 2/|q|² makes the quaternion's length irrelevant.
    qw, qx = load_strided(quat, 4 * source, 4, 0), load_strided(quat, 4 * source, 4, 1)
    qy, qz = load_strided(quat, 4 * source, 4, 2), load_strided(quat, 4 * source, 4, 3)
    k = broadcast(np.float32(2)) / fma(qw, qw, fma(qx, qx, fma(qy, qy, qz * qz)))
    kx, ky, kz = k * qx, k * qy, k * qz
    r00, r11, r22 = one - fma(ky, qy, kz * qz), one - fma(kx, qx, kz * qz), one - fma(kx, qx, ky * qy)
    r01, r10 = kx * qy - kz * qw, kx * qy + kz * qw
    r02, r20 = kx * qz + ky * qw, kx * qz - ky * qw
    r12, r21 = ky * qz - kx * qw, ky * qz + kx * qw
    s0, s1 = load_strided(scale, 3 * source, 3, 0), load_strided(scale, 3 * source, 3, 1)
    s2 = load_strided(scale, 3 * source, 3, 2)
    ax0, ay0 = s0 * fma(gx0, r00, fma(gx1, r10, gx2 * r20)), s0 * fma(gy0, r00, fma(gy1, r10, gy2 * r20))
    ax1, ay1 = s1 * fma(gx0, r01, fma(gx1, r11, gx2 * r21)), s1 * fma(gy0, r01, fma(gy1, r11, gy2 * r21))
    ax2, ay2 = s2 * fma(gx0, r02, fma(gx1, r12, gx2 * r22)), s2 * fma(gy0, r02, fma(gy1, r12, gy2 * r22))

    # det A·Aᵀ as the sum of the squared minors of A (Cauchy–Binet): no cancellation for flat or thin Gaussians.
    minor01, minor02, minor12 = ax0 * ay1 - ax1 * ay0, ax0 * ay2 - ax2 * ay0, ax1 * ay2 - ax2 * ay1
    determinant = fma(minor01, minor01, fma(minor02, minor02, minor12 * minor12))
    xx, yy = fma(ax0, ax0, fma(ax1, ax1, ax2 * ax2)), fma(ay0, ay0, fma(ay1, ay1, ay2 * ay2))
    variance = broadcast(np.float32(LOW_PASS_VARIANCE))
    widened = determinant + variance * (xx + yy + variance)
    return xx + variance, fma(ax0, ay0, fma(ax1, ay1, ax2 * ay2)), yy + variance, widened, square_root(determinant / widened)


@njit(nogil=True, error_model="numpy")
def _store_splats(splats, target, rgb, source, center_x, center_y, xx, xy, yy, determinant, log2_opacity, reach_squared,
                  half_height):
    """Write 16 splats in the layout described at the top of the module."""
    zero, one = broadcast(np.float32(0)), broadcast(np.float32(1))
    precision = broadcast(np.float32(0.5 * LOG2_SCALE / math.log(2)))
    in_blocks = broadcast(np.float32(1 / BLOCK))
    skew = xy / yy
    chord_variance = determinant / yy
    u_x = square_root(precision / chord_variance)
    red, green = load_strided(rgb, 3 * source, 3, 0), load_strided(rgb, 3 * source, 3, 1)
    blue = load_strided(rgb, 3 * source, 3, 2)
    store_transposed(splats, SPLAT_FLOATS * target, (
        center_x, center_y, u_x, zero - skew * u_x, square_root(precision / yy),
        broadcast(np.float32(LOG2_SCALE)) * log2_opacity, red, green, blue, one / half_height, in_blocks * skew * half_height,
        in_blocks * square_root(reach_squared * chord_variance), xy / square_root(xx * yy), zero, zero, zero))
