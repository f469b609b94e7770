"""What light reaches: shadow maps of the mesh over many directions, and a voxel volume that hair casts shadows through."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numba
import numpy as np
from numpy.typing import NDArray

from core.studio.numerics import Array, normalize

SHADOW_MAP_SIZE = 136
SHADOW_MAP_REACH = 0.25  # metres from the centre to the edge of a shadow map
SHADOW_BIAS, SHADOW_SOFTNESS = 0.006, 0.0015  # metres behind the nearest surface at which light is half lost, and how fast


def mesh_visibility(vertices: Array, faces: NDArray, directions: Array, points: Array | None = None,
                    bias: float = SHADOW_BIAS) -> Array:
    """Fraction of light that reaches points from far away.

    Args:
        vertices, faces: the mesh that casts shadows (orthographic depth map per direction, light-facing faces only).
        directions: [D, 3] unit vectors toward the light.
        points: [P, 3] where to look; the vertices themselves by default.
        bias: metres behind the nearest surface at which light is half lost.

    Returns:
        [D, P] in 0..1.
    """
    points = vertices if points is None else points
    helper = np.where(np.abs(directions[:, 1:2]) < 0.9, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    right = normalize(np.cross(helper, directions))
    up = np.cross(directions, right)
    out = np.empty((len(directions), len(points)), np.float32)
    _shadow_maps(np.ascontiguousarray(vertices - vertices.mean(0), np.float64), np.ascontiguousarray(faces, np.int32),
                 np.ascontiguousarray(points - vertices.mean(0), np.float64), right, up, np.ascontiguousarray(directions),
                 SHADOW_MAP_SIZE, SHADOW_MAP_REACH, bias, SHADOW_SOFTNESS, out)
    return out


@numba.njit(cache=True, nogil=True)
def _shadow_maps(vertices, faces, points, right, up, directions, size, reach, bias, softness, out):
    depth = np.empty((size, size), np.float32)
    px, py, pz = np.empty(len(vertices)), np.empty(len(vertices)), np.empty(len(vertices))
    scale = 0.5 * size / reach
    for d in range(len(directions)):
        depth[:] = 1e9
        for v in range(len(vertices)):
            x, y, z = vertices[v, 0], vertices[v, 1], vertices[v, 2]
            px[v] = (x * right[d, 0] + y * right[d, 1] + z * right[d, 2]) * scale + 0.5 * size
            py[v] = (x * up[d, 0] + y * up[d, 1] + z * up[d, 2]) * scale + 0.5 * size
            pz[v] = -(x * directions[d, 0] + y * directions[d, 1] + z * directions[d, 2])
        for f in range(len(faces)):
            _draw_triangle(px, py, pz, faces[f, 0], faces[f, 1], faces[f, 2], depth)
        for p in range(len(points)):
            x, y, z = points[p, 0], points[p, 1], points[p, 2]
            column = int((x * right[d, 0] + y * right[d, 1] + z * right[d, 2]) * scale + 0.5 * size)
            row = int((x * up[d, 0] + y * up[d, 1] + z * up[d, 2]) * scale + 0.5 * size)
            column, row = min(max(column, 0), size - 1), min(max(row, 0), size - 1)
            behind = -(x * directions[d, 0] + y * directions[d, 1] + z * directions[d, 2]) - depth[row, column]
            exponent = (behind - bias) / softness
            out[d, p] = 1 / (1 + math.exp(min(max(exponent, -50.0), 50.0)))


@numba.njit(cache=True, nogil=True)
def _draw_triangle(px, py, pz, a, b, c, depth):
    area = (px[b] - px[a]) * (py[c] - py[a]) - (py[b] - py[a]) * (px[c] - px[a])
    if area <= 0:
        return
    size = depth.shape[0]
    x_first = max(int(min(px[a], px[b], px[c])), 0)
    x_last = min(int(max(px[a], px[b], px[c])) + 1, size - 1)
    y_first = max(int(min(py[a], py[b], py[c])), 0)
    y_last = min(int(max(py[a], py[b], py[c])) + 1, size - 1)
    for y in range(y_first, y_last + 1):
        for x in range(x_first, x_last + 1):
            qx, qy = x + 0.5, y + 0.5
            wa = ((px[b] - qx) * (py[c] - qy) - (py[b] - qy) * (px[c] - qx)) / area
            wb = ((px[c] - qx) * (py[a] - qy) - (py[c] - qy) * (px[a] - qx)) / area
            wc = 1 - wa - wb
            if wa < 0 or wb < 0 or wc < 0:
                continue
            z = wa * pz[a] + wb * pz[b] + wc * pz[c]
            depth[y, x] = min(depth[y, x], z)


VOLUME_ORIGIN = np.array([-0.20, -0.32, -0.30])
VOLUME_CELL = 0.008
VOLUME_SHAPE = (50, 64, 52)


@dataclass(frozen=True)
class HairVolume:
    """Optical density of the hair around the head, 1/m in cells of 8 mm."""

    density: Array = field(default_factory=lambda: np.zeros(VOLUME_SHAPE))

    def add(self, points: Array, area: Array) -> None:
        """Deposit strands: projected area (m²) at points [N, 3], spread over the eight nearest cells."""
        _deposit((points - VOLUME_ORIGIN) / VOLUME_CELL, np.ascontiguousarray(area) / VOLUME_CELL**3, self.density)

    def transmittance(self, points: Array, directions: Array, strength: float, steps: int, step: float = 0.010,
                      start: float = 0.006, needed: Array | None = None) -> Array:
        """exp(-optical depth) from points [P, 3] toward directions [D, 3] -> [D, P]; a march of `steps` samples.

        Where `needed` [D, P] is given and false the result is 1 and costs nothing.
        """
        out = np.ones((len(directions), len(points)))
        needed = np.ones(out.shape, bool) if needed is None else needed
        _march(np.ascontiguousarray(points, np.float64), np.ascontiguousarray(directions, np.float64), self.density,
               VOLUME_ORIGIN, 1 / VOLUME_CELL, strength, step, steps, start, needed, out)
        return out


@numba.njit(cache=True, nogil=True)
def _deposit(cells, amount, density):
    nx, ny, nz = density.shape
    for n in range(len(cells)):
        i, j, k = math.floor(cells[n, 0]), math.floor(cells[n, 1]), math.floor(cells[n, 2])
        if i < 0 or j < 0 or k < 0 or i >= nx - 1 or j >= ny - 1 or k >= nz - 1:
            continue
        fx, fy, fz = cells[n, 0] - i, cells[n, 1] - j, cells[n, 2] - k
        for dx in range(2):
            for dy in range(2):
                for dz in range(2):
                    weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                    density[i + dx, j + dy, k + dz] += amount[n] * weight


@numba.njit(cache=True, nogil=True)
def _march(points, directions, density, origin, inverse_cell, strength, step, steps, start, needed, out):
    nx, ny, nz = density.shape
    for d in range(len(directions)):
        for p in range(len(points)):
            if not needed[d, p]:
                continue
            depth, t = 0.0, start
            for _ in range(steps):
                x = (points[p, 0] + directions[d, 0] * t - origin[0]) * inverse_cell
                y = (points[p, 1] + directions[d, 1] * t - origin[1]) * inverse_cell
                z = (points[p, 2] + directions[d, 2] * t - origin[2]) * inverse_cell
                t += step
                i, j, k = int(x), int(y), int(z)
                if x < 0 or y < 0 or z < 0 or i >= nx - 1 or j >= ny - 1 or k >= nz - 1:
                    continue
                fx, fy, fz = x - i, y - j, z - k
                near = (density[i, j, k] * (1 - fx) + density[i + 1, j, k] * fx) * (1 - fy) \
                    + (density[i, j + 1, k] * (1 - fx) + density[i + 1, j + 1, k] * fx) * fy
                far = (density[i, j, k + 1] * (1 - fx) + density[i + 1, j, k + 1] * fx) * (1 - fy) \
                    + (density[i, j + 1, k + 1] * (1 - fx) + density[i + 1, j + 1, k + 1] * fx) * fy
                depth += (near * (1 - fz) + far * fz) * step
                if depth * strength > 8:
                    break
            out[d, p] = math.exp(-depth * strength)
