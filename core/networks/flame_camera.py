"""The published weak-perspective camera of six numbers (specification 2.1, 2.2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from core.head.torch_model import rotation_from_axis_angle

CAMERA_DISTANCE = 2.28  # metres
_FLIP = (1.0, -1.0, -1.0)


def conditioning(camera: Tensor) -> Tensor:
    """c12 [B, 12] of cameras c6 [B, 6]: the rotation, row-major, and three zeros."""
    return functional.pad(rotation_from_axis_angle(camera[:, :3]).flatten(1), (0, 3))


def world_to_camera(camera: Tensor, pivot: Tensor) -> Tensor:
    """World to camera [B, 4, 4], OpenCV axes, of cameras c6 [B, 6] that turn about pivots [B, 3]."""
    flip = torch.tensor(_FLIP, dtype=camera.dtype, device=camera.device)
    rotation = rotation_from_axis_angle(camera[:, :3])
    shift = flip * (pivot - (rotation @ pivot[..., None])[..., 0])
    shift = shift + torch.tensor([0.0, 0.0, CAMERA_DISTANCE], dtype=camera.dtype, device=camera.device)
    matrix = torch.eye(4, dtype=camera.dtype, device=camera.device).repeat(len(camera), 1, 1)
    matrix[:, :3, :3], matrix[:, :3, 3] = flip[:, None] * rotation, shift
    return matrix


def intrinsics(camera: Tensor, pixels: int) -> Tensor:
    """Pixel intrinsics [B, 3, 3] of cameras c6 [B, 6] for a square picture."""
    scale, right, up = camera[:, 3], camera[:, 4], camera[:, 5]
    matrix = torch.zeros(len(camera), 3, 3, dtype=camera.dtype, device=camera.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 0.5 * scale * CAMERA_DISTANCE * pixels
    matrix[:, 0, 2] = (0.5 + 0.5 * scale * right) * pixels
    matrix[:, 1, 2] = (0.5 - 0.5 * scale * up) * pixels
    matrix[:, 2, 2] = 1
    return matrix


def camera_centre(matrix: Tensor) -> Tensor:
    """Centres of projection [B, 3] of world-to-camera matrices [B, 4, 4]."""
    return -(matrix[:, :3, :3].transpose(1, 2) @ matrix[:, :3, 3:])[..., 0]
