"""Rotations and cameras. Every function takes leading batch dimensions."""

from __future__ import annotations

import math

import numpy as np

from core.types import Camera, FloatArray

PORTRAIT_TARGET = np.array([0.0, -0.018, -0.05])  # between the eyes and the ears of the head model, metres
PORTRAIT_DISTANCE = 1.3
PORTRAIT_FOV_DEGREES = 14.3


def rotation_from_axis_angle(axis_angle: FloatArray) -> FloatArray:
    """Rodrigues' formula. [..., 3] radians -> [..., 3, 3]."""
    r = np.asarray(axis_angle)
    angle = np.linalg.norm(r, axis=-1)[..., None, None]
    safe = np.where(angle > 1e-8, angle, 1.0)
    k = skew(r)
    first = np.where(angle > 1e-8, np.sin(angle) / safe, 1.0)
    second = np.where(angle > 1e-8, (1 - np.cos(angle)) / safe**2, 0.5)
    return np.eye(3, dtype=r.dtype) + (first * k + second * (k @ k)).astype(r.dtype)


def skew(v: FloatArray) -> FloatArray:
    """Cross-product matrix. [..., 3] -> [..., 3, 3]."""
    v = np.asarray(v)
    matrix = np.zeros((*v.shape, 3), v.dtype)  # filled in place: the tracker calls this many times a frame
    matrix[..., 2, 1], matrix[..., 1, 2] = v[..., 0], -v[..., 0]
    matrix[..., 0, 2], matrix[..., 2, 0] = v[..., 1], -v[..., 1]
    matrix[..., 1, 0], matrix[..., 0, 1] = v[..., 2], -v[..., 2]
    return matrix


def axis_angle_from_rotation(rotation: FloatArray) -> FloatArray:
    """Inverse of `rotation_from_axis_angle`, angle in [0, π]. [..., 3, 3] -> [..., 3]."""
    return axis_angle_from_quat(quat_from_rotation(rotation))


def axis_angle_from_quat(quat: FloatArray) -> FloatArray:
    """Unit quaternion wxyz [..., 4] -> axis-angle [..., 3], angle in [0, π]."""
    q = np.where(quat[..., :1] < 0, -quat, quat)
    sine = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2 * np.arctan2(sine, q[..., :1])
    return q[..., 1:] * np.where(sine > 1e-8, angle / np.where(sine > 1e-8, sine, 1.0), 2.0)


def quat_from_axis_angle(axis_angle: FloatArray) -> FloatArray:
    """Axis-angle [..., 3] -> unit quaternion wxyz [..., 4]."""
    half = np.linalg.norm(axis_angle, axis=-1, keepdims=True) / 2
    scale = np.where(half > 1e-8, np.sin(half) / np.where(half > 1e-8, 2 * half, 1.0), 0.5)
    return np.concatenate([np.cos(half), axis_angle * scale], -1)


def quat_from_rotation(rotation: FloatArray) -> FloatArray:
    """Rotation matrix [..., 3, 3] -> unit quaternion wxyz [..., 4] (Shepperd's method: the largest component is taken first)."""
    m = np.asarray(rotation)
    m00, m11, m22 = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    x, y, z = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    candidates = np.stack([
        np.stack([1 + m00 + m11 + m22, x, y, z], -1),
        np.stack([x, 1 + m00 - m11 - m22, xy, xz], -1),
        np.stack([y, xy, 1 - m00 + m11 - m22, yz], -1),
        np.stack([z, xz, yz, 1 - m00 - m11 + m22], -1),
    ], -2)
    best = np.argmax(np.stack([m00 + m11 + m22, m00, m11, m22], -1), -1)
    q = np.take_along_axis(candidates, best[..., None, None], -2)[..., 0, :]
    return q / np.linalg.norm(q, axis=-1, keepdims=True)


def rotation_from_quat(quat: FloatArray) -> FloatArray:
    """Quaternion wxyz [..., 4] (any length) -> rotation matrix [..., 3, 3]."""
    q = quat / np.linalg.norm(quat, axis=-1, keepdims=True)
    w, x, y, z = q[..., 0], q[..., 1], q[..., 2], q[..., 3]
    return np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        np.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ], -2)


def quat_multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """Hamilton product a ⊗ b, wxyz: the rotation b followed by a. [..., 4] each."""
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    return np.stack([aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
                     aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw], -1)


def orbit_camera(yaw: float, pitch: float, width: int, height: int, distance: float = PORTRAIT_DISTANCE,
                 target: FloatArray = PORTRAIT_TARGET, fov_degrees: float = PORTRAIT_FOV_DEGREES) -> Camera:
    """A camera that looks at `target` from `distance` metres.

    Args:
        yaw: radians; positive moves the camera toward +x (the subject's left).
        pitch: radians; positive moves the camera up.
        fov_degrees: field of view across the shorter side of the picture.
    """
    direction = np.array([math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)])
    forward = -direction
    right = np.cross(forward, [0.0, 1.0, 0.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ (np.asarray(target) + distance * direction)
    focal = 0.5 * min(width, height) / math.tan(math.radians(fov_degrees) / 2)
    return Camera(world_to_camera.astype(np.float32), focal, focal, width / 2, height / 2, width, height)


def portrait_camera(width: int, height: int) -> Camera:
    """The default view: frontal, head and shoulders."""
    return orbit_camera(0.0, 0.0, width, height)
