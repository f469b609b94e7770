"""The folder through which a training run and its onlookers talk."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

import core.run_folder
from core.run_folder import LogRecord, Request, RunFolder, RunState, RunStatus, birth_of, without_overtaken

ROOT = Path(__file__).resolve().parent.parent
RUNNING = RunStatus(RunState.RUNNING, "image", ("uv", "image"), 1234, 9000, 11.5, 675.25, 99.5, "2026-01-01T10:00:00+00:00",
                    message="a line", numbers=(("loss", 0.5),))
linux = pytest.mark.skipif(not birth_of(os.getpid()), reason="the system does not tell when a process started")


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return RunFolder(tmp_path / "run")


@pytest.fixture
def ended_process() -> int:
    """Number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def age(run: RunFolder, status: RunStatus, seconds: float) -> None:
    """Write a status that is `seconds` old in every respect."""
    then = datetime.now(timezone.utc) - timedelta(seconds=seconds)
    run.write_status(replace(status, updated=then.isoformat()))
    os.utime(run.status_file, (then.timestamp(), then.timestamp()))


def test_stands_on_the_ground_floor():
    code = ("import sys; import core.run_folder;"
            "bad = {'numpy', 'torch', 'psutil', 'platformdirs'} & set(sys.modules); assert not bad, bad")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_status_comes_back(run):
    run.write_status(RUNNING)
    read = run.status()
    assert replace(read, updated="", pid=0, host="", birth="") == RUNNING
    assert read.pid == os.getpid()
    assert abs(datetime.now(timezone.utc) - datetime.fromisoformat(read.updated)) < timedelta(minutes=1)


def test_losses_that_are_no_numbers_are_still_json(run):
    run.write_status(replace(RUNNING, numbers=(("a", math.nan), ("b", -math.inf))))
    json.loads(run.status_file.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    (_, a), (_, b) = run.status().numbers
    assert math.isnan(a)
    assert b == -math.inf


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"state": "dancing"}', b"\xff\xfe"])
def test_a_damaged_status_is_none(run, content):
    run.path.mkdir()
    run.status_file.write_bytes(content)
    assert run.status() is None
    assert not run.is_alive()


def test_nothing_is_there(run):
    assert run.status() is None
    assert run.take_request() is None
    assert run.read_log() == ([], 0)
    assert run.samples() == []
    assert not run.is_alive()
    run.clear_requests()
    run.beat()
    assert not run.path.exists()


def test_this_process_is_alive_until_it_says_that_it_is_done(run):
    run.write_status(RUNNING)
    assert run.is_alive()
    for state in (RunState.FINISHED, RunState.STOPPED, RunState.FAILED):
        run.write_status(replace(RUNNING, state=state))
        assert not run.is_alive()


@linux
def test_a_silent_process_that_can_be_looked_up_is_alive(run):
    age(run, replace(RUNNING, pid=os.getpid(), host=os.uname().nodename, birth=birth_of(os.getpid())), 3600)
    assert run.is_alive()


@linux
def test_another_process_with_the_same_number_is_not_the_trainer(run):
    boot, tick = birth_of(os.getpid()).split(":")
    for birth in (f"{boot}:{int(tick) - 1}", f"another-boot:{tick}"):
        run.write_status(replace(RUNNING, pid=os.getpid(), host=os.uname().nodename, birth=birth))
        assert not run.is_alive()


@linux
def test_a_killed_trainer_is_dead_even_as_a_zombie(run):
    code = ("import sys; from core.run_folder import *; RunFolder(sys.argv[1]).write_status(RunStatus(RunState.RUNNING));"
            "print('written', flush=True); sys.stdin.read()")
    with subprocess.Popen([sys.executable, "-c", code, str(run.path)], cwd=ROOT, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout.readline()
        assert run.is_alive()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, nobody has collected it
        assert not run.is_alive()


def test_the_heart_decides_where_processes_cannot_be_looked_up(run, monkeypatch, ended_process):
    monkeypatch.setattr(core.run_folder, "birth_of", lambda pid: "")
    run.write_status(RUNNING)
    assert run.is_alive()
    age(run, RUNNING, 31)
    assert not run.is_alive()
    run.beat()
    assert run.is_alive()
    if os.name == "posix":
        run.write_status(replace(RUNNING, pid=ended_process, host=run.status().host))
        assert not run.is_alive()


def test_the_heart_decides_for_other_machines(run, ended_process):
    distant = replace(RUNNING, pid=ended_process, host="elsewhere", birth="boot:1")
    age(run, distant, 5)
    assert run.is_alive()
    age(run, distant, 31)
    assert not run.is_alive()


def test_the_heart_beats_during_a_long_step(run, monkeypatch):
    monkeypatch.setattr(core.run_folder, "_BEAT_SECONDS", 0.001)
    run.write_status(RUNNING)
    os.utime(run.status_file, (1, 1))
    beaten = threading.Event()
    monkeypatch.setattr(run, "beat", lambda: (RunFolder.beat(run), beaten.set()))
    with run.heartbeat():
        assert beaten.wait(30)
    assert run.status_file.stat().st_mtime > 1


def test_each_request_is_taken_once(run):
    trainer = RunFolder(run.path)
    for request in (*Request, Request.PAUSE, Request.PAUSE):
        run.request(request)
        assert trainer.take_request() is request
        assert trainer.take_request() is None
    assert list(run.path.iterdir()) == []


def test_the_latest_request_counts(run):
    run.request(Request.PAUSE)
    run.request(Request.STOP)
    assert run.take_request() is Request.STOP
    assert run.take_request() is None


def test_a_request_that_cannot_be_taken_away_is_answered_once(run, monkeypatch):
    def refuse(*paths):
        raise PermissionError("in use")

    run.request(Request.PAUSE)
    with monkeypatch.context() as patch:
        patch.setattr(core.run_folder.os, "replace", refuse)
        assert run.take_request() is Request.PAUSE
        assert run.take_request() is None
    run.request(Request.RESUME)
    assert run.take_request() is Request.RESUME


def test_rubbish_is_no_request(run):
    run.path.mkdir()
    for content in ("", "{", '{"request": "dance"}', "[1]"):
        run.control.write_text(content)
        assert run.take_request() is None
    run.request(Request.STOP)
    run.clear_requests()
    assert run.take_request() is None


def test_readers_never_see_half_a_status(run):
    """A child writes statuses of very different length as fast as it can; every read gives a whole one."""
    code = ("import sys; from core.run_folder import *; run = RunFolder(sys.argv[1]); i = 0\n"
            "while True: run.write_status(RunStatus(RunState.RUNNING, message='x' * (i % 7 * 9000), images=i)); i += 1")
    run.write_status(RUNNING)
    with subprocess.Popen([sys.executable, "-c", code, str(run.path)], cwd=ROOT) as process:
        seen: set[int] = set()
        while len(seen) < 100:
            status = run.status()
            assert status is not None
            seen.add(status.images)
        process.kill()
    assert run.status() is not None


def test_a_failed_write_leaves_the_old_status(run, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    run.write_status(RUNNING)
    before = run.status()
    monkeypatch.setattr(core.run_folder.os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        run.write_status(replace(RUNNING, images=7))
    assert run.status() == before
    assert [path.name for path in run.path.iterdir()] == ["status.json"]


def test_the_log_comes_back_in_parts(run):
    first, second = LogRecord("numbers", 8, "uv", (("loss", 0.1), ("bad", math.inf))), LogRecord("phase", 16, text="Bild ✓")
    run.append_log(first)
    records, offset = run.read_log()
    assert [replace(record, time="") for record in records] == [first]
    assert run.read_log(offset) == ([], offset)
    run.append_log(second)
    records, end = run.read_log(offset)
    assert [replace(record, time="") for record in records] == [second]
    assert end == run.log.stat().st_size


def test_a_torn_line_spoils_no_other(run):
    run.append_log(LogRecord("numbers", 1))
    whole = run.log.read_bytes()
    with run.log.open("ab") as file:
        file.write(whole[:20])
    records, offset = run.read_log()
    assert [record.images for record in records] == [1]
    assert offset == len(whole)  # the line may still be in the making
    run.append_log(LogRecord("numbers", 2))
    records, offset = run.read_log(offset)
    assert [record.images for record in records] == [2]
    assert offset == run.log.stat().st_size


def test_another_log_is_read_from_its_start(run):
    run.append_log(LogRecord("numbers", 1))
    assert [record.images for record in run.read_log(10**6)[0]] == [1]


def test_what_was_trained_again_is_left_out():
    line = [LogRecord("numbers", images) for images in (10, 20, 30, 40)]
    again = [LogRecord("resume", 20), LogRecord("numbers", 30), LogRecord("numbers", 40)]
    assert without_overtaken(line + again) == line[:2] + again


def test_samples_are_in_the_order_of_training(run):
    run.samples_folder.mkdir(parents=True)
    for name in ("000000900.png", "000010000.png", "1000000000.png", ".000000900.png.ab12", "notes.png", "000000900.jpg"):
        (run.samples_folder / name).touch()
    assert [path.name for path in run.samples()] == ["000000900.png", "000010000.png", "1000000000.png"]
    assert run.sample_file(900).name == "000000900.png"
