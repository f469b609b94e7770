"""A camera that delivers frames, opened through OpenCV; every way in which it can refuse is told in words."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from core.errors import DeviceError
from core.media.cameras import CameraInfo, find_camera
from core.types import Frame

FIRST_PICTURE_SECONDS = 5.0  # some cameras take three to wake up
_REQUEST_BUFFERS = 0xC0145608  # VIDIOC_REQBUFS of linux/videodev2.h: refused with EBUSY while another program streams
_PATIENCE = 0.3  # seconds within which a read that brings no frame comes back
_BETWEEN_EMPTY_READS = 0.01
_MJPG = cv2.VideoWriter.fourcc(*"MJPG")
_PRIVACY = {"darwin": "allow it in System Settings > Privacy & Security > Camera, then start the program again",
            "win32": "allow it in Settings > Privacy & security > Camera, for desktop apps too"}


class OpenCvCamera:
    """A camera that delivers RGB frames. Opened, read and closed in one thread.

    Args:
        info: which camera; it is looked up again by its id at every opening.
        width, height, fps: wanted; 0 leaves it to the camera. The camera decides what it delivers.
        find, make_capture, system, clock, sleep: replaced in tests.
    """

    is_live = True

    def __init__(self, info: CameraInfo, width: int = 0, height: int = 0, fps: int = 0, *,
                 find: Callable[[str], CameraInfo | None] = find_camera,
                 make_capture: Callable[[int, int], Any] = cv2.VideoCapture, system: str = sys.platform,
                 clock: Callable[[], int] = time.perf_counter_ns, sleep: Callable[[float], None] = time.sleep) -> None:
        self.info, self.name = info, info.name
        self._wanted = (width, height, fps)
        self._find, self._make_capture, self._system = find, make_capture, system
        self._clock, self._sleep = clock, sleep
        self._capture: Any = None
        self._index = 0

    @property
    def node(self) -> Path:
        """The device file, on Linux."""
        return Path(f"/dev/video{self.info.index}")

    def open(self) -> None:
        """Open the camera and wait for its first picture; may block for seconds. Raises DeviceError."""
        found = self._find(self.info.id)
        if found is None:
            raise DeviceError(f"{self.name} is not connected", "plug it in, or choose another camera")
        self.info = found
        if self._system == "linux":
            check_node(self.node, self.name)
        _calm_opencv()
        capture = self._make_capture(found.index, found.backend)
        try:
            if not capture.isOpened():
                raise self._refused()
            self._configure(capture)
            self._await_first_picture(capture)
        except BaseException:
            capture.release()
            raise
        self._capture = capture

    def read(self) -> Frame | None:
        """The next frame, stamped when it was grabbed; None when none came. Raises DeviceError when the camera is gone."""
        capture = self._capture
        if capture is None:
            raise DeviceError(f"{self.name} is not open")
        deadline = self._clock() + round(_PATIENCE * 1e9)
        while True:
            grabbed = capture.grab()
            time_ns = self._clock()
            found, picture = capture.retrieve() if grabbed else (False, None)
            if found and picture is not None and picture.size:
                self._index += 1
                return Frame(_to_rgb(picture), time_ns, self._index - 1)
            if not capture.isOpened() or (self._system == "linux" and not self.node.exists()):
                raise DeviceError(f"{self.name} was unplugged", "plug it in again")
            if time_ns > deadline:
                return None
            self._sleep(_BETWEEN_EMPTY_READS)

    def close(self) -> None:
        """Release the camera; harmless when it is not open."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _configure(self, capture: Any) -> None:
        """Ask for compressed pictures first: uncompressed ones do not fit through USB 2 above 640 x 480."""
        width, height, fps = self._wanted
        if self._system != "darwin":
            capture.set(cv2.CAP_PROP_FOURCC, _MJPG)
        if width and height:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
        if fps:
            capture.set(cv2.CAP_PROP_FPS, fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _await_first_picture(self, capture: Any) -> None:
        deadline = self._clock() + round(FIRST_PICTURE_SECONDS * 1e9)
        while not capture.read()[0]:
            if self._clock() > deadline:
                raise DeviceError(f"{self.name} delivers no pictures",
                                  "close other programs that use it, or unplug it and plug it in again")
            self._sleep(_BETWEEN_EMPTY_READS)

    def _refused(self) -> DeviceError:
        """Why OpenCV could not open the camera, as far as the system tells."""
        if self._system == "linux":
            _check_free(self.node, self.name)
            return DeviceError(f"{self.name} cannot be opened", "unplug it and plug it in again")
        advice = ["close other programs that use it (a video call?)", _PRIVACY.get(self._system, "")]
        return DeviceError(f"{self.name} cannot be opened: it is in use or not allowed", "; ".join(filter(None, advice)))


def check_node(node: Path, name: str, open_file: Callable[[Path, int], int] = os.open) -> None:
    """Try a Linux device file before OpenCV does, which would not say what is wrong. Raises DeviceError."""
    try:
        os.close(open_file(node, os.O_RDWR | getattr(os, "O_NONBLOCK", 0)))
    except OSError as error:
        raise _explained(error, node, name) from error


def _check_free(node: Path, name: str) -> None:
    """Raise DeviceError when another program streams from the camera: only then are buffers refused."""
    import fcntl  # Linux only

    request = np.array([1, 1, 1, 0, 0], np.uint32).tobytes()  # one buffer, video capture, memory-mapped
    release = np.array([0, 1, 1, 0, 0], np.uint32).tobytes()
    try:
        handle = os.open(node, os.O_RDWR | os.O_NONBLOCK)
        try:
            fcntl.ioctl(handle, _REQUEST_BUFFERS, request)
            fcntl.ioctl(handle, _REQUEST_BUFFERS, release)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENODEV):
            raise _explained(error, node, name) from error


def _explained(error: OSError, node: Path, name: str) -> DeviceError:
    if error.errno == errno.EBUSY:
        user = _who_uses(node)
        return DeviceError(f"{name} is used by {user or 'another program'}", "close it there, or choose another camera")
    if error.errno in (errno.EACCES, errno.EPERM):
        return DeviceError(f"{name} may not be used by you: permission denied",
                           "add yourself to the group video (sudo usermod -aG video $USER), then log in again")
    if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return DeviceError(f"{name} is not connected", "plug it in, or choose another camera")
    return DeviceError(f"{name} cannot be opened: {error.strerror}", "unplug it and plug it in again")


def _who_uses(node: Path, processes: Path = Path("/proc")) -> str:
    """Name of another program of this user that has the device open, or nothing."""
    for folder in processes.glob("[0-9]*"):
        if folder.name == str(os.getpid()):
            continue
        try:
            if any(os.readlink(handle) == str(node) for handle in (folder / "fd").iterdir()):
                return (folder / "comm").read_text().strip()
        except OSError:  # another user's, or over by now
            continue
    return ""


def _to_rgb(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB [H, W, 3], contiguous, of what a driver delivers: BGR, BGRA or grey (infrared cameras)."""
    if picture.ndim == 2 or picture.shape[2] == 1:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGB if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _calm_opencv() -> None:
    """OpenCV reports on stderr what is said here in words, and waits ten seconds for a picture; one is enough."""
    os.environ.setdefault("OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT", "1")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
