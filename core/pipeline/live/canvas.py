"""The picture on screen: heads side by side over a background, with a provenance line where one is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core.pipeline.background import Background, Gradient, Photo, Picture, lay_over
from core.pipeline.live.state import Look

CHECK_PIXELS = 16
CHECK_LIGHT, CHECK_DARK = 214, 188
_LABEL_SHARE = 1 / 28  # height of the letters as a share of the picture's shorter side
_SMALLEST_LETTERS = 9
_PLATE_OPACITY = 110


@dataclass
class Checkerboard:
    """What programs draw where there is nothing."""

    needs_driver = False
    transparent = True

    def picture(self, width: int, height: int, driver: Picture | None) -> Picture:
        y, x = np.mgrid[:height, :width] // CHECK_PIXELS
        return np.where((x + y) % 2 == 0, CHECK_LIGHT, CHECK_DARK).astype(np.uint8)[..., None].repeat(3, 2)


class Canvas:
    """Composes pictures; keeps what does not change from one to the next. For one thread."""

    def __init__(self) -> None:
        self._gradient = Gradient()
        self._of: Background | None = None
        self._still: Picture | None = None
        self._label: tuple[tuple, Picture] | None = None

    def compose(self, look: Look, heads: Sequence[Picture], frame: Picture | None) -> Picture:
        """uint8 RGB [H, W, 3].

        Args:
            heads: premultiplied RGBA of equal height; together they are as large as the picture.
            frame: the camera's RGB frame, where there is one.
        """
        head = heads[0] if len(heads) == 1 else np.concatenate(heads, axis=1)
        height, width = head.shape[:2]
        picture = np.empty((height, width, 3), np.uint8)
        lay_over(head, self._behind(look.background, width, height, frame), picture)
        if look.label:
            self._write(look.label, picture)
        return picture

    def _behind(self, background: Background, width: int, height: int, frame: Picture | None) -> Picture:
        if background.needs_driver:
            if frame is not None:
                return background.picture(width, height, frame)
            background = self._gradient
        # The look is made anew with every move of the camera; its background may be an equal one that paints itself again.
        if self._still is None or self._still.shape[:2] != (height, width) or not _same(background, self._of):
            painter = Checkerboard() if background.transparent else background
            self._of, self._still = background, painter.picture(width, height, None)
        return self._still

    def _write(self, text: str, picture: Picture) -> None:
        height, width = picture.shape[:2]
        key = (text, width, height)
        if self._label is None or self._label[0] != key:
            self._label = (key, label_plate(text, width, height))
        plate = self._label[1]
        rows, columns = plate.shape[:2]
        corner = picture[height - rows:, :columns]
        clear = 255 - plate[..., 3:].astype(np.uint16)
        corner[:] = plate[..., :3] + (corner * clear + 127) // 255


def label_plate(text: str, width: int, height: int) -> Picture:
    """A line of text on a dark veil, premultiplied RGBA, for the lower left corner of a picture of that size."""
    size = max(_SMALLEST_LETTERS, round(min(width, height) * _LABEL_SHARE))
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    while right - left + size > width and size > _SMALLEST_LETTERS:
        size -= 1
        font = ImageFont.load_default(size)
        left, top, right, bottom = font.getbbox(text)
    margin = max(3, size // 3)
    plate_width = min(width, right - left + 2 * margin)
    plate_height = min(height, bottom - top + 2 * margin)
    plate = Image.new("L", (plate_width, plate_height), 0)
    ImageDraw.Draw(plate).text((margin - left, margin - top), text, fill=255, font=font)
    letters = np.asarray(plate, np.uint16)
    alpha = letters + (255 - letters) * _PLATE_OPACITY // 255
    colour = letters * 235 // 255
    return np.dstack([colour, colour, colour, alpha]).astype(np.uint8)


def enlarge(head: Picture, width: int, height: int) -> Picture:
    """A premultiplied RGBA picture in another size."""
    return head if head.shape[:2] == (height, width) else cv2.resize(head, (width, height), interpolation=cv2.INTER_LINEAR)


def _same(a: Background, b: Background | None) -> bool:
    if a is b or type(a) is not type(b):
        return a is b
    return a.image is b.image if isinstance(a, Photo) else a == b
