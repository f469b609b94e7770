"""A face in a ring that fills as a calibration goes on."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QHideEvent, QPainter, QPaintEvent, QPen, QShowEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from agora_app.docks.face_pictogram import paint_face
from agora_app.theme import current_colors

_SIZE = 132
_TURN_MS, _TURN_DEGREES = 33, 8


class PhaseRing(QWidget):
    """Shows a face of `agora_app.docks.face_pictogram` and a progress of 0..1, or a turning arc while nobody knows how long."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._face, self._progress, self._role = "rest", 0.0, "accent"
        self._angle = 0
        self._timer = QTimer(self)
        self._timer.setInterval(_TURN_MS)
        self._timer.timeout.connect(self._turn)
        self._busy = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Progress"))

    def show_face(self, face: str, role: str = "accent", busy: bool = False) -> None:
        """Which face, the ring in which colour of the theme, and whether it turns."""
        self._face, self._role, self._busy = face, role, busy
        self._let_turn()
        self.update()

    def set_progress(self, progress: float) -> None:
        """How much of the ring is full, 0..1."""
        self._progress = min(max(progress, 0.0), 1.0)
        self.setAccessibleDescription(self.tr("{0} %").format(round(100 * self._progress)))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(_SIZE, _SIZE)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._let_turn()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._timer.stop()

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = current_colors()
        side = min(self.width(), self.height()) - 8
        ring = QRectF((self.width() - side) / 2, (self.height() - side) / 2, side, side)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_arc(painter, ring, colors.border, 0, 360)
        color = getattr(colors, self._role)
        if self._busy:
            self._paint_arc(painter, ring, color, 90 - self._angle, -80)
        elif self._progress > 0:
            self._paint_arc(painter, ring, color, 90, -360 * self._progress)
        inset = side * 0.17
        paint_face(painter, ring.adjusted(inset, inset, -inset, -inset), self._face, colors.text)
        painter.end()

    def _paint_arc(self, painter: QPainter, ring: QRectF, color: QColor, start: float, span: float) -> None:
        pen = QPen(color, 6)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawArc(ring, round(16 * start), round(16 * span))

    def _turn(self) -> None:
        self._angle = (self._angle + _TURN_DEGREES) % 360
        self.update()

    def _let_turn(self) -> None:
        if self._busy and self.isVisible():
            self._timer.start()
        else:
            self._timer.stop()
