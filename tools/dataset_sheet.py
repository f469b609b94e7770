"""A contact sheet of a dataset: `python -m tools.dataset_sheet DATA OUT.jpg [SPLIT] [COLUMNS] [ROWS]`."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from core.media.image import write_image
from trainer.data.dataset import Dataset

_BACKGROUND = 217.0


def contact_sheet(dataset: Dataset, split: str, columns: int, rows: int) -> np.ndarray:
    """Pictures evenly spread over a split, uint8 [rows · S, columns · S, 3]."""
    chosen = np.linspace(0, dataset.count(split) - 1, columns * rows).astype(int)
    rgba = dataset.samples(split, chosen).rgba.astype(np.float32)
    rgb = rgba[..., :3] + (1 - rgba[..., 3:] / 255) * _BACKGROUND
    size = rgb.shape[1]
    grid = rgb.reshape(rows, columns, size, size, 3).swapaxes(1, 2)
    return np.clip(grid.reshape(rows * size, columns * size, 3) + 0.5, 0, 255).astype(np.uint8)


def main(arguments: list[str]) -> None:
    data, out, *rest = arguments
    split, columns, rows = [*rest, *("train", "12", "6")[len(rest):]]
    write_image(Path(out), contact_sheet(Dataset.open(data), split, int(columns), int(rows)))


if __name__ == "__main__":
    main(sys.argv[1:])
