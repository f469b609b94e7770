"""The virtual camera's sink: pacing, newest wins, size changes, failures in words, and the real package without a driver."""

from __future__ import annotations

import builtins
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from core.errors import DeviceError
from core.media.virtual_camera import VirtualCamera, open_device


class FakeDevice:
    def __init__(self, log, width, height, fps):
        self.log, self.shape = log, (height, width, 3)
        self.device = "/dev/video9"
        self.frames = []
        self.sent = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()
        self.fails = False
        log.append(("open", width, height, fps))

    def send(self, frame):
        if self.fails:
            raise OSError("no such device")
        assert frame.shape == self.shape
        assert frame.flags.c_contiguous
        self.go_on.wait(5)
        self.frames.append((time.monotonic(), int(frame[0, 0, 0])))
        self.sent.set()

    def close(self):
        self.log.append(("close", self.shape[1], self.shape[0]))


class Bench:
    def __init__(self):
        self.log, self.devices, self.problems, self.opened = [], [], [], []
        self.refuse = None

    def open(self, width, height, fps):
        if self.refuse:
            raise self.refuse
        self.devices.append(FakeDevice(self.log, width, height, fps))
        return self.devices[-1]

    def camera(self, width=64, height=48, fps=1000):
        return VirtualCamera(width, height, fps, self.opened.append, self.problems.append, self.open)


@pytest.fixture
def bench():
    return Bench()


def picture(level, width=64, height=48):
    return SimpleNamespace(image=np.full((height, width, 3), level, np.uint8))


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.002)


def test_pictures_arrive_and_the_device_is_closed(bench):
    camera = bench.camera()
    until(lambda: bench.opened == ["/dev/video9"])
    camera.accept(picture(7))
    until(lambda: bench.devices[0].frames)
    assert bench.devices[0].frames[0][1] == 7
    assert camera.close()
    assert bench.log == [("open", 64, 48, 1000), ("close", 64, 48)]
    assert not bench.problems


def test_a_slow_device_holds_nobody_up_and_gets_the_newest(bench):
    camera = bench.camera()
    until(lambda: bench.devices)
    device = bench.devices[0]
    device.go_on.clear()
    camera.accept(picture(0))
    time_taken = []
    for level in range(1, 100):
        start = time.perf_counter()
        camera.accept(picture(level))
        time_taken.append(time.perf_counter() - start)
    assert np.median(time_taken) < 0.001
    device.go_on.set()
    until(lambda: device.frames and device.frames[-1][1] == 99)
    assert len(device.frames) <= 3
    camera.close()


def test_no_more_than_the_wanted_rate(bench):
    camera = bench.camera(fps=20)
    until(lambda: bench.devices)
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        camera.accept(picture(1))
        time.sleep(0.003)
    camera.close()
    times = [when for when, _ in bench.devices[0].frames]
    assert len(times) >= 3
    assert min(np.diff(times)) > 0.8 / 20


def test_a_picture_that_stands_still_is_repeated(bench, monkeypatch):
    monkeypatch.setattr("core.media.virtual_camera.REPEAT_SECONDS", 0.02)
    camera = bench.camera()
    until(lambda: bench.devices)
    camera.accept(picture(5))
    until(lambda: len(bench.devices[0].frames) >= 4)
    assert {level for _, level in bench.devices[0].frames} == {5}
    camera.close()


def test_another_size_opens_the_device_anew(bench):
    camera = bench.camera()
    camera.accept(picture(1))
    until(lambda: bench.devices and bench.devices[0].frames)
    camera.accept(picture(2, 81, 61))  # odd: drivers store colour for two by two pixels
    until(lambda: len(bench.devices) == 2 and bench.devices[1].frames)
    camera.close()
    assert bench.log == [("open", 64, 48, 1000), ("close", 64, 48), ("open", 80, 60, 1000), ("close", 80, 60)]


def test_a_refused_device_is_told_and_ends_the_thread(bench):
    bench.refuse = DeviceError("no driver", "load it")
    camera = bench.camera()
    until(lambda: bench.problems)
    camera.accept(picture(1))  # harmless
    assert camera.close()
    assert [error.hint for error in bench.problems] == ["load it"]


def test_a_device_that_dies_is_told_and_closed(bench):
    camera = bench.camera()
    until(lambda: bench.devices)
    bench.devices[0].fails = True
    camera.accept(picture(1))
    until(lambda: bench.problems)
    assert "no such device" in bench.problems[0].message
    camera.close()
    assert bench.log[-1] == ("close", 64, 48)


@pytest.mark.parametrize(("system", "word"), [
    ("linux", 'modprobe v4l2loopback devices=1 exclusive_caps=1 card_label="AGORA live"'), ("win32", "OBS"), ("darwin", "OBS")])
def test_each_system_has_its_steps(monkeypatch, system, word):
    def refuse(**_):
        raise RuntimeError("'backend' backend: nothing\nfound")

    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=refuse))
    with pytest.raises(DeviceError) as caught:
        open_device(64, 48, 30, system)
    assert "nothing found" in caught.value.message
    assert word in caught.value.hint


def test_a_camera_in_use_has_another_hint(monkeypatch):
    def refuse(**_):
        raise RuntimeError("virtual camera output could not be started: device busy")

    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=refuse))
    with pytest.raises(DeviceError) as caught:
        open_device(64, 48, 30, "linux")
    assert "modprobe" not in caught.value.hint


def test_the_missing_package_is_named(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **named):
        if name == "pyvirtualcam":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DeviceError) as caught:
        open_device(64, 48, 30, "linux")
    assert "pip install pyvirtualcam" in caught.value.hint


def test_the_real_package_says_what_is_missing_here():
    pytest.importorskip("pyvirtualcam")
    if list(Path("/sys/devices/virtual/video4linux").glob("*")) or sys.platform != "linux":
        pytest.skip("there may be a virtual camera on this machine")
    with pytest.raises(DeviceError, match="v4l2loopback"):
        open_device(64, 48, 30)
