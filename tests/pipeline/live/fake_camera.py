"""A camera that does what cameras do: noise, and every way of failing. Driven by the test, not by time."""

from __future__ import annotations

import threading

import numpy as np

from core.errors import DeviceError
from core.pipeline.live.state import Captured
from core.types import Frame


class FakeClock:
    """A clock that moves when told to."""

    def __init__(self, seconds: float = 100.0) -> None:
        self._ns = round(seconds * 1e9)
        self.slept: list[float] = []

    def __call__(self) -> int:
        return self._ns

    def advance(self, seconds: float) -> None:
        self._ns += round(seconds * 1e9)

    def sleep(self, seconds: float) -> None:
        """A sleep that takes no time but the clock's."""
        self.slept.append(seconds)
        self.advance(seconds)


class Plug:
    """What the test does to a camera, and what it sees of it; shared by all openings.

    Attributes:
        mode: "run", "error" (reads raise), "freeze" (the last picture again and again), "block" (reads hang until `unblock`),
            "silent" (reads bring nothing), "busy", "denied", "absent" (opening raises), "slow" (opening hangs until `unblock`).
        size: (width, height) of the pictures.
        opened, closed: how often.
        holders: how many have it open at this moment; `most_holders` at most.
    """

    def __init__(self, pictures=None, size=(64, 48)) -> None:
        self.mode, self.size = "run", size
        self.opened = self.closed = self.holders = self.most_holders = self.delivered = 0
        self.pictures = pictures
        self.return_after: int | None = None  # openings that fail before the camera works again
        self._release = threading.Event()
        self._permits = threading.Semaphore(0)
        self._generator = np.random.default_rng(1)
        self._last: np.ndarray | None = None
        self.lock = threading.Lock()

    def give(self, count: int = 1) -> None:
        """Let the camera deliver so many pictures."""
        self._permits.release(count)

    def unblock(self) -> None:
        """Let everything go on that hangs."""
        self._release.set()

    def hang(self) -> None:
        assert self._release.wait(20), "the test never let the driver go on"

    def wait_permit(self) -> bool:
        return self._permits.acquire(timeout=0.05)

    def picture(self) -> np.ndarray:
        width, height = self.size
        if self.mode == "freeze" and self._last is not None:
            return self._last
        if self.pictures is not None:
            self._last = self.pictures[self.delivered % len(self.pictures)]
        else:
            self._last = self._generator.integers(60, 200, (height, width, 3), np.uint8)
        return self._last


class FakeCamera:
    """A live source at the end of a `Plug`."""

    is_live = True

    def __init__(self, plug: Plug, clock, name: str = "Fake camera", device_id: str = "fake") -> None:
        self.plug, self.clock, self.name, self.device_id = plug, clock, name, device_id
        self._open = False

    def open(self) -> None:
        plug = self.plug
        with plug.lock:
            plug.opened += 1
        self._open = False
        mode = plug.mode
        if plug.return_after is not None:
            plug.return_after -= 1
            mode = "absent" if plug.return_after >= 0 else "run"
            plug.mode = mode
        if mode == "slow":
            plug.hang()
        if mode == "busy":
            raise DeviceError(f"{self.name} is used by another program", "close it there, or choose another camera")
        if mode == "denied":
            raise DeviceError(f"{self.name} may not be used by you: permission denied", "add yourself to the group video")
        if mode == "absent":
            raise DeviceError(f"{self.name} is not connected", "plug it in")
        with plug.lock:
            plug.holders += 1
            plug.most_holders = max(plug.holders, plug.most_holders)
        self._open = True

    def read(self) -> Captured | None:
        plug = self.plug
        mode = plug.mode
        if mode in ("error", "absent"):
            raise DeviceError(f"{self.name} was unplugged", "plug it in again")
        if mode == "block":
            plug.hang()
        if not plug.wait_permit() or mode == "silent":
            return None
        with plug.lock:
            plug.delivered += 1
            frame = Frame(plug.picture(), self.clock(), plug.delivered - 1)
        return Captured(frame, frame.time_ns)

    def close(self) -> None:
        with self.plug.lock:
            self.plug.closed += 1
            self.plug.holders -= self._open
        self._open = False
