"""The run sentinel with real processes that end well, are killed, or die of a fault."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication

from agora_app.dialogs.safe_start import SafeStartDialog, ask_safe_mode
from agora_app.sentinel import SafeStart, Sentinel

ROOT = Path(__file__).resolve().parents[2]


def run(folder, then):
    """Arm a sentinel in a process of its own, do something, and come back when it is over."""
    code = f"import os, signal, sys; from pathlib import Path; from agora_app.sentinel import Sentinel; " \
           f"s = Sentinel(Path({str(folder)!r})); r = s.arm(); print(int(r.crashed), flush=True); {then}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def sentinel(tmp_path):
    sentinel = Sentinel(tmp_path, trace=False)
    yield sentinel
    sentinel.disarm()


def test_a_clean_run_leaves_nothing(tmp_path, sentinel):
    done = run(tmp_path, "s.disarm()")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "0"
    assert not list((tmp_path / "running").iterdir())
    assert not sentinel.arm().crashed


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_killed_run_is_noticed_once(tmp_path, sentinel):
    done = run(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "running").glob("*.json"))) == 1
    assert sentinel.arm().crashed
    sentinel.disarm()
    assert not Sentinel(tmp_path, trace=False).arm().crashed


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_a_fault_leaves_its_trace(tmp_path, sentinel):
    done = run(tmp_path, "exec('def guilty(): os.kill(os.getpid(), signal.SIGSEGV)'); guilty()")
    assert done.returncode == -signal.SIGSEGV
    found = sentinel.arm()
    assert found == SafeStart(True, tmp_path / "logs" / "crash.log")
    assert "guilty" in found.last_log.read_text()


def test_the_newest_log_holds_the_last_words(tmp_path, sentinel):
    logs = tmp_path / "logs"
    logs.mkdir()
    for name, seconds in (("crash.log", 100), ("agora-live.log", 200), ("empty.log", 300)):
        (logs / name).write_text("" if name == "empty.log" else "words")
        os.utime(logs / name, (seconds, seconds))
    assert sentinel.arm().last_log.name == "agora-live.log"


def test_a_run_that_goes_on_is_no_crash(tmp_path, sentinel):
    running = tmp_path / "running"
    running.mkdir()
    parent = psutil.Process(os.getppid())
    (running / "1.json").write_text(json.dumps({"pid": parent.pid, "started": parent.create_time()}))
    assert not sentinel.arm().crashed
    assert (running / "1.json").exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x", "started": 0}', "\0\1"])
def test_a_damaged_marker_counts_as_a_crash(tmp_path, sentinel, content):
    running = tmp_path / "running"
    running.mkdir()
    (running / "1.json").write_text(content)
    assert sentinel.arm().crashed
    assert not (running / "1.json").exists()


def test_another_process_with_the_number_of_the_dead_one(tmp_path, sentinel):
    running = tmp_path / "running"
    running.mkdir()
    (running / "1.json").write_text(json.dumps({"pid": os.getppid(), "started": 1.0}))
    assert sentinel.arm().crashed


def test_a_folder_that_cannot_be_written_keeps_nobody_out(tmp_path):
    (tmp_path / "file").write_text("")
    sentinel = Sentinel(tmp_path / "file" / "below")
    assert not sentinel.arm().crashed
    sentinel.disarm()


def test_safe_mode_is_asked_for(qtbot, tmp_path):
    dialog = SafeStartDialog(SafeStart(True, tmp_path / "none.log"))
    qtbot.addWidget(dialog)
    dialog.show()
    assert not dialog.log.isEnabled()
    assert dialog.normal.isDefault()
    with qtbot.waitSignal(dialog.accepted):
        qtbot.mouseClick(dialog.safe, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize(("button", "chosen"), [("safe", True), ("normal", False)])
def test_the_answer_is_what_was_clicked(qtbot, tmp_path, button, chosen):
    def click():
        dialog = QApplication.activeModalWidget()
        qtbot.mouseClick(getattr(dialog, button), Qt.MouseButton.LeftButton)

    QTimer.singleShot(0, click)
    assert ask_safe_mode(SafeStart(True, tmp_path / "none.log")) is chosen
