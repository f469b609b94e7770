"""A cloud of Gaussians as .splat, the 32-byte records of web viewers: position and scale float32, colour and rotation bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.avatar.cloud_file import SPLAT_RECORD
from core.types import Gaussians


def importance_order(cloud: Gaussians) -> NDArray[np.int64]:
    """Indices [N] by falling volume times opacity: viewers that still load show the head first, its dust last."""
    weight = cloud.scale.astype(np.float64).prod(1) * cloud.opacity
    return np.argsort(-weight, kind="stable")


def splat_bytes(cloud: Gaussians, order: NDArray | None = None) -> bytes:
    """The content of a .splat file: records of x y z, three scales, r g b a, and 128 + 128·q for q = w x y z.

    Args:
        cloud: already in the axes of the file.
        order: of the records; `importance_order` when left out.
    """
    chosen = cloud.subset(importance_order(cloud) if order is None else order)
    records = np.zeros(len(chosen), SPLAT_RECORD)
    records["xyz"], records["scale"] = chosen.xyz, chosen.scale
    records["rgba"] = _bytes(255 * np.concatenate([chosen.rgb, chosen.opacity[:, None]], 1))
    unit = chosen.quat / np.linalg.norm(chosen.quat, axis=1, keepdims=True)
    records["quat"] = _bytes(128 + 128 * unit)
    return records.tobytes()


def _bytes(values: NDArray) -> NDArray[np.uint8]:
    return np.rint(values).clip(0, 255).astype(np.uint8)
