"""What three parts of the generator bring: the same small training with and without each, with equal seeds and budgets."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from core.assets import write_atomically
from core.errors import InputError
from core.head.model import HeadModel
from core.run_folder import RunFolder, RunState
from trainer.batches import TrainingData, Wanted
from trainer.data.dataset import Dataset
from trainer.engine import Engine
from trainer.evaluate import EvaluationPlan, evaluate, write_evaluation
from trainer.journal import sample_grid
from trainer.loop import RunSettings, train
from trainer.metrics.pictures import composited
from trainer.metrics.report import Evaluation, Row
from trainer.metrics.similarity import psnr, ssim
from trainer.portraitist import GeneratorPortraitist
from trainer.recipe import Recipe
from trainer.run import RunRecord, averaged_generator, read_record, write_record

SHOWN = ("PSNR", "SSIM", "eyes and mouth", "FD-synth", "AED", "AED-jaw", "identity match", "swap ψ: expression",
         "swap ψ: identity", "swap shape: expression", "skin leak")
"""Rows of the table, where they are measured."""
_PICTURES, _BATCH, _COLUMNS = 200, 16, 8
_LABEL_PIXELS = 12
_FEWEST = 10  # test pictures that an evaluation takes
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Variant:
    """One of the trainings.

    Attributes:
        name: for people;  folder: of its run.
        change: makes its recipe from the full one.
    """

    name: str
    folder: str
    change: Callable[[Recipe], Recipe]


VARIANTS = (Variant("full", "full", lambda recipe: recipe),
            Variant("no shape map", "no-shape-map", lambda recipe: replace(recipe, shape_map=False)),
            Variant("no dual discrimination", "no-dual", lambda recipe: replace(recipe, dual=False)),
            Variant("no deformation branch", "no-deformation", lambda recipe: replace(recipe, deformation=False)))


def train_variant(variant: Variant, recipe: Recipe, data: Path, out: Path, engine: Engine, head: HeadModel) -> bool:
    """Trains a variant, or goes on with it; returns whether it has come to its end.

    Raises:
        InputError: the folder holds a training of another recipe.
    """
    folder, recipe = RunFolder(out / variant.folder), variant.change(recipe)
    if not folder.recipe.is_file():
        write_record(folder, RunRecord(recipe, data))
    elif read_record(folder).recipe != recipe:
        raise InputError(f"{folder.path} holds a training of another recipe", "choose another folder for these ablations")
    status = folder.status()
    if status is not None and status.state is RunState.FINISHED:
        return True
    return train(recipe, RunSettings(folder.path, data, keep=1), engine, head) is RunState.FINISHED


def measure_variant(variant: Variant, recipe: Recipe, dataset: Dataset, out: Path, head: HeadModel, features: bool,
                    progress: Progress = lambda stage, share: None) -> tuple[Evaluation, Tensor]:
    """Numbers of a trained variant, which are also written into its folder, and a row of its pictures [8, 3, S, S] uint8.

    Args:
        features: also measure what takes a network trained on the dataset (made when there is none).
    """
    folder = RunFolder(out / variant.folder)
    portraitist = GeneratorPortraitist(averaged_generator(folder.path, head))
    direct, pictures = _against_truth(portraitist, dataset, max(phase.size for phase in recipe.phases))
    found = None
    if features:
        with suppress(OSError, InputError):  # not measured yet
            found = Evaluation.from_json(folder.report.read_text("utf-8"))
        if found is None or found.row("FD-synth") is None:
            plan = EvaluationPlan(pictures=500, known=0, people=12, leak=24, frames=0)
            found = evaluate(portraitist, dataset, plan, progress=progress)
    evaluation = Evaluation((*direct, *(() if found is None else _besides(found, direct))))
    write_evaluation(folder.report, evaluation)
    return evaluation, pictures


def can_measure_features(dataset: Dataset) -> bool:
    """Whether the dataset has enough test pictures for an evaluation."""
    return any(split.name == "test" and split.images >= _FEWEST for split in dataset.info.splits)


def table(results: dict[str, Evaluation]) -> str:
    """Numbers of the variants side by side, and how each differs from the first."""
    full, *others = results.values()
    lines = [["", *results, "better"]]
    for name in SHOWN:
        row = full.row(name)
        if row is None:
            continue
        cells = [_number(row.value)]
        for other in others:
            value = other.row(name).value
            cells.append(f"{_number(value)} ({value - row.value:+.3g})")
        lines.append([name, *cells, row.better])
    widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                          zip(line[1:], widths[1:], strict=True))]) for line in lines)


def write_sheet(path: Path, rows: dict[str, Tensor]) -> None:
    """Writes rows of pictures [8, 3, S, S] uint8 under their names."""
    strips = []
    for name, pictures in rows.items():
        grid = sample_grid(pictures.float() / 255, _COLUMNS)
        label = Image.new("RGB", (grid.shape[1], _LABEL_PIXELS), "white")
        ImageDraw.Draw(label).text((2, 0), name, fill="black")
        strips += [np.asarray(label), grid]
    content = io.BytesIO()
    Image.fromarray(np.concatenate(strips)).save(content, "PNG")
    write_atomically(path, content.getvalue())


def true_pictures(dataset: Dataset, size: int) -> Tensor:
    """The row of pictures [8, 3, S, S] uint8 that the variants' rows are to be compared with."""
    data = _unseen(dataset)
    return composited(data.pictures(_spread(len(data), _COLUMNS), size)[0])


def _against_truth(portraitist: GeneratorPortraitist, dataset: Dataset, size: int) -> tuple[tuple[Row, ...], Tensor]:
    data = _unseen(dataset)
    chosen = _spread(len(data), _PICTURES)
    drawn, real, focus = [], [], []
    for start in range(0, len(chosen), _BATCH):
        rows = chosen[start:start + _BATCH]
        truth, labels = data.pictures(rows, size)
        wanted = Wanted(size, len(rows), slice(None), False, False, False)
        drawn.append(composited(portraitist.pictures(*labels, size)))
        real.append(composited(truth))
        focus.append(data.batch(portraitist.generator, wanted, 0, 0, rows).focus)
    a, b, weight = torch.cat(drawn), torch.cat(real), torch.cat(focus)
    error = (a.float() - b.float()).abs() / 255
    near = float((error * weight).sum() / (3 * weight.sum().clamp_min(1e-6)))
    rows = (Row("PSNR", float(psnr(a, b).mean()), None, None, "higher", "unseen people against their true pictures, dB"),
            Row("SSIM", float(ssim(a, b).mean()), None, None, "higher", "the same, structural similarity"),
            Row("eyes and mouth", near, None, None, "lower", "the same, mean absolute error around eyes and mouth, 0..1"))
    return rows, composited(portraitist.pictures(*data.pictures(_spread(len(data), _COLUMNS), size)[1], size))


def _besides(found: Evaluation, direct: tuple[Row, ...]) -> tuple[Row, ...]:
    known = {row.name for row in direct}
    return tuple(row for row in found.rows if row.name not in known)


def _unseen(dataset: Dataset) -> TrainingData:
    """Pictures of people nobody has trained on, where the dataset has any."""
    names = [split.name for split in dataset.info.splits]
    return TrainingData(dataset, 0, "test" if "test" in names else names[0])


def _spread(count: int, wanted: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(np.int64))


def _number(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
