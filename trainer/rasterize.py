"""The differentiable rasteriser of the trainer: one interface over the processor's kernels, gsplat on CUDA, and a dense
float64 path.

All three follow the rules of `core.render.reference`. The type and the device of the tensors choose: float64 goes to the plain
dense formula (small pictures, exact gradients), float32 on the processor to our SIMD kernels, float32 on CUDA to gsplat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core.types import Camera
from trainer.rasterize_cpu import rasterize_cpu
from trainer.rasterize_dense import rasterize_dense
from trainer.rasterize_gsplat import rasterize_gsplat

__all__ = ["CameraBatch", "Rendering", "rasterize"]


@dataclass(frozen=True)
class CameraBatch:
    """B cameras that share one picture size.

    Attributes:
        world_to_camera: [B, 4, 4], OpenCV's convention.
        intrinsics: [B, 4] fx, fy, cx, cy in pixels; the centre of the first pixel is at 0.5.
        width, height: pixels.
    """

    world_to_camera: Tensor
    intrinsics: Tensor
    width: int
    height: int

    def __post_init__(self) -> None:
        batch = len(self.world_to_camera)
        if self.world_to_camera.shape != (batch, 4, 4) or self.intrinsics.shape != (batch, 4):
            raise ValueError(f"cameras of shapes {tuple(self.world_to_camera.shape)} and {tuple(self.intrinsics.shape)}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a picture of {self.width}×{self.height} pixels")

    def __len__(self) -> int:
        return len(self.world_to_camera)

    @staticmethod
    def of(cameras: Sequence[Camera]) -> CameraBatch:
        """The batch of single cameras, float32 on the processor.

        Raises:
            ValueError: there is none, or their sizes differ.
        """
        if len({(camera.width, camera.height) for camera in cameras}) != 1:
            raise ValueError("a batch takes cameras of one size")
        world_to_camera = np.stack([camera.world_to_camera for camera in cameras]).astype(np.float32)
        intrinsics = np.array([(camera.fx, camera.fy, camera.cx, camera.cy) for camera in cameras], np.float32)
        return CameraBatch(torch.from_numpy(world_to_camera), torch.from_numpy(intrinsics), cameras[0].width, cameras[0].height)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> CameraBatch:
        """The same cameras on another device or in another precision."""
        return CameraBatch(self.world_to_camera.to(device=device, dtype=dtype), self.intrinsics.to(device=device, dtype=dtype),
                           self.width, self.height)


@dataclass(frozen=True)
class Rendering:
    """What the rasteriser draws.

    Attributes:
        color: [B, C, H, W], premultiplied by the coverage.
        alpha: [B, 1, H, W], coverage 1 − T.
    """

    color: Tensor
    alpha: Tensor

    def over(self, background: Tensor) -> Tensor:
        """The picture before a background that can be broadcast to [B, C, H, W]."""
        return self.color + (1 - self.alpha) * background


def rasterize(xyz: Tensor, scale: Tensor, quat: Tensor, color: Tensor, opacity: Tensor, cameras: CameraBatch, *,
              exact: bool = False) -> Rendering:
    """Draw B clouds of G Gaussians, each with its camera. Differentiable in all five tensors, not in the cameras.

    Args:
        xyz: [B, G, 3] world space, metres; scale: [B, G, 3] standard deviations, metres; quat: [B, G, 4] wxyz of any length;
            color: [B, G, C], three channels are fastest; opacity: [B, G] in 0..1.
        cameras: B of them; gradients do not reach them.
        exact: leave out the cut-offs (α < 1/255, finished pixels), for comparing gradients. Not possible with gsplat.

    Returns:
        Pictures of the tensors' type; half precision is drawn and returned in float32.

    Raises:
        ValueError: shapes or types that do not fit one another, or `exact` with gsplat.
        DeviceError: tensors on CUDA without gsplat.
    """
    _check_shapes(xyz, scale, quat, color, opacity, cameras)
    fields = [xyz, scale, quat, color, opacity]
    if any(field.dtype in (torch.float16, torch.bfloat16) for field in fields):
        fields = [field.float() for field in fields]
    dtype = fields[0].dtype
    if any(field.dtype != dtype or field.device != xyz.device for field in fields):
        raise ValueError("the five tensors must share one type and one device")
    if dtype == torch.float64:
        return Rendering(*rasterize_dense(*fields, cameras.to(xyz.device, dtype), exact=exact))
    if dtype != torch.float32:
        raise ValueError(f"tensors of type {dtype}")
    if xyz.is_cuda:
        if exact:
            raise ValueError("gsplat's cut-offs cannot be left out")
        return Rendering(*rasterize_gsplat(*fields, cameras.to(xyz.device, dtype)))
    return Rendering(*rasterize_cpu(*fields, cameras, exact=exact))


def _check_shapes(xyz: Tensor, scale: Tensor, quat: Tensor, color: Tensor, opacity: Tensor, cameras: CameraBatch) -> None:
    if color.ndim != 3 or color.shape[2] < 1:
        raise ValueError(f"colours of shape {tuple(color.shape)}, not [B, G, C]")
    batch, count = color.shape[:2]
    expected = {"xyz": (xyz, (batch, count, 3)), "scale": (scale, (batch, count, 3)), "quat": (quat, (batch, count, 4)),
                "opacity": (opacity, (batch, count))}
    for name, (field, shape) in expected.items():
        if tuple(field.shape) != shape:
            raise ValueError(f"{name} of shape {tuple(field.shape)}, not {shape}")
    if len(cameras) != batch:
        raise ValueError(f"{len(cameras)} cameras for {batch} clouds")
