"""What a training will cost here: a few steps of every phase, timed."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from core.head.model import HeadModel
from trainer.batches import TrainingData, Wanted
from trainer.engine import Engine
from trainer.recipe import Phase, Recipe
from trainer.state import Training
from trainer.steps import adversarial_step, generator_step, warm_up_step

_STEPS = 3
_SPARE = 1.25  # memory that comes and goes is not all seen
_CHECKPOINTS = 5  # kept ones, one in the making, and the snapshots' share
_WEIGHT_COPIES = 4  # generator, average, two moments


@dataclass(frozen=True)
class Problem:
    """Why a training cannot or should not start, and what mends it."""

    what: str
    mend: str


@dataclass(frozen=True)
class Estimate:
    """The cost of a run on this machine.

    Attributes:
        seconds: of wall time by the steps that were timed.
        memory_bytes, disk_bytes: at most, about.
        images_per_second: mean over the run.
        phases: (name, images per second) of each phase.
        problems: what stands in the way.
    """

    seconds: float
    memory_bytes: int
    disk_bytes: int
    images_per_second: float
    phases: tuple[tuple[str, float], ...]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "memory_bytes": self.memory_bytes, "disk_bytes": self.disk_bytes,
                "images_per_second": self.images_per_second, "phases": [list(pair) for pair in self.phases],
                "problems": [{"what": p.what, "mend": p.mend} for p in self.problems]}


def estimate(recipe: Recipe, data: TrainingData, out: Path, engine: Engine, head: HeadModel) -> Estimate:
    """Times a few steps of every phase, unless the dataset does not serve them. The run folder is not touched."""
    problems = tuple(data_problems(recipe, data, head))
    if problems:
        return Estimate(0.0, 0, 0, 0.0, (), problems)
    rates = []
    training = Training.start(recipe, engine, head, data.latent_size)
    for index, phase in enumerate(recipe.phases):
        if index:
            training.advance()
        rates.append((phase.name, _rate(training, data, phase)))
    seconds = sum(phase.images / rate for phase, (_, rate) in zip(recipe.phases, rates, strict=True))
    weights = sum(p.numel() * p.element_size() for p in training.generator.parameters())
    disk = _CHECKPOINTS * _WEIGHT_COPIES * weights + sum(max(p.snapshots, 1) for p in recipe.phases) * weights
    memory = int(_SPARE * psutil.Process().memory_info().rss)
    problems = tuple(_problems(out, memory, disk))
    return Estimate(seconds, memory, disk, recipe.images / seconds, tuple(rates), problems)


def _rate(training: Training, data: TrainingData, phase: Phase) -> float:
    """Pictures per second: the fastest stretch of a few steps, so that a busy moment does not count."""
    helpers = training.engine.helpers
    wanted = Wanted.of_phase(training.recipe, phase, training.engine.share(phase.batch))
    first, last = 1, 1 + helpers * (1 + _STEPS)  # not 0: that one has the lazy penalty
    times = [time.perf_counter()]
    with closing(data.batches(training.generator, wanted, training.position.phase, first, last, ahead=helpers)) as batches:
        for step, batch in batches:
            batch = batch.to(training.engine.device, training.engine.dtype)
            rng = data.generator(training.position.phase, step, 1)
            if phase.kind == "warm-up":
                warm_up_step(training, batch, step, batch.rgba, rng, lambda numbers: True)
            elif phase.kind == "adversarial":
                adversarial_step(training, batch, step, rng, lambda numbers: True)
            else:
                generator_step(training, batch, step, rng, lambda numbers: True)
                training.update_average()
            times.append(time.perf_counter())
    times = np.array(times[helpers:])  # the first batches were ready before
    return float(helpers * phase.batch / (times[helpers:] - times[:-helpers]).min())


def _problems(out: Path, memory: int, disk: int) -> Iterator[Problem]:
    """What of the machine does not suffice."""
    folder = next(parent for parent in (out, *out.resolve().parents) if parent.is_dir())
    free = shutil.disk_usage(folder).free
    if free < disk:
        yield Problem(f"{folder} has {free / 1e9:.1f} GB free, the run needs {disk / 1e9:.1f} GB",
                      "choose a folder on another disk")
    if not os.access(folder, os.W_OK):
        yield Problem(f"{folder} cannot be written", "choose another folder")
    total = psutil.virtual_memory().total
    if memory > total:
        yield Problem(f"the run needs {memory / 1e9:.1f} GB of memory, the machine has {total / 1e9:.1f} GB",
                      "choose a smaller batch or picture size")


def data_problems(recipe: Recipe, data: TrainingData, head: HeadModel) -> Iterator[Problem]:
    """What of a recipe the dataset cannot serve."""
    if data.info.head_sha256 != head.sha256:
        yield Problem(f"the dataset is of the head model '{data.info.head_name}', not of '{head.name}' as it is here",
                      "make the dataset again")
    if not data.knows_factors and any(phase.paired for phase in recipe.phases):
        yield Problem(f"recipe '{recipe.name}' pairs pictures with known factors, which this dataset does not have",
                      "choose the recipe 'paper', or a synthetic dataset")
    elif not data.knows_texture and any(phase.kind == "uv" for phase in recipe.phases):
        yield Problem(f"recipe '{recipe.name}' learns from texture maps, which this dataset does not have",
                      "choose a recipe without a phase of kind 'uv', or a synthetic dataset")
    largest = max(phase.size for phase in recipe.phases)
    if largest > data.info.size:
        yield Problem(f"recipe '{recipe.name}' needs pictures of {largest} pixels, the dataset's have {data.info.size}",
                      f"make the dataset with --size {largest}, or train with --size {data.info.size}")
    if any(data.info.size % phase.size for phase in recipe.phases if phase.size <= data.info.size):
        yield Problem(f"pictures of {data.info.size} pixels cannot be brought to the sizes of recipe '{recipe.name}' exactly",
                      "choose a size that is a power of two")


def smaller(recipe: Recipe, size: int) -> Recipe:
    """The recipe with pictures of at most `size` pixels."""
    return replace(recipe, phases=tuple(replace(p, size=min(p.size, size)) for p in recipe.phases))
