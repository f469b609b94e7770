"""The sheet of samples a run draws again and again: the same pictures, the same people, so that progress can be seen."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from core.geometry import orbit_camera
from core.head.model import HeadModel
from core.networks.head_generator import HeadGenerator
from core.types import Camera, FloatArray
from trainer.batches import TrainingData
from trainer.portraitist import GeneratorPortraitist

_PAIRS = 8
_PEOPLE = 8
_VIEWS = (-45.0, 0.0, 45.0)
_BACKGROUND = 0.85
_SEED = 20_000


class SampleSheet:
    """Rows of eight: real pictures, the generator's answer to them, and new people from the left, the front and the right.

    Attributes:
        columns: pictures in a row.
    """

    columns = _PAIRS

    def __init__(self, data: TrainingData, head: HeadModel) -> None:
        self._data, self._head = data, head
        rng = np.random.default_rng(_SEED)
        self._chosen = rng.integers(0, len(data), _PAIRS)
        self._people = rng.integers(0, len(data), _PEOPLE)

    def draw(self, generator: HeadGenerator, size: int) -> Tensor:
        """The pictures [5 · 8, 3, S, S], 0..1."""
        real, labels = self._data.pictures(self._chosen, size)
        portraitist = GeneratorPortraitist(generator)
        if not self._data.knows_factors:
            labels = (self._latents(generator, len(real)), *labels[1:])
        answers = portraitist.pictures(*labels, size)
        latent, shape = self._newcomers(generator)
        rest = np.zeros((_PEOPLE, self._head.psi_layout.size), np.float32)
        neck = np.zeros((_PEOPLE, 3), np.float32)
        rows = [real, answers]
        for yaw in _VIEWS:
            camera = orbit_camera(np.radians(yaw), 0.03, size, size)
            rows.append(portraitist.pictures(latent, shape, rest, neck, *_repeated(camera, _PEOPLE), size))
        rgba = torch.from_numpy(np.concatenate(rows)).permute(0, 3, 1, 2).float() / 255
        return rgba[:, :3] + (1 - rgba[:, 3:]) * _BACKGROUND

    def _newcomers(self, generator: HeadGenerator) -> tuple[FloatArray, FloatArray]:
        """Latents and shapes of people: their own latents where these are known, else free ones."""
        people = self._data.people_rows(self._people)
        return people.latent if self._data.knows_factors else self._latents(generator, _PEOPLE), people.shape

    def _latents(self, generator: HeadGenerator, count: int) -> FloatArray:
        return np.random.default_rng(_SEED).normal(size=(count, generator.config.latent_input)).astype(np.float32)


def _repeated(camera: Camera, count: int) -> tuple[FloatArray, FloatArray]:
    intrinsics = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)
    return np.repeat(camera.world_to_camera[None], count, 0), np.repeat(intrinsics[None], count, 0)
