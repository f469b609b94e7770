"""People of official packs as they lie in a file: 25 bytes a Gaussian instead of 112.

There are 228 693 Gaussians a person, which hang on the rows of their own numbers and turn with the head as a whole. Positions
are whole numbers of 16 bits within the person's bounding box (3 µm), scales, rotations and opacities half-precision numbers
(1/2048), colours have 8 bits as pictures do. What follows from the convention is not stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from core.avatar.identity import Identity
from core.errors import PackError
from core.types import FloatArray, Gaussians

_STEPS = 65535
_TYPES = {"xyz": np.uint16, "box": np.float32, "scale": np.float16, "quat": np.float16, "rgb": np.uint8, "opacity": np.float16}
_WHOLE = ("latent", "neck_joint", "rest_scores")


def compact_tensors(identity: Identity) -> dict[str, NDArray]:
    """What a file holds of a person."""
    cloud = identity.gaussians
    box = np.stack([cloud.xyz.min(0), cloud.xyz.max(0)]).astype(np.float32)
    size = np.maximum(box[1] - box[0], np.float32(1e-9))
    return {"xyz": np.round((cloud.xyz - box[0]) / size * _STEPS).astype(np.uint16), "box": box,
            "scale": cloud.scale.astype(np.float16), "quat": cloud.quat.astype(np.float16),
            "rgb": np.round(cloud.rgb.clip(0, 1) * 255).astype(np.uint8), "opacity": cloud.opacity.astype(np.float16),
            "latent": identity.latent, "neck_joint": identity.neck_joint, "rest_scores": identity.rest_scores}


def expanded_tensors(where: str, tensors: dict[str, NDArray], rows: int) -> dict[str, NDArray]:
    """The tensors of an `Identity` from those of a file; `core.avatar.identity.check_identity` looks at the numbers.

    Raises:
        PackError: one is missing, unexpected or of the wrong type.
    """
    if set(tensors) != {*_TYPES, *_WHOLE}:
        odd = sorted(set(tensors) ^ {*_TYPES, *_WHOLE})[0]
        raise PackError(f"{where}/{odd}: is {'unexpected' if odd in tensors else 'missing'}")
    for name, kind in _TYPES.items():
        if tensors[name].dtype != kind:
            raise PackError(f"{where}/{name}: has type {tensors[name].dtype}, expected {np.dtype(kind)}")
    box = tensors["box"]
    if box.shape != (2, 3) or tensors["xyz"].ndim != 2 or tensors["xyz"].shape[1] != 3 or not np.isfinite(box).all():
        raise PackError(f"{where}/box: is not a bounding box of positions")
    xyz = box[0] + tensors["xyz"].astype(np.float32) * ((box[1] - box[0]) / _STEPS)
    scale, quat, rgb, opacity = (_float(tensors[name]) for name in ("scale", "quat", "rgb", "opacity"))
    cloud = Gaussians(_float(xyz), scale, quat, rgb / 255, opacity)
    whole = {name: tensors[name] for name in _WHOLE}
    return Identity.self_anchored("", None, whole["latent"], cloud, whole["neck_joint"], rows).tensors() | whole


def _float(value: NDArray) -> FloatArray:
    return np.ascontiguousarray(value, np.float32)
