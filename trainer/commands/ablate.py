"""The command ``ablate``: what shape map, dual discrimination and deformation branch bring, as a table and a sheet."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import InputError

if TYPE_CHECKING:
    from trainer.recipe import Recipe

TABLE_NAME, NUMBERS_NAME, SHEET_NAME = "ablations.txt", "ablations.json", "ablations.png"


@dataclass(kw_only=True)
class AblateOptions:
    """Train a recipe in miniature four times, whole and without one part each, and compare. Run it again to go on after a
    stop."""

    data: Path
    """Folder of the dataset."""
    out: Path
    """Folder for the four runs, the table and the sheet."""
    recipe: str = "ci"
    """'ci', 'desktop' or a .json file."""
    images: int = 0
    """Pictures that each variant is shown; 0: the recipe's."""
    size: int = 0
    """Largest side of the pictures; 0: the recipe's."""
    seed: int = -1
    """Of everything random; -1: the recipe's."""
    threads: int = 0
    """Of the processor; 0: all but one."""
    features: bool = True
    """Also measure what takes a network trained on the dataset, which takes minutes the first time."""


def ablate(options: AblateOptions) -> int:
    """Trains, measures, tells."""
    from core.assets import write_atomically
    from core.commands.progress import ProgressBars
    from core.head.library import load_open_head
    from trainer import ablations
    from trainer.commands.train import check_data, use_threads
    from trainer.data.dataset import Dataset
    from trainer.engine import Engine, EngineSettings
    from trainer.run import RunRecord

    recipe, head, dataset = _recipe(options), load_open_head(), Dataset.open(options.data)
    use_threads(options.threads)
    check_data(RunRecord(recipe, options.data), head)
    with Engine(EngineSettings("cpu")) as engine:
        for variant in ablations.VARIANTS:
            print(f"{variant.name}: {recipe.images} pictures", flush=True)
            if not ablations.train_variant(variant, recipe, options.data, options.out, engine, head):
                print(f"{options.out}: stopped; the same command goes on")
                return 0
    features = options.features and ablations.can_measure_features(dataset)
    results, rows = {}, {"true pictures": ablations.true_pictures(dataset, max(phase.size for phase in recipe.phases))}
    with ProgressBars("‰", lines=True) as bars:
        for variant in ablations.VARIANTS:
            found = ablations.measure_variant(variant, recipe, dataset, options.out, head, features,
                                              lambda stage, share: bars(stage, round(1000 * share), 1000))
            results[variant.name], rows[variant.name] = found
    text = ablations.table(results)
    numbers = {name: evaluation.to_json()["rows"] for name, evaluation in results.items()}
    write_atomically(options.out / TABLE_NAME, (text + "\n").encode())
    write_atomically(options.out / NUMBERS_NAME, (json.dumps(numbers, indent=1) + "\n").encode())
    ablations.write_sheet(options.out / SHEET_NAME, rows)
    print(text)
    return 0


def _recipe(options: AblateOptions) -> Recipe:
    from trainer.probe import smaller
    from trainer.recipe import read_recipe

    for name, low, high in (("images", 0, 10_000_000), ("size", 0, 1024), ("seed", -1, 2**31), ("threads", 0, 256)):
        if not low <= getattr(options, name) <= high:
            raise InputError(f"--{name} must be from {low} to {high}")
    if options.out.exists() and not options.out.is_dir():
        raise InputError(f"--out {options.out} is a file, not a folder")
    recipe = read_recipe(options.recipe)
    if options.images:
        recipe = recipe.scaled(options.images / recipe.images)
    if options.size:
        recipe = smaller(recipe, options.size)
    if options.seed >= 0:
        recipe = replace(recipe, seed=options.seed)
    recipe.check()
    return recipe
