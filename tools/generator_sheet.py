"""Real people and what generators make of them, side by side, for the same factors, expressions and cameras.

`python -m tools.generator_sheet DATA OUT.jpg NAME=GENERATOR.safetensors [NAME=…]`. The people are those of the dataset's test
part, nobody of whom was trained on. Upper rows: their pictures. Lower rows: at rest from −45°, 0° and +45°.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.media.image import write_image
from trainer.data.dataset import Dataset
from trainer.portraitist import GeneratorPortraitist
from trainer.snapshots import read_generator

_COLUMNS = 12
_YAWS = (-45.0, 0.0, 45.0)
_BACKGROUND = 217.0
_MARGIN = 110


def main(arguments: list[str]) -> None:
    data, out, *named = arguments
    dataset, head = Dataset.open(data), load_open_head()
    rows = np.linspace(0, dataset.count("test") - 1, _COLUMNS).astype(int)
    samples, people = dataset.samples("test", rows), dataset.people("test")
    latent, size = people.latent[samples.person], dataset.info.size
    strips = [("real", samples.rgba)]
    rest, neck = np.zeros_like(samples.psi), np.zeros_like(samples.neck)
    for name, path in (entry.split("=", 1) for entry in named):
        draw = GeneratorPortraitist(read_generator(Path(path), head)).pictures
        strips.append((name, draw(latent, samples.shape, samples.psi, samples.neck, samples.world_to_camera, samples.intrinsics,
                                  size)))
        for yaw in _YAWS:
            camera = orbit_camera(np.radians(yaw), 0.03, size, size)
            matrix = np.repeat(camera.world_to_camera[None], _COLUMNS, 0)
            intrinsics = np.repeat(np.array([[camera.fx, camera.fy, camera.cx, camera.cy]], np.float32), _COLUMNS, 0)
            strips.append((f"{name} {yaw:+.0f}°", draw(latent, samples.shape, rest, neck, matrix, intrinsics, size)))
    write_image(Path(out), _sheet(strips))


def _sheet(strips: list[tuple[str, np.ndarray]]) -> np.ndarray:
    size = strips[0][1].shape[1]
    sheet = np.full((len(strips) * size, _MARGIN + _COLUMNS * size, 3), 255, np.uint8)
    for i, (_, rgba) in enumerate(strips):
        values = rgba.astype(np.float32)
        rgb = values[..., :3] + (1 - values[..., 3:] / 255) * _BACKGROUND
        sheet[i * size:(i + 1) * size, _MARGIN:] = np.concatenate(list(np.clip(rgb + 0.5, 0, 255).astype(np.uint8)), 1)
    picture = Image.fromarray(sheet)
    pen = ImageDraw.Draw(picture)
    for i, (name, _) in enumerate(strips):
        pen.text((8, i * size + size // 2 - 6), name, fill=(20, 20, 20))
    return np.asarray(picture)


if __name__ == "__main__":
    main(sys.argv[1:])
