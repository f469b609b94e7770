"""The button that Return presses."""

from __future__ import annotations

from PySide6.QtWidgets import QPushButton

_AROUND_TEXT = 40  # pixels: padding and border on both sides


def make_default(button: QPushButton) -> None:
    """Make a button the default one of its dialog. The theme writes it bold, for which the layout has to leave room."""
    font = button.font()
    font.setBold(True)
    button.setFont(font)
    button.setMinimumWidth(button.fontMetrics().horizontalAdvance(button.text()) + _AROUND_TEXT)
    button.setDefault(True)
