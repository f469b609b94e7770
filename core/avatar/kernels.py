"""The inner loops of the avatar: the basis blend, and what moves each Gaussian with its row and with the neck."""

from __future__ import annotations

import math

import numpy as np
from numba import float32, njit

BLOCK_ROWS = 1024
STATIC_ROW = -1
MIN_SCALE = 1e-5  # metres, official run time (AGORA-M)
OPACITY_LOW = -0.001 + 1e-6
OPACITY_HIGH = 1.001 - 1e-6
FACING, FACING_SOFTNESS = 0.2, 0.06  # as in core.networks.head_generator: cosine between view and normal at half fading
ROUNDNESS = 0.015  # as in core.studio.pose: rounder patches have no meaningful long axis and keep their own
_GROUP = 8
_FAST = {"contract", "nsz", "arcp", "nnan", "ninf", "reassoc"}


@njit(cache=True, nogil=True, fastmath=_FAST)
def blend_blocks(planes, steps, component, coefficients, blocks, threshold, out):
    """out[block] = Σ_p coefficients[component[p]] · steps[b, p] · planes[b, p] for every stored block.

    Planes are read eight at a time so that `out` stays in the first-level cache. A plane is skipped in a block where it
    can move nothing by more than `threshold`.

    Args:
        planes: [B, P, L] int8.
        steps: [B, P] float32, value of one integer step.
        component: [P] int32, coefficient of each plane.
        coefficients: [K] float32.
        blocks: [B] int32, row block that each stored block fills.
        threshold: smallest contribution that counts, in units of the attribute.
        out: [blocks, L] float32; rows that no stored block fills are left alone.
    """
    plane_count, length = planes.shape[1], planes.shape[2]
    chosen = np.empty(plane_count + _GROUP, np.int32)
    weight = np.empty(plane_count + _GROUP, np.float32)
    for b in range(planes.shape[0]):
        count = 0
        for p in range(plane_count):
            w = coefficients[component[p]] * steps[b, p]
            if abs(w) * float32(127.0) > threshold:
                chosen[count] = p
                weight[count] = w
                count += 1
        block, target = planes[b], out[blocks[b]]
        if count == 0:
            target[:] = float32(0.0)
            continue
        while count % _GROUP:
            chosen[count] = chosen[0]
            weight[count] = float32(0.0)
            count += 1
        for g in range(0, count, _GROUP):
            w0, w1, w2, w3 = weight[g], weight[g + 1], weight[g + 2], weight[g + 3]
            w4, w5, w6, w7 = weight[g + 4], weight[g + 5], weight[g + 6], weight[g + 7]
            p0, p1, p2, p3 = block[chosen[g]], block[chosen[g + 1]], block[chosen[g + 2]], block[chosen[g + 3]]
            p4, p5, p6, p7 = block[chosen[g + 4]], block[chosen[g + 5]], block[chosen[g + 6]], block[chosen[g + 7]]
            if g == 0:
                for j in range(length):
                    target[j] = (w0 * float32(p0[j]) + w1 * float32(p1[j]) + w2 * float32(p2[j]) + w3 * float32(p3[j])
                                 + w4 * float32(p4[j]) + w5 * float32(p5[j]) + w6 * float32(p6[j]) + w7 * float32(p7[j]))
            else:
                for j in range(length):
                    target[j] += (w0 * float32(p0[j]) + w1 * float32(p1[j]) + w2 * float32(p2[j]) + w3 * float32(p3[j])
                                  + w4 * float32(p4[j]) + w5 * float32(p5[j]) + w6 * float32(p6[j]) + w7 * float32(p7[j]))


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def move_with_rows(base_xyz, base_quat, base_scale, base_opacity, row, offset, tangents, axis, opacity_gain,
                   d_xyz, d_rotation, d_scale, d_opacity, xyz, quat, scale, opacity):
    """Applies row residuals of a *relative* pack to the Gaussians anchored to them.

    A Gaussian at `offset` from its row's own point follows the row's motion Δ, rotation δ and stretch P = I + U:
    x = x0 + Δ + (R P − I)·offset,  q = δ ⊗ q0. The covariance of a flat patch becomes R P S P Rᵀ, whose axes are found anew
    in the tangent plane.

    Args:
        base_*: attributes of the resting identity, [N, .] float32.
        row: [N] int32, `STATIC_ROW` where nothing but the neck moves the Gaussian.
        offset: [N, 3] float32 metres.
        tangents: [N, 2, 3] float32, tangents u and v of the row; zeros where the Gaussian does not stretch.
        axis: [N, 2] float32, the patch's first local axis along u and v; its third is the normal.
        opacity_gain: [N] float32, share of the row's opacity residual that applies.
        d_*: blended residuals [blocks, channels, BLOCK_ROWS] float32; those of scale and opacity may have 0 blocks.
        xyz, quat, scale, opacity: outputs.
    """
    has_scale, has_opacity = d_scale.shape[0] > 0, d_opacity.shape[0] > 0
    one, two = float32(1.0), float32(2.0)
    for n in range(row.shape[0]):
        r = row[n]
        for i in range(3):
            scale[n, i] = base_scale[n, i]
        opacity[n] = base_opacity[n]
        if r < 0:
            for i in range(3):
                xyz[n, i] = base_xyz[n, i]
            for i in range(4):
                quat[n, i] = base_quat[n, i]
            continue
        b, j = r // BLOCK_ROWS, r % BLOCK_ROWS
        px, py, pz = d_rotation[b, 0, j], d_rotation[b, 1, j], d_rotation[b, 2, j]
        vx, vy, vz = offset[n, 0], offset[n, 1], offset[n, 2]
        w0, x0, y0, z0 = base_quat[n, 0], base_quat[n, 1], base_quat[n, 2], base_quat[n, 3]
        dx, dy, dz = d_xyz[b, 0, j], d_xyz[b, 1, j], d_xyz[b, 2, j]
        if has_scale and (axis[n, 0] != 0 or axis[n, 1] != 0):
            uu, uv, vv = d_scale[b, 0, j], d_scale[b, 1, j], d_scale[b, 2, j]
            t = tangents[n]
            ou, ov = vx * t[0, 0] + vy * t[0, 1] + vz * t[0, 2], vx * t[1, 0] + vy * t[1, 1] + vz * t[1, 2]
            su, sv = uu * ou + uv * ov, uv * ou + vv * ov
            sx, sy, sz = su * t[0, 0] + sv * t[1, 0], su * t[0, 1] + sv * t[1, 1], su * t[0, 2] + sv * t[1, 2]
            vx, vy, vz = vx + sx, vy + sy, vz + sz
            dx, dy, dz = dx + sx, dy + sy, dz + sz
            s0, s1, cosine, sine = _stretch_patch(base_scale[n, 0], base_scale[n, 1], axis[n, 0], axis[n, 1], uu, uv, vv)
            scale[n, 0], scale[n, 1] = s0, s1
            # the patch turns in its own plane first: q0 ⊗ (cos, 0, 0, sin)
            w0, z0 = w0 * cosine - z0 * sine, z0 * cosine + w0 * sine
            x0, y0 = x0 * cosine + y0 * sine, y0 * cosine - x0 * sine
        # row residual p = tan(θ/4)·axis -> unit quaternion (1 − |p|², 2p) / (1 + |p|²)
        squared = px * px + py * py + pz * pz
        inverse = one / (one + squared)
        gw, gx, gy, gz = (one - squared) * inverse, two * px * inverse, two * py * inverse, two * pz * inverse
        tx, ty, tz = two * (gy * vz - gz * vy), two * (gz * vx - gx * vz), two * (gx * vy - gy * vx)
        xyz[n, 0] = base_xyz[n, 0] + dx + gw * tx + gy * tz - gz * ty
        xyz[n, 1] = base_xyz[n, 1] + dy + gw * ty + gz * tx - gx * tz
        xyz[n, 2] = base_xyz[n, 2] + dz + gw * tz + gx * ty - gy * tx
        quat[n, 0] = gw * w0 - gx * x0 - gy * y0 - gz * z0
        quat[n, 1] = gw * x0 + gx * w0 + gy * z0 - gz * y0
        quat[n, 2] = gw * y0 - gx * z0 + gy * w0 + gz * x0
        quat[n, 3] = gw * z0 + gx * y0 - gy * x0 + gz * w0
        if has_opacity:
            opacity[n] = min(max(base_opacity[n] + opacity_gain[n] * d_opacity[b, 0, j], float32(0.0)), one)


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def _stretch_patch(s0, s1, au, av, uu, uv, vv):
    """Scales of a flat patch under the stretch I + U, and half the angle by which its axes turn (cosine and sine of it).

    Its second axis is (−av, au). A patch that is nearly round has no meaningful long axis and keeps its own.
    """
    one, half = float32(1.0), float32(0.5)
    # stretched axes, along the resting first and second axis
    pu, pv = (one + uu) * au + uv * av, uv * au + (one + vv) * av
    qu, qv = uv * au - (one + uu) * av, (one + vv) * au - uv * av
    m00, m01 = s0 * (pu * au + pv * av), s0 * (pv * au - pu * av)
    m10, m11 = s1 * (qu * au + qv * av), s1 * (qv * au - qu * av)
    along, across, mixed = m00 * m00 + m10 * m10, m01 * m01 + m11 * m11, m00 * m01 + m10 * m11
    sign = one if along >= across else -one
    real, imaginary = abs(along - across) + float32(ROUNDNESS) * (along + across), float32(2.0) * mixed * sign
    # cosine and sine of half, and of a quarter, of atan2(imaginary, real), which lies in (−π/2, π/2)
    length = math.sqrt(real * real + imaginary * imaginary) + float32(1e-20)
    c = math.sqrt(half * (one + real / length))
    s = half * imaginary / (length * c)
    first, cross, second = c * c * along, float32(2.0) * c * s * mixed, s * s * across
    new0 = math.sqrt(max(first + cross + second, float32(1e-16)))
    new1 = math.sqrt(max(s * s * along - cross + c * c * across, float32(1e-16)))
    cosine = math.sqrt(half * (one + c))
    return new0, new1, cosine, half * s / cosine


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def add_to_rows(base_xyz, base_quat, base_scale, base_opacity, row, d_xyz, d_rotation, d_scale, d_opacity,
                xyz, quat, scale, opacity):
    """Applies row residuals of an *additive* pack, the official rule: every attribute is base + Δ, then limited.

    Scales are at least 1e-5 m, quaternions are normalised, opacities lie in (−0.001 + 1e-6, 1.001 − 1e-6).
    Arguments as in `move_with_rows`; d_rotation has four channels.
    """
    for n in range(row.shape[0]):
        r = row[n]
        b, j = r // BLOCK_ROWS, r % BLOCK_ROWS
        for i in range(3):
            dx, ds = float32(0.0), float32(0.0)
            if r >= 0:
                dx, ds = d_xyz[b, i, j], d_scale[b, i, j]
            xyz[n, i] = base_xyz[n, i] + dx
            scale[n, i] = max(base_scale[n, i] + ds, float32(MIN_SCALE))
        total = float32(0.0)
        for i in range(4):
            dq = float32(0.0)
            if r >= 0:
                dq = d_rotation[b, i, j]
            q = base_quat[n, i] + dq
            quat[n, i] = q
            total += q * q
        inverse = float32(1.0) / math.sqrt(max(total, float32(1e-24)))
        for i in range(4):
            quat[n, i] *= inverse
        do = float32(0.0)
        if r >= 0:
            do = d_opacity[b, 0, j]
        opacity[n] = min(max(base_opacity[n] + do, float32(OPACITY_LOW)), float32(OPACITY_HIGH))


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def turn_at_neck(neck_weight, rotation, axis, angle, pivot, head_shift, body_shift, xyz, quat):
    """Turns the head about the neck joint, in place, with the linear blend of the head model's own skinning.

    A point with weight w goes to (1−w)·x + w·(R(x−J)+J), plus the shift (1−w)·body + w·head. Orientations turn by the
    rotation nearest to (1−w)·I + w·R, which is about the same axis by the angle of the complex number (1−w) + w·e^{iθ}.

    Args:
        neck_weight: [N] float32 in 0..1.
        rotation: [3, 3] float32 R;  axis: [3] unit;  angle: θ in radians.
        pivot: [3] the neck joint J, metres.
        head_shift, body_shift: [3] metres.
        xyz: [N, 3];  quat: [N, 4] wxyz. Both are changed.
    """
    one = float32(1.0)
    cosine, sine = float32(math.cos(angle)), float32(math.sin(angle))
    full_w, full_v = float32(math.cos(0.5 * angle)), float32(math.sin(0.5 * angle))
    for n in range(neck_weight.shape[0]):
        w = neck_weight[n]
        px, py, pz = xyz[n, 0], xyz[n, 1], xyz[n, 2]
        if w == 0:
            xyz[n, 0] = px + body_shift[0]
            xyz[n, 1] = py + body_shift[1]
            xyz[n, 2] = pz + body_shift[2]
            continue
        rx, ry, rz = px - pivot[0], py - pivot[1], pz - pivot[2]
        tx = rotation[0, 0] * rx + rotation[0, 1] * ry + rotation[0, 2] * rz - rx
        ty = rotation[1, 0] * rx + rotation[1, 1] * ry + rotation[1, 2] * rz - ry
        tz = rotation[2, 0] * rx + rotation[2, 1] * ry + rotation[2, 2] * rz - rz
        xyz[n, 0] = px + w * (tx + head_shift[0]) + (one - w) * body_shift[0]
        xyz[n, 1] = py + w * (ty + head_shift[1]) + (one - w) * body_shift[1]
        xyz[n, 2] = pz + w * (tz + head_shift[2]) + (one - w) * body_shift[2]
        qw, qv = full_w, full_v
        if w < one:
            # half angle of the blended rotation without trigonometry: (cos φ/2, sin φ/2) ∝ (1 + cos φ, sin φ)
            real, imaginary = one - w + w * cosine, w * sine
            length = math.sqrt(real * real + imaginary * imaginary)
            half_real, half_imaginary = length + real, imaginary
            inverse = one / math.sqrt(half_real * half_real + half_imaginary * half_imaginary)
            qw, qv = half_real * inverse, half_imaginary * inverse
        ax, ay, az = qv * axis[0], qv * axis[1], qv * axis[2]
        w0, x0, y0, z0 = quat[n, 0], quat[n, 1], quat[n, 2], quat[n, 3]
        quat[n, 0] = qw * w0 - ax * x0 - ay * y0 - az * z0
        quat[n, 1] = qw * x0 + ax * w0 + ay * z0 - az * y0
        quat[n, 2] = qw * y0 - ax * z0 + ay * w0 + az * x0
        quat[n, 3] = qw * z0 + ax * y0 - ay * x0 + az * w0


@njit(cache=True, nogil=True, fastmath=_FAST, error_model="numpy")
def fade_averted(xyz, quat, normal, closed, centre, opacity):
    """Fades what looks away from the camera, in place: soft culling of the inside and the far side of a closed skin.

    The opacity is multiplied by 1 − closed · (1 − σ((FACING − view · n) / FACING_SOFTNESS)).

    Args:
        xyz, quat: [N, 3], [N, 4] of the moved Gaussians; quaternions of unit length.
        normal: [N, 3] outward normals in the Gaussians' own axes, unit length.
        closed: [N] share of the fading that applies.
        centre: [3] the camera, metres.
        opacity: [N], changed.
    """
    one, two = float32(1.0), float32(2.0)
    slope, level = float32(1.0 / FACING_SOFTNESS), float32(FACING)
    for n in range(closed.shape[0]):
        share = closed[n]
        if share == 0:
            continue
        w, x, y, z = quat[n, 0], quat[n, 1], quat[n, 2], quat[n, 3]
        nx, ny, nz = normal[n, 0], normal[n, 1], normal[n, 2]
        # n + 2 v × (v × n + w n)
        tx, ty, tz = y * nz - z * ny + w * nx, z * nx - x * nz + w * ny, x * ny - y * nx + w * nz
        nx, ny, nz = nx + two * (y * tz - z * ty), ny + two * (z * tx - x * tz), nz + two * (x * ty - y * tx)
        vx, vy, vz = xyz[n, 0] - centre[0], xyz[n, 1] - centre[1], xyz[n, 2] - centre[2]
        away = (vx * nx + vy * ny + vz * nz) / math.sqrt(vx * vx + vy * vy + vz * vz + float32(1e-20))
        opacity[n] *= one - share * (one - one / (one + math.exp((away - level) * slope)))
