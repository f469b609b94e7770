"""The picture as a camera for other programs: the only module that imports pyvirtualcam."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from core.errors import AgoraError, DeviceError

log = logging.getLogger(__name__)

Picture = NDArray[np.uint8]
REPEAT_SECONDS = 0.5  # a picture that stands still is sent again this often: some programs call a silent camera dead
_LINUX_HINT = ('load the driver: sudo modprobe v4l2loopback devices=1 exclusive_caps=1 card_label="AGORA live"'
               " (to install it first: sudo apt install v4l2loopback-dkms)")
_OBS_HINT = ("install OBS Studio from obsproject.com, press Start Virtual Camera in it once, close it, and try again")
_HINTS = {"linux": _LINUX_HINT, "win32": _OBS_HINT, "darwin": _OBS_HINT}
_IN_USE_HINT = "stop the video call that shows this camera, or another program that feeds it, and try again"


class Device(Protocol):
    """What is used of an open virtual camera."""

    device: str

    def send(self, frame: Picture) -> None: ...

    def close(self) -> None: ...


class HasImage(Protocol):
    """What is used of a finished picture."""

    image: Picture


def open_device(width: int, height: int, fps: int, system: str = sys.platform) -> Device:
    """Open the first virtual camera of this machine; may block for a moment.

    Raises:
        DeviceError: with the exact steps for this system.
    """
    try:
        import pyvirtualcam
    except ImportError as error:
        raise DeviceError("the package for virtual cameras is not installed",
                          f"pip install pyvirtualcam; then {_HINTS.get(system, _OBS_HINT)}") from error
    try:
        return pyvirtualcam.Camera(width=width, height=height, fps=fps)
    except Exception as error:  # the package raises RuntimeError; its drivers raise what they like
        said = " ".join(str(error).split()) or type(error).__name__
        busy = any(word in said.lower() for word in ("busy", "in use", "already", "started"))
        raise DeviceError(f"the virtual camera cannot be opened: {said}",
                          _IN_USE_HINT if busy else _HINTS.get(system, _OBS_HINT)) from error


class VirtualCamera:
    """Sends finished pictures to a virtual camera, in a thread of its own; a slow device never holds up the drawing.

    The device is opened in that thread with the size of the first picture that comes, and opened anew when the size changes.

    Args:
        width, height: size of the pictures expected; the device opens with it at once.
        fps: no more pictures a second than this are sent.
        on_open: called in the thread with the device's name.
        on_problem: called in the thread when the camera cannot go on; nothing is sent from then on.
        open_device, clock: replaced in tests.
    """

    def __init__(self, width: int, height: int, fps: int, on_open: Callable[[str], None] | None = None,
                 on_problem: Callable[[AgoraError], None] | None = None,
                 open_device: Callable[[int, int, int], Device] = open_device,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._fps = (_even(width), _even(height)), fps
        self._on_open, self._on_problem = on_open, on_problem
        self._open_device, self._clock = open_device, clock
        self._changed = threading.Condition()
        self._picture: Picture | None = None
        self._closing = False
        self.sent = 0
        self._thread = threading.Thread(target=self._work, name="virtual-camera", daemon=True)
        self._thread.start()

    def accept(self, picture: HasImage) -> None:
        """Take a finished picture; the newest one wins. Never waits."""
        with self._changed:
            self._picture = picture.image
            self._changed.notify()

    def close(self, timeout: float = 2.0) -> bool:
        """Release the camera. Returns whether its thread has ended in time."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)
        return not self._thread.is_alive()

    # ------------------------------------------------------------------------------------------------------- the thread

    def _work(self) -> None:
        device: Device | None = None
        try:
            device = self._open()
            last, due = None, self._clock()
            while (picture := self._next(due, last)) is not None:
                if _size(picture) != self._size:
                    self._size = _size(picture)
                    device.close()
                    device = None
                    device = self._open()
                device.send(_trimmed(picture))
                self.sent += 1
                last, due = picture, max(due + 1 / self._fps, self._clock())
        except AgoraError as error:
            self._report(error)
        except Exception as error:  # a driver that dies between two pictures
            self._report(DeviceError(f"the virtual camera has stopped: {error}", "switch it on again"))
        finally:
            if device is not None:
                device.close()

    def _open(self) -> Device:
        device = self._open_device(*self._size, self._fps)
        log.info("virtual camera %s, %d x %d", device.device, *self._size)
        if self._on_open is not None and not self._closing:
            self._on_open(device.device)
        return device

    def _next(self, due: float, last: Picture | None) -> Picture | None:
        """The newest picture, not before `due`; the last one again when none comes. None when it is time to end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, max(0.0, due - self._clock()))
            while not self._closing:
                if self._picture is not None:
                    picture, self._picture = self._picture, None
                    return picture
                came = self._changed.wait_for(lambda: self._closing or self._picture is not None, REPEAT_SECONDS)
                if not came and last is not None:
                    return last
            return None

    def _report(self, error: AgoraError) -> None:
        log.warning("virtual camera: %s", error)
        if self._on_problem is not None and not self._closing:
            self._on_problem(error)


def _even(length: int) -> int:
    return max(2, length - length % 2)


def _size(picture: Picture) -> tuple[int, int]:
    """Width and height that a driver can take: they store colour for two by two pixels."""
    return _even(picture.shape[1]), _even(picture.shape[0])


def _trimmed(picture: Picture) -> Picture:
    width, height = _size(picture)
    return np.ascontiguousarray(picture[:height, :width, :3])
