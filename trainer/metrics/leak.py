"""How watertight a learned skin is: light that passes the front of the face where a face must be.

A generator can draw dark detail by tearing holes through which the inside of the head shows; pictures look sharper and
scores of local statistics improve, so holes are counted on their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.head.mesh import project, rasterize_mesh
from core.networks.flame_camera import camera_centre
from core.networks.head_generator import SeatedGaussians
from core.networks.head_surface import DRAWN_PARTS, HeadSurface
from core.types import Camera, FloatArray
from trainer.rasterize import CameraBatch, rasterize

LEAK_THRESHOLD = 0.1
"""A pixel leaks when more than this share of the light passes."""
_CLOSED = 0.5  # seats that are closed by more than this are skin that must not let light through
_EROSION = 1 / 32  # of the side: pixels that near to the rim of the skin are left out


@dataclass(frozen=True)
class LeakMaps:
    """n pictures.

    Attributes:
        passed: [n, S, S] float32, share of the light that passes the Gaussians of the front-facing closed skin.
        inside: [n, S, S] bool, where that must be none.
    """

    passed: FloatArray
    inside: NDArray[np.bool_]

    @property
    def share(self) -> float:
        """Share of the inner pixels that leak, 0..1; 0 when there are none."""
        return float((self.passed[self.inside] > LEAK_THRESHOLD).mean()) if self.inside.any() else 0.0

    @property
    def mean(self) -> float:
        """Mean light that passes the inner pixels."""
        return float(self.passed[self.inside].mean()) if self.inside.any() else 0.0


@torch.no_grad()
def light_passed(xyz: Tensor, scale: Tensor, quat: Tensor, opacity: Tensor, normal: Tensor, cameras: CameraBatch) -> FloatArray:
    """Light [B, H, W] that passes a surface of Gaussians, of those alone that face the camera.

    Args:
        xyz, scale, normal: [B, G, 3], metres; quat: [B, G, 4]; opacity: [B, G], as drawn.
    """
    centre = camera_centre(cameras.world_to_camera)
    front = ((xyz - centre[:, None].to(xyz)) * normal).sum(-1) < 0
    drawn = rasterize(xyz, scale, quat, torch.ones_like(xyz), opacity * front, cameras)
    return (1 - drawn.alpha[:, 0]).cpu().numpy().astype(np.float32)


def skin_leak(gaussians: SeatedGaussians, surface: HeadSurface, vertices: FloatArray, cameras: CameraBatch) -> LeakMaps:
    """Leak of a generator on a head model.

    Args:
        gaussians: B clouds.
        surface: their seats.
        vertices: [B, V, 3] posed meshes under them.
        cameras: B of them.
    """
    chosen = torch.from_numpy(np.flatnonzero(surface.of_part("skin"))).to(gaussians.xyz.device)
    chosen = chosen[gaussians.closed[chosen] > _CLOSED]
    opacity = gaussians.seen_from(camera_centre(cameras.world_to_camera).to(gaussians.xyz))[1]
    picked = (field[:, chosen].contiguous() for field in
              (gaussians.xyz, gaussians.scale, gaussians.quat, opacity, gaussians.normal))
    closed = np.zeros(len(surface), bool)
    closed[chosen.cpu().numpy()] = True
    inside = skin_masks(surface, closed, vertices, cameras)
    return LeakMaps(light_passed(*picked, cameras), inside)


def skin_masks(surface: HeadSurface, closed: NDArray[np.bool_], vertices: FloatArray, cameras: CameraBatch) -> NDArray[np.bool_]:
    """Pixels [B, H, W] whose foremost face of the mesh belongs to closed seats [G] and looks at the camera, without the rim."""
    head = surface.head
    parts = [i for i, name in enumerate(head.part_names) if name in DRAWN_PARTS]
    faces = np.flatnonzero(np.isin(head.part, parts))
    is_closed = np.zeros(len(head.faces), bool)
    is_closed[surface.triangle[closed]] = True
    # a small face may carry no seat of its own: it counts when its neighbours' seats do
    corner_closed = np.zeros(head.vertex_count, bool)
    corner_closed[head.faces[is_closed]] = True
    open_corner = np.zeros(head.vertex_count, bool)
    open_corner[surface.corners[~closed & surface.of_part("skin")]] = True
    skin = np.isin(head.part, [head.part_names.index("skin")]) if "skin" in head.part_names else np.ones(len(head.faces), bool)
    counted = skin & corner_closed[head.faces].all(1) & ~open_corner[head.faces].any(1)
    radius = max(1, round(cameras.width * _EROSION))
    element = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    out = np.zeros((len(cameras), cameras.height, cameras.width), bool)
    poses, intrinsics = cameras.world_to_camera.cpu().numpy(), cameras.intrinsics.cpu().numpy()
    for i, (pose, lens) in enumerate(zip(poses, intrinsics, strict=True)):
        camera = Camera(pose, *(float(value) for value in lens), cameras.width, cameras.height)
        points = project(camera, vertices[i])
        seen = rasterize_mesh(points, head.faces[faces], cameras.width, cameras.height)
        face = np.where(seen.triangle >= 0, faces[seen.triangle], 0)
        mask = (seen.triangle >= 0) & counted[face] & _faces_camera(points, head.faces)[face]
        out[i] = cv2.erode(mask.astype(np.uint8), element, borderType=cv2.BORDER_CONSTANT, borderValue=1) > 0
    return out


def _faces_camera(points: FloatArray, faces: NDArray) -> NDArray[np.bool_]:
    """Whether projected faces [F] are seen from outside: counter-clockwise in space is clockwise with rows downwards."""
    a, b, c = (points[faces[:, k], :2].astype(np.float64) for k in range(3))
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    return ux * vy - uy * vx < 0
