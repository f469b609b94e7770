"""The rasteriser on CUDA: gsplat in antialiased mode, whose rules are ours, gradients included.

`tests/gpu` compares it with double precision on a graphics processor (an H100); elsewhere the tests put the dense path in
gsplat's place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from core.render.reference import LOW_PASS_VARIANCE, NEAR_PLANE

if TYPE_CHECKING:
    from trainer.rasterize import CameraBatch


def rasterize_gsplat(xyz: Tensor, scale: Tensor, quat: Tensor, color: Tensor, opacity: Tensor, cameras: CameraBatch,
                     rasterization: Callable | None = None) -> tuple[Tensor, Tensor]:
    """As `trainer.rasterize.rasterize`.

    Args:
        rasterization: gsplat's function of that name, or what stands in for it.

    Returns:
        Premultiplied colour [B, C, H, W] and coverage [B, 1, H, W].

    Raises:
        DeviceError: gsplat is not installed.
    """
    if rasterization is None:
        from core.render.cuda import load_rasterization

        rasterization = load_rasterization()
    batch, count, channels = color.shape
    if count == 0 or batch == 0:
        return (color.new_zeros(batch, channels, cameras.height, cameras.width),
                color.new_zeros(batch, 1, cameras.height, cameras.width))
    fx, fy, cx, cy = cameras.intrinsics.unbind(1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    matrices = torch.stack([fx, zero, cx, zero, fy, cy, zero, zero, one], -1).reshape(batch, 1, 3, 3)
    picture, coverage, _ = rasterization(
        xyz, quat, scale, opacity, color, cameras.world_to_camera[:, None], matrices, cameras.width, cameras.height,
        near_plane=NEAR_PLANE, eps2d=LOW_PASS_VARIANCE, packed=False, rasterize_mode="antialiased")
    return picture[:, 0].permute(0, 3, 1, 2), coverage[:, 0].permute(0, 3, 1, 2)
