"""A slider with its name and its value, that a double click puts back."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget


class _Slider(QSlider):
    reset_wanted = Signal()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self.reset_wanted.emit()

    def wheelEvent(self, event) -> None:
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()  # scrolling past must not change it


class GainSlider(QWidget):
    """Shows a factor in per cent.

    Signals:
        changed: (value, 1 = 100 %) by the user.

    Args:
        title: beside the slider.
        tip: what it does.
        highest, usual: largest value and the one a double click goes back to, 1 = 100 %.
        title_width: pixels, so that several stand in line.
    """

    changed = Signal(float)

    def __init__(self, title: str, tip: str, highest: float = 2.0, usual: float = 1.0, title_width: int = 64,
                 parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._usual = usual
        label = QLabel(title)
        label.setMinimumWidth(title_width)
        self.slider = _Slider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, round(100 * highest))
        self.slider.setSingleStep(5)
        self.slider.setPageStep(25)
        self.slider.setAccessibleName(title)
        self.slider.setToolTip(self.tr("{0} Double click for {1} %.").format(tip, round(100 * usual)))
        self.value = QLabel()
        self.value.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.value.setMinimumWidth(self.value.fontMetrics().horizontalAdvance("000 %") + 4)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(label)
        row.addWidget(self.slider, 1)
        row.addWidget(self.value)
        label.setBuddy(self.slider)
        self.slider.valueChanged.connect(self._on_moved)
        self.slider.reset_wanted.connect(lambda: self.slider.setValue(round(100 * self._usual)))
        self.show_value(usual)

    def show_value(self, value: float) -> None:
        """Show a value without telling."""
        self.slider.blockSignals(True)
        self.slider.setValue(round(100 * value))
        self.slider.blockSignals(False)
        self._write()

    def _on_moved(self, percent: int) -> None:
        self._write()
        self.changed.emit(percent / 100)

    def _write(self) -> None:
        self.value.setText(self.tr("{0} %").format(self.slider.value()))
