"""Faults: the dialog, its never stacking, and the hooks, with real exceptions in real threads and slots."""

from __future__ import annotations

import gc
import logging
import sys
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QApplication, QWidget

from agora_app.dialogs.error import QUIET_SECONDS, ErrorDialog, FaultCounter, install_exception_hook
from agora_app.notifications import ToastStack
from core.errors import DeviceError
from core.version import VERSION


@pytest.fixture
def window(qtbot):
    window = QWidget()
    window.resize(600, 400)
    qtbot.addWidget(window)
    window.toasts = ToastStack(window)
    window.show()
    return window


@pytest.fixture
def dialog(window):
    return ErrorDialog.show_error("Something went wrong", "The camera is gone.", "Plug it in.",
                                  f"Traceback in {Path.home()}/code.py", window)


def dialogs():
    return [widget for widget in QApplication.topLevelWidgets() if isinstance(widget, ErrorDialog) and widget.isVisible()]


# --------------------------------------------------------------------------------------------------------------------- dialog


def test_it_says_what_happened_and_what_to_do(dialog):
    assert dialog.isVisible()
    assert dialog.windowTitle() == "Something went wrong"
    assert (dialog.what_happened.text(), dialog.what_to_do.text()) == ("The camera is gone.", "Plug it in.")
    assert not dialog.details.isVisible()


def test_details_fold_out(dialog, qtbot):
    qtbot.mouseClick(dialog.details_button, Qt.MouseButton.LeftButton)
    assert dialog.details.isVisible()
    assert "code.py" in dialog.details.toPlainText()
    qtbot.mouseClick(dialog.details_button, Qt.MouseButton.LeftButton)
    assert not dialog.details.isVisible()


def test_everything_is_copied_without_the_home_folder(dialog, qtbot):
    qtbot.mouseClick(dialog.copy_button, Qt.MouseButton.LeftButton)
    text = QGuiApplication.clipboard().text()
    for part in ("The camera is gone.", "Plug it in.", "~/code.py", VERSION, "Python", "Qt"):
        assert part in text
    assert str(Path.home()) not in text


def test_the_log_is_opened(dialog, qtbot, monkeypatch, tmp_path):
    opened = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    qtbot.mouseClick(dialog.log_button, Qt.MouseButton.LeftButton)
    assert [Path(path) for path in opened] == [tmp_path / "data" / "logs"]


@pytest.mark.parametrize("key", [Qt.Key.Key_Escape, Qt.Key.Key_Return])
def test_it_closes_with_a_key_and_is_gone(dialog, qtbot, key):
    with qtbot.waitSignal(dialog.destroyed):
        qtbot.keyClick(dialog, key)


def test_without_details_there_is_nothing_to_fold_out(window):
    dialog = ErrorDialog.show_error("Title", "What", parent=window)
    assert not dialog.details_button.isEnabled()
    assert not dialog.what_to_do.isVisible()


def test_a_second_error_is_a_toast_and_is_counted(dialog, window):
    assert ErrorDialog.show_error("Other", "The disk is full.", "", "", window) is None
    assert dialogs() == [dialog]
    assert window.toasts.texts() == ["Other\nThe disk is full."]
    assert dialog.further.isVisible()
    assert "One more" in dialog.further.text()
    ErrorDialog.show_error("Third", "Also this.", "", "", window)
    assert "2 more" in dialog.further.text()


def test_after_it_is_closed_the_next_one_is_shown(dialog, window, qtbot):
    dialog.close()
    assert ErrorDialog.show_error("Next", "What", "", "", window) is not None
    assert len(dialogs()) == 1


# --------------------------------------------------------------------------------------------------------------------- hooks


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def faults(qapp, clock):
    """What the hook shows, with the thread that it is shown in."""
    shown = []
    uninstall = install_exception_hook(lambda what, details: shown.append((what, details, threading.current_thread())), clock)
    yield shown
    uninstall()


def fault(text="division by zero"):
    raise ZeroDivisionError(text)


def raise_in_hook(function, *arguments):
    try:
        function(*arguments)
    except Exception:
        sys.excepthook(*sys.exc_info())


def test_an_exception_nobody_caught_is_shown_and_logged(faults, qtbot, caplog):
    raise_in_hook(fault)
    qtbot.waitUntil(lambda: bool(faults))
    what, details, _ = faults[0]
    assert what == "ZeroDivisionError: division by zero"
    assert "in fault" in details
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


def test_an_exception_in_a_slot_is_shown(faults, qtbot):
    with qtbot.capture_exceptions() as caught:  # takes the place of the hook: forwarded by hand
        QTimer.singleShot(0, fault)
        qtbot.waitUntil(lambda: bool(caught))
    sys.excepthook(*caught[0])
    qtbot.waitUntil(lambda: bool(faults))


def test_an_exception_in_a_thread_is_shown_in_the_guis(faults, qtbot):
    thread = threading.Thread(target=fault, name="tracker")
    thread.start()
    thread.join()
    assert faults == []
    qtbot.waitUntil(lambda: bool(faults))
    assert faults[0][2] is threading.main_thread()
    assert "tracker" in faults[0][1]


def test_our_own_errors_speak_for_themselves(faults, qtbot):
    def missing():
        raise DeviceError("the camera is busy", "close the other program")

    raise_in_hook(missing)
    qtbot.waitUntil(lambda: bool(faults))
    assert faults[0][0] == "the camera is busy\nclose the other program"


def test_the_same_fault_again_is_counted(faults, qtbot, clock):
    for _ in range(5):
        raise_in_hook(fault)
        clock.now += 1
    raise_in_hook(fault, "another")
    qtbot.waitUntil(lambda: len(faults) == 2)
    clock.now += QUIET_SECONDS
    raise_in_hook(fault)
    qtbot.waitUntil(lambda: len(faults) == 3)
    assert faults[2][0] == "ZeroDivisionError: division by zero (×5)"


def test_a_storm_of_faults_counts_up_every_ten_seconds(clock):
    counter, told = FaultCounter(clock), []
    for _ in range(300):
        clock.now += 0.1
        try:
            fault()
        except ZeroDivisionError as error:
            told.append(counter.note(error))
    shown = [times for times in told if times]
    assert len(shown) == 3
    assert shown[0] == 1
    assert sum(shown) + 300 - (told.index(shown[-1], 200) + 1) == 300


def test_a_fault_while_a_fault_is_shown_is_only_logged(qapp, qtbot, caplog, clock):
    calls = []

    def broken(what, details):
        calls.append(what)
        raise RuntimeError("the dialog is broken")

    uninstall = install_exception_hook(broken, clock)
    raise_in_hook(fault)
    qtbot.waitUntil(lambda: bool(calls))
    qtbot.waitUntil(lambda: "cannot be shown" in caplog.text)
    uninstall()
    assert len(calls) == 1


def test_what_cannot_be_raised_is_only_logged(faults, qtbot, caplog):
    class Bad:
        def __del__(self):
            fault("in passing")

    Bad()
    gc.collect()
    assert "in passing" in caplog.text
    raise_in_hook(fault)
    qtbot.waitUntil(lambda: bool(faults))
    assert [what for what, _, _ in faults] == ["ZeroDivisionError: division by zero"]


def test_ctrl_c_is_not_a_fault(faults, monkeypatch):
    passed = []
    monkeypatch.setattr(sys, "__excepthook__", lambda *arguments: passed.append(arguments[0]))
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    sys.excepthook(SystemExit, SystemExit(), None)
    assert passed == [KeyboardInterrupt]
    QApplication.processEvents()
    assert faults == []


def test_the_hooks_go_back(qapp, clock):
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    install_exception_hook(lambda what, details: None, clock)()
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == before
