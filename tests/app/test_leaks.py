"""The net under the other tests: what they leave behind is found."""

from __future__ import annotations

import threading

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from tests.app import conftest


def test_a_timer_that_runs_is_found_and_stopped(qapp):
    timer = QTimer()
    timer.setObjectName("ticker")
    timer.start(1000)
    assert conftest._leaked_timers() == ["timer of QTimer 'ticker'"]
    assert not timer.isActive()


def test_a_timer_of_a_widget_that_is_gone_is_none(qtbot):
    widget = QWidget()
    QTimer(widget).start(1000)
    widget.deleteLater()
    assert conftest._leaked_timers() == []


def test_a_window_is_found_and_destroyed(qapp):
    kept = QLabel("still here")
    kept.setObjectName("leak")
    assert conftest._leaked_widgets([]) == ["window QLabel 'leak'"]
    assert conftest._leaked_widgets([]) == []


def test_a_window_in_a_circle_of_references_is_none(qapp):
    def make():
        widget = QWidget()
        widget.own = lambda: widget

    make()
    assert conftest._leaked_widgets([]) == []


def test_a_thread_is_found(monkeypatch):
    monkeypatch.setattr(conftest, "GRACE_SECONDS", 0.05)
    before, goes = set(threading.enumerate()), threading.Event()
    thread = threading.Thread(target=goes.wait, name="runner")
    thread.start()
    assert conftest._leaked_threads(before) == ["thread runner"]
    goes.set()
    thread.join()
    assert conftest._leaked_threads(before) == []


def test_a_button_starts_a_timer_with_its_own_interval(qtbot):
    button, timer = QPushButton(), QTimer()
    qtbot.addWidget(button)
    timer.setInterval(5000)
    button.clicked.connect(timer.start)
    button.click()
    assert timer.isActive()
    assert timer.interval() == 5000
    timer.stop()
