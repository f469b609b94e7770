"""The picture in the middle of the window: shows what the session draws, and turns the camera with the mouse.

Every renderer hands over finished pictures, so this is an ordinary widget: it scales a picture to its size and paints it.
Nothing here can block on a graphics driver.
"""

from __future__ import annotations

import cv2
import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QWidget

from agora_app.models.view import ViewModel
from core.pipeline.live.state import LivePicture

STAGE_COLOR = QColor("#15171c")
MARGIN, RADIUS = 14, 10  # logical pixels around the picture, and of its corners
KEY_TURN, KEY_PAN = 12.0, 10.0  # pixels of a drag that an arrow key stands for


class AvatarView(QWidget):
    """Paints `LivePicture`s as they come, newest wins.

    Signals:
        painted: a picture has reached the screen (the `LivePicture`), once for each.
    """

    painted = Signal(object)

    def __init__(self, view: ViewModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view = view
        self._picture: LivePicture | None = None
        self._pixels: np.ndarray | None = None  # what the QImage looks at: it must live as long
        self._image: QImage | None = None
        self._unseen = False
        self._grabbed: QPointF | None = None
        self._overlay: tuple[str, ...] = ()
        self._badge = ""
        self.setMinimumSize(240, 240)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setAccessibleName(self.tr("Avatar"))
        self.setToolTip("")
        self.setCursor(Qt.CursorShape.OpenHandCursor)

    def sizeHint(self) -> QSize:
        return QSize(760, 760)

    # ---------------------------------------------------------------------------------------------------------- content

    @property
    def picture(self) -> LivePicture | None:
        """What is shown."""
        return self._picture

    def show_picture(self, picture: LivePicture) -> None:
        """Paint this picture next."""
        self._picture, self._unseen = picture, True
        self._scale()
        self.update()

    def set_overlay(self, lines: tuple[str, ...]) -> None:
        """Small print in the upper left corner of the picture."""
        if lines != self._overlay:
            self._overlay = lines
            self.update()

    def set_badge(self, text: str) -> None:
        """The recording mark in the upper right corner, empty for none."""
        if text != self._badge:
            self._badge = text
            self.update()

    def picture_rect(self) -> QRectF:
        """Where the picture lies in the widget, logical pixels."""
        if self._picture is None:
            side = max(1, min(self.width(), self.height()) - 2 * MARGIN)
            return QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        height, width = self._picture.image.shape[:2]
        free_width, free_height = max(1, self.width() - 2 * MARGIN), max(1, self.height() - 2 * MARGIN)
        scale = min(free_width / width, free_height / height)
        size = (max(1.0, width * scale), max(1.0, height * scale))
        return QRectF((self.width() - size[0]) / 2, (self.height() - size[1]) / 2, *size)

    def _scale(self) -> None:
        """Bring the picture to the screen's size once, so that painting is a plain copy."""
        ratio, rect = self.devicePixelRatioF(), self.picture_rect()
        width, height = max(1, round(rect.width() * ratio)), max(1, round(rect.height() * ratio))
        source = self._picture.image
        smaller = width < source.shape[1]
        pixels = source if source.shape[:2] == (height, width) else cv2.resize(
            source, (width, height), interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        # Four bytes a pixel: the format that painting copies without converting.
        self._pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGRA)
        self._image = QImage(self._pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)
        self._image.setDevicePixelRatio(ratio)

    # --------------------------------------------------------------------------------------------------------- painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), STAGE_COLOR)
        rect = self.picture_rect()
        if self._image is None:
            self._paint_message(painter, rect)
        else:
            painter.drawImage(rect.topLeft(), self._image)
            self._round_corners(painter, rect)
            self._paint_overlay(painter, rect)
        if self._badge:
            self._paint_badge(painter, rect)
        if self.hasFocus():
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self.palette().highlight().color(), 2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(rect.adjusted(-2, -2, 2, 2), RADIUS + 2, RADIUS + 2)
        painter.end()
        if self._unseen and self._picture is not None:
            self._unseen = False
            self.painted.emit(self._picture)

    @staticmethod
    def _round_corners(painter: QPainter, rect: QRectF) -> None:
        """Cover the corners with the stage's colour: cheaper than clipping the picture to a path."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rounded, corners = QPainterPath(), QPainterPath()
        rounded.addRoundedRect(rect, RADIUS, RADIUS)
        for x in (rect.left(), rect.right() - RADIUS):
            for y in (rect.top(), rect.bottom() - RADIUS):
                corners.addRect(QRectF(x - 1, y - 1, RADIUS + 2, RADIUS + 2))
        painter.fillPath(corners.subtracted(rounded), STAGE_COLOR)

    def _paint_message(self, painter: QPainter, rect: QRectF) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(QColor(255, 255, 255, 28), 1))
        painter.setBrush(QColor(255, 255, 255, 8))
        painter.drawRoundedRect(rect, RADIUS, RADIUS)
        painter.setPen(QColor("#c9ced8"))
        painter.drawText(rect.adjusted(24, 24, -24, -24), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap,
                         self.tr("Getting ready…"))

    def _paint_overlay(self, painter: QPainter, rect: QRectF) -> None:
        if not self._overlay:
            return
        metrics = painter.fontMetrics()
        width = max(metrics.horizontalAdvance(line) for line in self._overlay) + 20
        height = metrics.lineSpacing() * len(self._overlay) + 12
        box = QRectF(rect.left() + 12, rect.top() + 12, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(12, 14, 18, 185))
        painter.drawRoundedRect(box, 6, 6)
        painter.setPen(QColor("#eef1f6"))
        painter.drawText(box.adjusted(10, 6, -10, -6), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop,
                         "\n".join(self._overlay))

    def _paint_badge(self, painter: QPainter, rect: QRectF) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = painter.fontMetrics()
        width, height = metrics.horizontalAdvance(self._badge) + 38, metrics.height() + 10
        box = QRectF(rect.right() - width - 12, rect.top() + 12, width, height)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(150, 22, 30, 235))
        painter.drawRoundedRect(box, height / 2, height / 2)
        painter.setBrush(QColor("#ffffff"))
        painter.drawEllipse(QPointF(box.left() + 16, box.center().y()), 5, 5)
        painter.setPen(QColor("#ffffff"))
        painter.drawText(box.adjusted(27, 0, -8, 0), Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self._badge)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._picture is not None:
            self._scale()

    # ------------------------------------------------------------------------------------------------------------ mouse

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._grabbed = event.position()
        self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._grabbed is None:
            return
        moved, self._grabbed = event.position() - self._grabbed, event.position()
        pans = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier) or not event.buttons() & Qt.MouseButton.LeftButton
        (self._view.pan if pans else self._view.orbit)(moved.x(), moved.y(), self.picture_rect().height())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._grabbed = None
        self.setCursor(Qt.CursorShape.OpenHandCursor)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._view.reset()

    def wheelEvent(self, event: QWheelEvent) -> None:
        self._view.dolly(event.angleDelta().y() / 120)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """The arrow keys orbit (with Shift: pan), plus and minus come nearer and go away."""
        directions = {Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1)}
        height = self.picture_rect().height()
        if event.key() in directions:
            right, down = directions[event.key()]
            if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
                self._view.pan(right * KEY_PAN, down * KEY_PAN, height)
            else:
                self._view.orbit(right * KEY_TURN, down * KEY_TURN, height)
        elif event.key() in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._view.dolly(1)
        elif event.key() == Qt.Key.Key_Minus:
            self._view.dolly(-1)
        else:
            super().keyPressEvent(event)
