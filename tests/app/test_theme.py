"""Themes and icons: contrast by the formula of WCAG, palettes that are really used, icons that follow."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QColor, QPalette
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton, QVBoxLayout, QWidget

from agora_app import icons
from agora_app.icons import icon, keep_icon
from agora_app.theme import DARK, LIGHT, THEMES, Colors, apply_theme, current_colors, make_style_sheet, theme
from core.assets import resource

GROUNDS = ("window", "base", "card", "button")
PAIRS = [(words, ground) for words in ("text", "muted", "accent", "ok", "warn", "bad") for ground in GROUNDS]
PAIRS += [("text", "hover"), ("text", "accent_soft"), ("on_accent", "accent"), ("on_accent", "accent_hover"), ("muted", "hover")]


def luminance(color: QColor) -> float:
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (color.redF(), color.greenF(), color.blueF())]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: QColor, other: QColor) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula_itself():
    assert contrast(QColor("black"), QColor("white")) == pytest.approx(21)
    assert contrast(QColor("#777777"), QColor("white")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("colors", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize(("words", "ground"), PAIRS)
def test_words_can_be_read(colors, words, ground):
    assert contrast(getattr(colors, words), getattr(colors, ground)) >= 4.5


@pytest.mark.parametrize("colors", [DARK, LIGHT], ids=["dark", "light"])
def test_the_focus_ring_stands_out(colors):
    for ground in GROUNDS:
        assert contrast(colors.accent, getattr(colors, ground)) >= 3


@pytest.fixture
def clean(qapp):
    yield
    qapp.setStyleSheet("")
    qapp.setPalette(QPalette())


@pytest.mark.parametrize("name", ["dark", "light"])
def test_every_widget_gets_the_colours(qapp, qtbot, clean, name):
    widget = QWidget()
    qtbot.addWidget(widget)
    apply_theme(qapp, name)
    colors = {"dark": DARK, "light": LIGHT}[name]
    assert current_colors() is colors
    widget.resize(40, 40)
    widget.show()
    assert widget.palette().color(QPalette.ColorRole.Window) == colors.window
    assert widget.grab().toImage().pixelColor(20, 20) == colors.window
    qapp.setStyleSheet("")  # which hides the name of the style
    assert qapp.style().name().lower() == "fusion"


def test_a_window_that_is_open_changes_too(qapp, qtbot, theme_dark):
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.resize(40, 40)
    widget.show()
    apply_theme(qapp, "light")
    assert widget.grab().toImage().pixelColor(20, 20) == LIGHT.window


def test_focus_can_be_seen(qtbot, theme_dark):
    window = QWidget()
    qtbot.addWidget(window)
    column = QVBoxLayout(window)
    first, second = QLineEdit(), QPushButton("Press")
    column.addWidget(first)
    column.addWidget(second)
    window.show()
    window.activateWindow()
    for widget in (first, second):
        widget.clearFocus()
        before = widget.grab().toImage()
        widget.setFocus()
        qtbot.waitUntil(widget.hasFocus)
        after = widget.grab().toImage()
        edge = after.pixelColor(after.width() // 2, 0)
        assert edge != before.pixelColor(after.width() // 2, 0)
        assert contrast(edge, DARK.window) >= 3


def test_system_follows_the_system(qapp, clean):
    apply_theme(qapp, "system")
    wanted = LIGHT if qapp.styleHints().colorScheme() == Qt.ColorScheme.Light else DARK
    assert current_colors() is wanted


def test_whoever_paints_is_told(qapp, qtbot, clean):
    with qtbot.waitSignal(theme().changed):
        apply_theme(qapp, "light")


def test_an_unknown_theme_is_refused(qapp):
    with pytest.raises(ValueError, match="pink"):
        apply_theme(qapp, "pink")
    assert THEMES == ("system", "dark", "light")


@pytest.mark.parametrize("colors", [DARK, LIGHT], ids=["dark", "light"])
def test_the_style_sheet_is_whole(colors):
    text = make_style_sheet(colors)
    assert "$" not in text
    for path in re.findall(r'url\("([^"]+)"\)', text):
        assert resource("window").joinpath(path).is_file(), path
    assert (resource("window") / "style.qss").read_text().count("\n") <= 150


def test_all_colours_differ_between_the_themes():
    assert all(getattr(DARK, field.name) != getattr(LIGHT, field.name) for field in fields(Colors))


def test_icons_are_made_once_and_in_the_colours_of_the_theme(qapp, theme_dark):
    one = icon("mdi6.record")
    assert icon("mdi6.record") is one
    assert not one.isNull()

    def colours(made):
        image = made.pixmap(32, 32).toImage()
        return {image.pixelColor(x, y).name() for x in range(32) for y in range(32) if image.pixelColor(x, y).alpha() == 255}

    assert DARK.text.name() in colours(one)
    apply_theme(qapp, "light")
    assert LIGHT.text.name() in colours(icon("mdi6.record"))
    assert LIGHT.bad.name() in colours(icon("mdi6.record", "bad"))


def test_a_kept_icon_follows_the_theme(qapp, theme_dark):
    action = QAction("x", qapp)
    keep_icon(action, "mdi6.star")
    before = action.icon().cacheKey()
    keep_icon(action, "mdi6.heart")
    assert action.icon().cacheKey() != before
    assert len(action.findChildren(icons._Follower)) == 1
    before = action.icon().cacheKey()
    apply_theme(qapp, "light")
    assert action.icon().cacheKey() != before
    action.deleteLater()


def test_icons_that_cannot_be_loaded_become_a_plain_sign(qapp, theme_dark, monkeypatch, caplog):
    def refuse():
        raise OSError("no such font")

    monkeypatch.setattr(icons, "_load_font", refuse)
    case = icons.IconCase(QApplication.instance())
    made = [case.icon(name, "text", DARK) for name in ("mdi6.record", "mdi6.star")]
    case.deleteLater()
    assert all(not one.pixmap(16, 16).isNull() for one in made)
    assert caplog.text.count("no such font") == 1


def test_a_wrong_name_does_not_stop_the_others(qapp, theme_dark):
    case = icons.IconCase(QApplication.instance())
    assert not case.icon("mdi6.there-is-no-such-icon", "text", DARK).isNull()
    good = case.icon("mdi6.star-four-points", "text", DARK)
    case.deleteLater()
    assert good.pixmap(32, 32).toImage() != icons._plain_icon(DARK.text).pixmap(32, 32).toImage()
