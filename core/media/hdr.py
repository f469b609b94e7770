"""High dynamic range video (BT.2100 PQ and HLG, as phones record it) to ordinary 8-bit sRGB.

The picture is decoded to linear light relative to diffuse white, moved from BT.2020 to BT.709 primaries and rolled off
softly above 80 % of white, so that skin keeps its tone and highlights do not clip hard.
"""

from __future__ import annotations

from enum import Enum
from functools import cache

import numba
import numpy as np
from numpy.typing import NDArray

LEVELS = 4096  # 12 bits a channel, the most that video carries
SHOULDER = 0.8  # of diffuse white: where the roll-off starts
ENCODE_MAX = 1.0
DIFFUSE_WHITE_NITS = 203.0  # ITU-R BT.2408
BT2020_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


class Transfer(Enum):
    """Transfer function of a high-dynamic-range signal."""

    PQ = "smpte2084"
    HLG = "arib-std-b67"


def to_srgb(image: NDArray[np.uint16], transfer: Transfer) -> NDArray[np.uint8]:
    """16-bit RGB [H, W, 3] of BT.2100 video -> uint8 sRGB [H, W, 3]."""
    result = np.empty(image.shape, np.uint8)
    _convert(np.ascontiguousarray(image), linear_light(transfer), _srgb_code(), BT2020_TO_BT709, result)
    return result


@cache
def linear_light(transfer: Transfer) -> NDArray[np.float32]:
    """Light of each of the 4096 signal levels; 1 is diffuse white (BT.2100 tables 4 and 5)."""
    signal = np.linspace(0, 1, LEVELS)
    if transfer is Transfer.PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 4096 * 128, 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
        root = signal ** (1 / m2)
        nits = 10_000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)
        return (nits / DIFFUSE_WHITE_NITS).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    white = (np.exp((0.75 - c) / a) + b) / 12  # BT.2408: diffuse white is 75 % HLG
    return ((scene / white) ** 1.2).astype(np.float32)  # 1.2: system gamma of a 1000 nit display


@cache
def _srgb_code() -> NDArray[np.uint8]:
    light = np.linspace(0, ENCODE_MAX, LEVELS)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    return np.round(255 * code).astype(np.uint8)


@numba.njit(cache=True, nogil=True)
def _convert(image, light_of, code_of, matrix, result):
    height, width = image.shape[:2]
    for y in range(height):
        for x in range(width):
            r, g, b = light_of[image[y, x, 0] >> 4], light_of[image[y, x, 1] >> 4], light_of[image[y, x, 2] >> 4]
            for channel in range(3):
                light = matrix[channel, 0] * r + matrix[channel, 1] * g + matrix[channel, 2] * b
                if light > SHOULDER:
                    over = (light - SHOULDER) / (1 - SHOULDER)
                    light = SHOULDER + (1 - SHOULDER) * (1 - np.exp(-over))
                result[y, x, channel] = code_of[int(max(light, 0.0) * (LEVELS - 1) + 0.5)]
