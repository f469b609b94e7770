"""The view model and the picture widget: cameras by closed form, canvas sizes, mouse and keys on the real widget."""

from __future__ import annotations

import math

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication

from agora_app.models.view import FARTHEST, NEAREST, STEEPEST, ViewModel
from agora_app.viewport.avatar_view import AvatarView
from agora_app.viewport.stage_bar import StageBar
from core.geometry import PORTRAIT_DISTANCE, portrait_camera
from core.pipeline.background import Gradient, Plain, Transparent
from core.pipeline.live.state import LivePicture, ViewPose
from core.types import HeadParams


def live_picture(width=64, height=48, colour=(200, 40, 90), index=0):
    params = HeadParams.neutral(49)
    image = np.full((height, width, 3), colour, np.uint8)
    return LivePicture(image, (), params, params, params.psi(), None, None, portrait_camera(width, height), 1, 2, index=index)


@pytest.fixture
def model(session, store):
    return ViewModel(session, store)


@pytest.fixture
def widget(model, qtbot):
    view = AvatarView(model)
    qtbot.addWidget(view)
    view.resize(500, 400)
    view.show()
    return view


def look(session):
    return session.last("set_look")[0]


def test_the_session_is_told_at_once(model, session):
    assert look(session).view == ViewPose()
    assert (look(session).width, look(session).height) == (512, 512)
    assert isinstance(look(session).background, Gradient)


def test_dragging_across_the_picture_turns_half_around(model, session):
    model.orbit(-400, 0, 400)
    assert math.isclose(abs(look(session).view.yaw), math.pi, abs_tol=1e-9)


def test_the_camera_stays_within_its_limits(model, session):
    model.orbit(0, 10_000, 400)
    assert look(session).view.pitch == STEEPEST
    for _ in range(60):
        model.dolly(1)
    assert look(session).view.distance == NEAREST
    for _ in range(120):
        model.dolly(-1)
    assert look(session).view.distance == FARTHEST


def test_panning_moves_the_head_with_the_mouse(model, session):
    """A point at the distance of the head moves by as many pixels as the mouse did."""
    model.pan(40, 0, 512)
    focal = portrait_camera(512, 512).fx
    assert math.isclose(look(session).view.pan_x * focal / PORTRAIT_DISTANCE, 40, rel_tol=1e-3)


def test_framing_keeps_the_side_and_reset_forgets_it(model, session):
    model.orbit(-50, 20, 400)
    model.pan(10, 10, 400)
    model.dolly(2)
    yaw = look(session).view.yaw
    model.frame()
    assert look(session).view.yaw == yaw
    assert (look(session).view.distance, look(session).view.pan_x) == (PORTRAIT_DISTANCE, 0.0)
    model.reset()
    assert look(session).view == ViewPose()


@pytest.mark.parametrize(("shape", "size", "people", "expected"), [
    ("square", 512, 1, (512, 512)), ("landscape", 512, 1, (910, 512)), ("portrait", 512, 1, (512, 910)),
    ("square", 512, 2, (1024, 512)), ("portrait", 384, 2, (768, 682))])
def test_canvas(model, session, shape, size, people, expected):
    model.set_canvas(shape)
    model.set_size(size)
    model.set_people(people)
    assert (look(session).width, look(session).height) == expected


def test_backgrounds_cycle_and_bad_ones_are_refused_in_words(model, session, qtbot, tmp_path):
    names = [model.cycle_background() for _ in range(6)]
    assert len(set(names)) == 6
    assert names[-1] == "gradient"
    model.set_background("green")
    assert isinstance(look(session).background, Plain)
    with qtbot.waitSignal(model.failed) as said:
        assert not model.set_background(str(tmp_path / "absent.png"))
    assert "absent.png" in said.args[0]
    assert isinstance(look(session).background, Plain)


def test_a_background_chosen_elsewhere_is_shown_and_a_bad_one_taken_back(model, session, store):
    store.change("view", background="green")
    assert isinstance(look(session).background, Plain)
    store.change("view", background="/nowhere/absent.png")
    assert isinstance(look(session).background, Plain)
    assert store.settings.view.background == "green"


def test_modes_toggle_and_are_remembered(model, session, store):
    model.set_mode("follow")
    assert look(session).view.mode == store.settings.view.mode == "follow"
    model.set_mode("follow")
    assert look(session).view.mode == "free"


def test_the_label_is_shown_only_when_asked_for(model, session, store):
    model.set_label("Synthetic person 7")
    assert look(session).label == ""
    store.change("recording", label=True)
    assert look(session).label == "Synthetic person 7"


def test_a_picture_is_painted_and_reported_once(widget, qtbot):
    picture = live_picture()
    with qtbot.waitSignal(widget.painted) as seen:
        widget.show_picture(picture)
    assert seen.args[0] is picture
    centre = widget.grab().toImage().pixelColor(widget.rect().center())
    assert (centre.red(), centre.green(), centre.blue()) == (200, 40, 90)
    reported = []
    widget.painted.connect(reported.append)
    widget.update()
    QApplication.processEvents()
    assert reported == []


def test_the_picture_keeps_its_shape(widget):
    widget.show_picture(live_picture(120, 60))
    rect = widget.picture_rect()
    assert math.isclose(rect.width() / rect.height(), 2.0, rel_tol=1e-6)
    assert rect.width() <= widget.width()
    assert abs(rect.center().x() - widget.width() / 2) < 1


def test_a_storm_of_resizes_is_survived(widget):
    widget.show_picture(live_picture())
    for step in range(200):
        widget.resize(240 + 7 * (step % 40), 240 + 5 * (step % 23))
        widget.grab()


def test_mouse_and_keys_move_the_camera(widget, session, qtbot):
    widget.show_picture(live_picture())
    qtbot.mousePress(widget, Qt.MouseButton.LeftButton, pos=QPoint(250, 200))
    qtbot.mouseMove(widget, QPoint(200, 200))
    qtbot.mouseRelease(widget, Qt.MouseButton.LeftButton, pos=QPoint(200, 200))
    assert look(session).view.yaw > 0  # dragging to the left shows the subject's left side
    before = look(session).view.distance
    event = QWheelEvent(QPointF(250, 200), widget.mapToGlobal(QPointF(250, 200)), QPoint(), QPoint(0, 120),
                        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
    widget.wheelEvent(event)
    assert look(session).view.distance < before
    qtbot.mouseDClick(widget, Qt.MouseButton.LeftButton, pos=QPoint(250, 200))
    assert look(session).view == ViewPose()
    qtbot.keyClick(widget, Qt.Key.Key_Up)
    assert look(session).view.pitch < 0


def test_stage_bar_shows_and_changes_the_view(model, store, session, qtbot):
    bar = StageBar(model, store)
    qtbot.addWidget(bar)
    bar.show()
    bar.canvas.setCurrentIndex(bar.canvas.findData("landscape"))
    bar.canvas.activated.emit(bar.canvas.currentIndex())
    assert look(session).width == 910
    model.set_background("transparent")
    assert isinstance(look(session).background, Transparent)
    assert "Transparent" in bar.background.text()
    store.change("view", size=640)
    assert bar.size.currentData() == 640
