"""Fits the map from the tracker's ψ to the published one, from the head model that lies in the checkpoint.

Both head models describe the same human face, so that an ARKit expression of the open head is a displacement field that FLAME's
expression components can nearly reproduce. The two surfaces are laid over each other (by the eye joints, then by iterated closest
points with scale), every point of the open head's face gets its place on FLAME's face, and each expression becomes the
combination of FLAME's that moves those places alike (ridge regression). Closest points know besides where a point belongs: how
much it follows the jaw, and how much it belongs to a lid, so that upper and lower lip are never taken for one another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from core.avatar.driving_map import DrivingMap
from core.head.mesh import vertex_normals
from core.head.model import HeadModel
from core.types import FloatArray

EXPRESSIONS, LIDS = 50, ("eyeBlinkLeft", "eyeBlinkRight")
_FLAME = "flame_lbs_model."
_SILENT = ("tongueOut",)  # FLAME has no tongue
_ROUNDS, _TRIMMED = 25, 0.8
_FAR, _NEEDED = 0.008, 0.7  # metres a point of the face may be off, and the share of points that must not be
_EYE_DISTANCE = (0.045, 0.085)  # metres
_BELONGS = 0.03  # metres that a point is put off by belonging to another lip or lid
_LARGEST_ERROR = 0.7  # of the displacement fields; faces that are laid over each other wrongly share no fields
_RIDGE = 2e-3  # relative to the mean energy of a component
_LARGEST_WEIGHT, _LIMIT = 4.0, 3.0  # of FLAME's components, which have unit variance
_JAW_LOW, _JAW_HIGH = (-0.05, -0.2, -0.2), (0.55, 0.2, 0.2)  # radians
_MOST_LID_BY_GAZE = 0.6
_SAMPLES = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4], [2, 2, 0.5], [0.5, 2, 2], [2, 0.5, 2]], np.float64)


@dataclass(frozen=True)
class DrivingFit:
    """A map and how well it follows.

    Attributes:
        map: from the open head's ψ.
        is_fitted: False where the head in the checkpoint does not look like a face: jaw and lids alone are driven then.
        error: of the displacement fields, relative, mean over the expressions; NaN where the surfaces do not match.
        distance: metres, median distance of the two surfaces.
    """

    map: DrivingMap
    is_fitted: bool
    error: float
    distance: float


def fit_driving(arrays: Mapping[str, NDArray], head: HeadModel, expressions: FloatArray | None = None) -> DrivingFit:
    """The driving map of a checkpoint.

    Args:
        arrays: its buffers, of which those of the head model count.
        head: the open head, whose ψ the tracker gives.
        expressions: [N, 50] of the dataset, which tell how far each component goes.
    """
    flame = _Flame.of(arrays)
    plain = _plain_matrix(head)
    low, high = _limits(expressions)
    if flame is None:
        return DrivingFit(DrivingMap(plain, low, high), False, float("nan"), float("nan"))
    chosen = _face_of(head)
    places, distance = _lay_over(head, chosen, flame)
    if places is None:
        return DrivingFit(DrivingMap(plain, low, high), False, float("nan"), distance)
    matrix, error = _regress(head, chosen, flame, places, plain)
    if error > _LARGEST_ERROR:
        return DrivingFit(DrivingMap(plain, low, high), False, error, distance)
    return DrivingFit(DrivingMap(matrix, low, high), True, error, distance)


def _plain_matrix(head: HeadModel) -> FloatArray:
    """Jaw to jaw, blinks to lids, nothing else."""
    layout = head.psi_layout
    matrix = np.zeros((EXPRESSIONS + 5, layout.size), np.float32)
    matrix[EXPRESSIONS:EXPRESSIONS + 3, layout.expression:layout.expression + 3] = np.eye(3)
    for lid, name in enumerate(LIDS):
        if name in head.expression_names:
            matrix[EXPRESSIONS + 3 + lid, head.expression_names.index(name)] = 1
    return matrix


def _limits(expressions: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """How far each number of ψ may go: a third beyond what nearly all faces of the dataset do."""
    reach = np.full((2, EXPRESSIONS), _LIMIT) * [[-1], [1]]
    if expressions is not None and len(expressions) >= 100:
        reach = 1.33 * np.percentile(expressions, [0.5, 99.5], axis=0)
        reach = np.stack([reach[0].clip(max=-0.5), reach[1].clip(min=0.5)])
    return (np.concatenate([reach[0], _JAW_LOW, [0, 0]]).astype(np.float32),
            np.concatenate([reach[1], _JAW_HIGH, [1, 1]]).astype(np.float32))


@dataclass(frozen=True)
class _Flame:
    """The checkpoint's head at rest, and what moves it; V vertices."""

    vertices: np.ndarray
    faces: np.ndarray
    eyes: np.ndarray
    expression: np.ndarray
    jaw: np.ndarray
    lids: np.ndarray
    jaw_weight: np.ndarray

    @staticmethod
    def of(arrays: Mapping[str, NDArray]) -> _Flame | None:
        """None where a buffer is missing, or the eyes are not where a person has them."""
        names = ("v_template", "shapedirs", "posedirs", "J_regressor", "lbs_weights", "l_eyelid", "r_eyelid", "faces_tensor")
        if any(_FLAME + name not in arrays for name in names):
            return None
        template, shapes, poses, regressor, weights, left, right, faces = (np.asarray(arrays[_FLAME + name]) for name in names)
        joints = regressor @ template
        if _FLAME + "bh_vert" in arrays:
            joints = joints + np.asarray(arrays[f"{_FLAME}bh_vert_J_regressor"]) @ np.asarray(arrays[f"{_FLAME}bh_vert"])
        lids = np.stack([left.reshape(-1, 3), right.reshape(-1, 3)], 2)
        across = joints[3] - joints[4]
        is_person = _EYE_DISTANCE[0] < np.linalg.norm(across) < _EYE_DISTANCE[1] and abs(across[0]) > 0.9 * np.linalg.norm(across)
        if not is_person or np.abs(lids).max() == 0 or faces.max() >= len(template) or shapes.shape[2] < 300 + EXPRESSIONS:
            return None
        jaw = _jaw_field(template, joints[2], weights[:, 2], poses.T.reshape(len(template), 3, -1))
        return _Flame(template.astype(np.float64), faces.astype(np.int64), joints[3:].astype(np.float64),
                      shapes[:, :, 300:300 + EXPRESSIONS].astype(np.float64), jaw, lids.astype(np.float64),
                      weights[:, 2].astype(np.float64))


def _jaw_field(vertices: np.ndarray, joint: np.ndarray, weight: np.ndarray, pose_dirs: np.ndarray) -> np.ndarray:
    """Displacement [V, 3, 3] per radian of a small turn of the jaw about x, y and z."""
    turns = np.zeros((3, 3, 3))
    for axis, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        turns[axis, i, j], turns[axis, j, i] = -1, 1
    skinned = np.einsum("aij,vj->via", turns, (vertices - joint).astype(np.float64)) * weight[:, None, None]
    return skinned + np.einsum("vcp,ap->vca", pose_dirs[:, :, 9:18].astype(np.float64), turns.reshape(3, 9))


def _face_of(head: HeadModel) -> np.ndarray:
    """Vertices of the open head's skin that expressions or the jaw move."""
    moves = np.linalg.norm(head.expression_dirs, axis=1).max(1) > 5e-4
    skin = np.zeros(head.vertex_count, bool)
    skin[head.vertices_of("skin")] = True
    return np.flatnonzero(skin & moves & (head.v_template[:, 2] > head.v_template[:, 2].max() - 0.11))


def _belonging(lids: np.ndarray, jaw_weight: np.ndarray) -> np.ndarray:
    """What tells the parts of a face apart [V, 3]: both lids' share, and the jaw's."""
    size = np.linalg.norm(lids, axis=1)
    return _BELONGS * np.concatenate([size / np.maximum(size.max(0), 1e-9), jaw_weight[:, None]], 1)


@dataclass(frozen=True)
class _Places:
    """Where points of the open head's face are on FLAME's: n points in faces with barycentric coordinates, [n, 3] each.

    `scale` is the size of FLAME's head in terms of the open head, `weight` [n] how much a point counts.
    """

    corners: np.ndarray
    barycentric: np.ndarray
    scale: float
    weight: np.ndarray

    def of(self, field: np.ndarray) -> np.ndarray:
        """A field [V, ...] at the points [n, ...]."""
        return np.einsum("nk,nk...->n...", self.barycentric, field[self.corners])


def _lay_over(head: HeadModel, chosen: np.ndarray, flame: _Flame) -> tuple[_Places | None, float]:
    """Places of the chosen vertices; None where the surfaces do not lie on each other. Metres they are apart."""
    eyes = (head.joint_regressor @ head.v_template)[3:]
    scale = float(np.linalg.norm(flame.eyes[0] - flame.eyes[1]) / np.linalg.norm(eyes[0] - eyes[1]))
    rotation, shift = np.eye(3), flame.eyes.mean(0) - scale * eyes.mean(0)
    names = head.expression_names
    blinks = np.stack([head.expression_dirs[:, :, names.index(lid)] for lid in LIDS], 2)
    normals, points = vertex_normals(head.v_template, head.faces)[chosen], head.v_template[chosen].astype(np.float64)
    mine = _belonging(blinks, head.skin_weights[:, 2])[chosen]
    bary = np.tile(_SAMPLES / _SAMPLES.sum(1, keepdims=True), (len(flame.faces), 1))
    corners = np.repeat(flame.faces, len(_SAMPLES), 0)
    theirs = np.concatenate([flame.vertices, _belonging(flame.lids, flame.jaw_weight),
                             vertex_normals(flame.vertices.astype(np.float32), flame.faces)], 1)
    samples = np.einsum("nk,nkc->nc", bary, theirs[corners])
    tree = cKDTree(samples[:, :6])
    for _ in range(_ROUNDS):
        moved = scale * points @ rotation.T + shift
        found = tree.query(np.concatenate([moved, mine], 1))[1]
        apart = np.linalg.norm(samples[found, :3] - moved, axis=1)
        near = apart <= np.quantile(apart, _TRIMMED)
        scale, rotation, shift = _similarity(points[near], samples[found[near], :3])
    moved = scale * points @ rotation.T + shift
    found = tree.query(np.concatenate([moved, mine], 1))[1]
    apart = np.linalg.norm(samples[found, :3] - moved, axis=1)
    agree = (normals @ rotation.T * samples[found, 6:]).sum(1) > 0.3
    good = (apart < _FAR) & agree
    if good.mean() < _NEEDED or not 0.6 < scale < 1.6 or np.trace(rotation) < 2.7:
        return None, float(np.median(apart))
    return _Places(corners[found], bary[found], scale, good.astype(np.float64)), float(np.median(apart))


def _similarity(source: np.ndarray, target: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Scale, rotation and shift that take points onto others (Umeyama, 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, singular, vt = np.linalg.svd(b.T @ a)
    sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u * sign @ vt
    scale = float((singular * sign).sum() / np.square(a).sum())
    return scale, rotation, target.mean(0) - scale * rotation @ source.mean(0)


def _regress(head: HeadModel, chosen: np.ndarray, flame: _Flame, places: _Places, plain: FloatArray) -> tuple[FloatArray, float]:
    """The matrix, and the mean relative error of the expressions' fields."""
    weight = np.sqrt(places.weight)[:, None]
    wanted = places.scale * head.expression_dirs[chosen].astype(np.float64) * weight[:, :, None]
    wanted = wanted.reshape(-1, head.expression_count)
    basis = (places.of(flame.expression) * weight[:, :, None]).reshape(-1, EXPRESSIONS)
    lids = (places.of(flame.lids) * weight[:, :, None]).reshape(-1, 2)
    normal = basis.T @ basis
    normal += _RIDGE * np.trace(normal) / EXPRESSIONS * np.eye(EXPRESSIONS)
    matrix, errors = plain.copy(), []
    for column, name in enumerate(head.expression_names):
        if name in LIDS or name in _SILENT or not np.abs(wanted[:, column]).max():
            continue
        lid = _lid_shares(wanted[:, column], lids) if name.startswith("eye") else np.zeros(2)
        solution = np.linalg.solve(normal, basis.T @ (wanted[:, column] - lids @ lid))
        solution *= min(1.0, _LARGEST_WEIGHT / max(np.abs(solution).max(), 1e-9))
        matrix[:EXPRESSIONS, column], matrix[EXPRESSIONS + 3:, column] = solution, lid
        left = wanted[:, column] - basis @ solution - lids @ lid
        errors.append(np.linalg.norm(left) / np.linalg.norm(wanted[:, column]))
    jaw = _jaw_field(head.v_template, (head.joint_regressor @ head.v_template)[2], head.skin_weights[:, 2], head.pose_dirs)
    open_jaw, flame_jaw = places.scale * jaw[chosen, :, 0] * weight, places.of(flame.jaw)[..., 0] * weight
    gain = (open_jaw * flame_jaw).sum() / max(np.square(flame_jaw).sum(), 1e-12)
    matrix[EXPRESSIONS, head.expression_count] = np.clip(gain, 0.7, 1.4)
    return matrix, float(np.mean(errors))


def _lid_shares(field: np.ndarray, lids: np.ndarray) -> np.ndarray:
    """How far a squint or a look down closes each lid."""
    shares = lids.T @ field / np.maximum(np.square(lids).sum(0), 1e-12)
    return np.where(shares > 0.05, shares.clip(0, _MOST_LID_BY_GAZE), 0)
