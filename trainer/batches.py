"""Training batches: pictures with their labels, posed seats and shape maps, drawn so that every step can be drawn again.

Nothing here has a state: a batch follows from the recipe's seed, the phase and the step, in every process and after every
resumption. The next batch is prepared in a thread of its own while the networks work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from core.errors import InputError
from core.head.model import HeadModel
from core.networks.flame_camera import camera_centre
from core.networks.head_generator import HeadGenerator, Seats
from core.networks.head_surface import head_surface
from core.types import FloatArray
from trainer.data.dataset import ANCHOR_RESOLUTION, Dataset, People, Samples
from trainer.mesh_render import DisplacementRenderer
from trainer.rasterize import CameraBatch
from trainer.recipe import Phase, Recipe

_EYES_AND_MOUTH = ((33, 133), (263, 362), (61, 291))  # the landmarker's points whose middle is an eye, an eye, the mouth
_FOCUS_WIDTH = (0.035, 0.035, 0.05)  # standard deviations, shares of the picture's side


@dataclass(frozen=True)
class Batch:
    """B pictures and everything known about them.

    Attributes:
        rgba: [B, 4, S, S] 0..1, colour premultiplied.
        latent: [B, Z];  psi: [B, P].
        shape_map: [B, 3, R, R] metres.
        seats: posed seats.
        cameras: that took the pictures.
        other_view: [B, 4, 4] world_to_camera of another picture each, for who is to be shown a wrong camera.
        focus: [B, 1, S, S], 0..1, 1 at the middle of eyes and mouth.
        displacement: [B, 3, S, S] 0..1, None where nobody looks at it.
        background: [B, 3, 1, 1] colours.
        uv_color: [B, G, 3] 0..1, uv_offset: [B, G] metres, uv_known: [B, G] 0..1: the truth at the seats, None where there
            is none.
    """

    rgba: Tensor
    latent: Tensor
    psi: Tensor
    shape_map: Tensor
    seats: Seats
    cameras: CameraBatch
    other_view: Tensor
    focus: Tensor
    displacement: Tensor | None
    background: Tensor
    uv_color: Tensor | None
    uv_offset: Tensor | None
    uv_known: Tensor | None

    def __len__(self) -> int:
        return len(self.latent)

    def over_background(self) -> Tensor:
        """The pictures [B, 3, S, S] before their backgrounds."""
        return self.rgba[:, :3] + (1 - self.rgba[:, 3:]) * self.background

    def centres(self) -> Tensor:
        """Centres of projection [B, 3]."""
        return camera_centre(self.cameras.world_to_camera)

    def to(self, device: torch.device, dtype: torch.dtype) -> Batch:
        """The same batch on another device and in another precision."""
        def moved(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device, dtype)

        seats = Seats(*(moved(getattr(self.seats, f.name)) for f in fields(Seats)))
        rest = {f.name: moved(getattr(self, f.name)) for f in fields(Batch) if f.name not in ("seats", "cameras")}
        return Batch(**rest, seats=seats, cameras=self.cameras.to(device, dtype))


@dataclass(frozen=True)
class Wanted:
    """What a phase needs of its batches.

    Attributes:
        size: side of the pictures.
        batch: pictures in all processes;  share: this process's part of them.
        displacement: the displacement rendering;  uv: the truth on the texture map.
        random_background: colours behind the pictures; white without.
    """

    size: int
    batch: int
    share: slice
    displacement: bool
    uv: bool
    random_background: bool

    @staticmethod
    def of_phase(recipe: Recipe, phase: Phase, share: slice) -> Wanted:
        """What the steps of a phase need, of whose batches a process takes a share."""
        return Wanted(phase.size, phase.batch, share, phase.kind in ("warm-up", "adversarial"),
                      bool(phase.losses.uv_color or phase.losses.uv_offset), recipe.random_background)


class TrainingData:
    """A split in memory.

    Args:
        dataset: it is read from.
        seed: of the recipe.
    """

    def __init__(self, dataset: Dataset, seed: int, split: str = "train") -> None:
        self.info = dataset.info
        self._samples: Samples = dataset.samples(split)
        self._people: People = dataset.people(split)
        self._seed = seed
        self._permutation = lru_cache(maxsize=4)(self._shuffled)

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def latent_size(self) -> int:
        return self._people.latent.shape[1]

    @property
    def knows_factors(self) -> bool:
        """Whether pictures can be paired with the factors they were made from."""
        return self.latent_size > 0

    @property
    def knows_texture(self) -> bool:
        """Whether the people's colours and surfaces are known on the texture map."""
        return self._people.uv_color.size > 0

    def pictures(self, indices: np.ndarray, size: int) -> tuple[np.ndarray, tuple[FloatArray, ...]]:
        """Pictures [n, S, S, 4] uint8 and what a portraitist needs to answer them: latent, shape, psi, neck, world_to_camera
        and intrinsics."""
        s, scale = self._samples, size / self.info.size
        rgba = (_resized(s.rgba[indices], size) * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        return rgba, (self._people.latent[s.person[indices]], s.shape[indices], s.psi[indices], s.neck[indices],
                      s.world_to_camera[indices], s.intrinsics[indices] * scale)

    def people_rows(self, rows: np.ndarray) -> People:
        """The people behind pictures."""
        person = self._samples.person[rows]
        return People(*(getattr(self._people, f.name)[person] for f in fields(People)))

    def generator(self, phase: int, step: int, purpose: int = 0) -> np.random.Generator:
        """Randomness of one step; `purpose` separates independent uses."""
        return np.random.default_rng([self._seed, phase, step, purpose])

    def indices(self, phase: int, step: int, batch: int) -> np.ndarray:
        """Pictures of a step: every picture once per round, in an order of that round."""
        numbers = np.arange(step * batch, (step + 1) * batch)
        return np.array([self._permutation(phase, int(n // len(self)))[n % len(self)] for n in numbers])

    def batch(self, generator: HeadGenerator, wanted: Wanted, phase: int, step: int, indices: np.ndarray | None = None) -> Batch:
        """The pictures of a step, or those of `indices`, for the seats of a generator. This process's share only."""
        whole = self.indices(phase, step, wanted.batch) if indices is None else indices
        chosen, others = whole[wanted.share], np.roll(whole, 1)[wanted.share]
        rng = self.generator(phase, step)
        colors = rng.uniform(size=(wanted.batch, 3, 1, 1))[wanted.share] if wanted.random_background \
            else np.ones((len(chosen), 3, 1, 1))
        s = self._samples
        shape, psi, neck, person = s.shape[chosen], s.psi[chosen], s.neck[chosen], s.person[chosen]
        world_to_camera, intrinsics = s.world_to_camera[chosen], s.intrinsics[chosen] * (wanted.size / self.info.size)
        uv = _uv_at_seats(self._people, person, generator) if wanted.uv and self.knows_texture else (None, None, None)
        displacement = None
        if wanted.displacement:
            displacement = torch.from_numpy(
                _renderer(generator.head).render(shape, psi, neck, world_to_camera, intrinsics, wanted.size))
        return Batch(
            _resized(s.rgba[chosen], wanted.size), torch.from_numpy(self._people.latent[person]), torch.from_numpy(psi),
            generator.shape_maps(shape), generator.seats(shape, psi, neck),
            CameraBatch(torch.from_numpy(world_to_camera), torch.from_numpy(intrinsics), wanted.size, wanted.size),
            torch.from_numpy(s.world_to_camera[others]),
            torch.from_numpy(focus_maps(s.landmarks[chosen], self.info.size, wanted.size)),
            displacement, torch.from_numpy(colors.astype(np.float32)), *uv)

    def batches(self, generator: HeadGenerator, wanted: Wanted, phase: int, first: int, last: int,
                choose: Callable[[int], np.ndarray] | None = None, ahead: int = 1) -> Iterator[tuple[int, Batch]]:
        """(step, batch) of steps `first` to `last` - 1, prepared while those before are in use: `ahead` at a time, each in a
        thread of its own. To be closed by who leaves it early.
        """
        def prepare(step: int) -> Batch:
            return self.batch(generator, wanted, phase, step, None if choose is None else choose(step))

        pool = ThreadPoolExecutor(ahead, "batches")
        try:
            waiting = deque(pool.submit(prepare, step) for step in range(first, min(first + ahead, last)))
            for step in range(first, last):
                ready = waiting.popleft().result()
                if step + ahead < last:
                    waiting.append(pool.submit(prepare, step + ahead))
                yield step, ready
        finally:
            pool.shutdown(cancel_futures=True)

    def _shuffled(self, phase: int, epoch: int) -> np.ndarray:
        return np.random.default_rng([self._seed, phase, epoch, 1 << 20]).permutation(len(self))


@lru_cache(maxsize=2)
def _renderer(head: HeadModel) -> DisplacementRenderer:
    return DisplacementRenderer(head)


def _resized(rgba: np.ndarray, size: int) -> Tensor:
    """uint8 [n, S, S, 4] -> [n, 4, size, size] 0..1, by averaging whole pixels."""
    factor, rest = divmod(rgba.shape[1], size)
    if rest:
        raise InputError(f"pictures of {rgba.shape[1]} pixels cannot be brought to {size} pixels",
                         "choose a size that divides theirs")
    pictures = torch.from_numpy(rgba).permute(0, 3, 1, 2).to(torch.float32) / 255
    return torch.nn.functional.avg_pool2d(pictures, factor) if factor > 1 else pictures.contiguous()


def focus_maps(landmarks: FloatArray, original: int, size: int) -> FloatArray:
    """Bumps [n, 1, S, S] where eyes and mouth are seen, of landmarks [n, 468, 3] in pictures of `original` pixels."""
    points, seen = landmarks[..., :2] * (size / original), landmarks[..., 2]
    grid = np.arange(size, dtype=np.float32) + 0.5
    total = np.zeros((len(points), size, size), np.float32)
    for (a, b), width in zip(_EYES_AND_MOUTH, _FOCUS_WIDTH, strict=True):
        middle = 0.5 * (points[:, a] + points[:, b])
        weight = np.maximum(seen[:, a], seen[:, b])[:, None, None]
        bump = [np.exp(-0.5 * ((grid - middle[:, axis:axis + 1]) / (width * size)) ** 2) for axis in range(2)]
        total = np.maximum(total, weight * bump[1][:, :, None] * bump[0][:, None, :])
    return total[:, None]


def _uv_at_seats(people: People, person: np.ndarray, generator: HeadGenerator) -> tuple[Tensor, Tensor, Tensor]:
    """Colour, offset and knowledge at the generator's seats; fewer seats get means over their part of the map."""
    surface = generator.surface
    fine = head_surface(generator.head, ANCHOR_RESOLUTION)
    if surface.resolution > fine.resolution:
        raise InputError(f"the truth on the texture map is known at {fine.resolution} texels, not at {surface.resolution}")
    known = people.uv_known[person].astype(np.float32)
    values = np.concatenate([people.uv_color[person] / 255, people.uv_offset[person][..., None], np.ones((*known.shape, 1))], 2)
    picture = np.stack([fine.picture((values[i] * known[i][:, None]).astype(np.float32)) for i in range(len(person))])
    factor = fine.resolution // surface.resolution
    if factor > 1:
        picture = torch.nn.functional.avg_pool2d(torch.from_numpy(picture), factor).numpy()
    at = picture[:, :, surface.row, surface.column]
    weight = at[:, 4]
    at = at[:, :4] / np.maximum(weight, 1e-6)[:, None]
    return (torch.from_numpy(np.ascontiguousarray(at[:, :3].transpose(0, 2, 1))), torch.from_numpy(at[:, 3].copy()),
            torch.from_numpy(np.minimum(weight * 4, 1).astype(np.float32)))
