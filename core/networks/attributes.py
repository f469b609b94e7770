"""Raw plane values to attributes of Gaussians, with AGORA's activations (specification 3.6)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

MAX_SCALE, SCALE_OFFSET = -3.0, 0.5
C0, C1 = 0.28209479177387814, 0.4886025119029199
_STRETCH, _SHIFT = 1.002, 0.001  # so that 0 and 1 can be reached
_SMALL_ANGLE = 1e-6
_ROTATION_SERIES = 48.0


@dataclass(frozen=True)
class GaussianTensors:
    """A batch of clouds; B samples of G Gaussians.

    Attributes:
        xyz: [B, G, 3] metres, head space.
        scale_log: [B, G, 3].
        quat: [B, G, 4] wxyz, unit.
        sh: [B, G, 4, 3] spherical harmonics of degree 1, coefficient-major.
        opacity: [B, G, 1], in -0.001 … 1.001.
    """

    xyz: Tensor
    scale_log: Tensor
    quat: Tensor
    sh: Tensor
    opacity: Tensor

    def rendered_quat(self) -> Tensor:
        """What the published renderer makes of the rotations [B, G, 4]: every component is divided by its norm over all
        Gaussians of the sample before each quaternion is normalised (correction 1)."""
        return functional.normalize(self.quat / self.quat.norm(dim=1, keepdim=True), dim=-1)


def log_scale(raw: Tensor) -> Tensor:
    """a(t) = -3 - softplus(0.5 - t)."""
    return MAX_SCALE - functional.softplus(SCALE_OFFSET - raw)


def quat_of(raw: Tensor) -> Tensor:
    """Unit quaternions [..., 4] of raw rotations [..., 3]: axis-angle π·tanh(raw)."""
    axis_angle = math.pi * torch.tanh(raw)
    squared = axis_angle.square().sum(-1, keepdim=True)
    small = squared < _SMALL_ANGLE**2
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    factor = torch.where(small, 0.5 - squared / _ROTATION_SERIES, torch.sin(angle / 2) / angle)
    whole = torch.where(small, squared.clamp(min=0).add(1e-30).sqrt(), angle)
    return torch.cat([torch.cos(whole / 2), axis_angle * factor], -1)


def quat_product(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product a ⊗ b, wxyz, [..., 4] each."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack([aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
                        aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw], -1)


def rotation_of(main: Tensor, deform: Tensor) -> Tensor:
    """Rotation of the main network, preceded by that of the deformation branch [..., 4]."""
    return functional.normalize(quat_product(quat_of(main), quat_of(deform)), dim=-1)


def harmonics_of(raw: Tensor) -> Tensor:
    """Spherical harmonics [..., 4, 3] of raw colours [..., 12]."""
    return ((torch.tanh(raw) * _STRETCH - _SHIFT) * (0.5 / C0)).unflatten(-1, (4, 3))


def opacity_of(raw: Tensor) -> Tensor:
    """Opacity of raw values: a sigmoid that reaches 0 and 1."""
    return torch.sigmoid(raw) * _STRETCH - _SHIFT


def colour_from(sh: Tensor, xyz: Tensor, camera_centre: Tensor) -> Tensor:
    """RGB [B, G, 3], not below 0, of harmonics [B, G, 4, 3] at xyz [B, G, 3] seen from camera centres [B, 3]."""
    x, y, z = functional.normalize(xyz - camera_centre[:, None], dim=-1)[..., None].unbind(-2)
    rgb = 0.5 + C0 * sh[..., 0, :] - C1 * y * sh[..., 1, :] + C1 * z * sh[..., 2, :] - C1 * x * sh[..., 3, :]
    return rgb.clamp(min=0)
