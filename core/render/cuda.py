"""The CUDA renderer: gsplat's rasteriser in antialiased mode, which our rules follow.

`tests/gpu` compares it with the reference on a graphics processor (an H100); elsewhere the tests run it with the reference in
gsplat's place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import DeviceError
from core.render.reference import LOW_PASS_VARIANCE, NEAR_PLANE
from core.render.renderer import Background, RenderStats, StageClock
from core.types import Camera, Gaussians

if TYPE_CHECKING:
    from torch import Tensor


def load_rasterization():
    """gsplat's `rasterization`. Raises DeviceError when torch or gsplat is not installed."""
    try:
        from gsplat import rasterization
    except ImportError as error:
        raise DeviceError(f"the CUDA renderer cannot be used: {error}",
                          "pip install gsplat, with a CUDA build of torch") from None
    return rasterization


class TensorCloud(NamedTuple):
    """`core.types.Gaussians` as float32 tensors on a device."""

    xyz: Tensor
    scale: Tensor
    quat: Tensor
    rgb: Tensor
    opacity: Tensor


class CudaRenderer:
    """`Renderer` on an NVIDIA graphics processor.

    Args:
        device: as torch calls it.

    Attributes:
        description: the driver's name for the device.

    Raises:
        DeviceError: torch or gsplat is not installed, or there is no CUDA device.
    """

    name = "cuda"
    is_software = False

    def __init__(self, device: str = "cuda") -> None:
        rasterization = load_rasterization()
        import torch

        on_cuda = device.startswith("cuda")
        if on_cuda and not torch.cuda.is_available():
            raise DeviceError("the CUDA renderer needs an NVIDIA graphics processor", "use the CPU or the OpenGL renderer")
        self._torch, self._rasterization, self._device = torch, rasterization, device
        self.description = torch.cuda.get_device_name(device) if on_cuda else device
        self.stats = RenderStats()

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        """Draw a picture, as `Renderer.render` says."""
        fields = (gaussians.xyz, gaussians.scale, gaussians.quat, gaussians.rgb, gaussians.opacity)
        return self.draw(TensorCloud(*(self._tensor(field) for field in fields)), camera, background)

    def draw(self, cloud: TensorCloud, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        """Draw a cloud that lies on the device, as `Renderer.render` says."""
        clock = StageClock()
        if len(cloud.xyz) == 0:
            return self._empty(camera, background)
        intrinsics = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float32)
        color, alpha, _ = self._rasterization(
            cloud.xyz, cloud.quat, cloud.scale, cloud.opacity, cloud.rgb, self._tensor(camera.world_to_camera)[None],
            self._tensor(intrinsics)[None], camera.width, camera.height, near_plane=NEAR_PLANE, eps2d=LOW_PASS_VARIANCE,
            packed=False, rasterize_mode="antialiased")
        color, alpha = color[0], alpha[0]
        if background is not None:
            color = color + (1 - alpha) * self._tensor(np.array(background, np.float32))
        rgba = self._torch.cat([color, alpha], -1).clamp(0, 1)
        picture = (rgba * 255 + 0.5).to(self._torch.uint8).cpu().numpy()
        self.stats = RenderStats(blend_ms=clock.lap(), gaussian_count=len(cloud.xyz))
        return picture

    def _tensor(self, array: NDArray) -> Tensor:
        return self._torch.as_tensor(np.ascontiguousarray(array, np.float32), device=self._device)

    @staticmethod
    def _empty(camera: Camera, background: Background) -> NDArray[np.uint8]:
        picture = np.zeros((camera.height, camera.width, 4), np.uint8)
        picture[..., :3] = np.round(255 * np.asarray(background or (0, 0, 0)))
        return picture

    def warm_up(self) -> None:
        """Load gsplat's kernels, which it compiles at the first call."""
        one = np.ones((1, 3), np.float32)
        cloud = Gaussians(one, one, np.ones((1, 4), np.float32), one, np.ones(1, np.float32))
        self.render(cloud, Camera(np.eye(4, dtype=np.float32), 16, 16, 8, 8, 16, 16))

    def close(self) -> None:
        """Tensors are freed as they go out of use."""
