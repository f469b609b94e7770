"""Where things stand in the picture: one head, the driver beside it, or a wall of heads."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.errors import InputError
from core.pipeline.background import Background, Picture, cover, lay_over, straight_alpha

LAYOUT_NAMES = ("auto", "avatar", "side-by-side", "grid")
SMALLEST, LARGEST = 32, 4096  # pixels along one side of a head
LARGEST_CANVAS = 8192
DEFAULT_SIZE, DEFAULT_GRID_SIZE = 512, 256
WIDEST_DRIVER, NARROWEST_DRIVER = 16 / 9, 9 / 16


@dataclass(frozen=True)
class Cell:
    """A rectangle of the picture, pixels."""

    x: int
    y: int
    width: int
    height: int

    def of(self, canvas: Picture) -> Picture:
        """The part of a canvas that the cell covers."""
        return canvas[self.y:self.y + self.height, self.x:self.x + self.width]


@dataclass(frozen=True)
class Layout:
    """Cells of a picture of even size.

    Attributes:
        width, height: of the whole picture.
        heads: one square cell for each person, all of one size.
        driver: cell of the driver's frame, or None.
        blank: cells of a grid that no person fills.
    """

    width: int
    height: int
    heads: tuple[Cell, ...]
    driver: Cell | None = None
    blank: tuple[Cell, ...] = ()

    @property
    def head_size(self) -> int:
        return self.heads[0].width


def make_layout(name: str, people: int, size: int | None = None, driver_aspect: float | None = None) -> Layout:
    """Arrange the cells.

    Args:
        name: one of `LAYOUT_NAMES`; "auto" is one head, or a grid of several.
        people: number of heads.
        size: pixels along the side of a head; a default that suits the layout when left out.
        driver_aspect: width / height of the driver's frame, None when there is no driver.

    Raises:
        InputError: an unknown layout, one that does not fit the number of people, or a picture that is too large.
    """
    if name not in LAYOUT_NAMES:
        raise InputError(f"there is no layout called '{name}'", f"choose one of {', '.join(LAYOUT_NAMES)}")
    if name == "auto":
        name = "avatar" if people == 1 else "grid"
    if name == "avatar" and people > 1:
        raise InputError(f"layout 'avatar' shows one person, {people} seeds are given", "use --layout grid")
    size = size or (DEFAULT_GRID_SIZE if name == "grid" else DEFAULT_SIZE)
    if not SMALLEST <= size <= LARGEST:
        raise InputError(f"size {size} is out of range", f"choose {SMALLEST} to {LARGEST} pixels")
    size += size % 2
    if name == "side-by-side":
        layout = _side_by_side(people, size, driver_aspect)
    else:
        layout = grid_layout(people, math.ceil(math.sqrt(people)), size)
    if max(layout.width, layout.height) > LARGEST_CANVAS:
        raise InputError(f"a picture of {layout.width} x {layout.height} pixels is too large",
                         f"choose a smaller --size (at most {LARGEST_CANVAS} pixels a side)")
    return layout


def grid_layout(people: int, columns: int, size: int) -> Layout:
    """A wall of heads, row by row."""
    rows = math.ceil(people / columns)
    cells = tuple(Cell(i % columns * size, i // columns * size, size, size) for i in range(rows * columns))
    return Layout(columns * size, rows * size, cells[:people], blank=cells[people:])


def _side_by_side(people: int, size: int, driver_aspect: float | None) -> Layout:
    if driver_aspect is None:
        raise InputError("layout 'side-by-side' needs the driver's video", "it is there for reenact only")
    aspect = min(max(driver_aspect, NARROWEST_DRIVER), WIDEST_DRIVER)
    width = 2 * round(size * aspect / 2)
    heads = tuple(Cell(width + i * size, 0, size, size) for i in range(people))
    return Layout(width + people * size, size, heads, Cell(0, 0, width, size))


class Composer:
    """Puts rendered heads and the driver's frame into one picture."""

    def __init__(self, layout: Layout, background: Background) -> None:
        if background.transparent and layout.driver is not None:
            raise InputError("a transparent background does not go with layout 'side-by-side'", "use --layout avatar or grid")
        self.layout = layout
        self.background = background

    @property
    def alpha(self) -> bool:
        """Whether pictures are RGBA."""
        return self.background.transparent

    @property
    def needs_driver(self) -> bool:
        """Whether the driver's frame is part of the picture."""
        return self.background.needs_driver or self.layout.driver is not None

    def compose(self, heads: list[Picture], driver: Picture | None) -> Picture:
        """A picture.

        Args:
            heads: premultiplied RGBA of each person, in the order of the layout's cells.
            driver: RGB frame, needed when `needs_driver` says so.

        Returns:
            uint8 RGB [H, W, 3], or RGBA with straight alpha when `alpha` says so.
        """
        layout = self.layout
        if self.alpha:
            canvas = np.zeros((layout.height, layout.width, 4), np.uint8)
            for cell, head in zip(layout.heads, heads, strict=True):
                straight_alpha(head, cell.of(canvas))
            return canvas
        behind = self.background.picture(layout.head_size, layout.head_size, driver)
        canvas = np.empty((layout.height, layout.width, 3), np.uint8)
        for cell in layout.blank:
            cell.of(canvas)[:] = behind
        for cell, head in zip(layout.heads, heads, strict=True):
            lay_over(head, behind, cell.of(canvas))
        if layout.driver is not None:
            if driver is None:
                raise InputError("the driver's video is shorter than its motion")
            layout.driver.of(canvas)[:] = cover(driver, layout.driver.width, layout.driver.height)
        return canvas
