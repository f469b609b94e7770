"""Small numerical tools that every part of the studio shares: soft masks, value noise, directions, tone curve."""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHOULDER_START = 0.6  # linear value above which highlights are rolled off


def smoothstep(low: float | Array, high: float | Array, x: Array | float) -> Array:
    """Hermite step: 0 at `low`, 1 at `high` (which may lie below `low`), flat outside."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(x: Array, center: float | Array, width: float | Array) -> Array:
    """exp(-((x - center) / width)²)."""
    return np.exp(-(((x - center) / width) ** 2))


def normalize(vectors: Array) -> Array:
    """Vectors of length one along the last axis; zero vectors stay zero."""
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-12)


def dot(a: Array, b: Array) -> Array:
    """Scalar product along the last axis, which is kept: [..., D] -> [..., 1]."""
    return np.sum(a * b, axis=-1, keepdims=True)


def vector(x: float, y: float, z: float) -> Array:
    return np.array([x, y, z], np.float64)


def sphere_directions(count: int) -> Array:
    """Evenly spread unit vectors [count, 3]: a Fibonacci lattice."""
    i = np.arange(count) + 0.5
    y = 1.0 - 2.0 * i / count
    azimuth = math.pi * (1.0 + math.sqrt(5.0)) * i
    radius = np.sqrt(1.0 - y * y)
    return np.stack([radius * np.cos(azimuth), y, radius * np.sin(azimuth)], 1)


def display_from_linear(linear: Array) -> Array:
    """Linear radiance -> display value (sRGB): identity up to SHOULDER_START, above it a shoulder that never
    clips to flat white."""
    room = 1.0 - SHOULDER_START
    rolled = SHOULDER_START + room * (1.0 - np.exp(-np.maximum(linear - SHOULDER_START, 0.0) / room))
    x = np.clip(np.where(linear > SHOULDER_START, rolled, linear), 0.0, 1.0)
    return np.where(x < 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-9), 1 / 2.4) - 0.055)


@numba.njit(cache=True, nogil=True)
def _value_noise(points, frequency, seed, out):
    for n in range(points.shape[0]):
        x = points[n, 0] * frequency + seed * 17.13
        y = points[n, 1] * frequency + seed * 7.77
        z = points[n, 2] * frequency + seed * 3.31
        ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
        fx, fy, fz = x - ix, y - iy, z - iz
        fx, fy, fz = fx * fx * (3 - 2 * fx), fy * fy * (3 - 2 * fy), fz * fz * (3 - 2 * fz)
        total = 0.0
        for dx in range(2):
            for dy in range(2):
                for dz in range(2):
                    h = (ix + dx) * 374761393 + (iy + dy) * 668265263 + (iz + dz) * 2147483647 + seed * 974711
                    h = (h ^ (h >> 13)) * 1274126177
                    h = (h ^ (h >> 16)) & 0xFFFF
                    weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                    total += weight * (h / 32767.5 - 1)
        out[n] = total


def value_noise(points: Array, scale: float, seed: int) -> Array:
    """Smooth noise in -1..1 at points [N, 3] with features of size `scale` (metres). Hash-based: the same on every machine."""
    out = np.empty(len(points))
    _value_noise(np.ascontiguousarray(points, np.float64), 1.0 / scale, int(seed) % 65536, out)
    return out


def fractal_noise(points: Array, scale: float, seed: int, octaves: int = 3) -> Array:
    """Sum of octaves of value noise, each half as large and half as strong."""
    return sum(value_noise(points, scale / 2**k, seed + k) * 0.5**k for k in range(octaves))


def vector_noise(points: Array, scale: float, seed: int) -> Array:
    """Three independent noises [N, 3]."""
    return np.stack([value_noise(points, scale, seed + k) for k in range(3)], 1)
