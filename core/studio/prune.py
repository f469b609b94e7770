"""Leaving out what nobody ever sees: Gaussians that contribute to no view within ±75° of yaw and ±25° of pitch.

A small picture is composited front to back for each of a handful of views, and the largest weight opacity x transmittance that
every Gaussian reaches in any pixel is kept. What an expression uncovers (lids, lips, eyes, mouth) is exempt from the test.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from core.geometry import orbit_camera
from core.studio.numerics import Array
from core.studio.splats import Splats
from core.types import Camera

# yaw and pitch in degrees; the corners of the range, its middle, and the diagonals between
VIEWS = ((0, 0), (0, 25), (0, -25), (75, 25), (-75, 25), (75, -20), (-75, -20), (75, 2), (-75, 2), (40, 4), (-40, 4))
PICTURE_SIZE = 200
LEAST_WEIGHT = 0.006  # of one pixel of the small picture
DILATION = 0.3  # pixels², the renderers' anti-aliasing filter
LEAST_ALPHA = 1 / 255
DONE_TRANSMITTANCE = 0.003
REACH = 2.6  # standard deviations that are drawn


def largest_weights(splats: Splats) -> Array:
    """For every Gaussian the largest share it has of any pixel in any view [N]."""
    largest = np.zeros(len(splats))
    xyz, scale, quat = (np.ascontiguousarray(a, np.float64) for a in (splats.xyz, splats.scale, splats.quat))
    opacity = np.ascontiguousarray(splats.opacity, np.float64)
    for yaw, pitch in VIEWS:
        camera = orbit_camera(math.radians(yaw), math.radians(pitch), PICTURE_SIZE, PICTURE_SIZE, fov_degrees=16.0)
        footprint = _project(xyz, scale, quat, opacity, camera)
        order = np.argsort(footprint[:, 0], kind="stable")
        _composite(order, footprint, PICTURE_SIZE, largest)
    return largest


def _project(xyz: Array, scale: Array, quat: Array, opacity: Array, camera: Camera) -> Array:
    out = np.empty((len(xyz), 9), np.float32)
    _project_kernel(xyz, scale, quat, opacity, camera.world_to_camera.astype(np.float64), camera.fx, camera.cx, camera.cy, out)
    return out


@numba.njit(cache=True, nogil=True)
def _project_kernel(xyz, scale, quat, opacity, view, focal, cx, cy, out):
    for n in range(xyz.shape[0]):
        x = view[0, 0] * xyz[n, 0] + view[0, 1] * xyz[n, 1] + view[0, 2] * xyz[n, 2] + view[0, 3]
        y = view[1, 0] * xyz[n, 0] + view[1, 1] * xyz[n, 1] + view[1, 2] * xyz[n, 2] + view[1, 3]
        z = view[2, 0] * xyz[n, 0] + view[2, 1] * xyz[n, 1] + view[2, 2] * xyz[n, 2] + view[2, 3]
        w, i, j, k = quat[n, 0], quat[n, 1], quat[n, 2], quat[n, 3]
        jx, jz, jw = focal / z, -focal * x / (z * z), -focal * y / (z * z)
        a, b, c = 0.0, 0.0, 0.0
        for axis in range(3):
            if axis == 0:
                ax, ay, az = 1 - 2 * (j * j + k * k), 2 * (i * j + w * k), 2 * (i * k - w * j)
            elif axis == 1:
                ax, ay, az = 2 * (i * j - w * k), 1 - 2 * (i * i + k * k), 2 * (j * k + w * i)
            else:
                ax, ay, az = 2 * (i * k + w * j), 2 * (j * k - w * i), 1 - 2 * (i * i + j * j)
            vx = (view[0, 0] * ax + view[0, 1] * ay + view[0, 2] * az) * scale[n, axis]
            vy = (view[1, 0] * ax + view[1, 1] * ay + view[1, 2] * az) * scale[n, axis]
            vz = (view[2, 0] * ax + view[2, 1] * ay + view[2, 2] * az) * scale[n, axis]
            u, v = jx * vx + jz * vz, jx * vy + jw * vz
            a, b, c = a + u * u, b + u * v, c + v * v
        sharp = max(a * c - b * b, 0.0)
        a, c = a + DILATION, c + DILATION
        det = a * c - b * b
        out[n, 0], out[n, 1], out[n, 2] = z, jx * x + cx, jx * y + cy
        out[n, 3], out[n, 4], out[n, 5] = c / det, -b / det, a / det
        out[n, 6], out[n, 7] = REACH * math.sqrt(a), REACH * math.sqrt(c)
        out[n, 8] = opacity[n] * math.sqrt(sharp / det)


@numba.njit(cache=True, nogil=True)
def _composite(order, footprint, size, largest):
    transmittance = np.ones((size, size), np.float32)
    for rank in range(order.shape[0]):
        n = order[rank]
        _, u, v, a, b, c, rx, ry, opacity = footprint[n]
        x_first, x_last = max(0, math.ceil(u - rx - 0.5)), min(size - 1, math.floor(u + rx - 0.5))
        y_first, y_last = max(0, math.ceil(v - ry - 0.5)), min(size - 1, math.floor(v + ry - 0.5))
        best = largest[n]
        for y in range(y_first, y_last + 1):
            dy = y + 0.5 - v
            for x in range(x_first, x_last + 1):
                left = transmittance[y, x]
                if left < DONE_TRANSMITTANCE:
                    continue
                dx = x + 0.5 - u
                alpha = opacity * math.exp(-0.5 * (a * dx * dx + 2 * b * dx * dy + c * dy * dy))
                if alpha < LEAST_ALPHA:
                    continue
                best = max(best, alpha * left)
                transmittance[y, x] = left * (1 - min(alpha, 0.999))
        largest[n] = best
