"""The command under torchrun: two processes do what one does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from core.head.library import load_open_head
from core.run_folder import RunFolder, RunState
from tests.trainer.conftest import child_environment, tiny_recipe
from trainer.checkpoint import Checkpoint, CheckpointStore, read_checkpoint
from trainer.engine import Engine, EngineSettings
from trainer.loop import Loop, RunSettings
from trainer.run import GENERATOR_NAME

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-12
"""Of weights of size 1. The two differ by the order of float64 sums (1e-16 relative), which 17 steps of Adam may make larger:
where a gradient is nearly 0, its quotient by its own size is not. Measured: 3e-15."""


def torchrun(data: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess:
    """The command in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(ROOT / "main.py"),
               "train", "--data", str(data), "--out", str(out), "--accelerator", "cpu", "--precision", "64-true",
               "--threads", "1", "--no-judge", *arguments]
    return subprocess.run(command, cwd=ROOT, env=child_environment(), capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def two(tiny_data, tmp_path_factory) -> Path:
    """The folder of a run of two processes, from its first phase to its last."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "recipe.json").write_text(json.dumps(tiny_recipe().to_json()))
    done = torchrun(tiny_data, folder / "run", "--recipe", str(folder / "recipe.json"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(GENERATOR_NAME) == 1
    return folder / "run"


@pytest.fixture(scope="module")
def one(tiny_data, tmp_path_factory) -> Path:
    """The same run in one process."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("one")
    with Engine(EngineSettings("cpu", precision="64-true")) as engine:
        settings = RunSettings(folder, tiny_data, keep=100)
        assert Loop(tiny_recipe(), settings, engine, load_open_head()).run() is RunState.FINISHED
    return folder


def state_of(folder: Path) -> Checkpoint:
    newest = CheckpointStore(RunFolder(folder).checkpoints).newest()
    assert newest is not None
    return newest


def test_two_processes_are_one(one, two):
    """Everything that is saved, after phases of every kind, with random noise in the last one."""
    first, second = state_of(one), state_of(two)
    assert first.tensors.keys() == second.tensors.keys()
    floats = [name for name, tensor in first.tensors.items() if tensor.is_floating_point()]
    worst = max(float((first.tensors[name] - second.tensors[name]).abs().max()) for name in floats)
    print(f"largest difference {worst:.2e} in {len(floats)} tensors")
    assert worst <= TOLERANCE
    assert first.about["position"]["images"] == second.about["position"]["images"] == tiny_recipe().images


def test_it_has_learned(one):
    """What is compared has moved, the layers' noise included."""
    store = CheckpointStore(RunFolder(one).checkpoints)
    early, late = read_checkpoint(store.path(store.steps()[0])).tensors, state_of(one).tensors
    shared = [name for name in early if name.startswith("average.") and early[name].shape == late[name].shape]
    assert max(float((early[name] - late[name]).abs().max()) for name in shared) > 1e-2
    noise = [value for name, value in late.items() if name.startswith("generator.") and name.endswith("noise_strength")]
    assert max(float(value.abs()) for value in noise) > 1e-4


def test_only_the_main_process_writes(two):
    run = RunFolder(two)
    assert run.status().state is RunState.FINISHED
    assert len(list(run.tensorboard.iterdir())) == 1
    assert (two / GENERATOR_NAME).is_file()
    shown = [record.images for record in run.read_log()[0] if record.kind == "numbers"]
    assert shown == sorted(set(shown))


def test_a_batch_that_cannot_be_shared_is_refused(tiny_data, tmp_path):
    done = torchrun(tiny_data, tmp_path / "run", "--recipe", "ci", "--batch", "5")
    assert done.returncode != 0
    assert "error: a batch of 5 cannot be shared equally by 2 processes" in done.stderr
    assert not (tmp_path / "run").exists()
