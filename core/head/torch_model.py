"""The forward pass of `HeadModel` in torch: batched and differentiable, for training and fitting."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.head.model import JOINT_PARENTS, HeadModel


class TorchHead(nn.Module):
    """Shape, expression and pose -> vertices, with the same result as `HeadModel.vertices`.

    The model's arrays are buffers: `to` moves them and sets their precision.
    """

    def __init__(self, head: HeadModel) -> None:
        super().__init__()
        for name in ("v_template", "shape_dirs", "expression_dirs", "pose_dirs", "joint_regressor", "skin_weights"):
            self.register_buffer(name, torch.from_numpy(getattr(head, name).copy()), persistent=False)
        self.register_buffer("faces", torch.from_numpy(head.faces.copy()).long(), persistent=False)

    def forward(self, shape: Tensor, expression: Tensor | None = None, pose: Tensor | None = None) -> Tensor:
        """Vertices [B, V, 3] in head space.

        Args:
            shape: [B, <= S] shape coefficients.
            expression: [B, <= E] expression coefficients.
            pose: [B, 5, 3] axis-angle of root, neck, jaw, left eye, right eye.
        """
        vertices = self.v_template + torch.einsum("vas,bs->bva", self.shape_dirs[:, :, :shape.shape[1]], shape)
        if expression is not None:
            vertices = vertices + torch.einsum("vae,be->bva", self.expression_dirs[:, :, :expression.shape[1]], expression)
        if pose is None:
            return vertices
        joints = torch.einsum("jv,bva->bja", self.joint_regressor, vertices)
        rotations = rotation_from_axis_angle(pose)
        feature = (rotations[:, 1:] - torch.eye(3, dtype=pose.dtype, device=pose.device)).flatten(1)
        vertices = vertices + torch.einsum("vap,bp->bva", self.pose_dirs, feature)
        transforms, _ = skinning_transforms(rotations, joints)
        blended = torch.einsum("vj,bjcd->bvcd", self.skin_weights, transforms)
        return torch.einsum("bvcd,bvd->bvc", blended[..., :3], vertices) + blended[..., 3]


def rotation_from_axis_angle(axis_angle: Tensor) -> Tensor:
    """Rodrigues' formula with a finite gradient at zero. [..., 3] radians -> [..., 3, 3]."""
    squared = (axis_angle * axis_angle).sum(-1)[..., None, None]
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    first = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    second = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / angle**2)
    x, y, z = axis_angle.unbind(-1)
    zero = torch.zeros_like(x)
    k = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=k.dtype, device=k.device) + first * k + second * (k @ k)


def skinning_transforms(rotations: Tensor, joints: Tensor) -> tuple[Tensor, Tensor]:
    """Rest-to-posed transforms [B, 5, 3, 4] and posed places [B, 5, 3] of joints [B, 5, 3].

    Args:
        rotations: [B, 5, 3, 3], each relative to its parent.
    """
    turned, placed = [], []
    for joint, parent in enumerate(JOINT_PARENTS):
        if parent < 0:
            turned.append(rotations[:, joint])
            placed.append(joints[:, joint])
            continue
        turned.append(turned[parent] @ rotations[:, joint])
        placed.append(placed[parent] + (turned[parent] @ (joints[:, joint] - joints[:, parent])[..., None])[..., 0])
    rotation, position = torch.stack(turned, 1), torch.stack(placed, 1)
    shift = position - torch.einsum("bjcd,bjd->bjc", rotation, joints)
    return torch.cat([rotation, shift[..., None]], -1), position
