"""A bar that shows how loud the microphone is."""

from __future__ import annotations

import math

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from agora_app.theme import current_colors

FLOOR_DB = -54.0
_LOUD, _TOO_LOUD = -9.0, -3.0
_SEGMENTS, _GAP, _HEIGHT = 27, 2, 10


class LevelMeter(QWidget):
    """Segments of 2 dB; loudness is also said in words for screen readers and in the tool tip."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Level of the microphone"))
        self._decibels = FLOOR_DB
        self._on = False
        self._say()

    def sizeHint(self) -> QSize:
        return QSize(160, _HEIGHT)

    @property
    def lit(self) -> int:
        """Segments that are lit."""
        return round((self._decibels - FLOOR_DB) / -FLOOR_DB * _SEGMENTS) if self._on else 0

    def set_level(self, level: float | None) -> None:
        """Show a loudness, 0..1; None when no microphone is open."""
        before = self.lit, self._on
        self._on = level is not None
        self._decibels = FLOOR_DB if not level else min(0.0, max(FLOOR_DB, 20 * math.log10(level)))
        if (self.lit, self._on) != before:
            self._say()
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        colors = current_colors()
        painter = QPainter(self)
        painter.setPen(Qt.PenStyle.NoPen)
        width = (self.width() - _GAP * (_SEGMENTS - 1)) / _SEGMENTS
        for index in range(_SEGMENTS):
            decibels = FLOOR_DB * (1 - (index + 1) / _SEGMENTS)
            color = colors.bad if decibels > _TOO_LOUD else colors.warn if decibels > _LOUD else colors.ok
            painter.setBrush(color if index < self.lit else colors.line if self._on else colors.base)
            painter.drawRoundedRect(QRectF(index * (width + _GAP), (self.height() - _HEIGHT) / 2, width, _HEIGHT), 1.5, 1.5)

    def _say(self) -> None:
        words = self._words()
        self.setAccessibleDescription(words)
        self.setToolTip(words)

    def _words(self) -> str:
        if not self._on:
            return self.tr("No microphone is open")
        if self._decibels > _TOO_LOUD:
            return self.tr("Too loud: speak more softly or turn the microphone down")
        return self.tr("Silent") if self._decibels <= FLOOR_DB else self.tr("{0:.0f} dB").format(self._decibels)
