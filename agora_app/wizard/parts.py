"""Small parts of the wizard's pages."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPixmap
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QWidget

from agora_app.icons import icon
from agora_app.theme import set_role, theme


class Choice(QPushButton):
    """A large button that stays pressed, one of several."""

    def __init__(self, icon_name: str, title: str) -> None:
        super().__init__()
        self.setCheckable(True)
        self.setAutoExclusive(True)
        self.setAutoDefault(False)
        self.setMinimumHeight(76)
        self._title = QLabel(title)
        font = self._title.font()
        font.setBold(True)
        self._title.setFont(font)
        self._words = muted("")
        grid = QGridLayout(self)
        grid.setContentsMargins(16, 12, 16, 12)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(2)
        grid.addWidget(Symbol(icon_name), 0, 0, 2, 1)
        grid.addWidget(self._title, 0, 1)
        grid.addWidget(self._words, 1, 1)
        grid.setColumnStretch(1, 1)
        for label in self.findChildren(QLabel):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(title)

    def set_words(self, words: str) -> None:
        """The line below the title."""
        self._words.setText(words)
        self.setAccessibleDescription(words)
        self.setToolTip(words)


class Symbol(QLabel):
    """An icon that follows the theme."""

    def __init__(self, name: str, size: int = 28) -> None:
        super().__init__()
        self._name, self._size = name, size
        self.setFixedWidth(size)
        self._show()
        theme().changed.connect(self._show)

    def _show(self) -> None:
        self.setPixmap(icon(self._name, "accent").pixmap(self._size, self._size))


class Banner(QLabel):
    """A wide picture with round corners, made for screens of twice the usual density."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        picture = QPixmap(str(path))
        rounded = QPixmap(picture.size())
        rounded.fill(Qt.GlobalColor.transparent)
        if not picture.isNull():
            painter = QPainter(rounded)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            outline = QPainterPath()
            outline.addRoundedRect(QRectF(picture.rect()), 16, 16)
            painter.setClipPath(outline)
            painter.drawPixmap(0, 0, picture)
            painter.end()
        rounded.setDevicePixelRatio(2.0)
        self.setPixmap(rounded)
        self.setAccessibleName(self.tr("Six of the synthetic people"))


def point(icon_name: str, title: str, words: str) -> QWidget:
    """A card that says one thing."""
    card = QFrame()
    set_role(card, "card")
    grid = QGridLayout(card)
    grid.setContentsMargins(16, 12, 16, 12)
    grid.setHorizontalSpacing(16)
    grid.setVerticalSpacing(2)
    label = QLabel(title)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    grid.addWidget(Symbol(icon_name), 0, 0, 2, 1)
    grid.addWidget(label, 0, 1)
    grid.addWidget(muted(words), 1, 1)
    grid.setColumnStretch(1, 1)
    return card


def muted(text: str) -> QLabel:
    """Less important words, over as many lines as they need."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    set_role(label, "muted")
    return label
