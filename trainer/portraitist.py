"""Pictures of a generator's people, for whoever judges or shows it."""

from __future__ import annotations

import numpy as np
import torch

from core.networks.head_generator import HeadGenerator
from core.types import FloatArray
from trainer.adversary import conditioning_cameras
from trainer.rasterize import CameraBatch, rasterize

_BATCH = 16


class GeneratorPortraitist:
    """Draws what a generator makes of factors and labels.

    Args:
        generator: in evaluation mode or not; nothing of it changes.
    """

    def __init__(self, generator: HeadGenerator) -> None:
        self.generator = generator

    @property
    def latent_size(self) -> int:
        """Length Z of the latents."""
        return self.generator.config.latent_input

    @torch.no_grad()
    def pictures(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
                 intrinsics: FloatArray, size: int, seed: int = 0) -> np.ndarray:
        """Portraits [n, S, S, 4] uint8, colour premultiplied.

        Args:
            latent: [n, Z];  shape: [n, s];  psi: [n, P];  neck: [n, 3].
            world_to_camera: [n, 4, 4];  intrinsics: [n, 4] for pictures of `size` pixels.
            seed: unused where the generator adds no noise of its own.
        """
        drawn = [self._draw(*(values[i:i + _BATCH] for values in (latent, shape, psi, neck, world_to_camera, intrinsics)), size)
                 for i in range(0, len(latent), _BATCH)]
        return np.concatenate(drawn)

    def _draw(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
              intrinsics: FloatArray, size: int) -> np.ndarray:
        network = self.generator
        device = network.reach.device
        cameras = CameraBatch(*(torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in (world_to_camera, intrinsics)),
                              size, size)
        condition = conditioning_cameras(cameras.world_to_camera).to(device) if network.config.networks.camera_size else None
        person = network.people(torch.from_numpy(np.ascontiguousarray(latent, np.float32)).to(device),
                                network.shape_maps(shape).to(device), condition, noise="const")
        residual = network.residual_planes(person, torch.from_numpy(np.ascontiguousarray(psi, np.float32)).to(device))
        seats = network.seats(shape, psi, neck)
        gaussians = network.assemble(network.raw(person.planes, residual), seats)
        matrix = cameras.world_to_camera
        centre = -(matrix[:, :3, :3].transpose(1, 2) @ matrix[:, :3, 3:])[..., 0]
        color, opacity = gaussians.seen_from(centre.to(device))
        drawn = rasterize(gaussians.xyz, gaussians.scale, gaussians.quat, color, opacity, cameras)
        rgba = torch.cat([drawn.color, drawn.alpha], 1).clamp(0, 1)
        return (rgba.permute(0, 2, 3, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()
