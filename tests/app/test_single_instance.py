"""One instance per user and data folder, with real second processes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtNetwork import QLocalSocket

from agora_app.single_instance import SingleInstance, parse_message, socket_name

ROOT = Path(__file__).resolve().parents[2]
_SECOND = """
import sys
from pathlib import Path
from PySide6.QtCore import QCoreApplication
from agora_app.single_instance import SingleInstance
app = QCoreApplication([])
instance = SingleInstance("agora-test", Path(sys.argv[1]))
print(int(instance.is_first), int(not instance.is_first and instance.send(sys.argv[2:])), flush=True)
"""


def second(folder, *files, then=""):
    return subprocess.Popen([sys.executable, "-c", _SECOND + then, str(folder), *files], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


@pytest.fixture
def first(qapp, tmp_path):
    instance = SingleInstance("agora-test", tmp_path)
    assert instance.is_first
    yield instance
    instance.close()


def test_files_of_a_second_start_arrive(first, tmp_path, qtbot):
    files = ["/videos/a clip.mp4", "/videos/фильм.mp4", "with\nnewline.npz"]
    with qtbot.waitSignal(first.files_received, timeout=20_000) as received:
        process = second(tmp_path, *files)
    out, err = process.communicate(timeout=20)
    assert received.args == [files]
    assert out.split() == ["0", "1"], err


def test_a_start_without_files_only_shows_the_window(first, tmp_path, qtbot):
    with qtbot.waitSignal(first.files_received, timeout=20_000) as received:
        process = second(tmp_path)
    process.communicate(timeout=20)
    assert received.args == [[]]


def test_another_data_folder_is_another_program(first, tmp_path):
    out, err = second(tmp_path / "other").communicate(timeout=20)
    assert out.split() == ["1", "0"], err


def test_after_closing_the_next_one_is_first(first, tmp_path):
    first.close()
    out, err = second(tmp_path).communicate(timeout=20)
    assert out.split() == ["1", "0"], err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
def test_what_a_killed_program_leaves_is_taken_over(qapp, tmp_path, qtbot):
    killed = second(tmp_path, then="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    out, _ = killed.communicate(timeout=20)
    assert out.split() == ["1", "0"]
    assert killed.returncode == -signal.SIGKILL
    instance = SingleInstance("agora-test", tmp_path)
    assert instance.is_first
    with qtbot.waitSignal(instance.files_received, timeout=20_000) as received:
        process = second(tmp_path, "x.mp4")
    process.communicate(timeout=20)
    assert received.args == [["x.mp4"]]
    instance.close()


@pytest.mark.parametrize("content", [b"no json\n", b'{"a": 1}\n', b"[1]\n", b"\xff\xfe\n", b"x" * (1 << 20) + b"yz"])
def test_a_stranger_on_the_socket_is_turned_away(first, tmp_path, qtbot, content):
    received = []
    first.files_received.connect(received.append)
    stranger = QLocalSocket()
    stranger.connectToServer(socket_name("agora-test", tmp_path))
    qtbot.waitUntil(lambda: stranger.state() is QLocalSocket.LocalSocketState.ConnectedState)
    stranger.write(content)
    qtbot.waitUntil(lambda: stranger.state() is QLocalSocket.LocalSocketState.UnconnectedState)
    assert not received


def test_without_a_writable_folder_it_starts_all_the_same(qapp, tmp_path):
    (tmp_path / "file").write_text("")
    instance = SingleInstance("agora-test", tmp_path / "file" / "below")
    assert instance.is_first
    instance.close()


def test_names_are_short_and_differ(tmp_path):
    names = {socket_name("agora-live", tmp_path / name) for name in ("a", "b")}
    assert len(names) == 2
    assert max(len(name) for name in names) < 40


def test_messages_are_lists_of_text():
    assert parse_message(b'["a", "b"]') == ["a", "b"]
    assert parse_message(b"[[]]") is None
