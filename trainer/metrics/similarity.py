"""Likeness of two pictures of the same thing: PSNR and SSIM (Wang et al. 2004)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from core.types import FloatArray

_WINDOW, _SIGMA, _C1, _C2 = 11, 1.5, 0.01**2, 0.03**2
_SMALLEST_ERROR = 1e-10  # 100 dB
_BATCH = 100


def psnr(a: Tensor, b: Tensor) -> FloatArray:
    """Peak signal-to-noise ratio of pictures [n, 3, S, S] uint8, dB [n]; at most 100."""
    error = ((a.float() - b.float()) / 255).square().mean((1, 2, 3))
    return (-10 * torch.log10(error.clamp_min(_SMALLEST_ERROR))).numpy()


@torch.no_grad()
def ssim(a: Tensor, b: Tensor) -> FloatArray:
    """Structural similarity of pictures [n, 3, S, S] uint8, mean over channels and places where the window fits [n]."""
    return torch.cat([ssim_map(x.float() / 255, y.float() / 255).mean((1, 2, 3)) for x, y in
                      zip(a.split(_BATCH), b.split(_BATCH), strict=True)]).numpy()


def ssim_map(a: Tensor, b: Tensor) -> Tensor:
    """The same of pictures [n, 3, S, S] 0..1, place by place [n, 3, S - 10, S - 10]; differentiable."""
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a, variance_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    likeness = (2 * mean_a * mean_b + _C1) * (2 * covariance + _C2)
    return likeness / ((mean_a**2 + mean_b**2 + _C1) * (variance_a + variance_b + _C2))


def _blurred(x: Tensor) -> Tensor:
    at = torch.arange(_WINDOW) - _WINDOW // 2
    kernel = torch.exp(-0.5 * (at / _SIGMA).square())
    kernel = (kernel / kernel.sum()).repeat(x.shape[1], 1)
    x = functional.conv2d(x, kernel[:, None, :, None], groups=x.shape[1])
    return functional.conv2d(x, kernel[:, None, None, :], groups=x.shape[1])
