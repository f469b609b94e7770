"""The strip under the picture: its shape, its background, how the camera moves."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QActionGroup, QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QColorDialog, QComboBox, QFileDialog, QHBoxLayout, QLabel, QMenu, QSizePolicy, QToolButton, QWidget

from agora_app.models.view import BACKGROUNDS, CANVASES, ViewModel
from agora_app.settings.store import SettingsStore

SIZES = (256, 384, 512, 720, 1080)
_SWATCHES = {"gradient": "#b4bac4", "green": "#00b140", "blur": "#6d7f95", "transparent": "#00000000"}


class StageBar(QWidget):
    """Shows a `ViewModel` and changes it."""

    def __init__(self, view: ViewModel, store: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._view, self._store = view, store
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 12, 8)
        row.setSpacing(8)
        self.canvas = self._combo([(self._canvas_title(name), name) for name in CANVASES], view.set_canvas,
                                  self.tr("Shape of the picture"))
        self.size = self._combo([(self.tr("{0} px").format(size), size) for size in SIZES], view.set_size,
                                self.tr("Pixels along the shorter side"))
        self.camera = self._combo([(self.tr("Free camera"), "free"), (self.tr("Follow the head"), "follow"),
                                   (self.tr("Slow orbit"), "orbit")], self._set_mode, self.tr("Camera movement"))
        self.background = QToolButton()
        self.background.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.background.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.background.setToolTip(self.tr("What stands behind the head"))
        self.background.setAccessibleName(self.tr("Background"))
        self._menu = self._background_menu()
        self.background.setMenu(self._menu)
        self.hint = QLabel(self.tr("Drag to orbit · wheel to zoom · Shift-drag to move · double click to reset"))
        self.hint.setEnabled(False)
        for widget in (self.canvas, self.size, self.background, self.camera):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.hint, 100)
        self.hint.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.hint.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        view.changed.connect(self._show)
        self._show()

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self.hint.setVisible(self.width() > 900)

    def choose_picture(self) -> None:
        """Ask for a picture file to stand behind the head."""
        path, _ = QFileDialog.getOpenFileName(self, self.tr("Background picture"), str(Path.home()),
                                              self.tr("Pictures (*.png *.jpg *.jpeg *.webp)"))
        if path:
            self._view.set_background(path)

    def choose_colour(self) -> None:
        """Ask for a colour."""
        colour = QColorDialog.getColor(QColor("#23262e"), self, self.tr("Background colour"))
        if colour.isValid():
            self._view.set_background(colour.name())

    def _combo(self, entries, chosen, name: str) -> QComboBox:
        combo = QComboBox()
        combo.setAccessibleName(name)
        combo.setToolTip(name)
        for text, value in entries:
            combo.addItem(text, value)
        combo.activated.connect(lambda index: chosen(combo.itemData(index)))
        return combo

    def _set_mode(self, mode: str) -> None:
        if mode != self._view.pose.mode:
            self._view.set_mode(mode)

    def _background_menu(self) -> QMenu:
        menu = QMenu(self)
        self._backgrounds = QActionGroup(menu)
        for name in BACKGROUNDS:
            action = menu.addAction(_swatch(name), self._background_title(name))
            action.setCheckable(True)
            action.setData(name)
            self._backgrounds.addAction(action)
            action.triggered.connect(lambda _=False, name=name: self._view.set_background(name))
        menu.addSeparator()
        menu.addAction(self.tr("Colour…"), self.choose_colour)
        menu.addAction(self.tr("Picture…"), self.choose_picture)
        return menu

    def _show(self) -> None:
        view = self._store.settings.view
        for combo, value in ((self.canvas, view.canvas), (self.size, view.size), (self.camera, self._view.pose.mode)):
            index = combo.findData(value)
            if index < 0:
                combo.addItem(self.tr("{0} px").format(value), value)
                index = combo.count() - 1
            combo.setCurrentIndex(index)
        for action in self._backgrounds.actions():
            action.setChecked(action.data() == view.background)
        self.background.setText(self._background_title(view.background))
        self.background.setIcon(_swatch(view.background))

    def _canvas_title(self, name: str) -> str:
        return {"square": self.tr("Square 1:1"), "landscape": self.tr("Wide 16:9"), "portrait": self.tr("Tall 9:16")}[name]

    def _background_title(self, name: str) -> str:
        titles = {"gradient": self.tr("Studio wall"), "#23262e": self.tr("Dark"), "white": self.tr("White"),
                  "green": self.tr("Green screen"), "blur": self.tr("Camera, blurred"), "transparent": self.tr("Transparent")}
        return titles.get(name) or Path(name).name


def _swatch(name: str) -> QIcon:
    """A small disc in the background's colour; transparency is a chequered one."""
    size = QSize(32, 32)
    pixmap = QPixmap(size)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor(128, 132, 140))
    colour = QColor(_SWATCHES.get(name, name))
    painter.setBrush(colour if colour.isValid() and colour.alpha() else QColor("#e4e6ea"))
    painter.drawEllipse(3, 3, 26, 26)
    if name == "transparent":
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor("#9aa0aa"))
        painter.drawPie(3, 3, 26, 26, 0, 90 * 16)
        painter.drawPie(3, 3, 26, 26, 180 * 16, 90 * 16)
    painter.end()
    return QIcon(pixmap)
