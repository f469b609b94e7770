"""Icons by name, in the colours of the theme."""

from __future__ import annotations

import logging
from pathlib import Path

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QApplication

from agora_app.theme import Colors, theme

log = logging.getLogger(__name__)
_OBJECT = "agora-icons"


class IconCase(QObject):
    """Makes each icon once for every theme; belongs to the application."""

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self.setObjectName(_OBJECT)
        self._made: dict[tuple[str, str, str], QIcon] = {}
        app.aboutToQuit.connect(self._made.clear)  # an icon that outlives the application takes the process down
        self._font = None
        self._can_load = True

    def icon(self, name: str, role: str, colors: Colors) -> QIcon:
        """An icon of the Material Design set, such as "mdi6.record", in a colour of a theme."""
        key = (name, role, colors.theme)
        if key not in self._made:
            self._made[key] = self._make(name, getattr(colors, role), colors)
        return self._made[key]

    def _make(self, name: str, color: QColor, colors: Colors) -> QIcon:
        if self._can_load:
            try:
                if self._font is None:
                    self._font = _load_font()
                made = self._font.icon(name, color=color, color_disabled=colors.faint)
                if not made.isNull():
                    return made
            except Exception as error:  # the font's file is missing, unreadable or refused by the system, or the name is wrong
                # A wrong name says so; anything else is true of every icon, and is told once.
                self._can_load = name.split(".")[-1] in str(error)
                log.warning("the icon %s cannot be made: %s", name, error)
        return _plain_icon(color)


def icon(name: str, role: str = "text") -> QIcon:
    """An icon in a colour of the present theme; a plain disc where icons cannot be loaded.

    Args:
        name: with its set, such as "mdi6.record".
        role: a colour of `agora_app.theme.Colors`.
    """
    app = QApplication.instance()
    case = app.findChild(IconCase, _OBJECT, Qt.FindChildOption.FindDirectChildrenOnly)
    return (case if case is not None else IconCase(app)).icon(name, role, theme().colors)


def keep_icon(target: QObject, name: str, role: str = "text") -> None:
    """Give an action or button an icon that follows the theme as long as it lives."""
    follower = target.findChild(_Follower, "", Qt.FindChildOption.FindDirectChildrenOnly) or _Follower(target)
    follower.follow(name, role)


class _Follower(QObject):
    """Sets its parent's icon anew when the theme changes."""

    def __init__(self, target: QObject) -> None:
        super().__init__(target)
        self._name, self._role = "", "text"
        theme().changed.connect(self._show)

    def follow(self, name: str, role: str) -> None:
        self._name, self._role = name, role
        self._show()

    def _show(self) -> None:
        self.parent().setIcon(icon(self._name, self._role))


def _load_font():
    """The one set that is used: the library's own way loads a dozen, which takes ten times as long."""
    import qtawesome
    from qtawesome.iconic_font import IconicFont

    folder = Path(qtawesome.__file__).parent / "fonts"
    (letters,), (names,) = folder.glob("materialdesignicons6*.ttf"), folder.glob("materialdesignicons6*charmap*.json")
    return IconicFont(("mdi6", letters.name, names.name))


def _plain_icon(color: QColor) -> QIcon:
    pixmap = QPixmap(32, 32)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawEllipse(9, 9, 14, 14)
    painter.end()
    return QIcon(pixmap)
