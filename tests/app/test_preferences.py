"""The preferences: made from the settings model, live, resettable, searchable; every widget is used."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractSpinBox, QApplication, QCheckBox, QComboBox, QFileDialog, QLineEdit, QMainWindow, QWidget

from agora_app.actions import ActionRegistry
from agora_app.dialogs.preferences import PAGES, PreferencesDialog
from agora_app.fields import choice_words
from agora_app.settings.model import Settings

SECTIONS = [spec.section for spec in PAGES if spec.section != "shortcuts"]
WIDGETS = {bool: QCheckBox, int: QAbstractSpinBox, float: QAbstractSpinBox, str: QLineEdit}


@pytest.fixture
def dialog(qtbot, store):
    window = QMainWindow()
    qtbot.addWidget(window)
    dialog = PreferencesDialog(store, ActionRegistry(window, store), window)
    dialog.window_beneath = window  # which owns it
    dialog.open()
    return dialog


def expected_fields():
    """Straight from the model, by another way than the dialog takes."""
    for section in SECTIONS:
        for name, info in Settings.model_fields[section].annotation.model_fields.items():
            literal = get_origin(info.annotation) is Literal
            if info.title and (literal or info.annotation in WIDGETS):
                yield section, name, info, QComboBox if literal else WIDGETS[info.annotation]


@pytest.mark.parametrize("section", SECTIONS)
def test_one_field_one_widget(dialog, section):
    wanted = {name: (info, kind) for part, name, info, kind in expected_fields() if part == section}
    rows = dialog.page(section).rows
    assert set(rows) == set(wanted)
    for name, row in rows.items():
        info, kind = wanted[name]
        assert isinstance(row.control, kind)
        assert row.title.text() == info.title
        assert row.control.accessibleName() == info.title
        assert row.control.toolTip()


def test_what_has_no_title_is_not_shown(dialog):
    assert "kind" not in dialog.page("source").rows
    assert "profiles" not in dialog.page("tracking").rows


@pytest.mark.parametrize(("section", "name"), [(section, name) for section, name, _, _ in expected_fields()])
def test_every_widget_changes_its_setting_and_follows_it(dialog, store, qtbot, section, name):
    dialog.show_page(section)
    row = dialog.page(section).rows[name]
    control, before = row.control, row.value
    if isinstance(control, QCheckBox):
        control.setFocus()
        qtbot.keyClick(control, Qt.Key.Key_Space)
        wanted = not before
    elif isinstance(control, QComboBox):
        control.setFocus()
        qtbot.keyClick(control, Qt.Key.Key_Down)
        choices = get_args(Settings.model_fields[section].annotation.model_fields[name].annotation)
        wanted = choices[min(choices.index(before) + 1, len(choices) - 1)]
    elif isinstance(control, QAbstractSpinBox):
        control.setFocus()
        step = control.singleStep()
        qtbot.keyClick(control, Qt.Key.Key_Up)
        wanted = pytest.approx(before + step)
    else:
        control.setFocus()
        control.selectAll()
        qtbot.keyClicks(control, "typed")
        qtbot.keyClick(control, Qt.Key.Key_Return)
        wanted = "typed"
    assert getattr(getattr(store.settings, section), name) == wanted
    assert dialog.isVisible()
    store.change(section, **{name: before})
    row.show_value()
    shown = {QCheckBox: lambda: control.isChecked(), QComboBox: lambda: control.currentData(),
             QLineEdit: lambda: control.text()}.get(type(control), lambda: control.value())()
    assert shown == before


def test_numbers_cannot_leave_their_range(dialog, store, qtbot):
    box = dialog.page("source").rows["fps"].control
    assert (box.minimum(), box.maximum()) == (5, 120)
    dialog.show_page("source")
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, "999")
    qtbot.keyClick(box, Qt.Key.Key_Tab)
    assert 5 <= store.settings.source.fps <= 120
    gain = dialog.page("drive").rows["jaw"].control
    assert (gain.minimum(), gain.maximum()) == (0, 2)


def test_a_number_that_is_being_typed_is_not_used_yet(dialog, store, qtbot):
    dialog.show_page("performance")
    box = dialog.page("performance").rows["target_fps"].control
    box.setFocus()
    box.selectAll()
    qtbot.keyClicks(box, "60")
    assert store.settings.performance.target_fps == 30
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert store.settings.performance.target_fps == 60


def test_a_value_that_is_refused_is_explained(dialog, store):
    row = dialog.page("source").rows["fps"]
    row.change(4000)
    assert store.settings.source.fps == 30
    assert "120" in row.problem.text()
    row.change(60)
    assert not row.problem.isVisibleTo(row)


def test_a_page_is_reset_alone(dialog, store, qtbot):
    store.change("drive", jaw=0.5, relative=True)
    store.change("view", size=720)
    dialog.show_page("drive")
    page = dialog.page("drive")
    assert page.reset_button.isEnabled()
    qtbot.mouseClick(page.reset_button, Qt.MouseButton.LeftButton)
    assert store.settings.drive == Settings().drive
    assert store.settings.view.size == 720
    assert page.rows["jaw"].control.value() == 1.0
    assert not page.reset_button.isEnabled()


def test_reset_leaves_what_the_page_does_not_show(dialog, store):
    store.change("source", kind="video", fps=60)
    dialog.page("source").reset()
    assert (store.settings.source.kind, store.settings.source.fps) == ("video", 30)


def test_search_over_all_pages(dialog, qtbot):
    qtbot.keyClicks(dialog.search, "microphone")
    visible = [PAGES[row].section for row in range(dialog.pages.count()) if not dialog.pages.item(row).isHidden()]
    assert visible == ["recording"]
    assert dialog.stack.currentWidget() is dialog.page("recording")
    rows = dialog.page("recording").rows
    assert {name for name, row in rows.items() if row.isVisible()} == {"sound", "microphone"}
    dialog.search.setText("snapshot")
    assert dialog.stack.currentWidget() is dialog.page("shortcuts")
    dialog.search.clear()
    assert not any(dialog.pages.item(row).isHidden() for row in range(dialog.pages.count()))
    assert all(not row.isHidden() for row in rows.values())


def test_choices_in_words():
    shown = {"side-by-side": "Side by side", "cpu": "CPU", "opengl": "OpenGL", "vmc": "VMC", 90: "90°"}
    assert {value: choice_words(value) for value in shown} == shown


def test_a_folder_can_be_pointed_at(dialog, store, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *arguments: "/takes")
    row = dialog.page("recording").rows["folder"]
    row.ask_path()
    assert store.settings.recording.folder == "/takes"
    assert row.control.text() == "/takes"
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *arguments: "")
    row.ask_path()
    assert store.settings.recording.folder == "/takes"


def test_the_wheel_scrolls_and_does_not_change_values(dialog, store):
    dialog.show_page("source")
    box = dialog.page("source").rows["width"].control
    dialog.search.setFocus()
    centre = QPointF(box.rect().center())
    wheel = QWheelEvent(centre, box.mapToGlobal(centre), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
                        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(box, wheel)
    assert store.settings.source.width == 1280


def test_pages_are_reached_with_the_keyboard(dialog, qtbot):
    dialog.pages.setFocus()
    qtbot.keyClick(dialog.pages, Qt.Key.Key_Down)
    assert dialog.stack.currentWidget() is dialog.page("source")


def test_nothing_is_cut_off(dialog, theme_dark):
    dialog.resize(dialog.minimumSizeHint().expandedTo(dialog.size()))
    for section in SECTIONS:
        dialog.show_page(section)
        dialog.grab()
        for row in dialog.page(section).rows.values():
            assert row.control.mapTo(dialog, QPoint(row.control.width(), 0)).x() <= dialog.width()
            assert row.title.height() >= row.title.heightForWidth(row.title.width())


def test_every_control_has_a_name_and_a_tooltip(dialog):
    from PySide6.QtWidgets import QAbstractButton

    for kind in (QAbstractButton, QLineEdit, QComboBox, QAbstractSpinBox):
        for widget in dialog.findChildren(kind):
            inner = any(isinstance(parent, (QAbstractSpinBox, QComboBox, QLineEdit)) or "KeySequence" in type(parent).__name__
                        for parent in ancestors(widget))
            if not inner:
                assert widget.accessibleName() or getattr(widget, "text", str)(), widget
                assert widget.toolTip(), widget


def ancestors(widget: QWidget):
    while (widget := widget.parentWidget()) is not None:
        yield widget


def test_the_shortcut_page_changes_shortcuts(dialog, store):
    sheet = dialog.page("shortcuts").sheet
    sheet.rows["live.mirror"].click()
    sheet.editor.remove.click()
    assert store.settings.shortcuts == {"live.mirror": ""}


def test_close_leaves_nothing(dialog, qtbot):
    with qtbot.waitSignal(dialog.destroyed):
        qtbot.keyClick(dialog, Qt.Key.Key_Escape)
