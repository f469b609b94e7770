"""The program as a user starts it, in real windows on a virtual screen."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def screen():
    """DISPLAY of a virtual screen that lives as long as the tests of this module."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("Xvfb is not installed here")
    reading, writing = os.pipe()
    process = subprocess.Popen([server, "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
                               pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start here")
    yield f":{number}"
    process.terminate()
    process.wait(10)


@pytest.fixture
def environment(screen, tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QT_", "WAYLAND"))}
    return {**kept, "DISPLAY": screen, "QT_QPA_PLATFORM": "xcb", "AGORA_DATA": str(tmp_path / "data")}


def start(environment, *arguments):
    command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_live_session_draws_and_ends_cleanly(environment, tmp_path):
    done = start(environment, "soak", "--seconds", 8, "--every", 2, "--record", "--json", tmp_path / "soak.json")
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, out + err
    assert "Traceback" not in err, err
    samples = json.loads((tmp_path / "soak.json").read_text())["samples"]
    assert len(samples) >= 3
    assert samples[-1]["shown_fps"] > 1  # alive; how fast is the business of the benchmark
    assert samples[-1]["latency_p95_ms"] > 0
    assert not list((tmp_path / "data" / "running").glob("*")) if (tmp_path / "data" / "running").is_dir() else True


def test_a_second_start_hands_its_files_to_the_first(environment, tmp_path):
    first = start(environment, "live", "--no-questions")
    try:
        wait_for_line(first, environment, tmp_path)
        second = start(environment, "live", "--no-questions")
        out, err = second.communicate(timeout=60)
        assert second.returncode == 0, err
        assert "running already" in out
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=30)
    assert first.returncode in (0, -signal.SIGTERM, 143)


def wait_for_line(process, environment, folder) -> None:
    """Wait until the window is there: the marker of a running program exists from then on."""
    import time

    end = time.monotonic() + 60
    while time.monotonic() < end:
        if any((Path(environment["AGORA_DATA"])).glob("running*")):
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("the window did not open")
