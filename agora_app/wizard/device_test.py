"""Tries a camera or a microphone for as long as somebody looks, in a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from PySide6.QtCore import QObject, QTimer, Signal

from core.errors import AgoraError

log = logging.getLogger(__name__)
_LOOK_EVERY_MS = 33
_RETRY_FOR, _RETRY_EVERY = 2.0, 0.25  # seconds: a device that was let go of a moment ago may still be taken


class Device(Protocol):
    """Something that was opened and can be read."""

    def read(self) -> Any:
        """What it delivers now; None when nothing came in time. Waits a little. Raises AgoraError."""

    def close(self) -> None: ...


class DeviceTest(QObject):
    """Opens one device at a time and shows what it delivers. The thread knows no Qt object, so this may be deleted any time.

    Signals:
        value: what the device delivered last.
        failed: (what happened, what to do) the device cannot be opened or is gone.
        released: after `stop`, the device is closed.
    """

    value = Signal(object)
    failed = Signal(str, str)
    released = Signal()

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._name = name
        self._run: _Run | None = None
        self._last: _Run | None = None
        self._timer = QTimer(self, interval=_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)

    @property
    def is_busy(self) -> bool:
        """Whether a device is open, or not closed yet."""
        return self._last is not None and self._last.thread.is_alive()

    def start(self, open_device: Callable[[], Device]) -> None:
        """Try another device; the one before is closed first."""
        if self._run is not None:
            self._run.stopping.set()
        self._run = self._last = _Run(self._name, open_device, self._last)
        self._timer.start()

    def stop(self) -> None:
        """Close the device, without waiting for it."""
        if self._run is not None:
            self._run.stopping.set()
            self._run = None
        if self._last is not None:
            self._timer.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the thread. Returns whether it has ended."""
        if self._last is not None:
            self._last.thread.join(seconds)
        return not self.is_busy

    def _look(self) -> None:
        run = self._run
        if run is None:
            if not self.is_busy:
                self._timer.stop()
                self._last = None
                self.released.emit()
            return
        newest, run.newest = run.newest, None
        if newest is not None:
            self.value.emit(newest)
        problem, run.problem = run.problem, None
        if problem is not None:
            self.failed.emit(problem.message, problem.hint)


class _Run:
    """A thread with one device."""

    def __init__(self, name: str, open_device: Callable[[], Device], before: _Run | None) -> None:
        self.stopping = threading.Event()
        self.newest: Any = None
        self.problem: AgoraError | None = None
        self._open, self._before = open_device, before
        self.thread = threading.Thread(target=self._work, name=name, daemon=True)
        self.thread.start()

    def _work(self) -> None:
        if self._before is not None:
            self._before.thread.join()
            self._before = None
        device: Device | None = None
        try:
            device = self._opened()
            while device is not None and not self.stopping.is_set():
                value = device.read()
                if value is not None:
                    self.newest = value
        except AgoraError as error:
            self.problem = error
        except Exception as error:  # a driver's own failure is told like any other
            log.exception("%s", self.thread.name)
            self.problem = AgoraError(f"{type(error).__name__}: {error}")
        finally:
            if device is not None:
                device.close()

    def _opened(self) -> Device | None:
        give_up = time.monotonic() + _RETRY_FOR
        while not self.stopping.is_set():
            try:
                return self._open()
            except AgoraError:
                if time.monotonic() > give_up:
                    raise
                self.stopping.wait(_RETRY_EVERY)
        return None


class CameraDevice:
    """A frame source as something to try; delivers pictures [H, W, 3].

    Args:
        source: opened here.
    """

    def __init__(self, source) -> None:
        self._source = source
        try:
            source.open()
        except BaseException:
            source.close()
            raise

    def read(self):
        captured = self._source.read()
        return None if captured is None else captured.value.image

    def close(self) -> None:
        self._source.close()


class MicrophoneDevice:
    """A microphone as something to try; delivers its loudness, 0 to 1, twenty times a second."""

    def __init__(self, microphone) -> None:
        self._microphone = microphone

    def read(self) -> float:
        time.sleep(0.05)
        if self._microphone.problem:
            raise AgoraError(self._microphone.problem)
        return float(self._microphone.level)

    def close(self) -> None:
        self._microphone.close()
