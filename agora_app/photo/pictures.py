"""Pictures of people: as large as their room, with round corners and a line below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QImage, QImageReader, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from agora_app.theme import current_colors

_CORNER, _LINE = 10.0, 24  # pixels: radius, height of the line below
_LARGEST = 1024  # pixels along a side that are kept of a photograph


class PersonPicture(QWidget):
    """A picture of somebody, whole, in the middle of its room; words where there is none yet.

    Args:
        caption: the line below the picture; none when empty.
        words: shown instead of a picture.
        smallest: pixels along one side of its room.
    """

    def __init__(self, caption: str = "", words: str = "", smallest: int = 96) -> None:
        super().__init__()
        self._caption, self._words = caption, words
        self._image = QImage()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(smallest, smallest + (_LINE if caption else 0))
        self.setAccessibleName(caption or words)

    @property
    def image(self) -> QImage:
        """What is shown; a null image for words."""
        return self._image

    def set_image(self, image: QImage) -> None:
        self._image = image
        self.update()

    def set_words(self, words: str) -> None:
        """What is said where there is no picture."""
        self._words = words
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(280, 280 + (_LINE if self._caption else 0))

    def paintEvent(self, event) -> None:
        painter, colors = QPainter(self), current_colors()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        room = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5 - (_LINE if self._caption else 0))
        frame = self._place(room)
        outline = QPainterPath()
        outline.addRoundedRect(frame, _CORNER, _CORNER)
        painter.fillPath(outline, colors.base)
        if self._image.isNull():
            painter.setPen(colors.muted)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(frame.adjusted(12, 12, -12, -12), flags, self._words)
        else:
            painter.setClipPath(outline)
            painter.drawImage(frame, self._scaled(frame))
            painter.setClipping(False)
        painter.setPen(QPen(colors.border, 1))
        painter.drawPath(outline)
        if self._caption:
            painter.setPen(colors.muted)
            painter.drawText(QRectF(0, frame.bottom() + 2, self.width(), _LINE - 2), Qt.AlignmentFlag.AlignCenter, self._caption)

    def _place(self, room: QRectF) -> QRectF:
        """The largest rectangle of the picture's shape, in the middle; a square without a picture."""
        shape = self._image.size() if not self._image.isNull() else QSize(1, 1)
        size = shape.scaled(room.size().toSize(), Qt.AspectRatioMode.KeepAspectRatio)
        frame = QRectF(0, 0, size.width(), size.height())
        frame.moveCenter(room.center())
        return frame

    def _scaled(self, frame: QRectF) -> QImage:
        """Scaled in steps that lose no detail: a painter alone would skip pixels."""
        wanted = (frame.size() * self.devicePixelRatioF()).toSize()
        return self._image.scaled(wanted, Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation)


def read_photo(path: Path, largest: int = _LARGEST) -> QImage:
    """A photograph, upright and no larger than needed; a null image when it cannot be read."""
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)
    size = reader.size()
    if size.isValid() and max(size.width(), size.height()) > largest:
        reader.setScaledSize(size.scaled(largest, largest, Qt.AspectRatioMode.KeepAspectRatio))
    return reader.read()


def photo_size(path: Path) -> QSize:
    """Width and height of a photograph as it is looked at; an invalid size when it cannot be read."""
    reader = QImageReader(str(path))
    turned = reader.transformation().value & 4  # by a quarter: see QImageIOHandler::TransformationRotate90
    return reader.size().transposed() if turned else reader.size()


def image_of(picture: NDArray[np.uint8]) -> QImage:
    """RGB [H, W, 3] as an image with memory of its own."""
    picture = np.ascontiguousarray(picture)
    height, width = picture.shape[:2]
    return QImage(picture.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
