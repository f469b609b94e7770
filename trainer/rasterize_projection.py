"""Gradient of the projection in closed form, sixteen at a time: from the sums of `blend_backward` to the Gaussians' numbers.

The forward direction is `core.render.cpu.project.project`, the rules are 1 and 2 of `core.render.reference`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from core.render.cpu.lanes import LANES
from core.render.cpu.memory import load, load_strided, store_transposed
from core.render.cpu.project import LOG2_SCALE, SPLAT_FLOATS, U_X, U_Y, V_Y
from core.render.cpu.simd import broadcast, maximum, minimum, select, square_root
from trainer.rasterize_kernels import (
    FIRST_SUM_OF_COLOR,
    RECORD_FLOATS,
    SUM_P,
    SUM_U,
    SUM_UU,
    SUM_UV,
    SUM_V,
    SUM_VV,
)

# log α = log opacity − ½·WHITEN·(u² + v²): the factor that makes u and v standard deviations.
WHITEN = 2 * math.log(2) / LOG2_SCALE

# Where a record has the gradients after `project_backward`; those of the colours stay where their sums were.
XYZ, SCALE, COLOR, QUAT, OPACITY = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 13), 13


@njit(cache=True, nogil=True, error_model="numpy")
def project_backward(xyz, scale, quat, opacity, camera, splats, sums, ellipses, records):
    """Gradients of N Gaussians, a multiple of 16; zero where a Gaussian was not drawn.

    With d = pixel − centre and (u, v) = M d whitened, Σ₂'⁻¹ = MᵀM, so that ∂L/∂centre = Mᵀ·Σ p(u, v) and
    ∂L/∂Σ₂' = ½ Mᵀ·Σ p(u, v)(u, v)ᵀ·M. The compensated opacity o·sqrt(det Σ₂ / det Σ₂') adds −½ Σp·MᵀM for its denominator,
    and for its numerator the gradient of det Σ₂ = Σ minors² (see `_add_minors`).

    Args:
        xyz, scale: [3N] float32; quat: [4N]; opacity: [N]: as `project` read them.
        camera: [24], from `pack_camera`.
        splats: [16N] float32, from `project`.
        sums, ellipses: [256] float32 working memory.
        records: [16N], from `blend_backward`; the sums are replaced by gradients.
    """
    zero = broadcast(np.float32(0))
    one = broadcast(np.float32(1))
    w2 = (broadcast(camera[8]), broadcast(camera[9]), broadcast(camera[10]))
    for i in range(0, len(opacity), LANES):
        _transpose(records, RECORD_FLOATS * i, sums)
        _transpose(splats, SPLAT_FLOATS * i, ellipses)
        untouched = _size_of_sums(sums) <= zero
        center_x, center_y, xx, xy, yy = _ellipse_gradient(ellipses, sums)
        x, y, depth = _to_camera(xyz, i, camera)
        inverse_depth = one / depth
        x, y = x * inverse_depth, y * inverse_depth
        jx, jy = broadcast(camera[12]) * inverse_depth, broadcast(camera[13]) * inverse_depth
        clamped_x = minimum(maximum(x, broadcast(camera[16])), broadcast(camera[17]))
        clamped_y = minimum(maximum(y, broadcast(camera[18])), broadcast(camera[19]))
        gx, gy = _jacobian_row(camera, 0, jx, clamped_x, w2), _jacobian_row(camera, 4, jy, clamped_y, w2)
        rotation, unit, inverse_length = _rotation(quat, i)
        s = (load_strided(scale, 3 * i, 3, 0), load_strided(scale, 3 * i, 3, 1), load_strided(scale, 3 * i, 3, 2))

        # Rows of J·W·R without and with the scales; the projected covariance is the product of the latter with itself.
        bx, by = _times(gx, rotation), _times(gy, rotation)
        to_ax, to_ay = _add_minors(_scaled(bx, s), _scaled(by, s), load(sums, SUM_P * LANES), xx, xy, yy)
        to_scale = (to_ax[0] * bx[0] + to_ay[0] * by[0], to_ax[1] * bx[1] + to_ay[1] * by[1], to_ax[2] * bx[2] + to_ay[2] * by[2])
        to_bx, to_by = _scaled(to_ax, s), _scaled(to_ay, s)
        to_quat = _rotation_gradient(gx, gy, to_bx, to_by, unit, inverse_length)

        # ∂L/∂g = R·∂L/∂b, and g = j·(w − slope·w₂) with the rows w of the view rotation, j = f / depth, slope = x / depth.
        to_gx, to_gy = _times_transposed(to_bx, rotation), _times_transposed(to_by, rotation)
        to_slope_x = broadcast(camera[12]) * center_x - select(_same(x, clamped_x), jx * _dot(to_gx, w2), zero)
        to_slope_y = broadcast(camera[13]) * center_y - select(_same(y, clamped_y), jy * _dot(to_gy, w2), zero)
        to_depth = zero - inverse_depth * (_dot(to_gx, gx) + _dot(to_gy, gy) + to_slope_x * x + to_slope_y * y)
        to_xyz = _to_world(camera, to_slope_x * inverse_depth, to_slope_y * inverse_depth, to_depth)
        to_opacity = load(sums, SUM_P * LANES) / load(opacity, i)

        store_transposed(records, RECORD_FLOATS * i, (
            select(untouched, zero, to_xyz[0]), select(untouched, zero, to_xyz[1]), select(untouched, zero, to_xyz[2]),
            select(untouched, zero, to_scale[0]), select(untouched, zero, to_scale[1]), select(untouched, zero, to_scale[2]),
            load(sums, FIRST_SUM_OF_COLOR * LANES), load(sums, (FIRST_SUM_OF_COLOR + 1) * LANES),
            load(sums, (FIRST_SUM_OF_COLOR + 2) * LANES),
            select(untouched, zero, to_quat[0]), select(untouched, zero, to_quat[1]), select(untouched, zero, to_quat[2]),
            select(untouched, zero, to_quat[3]), select(untouched, zero, to_opacity), zero, zero))


@njit(nogil=True)
def _transpose(rows, start, columns):
    """Sixteen rows of sixteen into columns."""
    store_transposed(columns, 0, (
        load(rows, start), load(rows, start + 16), load(rows, start + 32), load(rows, start + 48),
        load(rows, start + 64), load(rows, start + 80), load(rows, start + 96), load(rows, start + 112),
        load(rows, start + 128), load(rows, start + 144), load(rows, start + 160), load(rows, start + 176),
        load(rows, start + 192), load(rows, start + 208), load(rows, start + 224), load(rows, start + 240)))


@njit(nogil=True)
def _size_of_sums(sums):
    """Zero where the first six sums are; not a number where one of them is, so that this is not hidden."""
    zero = broadcast(np.float32(0))
    total = zero
    for k in range(SUM_P, SUM_VV + 1):
        value = load(sums, k * LANES)
        total = total + maximum(zero - value, value)
    return total


@njit(nogil=True)
def _ellipse_gradient(ellipses, sums):
    """∂L by the centre (x, y) and by Σ₂' (xx, xy, yy; xy counts once for each of its two places)."""
    whiten, half, two = broadcast(np.float32(WHITEN)), broadcast(np.float32(0.5 * WHITEN)), broadcast(np.float32(2))
    u_x, u_y, v_y = load(ellipses, U_X * LANES), load(ellipses, U_Y * LANES), load(ellipses, V_Y * LANES)
    u, v = whiten * load(sums, SUM_U * LANES), whiten * load(sums, SUM_V * LANES)
    p = load(sums, SUM_P * LANES)
    uu, uv = half * (whiten * load(sums, SUM_UU * LANES) - p), half * (whiten * load(sums, SUM_UV * LANES))
    vv = half * (whiten * load(sums, SUM_VV * LANES) - p)
    return (u_x * u, u_y * u + v_y * v,
            u_x * u_x * uu, u_x * (u_y * uu + v_y * uv), u_y * u_y * uu + two * u_y * v_y * uv + v_y * v_y * vv)


@njit(nogil=True)
def _to_camera(xyz, i, camera):
    point = (load_strided(xyz, 3 * i, 3, 0), load_strided(xyz, 3 * i, 3, 1), load_strided(xyz, 3 * i, 3, 2))
    return (_dot(_camera_row(camera, 0), point) + broadcast(camera[3]),
            _dot(_camera_row(camera, 4), point) + broadcast(camera[7]),
            _dot(_camera_row(camera, 8), point) + broadcast(camera[11]))


@njit(nogil=True)
def _to_world(camera, x, y, z):
    """A direction turned from camera space into world space."""
    a, b, c = _camera_row(camera, 0), _camera_row(camera, 4), _camera_row(camera, 8)
    return (a[0] * x + b[0] * y + c[0] * z, a[1] * x + b[1] * y + c[1] * z, a[2] * x + b[2] * y + c[2] * z)


@njit(nogil=True)
def _camera_row(camera, start):
    return broadcast(camera[start]), broadcast(camera[start + 1]), broadcast(camera[start + 2])


@njit(nogil=True)
def _jacobian_row(camera, start, j, slope, w2):
    """A row of J·W."""
    w = _camera_row(camera, start)
    return j * (w[0] - slope * w2[0]), j * (w[1] - slope * w2[1]), j * (w[2] - slope * w2[2])


@njit(nogil=True)
def _rotation(quat, i):
    """Rows of the rotation matrix one after the other, the unit quaternion, and 1/|q|."""
    one, two = broadcast(np.float32(1)), broadcast(np.float32(2))
    w, x = load_strided(quat, 4 * i, 4, 0), load_strided(quat, 4 * i, 4, 1)
    y, z = load_strided(quat, 4 * i, 4, 2), load_strided(quat, 4 * i, 4, 3)
    inverse_length = one / square_root(w * w + x * x + y * y + z * z)
    w, x, y, z = w * inverse_length, x * inverse_length, y * inverse_length, z * inverse_length
    rotation = (one - two * (y * y + z * z), two * (x * y - w * z), two * (x * z + w * y),
                two * (x * y + w * z), one - two * (x * x + z * z), two * (y * z - w * x),
                two * (x * z - w * y), two * (y * z + w * x), one - two * (x * x + y * y))
    return rotation, (w, x, y, z), inverse_length


@njit(nogil=True)
def _same(a, b):
    return (a <= b) & (a >= b)


@njit(nogil=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(nogil=True)
def _scaled(row, s):
    return row[0] * s[0], row[1] * s[1], row[2] * s[2]


@njit(nogil=True)
def _times(row, r):
    """row · R."""
    return (row[0] * r[0] + row[1] * r[3] + row[2] * r[6], row[0] * r[1] + row[1] * r[4] + row[2] * r[7],
            row[0] * r[2] + row[1] * r[5] + row[2] * r[8])


@njit(nogil=True)
def _times_transposed(row, r):
    """row · Rᵀ."""
    return (row[0] * r[0] + row[1] * r[1] + row[2] * r[2], row[0] * r[3] + row[1] * r[4] + row[2] * r[5],
            row[0] * r[6] + row[1] * r[7] + row[2] * r[8])


@njit(nogil=True, error_model="numpy")
def _add_minors(ax, ay, sum_p, xx, xy, yy):
    """∂L by the rows ax, ay of A, where Σ₂ = A·Aᵀ and det Σ₂ = the sum of A's squared minors (Cauchy–Binet)."""
    m01, m02, m12 = ax[0] * ay[1] - ax[1] * ay[0], ax[0] * ay[2] - ax[2] * ay[0], ax[1] * ay[2] - ax[2] * ay[1]
    k = sum_p / (m01 * m01 + m02 * m02 + m12 * m12)
    m01, m02, m12 = k * m01, k * m02, k * m12
    xx, xy, yy = xx + xx, xy + xy, yy + yy
    return ((xx * ax[0] + xy * ay[0] + m01 * ay[1] + m02 * ay[2], xx * ax[1] + xy * ay[1] - m01 * ay[0] + m12 * ay[2],
             xx * ax[2] + xy * ay[2] - m02 * ay[0] - m12 * ay[1]),
            (xy * ax[0] + yy * ay[0] - m01 * ax[1] - m02 * ax[2], xy * ax[1] + yy * ay[1] + m01 * ax[0] - m12 * ax[2],
             xy * ax[2] + yy * ay[2] + m02 * ax[0] + m12 * ax[1]))


@njit(nogil=True)
def _rotation_gradient(gx, gy, to_bx, to_by, unit, inverse_length):
    """∂L by the quaternion, from ∂L/∂R = gxᵀ·to_bx + gyᵀ·to_by; orthogonal to q, since its length does not matter."""
    two = broadcast(np.float32(2))
    d00, d01, d02 = _outer_row(gx[0], gy[0], to_bx, to_by)
    d10, d11, d12 = _outer_row(gx[1], gy[1], to_bx, to_by)
    d20, d21, d22 = _outer_row(gx[2], gy[2], to_bx, to_by)
    w, x, y, z = unit
    to_w = x * (d21 - d12) + y * (d02 - d20) + z * (d10 - d01)
    to_x = w * (d21 - d12) + y * (d01 + d10) + z * (d02 + d20) - two * x * (d11 + d22)
    to_y = w * (d02 - d20) + x * (d01 + d10) + z * (d12 + d21) - two * y * (d00 + d22)
    to_z = w * (d10 - d01) + x * (d02 + d20) + y * (d12 + d21) - two * z * (d00 + d11)
    along = to_w * w + to_x * x + to_y * y + to_z * z
    factor = two * inverse_length
    return factor * (to_w - along * w), factor * (to_x - along * x), factor * (to_y - along * y), factor * (to_z - along * z)


@njit(nogil=True)
def _outer_row(x, y, row_x, row_y):
    return x * row_x[0] + y * row_y[0], x * row_x[1] + y * row_y[1], x * row_x[2] + y * row_y[2]
