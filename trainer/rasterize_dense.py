"""The rules of `core.render.reference` in plain torch: every Gaussian on every pixel, gradients by autograd.

Takes time and memory in proportion to Gaussians × pixels. It is the oracle of the kernels and serves double precision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.render.reference import ALPHA_MAX, ALPHA_MIN, FRUSTUM_MARGIN, LOW_PASS_VARIANCE, NEAR_PLANE, TRANSMITTANCE_MIN

if TYPE_CHECKING:
    from trainer.rasterize import CameraBatch


def rasterize_dense(xyz: Tensor, scale: Tensor, quat: Tensor, color: Tensor, opacity: Tensor, cameras: CameraBatch, *,
                    exact: bool = False) -> tuple[Tensor, Tensor]:
    """As `trainer.rasterize.rasterize`, in the precision of the tensors.

    Returns:
        Premultiplied colour [B, C, H, W] and coverage [B, 1, H, W].
    """
    pictures = []
    for b in range(len(xyz)):
        center, covariance, visible_opacity, depth = _project(xyz[b], scale[b], quat[b], opacity[b], cameras.world_to_camera[b],
                                                              cameras.intrinsics[b], cameras.width, cameras.height)
        order = torch.argsort(depth.detach().float(), stable=True)
        order = order[visible_opacity.detach()[order] > 0]
        pictures.append(_composite(center[order], covariance[order], visible_opacity[order], color[b][order],
                                   cameras.width, cameras.height, exact))
    if not pictures:
        return (color.new_zeros(0, color.shape[2], cameras.height, cameras.width),
                color.new_zeros(0, 1, cameras.height, cameras.width))
    return torch.stack([picture for picture, _ in pictures]), torch.stack([coverage for _, coverage in pictures])


def _project(xyz: Tensor, scale: Tensor, quat: Tensor, opacity: Tensor, world_to_camera: Tensor, intrinsics: Tensor, width: int,
             height: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Rules 1 and 2: centre [G, 2], widened covariance [G, 2, 2], compensated opacity [G] and depth [G]."""
    view_rotation = world_to_camera[:3, :3]
    position = xyz @ view_rotation.T + world_to_camera[:3, 3]
    in_front = position[:, 2] >= NEAR_PLANE
    depth = torch.where(in_front, position[:, 2], 1.0)
    x, y = position[:, 0] / depth, position[:, 1] / depth
    fx, fy, cx, cy = intrinsics.unbind()

    inside_x = x.clamp(float(-cx / fx - FRUSTUM_MARGIN * width / fx), float((width - cx) / fx + FRUSTUM_MARGIN * width / fx))
    inside_y = y.clamp(float(-cy / fy - FRUSTUM_MARGIN * height / fy), float((height - cy) / fy + FRUSTUM_MARGIN * height / fy))
    zero = torch.zeros_like(depth)
    jacobian = torch.stack([torch.stack([fx / depth, zero, -fx * inside_x / depth], -1),
                            torch.stack([zero, fy / depth, -fy * inside_y / depth], -1)], -2)
    axes = jacobian @ view_rotation @ _rotation(quat) * scale[:, None, :]
    row_x, row_y = axes.unbind(1)
    covariance = axes @ axes.transpose(1, 2)
    # The determinant as the squared area that the rows span: no cancellation, and its root has a gradient.
    area = torch.linalg.cross(row_x, row_y).square().sum(-1)
    widened = covariance + LOW_PASS_VARIANCE * torch.eye(2, dtype=xyz.dtype, device=xyz.device)
    determinant = area + LOW_PASS_VARIANCE * (covariance[:, 0, 0] + covariance[:, 1, 1] + LOW_PASS_VARIANCE)
    drawn = in_front & (area > 0)
    compensation = torch.sqrt(torch.where(drawn, area, 1.0) / torch.where(drawn, determinant, 1.0))
    center = torch.stack([fx * x + cx, fy * y + cy], -1)
    return center, widened, torch.where(drawn, opacity * compensation, 0.0), position[:, 2]


def _rotation(quat: Tensor) -> Tensor:
    """Rotation matrices [G, 3, 3] of quaternions wxyz [G, 4] of any length but zero."""
    w, x, y, z = torch.nn.functional.normalize(quat, dim=-1).unbind(-1)
    return torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1).reshape(-1, 3, 3)


def _composite(center: Tensor, covariance: Tensor, opacity: Tensor, color: Tensor, width: int, height: int,
               exact: bool) -> tuple[Tensor, Tensor]:
    """Rule 3 for Gaussians in order of depth: colour [C, H, W] and coverage [1, H, W]."""
    rows, columns = (torch.arange(size, dtype=center.dtype, device=center.device) + 0.5 for size in (height, width))
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    offset = torch.stack([x.reshape(-1), y.reshape(-1)], -1) - center[:, None, :]
    squared_distance = (offset @ torch.linalg.inv(covariance) * offset).sum(-1)
    alpha = (opacity[:, None] * torch.exp(-0.5 * squared_distance)).clamp(max=ALPHA_MAX)
    if not exact:
        alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0.0)
        alpha = torch.where(torch.cumprod(1 - alpha.detach(), 0) > TRANSMITTANCE_MIN, alpha, 0.0)
    after = torch.cumprod(1 - alpha, 0)
    before = torch.cat([torch.ones_like(after[:1]), after[:-1]]) if len(after) else after
    picture = color.T @ (alpha * before)
    transmittance = after[-1] if len(after) else torch.ones_like(x).reshape(-1)
    return picture.reshape(-1, height, width), (1 - transmittance).reshape(1, height, width)
