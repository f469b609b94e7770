"""The table of actions and what is made of it: menus, tool bar, shortcuts with real keys, conflicts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDoubleSpinBox,
    QLineEdit,
    QListWidget,
    QMainWindow,
    QPlainTextEdit,
    QPushButton,
    QSlider,
    QSpinBox,
    QTextEdit,
    QVBoxLayout,
    QWidget,
)

from agora_app.action_table import ACTIONS, MENUS, TOOL_BAR_ORDER, ActionSpec
from agora_app.actions import ActionRegistry

PLANNED = [
    "file.new_from_photo", "file.open_video", "file.open_motion", "file.open_pack", "file.recent", "file.import_official",
    "file.export", "file.export_snapshot", "file.quit",
    "edit.undo", "edit.redo", "edit.preferences", "live.toggle", "live.rezero", "live.calibrate", "live.mirror",
    "live.relative", "live.freeze", "live.camera", "live.demo", "identity.roll", "identity.previous", "identity.next",
    "identity.swap", "identity.favourite", "identity.type_seed", "view.frame", "view.reset", "view.background",
    "view.landmarks", "view.performance", "view.inspector", "view.compare", "view.follow", "view.orbit", "view.docks",
    "view.fullscreen", "view.layout_reset", "view.theme", "record.toggle", "record.marker", "record.snapshot",
    "record.rerender", "record.recover", "record.folder", "train.new", "train.show", "output.virtual_camera", "output.osc",
    "tools.doctor",
    "tools.wizard", "tools.palette", "tools.log", "help.guide", "help.shortcuts", "help.about", "help.licences",
]
PLANNED += [f"identity.favourite_{n}" for n in range(1, 10)] + [f"preset.{n}" for n in range(10)]


class Window(QMainWindow):
    """A window with one of every control, and a plain widget as the stage."""

    def __init__(self, store) -> None:
        super().__init__()
        self.registry = ActionRegistry(self, store)
        self.fired: list[str] = []
        for spec in ACTIONS:
            if not spec.submenu:
                self.registry.connect(spec.id, lambda name=spec.id: self.fired.append(name))
        centre = QWidget()
        column = QVBoxLayout(centre)
        self.stage = QWidget()
        self.stage.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.line, self.text, self.plain, self.spin, self.double = (QLineEdit(), QTextEdit(), QPlainTextEdit(), QSpinBox(),
                                                                  QDoubleSpinBox())
        self.editable, self.combo, self.list = QComboBox(), QComboBox(), QListWidget()
        self.editable.setEditable(True)
        for box in (self.editable, self.combo, self.list):
            box.addItems(["one", "two", "quick"])
        self.slider, self.button, self.check = QSlider(Qt.Orientation.Horizontal), QPushButton("press"), QCheckBox("check")
        for widget in (self.stage, self.line, self.text, self.plain, self.spin, self.double, self.editable, self.combo, self.list,
                       self.slider, self.button, self.check):
            column.addWidget(widget)
        self.setCentralWidget(centre)


@pytest.fixture
def window(qtbot, store):
    window = Window(store)
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    return window


@pytest.fixture
def press(window, qtbot):
    def press(widget, key, modifier=Qt.KeyboardModifier.NoModifier):
        widget.setFocus()
        window.fired.clear()
        qtbot.keyClick(window.focusWidget(), key, modifier)
        return list(window.fired)

    return press


# ------------------------------------------------------------------------------------------------------------------ the table


def test_the_table_has_what_was_planned():
    assert sorted(spec.id for spec in ACTIONS) == sorted(PLANNED)


def test_keys_of_the_table_are_all_different_and_valid():
    keys = [spec.key for spec in ACTIONS if spec.key]
    assert len(set(keys)) == len(keys)
    for spec in ACTIONS:
        if spec.key:
            assert QKeySequence(spec.key).toString(QKeySequence.SequenceFormat.PortableText) == spec.key


def test_the_table_is_frozen_and_sound():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ACTIONS[0].key = "K"
    assert {spec.menu.split("/")[0] for spec in ACTIONS} == set(MENUS)
    assert {name for name in TOOL_BAR_ORDER if name} == {spec.id for spec in ACTIONS if spec.toolbar}


def test_every_icon_exists():
    import qtawesome

    charmap = next((Path(qtawesome.__file__).parent / "fonts").glob("materialdesignicons6*charmap*.json"))
    known = json.loads(charmap.read_text())
    assert [spec.icon for spec in ACTIONS if spec.icon.removeprefix("mdi6.") not in known] == []


# ------------------------------------------------------------------------------------------------------- menus and tool bar


def test_menus_and_tool_bar_hold_the_table(window):
    window.registry.build_menu_bar(window.menuBar())
    tool_bar = window.addToolBar("main")
    window.registry.build_tool_bar(tool_bar)
    assert [action.text().replace("&", "") for action in window.menuBar().actions()] == list(MENUS)

    def leaves(menu):
        for action in menu.actions():
            inner = action.menu()
            if inner is not None and not action.objectName():
                yield from leaves(inner)
            elif not action.isSeparator():
                yield action.objectName()

    found = [name for action in window.menuBar().actions() for name in leaves(action.menu())]
    assert sorted(found) == sorted(PLANNED)
    assert [action.objectName() for action in tool_bar.actions()] == list(TOOL_BAR_ORDER)


def test_the_text_of_the_tool_bar_follows_the_settings(window, store):
    tool_bar = window.addToolBar("main")
    window.registry.build_tool_bar(tool_bar)
    assert tool_bar.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonTextBesideIcon
    store.change("appearance", toolbar_text=False)
    assert tool_bar.toolButtonStyle() == Qt.ToolButtonStyle.ToolButtonIconOnly


def test_actions_that_nothing_is_connected_to_are_disabled(qtbot, store):
    window = QMainWindow()
    qtbot.addWidget(window)
    registry = ActionRegistry(window, store)
    assert not any(registry.action(spec.id).isEnabled() for spec in ACTIONS)
    got = []
    registry.connect("live.mirror", lambda: got.append("called"))
    registry.action("live.mirror").trigger()
    assert got == ["called"]
    assert [spec.id for spec in registry.connected()] == ["live.mirror"]


def test_the_recent_menu_is_filled_later(window):
    registry, opened = window.registry, []
    registry.build_menu_bar(window.menuBar())
    assert not registry.action("file.recent").isEnabled()
    registry.fill_submenu("file.recent", [("A & B.mp4", lambda: opened.append("ab")), ("c.npz", lambda: opened.append("c"))])
    assert registry.action("file.recent").isEnabled()
    entries = registry.submenu("file.recent").actions()
    assert entries[0].text() == "A && B.mp4"
    entries[1].trigger()
    assert opened == ["c"]
    registry.fill_submenu("file.recent", [])
    assert not registry.action("file.recent").isEnabled()


def test_tooltips_name_the_shortcut(window):
    registry = window.registry
    assert registry.action("identity.roll").toolTip() == "Roll a seed; undo brings the old one back (Q)"
    registry.set_shortcut("identity.roll", "Ctrl+R")
    assert registry.action("identity.roll").toolTip().endswith("(Ctrl+R)")


# -------------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("name", ["live.mirror", "live.rezero", "identity.roll", "preset.3", "live.toggle", "view.docks",
                                  "identity.favourite_2", "tools.palette", "live.calibrate", "view.fullscreen"])
def test_keys_work_on_the_stage(window, qtbot, name):
    window.stage.setFocus()
    key = window.registry.shortcut(name)[0]
    qtbot.keyClick(window.stage, key.key(), key.keyboardModifiers())
    assert window.fired == [name]


@pytest.mark.parametrize("field", ["line", "text", "plain", "editable"])
def test_text_fields_keep_what_is_typed(window, qtbot, field):
    widget = getattr(window, field)
    widget.setFocus()
    target = window.focusWidget()
    for key in "qx3m":
        qtbot.keyClick(target, key)
    qtbot.keyClick(target, Qt.Key.Key_Space)
    qtbot.keyClick(target, "x", Qt.KeyboardModifier.ShiftModifier)
    text = {"line": lambda: widget.text(), "editable": lambda: widget.currentText()}.get(field, lambda: widget.toPlainText())()
    assert text.casefold().removeprefix("one") == "qx3m x"
    assert window.fired == []


@pytest.mark.parametrize("field", ["spin", "double"])
def test_number_fields_keep_digits_and_letters(window, press, field):
    for key in (Qt.Key.Key_3, Qt.Key.Key_0, Qt.Key.Key_Q, Qt.Key.Key_Space):
        assert press(getattr(window, field), key) == []
    assert "3" in getattr(window, field).text()


@pytest.mark.parametrize("field", ["line", "text", "spin", "slider", "button", "list", "combo"])
def test_commands_with_ctrl_work_everywhere(window, press, field):
    modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    assert press(getattr(window, field), Qt.Key.Key_P, modifiers) == ["tools.palette"]
    assert press(getattr(window, field), Qt.Key.Key_F11) == ["view.fullscreen"]


def test_undo_in_a_text_field_is_the_text_fields_own(window, qtbot):
    window.line.setFocus()
    qtbot.keyClicks(window.line, "abc")
    qtbot.keyClick(window.line, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.line.text() == ""
    assert window.fired == []


def test_space_presses_a_focused_button_and_else_toggles_live(window, press):
    clicks = []
    window.button.clicked.connect(lambda: clicks.append(1))
    assert press(window.button, Qt.Key.Key_Space) == []
    assert clicks == [1]
    assert press(window.check, Qt.Key.Key_Space) == []
    assert window.check.isChecked()
    assert press(window.slider, Qt.Key.Key_Space) == ["live.toggle"]
    assert press(window.stage, Qt.Key.Key_Space) == ["live.toggle"]


def test_sliders_and_lists_keep_the_keys_that_move_them(window, press):
    registry = window.registry
    for key, name in (("Right", "live.mirror"), ("Home", "live.freeze"), ("End", "live.relative"), ("Down", "view.frame"),
                      ("Return", "view.reset")):
        registry.set_shortcut(name, key)
    window.slider.setValue(10)
    assert press(window.slider, Qt.Key.Key_Right) == []
    assert window.slider.value() == 11
    assert press(window.slider, Qt.Key.Key_End) == []
    assert window.slider.value() == window.slider.maximum()
    assert press(window.list, Qt.Key.Key_Down) == []
    assert press(window.list, Qt.Key.Key_Return) == []
    assert press(window.stage, Qt.Key.Key_Right) == ["live.mirror"]


def test_letters_are_commands_where_they_mean_nothing_else(window, press):
    for widget in (window.slider, window.button, window.list, window.combo):
        assert press(widget, Qt.Key.Key_Q) == ["identity.roll"]


def test_tab_moves_on_from_a_control_and_hides_panels_on_the_stage(window, press):
    assert press(window.slider, Qt.Key.Key_Tab) == []
    assert window.focusWidget() is window.button
    assert press(window.stage, Qt.Key.Key_Tab) == ["view.docks"]


@pytest.mark.parametrize("field", ["line", "spin", "double", "combo", "editable"])
def test_tab_leaves_a_field(window, press, field):
    widget = getattr(window, field)
    assert press(widget, Qt.Key.Key_Tab) == []
    assert not widget.hasFocus()


def test_a_text_field_keeps_enter_and_arrows(window, press):
    window.registry.set_shortcut("live.mirror", "Return")
    window.registry.set_shortcut("live.freeze", "Left")
    for widget in (window.line, window.plain, window.spin):
        assert press(widget, Qt.Key.Key_Return) == []
        assert press(widget, Qt.Key.Key_Left) == []


def test_a_text_that_cannot_be_changed_keeps_nothing(window, press):
    window.plain.setReadOnly(True)
    assert press(window.plain, Qt.Key.Key_Q) == ["identity.roll"]


def test_keys_work_with_a_hidden_menu_bar(window, press):
    window.registry.build_menu_bar(window.menuBar())
    window.menuBar().hide()
    assert press(window.stage, Qt.Key.Key_M) == ["live.mirror"]


def test_keys_do_not_work_behind_a_dialog(window, qtbot):
    dialog = QDialog(window)
    dialog.open()
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow)
    qtbot.keyClick(dialog, Qt.Key.Key_M)
    assert window.fired == []
    dialog.close()


def test_the_guard_survives_the_widget_it_watches(window, qtbot, press):
    field = QLineEdit(window)
    field.show()
    field.setFocus()
    qtbot.waitUntil(field.hasFocus)
    field.deleteLater()
    del field
    assert press(window.stage, Qt.Key.Key_M) == ["live.mirror"]


# ---------------------------------------------------------------------------------------------------------------- changing


def test_a_changed_key_works_and_comes_back(window, store, press, qtbot):
    window.registry.set_shortcut("live.mirror", "K")
    assert press(window.stage, Qt.Key.Key_K) == ["live.mirror"]
    assert press(window.stage, Qt.Key.Key_M) == []
    assert store.settings.shortcuts == {"live.mirror": "K"}
    other = QMainWindow()
    qtbot.addWidget(other)
    assert ActionRegistry(other, store).shortcut_text("live.mirror") == "K"
    window.registry.reset_shortcut("live.mirror")
    assert store.settings.shortcuts == {}
    assert press(window.stage, Qt.Key.Key_M) == ["live.mirror"]


def test_a_key_is_taken_from_whoever_has_it(window, store, press):
    registry = window.registry
    assert registry.conflicts("live.mirror", "R") == ["record.toggle"]
    assert registry.conflicts("live.mirror", "M") == []
    assert registry.conflicts("live.mirror", "") == []
    registry.set_shortcut("live.mirror", "R")
    assert press(window.stage, Qt.Key.Key_R) == ["live.mirror"]
    assert registry.shortcut("record.toggle").isEmpty()
    registry.reset_shortcut("record.toggle")
    assert registry.shortcut_text("record.toggle") == "R"
    assert registry.shortcut("live.mirror").isEmpty()
    registry.reset_shortcuts()
    assert (registry.shortcut_text("live.mirror"), registry.shortcut_text("record.toggle")) == ("M", "R")
    assert store.settings.shortcuts == {}


def test_a_sequence_conflicts_with_its_beginning(window):
    assert window.registry.conflicts("live.mirror", "Q, W") == ["identity.roll"]


def test_a_file_in_which_two_actions_have_one_key(qtbot, store):
    store.set_shortcuts({"live.mirror": "K", "live.freeze": "K", "live.relative": "Q", "no.such.action": "J", "view.frame": ""})
    window = QMainWindow()
    qtbot.addWidget(window)
    registry = ActionRegistry(window, store)
    keys = [registry.shortcut_text(spec.id) for spec in ACTIONS if registry.shortcut_text(spec.id)]
    assert len(set(keys)) == len(keys)
    assert registry.shortcut_text("live.relative") == "Q"  # what the user chose wins over a default
    assert registry.shortcut("identity.roll").isEmpty()
    assert registry.shortcut("view.frame").isEmpty()


def test_whoever_shows_keys_is_told(window, qtbot):
    with qtbot.waitSignal(window.registry.shortcuts_changed):
        window.registry.set_shortcut("live.mirror", "K")


def test_a_registry_of_another_table(qtbot, store):
    window = QMainWindow()
    qtbot.addWidget(window)
    registry = ActionRegistry(window, store, (ActionSpec("a.b", "Do it…", "Tools", "K"),))
    assert registry.title("a.b") == "Do it"
    with pytest.raises(KeyError):
        registry.action("live.mirror")
