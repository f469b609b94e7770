"""A cloud of Gaussians as PLY in the convention of 3D Gaussian splatting, which most tools for such clouds read."""

from __future__ import annotations

import numpy as np

from core.avatar.cloud_file import AXES_COMMENT, SH_C0, SH_REST
from core.types import FloatArray, Gaussians
from core.version import VERSION

MOST_DEGREE = len(SH_REST) - 1
_OPAQUE = 1e-6  # opacities keep this distance from 0 and 1, whose logits are infinite
_THINNEST = 1e-9  # metres


def ply_bytes(cloud: Gaussians, axes: str, sh_degree: int = 0) -> bytes:
    """The content of a PLY file: one `vertex` a Gaussian, little endian, all float32.

    Properties in the order of the 3DGS trainer: x y z, nx ny nz (zero), f_dc_0..2 = (rgb − 0.5) / C0, f_rest_* (zero),
    opacity = logit, scale_0..2 = log of the standard deviations, rot_0..3 = unit quaternion w x y z.

    Args:
        cloud: already in the axes of the file.
        axes: which those are ("head", "3dgs"); a comment in the header says so.
        sh_degree: 0..3; from 1 on the file has the further coefficients, all zero, for readers that insist on them.
    """
    rest = 3 * SH_REST[sh_degree]
    names = ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *(f"f_rest_{i}" for i in range(rest)), "opacity",
             *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    header = ["ply", "format binary_little_endian 1.0", f"comment AGORA live {VERSION}", f"comment {AXES_COMMENT}{axes}",
              f"element vertex {len(cloud)}", *(f"property float {name}" for name in names), "end_header\n"]
    table = np.zeros((len(cloud), len(names)), "<f4")
    table[:, :3] = cloud.xyz
    table[:, 6:9] = (cloud.rgb - 0.5) / SH_C0
    table[:, -8] = logit(cloud.opacity)
    table[:, -7:-4] = np.log(np.maximum(cloud.scale, _THINNEST))
    table[:, -4:] = cloud.quat / np.linalg.norm(cloud.quat, axis=1, keepdims=True)
    return "\n".join(header).encode("ascii") + table.tobytes()


def logit(opacity: FloatArray) -> FloatArray:
    """ln(p / (1 − p)), finite for all p in 0..1."""
    p = np.clip(opacity.astype(np.float64), _OPAQUE, 1 - _OPAQUE)
    return np.log(p / (1 - p)).astype(np.float32)
