"""Parts that several windows are made of: pages with a heading, the list of steps, cards to choose from, large figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPixmap
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
    QWizard,
    QWizardPage,
)

from agora_app.icons import icon
from agora_app.theme import set_role, theme


class Page(QWizardPage):
    """A page with a heading and a line below it."""

    def __init__(self) -> None:
        super().__init__()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(16, 20, 16, 8)
        self.column.setSpacing(12)
        self.heading, self.lead = QLabel(), muted("")
        set_role(self.heading, "heading")
        self.column.addWidget(self.heading)
        self.column.addWidget(self.lead)

    def set_heading(self, heading: str, lead: str) -> None:
        """The words at the top."""
        self.heading.setText(heading)
        self.lead.setText(lead)
        self.setAccessibleName(heading)


class StepList(QWidget):
    """Which steps there are and which one is shown."""

    def __init__(self, titles: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedWidth(190)
        self.titles = tuple(titles)
        self.labels = [QLabel() for _ in titles]
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 28, 12, 12)
        column.setSpacing(14)
        for label in self.labels:
            column.addWidget(label)
        column.addStretch(1)
        self._number = 0
        self.show_step(0)
        theme().changed.connect(self._show_again)

    def show_step(self, number: int) -> None:
        """Mark the steps that are over with a tick and the present one with an arrow and weight."""
        self._number = number
        for place, (label, title) in enumerate(zip(self.labels, self.titles, strict=True)):
            sign = "✓" if place < number else "›" if place == number else "·"
            label.setText(f"{sign}  {title}")
            font = label.font()
            font.setBold(place == number)
            label.setFont(font)
            label.setEnabled(place <= number)

    def _show_again(self) -> None:
        """A new style sheet takes the weights away."""
        self.show_step(self._number)


def style_buttons(wizard: QWizard, *kinds: QWizard.WizardButton) -> None:
    """Let buttons of a wizard stand out as the way forward."""
    for kind in kinds:
        set_role(wizard.button(kind), "primary")
        wizard.style().polish(wizard.button(kind))  # it was polished as an ordinary button when it was made


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
        grid.addWidget(Symbol(icon_name), 0, 0, 4, 1)
        grid.addWidget(self._title, 1, 1)
        grid.addWidget(self._words, 2, 1)
        grid.setColumnStretch(1, 1)
        for row in (0, 3):  # what is left over lies above and below
            grid.setRowStretch(row, 1)
        for label in self.findChildren(QLabel):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(title)

    def set_words(self, words: str) -> None:
        """The line below the title."""
        self._words.setText(words)
        self.setAccessibleDescription(words)
        self.setToolTip(words)


class Figure(QFrame):
    """A number to be read from afar, with its name."""

    def __init__(self, name: str, tooltip: str) -> None:
        super().__init__()
        set_role(self, "card")
        self.setToolTip(tooltip)
        self.value = QLabel()
        self.value.setTextFormat(Qt.TextFormat.RichText)
        self.value.setAccessibleName(name)
        self.name = QLabel(name)
        set_role(self.name, "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 6, 6, 6)
        column.setSpacing(0)
        column.addWidget(self.value)
        column.addWidget(self.name)

    def show_value(self, number: str, unit: str = "") -> None:
        size = round(1.5 * self.fontInfo().pixelSize())
        self.value.setText(f'<span style="font-size:{size}px; font-weight:600">{number}</span>&nbsp;{unit}')


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


class Picture(QLabel):
    """A picture that is scaled to its room; words where there is none."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self._words, self._picture = words, QPixmap()
        set_role(self, "card", "muted")
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setMinimumSize(QSize(200, 200))
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)

    def set_picture(self, picture: QPixmap) -> None:
        self._picture = picture
        self._show()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._show()

    def _show(self) -> None:
        if self._picture.isNull():
            self.setText(self._words)
            return
        ratio = self.devicePixelRatioF()
        room = (self.size() - QSize(8, 8)) * ratio
        scaled = self._picture.scaled(room, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation)
        scaled.setDevicePixelRatio(ratio)
        self.setPixmap(scaled)


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


def centred(label: QLabel, width: int) -> QHBoxLayout:
    """Words of a width in the middle, as high as their lines need: with an alignment of its own a label gets too little."""
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setFixedWidth(width)
    row = QHBoxLayout()
    row.addStretch(1)
    row.addWidget(label)
    row.addStretch(1)
    return row


def muted(text: str) -> QLabel:
    """Less important words, over as many lines as they need."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    set_role(label, "muted")
    return label
