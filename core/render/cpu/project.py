"""First stage of the CPU rasteriser: Gaussians in head space to splats in the picture, sixteen at a time."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from core.render.cpu.simd import (
    LANES,
    broadcast,
    float_bits,
    fma,
    load,
    load_strided,
    log2,
    maximum,
    minimum,
    select,
    square_root,
    store,
    store_transposed,
    to_int,
)
from core.render.reference import FRUSTUM_MARGIN, LOW_PASS_VARIANCE, NEAR_PLANE

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
CAMERA_FLOATS = 24


def pack_camera(camera) -> np.ndarray:
    """The camera as the kernel reads it [24] float32: rows of world_to_camera, fx, fy, cx, cy, limits of x/z and y/z, size."""
    margin_x, margin_y = FRUSTUM_MARGIN * camera.width / camera.fx, FRUSTUM_MARGIN * camera.height / camera.fy
    limits = (-camera.cx / camera.fx - margin_x, (camera.width - camera.cx) / camera.fx + margin_x,
              -camera.cy / camera.fy - margin_y, (camera.height - camera.cy) / camera.fy + margin_y)
    packed = [*camera.world_to_camera[:3].ravel(), camera.fx, camera.fy, camera.cx, camera.cy, *limits,
              camera.width, camera.height, 0.0, 0.0]
    return np.array(packed, np.float32)


@njit(cache=True, nogil=True, error_model="numpy")
def project(xyz, scale, quat, rgb, opacity, camera, alpha_min, tile_width, tile_height, splats, depths, boxes, depth_range):
    """Project a cloud.

    Args:
        xyz, scale, rgb: [3N] float32; quat: [4N]; opacity: [N]: the fields of `Gaussians`, flattened.
        camera: [24], from `pack_camera`.
        alpha_min: α below which a splat ends.
        splats: [16·M] float32 with M = N rounded up to 16, receives one splat per Gaussian.
        depths: [M] uint32, receives the bit pattern of the depth (for positive floats it sorts like the number).
        boxes: [M] uint32, receives the packed range of tiles that the splat touches, `NO_TILES` when it is not drawn.
        depth_range: [2] int64, receives the least and the greatest bit pattern of the splats that are drawn.
    """
    count = opacity.shape[0]
    nearest = broadcast(np.int32(0x7F7FFFFF))
    farthest = broadcast(np.int32(0))
    whole = count - count % LANES
    for i in range(0, whole, LANES):
        nearest, farthest = _project_lanes(xyz, scale, quat, rgb, opacity, i, i, camera, alpha_min, tile_width, tile_height,
                                           splats, depths, boxes, nearest, farthest)
    if whole < count:
        last_xyz = np.ones(3 * LANES, np.float32)
        last_scale = np.ones(3 * LANES, np.float32)
        last_rgb = np.ones(3 * LANES, np.float32)
        last_quat = np.ones(4 * LANES, np.float32)
        last_opacity = np.zeros(LANES, np.float32)
        rest = count - whole
        last_xyz[:3 * rest] = xyz[3 * whole:]
        last_scale[:3 * rest] = scale[3 * whole:]
        last_quat[:4 * rest] = quat[4 * whole:]
        last_rgb[:3 * rest] = rgb[3 * whole:]
        last_opacity[:rest] = opacity[whole:]
        nearest, farthest = _project_lanes(last_xyz, last_scale, last_quat, last_rgb, last_opacity, 0, whole, camera, alpha_min,
                                           tile_width, tile_height, splats, depths, boxes, nearest, farthest)
    ends = np.empty(2 * LANES, np.int32)
    store(ends, 0, nearest)
    store(ends, LANES, farthest)
    depth_range[0] = ends[:LANES].min()
    depth_range[1] = ends[LANES:].max()


@njit(nogil=True, error_model="numpy", inline="never")
def _project_lanes(xyz, scale, quat, rgb, opacity, source, target, camera, alpha_min, tile_width, tile_height,
                   splats, depths, boxes, nearest, farthest):
    """Rules 1 and 2 of the reference for 16 Gaussians from number `source` on, written from number `target` on."""
    zero = broadcast(np.float32(0))
    one = broadcast(np.float32(1))
    two = broadcast(np.float32(2))

    # Position in camera space.
    v00, v01, v02, v03 = broadcast(camera[0]), broadcast(camera[1]), broadcast(camera[2]), broadcast(camera[3])
    v10, v11, v12, v13 = broadcast(camera[4]), broadcast(camera[5]), broadcast(camera[6]), broadcast(camera[7])
    v20, v21, v22, v23 = broadcast(camera[8]), broadcast(camera[9]), broadcast(camera[10]), broadcast(camera[11])
    px, py, pz = load_strided(xyz, 3 * source, 3, 0), load_strided(xyz, 3 * source, 3, 1), load_strided(xyz, 3 * source, 3, 2)
    tx = fma(v00, px, fma(v01, py, fma(v02, pz, v03)))
    ty = fma(v10, px, fma(v11, py, fma(v12, pz, v13)))
    tz = fma(v20, px, fma(v21, py, fma(v22, pz, v23)))
    in_front = tz >= broadcast(np.float32(NEAR_PLANE))
    inverse_depth = one / select(in_front, tz, one)
    ux, uy = tx * inverse_depth, ty * inverse_depth

    # Rows of J·W: how the pixel moves with the position in head space.
    fx, fy = broadcast(camera[12]), broadcast(camera[13])
    clamped_x = minimum(maximum(ux, broadcast(camera[16])), broadcast(camera[17]))
    clamped_y = minimum(maximum(uy, broadcast(camera[18])), broadcast(camera[19]))
    jx, jy = fx * inverse_depth, fy * inverse_depth
    gx0, gx1, gx2 = jx * (v00 - clamped_x * v20), jx * (v01 - clamped_x * v21), jx * (v02 - clamped_x * v22)
    gy0, gy1, gy2 = jy * (v10 - clamped_y * v20), jy * (v11 - clamped_y * v21), jy * (v12 - clamped_y * v22)

    # Local axes of the Gaussian; 2/|q|² makes the quaternion's length irrelevant.
    qw, qx = load_strided(quat, 4 * source, 4, 0), load_strided(quat, 4 * source, 4, 1)
    qy, qz = load_strided(quat, 4 * source, 4, 2), load_strided(quat, 4 * source, 4, 3)
    k = two / fma(qw, qw, fma(qx, qx, fma(qy, qy, qz * qz)))
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

    # Covariance in the picture and the opacity that compensates its widening.
    raw_xx = fma(ax0, ax0, fma(ax1, ax1, ax2 * ax2))
    raw_yy = fma(ay0, ay0, fma(ay1, ay1, ay2 * ay2))
    xy = fma(ax0, ay0, fma(ax1, ay1, ax2 * ay2))
    # det = sum of squared 2×2 minors (Cauchy–Binet): no cancellation for flat Gaussians.
    m01, m02, m12 = ax0 * ay1 - ax1 * ay0, ax0 * ay2 - ax2 * ay0, ax1 * ay2 - ax2 * ay1
    raw_determinant = fma(m01, m01, fma(m02, m02, m12 * m12))
    variance = broadcast(np.float32(LOW_PASS_VARIANCE))
    xx, yy = raw_xx + variance, raw_yy + variance
    determinant = raw_determinant + variance * (raw_xx + raw_yy + variance)
    inverse_determinant = one / determinant
    visible_opacity = load(opacity, source) * square_root(raw_determinant * inverse_determinant)
    cut = broadcast(np.float32(alpha_min))
    drawn = in_front & (visible_opacity >= cut)
    log2_opacity = log2(select(drawn, visible_opacity, one))

    # Extent of the ellipse on which α equals the cut-off.
    log2_cut = broadcast(np.float32(math.log2(alpha_min)))
    reach_squared = maximum(broadcast(np.float32(2 * math.log(2))) * (log2_opacity - log2_cut), zero)
    half_width, half_height = square_root(reach_squared * xx), square_root(reach_squared * yy)
    half = broadcast(np.float32(0.5))
    center_x = fma(fx, ux, broadcast(camera[14]) - half)
    center_y = fma(fy, uy, broadcast(camera[15]) - half)
    left, right = center_x - half_width, center_x + half_width
    top, bottom = center_y - half_height, center_y + half_height
    picture_right, picture_bottom = broadcast(camera[20]) - one, broadcast(camera[21]) - one
    drawn = drawn & (right >= zero) & (picture_right >= left) & (bottom >= zero) & (picture_bottom >= top)

    # Tiles it touches.
    per_column, per_row = broadcast(np.float32(1 / tile_width)), broadcast(np.float32(1 / tile_height))
    x0, x1 = to_int(maximum(left, zero) * per_column), to_int(minimum(right, picture_right) * per_column)
    y0, y1 = to_int(maximum(top, zero) * per_row), to_int(minimum(bottom, picture_bottom) * per_row)
    eight = broadcast(np.int32(8))
    box = x0 | (x1 << eight) | ((y0 | (y1 << eight)) << (eight + eight))
    store(boxes, target, select(drawn, box, broadcast(np.int32(NO_TILES))))

    depth_bits = float_bits(tz)
    store(depths, target, depth_bits)
    nearest = minimum(nearest, select(drawn, depth_bits, nearest))
    farthest = maximum(farthest, select(drawn, depth_bits, farthest))

    precision = broadcast(np.float32(0.5 * LOG2_SCALE / math.log(2)))
    skew = xy / yy
    chord_variance = determinant / yy
    u_x = square_root(precision / chord_variance)
    in_blocks = broadcast(np.float32(1 / BLOCK))
    correlation = xy / square_root(xx * yy)
    red, green = load_strided(rgb, 3 * source, 3, 0), load_strided(rgb, 3 * source, 3, 1)
    blue = load_strided(rgb, 3 * source, 3, 2)
    store_transposed(splats, SPLAT_FLOATS * target, (
        center_x, center_y, u_x, zero - skew * u_x, square_root(precision / yy), broadcast(np.float32(LOG2_SCALE)) * log2_opacity,
        red, green, blue, one / half_height, in_blocks * skew * half_height,
        in_blocks * square_root(reach_squared * chord_variance), correlation, zero, zero, zero))
    return nearest, farthest
