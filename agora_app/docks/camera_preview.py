"""A small picture of what the camera sees, with the landmarks that were found in it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from core.types import Landmarks

ASPECT = 16 / 9
_BEHIND, _TEXT = QColor("#16181d"), QColor("#b9bfca")
_POINT_BGRA = (140, 255, 90, 255)
_CORNER = 6
_SMALL_FACE = 110  # pixels between the outermost landmarks


class CameraPreview(QWidget):
    """Shows a picture in a frame of 16:9, or words where there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._text = ""
        self._pixels: NDArray[np.uint8] | None = None  # keeps the memory of the image below
        self._image: QImage | None = None
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMinimumSize(160, 90)
        self.setAccessibleName(self.tr("Camera picture"))

    def sizeHint(self) -> QSize:
        return QSize(304, 171)

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return max(90, round(width / ASPECT))

    @property
    def text(self) -> str:
        """The words on show; empty while there is a picture."""
        return "" if self._image is not None else self._text

    @property
    def image(self) -> QImage | None:
        """The picture on show, in device pixels."""
        return self._image

    def show_text(self, text: str) -> None:
        """Show words instead of a picture."""
        if self._image is not None or text != self._text:
            self._text, self._image, self._pixels = text, None, None
            self.update()

    def show_picture(self, picture: NDArray[np.uint8], landmarks: Landmarks | None) -> None:
        """Show an RGB picture [H, W, 3], scaled to what is seen of it, with landmarks when there are any."""
        height, width = picture.shape[:2]
        scale = min(self.width() / width, self.height() / height) * self.devicePixelRatioF()
        size = max(1, round(width * scale)), max(1, round(height * scale))
        pixels = cv2.cvtColor(_shrunk(picture, *size), cv2.COLOR_RGB2BGRA)
        if landmarks is not None:
            _draw_points(pixels, landmarks.points[:, :2] * (size[0] / width, size[1] / height))
        self._pixels = pixels
        self._image = QImage(pixels.data, size[0], size[1], pixels.strides[0], QImage.Format.Format_RGB32)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        frame = QPainterPath()
        frame.addRoundedRect(self.rect(), _CORNER, _CORNER)
        painter.setClipPath(frame)
        painter.fillRect(self.rect(), _BEHIND)
        if self._image is not None:
            painter.drawImage(self._place(self._image), self._image)
        else:
            painter.setPen(_TEXT)
            inside = self.rect().adjusted(16, 8, -16, -8)
            painter.drawText(inside, Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, self._text)

    def _place(self, image: QImage) -> QRect:
        """Centred, as large as fits; the image may be of another size while the widget is being resized."""
        size = image.size().scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        return QRect((self.width() - size.width()) // 2, (self.height() - size.height()) // 2, size.width(), size.height())


def _shrunk(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The picture in another size. A large one is thinned out to twice that size first, which costs a tenth of averaging all."""
    if picture.shape[1] > 2 * width and picture.shape[0] > 2 * height:
        picture = cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_NEAREST)
    return cv2.resize(picture, (width, height),
                      interpolation=cv2.INTER_AREA if picture.shape[1] > width else cv2.INTER_LINEAR)


def _draw_points(pixels: NDArray[np.uint8], points: NDArray) -> None:
    """Put dots at points [N, 2] of a picture [H, W, 4]: 2 x 2 pixels, 1 on a small face. Those outside are left out."""
    height, width = pixels.shape[:2]
    x, y = np.rint(np.nan_to_num(points, nan=-9.0, posinf=-9.0, neginf=-9.0).clip(-9, 1e6)).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    x, y = x[inside], y[inside]
    small = x.size and np.ptp(x) < _SMALL_FACE
    for dx, dy in ((0, 0),) if small else ((0, 0), (1, 0), (0, 1), (1, 1)):
        pixels[y + dy, x + dx] = _POINT_BGRA
