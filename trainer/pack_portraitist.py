"""Pictures of a pack's people, drawn as the live window draws them: regressor, blend, rasteriser."""

from __future__ import annotations

import numpy as np

from core.avatar.generator_binding import Sitter, bind_sitter
from core.avatar.generator_network import style_of
from core.avatar.generator_source import GeneratorSource
from core.avatar.model import Avatar
from core.avatar.motion import HeadMotion
from core.avatar.pack import AvatarPack
from core.geometry import rotation_from_axis_angle
from core.render.cpu import CpuRenderer
from core.types import Camera, FloatArray
from trainer.metrics.speed import pack_rate


class PackPortraitist:
    """Draws what a pack with a generator makes of factors and labels. Neighbours with equal factors are made once.

    Raises:
        PackError: the pack holds no generator.
    """

    def __init__(self, pack: AvatarPack) -> None:
        self._pack = pack
        self._generator = GeneratorSource(pack).generator()
        self._renderer = CpuRenderer(1)

    @property
    def latent_size(self) -> int:
        """Length Z of the latents."""
        return self._generator.config.latent_input

    def pictures(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
                 intrinsics: FloatArray, size: int, seed: int = 0) -> np.ndarray:
        """Portraits [n, S, S, 4] uint8, colour premultiplied; arguments as for `trainer.portraitist.GeneratorPortraitist`."""
        drawn, avatar = np.empty((len(latent), size, size, 4), np.uint8), None
        for i in range(len(latent)):
            if avatar is None or not (np.array_equal(latent[i], latent[i - 1]) and np.array_equal(shape[i], shape[i - 1])):
                avatar = Avatar(self._pack, self._identity(latent[i], shape[i]))
            camera = Camera(world_to_camera[i], *(float(x) for x in intrinsics[i]), size, size)
            cloud = avatar.pose(avatar.coefficients(psi[i]), _turn(neck[i]))
            drawn[i] = self._renderer.render(avatar.seen_from(camera, cloud), camera)
        return drawn

    def rate(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, size: int) -> float:
        """Pictures per second of one person over driving vectors [T, P]; the neck is at rest."""
        return pack_rate(self._pack, self._identity(latent, shape), psi, size)

    def _identity(self, latent: FloatArray, shape: FloatArray):
        style = style_of(self._generator, np.asarray(latent, np.float32))
        return bind_sitter(self._pack, Sitter(self._generator, style, shape), "", None, ()).identity


def _turn(neck: FloatArray) -> HeadMotion:
    """A turn of the neck, without any shift."""
    angle = float(np.linalg.norm(neck))
    axis = (neck / angle if angle > 1e-9 else np.array([0, 1, 0])).astype(np.float32)
    still = np.zeros(3, np.float32)
    return HeadMotion(rotation_from_axis_angle(np.asarray(neck, np.float32)), axis, angle, still, still)
