"""A texture map of the skin: cut, flattened without flips, with more room where the eye looks.

The skin is cut from the crown down the back, its holes are closed by fans, and the disk is laid into a rectangle: first by
Tutte's embedding with mean-value weights (Floater 2003), which cannot flip a triangle on a convex border, then by SLIM
(Rabinovich et al., "Scalable Locally Injective Mappings", 2017), which lowers the symmetric Dirichlet energy and keeps it so.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import spsolve

from core.head.mesh import boundary_loops, edges, face_normals
from core.types import FloatArray

BULGE = 0.012  # sides of the border bend outwards this much, so that no three of its points are in line
SEAM_SHARE = 0.405  # of the border's length that each side of the cut takes; the lower edge has the rest
SLIM_ITERATIONS = 60
SLIM_TOLERANCE = 2e-4
MINIMUM_HEIGHT = 0.02  # slivers are treated as at least this high for their length
_SMALLEST_STEP = 1e-6


@dataclass(frozen=True)
class UvMap:
    """Texture coordinates of a mesh.

    Attributes:
        uv: [T, 2] in the rectangle 1 x height, v up; face upright in the middle.
        faces: [F, 3] rows of `uv` for the faces of the mesh.
        vertex: [T] mesh vertex of each row.
        energy: symmetric Dirichlet energy, 4 for an isometry.
        flipped: triangles that are flipped or degenerate.
    """

    uv: NDArray[np.float64]
    faces: NDArray[np.int64]
    vertex: NDArray[np.int64]
    energy: float
    flipped: int


@dataclass(frozen=True)
class FaceLayout:
    """Where the features are, for the density of the map: points [3] in metres."""

    left_eye: FloatArray
    right_eye: FloatArray
    mouth: FloatArray
    shoulder_height: float


def texture_importance(points: FloatArray, layout: FaceLayout) -> FloatArray:
    """Wanted texels per area [N], relative: the front counts more than the back, eyes, lips, nose and ears more than the rest."""
    eyes = 0.5 * (layout.left_eye + layout.right_eye)
    p = points - eyes
    mouth = layout.mouth - eyes
    density = 0.5 + 1.9 * _logistic((p[:, 2] + 0.055) / 0.012)
    half = 0.5 * (layout.left_eye[0] - layout.right_eye[0])
    bumps = [((side * half * 1.085, 0, 0.005), 0.022, 5.5) for side in (1, -1)]  # a little outside the eyeballs' centres
    bumps += [(mouth, 0.028, 4.6), ((0, 0.53 * mouth[1], 0.03), 0.022, 1.7)]
    bumps += [((side * 0.073, -0.01, -0.085), 0.025, 4.2) for side in (1, -1)]
    for centre, radius, gain in bumps:
        density = density * (1 + (gain - 1) * np.exp(-((p - np.array(centre)) ** 2).sum(1) / (2 * radius**2)))
    return density * (0.11 + 0.89 * _logistic((points[:, 1] - layout.shoulder_height) / 0.012))


def unwrap_skin(vertices: FloatArray, faces: NDArray, importance: FloatArray, height: float) -> UvMap:
    """Flatten a skin with one long lower edge and any smaller holes into the rectangle 1 x `height`.

    Args:
        vertices: [V, 3], y up, z front, symmetric about x = 0.
        faces: [F, 3] of the skin.
        importance: [V] wanted texels per area, relative.
        height: of the rectangle.
    """
    path = _seam(vertices, faces)
    cut = _cut_along(faces, path)
    closed, positions, weight = _close_holes(cut.faces, vertices[cut.vertex], importance[cut.vertex])
    outer = boundary_loops(cut.faces)[0]
    outer = np.roll(outer, -int(np.flatnonzero(cut.vertex[outer] == path[0])[0]))
    border = _border(vertices[cut.vertex[outer]], len(path)) * [1, height]
    disk = _Disk(closed, positions, outer, weight[closed].mean(1), height)
    flat = disk.tutte(border)
    mirrored = disk.signed_areas(flat).sum() < 0
    if mirrored:  # the border runs the other way round: work on the mirror image
        flat[:, 0] = 1 - flat[:, 0]
    flat, energy = disk.slim(flat)
    flipped = int((disk.signed_areas(flat) <= 0).sum())
    flat = flat[:len(cut.vertex)]
    front = flat[np.argmax(vertices[cut.vertex, 0]), 0]
    if front < 0.5:  # the subject's left is on the right of the picture
        flat[:, 0] = 1 - flat[:, 0]
    return UvMap(flat, cut.faces, cut.vertex, energy, flipped)


def pack_strip(charts: list[NDArray], height: float, margin: float = 0.03) -> list[NDArray[np.float64]]:
    """Charts [N, 2] in any unit, side by side in boxes of equal width in the rectangle 1 x `height`."""
    width = 1 / max(len(charts), 1)
    packed = []
    for i, chart in enumerate(charts):
        unit = (chart - chart.min(0)) / (np.ptp(chart, axis=0) + 1e-9)
        packed.append((margin + (1 - 2 * margin) * unit) * [width, height] + [i * width, 0])
    return packed


# ---------------------------------------------------------------------- cutting


@dataclass(frozen=True)
class _CutMesh:
    faces: NDArray[np.int64]
    vertex: NDArray[np.int64]


def _seam(vertices: FloatArray, faces: NDArray) -> list[int]:
    """Vertices from the crown down the back to the lower edge: the shortest path that keeps to the symmetry plane."""
    used = np.unique(faces)
    near_plane = used[np.abs(vertices[used, 0]) < 0.004]
    crown = int(near_plane[np.argmax(vertices[near_plane, 1])])
    lowest = min(boundary_loops(faces), key=lambda loop: vertices[loop, 1].mean())
    goals = set(lowest.tolist())
    table: dict[int, list[tuple[int, float]]] = {}
    for a, b in edges(faces)[0].tolist():
        length = float(np.linalg.norm(vertices[a] - vertices[b]))
        off_plane = abs(vertices[a, 0]) + abs(vertices[b, 0])
        in_front = max(vertices[a, 2], vertices[b, 2]) - vertices[crown, 2]
        cost = length * (1 + off_plane / 0.002 + (100 if in_front > 0.002 else 0))
        table.setdefault(a, []).append((b, cost))
        table.setdefault(b, []).append((a, cost))
    best, previous, queue = {crown: 0.0}, {}, [(0.0, crown)]
    while queue:  # Dijkstra
        cost, here = heapq.heappop(queue)
        if here in goals:
            break
        if cost > best[here]:
            continue
        for neighbour, step in table[here]:
            if cost + step < best.get(neighbour, np.inf):
                best[neighbour], previous[neighbour] = cost + step, here
                heapq.heappush(queue, (cost + step, neighbour))
    path = [here]
    while path[-1] != crown:
        path.append(previous[path[-1]])
    return path[::-1]


def _cut_along(faces: NDArray, path: list[int]) -> _CutMesh:
    """Open the mesh along `path`: all its vertices but the first get a second copy for the faces on one side."""
    first_copy = int(faces.max()) + 1
    opened = faces.copy()
    for i, vertex in enumerate(path[1:], start=1):
        after = path[i + 1] if i + 1 < len(path) else None
        for face in _fan_side(faces, vertex, path[i - 1], after):
            opened[face][faces[face] == vertex] = first_copy + i
    rows, opened = np.unique(opened, return_inverse=True)
    vertex = np.array([row if row < first_copy else path[row - first_copy] for row in rows])
    return _CutMesh(opened.reshape(-1, 3), vertex)


def _fan_side(faces: NDArray, vertex: int, before: int, after: int | None) -> list[int]:
    """Faces around `vertex` met when turning from the edge to `before` until the edge to `after` or the mesh's border."""
    entering = {}
    for face in np.flatnonzero((faces == vertex).any(1)):
        corner = int(np.flatnonzero(faces[face] == vertex)[0])
        entering[int(faces[face, (corner + 1) % 3])] = (int(face), int(faces[face, (corner + 2) % 3]))
    found, here = [], before
    while here in entering and here != after:
        face, here = entering.pop(here)
        found.append(face)
    return found


def _close_holes(faces: NDArray, positions: FloatArray, weight: FloatArray) -> tuple[NDArray, FloatArray, FloatArray]:
    """Fill every hole but the longest with a fan, so that the mesh is a disk."""
    for loop in boundary_loops(faces)[1:]:
        centre = len(positions)
        positions = np.concatenate([positions, positions[loop].mean(0, keepdims=True)])
        weight = np.append(weight, weight[loop].mean())
        fan = np.stack([np.roll(loop, -1), loop, np.full_like(loop, centre)], 1)
        faces = np.concatenate([faces, fan])
    return faces, positions, weight


def _border(points: FloatArray, path_length: int) -> NDArray[np.float64]:
    """Border points [N, 2] of the unit square from the top centre around, by length within each of cut, lower edge, cut."""
    steps = np.linalg.norm(np.diff(points, axis=0, append=points[:1]), axis=1)
    along = np.concatenate([[0], np.cumsum(steps)])
    first, second = path_length - 1, len(points) - path_length + 1
    knots = along[[0, first, second, len(points)]]
    share = np.interp(along[:-1], knots, [0, SEAM_SHARE, 1 - SEAM_SHARE, 1])
    corners = np.array([0, 0.125, 0.375, 0.5, 0.625, 0.875, 1])
    x = np.interp(share, corners, [0, 1, 1, 0, -1, -1, 0])
    y = np.interp(share, corners, [1, 1, -1, -1, -1, 1, 1])
    return np.stack([0.5 + 0.5 * x * (1 - BULGE * y * y), 0.5 + 0.5 * y * (1 - BULGE * x * x)], 1)


def _logistic(x: FloatArray) -> FloatArray:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))


# ---------------------------------------------------------------------- flattening


class _Disk:
    """A triangulated disk in space with a fixed flat border."""

    def __init__(self, faces: NDArray, positions: FloatArray, border: NDArray, face_weight: FloatArray, area: float) -> None:
        self.faces, self.positions, self.border = faces, positions.astype(np.float64), border
        self.count = len(positions)
        self.inner = np.setdiff1d(np.arange(self.count), border)
        self._build_gradients(face_weight, area)

    def signed_areas(self, flat: NDArray) -> NDArray[np.float64]:
        a, b, c = (flat[self.faces[:, k]] for k in range(3))
        return 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])

    def tutte(self, border: NDArray) -> NDArray[np.float64]:
        """Every inner vertex at the mean-value-weighted average of its neighbours."""
        rows, columns, values = [], [], []
        for k in range(3):
            here, left, right = (self.faces[:, (k + step) % 3] for step in range(3))
            u, v = self.positions[left] - self.positions[here], self.positions[right] - self.positions[here]
            u_length, v_length = np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)
            cosine = np.clip((u * v).sum(1) / (u_length * v_length + 1e-12), -0.999, 0.999)
            half_tangent = np.sqrt((1 - cosine) / (1 + cosine))
            rows += [here, here]
            columns += [left, right]
            values += [half_tangent / (u_length + 1e-9), half_tangent / (v_length + 1e-9)]
        matrix = sp.coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
                               shape=(self.count, self.count)).tocsr()
        laplacian = sp.diags(np.asarray(matrix.sum(1)).ravel()) - matrix
        flat = np.zeros((self.count, 2))
        flat[self.border] = border
        system = laplacian[self.inner]
        flat[self.inner] = spsolve(system[:, self.inner].tocsc(), -(system[:, self.border] @ border))
        return flat

    def slim(self, flat: NDArray) -> tuple[NDArray[np.float64], float]:
        """Lower the energy by reweighted least squares; the line search refuses any step that flips a triangle."""
        energy = self._energy(flat)
        for _ in range(SLIM_ITERATIONS):
            direction = self._proxy_minimum(flat) - flat
            step = 1.0
            while step > _SMALLEST_STEP and not self._energy(flat + step * direction) < energy:
                step *= 0.6
            if step <= _SMALLEST_STEP:
                break
            flat = flat + step * direction
            previous, energy = energy, self._energy(flat)
            if previous - energy < SLIM_TOLERANCE * previous:
                break
        return flat, energy

    def _build_gradients(self, face_weight: FloatArray, area: float) -> None:
        """Each triangle laid flat at its wanted size, and the operators that take a map to its Jacobian there."""
        a, b, c = (self.positions[self.faces[:, k]] for k in range(3))
        length = np.linalg.norm(b - a, axis=1)
        along = (b - a) / length[:, None]
        size = 0.5 * np.linalg.norm(face_normals(self.positions, self.faces), axis=1)
        scale = np.sqrt(face_weight * area / (size * face_weight).sum())
        x1, x2 = length * scale, ((c - a) * along).sum(1) * scale
        y2 = np.linalg.norm((c - a) - ((c - a) * along).sum(1)[:, None] * along, axis=1) * scale
        y2 = np.maximum(y2, MINIMUM_HEIGHT * np.hypot(x1, x2))
        rows = np.repeat(np.arange(len(self.faces)), 3)
        shape = (len(self.faces), self.count)
        by_x = np.stack([-1 / x1, 1 / x1, np.zeros_like(x1)], 1)
        by_y = np.stack([(x2 / x1 - 1) / y2, -x2 / (x1 * y2), 1 / y2], 1)
        self.by_x = sp.csr_matrix((by_x.ravel(), (rows, self.faces.ravel())), shape=shape)
        self.by_y = sp.csr_matrix((by_y.ravel(), (rows, self.faces.ravel())), shape=shape)
        fixed = np.isin(self.faces, self.border).all(1)  # triangles with three fixed corners cannot improve
        weight = 0.5 * x1 * y2
        weight = weight / weight.sum()
        self.weight = np.where(fixed, 0, np.maximum(weight, 1e-7))

    def _jacobians(self, flat: NDArray) -> NDArray[np.float64]:
        """[F, 2, 2], rows u and v, columns x and y."""
        return np.stack([self.by_x @ flat, self.by_y @ flat], -1)

    def _energy(self, flat: NDArray) -> float:
        jacobian = self._jacobians(flat)
        determinant = np.linalg.det(jacobian)
        if determinant.min() <= 0:
            return np.inf
        return float((self.weight * (jacobian**2).sum((1, 2)) * (1 + 1 / determinant**2)).sum())

    def _proxy_minimum(self, flat: NDArray) -> NDArray[np.float64]:
        """Minimiser of SLIM's quadratic proxy at `flat` (section 3.3, symmetric Dirichlet weights of table 1)."""
        u, s, vt = np.linalg.svd(self._jacobians(flat))
        s = np.maximum(s, 1e-6)
        stiffness = np.minimum(np.sqrt(1 + 1 / s + 1 / s**2 + 1 / s**3), 3e4)
        stiffness = u @ (stiffness[:, :, None] * u.transpose(0, 2, 1))
        target = stiffness @ (u @ vt)
        root = np.sqrt(self.weight)
        blocks, right = [], []
        for row in range(2):
            for gradient, axis in ((self.by_x, 0), (self.by_y, 1)):
                blocks.append(sp.hstack([sp.diags(root * stiffness[:, row, k]) @ gradient for k in range(2)]))
                right.append(root * target[:, row, axis])
        system, wanted = sp.vstack(blocks).tocsc(), np.concatenate(right)
        start = flat.T.ravel()
        inner = np.concatenate([self.inner, self.inner + self.count])
        border = np.concatenate([self.border, self.border + self.count])
        free = system[:, inner]
        normal = free.T @ free + 1e-9 * sp.eye(len(inner))
        solution = start.copy()
        solution[inner] = spsolve(normal.tocsc(), free.T @ (wanted - system[:, border] @ start[border]))
        return solution.reshape(2, -1).T
