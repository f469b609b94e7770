"""The program as a user starts it, in real windows on a virtual screen."""

from __future__ import annotations

import json
import random
import signal
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from agora_app.settings.model import Settings
from core.pipeline.live.take import list_takes
from core.pipeline.live.take_recovery import find_unfinished_takes, recover_take
from tests.app.screen import screen_environment, start, virtual_screen
from tests.media.sounds import click_times, flash_times, make_clap_clip

DRIVER_SIDE = slice(0, 400)  # columns of a side-by-side picture of 512 rows that belong to the driver


@pytest.fixture(scope="module")
def screen():
    yield from virtual_screen()


@pytest.fixture
def environment(screen, tmp_path):
    return screen_environment(screen, tmp_path / "data")


def write_settings(folder: Path, takes: Path, layout: str = "side-by-side") -> None:
    """Settings of somebody who has used the program before and records the file's own sound."""
    settings = Settings().model_dump()
    settings["application"] |= {"wizard_done": True, "consent": True}
    settings["recording"] |= {"folder": str(takes), "layout": layout, "sound": "source"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings))


def wait_for(condition, process, seconds: float = 60.0):
    """Wait until a condition holds and return its value; a program that ends before fails."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)  # another process is waited for, which has no signal for us
    raise AssertionError("it did not come to that")


def test_a_live_session_draws_records_and_ends_cleanly(environment, tmp_path):
    write_settings(tmp_path / "data", tmp_path / "takes", "avatar")
    process = start(environment, "soak", "--seconds", 8, "--every", 2, "--record", "--json", tmp_path / "soak.json")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, out + err
    assert "Traceback" not in err, err
    samples = json.loads((tmp_path / "soak.json").read_text())["samples"]
    assert len(samples) >= 3
    assert samples[-1]["shown_fps"] > 1  # alive; how fast is the business of the benchmark
    assert samples[-1]["latency_p95_ms"] > 0
    assert len(list_takes(tmp_path / "takes")) == 1
    assert find_unfinished_takes(tmp_path / "takes") == []


def test_a_second_start_hands_its_files_to_the_first(environment, tmp_path):
    write_settings(tmp_path / "data", tmp_path / "takes")
    first = start(environment, "live", "--no-questions")
    try:
        wait_for(lambda: list((tmp_path / "data" / "running").glob("*.json")), first)
        second = start(environment, "live", "--no-questions")
        out, err = second.communicate(timeout=60)
        assert second.returncode == 0, err
        assert "running already" in out
    finally:
        first.send_signal(signal.SIGTERM)
        _, err = first.communicate(timeout=30)
    assert first.returncode == 0, err
    assert not list((tmp_path / "data" / "running").glob("*.json"))  # a polite end is no crash


@pytest.mark.slow
def test_a_minute_with_sound_is_long_enough_and_in_step(environment, tmp_path):
    """A clip that flashes and clicks plays as the camera for a minute in the live program, which records it."""
    write_settings(tmp_path / "data", tmp_path / "takes")
    clap = make_clap_clip(tmp_path / "clap.mp4", 10)
    process = start(environment, "soak", "--driver", clap, "--seconds", 64.5, "--every", 20, "--record")
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, out + err
    (take,) = list_takes(tmp_path / "takes")
    flashes, clicks = np.array(flash_times(take.video, DRIVER_SIDE)), np.array(click_times(take.video))
    apart = np.abs(flashes[:, None] - clicks).min(1)[1:-1]
    print(f"{take.seconds:.2f} s, {len(flashes)} flashes, {len(clicks)} clicks, apart {1e3 * np.median(apart):.1f} ms median, "
          f"{1e3 * apart.max():.1f} ms at most")
    assert 59.5 < take.seconds < 63.0
    assert len(flashes) >= 58
    assert apart.max() < 0.04


@pytest.mark.slow
def test_ten_kills_of_the_live_program_lose_a_second_at_most(environment, tmp_path):
    """`kill -9` at random moments of a live recording with sound; what recovery brings back is measured by the wall clock."""
    clap = make_clap_clip(tmp_path / "clap.mp4", 10)
    moments, lost = random.Random(7), []
    for number in range(10):
        takes = tmp_path / f"takes {number}"
        write_settings(tmp_path / "data", takes)
        process = start(environment, "soak", "--driver", clap, "--seconds", 60, "--record")
        sidecar = wait_for(lambda takes=takes: next((path.read_text() for path in takes.glob("*.json")), ""), process)
        began = datetime.fromisoformat(json.loads(sidecar)["started"]).timestamp()
        time.sleep(moments.uniform(2, 14))
        process.kill()
        recorded = time.time() - began
        process.communicate()
        (unfinished,) = find_unfinished_takes(takes)
        take = recover_take(unfinished)
        lost.append(recorded - take.seconds)
        assert take.read_motion().params[-1].time_ns / 1e9 > recorded - 1
    print("lost:", " ".join(f"{seconds:.2f}" for seconds in lost))
    assert max(lost) <= 1.0
