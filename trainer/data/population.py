"""Who is filmed, how, and from where: the design of the synthetic splits.

Identity, expression and camera are drawn from streams of their own and independently, so that nothing can be learned about one
from the others; only the split ``confounded`` ties them on purpose, as photo collections do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from core.geometry import PORTRAIT_TARGET, orbit_camera
from core.head.model import HeadModel
from core.studio import Traits, sample_traits
from core.types import Camera, FloatArray
from trainer.psi_sampling import PsiSampler

SPLITS = ("train", "test", "pairs", "confounded")
FIRST_SEED = {"train": 1 << 30, "test": (1 << 30) + (1 << 28), "pairs": (1 << 30) + (1 << 29), "confounded": 7 << 28}
"""Seeds of the splits; nobody in them is among the seeds people try, nor in each other."""
_YAW, _PITCH, _NECK = math.radians(32), math.radians(11), (0.12, 0.18, 0.07)
_MEAN_PITCH, _LARGEST_YAW, _LARGEST_PITCH = math.radians(2), math.radians(95), math.radians(35)
_JITTER = 0.006  # metres, of the point the camera looks at
_CONFOUND = 0.6  # correlation in the confounded split


@dataclass(frozen=True)
class Shot:
    """One picture to be taken.

    Attributes:
        psi: [P] driving vector.
        neck: [3] axis-angle of the neck.
        camera: that takes it.
    """

    psi: FloatArray
    neck: FloatArray
    camera: Camera


class Population:
    """Draws people and shots of one split.

    Args:
        head: the open head.
        split: one of `SPLITS`.
        seed: of the dataset.
        size: side of the pictures, pixels.
        shots: pictures of each person; in ``pairs`` half of them share the view, half the expression.
        glasses: whether people may wear glasses, which no texture map can carry.
    """

    def __init__(self, head: HeadModel, split: str, seed: int, size: int, shots: int, glasses: bool = False) -> None:
        self._head, self._split, self._seed, self._size, self._shots, self._glasses = head, split, seed, size, shots, glasses
        self._sampler = PsiSampler(head)
        names = head.expression_names
        self._smile = [i for i, name in enumerate(names) if name.startswith("mouthSmile")]
        self._shared = self._shared_shots() if split == "pairs" else ()

    def person(self, index: int) -> Traits:
        """The person at an index of the split."""
        traits = sample_traits(FIRST_SEED[self._split] + index, self._head)
        return traits if self._glasses else replace(traits, accessories=replace(traits.accessories, glasses="none"))

    def shots(self, index: int) -> tuple[Shot, ...]:
        """All pictures of that person."""
        if self._split == "pairs":
            return self._shared
        rng = np.random.default_rng([self._seed, SPLITS.index(self._split), index])
        return tuple(self._confounded(rng) if self._split == "confounded" else self._free(rng) for _ in range(self._shots))

    def _free(self, rng: np.random.Generator) -> Shot:
        psi = self._sampler.sample(rng, 1)[0]
        return Shot(psi, self._neck(rng), self._camera(rng, rng.normal(0, _YAW)))

    def _confounded(self, rng: np.random.Generator) -> Shot:
        """Who looks into the lens smiles, and who smiles opens the mouth: normal variables of correlation ±0.6 behind each."""
        gaze_in, smile, jaw = rng.multivariate_normal([0, 0, 0], _confounding())
        psi = self._sampler.sample(rng, 1)[0]
        psi[self._smile] = np.clip(0.35 + 0.35 * smile, 0, 1)
        psi[self._head.expression_count] = self._head.jaw_open_angle * np.clip(0.25 + 0.25 * jaw, 0, 1)
        sideways = math.radians(28) * max(0.0, 0.6 - 0.6 * gaze_in) * rng.choice([-1, 1])
        return Shot(psi, self._neck(rng), self._camera(rng, sideways))

    def _shared_shots(self) -> tuple[Shot, ...]:
        """Half: every expression from the front; half: one expression from all sides. The same for everybody."""
        rng = np.random.default_rng([self._seed, SPLITS.index("pairs")])
        half = self._shots // 2
        rest = np.zeros(3, np.float32)
        psi = self._sampler.sample(rng, half)
        frontal = orbit_camera(0, 0, self._size, self._size)
        yaws = np.radians(np.linspace(-60, 60, self._shots - half))
        return tuple(Shot(p, rest, frontal) for p in psi) + tuple(
            Shot(psi[0], rest, orbit_camera(yaw, 0.05, self._size, self._size)) for yaw in yaws)

    def _neck(self, rng: np.random.Generator) -> FloatArray:
        return np.clip(rng.normal(0, _NECK), -0.5, 0.5).astype(np.float32)

    def _camera(self, rng: np.random.Generator, yaw: float) -> Camera:
        pitch = float(np.clip(rng.normal(_MEAN_PITCH, _PITCH), -_LARGEST_PITCH, _LARGEST_PITCH))
        target = PORTRAIT_TARGET + rng.normal(0, _JITTER, 3)
        return orbit_camera(float(np.clip(yaw, -_LARGEST_YAW, _LARGEST_YAW)), pitch, self._size, self._size, target=target)


def _confounding() -> np.ndarray:
    c = _CONFOUND
    return np.array([[1, c, c * c], [c, 1, c], [c * c, c, 1]])
