"""Pictures of a generator's people, for whoever judges or shows it."""

from __future__ import annotations

import copy

import numpy as np
import torch

from core.networks.flame_camera import camera_centre
from core.networks.head_generator import HeadGenerator, SeatedGaussians
from core.types import FloatArray
from trainer.adversary import conditioning_cameras
from trainer.metrics.leak import LeakMaps, skin_leak
from trainer.metrics.speed import generator_rate
from trainer.rasterize import CameraBatch, rasterize

_BATCH = 16


class GeneratorPortraitist:
    """Draws what a generator makes of factors and labels.

    Args:
        generator: in evaluation mode or not; nothing of it changes. One of another precision is copied to single.
    """

    def __init__(self, generator: HeadGenerator) -> None:
        self.generator = generator if generator.reach.dtype == torch.float32 else copy.deepcopy(generator).float()

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

    @torch.no_grad()
    def leak(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
             intrinsics: FloatArray, size: int, seed: int = 0) -> LeakMaps:
        """The light that passes the skin; arguments as for `pictures`."""
        maps = []
        for i in range(0, len(latent), _BATCH):
            part = [values[i:i + _BATCH] for values in (latent, shape, psi, neck)]
            cameras = _cameras(world_to_camera[i:i + _BATCH], intrinsics[i:i + _BATCH], size)
            vertices = np.stack([self.generator.head.driven(*row) for row in zip(*part[1:], strict=True)])
            maps.append(skin_leak(self._gaussians(*part, cameras), self.generator.surface, vertices, cameras))
        return LeakMaps(np.concatenate([m.passed for m in maps]), np.concatenate([m.inside for m in maps]))

    def rate(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, size: int) -> float:
        """Pictures per second of one person (latent [Z], shape [s]) over a clip (psi [T, P], neck [T, 3])."""
        return generator_rate(self.generator, latent, shape, psi, neck, size)

    def _draw(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
              intrinsics: FloatArray, size: int) -> np.ndarray:
        cameras = _cameras(world_to_camera, intrinsics, size)
        gaussians = self._gaussians(latent, shape, psi, neck, cameras)
        color, opacity = gaussians.seen_from(camera_centre(cameras.world_to_camera).to(gaussians.xyz.device))
        drawn = rasterize(gaussians.xyz, gaussians.scale, gaussians.quat, color, opacity, cameras)
        rgba = torch.cat([drawn.color, drawn.alpha], 1).clamp(0, 1)
        return (rgba.permute(0, 2, 3, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()

    def _gaussians(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray,
                   cameras: CameraBatch) -> SeatedGaussians:
        network = self.generator
        device = network.reach.device
        condition = conditioning_cameras(cameras.world_to_camera).to(device) if network.config.networks.camera_size else None
        z, drive = (torch.from_numpy(np.ascontiguousarray(x, np.float32)).to(device) for x in (latent, psi))
        person = network.people(z, network.shape_maps(shape).to(device), condition, noise="const")
        raw = network.raw(person.planes, network.residual_planes(person, drive))
        return network.assemble(raw, network.seats(shape, psi, neck).to(device))


def _cameras(world_to_camera: FloatArray, intrinsics: FloatArray, size: int) -> CameraBatch:
    tensors = (torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in (world_to_camera, intrinsics))
    return CameraBatch(*tensors, size, size)
