"""`identities`: a contact sheet of people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.avatar.sources import IdentitySource
    from core.pipeline.background import Picture
    from core.types import HeadParams

STRIP = ("neutral", "smile", "grin", "jaw open", "blink", "wink", "surprise", "pucker", "frown", "cheek puff", "gaze left",
         "lips in")
STRIP_COLUMNS = 6
_LABEL_HEIGHT = 1 / 14  # of a cell


@dataclass(kw_only=True)
class Options:
    """Draw people side by side, to choose one by its seed."""

    seeds: str
    """Whole numbers and ranges, such as 1000-1047 or 3,7,20-24."""
    out: Path
    """The picture to write: .png, .jpg or .webp."""
    columns: int | None = None
    """People in a row; about as many as there are rows when left out."""
    size: int = 256
    """Pixels along one side of a head."""
    expression: str = "neutral"
    """A face such as neutral, smile or surprise; 'strip' draws everyone with twelve faces."""
    background: str = "gradient"
    """gradient, green, a colour (white, #203040) or a picture."""
    labels: bool = True
    """Write the seed under everyone."""
    pack: Path | None = None
    """Avatar pack (.agora); the studio people that ship with the program when left out."""


@dataclass(frozen=True)
class Portrait:
    """One cell of the sheet."""

    seed: int
    label: str
    params: HeadParams


class Photographer:
    """Builds people and draws them, for one thread."""

    def __init__(self, source: IdentitySource, size: int) -> None:
        from core.geometry import portrait_camera
        from core.render.renderer import open_renderer

        self._source = source
        self._camera = portrait_camera(size, size)
        self._renderer = open_renderer("cpu")

    def __call__(self, portraits: Sequence[Portrait]) -> list[Picture]:
        """Premultiplied RGBA of portraits of one person."""
        from core.avatar.model import Avatar

        avatar = Avatar(self._source.pack, self._source.build(portraits[0].seed))
        return [self._renderer.render(avatar.seen_from(self._camera, avatar.drive(portrait.params)), self._camera, None)
                for portrait in portraits]

    def close(self) -> None:
        self._renderer.close()


def run(options: Options) -> int:
    """Draw the sheet."""
    from core.avatar.identity import parse_seeds
    from core.avatar.sources import open_source
    from core.commands.progress import ProgressBars
    from core.errors import InputError
    from core.media.image import check_image_output, write_image
    from core.pipeline.background import parse_background
    from core.pipeline.compose import Composer, grid_layout

    seeds = parse_seeds(options.seeds)
    check_image_output(options.out)
    source = open_source(options.pack)
    background = parse_background(options.background)
    if background.needs_driver:
        raise InputError("there is no driver to blur on a contact sheet", "choose another --background")
    people = portraits_of(seeds, options.expression)
    count = sum(len(portraits) for portraits in people)
    columns = options.columns
    if columns is None:
        columns = STRIP_COLUMNS if options.expression == "strip" else round((count * 1.4) ** 0.5)
    layout = grid_layout(count, check_columns(columns), check_size(options.size, columns, count))
    with ProgressBars() as progress:
        pictures = _photograph(source, people, options.size, progress)
    sheet = Composer(layout, background).compose(pictures, None)
    if options.labels:
        _write_labels(sheet, layout.heads, [portrait.label for portraits in people for portrait in portraits])
    write_image(options.out, sheet)
    print(f"{options.out}: {len(seeds)} people, {sheet.shape[1]} x {sheet.shape[0]} pixels")
    return 0


def portraits_of(seeds: Sequence[int], expression: str) -> list[list[Portrait]]:
    """The portraits of every person. Raises InputError for an unknown expression."""
    from core.errors import InputError
    from core.head.library import load_open_head
    from core.head.presets import PRESET_NAMES, preset

    if expression != "strip" and expression not in PRESET_NAMES:
        raise InputError(f"there is no expression called '{expression}'", f"choose strip or one of {', '.join(PRESET_NAMES)}")
    head = load_open_head()
    names = STRIP if expression == "strip" else (expression,)
    faces = [(name, preset(head, name).head_params()) for name in names]
    return [[Portrait(seed, name if len(names) > 1 else str(seed), params) for name, params in faces] for seed in seeds]


def check_columns(columns: int) -> int:
    """Raise InputError unless there is at least one column."""
    from core.errors import InputError

    if columns < 1:
        raise InputError(f"{columns} columns cannot be drawn")
    return columns


def check_size(size: int, columns: int, count: int) -> int:
    """Raise InputError when a head or the sheet would be too small or too large to draw."""
    from core.errors import InputError
    from core.pipeline.compose import LARGEST, SMALLEST

    pixels = columns * size * -(-count // columns) * size
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"size {size} is out of range", f"choose {SMALLEST} to {LARGEST} pixels")
    if pixels > 200_000_000:
        raise InputError(f"a sheet of {pixels // 1_000_000} million pixels is too large",
                         "choose fewer seeds or a smaller --size")
    return size


def _photograph(source: IdentitySource, people: list[list[Portrait]], size: int, progress) -> list[Picture]:
    from core.pipeline.offline import core_count
    from core.pipeline.workers import WorkerPool

    pictures: list[Picture] = []
    with WorkerPool(lambda: Photographer(source, size), min(core_count(), len(people))) as pool:
        futures = [pool.submit(portraits) for portraits in people]
        for done, future in enumerate(futures, 1):
            pictures.extend(future.result())
            progress("drawing", done, len(people))
    return pictures


def _write_labels(sheet: Picture, cells, labels: Sequence[str]) -> None:
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(sheet)
    draw = ImageDraw.Draw(picture)
    height = max(9, round(cells[0].height * _LABEL_HEIGHT))
    font = ImageFont.load_default(height)
    for cell, label in zip(cells, labels, strict=True):
        draw.text((cell.x + height / 2, cell.y + cell.height - height / 3), label, (255, 255, 255), font, anchor="ls",
                  stroke_width=max(1, height // 9), stroke_fill=(40, 44, 52))
    sheet[:] = np.asarray(picture)
