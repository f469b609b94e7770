"""The skin texels: a fixed grid in UV space, the same for every identity on a head model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from core.head.mesh import rasterize_mesh
from core.head.model import HeadModel
from core.studio.surface import SurfaceSamples
from core.types import FloatArray

ATLAS_RESOLUTION = 256


@dataclass(frozen=True)
class TexelGrid:
    """Skin texels as surface samples, with their place in the UV picture.

    Attributes:
        samples: one sample per texel whose centre lies on skin, in row-major UV order.
        row, column: [M] place in the picture.
        resolution: width and height of the picture.
    """

    samples: SurfaceSamples
    row: NDArray[np.int64]
    column: NDArray[np.int64]
    resolution: int


class TexelAtlas:
    """Where the skin texels of a head model lie, independent of the identity.

    Attributes:
        triangle: [M] int32 index into the head's faces.
        barycentric: [M, 3] float32.
    """

    def __init__(self, head: HeadModel) -> None:
        samples = texel_grid(head).samples
        self.triangle: NDArray[np.int32] = samples.triangle
        self.barycentric: FloatArray = samples.barycentric.astype(np.float32)

    def __len__(self) -> int:
        return len(self.triangle)


@lru_cache(maxsize=2)
def texel_grid(head: HeadModel) -> TexelGrid:
    """Rasterise the UV map of the skin. Tangents are per texel step, so patches of one texel tile the surface."""
    size = ATLAS_RESOLUTION
    skin = head.face_indices_of("skin")
    corners_px = np.stack([head.uv[:, 0] * size, (1 - head.uv[:, 1]) * size, np.ones(len(head.uv))], 1).astype(np.float64)
    seen = rasterize_mesh(corners_px, head.uv_faces[skin], size, size)
    row, column = np.nonzero(seen.triangle >= 0)
    triangle = skin[seen.triangle[row, column]].astype(np.int32)
    a, b, c = (corners_px[head.uv_faces[triangle, k], :2] for k in range(3))
    ab, ac, ap = b - a, c - a, np.stack([column + 0.5, row + 0.5], 1) - a
    det = ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0]
    wb = (ap[:, 0] * ac[:, 1] - ap[:, 1] * ac[:, 0]) / det
    wc = (ab[:, 0] * ap[:, 1] - ab[:, 1] * ap[:, 0]) / det
    du = np.stack([ab[:, 1] - ac[:, 1], ac[:, 1], -ab[:, 1]], 1) / det[:, None]
    dv = np.stack([ac[:, 0] - ab[:, 0], -ac[:, 0], ab[:, 0]], 1) / det[:, None]
    barycentric = np.stack([1 - wb - wc, wb, wc], 1)
    corners = head.faces[triangle]
    rest = np.einsum("nk,nkd->nd", barycentric, head.v_template[corners].astype(np.float64))
    return TexelGrid(SurfaceSamples(triangle, corners, barycentric, du, dv, rest), row, column, size)
