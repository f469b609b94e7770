"""A cloud of Gaussians as SPZ, Niantic's compressed format of 20 bytes a Gaussian (version 3, by its published description)."""

from __future__ import annotations

import gzip

import numpy as np
from numpy.typing import NDArray

from core.avatar.cloud_file import (
    SH_C0,
    SPZ_ANTIALIASED,
    SPZ_COLOR,
    SPZ_HEADER,
    SPZ_MAGIC,
    SPZ_QUAT_LEVELS,
    SPZ_SCALE_STEPS,
    SPZ_SCALE_ZERO,
    SPZ_VERSION,
)
from core.types import FloatArray, Gaussians

_MOST_FRACTION = 20  # bits of a position behind the point: 1 µm, up to ±8 m
_LARGEST = (1 << 23) - 1


def spz_bytes(cloud: Gaussians) -> bytes:
    """The content of an .spz file. The format's axes (right, up, back) are those of the head.

    Positions have 24 bits with as many of them behind the point as the cloud's size allows, opacities, colours and log scales a
    byte, rotations the three smaller components of the quaternion with ten bits each. The file says that it is meant for
    antialiased drawing.
    """
    reach = float(np.abs(cloud.xyz).max(initial=0))
    fraction = next(bits for bits in range(_MOST_FRACTION, -1, -1) if bits == 0 or reach * 2**bits <= _LARGEST)
    header = np.zeros(1, SPZ_HEADER)
    header["magic"], header["version"], header["count"] = SPZ_MAGIC, SPZ_VERSION, len(cloud)
    header["fraction"], header["flags"] = fraction, SPZ_ANTIALIASED
    f_dc = (cloud.rgb.astype(np.float64) - 0.5) / SH_C0
    log_scale = np.log(np.maximum(cloud.scale.astype(np.float64), 1e-9))
    content = b"".join((
        header.tobytes(), _fixed(cloud.xyz, fraction), _byte(255 * cloud.opacity), _byte(255 * (0.5 + SPZ_COLOR * f_dc)),
        _byte(SPZ_SCALE_STEPS * (log_scale + SPZ_SCALE_ZERO)), _smallest_three(cloud.quat)))
    return gzip.compress(content, 9, mtime=0)


def _fixed(xyz: FloatArray, fraction: int) -> bytes:
    """24-bit two's complement, little endian."""
    whole = np.clip(np.rint(xyz.astype(np.float64) * 2**fraction), -_LARGEST - 1, _LARGEST).astype("<i4")
    return np.ascontiguousarray(whole.reshape(-1, 1).view(np.uint8)[:, :3]).tobytes()


def _byte(values: NDArray) -> bytes:
    return np.rint(values).clip(0, 255).astype(np.uint8).tobytes()


def _smallest_three(quat: FloatArray) -> bytes:
    """32 bits a quaternion wxyz [N, 4]: which of x y z w is largest (and made positive), then sign and 9 bits of the others."""
    xyzw = quat[:, [1, 2, 3, 0]].astype(np.float64)
    xyzw /= np.linalg.norm(xyzw, axis=1, keepdims=True)
    largest = np.argmax(np.abs(xyzw), 1)
    xyzw *= np.where(np.take_along_axis(xyzw, largest[:, None], 1) < 0, -1, 1)
    packed = largest.astype(np.uint32) << 30
    place = np.array([[j for j in range(4) if j != i] for i in range(4)])[largest]
    for shift, value in zip((20, 10, 0), np.take_along_axis(xyzw, place, 1).T, strict=True):
        size = np.rint(np.abs(value) * (SPZ_QUAT_LEVELS / np.sqrt(0.5))).clip(0, SPZ_QUAT_LEVELS).astype(np.uint32)
        packed |= (np.where((value < 0) & (size > 0), 0x200, 0).astype(np.uint32) | size) << np.uint32(shift)
    return packed.astype("<u4").tobytes()
