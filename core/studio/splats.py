"""Groups of Gaussians under construction: native axes and scales, linear colour, and what they are attached to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray

from core.studio.numerics import Array

SEGMENT_SIGMA = 0.42  # standard deviation along a segment, in units of its length: neighbours blend into an even line


@dataclass(frozen=True)
class Splats:
    """Gaussians before they are coloured for display.

    Attributes:
        xyz: [N, 3] metres.
        scale: [N, 3] standard deviations along the local axes, metres.
        quat: [N, 4] wxyz.
        color: [N, 3] linear radiance toward the viewer.
        opacity: [N].
        triangle: [N] root triangle in the head's faces.
        texel: [N] index into the texel atlas, -1 where the Gaussian is not a skin texel.
        rigid: [N] bool, whether it follows only the rotation of its triangle.
    """

    xyz: Array
    scale: Array
    quat: Array
    color: Array
    opacity: Array
    triangle: NDArray[np.int32]
    texel: NDArray[np.int32]
    rigid: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.xyz)

    def subset(self, keep: NDArray) -> Splats:
        return Splats(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))

    def moved(self, offset: Array) -> Splats:
        return replace(self, xyz=self.xyz + offset)


def concatenate(groups: Sequence[Splats]) -> Splats:
    return Splats(*(np.concatenate([getattr(g, name) for g in groups]) for name in Splats.__dataclass_fields__))


def _splats(xyz: Array, scale: Array, quat: Array, color: Array, opacity: Array | float, triangle: NDArray,
            texel: NDArray | None = None, rigid: bool = True) -> Splats:
    n = len(xyz)
    return Splats(
        xyz=xyz,
        scale=np.broadcast_to(scale, (n, 3)),
        quat=np.broadcast_to(quat, (n, 4)),
        color=np.broadcast_to(color, (n, 3)),
        opacity=np.broadcast_to(np.asarray(opacity, np.float64), (n,)),
        triangle=np.broadcast_to(triangle, (n,)).astype(np.int32),
        texel=np.full(n, -1, np.int32) if texel is None else texel.astype(np.int32),
        rigid=np.full(n, rigid),
    )


def quat_along(direction: Array) -> Array:
    """The shortest rotation that takes the local x axis to unit vectors [N, 3], as quaternions [N, 4]."""
    x, y, z = direction[:, 0], direction[:, 1], direction[:, 2]
    quat = np.stack([1.0 + x, np.zeros_like(x), -z, y], 1)
    backward = quat[:, 0] < 1e-6
    quat[backward] = [0.0, 0.0, 0.0, 1.0]
    return quat / np.linalg.norm(quat, axis=1, keepdims=True)


def segments(start: Array, end: Array, width: Array | float, color: Array, opacity: Array | float, triangle: NDArray) -> Splats:
    """Thin round Gaussians from `start` to `end` [N, 3]; `width` is the standard deviation across."""
    along = end - start
    length = np.linalg.norm(along, axis=1) + 1e-9
    across = np.broadcast_to(width, length.shape)
    scale = np.stack([length * SEGMENT_SIGMA, across, across], 1)
    return _splats(0.5 * (start + end), scale, quat_along(along / length[:, None]), color, opacity, triangle)


def ribbons(start: Array, end: Array, normal: Array, width: Array | float, thickness: Array | float, color: Array,
            opacity: Array | float, triangle: NDArray) -> Splats:
    """Segments that are flat along `normal` [N, 3]."""
    along = end - start
    length = np.linalg.norm(along, axis=1) + 1e-9
    first = along / length[:, None]
    third = normal - (normal * first).sum(1, keepdims=True) * first
    third /= np.linalg.norm(third, axis=1, keepdims=True) + 1e-12
    scale = np.stack([length * SEGMENT_SIGMA, np.broadcast_to(width, length.shape), np.broadcast_to(thickness, length.shape)], 1)
    return _splats(0.5 * (start + end), scale, quat_from_axes(first, third), color, opacity, triangle)


def spheres(center: Array, radius: Array | float, color: Array, opacity: Array | float, triangle: NDArray) -> Splats:
    """Round Gaussians with standard deviation `radius`."""
    n = len(center)
    scale = np.repeat(np.broadcast_to(radius, (n,))[:, None], 3, 1)
    return _splats(center, scale, np.array([1.0, 0.0, 0.0, 0.0]), color, opacity, triangle)


def discs(center: Array, first: Array, normal: Array, scale: Array, color: Array, opacity: Array | float, triangle: NDArray,
          rigid: bool = True) -> Splats:
    """Flat Gaussians: `scale` [N, 3] along the unit axes first, normal × first, normal."""
    return _splats(center, scale, quat_from_axes(first, normal), color, opacity, triangle, rigid=rigid)


def surface_patches(center: Array, d_du: Array, d_dv: Array, sigma: float, thickness: float, largest: float, color: Array,
                    opacity: Array | float, triangle: NDArray, texel: NDArray | None = None) -> Splats:
    """Gaussians that tile a surface: each covers the parallelogram of its two tangents.

    The covariance in the plane is sigma² (Pu Puᵀ + Pv Pvᵀ); its axes are found in closed form from the 2×2 Gram matrix.

    Args:
        d_du, d_dv: [N, 3] change of position over one sample step.
        sigma: standard deviation in units of a sample step.
        thickness: standard deviation along the normal relative to the larger one in the plane.
        largest: cap on the standard deviations, metres.
    """
    guu, guv, gvv = (d_du * d_du).sum(1), (d_du * d_dv).sum(1), (d_dv * d_dv).sum(1)
    angle = 0.5 * np.arctan2(2 * guv, guu - gvv)
    c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
    major, minor = c * d_du + s * d_dv, c * d_dv - s * d_du
    long = np.linalg.norm(major, axis=1)
    short = np.linalg.norm(minor, axis=1)
    normal = np.cross(major, minor)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-18
    first = major / (long[:, None] + 1e-12)
    scale = np.stack([np.minimum(long * sigma, largest), np.clip(short * sigma, 1e-5, largest)], 1)
    scale = np.concatenate([scale, scale[:, :1] * thickness + 0.00008], 1)
    return _splats(center, scale, quat_from_axes(first, normal), color, opacity, triangle, texel=texel, rigid=False)


@numba.njit(cache=True, nogil=True)
def _quat_from_axes(first, third, out):
    for n in range(first.shape[0]):
        ax, ay, az = first[n, 0], first[n, 1], first[n, 2]
        cx, cy, cz = third[n, 0], third[n, 1], third[n, 2]
        bx, by, bz = cy * az - cz * ay, cz * ax - cx * az, cx * ay - cy * ax
        # columns (a, b, c); Shepperd's method takes the largest component first
        trace = ax + by + cz
        if trace >= ax and trace >= by and trace >= cz:
            w, x, y, z = 1 + trace, bz - cy, cx - az, ay - bx
        elif ax >= by and ax >= cz:
            w, x, y, z = bz - cy, 1 + ax - by - cz, bx + ay, cx + az
        elif by >= cz:
            w, x, y, z = cx - az, bx + ay, 1 - ax + by - cz, cy + bz
        else:
            w, x, y, z = ay - bx, cx + az, cy + bz, 1 - ax - by + cz
        norm = np.sqrt(w * w + x * x + y * y + z * z)
        out[n, 0], out[n, 1], out[n, 2], out[n, 3] = w / norm, x / norm, y / norm, z / norm


def quat_from_axes(first: Array, third: Array) -> Array:
    """Quaternions [N, 4] of right-handed frames given by their orthonormal first and third axes [N, 3]."""
    out = np.empty((len(first), 4))
    _quat_from_axes(np.ascontiguousarray(first, np.float64), np.ascontiguousarray(third, np.float64), out)
    return out
