"""How a studio person hangs on the rows of a pack: the run-time counterpart of the exact rig in `core.studio.pose`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.avatar.identity import Identity
from core.avatar.kernels import STATIC_ROW
from core.avatar.pack import AvatarPack, RowTable
from core.errors import PackError
from core.geometry import rotation_from_quat
from core.head.model import HeadModel
from core.studio import StudioIdentity, TexelAtlas
from core.types import FloatArray, Gaussians


def surface_fingerprint(atlas: TexelAtlas) -> str:
    """Identifies the texels of a head's surface; packs made on other texels do not fit."""
    digest = hashlib.sha256(np.ascontiguousarray(atlas.triangle, np.int32).tobytes())
    digest.update(np.round(atlas.barycentric, 3).astype(np.float32).tobytes())
    return digest.hexdigest()[:16]


def check_head(pack: AvatarPack, head: HeadModel, atlas: TexelAtlas) -> None:
    """Raises PackError when a pack's rows were not made for this head model and texel atlas."""
    manifest = pack.manifest
    if manifest.head_sha256 != head.sha256:
        raise PackError(f"pack '{manifest.name}' was made for another head model ({manifest.head_name}, "
                        f"{manifest.head_sha256[:12]}…), not for {head.name}", "make it anew with the distill command")
    if manifest.surface != surface_fingerprint(atlas):
        raise PackError(f"pack '{manifest.name}' was made for other skin texels", "make it anew with the distill command")
    if pack.rows is None:
        raise PackError(f"pack '{manifest.name}' has no rows on a head mesh, so it cannot drive studio people")


def bind_studio_identity(pack: AvatarPack, head: HeadModel, atlas: TexelAtlas, person: StudioIdentity) -> Identity:
    """Anchors, offsets, tangents and neck weights of a studio person.

    A skin texel hangs on its own row, everything else on the row of its root triangle.
    """
    row = _rows_of(pack.rows, len(atlas), len(head.faces), person)
    moving = row != STATIC_ROW
    corners = person.rest_vertices[head.faces[person.triangle]].astype(np.float64)
    xyz = person.gaussians.xyz.astype(np.float64)
    textured = person.texel >= 0
    point = corners[:, 0].copy()
    point[textured] = np.einsum("nk,nkd->nd", atlas.barycentric[person.texel[textured]], corners[textured])
    tangents = triangle_tangents(corners)
    stretches = moving & ~person.rigid
    gaussians = _facing_outward(person.gaussians, tangents, stretches)
    first_axis = rotation_from_quat(gaussians.quat.astype(np.float64))[:, :, 0]
    axis = np.einsum("nd,nkd->nk", first_axis, tangents)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True) + 1e-12
    return Identity(
        name=person.name, seed=person.seed, latent=_float(person.shape[:pack.manifest.latent_size]),
        gaussians=gaussians, row=row,
        offset=_float(np.where(moving[:, None], xyz - point, 0.0)),
        tangents=_float(np.where(stretches[:, None, None], tangents, 0.0)),
        axis=_float(np.where(stretches[:, None], axis, 0.0)),
        opacity_gain=_float(wrinkle_drives(person).gain), neck_weight=_neck_weight(head, person, corners, xyz),
        neck_joint=_float((head.joint_regressor @ person.rest_vertices)[1]), tags=person.tags,
    )


@dataclass(frozen=True)
class WrinkleDrives:
    """What brings out the wrinkles, split into what all people share and what is a person's own.

    Attributes:
        triangle: [T] triangles in which wrinkles are rooted, ascending.
        direction: [T, E] unit vectors: the opacity of such a triangle's row is direction · expression.
        gain: [N] share of its row's opacity that each Gaussian takes; 0 for all but wrinkles.
    """

    triangle: NDArray[np.int64]
    direction: FloatArray
    gain: FloatArray


def wrinkle_drives(person: StudioIdentity) -> WrinkleDrives:
    """Splits a person's wrinkles. Wrinkles of one crease differ by a factor only, and so do those of two people."""
    index, weights = person.wrinkles.index, person.wrinkles.weights.astype(np.float64)
    triangle, of_wrinkle = np.unique(person.triangle[index], return_inverse=True)
    direction = np.zeros((len(triangle), weights.shape[1]))
    np.add.at(direction, of_wrinkle, weights)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-12
    gain = np.zeros(len(person.gaussians))
    gain[index] = (weights * direction[of_wrinkle]).sum(1)
    return WrinkleDrives(triangle, direction, gain)


def triangle_tangents(corners: FloatArray) -> FloatArray:
    """Orthonormal tangents [..., 2, 3] of triangles [..., 3, 3]: along the first edge, and at right angles to it."""
    first, second = corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]
    u = first / (np.linalg.norm(first, axis=-1, keepdims=True) + 1e-12)
    v = second - (second * u).sum(-1, keepdims=True) * u
    return np.stack([u, v / (np.linalg.norm(v, axis=-1, keepdims=True) + 1e-12)], -2)


def _facing_outward(gaussians: Gaussians, tangents: FloatArray, patches: NDArray[np.bool_]) -> Gaussians:
    """The same cloud with the third axis of every patch along its triangle's normal, as the run time expects.

    Half a turn about the first axis changes the axes of a Gaussian but not its covariance: q ⊗ (0, 1, 0, 0).
    """
    third = rotation_from_quat(gaussians.quat.astype(np.float64))[:, :, 2]
    inward = patches & ((third * np.cross(tangents[:, 0], tangents[:, 1])).sum(1) < 0)
    quat = gaussians.quat.copy()
    quat[inward] = gaussians.quat[inward][:, [1, 0, 3, 2]] * np.array([-1, 1, 1, -1], np.float32)
    return replace(gaussians, quat=quat)


def _rows_of(table: RowTable, texels: int, triangles: int, person: StudioIdentity) -> NDArray[np.int32]:
    """Row of every Gaussian, `STATIC_ROW` where no stored row moves it."""
    of_texel = np.full(texels + 1, STATIC_ROW, np.int32)
    of_triangle = np.full(triangles, STATIC_ROW, np.int32)
    rows = np.arange(len(table.texel), dtype=np.int32)
    on_texel = table.texel >= 0
    of_texel[table.texel[on_texel]] = rows[on_texel]
    of_triangle[table.triangle[~on_texel]] = rows[~on_texel]
    return np.where(person.texel >= 0, of_texel[person.texel], of_triangle[person.triangle])


def _neck_weight(head: HeadModel, person: StudioIdentity, corners: FloatArray, xyz: FloatArray) -> FloatArray:
    """Skinning weight of everything above the neck joint, at the point of the root triangle nearest to each Gaussian."""
    first, second, out = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], xyz - corners[:, 0]
    g11, g12, g22 = (first * first).sum(1), (first * second).sum(1), (second * second).sum(1)
    b1, b2 = (out * first).sum(1), (out * second).sum(1)
    det = g11 * g22 - g12**2 + 1e-20
    barycentric = np.stack([(g22 * b1 - g12 * b2) / det, (g11 * b2 - g12 * b1) / det], 1)
    barycentric = np.concatenate([1 - barycentric.sum(1, keepdims=True), barycentric], 1).clip(0, 1)
    barycentric /= barycentric.sum(1, keepdims=True)
    above = 1.0 - head.skin_weights[:, 0].astype(np.float64)
    return _float((barycentric * above[head.faces[person.triangle]]).sum(1).clip(0, 1))


def _float(array: np.ndarray) -> FloatArray:
    return np.ascontiguousarray(array, np.float32)
