"""Fixed sample points on the head's triangles. Position and tangents of a sample are linear in the vertices."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from core.studio.numerics import Array, normalize


@dataclass(frozen=True)
class SurfaceSamples:
    """Points on triangles.

    Attributes:
        triangle: [N] index into the head's faces.
        corners: [N, 3] vertex ids of that triangle.
        barycentric: [N, 3].
        du, dv: [N, 3] weights over the corners that give the change of position over one sample step.
        rest: [N, 3] position on the template: "the same place on every head".
    """

    triangle: NDArray[np.int32]
    corners: NDArray[np.int32]
    barycentric: Array
    du: Array
    dv: Array
    rest: Array

    def __len__(self) -> int:
        return len(self.triangle)

    def at(self, values: Array) -> Array:
        """Interpolates per-vertex values [V, ...] -> [N, ...]."""
        b, c = self.barycentric, self.corners
        shape = (-1,) + (1,) * (values.ndim - 1)
        return sum(b[:, k].reshape(shape) * values[c[:, k]] for k in range(3))

    def tangents(self, vertices: Array) -> tuple[Array, Array]:
        """dP/du and dP/dv [N, 3] on the given vertices."""
        corners = vertices[self.corners]
        return np.einsum("nk,nkd->nd", self.du, corners), np.einsum("nk,nkd->nd", self.dv, corners)

    def subset(self, keep: NDArray) -> SurfaceSamples:
        return SurfaceSamples(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


def area_samples(vertices: Array, faces: NDArray, chosen: NDArray, count: int, rng: np.random.Generator) -> SurfaceSamples:
    """About `count` blue-noise points (dart throwing on the surface) on the `chosen` triangles."""
    corners = faces[chosen]
    a, b, c = (vertices[corners[:, k]] for k in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    pick = rng.choice(len(corners), count * 3, p=area / area.sum())
    uv = rng.uniform(size=(len(pick), 2))
    uv[uv.sum(1) > 1] = 1 - uv[uv.sum(1) > 1]
    barycentric = np.stack([1 - uv.sum(1), uv[:, 0], uv[:, 1]], 1)
    points = np.einsum("nk,nkd->nd", barycentric, vertices[corners[pick]])
    spacing = math.sqrt(area.sum() / count)
    alive = np.ones(len(pick), bool)
    for i, neighbours in enumerate(cKDTree(points).query_ball_point(points, spacing * 0.72)):
        if alive[i]:
            later = [j for j in neighbours if j > i]
            alive[later] = False
    pick, barycentric = pick[alive], barycentric[alive]
    return isotropic_samples(vertices, faces, chosen[pick], barycentric, math.sqrt(area.sum() / alive.sum()))


def isotropic_samples(vertices: Array, faces: NDArray, triangle: NDArray, barycentric: Array, spacing: float) -> SurfaceSamples:
    """Samples whose two tangents are orthogonal and `spacing` * 1.1 long on the given vertices."""
    corners = faces[triangle]
    p = vertices[corners]
    e1, e2 = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    normal = normalize(np.cross(e1, e2))
    first = normalize(e1)
    second = np.cross(normal, first)
    g11, g12, g22 = (e1 * e1).sum(1), (e1 * e2).sum(1), (e2 * e2).sum(1)
    det = g11 * g22 - g12**2 + 1e-18

    def corner_weights(tangent: Array) -> Array:
        b1, b2 = (tangent * e1).sum(1), (tangent * e2).sum(1)
        alpha, beta = (g22 * b1 - g12 * b2) / det, (g11 * b2 - g12 * b1) / det
        return np.stack([-alpha - beta, alpha, beta], 1)

    step = spacing * 1.1
    return SurfaceSamples(triangle.astype(np.int32), corners.astype(np.int32), barycentric, corner_weights(first * step),
                          corner_weights(second * step), np.einsum("nk,nkd->nd", barycentric, p))
