"""The dock in which the motion is controlled by hand: strength, preset faces, freeze, and every number of the face."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.docks.face_pictogram import face_icon
from agora_app.docks.gain_slider import GainSlider
from agora_app.docks.psi_bars import PsiBars
from agora_app.icons import keep_icon
from agora_app.models.drive import GAINS, PRESETS, DriveModel
from agora_app.theme import current_colors, set_role

_COLUMNS = 5


class PresetButton(QToolButton):
    """A face, its name, and the key that puts it on."""

    def __init__(self, number: int, face: str, title: str, tip: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._face, self._number = face, number
        self.setText(title)
        self.setToolTip(tip)
        self.setAccessibleName(tip)
        self.setCheckable(True)
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        self.setIconSize(QSize(28, 28))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(48)
        font = self.font()
        font.setPointSizeF(max(font.pointSizeF() - 1.5, 7.0) if font.pointSizeF() > 0 else 8.0)
        self.setFont(font)
        self._dress()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "_face"):
            self._dress()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        font = painter.font()
        font.setPixelSize(10)
        painter.setFont(font)
        colors = current_colors()
        painter.setPen(colors.text if self.isChecked() else colors.muted)
        painter.drawText(QRect(0, 3, self.width() - 5, 12), Qt.AlignmentFlag.AlignRight, str(self._number))
        painter.end()

    def _dress(self) -> None:
        self.setIcon(face_icon(self._face, current_colors().text))


class ExpressionDock(QWidget):
    """Shows a `DriveModel` and changes it."""

    def __init__(self, model: DriveModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.gains: dict[str, GainSlider] = {}
        self.presets: dict[int, PresetButton] = {}
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addLayout(self._make_switches())
        column.addLayout(self._make_presets())
        column.addWidget(_heading(self.tr("Strength")))
        column.addLayout(self._make_gains())
        column.addLayout(self._make_details_header())
        column.addWidget(self._make_bars(), 1)
        model.changed.connect(self._show)
        model.psi_shown.connect(self._show_levels)
        self._show()

    # ------------------------------------------------------------------------------------------------------------ building

    def _make_switches(self) -> QHBoxLayout:
        self.freeze = _toggle(self.tr("Freeze"), self.tr("Hold the face and the head as they are (Z)"), "mdi6.snowflake")
        self.freeze.clicked.connect(self._model.set_frozen)
        tip = self.tr("Drive by the difference to a zero pose: for a camera at your side, or a face that rests otherwise than "
                      "the avatar's (E)")
        self.relative = _toggle(self.tr("Relative"), tip, "mdi6.vector-difference")
        self.relative.clicked.connect(self._model.set_relative)
        self.rezero = QPushButton(self.tr("Re-zero"))
        self.rezero.setToolTip(self.tr("Make what you do now the zero pose and the place where the head rests (X)"))
        keep_icon(self.rezero, "mdi6.image-filter-center-focus")
        self.rezero.clicked.connect(self._model.rezero)
        row = QHBoxLayout()
        row.setSpacing(6)
        for button in (self.freeze, self.relative, self.rezero):
            row.addWidget(button, 1)
        return row

    def _make_presets(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setSpacing(4)
        group = QButtonGroup(self)
        group.setExclusive(False)  # a second click takes a face off, so the model decides what is on
        for number, (face, title) in enumerate(zip(("none", *PRESETS), self._preset_titles(), strict=True)):
            tip = self.tr("No preset face (0)") if number == 0 else self.tr("{0} instead of your own expression ({1})").format(
                title, number)
            button = self.presets[number] = PresetButton(number, face, title, tip)
            button.clicked.connect(lambda _=False, number=number: self._choose_preset(number))
            group.addButton(button)
            grid.addWidget(button, number // _COLUMNS, number % _COLUMNS)
        for column in range(_COLUMNS):
            grid.setColumnStretch(column, 1)
        return grid

    def _preset_titles(self) -> tuple[str, ...]:
        return (self.tr("None"), self.tr("Smile"), self.tr("Grin"), self.tr("Surprise"), self.tr("Frown"), self.tr("Wink"),
                self.tr("Pucker"), self.tr("Blink"), self.tr("Open"), self.tr("Puff"))

    def _make_gains(self) -> QVBoxLayout:
        titles = {"brows": self.tr("Brows"), "eyes": self.tr("Eyes"), "jaw": self.tr("Jaw"), "mouth": self.tr("Mouth"),
                  "head": self.tr("Head")}
        column = QVBoxLayout()
        column.setSpacing(2)
        for group in GAINS:
            tip = self.tr("How strongly this part follows you: 0 % holds it, 200 % doubles it.")
            slider = self.gains[group] = GainSlider(titles[group], tip)
            slider.changed.connect(lambda value, group=group: self._model.set_gain(group, value))
            column.addWidget(slider)
        return column

    def _make_details_header(self) -> QHBoxLayout:
        self.filter = QLineEdit()
        self.filter.setPlaceholderText(self.tr("Find a part of the face"))
        self.filter.setAccessibleName(self.tr("Find a part of the face"))
        self.filter.setToolTip(self.tr("Shows only the rows whose name contains this"))
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._filter_rows)
        self.reset = QPushButton(self.tr("Reset all"))
        self.reset.setToolTip(self.tr("Everything as tracked: strengths, offsets, preset face, freeze and relative driving"))
        self.reset.clicked.connect(self._model.reset)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.filter, 1)
        row.addWidget(self.reset)
        return row

    def _make_bars(self) -> QWidget:
        self.bars = PsiBars(self._model.psi_columns())
        self.bars.offset_wanted.connect(self._model.set_offset)
        self.nothing_found = QLabel(self.tr("No part of the face is called that."))
        self.nothing_found.setAlignment(Qt.AlignmentFlag.AlignCenter)
        set_role(self.nothing_found, "muted")
        self.nothing_found.hide()
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.nothing_found)
        column.addWidget(self.bars)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(content)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setMinimumHeight(120)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.bars.line_selected.connect(lambda rect: scroll.ensureVisible(0, rect.center().y(), 0, rect.height()))
        return scroll

    # ------------------------------------------------------------------------------------------------------------- showing

    def _show(self) -> None:
        model = self._model
        for group, slider in self.gains.items():
            slider.show_value(model.gain(group))
        for number, button in self.presets.items():
            button.setChecked(number == (model.preset or 0))
        self.freeze.setChecked(model.frozen)
        self.relative.setChecked(model.relative)
        self.bars.show_offsets([model.offset(row.name) for row in model.psi_columns()])
        self.reset.setEnabled(not model.controls.is_neutral or model.frozen or model.relative)

    def _show_levels(self, values) -> None:
        if self.bars.isVisible():
            self.bars.show_levels(values)

    def _choose_preset(self, number: int) -> None:
        self._model.apply_preset(number)
        self._show()  # also where nothing has changed: the click has toggled the button

    def _filter_rows(self, text: str) -> None:
        self.nothing_found.setVisible(self.bars.set_filter(text) == 0)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


def _toggle(text: str, tip: str, icon: str) -> QPushButton:
    button = QPushButton(text)
    button.setCheckable(True)
    button.setToolTip(tip)
    keep_icon(button, icon)
    return button
