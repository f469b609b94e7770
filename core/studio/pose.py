"""The exact rig: a studio person's Gaussians follow a deformed head mesh.

Every Gaussian is rooted in a triangle. Between the rest and the posed triangle there is one affine map that takes normal to
normal; skin (which lies on its triangle) follows the whole map, everything else (hair, lashes, teeth, eyes) its rotation, so
that strands are never stretched.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from core.studio.identity import StudioIdentity
from core.types import FloatArray, Gaussians

# A patch that is nearly round has no meaningful long axis: below this anisotropy its axes are left where they are.
ROUNDNESS = 0.015


def pose_identity(identity: StudioIdentity, vertices: FloatArray, expression: FloatArray | None = None) -> Gaussians:
    """The person on a posed head.

    Args:
        vertices: [V, 3] metres, the head model's vertices for this identity's shape under any expression and pose.
        expression: [E] the expression coefficients behind `vertices`; they bring out the expression wrinkles.

    Returns:
        All N Gaussians, in the order of ``identity.gaussians``; colours are shared with it.
    """
    base = identity.gaussians
    xyz, scale, quat = np.empty_like(base.xyz), np.empty_like(base.scale), np.empty_like(base.quat)
    frames, maps = _triangle_maps(identity.faces, np.ascontiguousarray(identity.rest_vertices, np.float32),
                                  np.ascontiguousarray(vertices, np.float32))
    _follow(base.xyz, base.scale, base.quat, identity.triangle, identity.rigid, frames, maps, xyz, scale, quat)
    opacity = base.opacity
    if len(identity.wrinkles.index) and expression is not None:
        opacity = opacity.copy()
        rows = identity.wrinkles.index
        opacity[rows] = identity.wrinkles.opacity(base.opacity[rows], expression)
    return Gaussians(xyz, scale, quat, base.rgb, opacity)


@numba.njit(cache=True, nogil=True)
def _frame(vertices, face, out):
    """Origin, first edge, in-plane normal of it, normal (rows of `out` [4, 3]); returns the corners' plane coordinates."""
    for k in range(3):
        out[0, k] = vertices[face[0], k]
    ux = vertices[face[1], 0] - out[0, 0]
    uy = vertices[face[1], 1] - out[0, 1]
    uz = vertices[face[1], 2] - out[0, 2]
    vx = vertices[face[2], 0] - out[0, 0]
    vy = vertices[face[2], 1] - out[0, 1]
    vz = vertices[face[2], 2] - out[0, 2]
    length = math.sqrt(ux * ux + uy * uy + uz * uz) + 1e-12
    ux, uy, uz = ux / length, uy / length, uz / length
    nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
    area = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12
    nx, ny, nz = nx / area, ny / area, nz / area
    out[1, 0], out[1, 1], out[1, 2] = ux, uy, uz
    out[2, 0], out[2, 1], out[2, 2] = ny * uz - nz * uy, nz * ux - nx * uz, nx * uy - ny * ux
    out[3, 0], out[3, 1], out[3, 2] = nx, ny, nz
    return length, vx * ux + vy * uy + vz * uz, area


@numba.njit(cache=True, nogil=True)
def _triangle_maps(faces, rest, posed):
    """Per triangle: rest frame and posed frame [F, 2, 4, 3]; and [F, 6]: in-plane map a, b, d, rotation cos, sin, tilt."""
    count = faces.shape[0]
    frames = np.empty((count, 2, 4, 3))
    maps = np.empty((count, 5))
    for t in range(count):
        l0, x0, y0 = _frame(rest, faces[t], frames[t, 0])
        l1, x1, y1 = _frame(posed, faces[t], frames[t, 1])
        a = l1 / l0  # the map is [[a, b], [0, d]] in the two frames
        b = (x1 - x0 * a) / y0
        d = y1 / y0
        # rotation part of the polar decomposition of a 2x2 matrix, in closed form
        cosine, sine = a + d, -b
        norm = math.sqrt(cosine * cosine + sine * sine) + 1e-12
        maps[t, 0], maps[t, 1], maps[t, 2] = a, b, d
        maps[t, 3], maps[t, 4] = cosine / norm, sine / norm
    return frames, maps


@numba.njit(cache=True, nogil=True)
def _rotation_between(frames, cosine, sine, out):
    """Posed frame · in-plane rotation · rest frame transposed."""
    rest, posed = frames[0], frames[1]
    for i in range(3):
        first = cosine * posed[1, i] + sine * posed[2, i]
        second = -sine * posed[1, i] + cosine * posed[2, i]
        for j in range(3):
            out[i, j] = first * rest[1, j] + second * rest[2, j] + posed[3, i] * rest[3, j]


@numba.njit(cache=True, nogil=True)
def _quat_to_axes(q, out):
    w, x, y, z = q[0], q[1], q[2], q[3]
    out[0, 0], out[0, 1], out[0, 2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    out[1, 0], out[1, 1], out[1, 2] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    out[2, 0], out[2, 1], out[2, 2] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)


@numba.njit(cache=True, nogil=True)
def _quat_from_matrix(m, q):
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    if trace >= m[0, 0] and trace >= m[1, 1] and trace >= m[2, 2]:
        q[0], q[1], q[2], q[3] = 1 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    elif m[0, 0] >= m[1, 1] and m[0, 0] >= m[2, 2]:
        q[0], q[1], q[2], q[3] = m[2, 1] - m[1, 2], 1 + m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]
    elif m[1, 1] >= m[2, 2]:
        q[0], q[1], q[2], q[3] = m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], 1 - m[0, 0] + m[1, 1] - m[2, 2], m[1, 2] + m[2, 1]
    else:
        q[0], q[1], q[2], q[3] = m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1 - m[0, 0] - m[1, 1] + m[2, 2]
    norm = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    for k in range(4):
        q[k] /= norm


@numba.njit(cache=True, nogil=True)
def _patch_under_map(axes, scale, frames, plane_map, rotation, turned, new_scale):
    """Axes and scales of a flat patch under the affine map of its triangle.

    The two in-plane axes are taken to the rest frame, mapped, and re-diagonalised by the smallest rotation that does so.
    """
    rest = frames[0]
    a, b, d = plane_map[0], plane_map[1], plane_map[2]
    cosine, sine = plane_map[3], plane_map[4]
    mapped = np.empty((2, 2))
    for k in range(2):
        x = (axes[0, k] * rest[1, 0] + axes[1, k] * rest[1, 1] + axes[2, k] * rest[1, 2]) * scale[k]
        y = (axes[0, k] * rest[2, 0] + axes[1, k] * rest[2, 1] + axes[2, k] * rest[2, 2]) * scale[k]
        mapped[k, 0], mapped[k, 1] = a * x + b * y, d * y
    # covariance in the posed frame, expressed along the rigidly rotated axes of the patch
    cxx = mapped[0, 0] * mapped[0, 0] + mapped[1, 0] * mapped[1, 0]
    cxy = mapped[0, 0] * mapped[0, 1] + mapped[1, 0] * mapped[1, 1]
    cyy = mapped[0, 1] * mapped[0, 1] + mapped[1, 1] * mapped[1, 1]
    x = axes[0, 0] * rest[1, 0] + axes[1, 0] * rest[1, 1] + axes[2, 0] * rest[1, 2]
    y = axes[0, 0] * rest[2, 0] + axes[1, 0] * rest[2, 1] + axes[2, 0] * rest[2, 2]
    second_x = axes[0, 1] * rest[1, 0] + axes[1, 1] * rest[1, 1] + axes[2, 1] * rest[1, 2]
    second_y = axes[0, 1] * rest[2, 0] + axes[1, 1] * rest[2, 1] + axes[2, 1] * rest[2, 2]
    turn = 1.0 if x * second_y - y * second_x >= 0 else -1.0  # patches may be wound against their triangle
    norm = math.sqrt(x * x + y * y) + 1e-12
    x, y = x / norm, y / norm
    px, py = cosine * x - sine * y, sine * x + cosine * y
    along = cxx * px * px + 2 * cxy * px * py + cyy * py * py
    across = cxx * py * py - 2 * cxy * px * py + cyy * px * px
    mixed = cxy * (px * px - py * py) + (cyy - cxx) * px * py
    sign = 1.0 if along >= across else -1.0
    angle = 0.5 * math.atan2(2 * mixed * sign, abs(along - across) + ROUNDNESS * (along + across))
    c, s = math.cos(angle), math.sin(angle)
    new_scale[0] = math.sqrt(max(c * c * along + 2 * c * s * mixed + s * s * across, 1e-16))
    new_scale[1] = math.sqrt(max(s * s * along - 2 * c * s * mixed + c * c * across, 1e-16))
    new_scale[2] = scale[2]
    for i in range(3):
        first, second = 0.0, 0.0
        for j in range(3):
            first += rotation[i, j] * axes[j, 0]
            second += rotation[i, j] * axes[j, 1]
        turned[i, 0] = c * first + turn * s * second
        turned[i, 1] = -turn * s * first + c * second
        turned[i, 2] = rotation[i, 0] * axes[0, 2] + rotation[i, 1] * axes[1, 2] + rotation[i, 2] * axes[2, 2]


@numba.njit(cache=True, nogil=True)
def _follow(xyz, scale, quat, triangle, rigid, frames, maps, out_xyz, out_scale, out_quat):
    axes, rotation, turned = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    local = np.empty(3)
    q, new_scale = np.empty(4), np.empty(3)
    for n in range(xyz.shape[0]):
        t = triangle[n]
        rest, posed = frames[t, 0], frames[t, 1]
        for k in range(3):
            local[k] = ((xyz[n, 0] - rest[0, 0]) * rest[k + 1, 0] + (xyz[n, 1] - rest[0, 1]) * rest[k + 1, 1]
                        + (xyz[n, 2] - rest[0, 2]) * rest[k + 1, 2])
        _rotation_between(frames[t], maps[t, 3], maps[t, 4], rotation)
        _quat_to_axes(quat[n], axes)
        if rigid[n]:
            x = maps[t, 3] * local[0] - maps[t, 4] * local[1]
            y = maps[t, 4] * local[0] + maps[t, 3] * local[1]
            for i in range(3):
                for j in range(3):
                    turned[i, j] = (rotation[i, 0] * axes[0, j] + rotation[i, 1] * axes[1, j] + rotation[i, 2] * axes[2, j])
            for k in range(3):
                out_scale[n, k] = scale[n, k]
        else:
            x = maps[t, 0] * local[0] + maps[t, 1] * local[1]
            y = maps[t, 2] * local[1]
            _patch_under_map(axes, scale[n], frames[t], maps[t], rotation, turned, new_scale)
            for k in range(3):
                out_scale[n, k] = new_scale[k]
        _quat_from_matrix(turned, q)
        same_side = q[0] * quat[n, 0] + q[1] * quat[n, 1] + q[2] * quat[n, 2] + q[3] * quat[n, 3] >= 0
        for k in range(4):
            out_quat[n, k] = q[k] if same_side else -q[k]
        for k in range(3):
            out_xyz[n, k] = posed[0, k] + x * posed[1, k] + y * posed[2, k] + local[2] * posed[3, k]
