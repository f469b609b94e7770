"""How long the differentiable rasteriser takes on this machine. Printing is the command line's part."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from core.render.benchmark import shell_cloud
from trainer.rasterize import CameraBatch, rasterize

CASES = ((64, 64**2), (128, 128**2), (256, 256**2))  # side of the picture, number of Gaussians
WIDENED = 1.6  # the shell's Gaussians of 0.75 pixels become 1.2 pixels large, as a generator's are


@dataclass(frozen=True)
class RasterizeTimes:
    """Least processor time of a picture in milliseconds, over all threads of the process.

    Attributes:
        size: side of the picture in pixels.
        gaussian_count: of the closed shell that is drawn.
        forward_ms: projection, sorting and blending, with what the gradient needs kept.
        backward_ms: gradients of all five inputs.
        total_ms: least of the sums; both directions of one run.
    """

    size: int
    gaussian_count: int
    forward_ms: float
    backward_ms: float
    total_ms: float


def measure_rasterizer(size: int, gaussian_count: int, repeats: int = 15) -> RasterizeTimes:
    """Time one size, float32 on the processor, the kernels compiled beforehand."""
    gaussians, camera = shell_cloud(gaussian_count, size)
    scale = np.float32(WIDENED) * gaussians.scale
    fields = [torch.from_numpy(np.array(field)[None]).requires_grad_()
              for field in (gaussians.xyz, scale, gaussians.quat, gaussians.rgb, gaussians.opacity)]
    cameras = CameraBatch.of([camera])
    upstream = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    upstream_alpha = upstream[:, :1].clone()
    runs = []
    for _ in range(repeats + 1):
        start = time.process_time()
        rendering = rasterize(*fields, cameras)
        drawn = time.process_time()
        torch.autograd.grad((rendering.color, rendering.alpha), fields, (upstream, upstream_alpha))
        runs.append((drawn - start, time.process_time() - drawn))
    runs = runs[1:]
    return RasterizeTimes(size, gaussian_count, *(1e3 * min(times) for times in (*zip(*runs, strict=True), map(math.fsum, runs))))
