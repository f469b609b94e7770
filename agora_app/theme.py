"""The look of the window: one accent, a dark and a light set of colours, the same on every system.

Widgets may ask for a role with a dynamic property: `primary`, `danger` and `flat` on buttons, `muted`, `heading` and `key` on
labels, `card` on frames (all set to True).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, fields
from string import Template

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFontDatabase, QGuiApplication, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory, QWidget

from core.assets import resource

log = logging.getLogger(__name__)
THEMES = ("system", "dark", "light")
_STYLE, _OBJECT = "Fusion", "agora-theme"


@dataclass(frozen=True)
class Colors:
    """The colours of a theme, for palettes, style sheets and painters.

    Attributes:
        theme: "dark" or "light".
        window, base, card: behind everything; behind what is typed or listed; raised panels.
        button, hover, pressed: of buttons.
        line, border, edge: outlines, from faint to clear.
        text, muted, faint: words; less important words; what is disabled.
        accent, on_accent: the one colour of attention, and words on it.
        accent_hover, accent_soft: the accent under the mouse, and as a background of words.
        ok, warn, bad: states; never the only sign of them.
    """

    theme: str
    window: QColor
    base: QColor
    card: QColor
    button: QColor
    hover: QColor
    pressed: QColor
    line: QColor
    border: QColor
    edge: QColor
    text: QColor
    muted: QColor
    faint: QColor
    accent: QColor
    on_accent: QColor
    accent_hover: QColor
    accent_soft: QColor
    ok: QColor
    warn: QColor
    bad: QColor


def _colors(theme: str, **values: str) -> Colors:
    return Colors(theme, **{name: QColor(value) for name, value in values.items()})


DARK = _colors("dark", window="#1b1e25", base="#14171c", card="#242831", button="#2a2f39", hover="#333945", pressed="#20242c",
               line="#2b303a", border="#383e4b", edge="#596274", text="#e9ecf2", muted="#a3acbb", faint="#6b7484",
               accent="#6ea8fe", on_accent="#0b1220", accent_hover="#8bbaff", accent_soft="#2b4368",
               ok="#5fd08a", warn="#f2bd55", bad="#ff8585")
LIGHT = _colors("light", window="#f3f4f7", base="#ffffff", card="#ffffff", button="#ffffff", hover="#e8ebf1", pressed="#dce0e8",
                line="#e4e7ed", border="#d0d5de", edge="#98a1b0", text="#1b2029", muted="#566070", faint="#949cab",
                accent="#1f5fd0", on_accent="#ffffff", accent_hover="#184eb0", accent_soft="#d3e2fd",
                ok="#15703c", warn="#8a5300", bad="#b3261e")


class Theme(QObject):
    """The theme in force; belongs to the application.

    Signals:
        changed: colours are different now. Widgets also get their usual palette events.
    """

    changed = Signal()

    def __init__(self, app: QApplication) -> None:
        super().__init__(app)
        self.setObjectName(_OBJECT)
        self.colors = DARK
        self._wanted = "system"
        self._applying = False
        self._styled = False  # a style behind a style sheet does not tell its name
        app.styleHints().colorSchemeChanged.connect(self._follow)

    def apply(self, wanted: str) -> None:
        """Use "system", "dark" or "light". Raises ValueError for anything else."""
        if wanted not in THEMES:
            raise ValueError(f"there is no theme {wanted!r}")
        self._wanted = wanted
        app = QApplication.instance()
        self._applying = True
        self.colors = {Qt.ColorScheme.Dark: DARK, Qt.ColorScheme.Light: LIGHT}[_settle_scheme(app, wanted)]
        if not self._styled:
            app.setStyle(QStyleFactory.create(_STYLE))
            self._styled = True
        app.setPalette(make_palette(self.colors))
        app.setStyleSheet(make_style_sheet(self.colors))
        self._applying = False
        self.changed.emit()

    def _follow(self) -> None:
        """The system has changed between light and dark."""
        if self._wanted == "system" and not self._applying:
            self.apply("system")


def theme() -> Theme:
    """The theme of the running application."""
    app = QApplication.instance()
    found = app.findChild(Theme, _OBJECT, Qt.FindChildOption.FindDirectChildrenOnly)
    return found if found is not None else Theme(app)


def apply_theme(app: QApplication, wanted: str) -> None:
    """Give the whole application a theme: "system", "dark" or "light"."""
    if not QFontDatabase.families():
        log.error("there is no font on this system, so no text can be shown; on Debian install fonts-dejavu-core")
    theme().apply(wanted)


def current_colors() -> Colors:
    """The colours in force, for painters; ask anew at every painting."""
    return theme().colors


def set_role(widget: QWidget, *roles: str) -> None:
    """Give a widget roles of the style sheet, such as "primary" or "muted"."""
    for role in roles:
        widget.setProperty(role, True)


def _settle_scheme(app: QGuiApplication, wanted: str) -> Qt.ColorScheme:
    """Ask the system for a colour scheme, so that title bars and file dialogs agree, and say which one to paint."""
    hints = app.styleHints()
    asked = {"system": Qt.ColorScheme.Unknown, "dark": Qt.ColorScheme.Dark, "light": Qt.ColorScheme.Light}[wanted]
    hints.setColorScheme(asked)
    got = hints.colorScheme()
    if asked is Qt.ColorScheme.Unknown:
        # Bare systems do not say what they like: dark, as the stage is dark.
        return Qt.ColorScheme.Light if got is Qt.ColorScheme.Light else Qt.ColorScheme.Dark
    if got is not asked:
        log.debug("the system does not take the colour scheme %s; the palette alone makes it", wanted)
    return asked


def make_palette(colors: Colors) -> QPalette:
    """The palette of a theme, for what a style sheet does not reach and for painters that know Qt only."""
    role, group = QPalette.ColorRole, QPalette.ColorGroup
    palette = QPalette()
    for name, color in {
        role.Window: colors.window, role.WindowText: colors.text, role.Base: colors.base, role.AlternateBase: colors.card,
        role.Text: colors.text, role.PlaceholderText: colors.muted, role.Button: colors.button, role.ButtonText: colors.text,
        role.BrightText: colors.bad, role.ToolTipBase: colors.card, role.ToolTipText: colors.text, role.Highlight: colors.accent,
        role.HighlightedText: colors.on_accent, role.Link: colors.accent, role.LinkVisited: colors.accent,
        role.Accent: colors.accent, role.Light: colors.hover, role.Midlight: colors.button, role.Mid: colors.border,
        role.Dark: colors.line, role.Shadow: colors.base,
    }.items():
        palette.setColor(name, color)
    for name in (role.WindowText, role.Text, role.ButtonText, role.HighlightedText):
        palette.setColor(group.Disabled, name, colors.faint)
    palette.setColor(group.Disabled, role.Highlight, colors.border)
    return palette


def make_style_sheet(colors: Colors) -> str:
    """The style sheet of a theme."""
    names = {field.name: getattr(colors, field.name) for field in fields(Colors)}
    values = {name: value.name() if isinstance(value, QColor) else value for name, value in names.items()}
    folder = resource("window")
    text = (folder / "style.qss").read_text(encoding="utf-8")
    return Template(text).substitute(values, images=folder.as_posix())
