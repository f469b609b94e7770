"""The sheet of shortcuts: shows them all, finds them, changes them with real keys, says what collides."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMainWindow, QMessageBox

from agora_app.action_table import ACTIONS
from agora_app.actions import ActionRegistry
from agora_app.dialogs.shortcuts import NARROW, ShortcutDialog, ShortcutSheet, is_found


@pytest.fixture
def registry(qtbot, store):
    window = QMainWindow()
    qtbot.addWidget(window)
    registry = ActionRegistry(window, store)
    registry.window = window  # which owns it
    return registry


@pytest.fixture
def sheet(registry, qtbot):
    sheet = ShortcutSheet(registry)
    qtbot.addWidget(sheet)
    sheet.resize(760, 600)
    sheet.show()
    return sheet


def shown(sheet):
    return {name for name, row in sheet.rows.items() if row.isVisible()}


def start_change(sheet, qtbot, name):
    sheet.rows[name].click()
    qtbot.mouseClick(sheet.editor.change, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: sheet.editor.keys.hasFocus() or sheet.editor.keys.focusWidget() is not None)


def press(sheet, qtbot, key, modifier=Qt.KeyboardModifier.NoModifier):
    qtbot.keyClick(sheet.editor.keys, key, modifier)


def test_every_action_is_on_it_with_its_key(sheet, registry):
    assert set(sheet.rows) == {spec.id for spec in ACTIONS if not spec.submenu}
    assert sheet.rows["identity.roll"].keys.text() == "Q"
    assert sheet.rows["tools.doctor"].keys.text() == "–"
    assert "no shortcut" in sheet.rows["tools.doctor"].accessibleName()


def test_search_by_title_and_by_key(sheet, registry, qtbot):
    qtbot.keyClicks(sheet.search, "mirror")
    assert shown(sheet) == {"live.mirror"}
    sheet.search.setText("q")
    assert "identity.roll" in shown(sheet)
    sheet.search.setText("ctrl+shift+p")
    assert shown(sheet) == {"tools.palette"}
    sheet.search.clear()
    assert len(shown(sheet)) == len(sheet.rows)
    assert is_found(registry, registry.spec("live.mirror"), "mir")
    assert not is_found(registry, registry.spec("live.mirror"), "zzz")


def test_a_free_key_is_said_to_be_free_and_used(sheet, registry, store, qtbot):
    start_change(sheet, qtbot, "live.mirror")
    assert not sheet.editor.use.isEnabled()
    press(sheet, qtbot, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    assert sheet.editor.words.text() == "Ctrl+K is free."
    qtbot.mouseClick(sheet.editor.use, Qt.MouseButton.LeftButton)
    assert store.settings.shortcuts == {"live.mirror": "Ctrl+K"}
    assert sheet.rows["live.mirror"].keys.text() == "Ctrl+K"
    assert not sheet.editor.keys.isVisible()


def test_a_taken_key_is_said_whose_it_is_before_it_is_taken(sheet, registry, qtbot):
    start_change(sheet, qtbot, "live.mirror")
    press(sheet, qtbot, Qt.Key.Key_R)
    assert "“Record”" in sheet.editor.words.text()
    assert sheet.editor.use.text() == "Use anyway"
    assert registry.shortcut_text("record.toggle") == "R"
    qtbot.mouseClick(sheet.editor.use, Qt.MouseButton.LeftButton)
    assert registry.shortcut_text("live.mirror") == "R"
    assert sheet.rows["record.toggle"].keys.text() == "–"


def test_cancel_changes_nothing(sheet, store, qtbot):
    start_change(sheet, qtbot, "live.mirror")
    press(sheet, qtbot, Qt.Key.Key_R)
    qtbot.mouseClick(sheet.editor.cancel, Qt.MouseButton.LeftButton)
    assert store.settings.shortcuts == {}


def test_remove_and_reset(sheet, registry, store, qtbot):
    sheet.rows["live.mirror"].click()
    assert not sheet.editor.reset.isEnabled()
    sheet.editor.remove.click()
    assert registry.shortcut("live.mirror").isEmpty()
    assert sheet.editor.reset.isEnabled()
    assert not sheet.editor.remove.isEnabled()
    sheet.editor.reset.click()
    assert registry.shortcut_text("live.mirror") == "M"


@pytest.mark.parametrize(("answer", "kept"), [(QMessageBox.StandardButton.Yes, {}),
                                              (QMessageBox.StandardButton.No, {"live.mirror": "K"})])
def test_reset_all_asks(sheet, registry, store, monkeypatch, answer, kept):
    registry.set_shortcut("live.mirror", "K")
    monkeypatch.setattr(QMessageBox, "question", lambda *arguments: answer)
    sheet.editor.reset_all.click()
    assert store.settings.shortcuts == kept


def test_one_column_where_there_is_little_room(sheet, qtbot):
    def lefts():
        return {group.mapTo(sheet, group.rect().topLeft()).x() for group in sheet._groups}

    assert len(lefts()) == 2
    sheet.resize(NARROW - 20, 600)
    qtbot.waitUntil(lambda: len(lefts()) == 1)
    assert min(group.width() for group in sheet._groups) > sheet.width() * 0.8
    assert len(shown(sheet)) == len(sheet.rows)


def test_only_one_row_is_chosen(sheet):
    sheet.rows["live.mirror"].click()
    sheet.rows["live.freeze"].click()
    assert [name for name, row in sheet.rows.items() if row.isChecked()] == ["live.freeze"]
    assert "Freeze" in sheet.editor.title.text()


def test_the_dialog_closes_with_escape_and_leaves_nothing(registry, qtbot):
    dialog = ShortcutDialog(registry, registry.window)
    dialog.open()
    with qtbot.waitSignal(dialog.destroyed):
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
