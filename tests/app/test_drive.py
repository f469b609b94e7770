"""Manual control of the motion: the model, and its dock by real clicks and keys."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt

from agora_app.docks.expression import ExpressionDock
from agora_app.models.drive import PRESETS, DriveModel
from agora_app.models.face_rows import ROW_GROUPS, column_title
from core.geometry import portrait_camera, rotation_from_axis_angle
from core.head.library import load_open_head
from core.head.presets import preset
from core.pipeline.live.state import DriveControls, Gains, LivePicture
from core.types import HeadParams

HEAD = load_open_head()
COLUMN = {name: i for i, name in enumerate(HEAD.expression_names)}
COUNT = HEAD.expression_count


@pytest.fixture
def model(session, store):
    model = DriveModel(session, store)
    yield model
    model.close()


@pytest.fixture
def dock(qtbot, model):
    dock = ExpressionDock(model)
    qtbot.addWidget(dock)
    dock.resize(340, 900)
    dock.show()
    return dock


def told(session) -> DriveControls:
    return session.last("set_drive")[0]


def picture_of(psi: np.ndarray, rotation=(0.0, 0.0, 0.0), finished_ns: int = 0) -> LivePicture:
    params = replace(HeadParams.neutral(COUNT), head_rotation=np.array(rotation, np.float32))
    image = np.zeros((4, 4, 3), np.uint8)
    return LivePicture(image, (), params, params, psi.astype(np.float32), None, None, portrait_camera(4, 4), 0, finished_ns)


def test_at_first_nothing_is_changed(session, model):
    assert told(session).is_neutral
    assert not told(session).frozen


def test_gains_and_relative_driving_are_told_and_kept(session, store, model):
    model.set_gain("brows", 1.5)
    model.set_gain("head", 7)
    model.set_relative(True)
    assert told(session).gains == Gains(brows=1.5, head=2.0)
    assert told(session).relative
    assert (store.settings.drive.brows, store.settings.drive.head, store.settings.drive.relative) == (1.5, 2.0, True)
    again = DriveModel(session, store)
    assert again.controls.gains == Gains(brows=1.5, head=2.0)
    assert again.relative


def test_relative_driving_starts_from_the_pose_of_that_moment(session, model):
    model.set_relative(True)
    assert [name for name, _ in session.calls].count("rezero") == 1
    model.set_relative(True)
    model.rezero()
    assert [name for name, _ in session.calls].count("rezero") == 2


def test_the_preferences_can_change_them_too(session, store, model, qtbot):
    with qtbot.waitSignal(model.changed):
        store.change("drive", mouth=0.5)
    assert told(session).gains.mouth == 0.5


def test_offsets_reach_their_entries_of_the_driving_vector(session, model):
    model.set_offset("mouthSmileLeft", 25)
    model.set_offset("jawOpen", 50)
    model.set_offset("gazeUp", 10)
    psi = told(session).psi_offset
    expected = np.zeros(COUNT + 9)
    expected[COLUMN["mouthSmileLeft"]] = 0.25
    expected[COUNT] = 0.5 * HEAD.jaw_open_angle
    expected[[COUNT + 3, COUNT + 6]] = -np.radians(10)
    np.testing.assert_allclose(psi, expected, atol=1e-6)
    model.reset_offsets()
    assert told(session).is_neutral


def test_head_offsets_turn_the_way_they_say(session, model):
    for name, value, look in (("headYaw", 30, (0.5, 0, np.cos(np.pi / 6))), ("headPitch", 30, (0, 0.5, np.cos(np.pi / 6)))):
        model.reset_offsets()
        model.set_offset(name, value)
        turn = rotation_from_axis_angle(told(session).rotation_offset.astype(float))
        np.testing.assert_allclose(turn @ (0, 0, 1), look, atol=1e-6)  # +x is the subject's left, +y up
    model.reset_offsets()
    model.set_offset("headRoll", 30)
    crown = rotation_from_axis_angle(told(session).rotation_offset.astype(float)) @ (0, 1, 0)
    np.testing.assert_allclose(crown, (-0.5, np.cos(np.pi / 6), 0), atol=1e-6)


def test_offsets_stop_at_their_limit_and_unknown_names_are_errors(model):
    model.set_offset("browInnerUp", 1000)
    assert model.offset("browInnerUp") == 100
    with pytest.raises(KeyError):
        model.set_offset("tail", 1)
    with pytest.raises(KeyError):
        model.set_gain("tail", 1)


def test_every_preset_is_that_of_the_head_model(session, model):
    for number, name in enumerate(PRESETS, 1):
        model.apply_preset(number)
        np.testing.assert_array_equal(told(session).preset.psi(), preset(HEAD, name).head_params().psi())
        assert model.preset == number
    model.apply_preset(None)
    assert told(session).preset is None


def test_the_same_preset_again_takes_it_off(session, model):
    model.apply_preset(3)
    model.apply_preset(3)
    assert model.preset is None
    model.apply_preset(2)
    model.apply_preset(0)
    assert told(session).preset is None
    with pytest.raises(IndexError):
        model.apply_preset(10)


def test_a_preset_keeps_its_identity_so_that_it_is_faded_once(session, model):
    model.apply_preset(1)
    first = told(session).preset
    model.set_gain("jaw", 0.5)
    assert told(session).preset is first


def test_reset_undoes_everything(session, store, model):
    model.set_gain("eyes", 0.2)
    model.set_offset("browInnerUp", 40)
    model.set_frozen(True)
    model.set_relative(True)
    model.apply_preset(1)
    model.reset()
    assert told(session).is_neutral
    assert not told(session).frozen
    assert not told(session).relative
    assert store.settings.drive.eyes == 1


def test_what_a_picture_shows_is_told_fifteen_times_a_second(model, qtbot):
    shown = []
    model.psi_shown.connect(shown.append)
    psi = np.zeros(COUNT + 9)
    psi[COLUMN["browInnerUp"]], psi[COUNT] = 0.4, HEAD.jaw_open_angle / 2
    for i in range(60):
        model.show_picture(picture_of(psi, (0.1, 0.2, 0.3), finished_ns=i * 16_666_667))
    assert 13 <= len(shown) <= 15
    row = {row.name: value for row, value in zip(model.psi_columns(), shown[-1], strict=True)}
    assert row["browInnerUp"] == pytest.approx(40)
    assert row["jawOpen"] == pytest.approx(50)
    assert (row["headYaw"], row["headPitch"], row["headRoll"]) == pytest.approx(np.degrees((0.2, -0.1, 0.3)), abs=1e-4)


def test_pictures_of_packs_with_another_vector_are_left_alone(model):
    shown = []
    model.psi_shown.connect(shown.append)
    model.show_picture(picture_of(np.zeros(55)))
    assert shown == []


def test_rows_have_names_for_people_and_stand_by_group(model):
    rows = model.psi_columns()
    assert len({row.name for row in rows}) == len(rows) == COUNT + 7
    order = [ROW_GROUPS.index(row.group) for row in rows]
    assert order == sorted(order)
    assert column_title("browInnerUp") == "Brow inner up"
    assert column_title("mouthSmileLeft") == "Mouth smile · L"
    assert column_title("mouthLeft") == "Mouth left"


# -------------------------------------------------------------------------------------------------------------- the dock


def test_a_gain_slider_follows_and_drives_the_model(dock, model, qtbot):
    slider = dock.gains["mouth"].slider
    slider.setFocus()
    qtbot.keyClick(slider, Qt.Key.Key_Right)
    assert model.gain("mouth") > 1
    model.set_gain("mouth", 0.5)
    assert slider.value() == 50
    assert "50" in dock.gains["mouth"].value.text()
    qtbot.mouseDClick(slider, Qt.MouseButton.LeftButton)
    assert model.gain("mouth") == 1


def test_preset_buttons_put_faces_on_and_take_them_off(dock, model, qtbot):
    qtbot.mouseClick(dock.presets[3], Qt.MouseButton.LeftButton)
    assert model.preset == 3
    assert dock.presets[3].isChecked()
    qtbot.mouseClick(dock.presets[5], Qt.MouseButton.LeftButton)
    assert [number for number, button in dock.presets.items() if button.isChecked()] == [5]
    qtbot.mouseClick(dock.presets[0], Qt.MouseButton.LeftButton)
    assert model.preset is None
    assert dock.presets[0].isChecked()
    model.apply_preset(9)
    assert dock.presets[9].isChecked()


def test_freeze_and_relative_are_toggles_that_show_what_is(dock, model, session, qtbot):
    qtbot.mouseClick(dock.freeze, Qt.MouseButton.LeftButton)
    assert model.frozen
    model.toggle_frozen()
    assert not dock.freeze.isChecked()
    qtbot.mouseClick(dock.relative, Qt.MouseButton.LeftButton)
    assert model.relative
    before = [name for name, _ in session.calls].count("rezero")
    qtbot.mouseClick(dock.rezero, Qt.MouseButton.LeftButton)
    assert [name for name, _ in session.calls].count("rezero") == before + 1


def test_dragging_on_a_row_adds_an_offset_and_a_double_click_takes_it_off(dock, model, qtbot):
    bars = dock.bars
    place = bars.row_rect("browInnerUp").center()
    track = bars.track_width
    qtbot.mousePress(bars, Qt.MouseButton.LeftButton, pos=place)
    qtbot.mouseMove(bars, place + QPoint(round(0.3 * track), 0))
    qtbot.mouseRelease(bars, Qt.MouseButton.LeftButton, pos=place + QPoint(round(0.3 * track), 0))
    assert model.offset("browInnerUp") == pytest.approx(30, abs=2)
    qtbot.mouseDClick(bars, Qt.MouseButton.LeftButton, pos=place)
    assert model.offset("browInnerUp") == 0


def test_a_click_without_a_drag_changes_nothing_but_the_selection(dock, model, qtbot):
    qtbot.mouseClick(dock.bars, Qt.MouseButton.LeftButton, pos=dock.bars.row_rect("browDownLeft").center())
    assert dock.bars.selected == "browDownLeft"
    assert not model.has_offsets


def test_rows_are_reached_and_changed_by_keys(dock, model, qtbot):
    bars = dock.bars
    bars.setFocus()
    bars.select("browInnerUp")
    qtbot.keyClick(bars, Qt.Key.Key_Right)
    qtbot.keyClick(bars, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert model.offset("browInnerUp") == 6  # 1 and, with Shift, 5
    qtbot.keyClick(bars, Qt.Key.Key_Left)
    assert model.offset("browInnerUp") == 5
    qtbot.keyClick(bars, Qt.Key.Key_Delete)
    assert model.offset("browInnerUp") == 0
    qtbot.keyClick(bars, Qt.Key.Key_Down)
    assert bars.selected == "browOuterUpLeft"
    assert "Brow outer up" in bars.accessibleDescription()


def test_groups_fold_by_click_and_by_key(dock, qtbot):
    bars = dock.bars
    tall = bars.sizeHint().height()
    qtbot.mouseClick(bars, Qt.MouseButton.LeftButton, pos=bars.row_rect("group:mouth").center())
    assert bars.sizeHint().height() < tall
    assert bars.row_rect("mouthClose").isNull()
    bars.select("group:mouth")
    qtbot.keyClick(bars, Qt.Key.Key_Space)
    assert bars.sizeHint().height() == tall


def test_the_filter_leaves_what_it_names(dock, qtbot):
    qtbot.keyClicks(dock.filter, "smile")
    assert not dock.bars.row_rect("mouthSmileLeft").isNull()
    assert dock.bars.row_rect("browInnerUp").isNull()
    dock.filter.clear()
    qtbot.keyClicks(dock.filter, "xyzzy")
    assert dock.nothing_found.isVisible()


def test_reset_all_is_offered_only_when_there_is_something_to_reset(dock, model, qtbot):
    assert not dock.reset.isEnabled()
    model.set_offset("headYaw", 20)
    assert dock.reset.isEnabled()
    qtbot.mouseClick(dock.reset, Qt.MouseButton.LeftButton)
    assert told_neutral(model)
    assert not dock.reset.isEnabled()


def told_neutral(model) -> bool:
    return model.controls.is_neutral


def test_every_control_has_a_name_and_a_tip(dock):
    from PySide6.QtWidgets import QAbstractButton, QAbstractSlider, QLineEdit, QScrollBar

    for kind in (QAbstractButton, QAbstractSlider, QLineEdit):
        for widget in dock.findChildren(kind):
            if isinstance(widget, QScrollBar) or widget.objectName().startswith("qt_") or not widget.isVisible():
                continue
            if type(widget).__name__ == "QLineEditIconButton" or type(widget.parent()).__name__ == "QLineEdit":
                continue
            assert widget.accessibleName() or getattr(widget, "text", lambda: "")(), widget
            assert widget.toolTip(), widget


def test_painting_all_rows_takes_less_than_two_milliseconds(dock, model, qtbot):
    psi = np.random.default_rng(0).uniform(0, 1, COUNT + 9)
    model.show_picture(picture_of(psi))
    dock.bars.grab()
    best = np.inf
    for _ in range(10):
        started = time.perf_counter()
        dock.bars.grab()
        best = min(best, time.perf_counter() - started)
    assert best < 0.008  # 2 ms on the machine it was made on, plus the picture itself and slower ones
