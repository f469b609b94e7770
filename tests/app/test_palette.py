"""The command palette: what is found, what Enter, arrows, Esc and the mouse do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QMainWindow

from agora_app.actions import ActionRegistry
from agora_app.dialogs.palette import KEYS_ROLE, SPEC_ROLE, CommandPalette
from agora_app.fuzzy import match

CONNECTED = ("file.open_video", "identity.roll", "view.frame", "view.reset", "live.mirror", "record.rerender", "record.toggle",
             "view.fullscreen", "tools.palette", "preset.3")


# -------------------------------------------------------------------------------------------------------------------- finding


@pytest.mark.parametrize(("query", "text"), [("fth", "Frame the head"), ("frame", "Frame the head"), ("HEAD", "Frame the head"),
                                             ("fr he", "Frame the head"), ("he fr", "Frame the head"), ("", "anything"),
                                             ("mark", "Landmarks"), ("nrp", "New random person")])
def test_found(query, text):
    assert match(query, text) is not None


@pytest.mark.parametrize(("query", "text"), [("xq", "Frame the head"), ("fm", "Frame the head"), ("headframe", "Frame the head"),
                                             ("a", ""), ("reta", "Set the neutral pose")])
def test_not_found(query, text):
    assert match(query, text) is None


def test_better_matches_score_higher():
    def score(query, text):
        return match(query, text).score

    assert score("re", "Record") > score("re", "Mirror red")
    assert score("frame", "Frame the head") > score("frame", "Frame rate and latency")
    assert score("ls", "Log sheet") > score("ls", "Calls")


WORDS = st.lists(st.text(alphabet="abcdef", min_size=1, max_size=6), min_size=1, max_size=4)


@given(words=WORDS, query=st.text("abcdef ", max_size=5))
def test_found_letters_are_those_of_the_query(words, query):
    text = " ".join(words)
    found = match(query, text)
    if found is None:
        return
    assert list(found.places) == sorted(set(found.places))
    assert {text[place] for place in found.places} == set(query.replace(" ", ""))


@given(words=WORDS, data=st.data())
def test_every_piece_of_a_text_finds_it(words, data):
    text = " ".join(words)
    word = data.draw(st.sampled_from(words))
    start = data.draw(st.integers(0, len(word) - 1))
    assert match(word[start:], text) is not None
    assert match("".join(part[0] for part in words), text) is not None


# -------------------------------------------------------------------------------------------------------------------- the box


@pytest.fixture
def registry(qtbot, store):
    window = QMainWindow()
    window.resize(900, 700)
    qtbot.addWidget(window)
    registry = ActionRegistry(window, store)
    registry.fired = []
    for name in CONNECTED:
        registry.connect(name, lambda name=name: registry.fired.append(name))
    registry.window = window
    window.show()
    return registry


@pytest.fixture
def palette(registry, qtbot):
    palette = CommandPalette(registry, registry.window)
    palette.open()
    qtbot.waitUntil(palette.search.hasFocus)
    return palette


def shown(palette):
    return [palette.model.index(row, 0).data(SPEC_ROLE).id for row in range(palette.model.rowCount())]


def is_open():
    return any(isinstance(widget, CommandPalette) and widget.isVisible() for widget in QApplication.topLevelWidgets())


def test_it_offers_what_can_be_done_now_in_the_order_of_the_menus(palette, registry):
    assert shown(palette) == ["file.open_video", "view.frame", "view.reset", "view.fullscreen", "identity.roll", "preset.3",
                              "live.mirror", "record.toggle", "record.rerender"]
    registry.action("view.frame").setEnabled(False)
    palette.model.search("")
    assert "view.frame" not in shown(palette)


def test_typing_finds_the_best_first(palette, qtbot):
    qtbot.keyClicks(palette.search, "rec")
    assert shown(palette)[:2] == ["record.toggle", "record.rerender"]  # by title, then by the name of the menu
    palette.search.setText("rr")
    assert shown(palette) == ["record.rerender", "live.mirror"]  # beginnings of words before what is inside one


def test_shortcuts_are_shown(palette, registry):
    keys = {palette.model.index(row, 0).data(SPEC_ROLE).id: palette.model.index(row, 0).data(KEYS_ROLE)
            for row in range(palette.model.rowCount())}
    assert keys["identity.roll"] == "Q"
    assert keys["record.rerender"] == ""


def test_enter_runs_and_closes_first(palette, registry, qtbot):
    was_open = []
    registry.connect("identity.roll", lambda: was_open.append(is_open()))
    qtbot.keyClicks(palette.search, "random")
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert registry.fired == ["identity.roll"]
    assert was_open == [False]


def test_arrows_choose(palette, registry, qtbot):
    qtbot.keyClick(palette.search, Qt.Key.Key_Down)
    qtbot.keyClick(palette.search, Qt.Key.Key_Down)
    qtbot.keyClick(palette.search, Qt.Key.Key_Up)
    qtbot.keyClick(palette.search, Qt.Key.Key_Enter)
    assert registry.fired == ["view.frame"]


def test_a_click_runs(palette, registry, qtbot):
    place = palette.list.visualRect(palette.model.index(2, 0)).center()
    qtbot.mouseClick(palette.list.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert registry.fired == ["view.reset"]
    assert not is_open()


def test_escape_closes_without_running(palette, registry, qtbot):
    qtbot.keyClick(palette.search, Qt.Key.Key_Escape)
    assert registry.fired == []
    assert not is_open()


def test_nothing_found_says_so_and_enter_does_nothing(palette, registry, qtbot):
    qtbot.keyClicks(palette.search, "zzz")
    assert palette.nothing.isVisible()
    assert not palette.list.isVisible()
    qtbot.keyClick(palette.search, Qt.Key.Key_Return)
    assert registry.fired == []
    palette.close()


def test_it_closes_when_something_else_is_used(palette, registry, qtbot):
    qtbot.waitUntil(palette.isActiveWindow)
    registry.window.activateWindow()
    qtbot.waitUntil(lambda: not is_open())


def test_it_stands_in_the_middle_of_its_window(palette, registry):
    window = registry.window.geometry()
    assert abs(palette.geometry().center().x() - window.center().x()) <= 2
    assert window.contains(palette.geometry().topLeft())
    palette.close()


def test_every_row_paints_in_both_themes(palette, theme_dark):
    palette.search.setText("re")
    assert not palette.grab().isNull()
    palette.close()
