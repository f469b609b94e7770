"""The exact rig of the studio heads as a teacher of AGORA-M.

Two kinds of basis rows hang on the head's mesh, independent of the person: every skin texel, and every triangle for what is
rooted in it. A texel moves with its barycentric point, a triangle with its first corner; both turn with the polar rotation of
the triangle's affine map and stretch with the rest of it, as `core.studio.pose` does. All of that follows linearly from what
vertices and triangles do, so residuals are delivered on those, and `carriers` say how the rows follow.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.sparse as sparse
from numba import njit

from core.avatar.manifest import PackManifest
from core.avatar.pack import RowTable
from core.avatar.studio_binding import surface_fingerprint, wrinkle_drives
from core.head.model import HeadModel, ShapedHead
from core.studio import TexelAtlas, build_identity, sample_traits
from core.types import FloatArray
from trainer.psi_sampling import PsiSampler

LATENT_SIZE = 60
TRAINING_SEEDS = (1 << 31, (1 << 31) + (1 << 29))  # nobody who is trained on is ever shown or judged
_WEIGHT_FLOOR = 0.05
_TURNED_OVER = 0.02  # 1 + trace of a rotation by 172°; a triangle that turned over further has no meaningful axis


class StudioTeacher:
    """A `trainer.distill.Teacher` on a head model.

    Args:
        head: the open head.
        weight_people: people who are built to count the Gaussians on every row.
    """

    def __init__(self, head: HeadModel, weight_people: int = 6) -> None:
        self._head = head
        self._sampler = PsiSampler(head)
        atlas = TexelAtlas(head)
        self.rows = _row_table(head, atlas)
        self.conventions = PackManifest(
            name="Studio", kind="studio", creator="AGORA live", licence="CC0-1.0",
            head_name=head.name, head_sha256=head.sha256, surface=surface_fingerprint(atlas),
            psi=head.psi_layout, latent_size=min(LATENT_SIZE, head.shape_count),
            rows=len(self.rows.texel), components=(0, 0, 0, 0),
            anchors="rows", neck="weights", rotation="relative", scale="strain",
            features=("pose_matrices", "pose_by_latent", "jaw_by_expression"),
        )
        on_triangles = _triangle_carrier(head, atlas, self.rows)
        drives = wrinkle_drives(build_identity(TRAINING_SEEDS[0], head))
        self._wrinkles = drives.direction.astype(np.float32)
        self.carriers = (_point_carrier(head, atlas, self.rows), on_triangles, on_triangles,
                         _wrinkle_carrier(self.rows, drives.triangle))
        self.row_weight = _row_weight(head, self.rows, weight_people)

    def sample_identity(self, rng: np.random.Generator) -> ShapedHead:
        """A random person's head at rest."""
        seed = int(rng.integers(*TRAINING_SEEDS))
        return self._head.neutral(sample_traits(seed, self._head).shape)

    def latent(self, identity: ShapedHead) -> FloatArray:
        """The leading shape coefficients [W]."""
        return identity.shape[:self.conventions.latent_size]

    def sample_psi(self, rng: np.random.Generator, count: int) -> FloatArray:
        return self._sampler.sample(rng, count)

    def residuals(self, identity: ShapedHead, psi: FloatArray) -> tuple[FloatArray | None, ...]:
        """Vertex displacements [n, V, 3]; turns and strains of the triangles [n, F, 3]; opacity of the
        wrinkled triangles [n, T, 1]."""
        motion = np.empty((len(psi), self._head.vertex_count, 3), np.float32)
        turn = np.empty((len(psi), len(self._head.faces), 3), np.float32)
        strain = np.empty_like(turn)
        for i, drive in enumerate(psi):
            posed = self._head.driven(identity, drive)
            motion[i] = posed - identity.vertices
            triangle_maps(self._head.faces, identity.vertices, posed, turn[i], strain[i])
        opacity = psi[:, :self._head.expression_count] @ self._wrinkles.T
        return motion, turn, strain, opacity[:, :, None]


@njit(cache=True, nogil=True)
def _frame(vertices, face, frame):
    """Unit first edge, its perpendicular in the plane, normal (rows of `frame`); plane coordinates l, x, y of the corners."""
    length, dot = 0.0, 0.0
    for i in range(3):
        e = vertices[face[1], i] - vertices[face[0], i]
        frame[0, i] = e
        length += e * e
    length = math.sqrt(length) + 1e-12
    for i in range(3):
        frame[0, i] /= length
        dot += (vertices[face[2], i] - vertices[face[0], i]) * frame[0, i]
    height = 0.0
    for i in range(3):
        frame[1, i] = vertices[face[2], i] - vertices[face[0], i] - dot * frame[0, i]
        height += frame[1, i] * frame[1, i]
    height = math.sqrt(height) + 1e-12
    for i in range(3):
        frame[1, i] /= height
    for i in range(3):
        j, k = (i + 1) % 3, (i + 2) % 3
        frame[2, i] = frame[0, j] * frame[1, k] - frame[0, k] * frame[1, j]
    return length, dot, height


@njit(cache=True, nogil=True)
def triangle_maps(faces, rest, posed, turn, strain):
    """Polar decomposition R (I + U) of every triangle's affine map, normal to normal.

    Args:
        faces: [F, 3] int;  rest, posed: [V, 3].
        turn: [F, 3] output, tan(θ/4)·axis of R.
        strain: [F, 3] output, (U_uu, U_uv, U_vv) in the rest triangle's tangents.
    """
    before, after = np.empty((3, 3)), np.empty((3, 3))
    turned = np.empty((3, 3))
    for t in range(faces.shape[0]):
        l0, x0, y0 = _frame(rest, faces[t], before)
        l1, x1, y1 = _frame(posed, faces[t], after)
        # in-plane map [[a, b], [0, d]] = Q P with Q = [[c, -s], [s, c]]
        a, d = l1 / l0, y1 / y0
        b = (x1 - a * x0) / y0
        norm = math.sqrt((a + d) * (a + d) + b * b) + 1e-12
        c, s = (a + d) / norm, -b / norm
        strain[t, 0], strain[t, 1], strain[t, 2] = c * a - 1.0, c * b + s * d, c * d - s * b - 1.0
        for i in range(3):
            turned[0, i] = c * after[0, i] + s * after[1, i]
            turned[1, i] = -s * after[0, i] + c * after[1, i]
            turned[2, i] = after[2, i]
        # R = turnedᵀ · before; its axial part is 2 sin θ · axis, its trace 1 + 2 cos θ
        trace, axial0, axial1, axial2 = 0.0, 0.0, 0.0, 0.0
        for k in range(3):
            trace += turned[k, 0] * before[k, 0] + turned[k, 1] * before[k, 1] + turned[k, 2] * before[k, 2]
            axial0 += turned[k, 2] * before[k, 1] - turned[k, 1] * before[k, 2]
            axial1 += turned[k, 0] * before[k, 2] - turned[k, 2] * before[k, 0]
            axial2 += turned[k, 1] * before[k, 0] - turned[k, 0] * before[k, 1]
        half_cosine = 0.5 * math.sqrt(max(trace + 1.0, _TURNED_OVER))
        factor = 1.0 / (4.0 * half_cosine * (1.0 + half_cosine))
        turn[t, 0], turn[t, 1], turn[t, 2] = factor * axial0, factor * axial1, factor * axial2


def _row_table(head: HeadModel, atlas: TexelAtlas) -> RowTable:
    """All texels and all triangles, each in the order of a space-filling curve over the template."""
    points = head.v_template[head.faces]
    texels = np.einsum("nk,nkd->nd", atlas.barycentric, points[atlas.triangle])
    texel_order, triangle_order = _curve_order(texels), _curve_order(points.mean(1))
    none = np.full
    return RowTable(np.concatenate([texel_order, none(len(points), -1)]).astype(np.int32),
                    np.concatenate([none(len(texels), -1), triangle_order]).astype(np.int32))


def _curve_order(points: FloatArray) -> np.ndarray:
    """Indices of points [N, 3] along a Morton curve, so that neighbours in space share blocks."""
    span = np.ptp(points, axis=0).max()
    cells = ((points - points.min(0)) / span * 255).astype(np.int64)
    code = np.zeros(len(points), np.int64)
    for bit in range(8):
        for axis in range(3):
            code |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


def _point_carrier(head: HeadModel, atlas: TexelAtlas, rows: RowTable) -> sparse.csr_array:
    """[R, V]: a texel's barycentric weights, or a triangle's first corner."""
    texel_rows, triangle_rows = np.flatnonzero(rows.texel >= 0), np.flatnonzero(rows.triangle >= 0)
    texel = rows.texel[texel_rows]
    row = np.concatenate([np.repeat(texel_rows, 3), triangle_rows])
    column = np.concatenate([head.faces[atlas.triangle[texel]].ravel(), head.faces[rows.triangle[triangle_rows], 0]])
    weight = np.concatenate([atlas.barycentric[texel].ravel(), np.ones(len(triangle_rows))])
    return sparse.csr_array((weight.astype(np.float32), (row, column)), (len(rows.texel), head.vertex_count))


def _triangle_carrier(head: HeadModel, atlas: TexelAtlas, rows: RowTable) -> sparse.csr_array:
    """[R, F]: the triangle of every row."""
    triangle = np.where(rows.texel >= 0, atlas.triangle[rows.texel], rows.triangle)
    count = len(triangle)
    return sparse.csr_array((np.ones(count, np.float32), (np.arange(count), triangle)), (count, len(head.faces)))


def _wrinkle_carrier(rows: RowTable, triangle: np.ndarray) -> sparse.csr_array:
    """[R, T]: rows of the triangles in which wrinkles are rooted."""
    row_of = np.zeros(rows.triangle.max() + 1, np.int64)
    on_triangle = np.flatnonzero(rows.triangle >= 0)
    row_of[rows.triangle[on_triangle]] = on_triangle
    count = len(triangle)
    return sparse.csr_array((np.ones(count, np.float32), (row_of[triangle], np.arange(count))), (len(rows.triangle), count))


def _row_weight(head: HeadModel, rows: RowTable, people: int) -> FloatArray:
    """Mean number of Gaussians that hang on each row, and a little for rows nobody in the sample uses."""
    texels, triangles = np.zeros(rows.texel.max() + 1), np.zeros(len(head.faces))
    for seed in range(TRAINING_SEEDS[0], TRAINING_SEEDS[0] + people):
        person = build_identity(seed, head)
        on_texel = person.texel >= 0
        texels += np.bincount(person.texel[on_texel], minlength=len(texels))
        triangles += np.bincount(person.triangle[~on_texel], minlength=len(triangles))
    count = np.where(rows.texel >= 0, texels[rows.texel], triangles[rows.triangle]) / max(people, 1)
    return np.maximum(count, _WEIGHT_FLOOR).astype(np.float32)
