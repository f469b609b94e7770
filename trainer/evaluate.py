"""Judges whatever draws people: its pictures against real ones, and what it was told against what the pictures show."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from core.assets import write_atomically
from core.errors import InputError
from core.types import FloatArray
from trainer.data.dataset import Dataset, People, Samples
from trainer.metrics.factors import Factors, factors_from
from trainer.metrics.feature_training import features_of
from trainer.metrics.features import FeatureNetwork
from trainer.metrics.identity import Grid
from trainer.metrics.inception import load_inception
from trainer.metrics.leak import LeakMaps
from trainer.metrics.pictures import composited
from trainer.metrics.reference import LOCAL_PICTURES, reference_of
from trainer.metrics.report import Evaluation, Row
from trainer.metrics.rows import distribution_rows, leak_rows, people_rows, speed_row, truth_rows
from trainer.metrics.scores import scores
from trainer.metrics.sighting import Inception, seen, spread

_BATCH = 50


class Portraitist(Protocol):
    """Draws people.

    Attributes:
        latent_size: Z of the latents it takes.
    """

    latent_size: int

    def pictures(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
                 intrinsics: FloatArray, size: int, seed: int) -> NDArray[np.uint8]:
        """Pictures [n, size, size, 4] uint8, colour premultiplied by alpha.

        Args:
            latent: [n, Z];  shape: [n, s];  psi: [n, P];  neck: [n, 3] axis-angle.
            world_to_camera: [n, 4, 4];  intrinsics: [n, 4] fx, fy, cx, cy in pixels of that size.
            seed: of whatever else is random.
        """


@runtime_checkable
class LeakTested(Protocol):
    """A portraitist whose skin can be looked through, see `trainer.metrics.leak.skin_leak`."""

    def leak(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
             intrinsics: FloatArray, size: int, seed: int) -> LeakMaps:
        """The light that passes the skin; arguments as for pictures."""


@runtime_checkable
class Timed(Protocol):
    """A portraitist that can say how fast it draws a clip, see `trainer.metrics.speed`."""

    def rate(self, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, size: int) -> float:
        """Pictures per second of one person (latent [Z], shape [s]) over a clip (psi [T, P], neck [T, 3])."""


@dataclass(frozen=True)
class EvaluationPlan:
    """How much is measured.

    Attributes:
        pictures: random people for Fréchet distances and re-estimation; no more than the dataset's ``test`` has.
        known: people of ``test`` that are drawn from their own latents and compared with their pictures; 0 leaves it out.
        people: of ``pairs`` in the tests of identity; 0 leaves them out.
        leak: pictures that are looked through.
        frames: of the clip that is timed; 0 leaves it out.
        seed: of everything random.
    """

    pictures: int = 2000
    known: int = 200
    people: int = 24
    leak: int = 64
    frames: int = 240
    seed: int = 0


SNAPSHOT = EvaluationPlan(pictures=500, known=0, people=0, leak=24, frames=0)
"""For choosing among snapshots during a training; a minute at 128²."""


@dataclass(frozen=True)
class Inputs:
    """What n pictures are drawn from; shapes as in `Portraitist.pictures`."""

    latent: FloatArray
    shape: FloatArray
    psi: FloatArray
    neck: FloatArray
    world_to_camera: FloatArray
    intrinsics: FloatArray

    def __len__(self) -> int:
        return len(self.psi)

    def taken(self, rows: NDArray | slice) -> Inputs:
        """Some of them."""
        return Inputs(**{name: value[rows] for name, value in vars(self).items()})


def evaluate(portraitist: Portraitist, dataset: Dataset, plan: EvaluationPlan = EvaluationPlan(),
             inception: Path | None = None, progress: Callable[[str, float], None] = lambda stage, share: None) -> Evaluation:
    """Measures a portraitist against a dataset. Trains the dataset's feature network, if it has none yet.

    Args:
        inception: weights of the published FID's network, if the user has them.
        progress: is told the stage and its share done.

    Raises:
        InputError: the dataset has no ``test``, or too few pictures in it.
    """
    if min(plan.pictures, dataset.count("test")) < 10:
        raise InputError(f"{dataset.folder} has too few test pictures to judge by", "make at least 10, better 2000")
    published = load_inception(inception) if inception else None
    network = features_of(dataset, progress=lambda share: progress("features", share))
    progress("real pictures", 0.0)
    reference = reference_of(dataset, network, plan.pictures, published)
    progress("real pictures", 1.0)
    judge = _Judge(portraitist, dataset, network, plan, published, progress)
    samples, people = dataset.samples("test", spread(dataset.count("test"), plan.pictures)), dataset.people("test")
    inputs = judge.random_people(samples, people)
    sighting = seen(judge.drawn(inputs, "pictures"), network, LOCAL_PICTURES, published)
    found = scores(sighting, judge.factors(inputs), reference.statistics, network.scaling)
    rows = list(distribution_rows(found, reference, dataset.info.size))
    rows += judge.leak(inputs)
    rows += judge.known_people(samples, people)
    rows += judge.pairs()
    rows += judge.speed(inputs)
    return Evaluation(tuple(rows))


@dataclass(frozen=True)
class _Judge:
    """One evaluation in the making."""

    portraitist: Portraitist
    dataset: Dataset
    network: FeatureNetwork
    plan: EvaluationPlan
    published: Inception | None
    progress: Callable[[str, float], None]

    @property
    def knows_latents(self) -> bool:
        """Whether the latents of the dataset's people are those the portraitist takes."""
        return 0 < self.dataset.info.latent_size == self.portraitist.latent_size

    def random_people(self, samples: Samples, people: People) -> Inputs:
        """Unseen people under the expressions and cameras of others: latent and shape stay together, the rest is dealt anew."""
        rng = np.random.default_rng(self.plan.seed)
        own = self.inputs(samples, people, rng)
        order, deal = rng.permutation(len(own)), rng.permutation(len(own))
        return replace(own.taken(deal), latent=own.latent[order], shape=own.shape[order])

    def inputs(self, samples: Samples, people: People, rng: np.random.Generator) -> Inputs:
        """What the pictures of a dataset would be drawn from; random latents where none are known."""
        if self.knows_latents:
            latent = people.latent[samples.person]
        else:
            latent = rng.standard_normal((len(people), self.portraitist.latent_size)).astype(np.float32)[samples.person]
        return Inputs(latent, samples.shape, samples.psi, samples.neck, samples.world_to_camera, samples.intrinsics)

    def drawn(self, inputs: Inputs, stage: str) -> Iterator[NDArray[np.uint8]]:
        """Pictures in batches."""
        size = self.dataset.info.size
        for first in range(0, len(inputs), _BATCH):
            part = inputs.taken(slice(first, first + _BATCH))
            yield self.portraitist.pictures(**vars(part), size=size, seed=self.plan.seed + first)
            self.progress(stage, min(1.0, (first + _BATCH) / len(inputs)))

    def factors(self, inputs: Inputs) -> Factors:
        """The truth about pictures. Latents that are not the dataset's own are not known to the network."""
        latent = inputs.latent
        if not self.knows_latents:
            latent = np.zeros((len(inputs), self.dataset.info.latent_size), np.float32)
        return factors_from(latent, inputs.shape, inputs.psi, inputs.neck, inputs.world_to_camera, self.dataset.info.psi)

    def leak(self, inputs: Inputs) -> tuple[Row, ...]:
        if not self.plan.leak or not isinstance(self.portraitist, LeakTested):
            return ()
        part = inputs.taken(slice(0, self.plan.leak))
        return leak_rows(self.portraitist.leak(**vars(part), size=self.dataset.info.size, seed=self.plan.seed))

    def known_people(self, samples: Samples, people: People) -> tuple[Row, ...]:
        if not self.plan.known or not self.knows_latents:
            return ()
        rows = spread(len(samples), self.plan.known)
        inputs = self.inputs(samples, people, np.random.default_rng(0)).taken(rows)
        drawn = torch.cat([composited(rgba) for rgba in self.drawn(inputs, "known people")])
        return truth_rows(drawn, composited(samples.rgba[rows]))

    def pairs(self) -> tuple[Row, ...]:
        split = next((split for split in self.dataset.info.splits if split.name == "pairs"), None)
        if split is None or not self.plan.people or split.people < 2:
            return ()
        shots = split.images // split.people
        samples = self.dataset.samples("pairs", range(min(split.people, self.plan.people) * shots))
        inputs = self.inputs(samples, self.dataset.people("pairs"), np.random.default_rng(self.plan.seed))
        real = Grid.of(self.network.look(composited(samples.rgba)), shots, shots // 2)
        drawn = Grid.of(seen(self.drawn(inputs, "people"), self.network, 0).looks, shots, shots // 2)
        frontal = np.arange(len(inputs)) % shots < shots // 2
        other = (np.arange(len(inputs)) + shots) % len(inputs)  # the same shot of the next person
        swapped = seen(self.drawn(replace(inputs, shape=inputs.shape[other]).taken(frontal), "shapes"), self.network, 0)
        return people_rows(drawn, real, Grid.of(swapped.looks, shots // 2, shots // 2), self.knows_latents)

    def speed(self, inputs: Inputs) -> tuple[Row, ...]:
        if not self.plan.frames or not isinstance(self.portraitist, Timed):
            return ()
        clip = inputs.taken(np.arange(self.plan.frames) % len(inputs))
        size = self.dataset.info.size
        return speed_row(self.portraitist.rate(clip.latent[0], clip.shape[0], clip.psi, clip.neck, size), size)


@dataclass(kw_only=True)
class EvaluateOptions:
    """Measure a trained generator or an avatar pack against a dataset: pictures, expression, pose, identity, leaks, speed."""

    run: Path | None = None
    """Run folder of a training, whose newest snapshot is judged."""
    pack: Path | None = None
    """Or an avatar pack (.agora) that holds a generator."""
    data: Path | None = None
    """Dataset to judge by; by default the one of the run."""
    json: Path | None = None
    """Also write the numbers here."""
    n: int = 2000
    """Random pictures."""
    inception: Path | None = None
    """TorchScript file of the published FID's network; without it there is no FID."""


def check_options(options: EvaluateOptions) -> None:
    """Refuses early what would fail after minutes of work. Raises InputError."""
    if (options.run is None) == (options.pack is None):
        raise InputError("give either --run or --pack", "evaluate --run RUN, or evaluate --pack PACK --data DATASET")
    if not 10 <= options.n <= 1_000_000:
        raise InputError("-n must be a whole number from 10 to 1000000")
    if options.json is not None and not options.json.parent.is_dir():
        raise InputError(f"{options.json} cannot be written: the folder {options.json.parent} does not exist")


def write_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Writes the rows as JSON."""
    write_atomically(path, (json.dumps(evaluation.to_json(), indent=1) + "\n").encode())
