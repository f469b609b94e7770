"""The texels of a head's texture map as seats of Gaussians: where they lie on a posed mesh and which way they face.

Unlike the published model, whose offsets live in head space, a seat carries a frame that turns with the skin, so that what
grows on it (hair, beard, garment) follows the head without having to be learned.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np
from numpy.typing import NDArray

from core.head.mesh import rasterize_mesh
from core.head.model import HeadModel
from core.types import FloatArray

DRAWN_PARTS = ("skin", "mouth", "teeth_u", "teeth_l", "tongue", "eye_l", "eye_r")
CAVITY_FRONT = 0.010  # metres: the wall of the mouth in front of the teeth is not drawn
EYE_PARTS = ("eye_l", "eye_r")
EYE_CONE = math.radians(62.0)  # of an eyeball, around the axis of the pupil, is drawn; lids cover the rest
SMALLEST_PITCH, LARGEST_PITCH = 2e-4, 0.016  # metres


@dataclass(frozen=True)
class SeatFrames:
    """Seats on one posed mesh; G seats.

    Attributes:
        xyz: [G, 3] float32 metres, head space.
        frame: [G, 3, 3] float32, columns are unit tangent (along u), bitangent and outward normal.
        quat: [G, 4] float32 wxyz, the same rotation.
        pitch: [G] float32 metres, side of a square of the area that one texel covers.
    """

    xyz: FloatArray
    frame: FloatArray
    quat: FloatArray
    pitch: FloatArray


@dataclass(frozen=True, eq=False)
class HeadSurface:
    """Seats of a head model at one resolution of its texture map.

    Attributes:
        head: the model.
        resolution: side R of the map.
        row, column: [G] int64 texel of each seat; row 0 is the top of the map (v = 1).
        triangle: [G] int32 face of the head.
        corners: [G, 3] int32 vertex ids.
        barycentric: [G, 3] float32.
        part: [G] int8 index into `head.part_names`.
    """

    head: HeadModel
    resolution: int
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    triangle: NDArray[np.int32]
    corners: NDArray[np.int32]
    barycentric: FloatArray
    part: NDArray[np.int8]
    _texel_maps: FloatArray  # [F, 4]: inverse of each face's map from its edges to texel steps, 0 where degenerate
    _drawn: NDArray[np.bool_]  # [F] faces that count for normals

    def __len__(self) -> int:
        return len(self.row)

    @property
    def template(self) -> FloatArray:
        """Seats [G, 3] on the template."""
        return self.at(self.head.v_template)

    def at(self, values: FloatArray) -> FloatArray:
        """Per-vertex values [V, C] at the seats [G, C]."""
        return np.einsum("gk,gkc->gc", self.barycentric, values[self.corners])

    def frames(self, vertices: FloatArray) -> SeatFrames:
        """Seats on vertices [V, 3]."""
        count = len(self.row)
        xyz, frame = np.empty((count, 3), np.float32), np.empty((count, 3, 3), np.float32)
        quat, pitch = np.empty((count, 4), np.float32), np.empty(count, np.float32)
        _seat(np.ascontiguousarray(vertices, np.float32), self.head.faces, self._texel_maps, self._drawn, self.triangle,
              self.corners, self.barycentric, xyz, frame, quat, pitch)
        return SeatFrames(xyz, frame, quat, pitch)

    def picture(self, values: FloatArray) -> FloatArray:
        """Values of the seats [G, C] laid into the map [C, R, R]; 0 where no seat is."""
        out = np.zeros((values.shape[1], self.resolution, self.resolution), values.dtype)
        out[:, self.row, self.column] = values.T
        return out

    def displacement_map(self, resting_vertices: FloatArray) -> FloatArray:
        """How far a resting head [V, 3] is from the template, over the map [3, R, R] metres (AGORA, specification 3.4)."""
        return self.picture(self.at(resting_vertices - self.head.v_template))

    def of_part(self, *names: str) -> NDArray[np.bool_]:
        """Seats [G] on the named parts."""
        return np.isin(self.part, [self.head.part_names.index(name) for name in names if name in self.head.part_names])


@lru_cache(maxsize=8)
def head_surface(head: HeadModel, resolution: int) -> HeadSurface:
    """The seats of a head: one per texel whose centre lies on a part that is drawn. The last few are kept."""
    uv, drawn = _layout(head)
    corners_px = np.stack([uv[:, 0] * resolution, (1 - uv[:, 1]) * resolution, np.ones(len(uv))], 1)
    chosen = np.flatnonzero(drawn)
    seen = rasterize_mesh(corners_px.astype(np.float64), head.uv_faces[chosen], resolution, resolution)
    row, column = np.nonzero(seen.triangle >= 0)
    triangle = chosen[seen.triangle[row, column]].astype(np.int32)
    return HeadSurface(head, resolution, row, column, triangle, np.ascontiguousarray(head.faces[triangle]),
                       np.ascontiguousarray(seen.barycentric[row, column]), head.part[triangle],
                       _texel_maps(corners_px[:, :2], head.uv_faces), drawn)


def _layout(head: HeadModel) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Texture coordinates [T, 2] of the seats and the faces [F] that carry any.

    The head's own map, but for the eyes: there the drawn cone fills the chart, evenly in angle, so that an iris gets texels.
    """
    uv = head.uv.astype(np.float64)
    drawn = np.isin(head.part, [i for i, name in enumerate(head.part_names) if name in DRAWN_PARTS])
    if "mouth" in head.part_names:
        in_front = head.v_template[head.faces].mean(1)[:, 2] > CAVITY_FRONT
        drawn &= ~((head.part == head.part_names.index("mouth")) & in_front)
    for name in EYE_PARTS:
        if name in head.part_names:
            _spread_eye(head, name, uv, drawn)
    return uv, drawn


def _spread_eye(head: HeadModel, name: str, uv: FloatArray, drawn: NDArray[np.bool_]) -> None:
    faces = head.face_indices_of(name)
    ball = head.v_template[head.vertices_of(name)]
    centre = 0.5 * (ball.min(0) + ball.max(0))
    corners = head.v_template[head.faces[faces]] - centre
    angle = np.arccos(np.clip(corners[..., 2] / np.linalg.norm(corners, axis=-1), -1, 1))
    direction = corners[..., :2] / np.maximum(np.linalg.norm(corners[..., :2], axis=-1, keepdims=True), 1e-9)
    rows = head.uv_faces[faces]
    low, high = uv[rows.ravel()].min(0), uv[rows.ravel()].max(0)
    radius = np.minimum(angle / EYE_CONE, 1.5)[..., None]
    uv[rows] = 0.5 * (low + high) + 0.5 * (high - low) * radius * direction
    drawn[faces[(angle > EYE_CONE).any(1)]] = False


def _texel_maps(corners_px: NDArray, uv_faces: NDArray) -> FloatArray:
    """Weights of both edges that give the change of position per texel along u and along v, for every face [F, 4]."""
    a, b, c = (corners_px[uv_faces[:, k]] for k in range(3))
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    determinant = ux * vy - uy * vx
    safe = np.where(np.abs(determinant) > 1e-9, determinant, np.inf)
    return np.ascontiguousarray(np.stack([vy, -uy, -vx, ux], 1) / safe[:, None], np.float32)


@numba.njit(cache=True, nogil=True)
def _seat(vertices, faces, texel_maps, drawn, triangle, corners, barycentric, xyz, frame, quat, pitch):
    normals = np.zeros_like(vertices)
    tangents = np.zeros_like(vertices)
    sizes = np.zeros(len(faces), np.float32)
    edge = np.empty((2, 3), np.float32)
    normal = np.empty(3, np.float32)
    tangent = np.empty(3, np.float32)
    for f in range(len(faces)):
        if not drawn[f]:
            continue
        for k in range(3):
            edge[0, k] = vertices[faces[f, 1], k] - vertices[faces[f, 0], k]
            edge[1, k] = vertices[faces[f, 2], k] - vertices[faces[f, 0], k]
        _cross(edge[0], edge[1], normal)
        determinant = abs(texel_maps[f, 0] * texel_maps[f, 3] - texel_maps[f, 1] * texel_maps[f, 2])
        area = math.sqrt(normal[0] ** 2 + normal[1] ** 2 + normal[2] ** 2)
        sizes[f] = math.sqrt(area * determinant)
        for c in range(3):
            for k in range(3):
                normals[faces[f, c], k] += normal[k]
                tangents[faces[f, c], k] += area * (texel_maps[f, 0] * edge[0, k] + texel_maps[f, 1] * edge[1, k])
    bitangent = np.empty(3, np.float32)
    for g in range(len(triangle)):
        for k in range(3):
            p = n = t = np.float32(0)
            for c in range(3):
                weight, vertex = barycentric[g, c], corners[g, c]
                p += weight * vertices[vertex, k]
                n += weight * normals[vertex, k]
                t += weight * tangents[vertex, k]
            xyz[g, k], normal[k], tangent[k] = p, n, t
        _unit(normal, 2)
        along = tangent[0] * normal[0] + tangent[1] * normal[1] + tangent[2] * normal[2]
        for k in range(3):
            tangent[k] -= along * normal[k]
        if tangent[0] ** 2 + tangent[1] ** 2 + tangent[2] ** 2 < 1e-30:
            _across(normal, tangent)
        _unit(tangent, 0)
        _cross(normal, tangent, bitangent)
        for k in range(3):
            frame[g, k, 0], frame[g, k, 1], frame[g, k, 2] = tangent[k], bitangent[k], normal[k]
        _quat(frame[g], quat[g])
        pitch[g] = min(max(sizes[triangle[g]], SMALLEST_PITCH), LARGEST_PITCH)


@numba.njit(cache=True, nogil=True)
def _cross(a, b, out):
    out[0] = a[1] * b[2] - a[2] * b[1]
    out[1] = a[2] * b[0] - a[0] * b[2]
    out[2] = a[0] * b[1] - a[1] * b[0]


@numba.njit(cache=True, nogil=True)
def _unit(v, fallback):
    """Normalises v in place; a vanishing one becomes the axis `fallback`."""
    length = math.sqrt(v[0] ** 2 + v[1] ** 2 + v[2] ** 2)
    for k in range(3):
        if length > 1e-20:
            v[k] /= length
        else:
            v[k] = 1.0 if k == fallback else 0.0


@numba.njit(cache=True, nogil=True)
def _across(normal, out):
    """Some direction at right angles to a unit normal."""
    smallest = 0
    for k in range(1, 3):
        if abs(normal[k]) < abs(normal[smallest]):
            smallest = k
    for k in range(3):
        out[k] = (1.0 if k == smallest else 0.0) - normal[smallest] * normal[k]


@numba.njit(cache=True, nogil=True)
def _quat(r, q):
    """Rotation matrix to quaternion wxyz (Shepperd's method)."""
    trace = r[0, 0] + r[1, 1] + r[2, 2]
    if trace >= max(r[0, 0], r[1, 1], r[2, 2]):
        q[0], q[1], q[2], q[3] = 1 + trace, r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    elif r[0, 0] >= r[1, 1] and r[0, 0] >= r[2, 2]:
        q[0], q[1] = r[2, 1] - r[1, 2], 1 + r[0, 0] - r[1, 1] - r[2, 2]
        q[2], q[3] = r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]
    elif r[1, 1] >= r[2, 2]:
        q[0], q[1] = r[0, 2] - r[2, 0], r[0, 1] + r[1, 0]
        q[2], q[3] = 1 - r[0, 0] + r[1, 1] - r[2, 2], r[1, 2] + r[2, 1]
    else:
        q[0], q[1] = r[1, 0] - r[0, 1], r[0, 2] + r[2, 0]
        q[2], q[3] = r[1, 2] + r[2, 1], 1 - r[0, 0] - r[1, 1] + r[2, 2]
    length = math.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2 + q[3] ** 2)
    for k in range(4):
        q[k] /= length
