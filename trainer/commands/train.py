"""The command ``train``: options to a run, and what is said about it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.errors import InputError, OutputError

if TYPE_CHECKING:
    from core.head.model import HeadModel
    from core.run_folder import RunFolder
    from trainer.batches import TrainingData
    from trainer.engine import Engine
    from trainer.loop import Judge
    from trainer.recipe import Recipe
    from trainer.run import RunRecord


@dataclass(kw_only=True)
class TrainOptions:
    """Train a generator. It can be stopped at any moment (Ctrl-C, or from the window) and resumed; under torchrun it runs on
    many processes."""

    data: Path | None = None
    """Folder of the dataset; with --resume by default the run's own."""
    out: Path | None = None
    """Folder of the run."""
    recipe: str = "desktop"
    """'desktop' (synthetic data, processors), 'paper' (photographs, graphics processors), 'ci' (seconds), or a .json file."""
    resume: bool = False
    """Go on with the run in the folder."""
    hours: float = 0.0
    """Make the recipe longer or shorter so that it takes about so long here; 0 leaves it as it is."""
    batch: int = 0
    """Pictures per step; 0: the recipe's."""
    size: int = 0
    """Largest side of the pictures; 0: the recipe's."""
    seed: int = -1
    """Of everything random; -1: the recipe's."""
    threads: int = 0
    """Of the processor; 0: all but one."""
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """What to compute on."""
    devices: int = 0
    """Processes on this machine; 0: what torchrun or SLURM say, else one."""
    precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true"
    """Of the numbers."""
    keep: int = 3
    """Checkpoints that are kept."""
    judge: bool = True
    """Measure snapshots and ship the best one."""
    probe: bool = False
    """Only estimate time, memory and disk, and say what stands in the way."""
    json: Path | None = None
    """Where the estimate is written."""


def train(options: TrainOptions) -> int:
    """Trains, resumes or estimates."""
    from core.head.library import load_open_head
    from trainer.engine import Engine, EngineSettings

    check_options(options)
    use_threads(options.threads)
    head = load_open_head()
    with Engine(EngineSettings(options.accelerator, options.devices, precision=options.precision)) as engine:
        if options.probe:
            return _probe(options, _recipe(options), engine, head)
        return _train(options, engine, head)


def _train(options: TrainOptions, engine: Engine, head: HeadModel) -> int:
    from core.run_folder import RunFolder, RunState
    from trainer.checkpoint import CheckpointStore
    from trainer.loop import RunSettings
    from trainer.loop import train as run_loop
    from trainer.run import RunRecord, read_record, write_record

    folder = RunFolder(options.out)
    if options.resume:
        record = read_record(folder)
        record = RunRecord(record.recipe, options.data or record.data)
        data = check_data(record, head)
    else:
        if engine.from_main(bool(CheckpointStore(folder.checkpoints).steps() or folder.recipe.is_file())):
            raise InputError(f"{options.out} already holds a run", "add --resume to go on with it, or choose another folder")
        recipe = _recipe(options)
        data = check_data(RunRecord(recipe, options.data), head)
        record = RunRecord(_fitted(options, recipe, data, engine, head), options.data)
    for phase in record.recipe.phases:
        engine.share(phase.batch)
    if engine.is_main and not options.resume:
        write_record(folder, record)
    engine.barrier()
    settings = RunSettings(options.out, record.data, options.keep, _judge(record.data, folder) if options.judge else None)
    state = run_loop(record.recipe, settings, engine, head, data)
    if engine.is_main and state is RunState.FINISHED:
        print(_ship(folder, head))
    elif engine.is_main:
        print(f"{options.out}: stopped; --resume goes on")
    return 0


def _recipe(options: TrainOptions) -> Recipe:
    from trainer.probe import smaller
    from trainer.recipe import read_recipe

    recipe = read_recipe(options.recipe)
    if options.batch:
        recipe = replace(recipe, phases=tuple(replace(phase, batch=options.batch) for phase in recipe.phases)).scaled(1.0)
    if options.size:
        recipe = smaller(recipe, options.size)
    if options.seed >= 0:
        recipe = replace(recipe, seed=options.seed)
    recipe.check()
    return recipe


def _fitted(options: TrainOptions, recipe: Recipe, data: TrainingData, engine: Engine, head: HeadModel) -> Recipe:
    """The recipe for the hours there are."""
    from trainer.probe import estimate

    if not options.hours:
        return recipe
    seconds = engine.from_main(estimate(recipe, data, options.out, engine, head).seconds)
    return recipe.scaled(options.hours * 3600 / seconds)


def check_data(record: RunRecord, head: HeadModel) -> TrainingData:
    """The pictures a run learns from. Raises InputError when the dataset cannot serve its recipe."""
    from trainer.batches import TrainingData
    from trainer.data.dataset import Dataset
    from trainer.probe import data_problems

    data = TrainingData(Dataset.open(record.data), record.recipe.seed)
    for problem in data_problems(record.recipe, data, head):
        raise InputError(f"{record.data}: {problem.what}", problem.mend)
    return data


def _probe(options: TrainOptions, recipe: Recipe, engine: Engine, head: HeadModel) -> int:
    from core.assets import write_atomically
    from trainer.batches import TrainingData
    from trainer.data.dataset import Dataset
    from trainer.probe import estimate

    data, out = TrainingData(Dataset.open(options.data), recipe.seed), options.out or options.data
    result = estimate(recipe, data, out, engine, head)
    if options.hours and result.seconds:
        result = estimate(recipe.scaled(options.hours * 3600 / result.seconds), data, out, engine, head)
    if not engine.is_main:
        return 0
    if options.json is not None:
        write_atomically(options.json, json.dumps(result.to_json(), indent=1).encode())
    if result.seconds:
        print(f"{result.seconds / 3600:.1f} hours at {result.images_per_second:.1f} pictures/s, "
              f"{result.memory_bytes / 1e9:.1f} GB of memory, {result.disk_bytes / 1e6:.0f} MB on disk")
    for problem in result.problems:
        print(f"{problem.what}: {problem.mend}")
    return 0


def _judge(data: Path, folder: RunFolder) -> Judge:
    from trainer.judging import SnapshotJudge
    from trainer.snapshots import SnapshotStore

    return SnapshotJudge(data, SnapshotStore(folder.snapshots))


def _ship(folder: RunFolder, head: HeadModel) -> str:
    """Puts the best snapshot in the run's folder and says which it is."""
    from trainer.run import GENERATOR_NAME, averaged_generator
    from trainer.snapshots import SnapshotStore, choose, read_generator, write_generator

    store = SnapshotStore(folder.snapshots)
    best = choose(store.all())
    target = folder.path / GENERATOR_NAME
    if best is None:
        write_generator(target, averaged_generator(folder.path, head))
        return f"{target}: the last state of the run"
    write_generator(target, read_generator(store.path(best), head))
    numbers = ", ".join(f"{name} {value:.3g}" for name, value in best.numbers)
    return f"{target}: the snapshot of phase '{best.phase}' at {best.images} pictures ({numbers})"


def use_threads(threads: int) -> None:
    """Lets torch compute on so many threads; 0: all but one. NumPy, which prepares the batches meanwhile, keeps to one."""
    import os

    import torch

    from core.threads import keep_blas_to_one_thread

    keep_blas_to_one_thread()
    torch.set_num_threads(threads or max(1, (os.cpu_count() or 2) - 1))


def check_options(options: TrainOptions) -> None:
    """Refuses early what would fail later. Raises InputError or OutputError."""
    for name, low, high in (("hours", 0, 10_000), ("batch", 0, 4096), ("size", 0, 1024), ("threads", 0, 256), ("keep", 1, 1000),
                            ("seed", -1, 2**31)):
        if not low <= getattr(options, name) <= high:
            raise InputError(f"--{name} must be from {low} to {high}")
    if options.data is None and (options.probe or not options.resume):
        raise InputError("--data is missing", "give the folder of a dataset; `data synth` makes one")
    if options.out is None and not options.probe:
        raise InputError("--out is missing", "give the folder of the run")
    for name, folder in (("data", options.data), ("out", options.out)):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"--{name} {folder} is a file, not a folder")
    if options.json is not None and not options.json.resolve().parent.is_dir():
        raise OutputError(f"{options.json} cannot be written: its folder does not exist")
