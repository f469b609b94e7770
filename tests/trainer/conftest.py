"""Tiny datasets that the tests of the trainer share."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.data.dataset import Dataset, People, shard_path, write_info, write_shard
from trainer.data.synth import SplitPlan, SynthPlan, synthesize
from trainer.recipe import Recipe, ci_recipe


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory) -> Path:
    """A synthetic dataset of 4 people with 4 pictures of 32 pixels each, and nobody to measure anything with."""
    folder = tmp_path_factory.mktemp("data") / "tiny"
    synthesize(folder, SynthPlan(32, 3, (SplitPlan("train", 4, 4),)))
    return folder


@pytest.fixture(scope="session")
def tiny_photos(tiny_data, tmp_path_factory) -> Path:
    """The same pictures as a dataset of photographs: nothing is known about the people's appearance."""
    folder, source = tmp_path_factory.mktemp("data") / "photos", Dataset.open(tiny_data)
    people = source.people("train")
    nothing = {f.name: getattr(people, f.name)[:, :0] for f in fields(People) if f.name not in ("seed", "shape")}
    write_shard(shard_path(folder, "train", 0), source.samples("train"), replace(people, **nothing))
    (split,) = (split for split in source.info.splits if split.name == "train")
    write_info(folder, replace(source.info, kind="portraits", latent_size=0, splits=(split,)))
    return folder


def tiny_recipe() -> Recipe:
    """All kinds of phases in 17 steps; the third phase has grown planes."""
    recipe = ci_recipe()
    lengths = ((16, 16), (16, 16), (12, 32), (12, 32), (12, 32))
    phases = tuple(replace(phase, images=images, planes=side, size=16, batch=4, ramp=2, snapshots=min(phase.snapshots, 1))
                   for phase, (images, side) in zip(recipe.phases, lengths, strict=True))
    return replace(recipe, phases=phases, checkpoint_images=12, sample_images=10_000,
                   adversary=replace(recipe.adversary, warm_up_pairs=8, r1_every=2))


@pytest.fixture
def one_thread():
    """Torch on one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def child_environment(**more: str) -> dict[str, str]:
    """Environment of a child process: one thread, and the caches of this test run."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2]), **more}


def differing(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> list[str]:
    """Names of tensors that are not equal to the last bit, or are in one only."""
    both = [name for name in first if name in second]
    return sorted(set(first) ^ set(second)) + [name for name in both if not _same_bits(first[name], second[name])]


def _same_bits(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a.numpy().view(np.uint8), b.numpy().view(np.uint8)) \
        if a.ndim else torch.equal(a, b)
