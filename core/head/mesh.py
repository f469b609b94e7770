"""Triangle meshes: normals, adjacency, boundaries, closest points and a z-buffer rasteriser."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from core.types import Camera, FloatArray


def face_normals(vertices: FloatArray, faces: NDArray) -> FloatArray:
    """Normals [F, 3], twice the triangle's area long."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(vertices: FloatArray, faces: NDArray) -> FloatArray:
    """Area-weighted unit normals [V, 3]; zero for vertices that no face uses."""
    normals = face_normals(vertices, faces)
    total = np.zeros_like(vertices)
    for axis in range(3):
        total[:, axis] = np.bincount(faces.ravel(), np.repeat(normals[:, axis], 3), len(vertices))
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return total / np.where(length > 0, length, 1)


def edges(faces: NDArray) -> tuple[NDArray, NDArray]:
    """Undirected edges [E, 2] (smaller id first, sorted) and how many faces use each [E]."""
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    return np.unique(np.sort(pairs, axis=1), axis=0, return_counts=True)


def neighbours(faces: NDArray) -> dict[int, set[int]]:
    """Vertex id -> ids that share an edge with it."""
    table: dict[int, set[int]] = {}
    for a, b in edges(faces)[0].tolist():
        table.setdefault(a, set()).add(b)
        table.setdefault(b, set()).add(a)
    return table


def boundary_loops(faces: NDArray) -> list[NDArray[np.int64]]:
    """Closed loops of vertex ids around the holes of a mesh, longest first, each in the direction of its faces' edges."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    present = {(a, b) for a, b in directed}
    following = {a: b for a, b in directed if (b, a) not in present}
    loops = []
    while following:
        start = next(iter(following))
        loop, current = [start], following.pop(start)
        while current != start:
            loop.append(current)
            current = following.pop(current)
        loops.append(np.array(loop))
    return sorted(loops, key=len, reverse=True)


def closest_points(points: FloatArray, corners: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Closest point of triangle i to point i.

    Ericson, "Real-Time Collision Detection" (2005), section 5.1.5: the plane's foot point where it lies inside, else the
    nearest point of the three edges.

    Args:
        points: [N, 3].
        corners: [N, 3, 3], the corners of one triangle for each point.

    Returns:
        barycentric coordinates [N, 3] and squared distances [N].
    """
    a, ab, ac = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    ap = points - a
    d00, d01, d11 = (ab * ab).sum(1), (ab * ac).sum(1), (ac * ac).sum(1)
    d20, d21 = (ap * ab).sum(1), (ap * ac).sum(1)
    determinant = np.maximum(d00 * d11 - d01 * d01, 1e-30)
    v, w = (d11 * d20 - d01 * d21) / determinant, (d00 * d21 - d01 * d20) / determinant
    best = np.stack([1 - v - w, v, w], 1)
    inside = (best >= 0).all(1)
    distance = np.where(inside, _squared_distance(points, corners, best), np.inf)
    for first, second in ((0, 1), (1, 2), (2, 0)):
        edge = corners[:, second] - corners[:, first]
        t = np.clip(((points - corners[:, first]) * edge).sum(1) / np.maximum((edge * edge).sum(1), 1e-30), 0, 1)
        candidate = np.zeros_like(best)
        candidate[:, first], candidate[:, second] = 1 - t, t
        candidate_distance = _squared_distance(points, corners, candidate)
        nearer = candidate_distance < distance
        best[nearer], distance[nearer] = candidate[nearer], candidate_distance[nearer]
    return best, distance


def _squared_distance(points: FloatArray, corners: FloatArray, barycentric: FloatArray) -> FloatArray:
    return ((np.einsum("nk,nkd->nd", barycentric, corners) - points) ** 2).sum(1)


@dataclass(frozen=True)
class RasterizedMesh:
    """What each pixel sees.

    Attributes:
        triangle: [H, W] int32 face index, -1 where nothing is seen.
        barycentric: [H, W, 3] float32, perspective-correct weights of the face's corners.
        depth: [H, W] float32, infinity where nothing is seen.
    """

    triangle: NDArray[np.int32]
    barycentric: FloatArray
    depth: FloatArray


def project(camera: Camera, points: FloatArray) -> FloatArray:
    """Points [N, 3] in world space -> pixel x, pixel y, depth [N, 3]."""
    view = points @ camera.world_to_camera[:3, :3].T + camera.world_to_camera[:3, 3]
    x = camera.fx * view[:, 0] / view[:, 2] + camera.cx
    y = camera.fy * view[:, 1] / view[:, 2] + camera.cy
    return np.stack([x, y, view[:, 2]], 1)


def rasterize_mesh(vertices_px_depth: FloatArray, faces: NDArray, width: int, height: int) -> RasterizedMesh:
    """Z-buffer both sides of all faces, sampled at pixel centres (+0.5).

    Args:
        vertices_px_depth: [V, 3] pixel x, pixel y and depth, as `project` returns. Faces with a corner at depth <= 0 are
            left out. A constant positive depth rasterises a flat map, such as UV coordinates.
        faces: [F, 3].
    """
    triangle = np.full((height, width), -1, np.int32)
    barycentric = np.zeros((height, width, 3), np.float32)
    depth = np.full((height, width), np.inf, np.float32)
    points = np.ascontiguousarray(vertices_px_depth, np.float64)
    _rasterize(points, np.ascontiguousarray(faces, np.int32), triangle, barycentric, depth)
    return RasterizedMesh(triangle, barycentric, depth)


@numba.njit(cache=True, nogil=True)
def _rasterize(points, faces, triangle, barycentric, depth):
    height, width = triangle.shape
    for i in range(faces.shape[0]):
        ax, ay, az = points[faces[i, 0]]
        bx, by, bz = points[faces[i, 1]]
        cx, cy, cz = points[faces[i, 2]]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or min(az, bz, cz) <= 0:
            continue
        x_first, x_last = max(0, int(min(ax, bx, cx) - 0.5)), min(width - 1, int(max(ax, bx, cx) + 0.5))
        y_first, y_last = max(0, int(min(ay, by, cy) - 0.5)), min(height - 1, int(max(ay, by, cy) + 0.5))
        for y in range(y_first, y_last + 1):
            for x in range(x_first, x_last + 1):
                px, py = x + 0.5, y + 0.5
                wa = ((bx - px) * (cy - py) - (by - py) * (cx - px)) / area
                wb = ((cx - px) * (ay - py) - (cy - py) * (ax - px)) / area
                wc = 1.0 - wa - wb
                if wa < 0 or wb < 0 or wc < 0:
                    continue
                z = 1.0 / (wa / az + wb / bz + wc / cz)
                if z < depth[y, x]:
                    depth[y, x] = z
                    triangle[y, x] = i
                    barycentric[y, x, 0] = wa * z / az
                    barycentric[y, x, 1] = wb * z / bz
                    barycentric[y, x, 2] = wc * z / cz
