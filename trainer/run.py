"""A training run as others see it: what it was made of, and the generator that came out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from core.assets import write_atomically
from core.errors import InputError, OutputError
from core.head.library import load_open_head
from core.head.model import HeadModel
from core.networks.head_generator import HeadGenerator
from core.run_folder import RunFolder
from trainer.checkpoint import CheckpointStore
from trainer.data.dataset import Dataset
from trainer.generator_teacher import GeneratorPrior
from trainer.recipe import Recipe, recipe_from_json
from trainer.snapshots import SnapshotStore, choose, read_generator
from trainer.state import generator_config

GENERATOR_NAME = "generator.safetensors"


@dataclass(frozen=True)
class RunRecord:
    """What a run was started with.

    Attributes:
        recipe: as it was scaled.
        data: folder of the dataset.
    """

    recipe: Recipe
    data: Path


def write_record(folder: RunFolder, record: RunRecord) -> None:
    """Writes `recipe.json`. Raises OutputError when the folder cannot be made or written."""
    content = {"data": str(record.data.resolve()), "recipe": record.recipe.to_json()}
    try:
        write_atomically(folder.recipe, (json.dumps(content, indent=1) + "\n").encode())
    except OSError as error:
        raise OutputError(f"{folder.path} cannot be written: {error.strerror or error}", "choose another folder") from error


def read_record(folder: RunFolder) -> RunRecord:
    """Reads `recipe.json`. Raises InputError when the folder is no run."""
    try:
        content = json.loads(folder.recipe.read_text("utf-8"))
        return RunRecord(recipe_from_json(content["recipe"]), Path(content["data"]))
    except FileNotFoundError:
        raise InputError(f"{folder.path} is not a training run: it has no {folder.recipe.name}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder.recipe} cannot be read: {error}") from error


def load_generator(folder: Path, head: HeadModel | None = None) -> tuple[HeadGenerator, RunRecord]:
    """The generator of a run: the chosen one of a finished run, else its best snapshot, else its newest checkpoint's.

    Raises:
        InputError: the folder is no run, or nothing has been learned yet.
    """
    run, head = RunFolder(folder), head or load_open_head()
    record = read_record(run)
    finished = run.path / GENERATOR_NAME
    if finished.is_file():
        return read_generator(finished, head), record
    store = SnapshotStore(run.snapshots)
    best = choose(store.all())
    if best is not None:
        return read_generator(store.path(best), head), record
    return averaged_generator(folder, head), record


def averaged_generator(folder: Path, head: HeadModel) -> HeadGenerator:
    """The averaged weights of a run's newest checkpoint. Raises InputError when there is none or it is of another head."""
    checkpoint = CheckpointStore(RunFolder(folder).checkpoints).newest()
    if checkpoint is None:
        raise InputError(f"{folder}: the run has learned nothing yet", "train it first")
    about = checkpoint.about
    if about["head"] != head.sha256:
        raise InputError(f"{folder} was trained on another head model", f"it needs the one with hash {about['head']}")
    recipe = recipe_from_json(about["recipe"])
    phase = recipe.phases[about["position"]["phase"]]
    generator = HeadGenerator(generator_config(recipe, phase, int(about["latent_size"])), head)
    prefix = "average."
    generator.load_state_dict({name.removeprefix(prefix): value for name, value in checkpoint.tensors.items()
                               if name.startswith(prefix)})
    return generator.eval().requires_grad_(False)


def prior_of(record: RunRecord, name: str = "") -> GeneratorPrior:
    """Where the people of a run's generator come from: the studio's traits, or free latents on the shapes of the dataset."""
    dataset = Dataset.open(record.data)
    if dataset.info.latent_size:
        return GeneratorPrior("studio", name=name or "Agora", creator="AGORA live", licence="CC0-1.0")
    return GeneratorPrior("normal", dataset.people("train").shape, name=name or record.data.name)
