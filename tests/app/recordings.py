"""A recording model with stand-ins for what it is connected to."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QObject, Signal

from agora_app.models.recording import RecordingModel
from agora_app.models.take_context import Scene
from agora_app.models.take_sound import TakeSound
from core.errors import DeviceError
from core.media.live_sound import sample_count
from tests.pipeline.live.pictures import live_picture

FRAME = 33_333_333


class FakeMicrophone:
    """Silent, with a level; remembers whether it was closed."""

    def __init__(self, device: str) -> None:
        self.name, self.problem, self.level, self.closed = device or "default microphone", "", 0.25, False

    def known_until(self):
        return None

    def follow(self, captured_ns, position_ns, lap):
        pass

    def read(self, from_ns, to_ns):
        return np.zeros(sample_count(from_ns, to_ns), np.float32)

    def close(self):
        self.closed = True


class Microphones:
    """Opens fake microphones; `problem` makes it refuse."""

    def __init__(self) -> None:
        self.opened: list[FakeMicrophone] = []
        self.problem = ""
        self.names = ["Built-in", "Headset"]
        self.gate: threading.Event | None = None

    def open(self, device: str) -> FakeMicrophone:
        if self.gate is not None:
            self.gate.wait(10)
        if self.problem:
            raise DeviceError(self.problem, "plug one in")
        self.opened.append(FakeMicrophone(device))
        return self.opened[-1]

    def list(self) -> list[str]:
        if self.problem:
            raise DeviceError(self.problem, "plug one in")
        return self.names

    @property
    def open_now(self) -> list[FakeMicrophone]:
        return [microphone for microphone in self.opened if not microphone.closed]


class Stage:
    """What is on stage."""

    def __init__(self) -> None:
        self.now = Scene("7", "Studio", None, source_kind="demo", source_title="demo motion")

    def scene(self) -> Scene:
        return self.now


class FakeOutputs(QObject):
    """Remembers switches."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.virtual_camera_on = self.osc_on = False
        self.virtual_camera_status, self.osc_status = "Off", "Off"

    def set_virtual_camera(self, on: bool) -> None:
        self.virtual_camera_on, self.virtual_camera_status = on, "On: OBS" if on else "Off"
        self.changed.emit()

    def set_osc(self, on: bool) -> None:
        self.osc_on, self.osc_status = on, "Sending VMC to 127.0.0.1:39539" if on else "Off"
        self.changed.emit()


def make_model(session, store, folder: Path, microphones: Microphones | None = None, **options) -> RecordingModel:
    """A model that records into `folder`."""
    microphones = microphones or Microphones()
    store.change("recording", folder=str(folder))
    return RecordingModel(session, store, options.pop("stage", Stage()), sound=TakeSound(microphones.open),
                          microphones=microphones.list, **options)


def feed(session, count: int = 30, start: int | None = None, **options) -> int:
    """Give pictures to the session's sinks, captured until now at 30 a second; returns the time of the next one."""
    start = time.perf_counter_ns() - count * FRAME if start is None else start
    for index in range(count):
        for sink in list(session.sinks):
            sink.accept(live_picture(start + index * FRAME, 40 + index % 100, **options))
    return start + count * FRAME
