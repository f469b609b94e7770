"""Clouds and cameras for the tests of the renderers."""

from __future__ import annotations

import numpy as np

from core.types import Camera, Gaussians

FIELDS = ("xyz", "scale", "quat", "rgb", "opacity")


def cloud(xyz, scale=0.01, quat=(1.0, 0.0, 0.0, 0.0), rgb=(1.0, 0.0, 0.0), opacity=0.9) -> Gaussians:
    """Gaussians from the positions [N, 3]; the other values are shared or given per Gaussian."""
    xyz = np.atleast_2d(np.asarray(xyz, np.float32))
    n = len(xyz)
    spread = np.asarray(scale, np.float32)
    spread = spread[:, None] if spread.ndim == 1 and len(spread) == n and n != 3 else spread
    return Gaussians(
        np.ascontiguousarray(xyz), np.ascontiguousarray(np.broadcast_to(spread, (n, 3))),
        np.ascontiguousarray(np.broadcast_to(np.asarray(quat, np.float32), (n, 4))),
        np.ascontiguousarray(np.broadcast_to(np.asarray(rgb, np.float32), (n, 3))),
        np.ascontiguousarray(np.broadcast_to(np.asarray(opacity, np.float32), (n,))))


def random_cloud(generator: np.random.Generator, count: int) -> Gaussians:
    """Blobs, discs and needles of all sizes and opacities around the origin, 0.3 m across."""
    scale = np.exp(generator.uniform(np.log(2e-4), np.log(2e-2), (count, 3)))
    quat = generator.normal(size=(count, 4))
    return Gaussians(
        generator.normal(0, 0.08, (count, 3)).astype(np.float32), scale.astype(np.float32),
        (quat / np.linalg.norm(quat, axis=1, keepdims=True)).astype(np.float32),
        generator.uniform(0, 1, (count, 3)).astype(np.float32), generator.uniform(0, 1, count).astype(np.float32))


def front_camera(width: int, height: int, focal: float = 100.0) -> Camera:
    """A camera at the origin that looks along +z, principal point in the middle."""
    return Camera(np.eye(4, dtype=np.float32), focal, focal, width / 2, height / 2, width, height)
