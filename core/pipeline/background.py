"""What stands behind the head: a soft gradient, a colour, nothing, a picture, or the driver's own room out of focus."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numba
import numpy as np
from numpy.typing import NDArray
from PIL import ImageColor

from core.errors import InputError
from core.media.image import read_image

Picture = NDArray[np.uint8]
CHROMA_GREEN = (0, 177, 64)
GRADIENT_TOP, GRADIENT_BOTTOM = (214, 219, 226), (146, 154, 166)
VIGNETTE = 0.16  # how much darker the corners are
BLUR_GRID = 24  # pixels across the blurred driver before it is enlarged again


class Background(Protocol):
    """Paints the background of one cell.

    Attributes:
        needs_driver: whether `picture` uses the driver's frame.
        transparent: whether there is no background at all.
    """

    needs_driver: bool
    transparent: bool

    def picture(self, width: int, height: int, driver: Picture | None) -> Picture:
        """uint8 RGB [height, width, 3]; not to be written to."""
        ...


@dataclass
class _Still:
    """A background that never changes; painted once for each size."""

    needs_driver = False
    transparent = False

    def __post_init__(self) -> None:
        self._painted: dict[tuple[int, int], Picture] = {}

    def picture(self, width: int, height: int, driver: Picture | None) -> Picture:
        if (width, height) not in self._painted:
            self._painted[width, height] = np.ascontiguousarray(self.paint(width, height))
        return self._painted[width, height]

    def paint(self, width: int, height: int) -> Picture:
        raise NotImplementedError


@dataclass
class Gradient(_Still):
    """A studio wall: light above, darker below and in the corners."""

    def paint(self, width: int, height: int) -> Picture:
        y, x = np.mgrid[0:1:height * 1j, 0:1:width * 1j]
        blend = (y * y * (3 - 2 * y))[..., None]
        wall = np.array(GRADIENT_TOP) * (1 - blend) + np.array(GRADIENT_BOTTOM) * blend
        distance = (x - 0.5) ** 2 + (0.9 * (y - 0.45)) ** 2
        return np.round(wall * (1 - VIGNETTE * 2 * distance)[..., None]).astype(np.uint8)


@dataclass
class Plain(_Still):
    """One colour, RGB 0..255."""

    colour: tuple[int, int, int]

    def paint(self, width: int, height: int) -> Picture:
        return np.full((height, width, 3), self.colour, np.uint8)


@dataclass
class Photo(_Still):
    """A picture that fills the cell, cut at the sides where the shapes differ."""

    image: Picture

    def paint(self, width: int, height: int) -> Picture:
        return cover(self.image, width, height)


@dataclass
class Transparent(_Still):
    """Nothing; the video keeps the head's own coverage."""

    transparent = True

    def paint(self, width: int, height: int) -> Picture:
        return np.zeros((height, width, 3), np.uint8)


class BlurredDriver:
    """The driver's frame, far out of focus."""

    needs_driver = True
    transparent = False

    def picture(self, width: int, height: int, driver: Picture | None) -> Picture:
        if driver is None:
            raise InputError("the blurred driver cannot be the background here: there is no driver video")
        rows = max(2, round(BLUR_GRID * height / width))
        small = cv2.GaussianBlur(cover(driver, BLUR_GRID, rows), (0, 0), 1.5)
        return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def parse_background(text: str) -> Background:
    """The background that a user names: gradient, green, transparent, blur, a colour (name or #rrggbb) or a picture file.

    Raises InputError.
    """
    word = text.strip().lower()
    named = {"gradient": Gradient, "transparent": Transparent, "blur": BlurredDriver}
    if word in named:
        return named[word]()
    if word == "green":
        return Plain(CHROMA_GREEN)
    try:
        return Plain(ImageColor.getrgb("#" + word if re.fullmatch(r"[0-9a-f]{6}", word) else word)[:3])
    except ValueError:
        pass
    if not Path(text).suffix:
        raise InputError(f"there is no background '{text}'",
                         "use gradient, green, transparent, blur, a colour such as white or #203040, or a picture file")
    return Photo(read_image(text))


def cover(image: Picture, width: int, height: int) -> Picture:
    """Scale a picture to fill width x height, cutting equally from both sides what sticks out."""
    rows, columns = image.shape[:2]
    scale = max(width / columns, height / rows)
    keep_x, keep_y = min(columns, round(width / scale)), min(rows, round(height / scale))
    left, top = (columns - keep_x) // 2, (rows - keep_y) // 2
    part = image[top:top + max(1, keep_y), left:left + max(1, keep_x)]
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=interpolation)


@numba.njit(cache=True, nogil=True)
def lay_over(head, background, out):
    """out [H, W, 3] = premultiplied RGBA `head` [H, W, 4] over the RGB picture `background` [H, W, 3]."""
    height, width = head.shape[:2]
    for y in range(height):
        for x in range(width):
            coverage = head[y, x, 3]
            if coverage == 0:  # nearly all pixels are empty or covered: no arithmetic for those
                for channel in range(3):
                    out[y, x, channel] = background[y, x, channel]
            elif coverage == 255:
                for channel in range(3):
                    out[y, x, channel] = head[y, x, channel]
            else:
                clear = 255 - np.int32(coverage)
                for channel in range(3):
                    behind = (np.int32(background[y, x, channel]) * clear + 127) // 255
                    out[y, x, channel] = min(255, np.int32(head[y, x, channel]) + behind)


@numba.njit(cache=True, nogil=True)
def straight_alpha(head, out):
    """out [H, W, 4] = `head` [H, W, 4] with its premultiplied RGB divided by its coverage, as video files store it."""
    height, width = head.shape[:2]
    for y in range(height):
        for x in range(width):
            coverage = np.int32(head[y, x, 3])
            out[y, x, 3] = coverage
            for channel in range(3):
                value = np.int32(head[y, x, channel])
                out[y, x, channel] = min(255, (value * 255 + coverage // 2) // coverage) if coverage > 0 else 0
