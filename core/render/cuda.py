"""The CUDA renderer: gsplat's rasteriser in antialiased mode, which our rules follow.

Not tested by us on a graphics processor yet; the tests skip it where there is none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.errors import DeviceError
from core.render.reference import LOW_PASS_VARIANCE, NEAR_PLANE
from core.render.renderer import Background, RenderStats, StageClock
from core.types import Camera, Gaussians


class CudaRenderer:
    """`Renderer` on an NVIDIA graphics processor.

    Raises:
        DeviceError: torch or gsplat is not installed, or there is no CUDA device.
    """

    name = "cuda"
    is_software = False

    def __init__(self) -> None:
        try:
            import torch
            from gsplat import rasterization
        except ImportError as error:
            raise DeviceError(f"the CUDA renderer cannot be used: {error}",
                              "pip install gsplat, with a CUDA build of torch") from None
        if not torch.cuda.is_available():
            raise DeviceError("the CUDA renderer needs an NVIDIA graphics processor", "use the CPU or the OpenGL renderer")
        self._torch, self._rasterization = torch, rasterization
        self.stats = RenderStats()

    def render(self, gaussians: Gaussians, camera: Camera, background: Background = None) -> NDArray[np.uint8]:
        """Draw a picture, as `Renderer.render` says."""
        clock = StageClock()
        if len(gaussians) == 0:
            return self._empty(camera, background)
        intrinsics = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float32)
        color, alpha, _ = self._rasterization(
            self._tensor(gaussians.xyz), self._tensor(gaussians.quat), self._tensor(gaussians.scale),
            self._tensor(gaussians.opacity), self._tensor(gaussians.rgb), self._tensor(camera.world_to_camera)[None],
            self._tensor(intrinsics)[None], camera.width, camera.height, near_plane=NEAR_PLANE, eps2d=LOW_PASS_VARIANCE,
            packed=False, rasterize_mode="antialiased")
        color, alpha = color[0], alpha[0]
        if background is not None:
            color = color + (1 - alpha) * self._tensor(np.array(background, np.float32))
        rgba = self._torch.cat([color, alpha], -1).clamp(0, 1)
        picture = (rgba * 255 + 0.5).to(self._torch.uint8).cpu().numpy()
        self.stats = RenderStats(blend_ms=clock.lap(), gaussian_count=len(gaussians))
        return picture

    def _tensor(self, array: NDArray):
        return self._torch.as_tensor(np.ascontiguousarray(array, np.float32), device="cuda")

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
