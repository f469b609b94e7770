"""Leaving out what nobody sees: Gaussians that contribute to no view within ±75° of yaw and ±25° of pitch.

A small picture is composited front to back for each of a handful of views, and the largest weight opacity x transmittance that
every Gaussian reaches in any pixel is kept. What an expression uncovers (lids, lips, eyes, mouth) is exempt from the test.
The back of the head, which those views never show, is thinned out to what closes it.
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
VIEWS = ((0, 0), (0, 25), (0, -25), (75, 22), (-75, 22), (75, -12), (-75, -12), (40, 4), (-40, 4))
PICTURE_SIZE = 168
LEAST_WEIGHT = 0.006  # of one pixel of the small picture
BACK_VIEWS = ((180, 5), (125, 5), (-125, 5))
BACK_PICTURE_SIZE = 104
BACK_LEAST_WEIGHT = 0.03
DILATION = 0.3  # pixels², the renderers' anti-aliasing filter
DONE_TRANSMITTANCE = 0.003
REACH = 2.3  # standard deviations that are drawn


def visibility_scores(splats: Splats) -> Array:
    """How visible every Gaussian is [N]; those below 1 are not worth keeping."""
    cloud = tuple(np.ascontiguousarray(a, np.float64) for a in (splats.xyz, splats.scale, splats.quat, splats.opacity))
    from_front = _largest_weights(cloud, VIEWS, PICTURE_SIZE) / LEAST_WEIGHT
    return np.maximum(from_front, _largest_weights(cloud, BACK_VIEWS, BACK_PICTURE_SIZE) / BACK_LEAST_WEIGHT)


def _largest_weights(cloud: tuple[Array, ...], views: tuple[tuple[int, int], ...], size: int) -> Array:
    """For every Gaussian the largest share it has of any pixel in any view [N]."""
    largest = np.zeros(len(cloud[0]))
    for yaw, pitch in views:
        camera = orbit_camera(math.radians(yaw), math.radians(pitch), size, size, fov_degrees=16.0)
        footprint = _project(cloud, camera)
        _composite(np.argsort(footprint[:, 0], kind="stable"), footprint, size, largest)
    return largest


def _project(cloud: tuple[Array, ...], camera: Camera) -> Array:
    out = np.empty((len(cloud[0]), 9), np.float32)
    _project_kernel(*cloud, camera.world_to_camera.astype(np.float64), camera.fx, camera.cx, camera.cy, out)
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
                power = a * dx * dx + 2 * b * dx * dy + c * dy * dy
                if power > REACH * REACH:
                    continue
                alpha = opacity * math.exp(-0.5 * power)
                best = max(best, alpha * left)
                transmittance[y, x] = left * (1 - min(alpha, 0.999))
        largest[n] = best
