"""Banner and toasts: shown, acted on, counted, paused, gone; times by the timers' own intervals."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QApplication, QVBoxLayout, QWidget

from agora_app import notifications
from agora_app.notifications import MOST_TOASTS, TOAST_MARGIN, TOAST_MS, Banner, ToastStack
from agora_app.theme import DARK, LIGHT, apply_theme


@pytest.fixture
def stage(qtbot):
    stage = QWidget()
    qtbot.addWidget(stage)
    stage.resize(700, 500)
    stage.show()
    return stage


@pytest.fixture
def stack(stage):
    return ToastStack(stage)


@pytest.fixture
def banner(stage):
    column = QVBoxLayout(stage)
    banner = Banner(stage)
    column.addWidget(banner)
    column.addStretch(1)
    return banner


# --------------------------------------------------------------------------------------------------------------------- banner


def test_a_banner_says_something_and_offers_something(banner, qtbot):
    assert not banner.isVisible()
    done = []
    banner.show_banner("warn", "The camera is gone", "Try again", lambda: done.append(1))
    assert banner.isVisible()
    assert (banner.kind, banner.text, banner.accessibleName()) == ("warn", "The camera is gone", "The camera is gone")
    qtbot.mouseClick(banner.action_button, Qt.MouseButton.LeftButton)
    assert done == [1]
    assert banner.isVisible()


def test_a_banner_without_an_action_has_no_button(banner):
    banner.show_banner("error", "Broken", "Mend", lambda: None)
    banner.show_banner("info", "All is well")
    assert not banner.action_button.isVisible()
    assert banner.text == "All is well"


def test_closing_a_banner_is_told(banner, qtbot):
    banner.show_banner("info", "Hello")
    with qtbot.waitSignal(banner.closed):
        qtbot.mouseClick(banner.close_button, Qt.MouseButton.LeftButton)
    assert not banner.isVisible()


def test_hiding_a_banner_is_not_closing_it(banner, qtbot):
    banner.show_banner("info", "Hello")
    with qtbot.assertNotEmitted(banner.closed):
        banner.hide_banner()
    assert not banner.isVisible()


def test_text_in_a_banner_is_not_markup(banner):
    banner.show_banner("info", "a <b>bold</b> file")
    assert banner._text.textFormat() == Qt.TextFormat.PlainText


@pytest.mark.parametrize(("kind", "role"), [("info", "accent"), ("warn", "warn"), ("error", "bad")])
def test_the_kind_is_in_the_colour_and_in_the_sign(banner, qapp, theme_dark, kind, role):
    banner.show_banner(kind, "Hello")
    for colors in (DARK, LIGHT):
        apply_theme(qapp, colors.theme)
        image = banner.grab().toImage()
        assert image.pixelColor(image.width() // 2, image.height() - 1) == getattr(colors, role)
        sign = banner._sign.pixmap().toImage()
        places = [(x, y) for x in range(sign.width()) for y in range(sign.height())]
        found = {sign.pixelColor(x, y).name() for x, y in places if sign.pixelColor(x, y).alpha() == 255}
        assert getattr(colors, role).name() in found


# --------------------------------------------------------------------------------------------------------------------- toasts


def test_a_toast_goes_by_itself(stack, qtbot, monkeypatch):
    monkeypatch.setitem(TOAST_MS, "info", 30)
    stack.show_toast("Saved")
    assert stack.isVisible()
    assert stack.texts() == ["Saved"]
    qtbot.waitUntil(lambda: stack.texts() == [])
    assert not stack.isVisible()


@pytest.mark.parametrize(("kind", "least"), [("info", 4000), ("warn", 4000), ("error", 4000)])
def test_there_is_time_to_read(stack, kind, least):
    stack.show_toast("Saved", kind)
    assert stack.toasts()[0]._timer.interval() >= least
    assert stack.toasts()[0]._timer.isActive()


def test_toasts_stand_in_the_lower_right_corner_and_follow_it(stack, stage):
    stack.show_toast("One")
    stack.show_toast("Two\nwith two lines", "warn")
    for size in ((700, 500), (420, 380)):
        stage.resize(*size)
        right_bottom = stack.geometry().bottomRight()
        assert right_bottom.x() == size[0] - TOAST_MARGIN - 1
        assert right_bottom.y() == size[1] - TOAST_MARGIN - 1
    tops = [toast.mapTo(stage, toast.rect().topLeft()).y() for toast in stack.toasts()]
    assert tops == sorted(tops)
    first, second = (toast.geometry() for toast in stack.toasts())
    assert not first.intersects(second)


def test_the_mouse_holds_toasts(stack):
    stack.show_toast("One")
    stack.show_toast("Two")
    point = QPointF(5, 5)
    QApplication.sendEvent(stack, QEnterEvent(point, point, point))
    assert not any(toast._timer.isActive() for toast in stack.toasts())
    QApplication.sendEvent(stack, QEvent(QEvent.Type.Leave))
    assert all(toast._timer.isActive() for toast in stack.toasts())


def test_a_click_sends_a_toast_away(stack, qtbot):
    stack.show_toast("One")
    stack.show_toast("Two")
    qtbot.mouseClick(stack.toasts()[0], Qt.MouseButton.LeftButton)
    assert stack.texts() == ["Two"]


def test_the_same_words_are_counted(stack):
    for _ in range(3):
        stack.show_toast("No space", "error")
    stack.show_toast("No space", "warn")
    assert stack.texts() == ["No space", "No space"]
    assert stack.toasts()[0]._words.text() == "No space (×3)"


def test_never_a_storm(stack):
    for number in range(30):
        stack.show_toast(f"Problem {number}", "error")
    assert stack.texts() == [f"Problem {number}" for number in range(30 - MOST_TOASTS, 30)]


def test_long_words_are_wrapped_and_whole(stack, stage):
    stack.show_toast("The disk is full: the recording has been stopped and kept. " * 3, "error")
    words = stack.toasts()[0]._words
    assert words.height() >= words.heightForWidth(words.width())
    assert stack.width() <= notifications.TOAST_WIDTH


def test_a_tiny_stage_breaks_nothing(stack, stage):
    stage.resize(20, 20)
    stack.show_toast("Hello")
    stage.resize(300, 200)
    assert stack.geometry().bottomRight().x() == 300 - TOAST_MARGIN - 1
