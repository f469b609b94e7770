"""Photographs as a generator's optimisation sees them: small tensors, cameras, and the head's seats posed as in each picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.networks.flame_camera import camera_centre
from core.networks.head_generator import HeadGenerator, HeadPlanes, Seats
from core.types import FloatArray
from trainer.batches import focus_maps
from trainer.invert.geometry import mean_shape
from trainer.invert.view import PhotoView
from trainer.metrics.pictures import resized
from trainer.rasterize import CameraBatch, Rendering, rasterize

LANDMARKS = 468  # of the landmarker's points, those of the face


@dataclass(frozen=True, eq=False)
class Targets:
    """n photographs of one person at one size S.

    Attributes:
        color: [n, 3, S, S] 0..1, premultiplied by the foreground.
        alpha: [n, 1, S, S] foreground.
        focus: [n, 1, S, S] 0..1, 1 at the middle of eyes and mouth.
        cameras: that took them.
        seats: posed as in the photographs.
        psi: [n, P] driving vectors.
        shape: [s] shape coefficients of the person.
        shape_map: [1, 3, R, R] metres, of `shape`.
    """

    color: Tensor
    alpha: Tensor
    focus: Tensor
    cameras: CameraBatch
    seats: Seats
    psi: Tensor
    shape: FloatArray
    shape_map: Tensor

    def __len__(self) -> int:
        return len(self.psi)

    @property
    def size(self) -> int:
        """Side of the pictures in pixels."""
        return self.color.shape[-1]

    def reduced(self, size: int) -> Targets:
        """The same at a size that divides this one."""
        factor = self.size // size
        color, alpha, focus = (functional.avg_pool2d(x, factor) for x in (self.color, self.alpha, self.focus))
        cameras = CameraBatch(self.cameras.world_to_camera, self.cameras.intrinsics / factor, size, size)
        return replace(self, color=color, alpha=alpha, focus=focus, cameras=cameras)


def targets_of(views: Sequence[PhotoView], generator: HeadGenerator, size: int) -> Targets:
    """Photographs of one person for the seats of a generator.

    Args:
        size: of the targets; it should divide that of the photographs.
    """
    shape = mean_shape(views)
    psi = np.stack([view.fit.params.psi() for view in views])
    alpha = np.stack([view.alpha for view in views])[:, None].astype(np.float32)
    color = np.stack([view.colors for view in views]).transpose(0, 3, 1, 2).astype(np.float32) / 255 * alpha
    points = np.stack([np.concatenate([view.landmarks[:LANDMARKS], np.ones((LANDMARKS, 1))], 1) for view in views])
    focus = focus_maps(points.astype(np.float32), views[0].size, size)
    return Targets(resized(torch.from_numpy(color), size), resized(torch.from_numpy(alpha), size), torch.from_numpy(focus),
                   CameraBatch.of([view.fit.camera(size) for view in views]),
                   generator.seats(np.repeat(shape[None], len(views), 0), psi), torch.from_numpy(psi), shape,
                   generator.shape_maps(shape[None]))


def draw(generator: HeadGenerator, person: HeadPlanes, residual: Tensor, targets: Targets) -> Rendering:
    """A person [B = 1] as the cameras of the targets see them.

    Args:
        residual: planes [n, C, R, R] of the deformation branch for the targets' ψ.
    """
    gaussians = generator.assemble(generator.raw(person.repeated(len(targets)).planes, residual), targets.seats)
    color, opacity = gaussians.seen_from(camera_centre(targets.cameras.world_to_camera))
    return rasterize(gaussians.xyz, gaussians.scale, gaussians.quat, color, opacity, targets.cameras)


def draw_style(generator: HeadGenerator, w: Tensor, targets: Targets) -> tuple[HeadPlanes, Tensor, Rendering]:
    """The person of a style [1, W] or of styles [1, L, W], residual planes and the pictures of them."""
    person = generator.people_of(w, targets.shape_map)
    residual = generator.residual_planes(person.repeated(len(targets)), targets.psi)
    return person, residual, draw(generator, person, residual, targets)
