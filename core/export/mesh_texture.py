"""A person's Gaussians pressed onto the head's mesh: the texture of a mesh that looks like the avatar from outside.

Every Gaussian goes to the nearest point of its part of the surface and keeps its height above it. In the plane of the texture
coordinates, with the height as depth, that is again a cloud of Gaussians, which the ordinary renderer draws as it is seen from
outside: hair over skin, brows over hair. Holes (skin that nobody ever sees has no Gaussians) take on the colours around them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter
from scipy.spatial import cKDTree

from core.avatar.identity import Identity
from core.avatar.kernels import STATIC_ROW
from core.avatar.pack import AvatarPack
from core.geometry import quat_from_rotation, rotation_from_quat
from core.head.mesh import RasterizedMesh, face_normals, rasterize_mesh
from core.head.model import HeadModel
from core.render.renderer import Renderer, open_renderer
from core.types import Camera, FloatArray, Gaussians

TEXTURE_SIZE = 1024
HIGHEST, HIGHEST_ON_FACE = 0.05, 0.012  # metres above the surface; what is farther off, as ends of long hair, has no place on it
HIGHEST_WITH_GLASSES = 0.003  # metres above the face; glasses would lie on the cheeks
LEFT_OUT = ("lashes",)  # drawn on the lids
_SAMPLES = 512  # of the search for the nearest point
_FAR = 1e6  # texels between the picture plane and the eye: parallel rays, nearly
_SOLID = 0.6  # coverage from which a texel's colour is its own
_SOFTNESS = 6.0  # texels
_NOTHING_KNOWN = 90.0  # grey of parts without Gaussians


def press_texture(head: HeadModel, vertices: FloatArray, pack: AvatarPack, person: Identity,
                  size: int = TEXTURE_SIZE) -> NDArray[np.uint8]:
    """RGB [size, size, 3], v up as in the head's texture coordinates (row 0 is v = 1).

    Args:
        vertices: [V, 3] the person's resting mesh.
        pack: whose rows tell to which part of the head a Gaussian belongs.
    """
    seen, points = _raster(head, size), _Points(head, vertices.astype(np.float64))
    part_of_texel = np.where(seen.triangle >= 0, head.part[np.maximum(seen.triangle, 0)], -1)
    cloud, belongs = person.gaussians, parts_of(head, points, pack, person)
    on_face = HIGHEST_WITH_GLASSES if "glasses" in person.tags else HIGHEST_ON_FACE
    picture = np.full((size, size, 3), np.nan, np.float32)
    renderer = open_renderer("cpu")
    for part in range(len(head.part_names)):
        if head.part_names[part] in LEFT_OUT:
            continue
        pressed = press(head, points, cloud.subset(belongs == part), part, size, on_face)
        island = find_objects((part_of_texel == part).astype(np.uint8))[0]
        here = (part_of_texel == part)[island]
        picture[island][here] = _filled(_drawn(renderer, pressed, size)[island], here)[here]
    renderer.close()
    rows, columns = distance_transform_edt(np.isnan(picture[..., 0]), return_distances=False, return_indices=True)
    return np.rint(picture[rows, columns]).clip(0, 255).astype(np.uint8)  # the rim of each island spreads, for filters


class _Points:
    """Points all over a mesh, in the order of the texture.

    Attributes:
        xyz: [M, 3] metres;  triangle: [M];  texel: [M, 2] right and down, as a share of the picture.
    """

    def __init__(self, head: HeadModel, vertices: FloatArray) -> None:
        seen = _raster(head, _SAMPLES)
        row, column = np.nonzero(seen.triangle >= 0)
        self.vertices = vertices
        self.triangle = seen.triangle[row, column]
        self.xyz = np.einsum("nk,nkd->nd", seen.barycentric[row, column].astype(np.float64), vertices[head.faces[self.triangle]])
        self.texel = np.stack([column + 0.5, row + 0.5], 1) / _SAMPLES


def parts_of(head: HeadModel, points: _Points, pack: AvatarPack, person: Identity) -> NDArray[np.int8]:
    """The mesh part [N] each Gaussian belongs to: that of its row, or of the nearest surface where rows are not on the mesh."""
    if pack.rows is not None and pack.rows.triangle.max() >= 0:
        skin = head.part_names.index("skin")
        of_row = np.where(pack.rows.triangle >= 0, head.part[np.maximum(pack.rows.triangle, 0)], skin)
        found = np.where(person.row == STATIC_ROW, skin, of_row[np.maximum(person.row, 0)])
        lashes = [head.part_names.index(name) for name in LEFT_OUT if name in head.part_names]
        return np.where(np.isin(found, lashes), skin, found).astype(np.int8)
    kept = ~np.isin(head.part[points.triangle], [head.part_names.index(name) for name in LEFT_OUT if name in head.part_names])
    nearest = cKDTree(points.xyz[kept]).query(person.gaussians.xyz)[1]
    return head.part[points.triangle[kept][nearest]]


def press(head: HeadModel, points: _Points, cloud: Gaussians, part: int, size: int,
          on_face: float = HIGHEST_ON_FACE) -> Gaussians:
    """A part's Gaussians in the plane of the texture: x right and y down in texels from its middle, −z the height above it.

    A point next to the surface moves by J = (texels per metre along the surface; along the normal their mean), so that a
    covariance becomes J Σ Jᵀ.
    """
    own = np.flatnonzero(head.part[points.triangle] == part)
    distance, nearest = cKDTree(points.xyz[own]).query(cloud.xyz)
    nearest = own[nearest]
    face = head.masks.face[head.faces[points.triangle[nearest]]].mean(1)
    near = distance < HIGHEST + face * (on_face - HIGHEST)
    cloud, nearest = cloud.subset(near), nearest[near]
    jacobian = _texels_per_metre(head, points.vertices, size)[points.triangle[nearest]]
    moved = np.einsum("nij,nj->ni", jacobian, cloud.xyz - points.xyz[nearest])
    moved[:, :2] += (points.texel[nearest] - 0.5) * size
    factor = jacobian @ rotation_from_quat(cloud.quat.astype(np.float64)) * cloud.scale[:, None, :]
    axes, scale, _ = np.linalg.svd(factor)
    axes[:, :, 2] *= np.sign(np.linalg.det(axes))[:, None]
    return Gaussians(*(np.ascontiguousarray(values, np.float32) for values in (
        moved, scale, quat_from_rotation(axes), cloud.rgb, cloud.opacity)))


def _drawn(renderer: Renderer, pressed: Gaussians, size: int) -> FloatArray:
    """Premultiplied RGBA [size, size, 4] of a pressed cloud."""
    eye = np.eye(4, dtype=np.float32)
    eye[2, 3] = _FAR
    if not len(pressed):
        return np.zeros((size, size, 4), np.float32)
    return renderer.render(pressed, Camera(eye, _FAR, _FAR, size / 2, size / 2, size, size), None).astype(np.float32)


def _raster(head: HeadModel, size: int) -> RasterizedMesh:
    corners = np.stack([head.uv[:, 0] * size, (1 - head.uv[:, 1]) * size, np.ones(len(head.uv))], 1).astype(np.float64)
    return rasterize_mesh(corners, head.uv_faces, size, size)


def _texels_per_metre(head: HeadModel, vertices: FloatArray, size: int) -> FloatArray:
    """J of every face [F, 3, 3]: a displacement in metres to texels right, texels down, and depth away from the eye."""
    a, b, c = (vertices[head.faces[:, k]] for k in range(3))
    normal = face_normals(vertices, head.faces)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-20
    frame = np.stack([b - a, c - a, normal], 2)  # columns
    ua, ub, uc = (head.uv[head.uv_faces[:, k]] * np.array([size, -size]) for k in range(3))
    steps = np.zeros((len(a), 3, 3))
    steps[:, :2, 0], steps[:, :2, 1] = ub - ua, uc - ua
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) + 1e-20
    density = np.sqrt(np.abs(np.linalg.det(steps[:, :2, :2])) / area)
    steps[:, 2, 2] = -density
    return steps @ np.linalg.pinv(frame)


def _filled(drawn: FloatArray, here: NDArray[np.bool_]) -> FloatArray:
    """Premultiplied RGBA -> RGB: transparent and empty texels of an island take the colours of its solid ones around them."""
    coverage = drawn[..., 3] / 255
    solid = (coverage >= _SOLID) & here
    if not solid.any():
        return np.full((*solid.shape, 3), _NOTHING_KNOWN, np.float32)
    own = drawn[..., :3] / np.maximum(coverage, 1e-3)[..., None]
    rows, columns = distance_transform_edt(~solid, return_distances=False, return_indices=True)
    weight = gaussian_filter(solid.astype(np.float32), _SOFTNESS)
    around = np.stack([gaussian_filter(np.where(solid, own[..., k], 0), _SOFTNESS) for k in range(3)], -1)
    around = np.where(weight[..., None] > 0.02, around / np.maximum(weight, 1e-6)[..., None], own[rows, columns])
    return drawn[..., :3] + (1 - coverage[..., None]) * around
