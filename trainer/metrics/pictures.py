"""Pictures as the metrics look at them: before one fixed grey, in the sizes that the networks take."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

BACKGROUND = 0.5
"""Grey level, 0..1, that every picture is laid on before it is judged; neither black nor white hair vanishes in it."""
_FACE_SHIFT = 1 / 16  # of the side: how far below the middle of the picture the middle of the face window lies
_CHUNK = 256


def composited(rgba: NDArray[np.uint8], grey: float = BACKGROUND) -> Tensor:
    """Premultiplied pictures [n, S, S, 4] uint8 -> [n, 3, S, S] uint8 before a grey of 0..1."""
    background = round(255 * grey)
    missing = (255 - rgba[..., 3:].astype(np.uint16)) * background
    laid = np.minimum(rgba[..., :3] + (missing + 127) // 255, 255).astype(np.uint8)
    return torch.from_numpy(np.ascontiguousarray(laid.transpose(0, 3, 1, 2)))


def network_input(pictures: Tensor, size: int) -> Tensor:
    """Two views of each picture for the feature network.

    The whole picture, and the window of half its side around the face, which keeps the pixels that reducing loses.

    Args:
        pictures: [n, 3, S, S] uint8.
        size: side of both views.

    Returns:
        [n, 6, size, size] uint8.
    """
    views = [two_views(chunk.float(), size).round().clamp(0, 255).byte() for chunk in pictures.split(_CHUNK)]
    return torch.cat(views) if views else pictures.new_zeros(0, 6, size, size)


def two_views(pictures: Tensor, size: int) -> Tensor:
    """The views of `network_input` before they are rounded, of floating pictures; differentiable."""
    side = pictures.shape[-1]
    half, shift = side // 2, round(side * _FACE_SHIFT)
    top, left = (side - half) // 2 + shift, (side - half) // 2
    return torch.cat([resized(pictures, size), resized(pictures[..., top:top + half, left:left + half], size)], 1)


def resized(pictures: Tensor, size: int) -> Tensor:
    """Floating pictures [n, C, S, S] at another size: averaged when smaller, interpolated when larger."""
    side = pictures.shape[-1]
    if side == size:
        return pictures
    if side % size == 0:
        return functional.avg_pool2d(pictures, side // size)
    return functional.interpolate(pictures, size=(size, size), mode="bilinear", align_corners=False, antialias=side > size)
