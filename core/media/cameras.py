"""Which cameras there are: names people know and ids that survive unplugging, another socket's number and a restart."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

log = logging.getLogger(__name__)

_BACKENDS = {"linux": 200, "win32": 700, "darwin": 1200}  # OpenCV's CAP_V4L2, CAP_DSHOW, CAP_AVFOUNDATION
_BACKEND_NAMES = {200: "V4L2", 700: "DirectShow", 1200: "AVFoundation"}


@dataclass(frozen=True)
class CameraInfo:
    """A camera that is plugged in now.

    Attributes:
        id: stays the same when the camera is plugged in again; what settings remember.
        name: for the user; two cameras of one name are numbered.
        backend: OpenCV's number of the interface it is opened with.
        index: its number there; may be another one tomorrow.
    """

    id: str
    name: str
    backend: int
    index: int

    @property
    def backend_name(self) -> str:
        return _BACKEND_NAMES.get(self.backend, "")


class Found(Protocol):
    """What the enumerating library tells of a device."""

    index: int
    name: str | None
    path: str | None
    vid: int | None
    pid: int | None


def list_cameras() -> list[CameraInfo]:
    """All cameras, those of the lowest number first; may take a moment. None to be had is an empty list, never an error."""
    backend = _BACKENDS.get(sys.platform, 0)
    try:
        from cv2_enumerate_cameras import enumerate_cameras

        found = enumerate_cameras(backend)
    except Exception as error:  # a driver's own failure: there is nothing the user could do about it here
        log.warning("cameras cannot be listed: %s", error)
        return []
    if sys.platform == "linux":
        return linux_cameras(found, backend)
    return _numbered([CameraInfo(_usb_id(camera), _tidy(camera.name), backend, camera.index) for camera in found])


def find_camera(camera_id: str) -> CameraInfo | None:
    """The camera of that id, wherever it is plugged in now."""
    return next((camera for camera in list_cameras() if camera.id == camera_id), None)


def device_nodes(system: str = sys.platform, devices: Path = Path("/dev")) -> tuple[tuple[str, int], ...] | None:
    """What changes when a camera comes or goes, found without waking any; None where only `list_cameras` can tell."""
    if system != "linux":
        return None
    try:
        return tuple(sorted((node.name, node.stat().st_ctime_ns) for node in devices.glob("video[0-9]*")))
    except OSError:  # one went while we looked
        return ()


def linux_cameras(found: Iterable[Found], backend: int, devices: Path = Path("/dev"),
                  classes: Path = Path("/sys/class/video4linux")) -> list[CameraInfo]:
    """Linux shows a camera as several nodes: of each device interface the first that delivers pictures counts.

    Args:
        found: nodes that can capture.
        devices, classes: where the system keeps nodes and their descriptions.
    """
    stable = _links(devices / "v4l" / "by-path") | _links(devices / "v4l" / "by-id")
    cameras: dict[Path, CameraInfo] = {}
    for camera in sorted(found, key=lambda camera: camera.index):
        node = f"video{camera.index}"
        described = classes / node / "device"
        device = described.resolve() if described.exists() else classes / node
        if device not in cameras:
            name = _tidy(camera.name)
            cameras[device] = CameraInfo(stable.get(node) or f"{device.name}/{name}", name, backend, camera.index)
    return _numbered(list(cameras.values()))


def _links(folder: Path) -> dict[str, str]:
    """Names of lasting links, by the name of the node that they lead to."""
    if not folder.is_dir():
        return {}
    return {link.resolve().name: f"{folder.name}/{link.name}" for link in sorted(folder.iterdir(), reverse=True)}


def _usb_id(camera: Found) -> str:
    kind = f"{camera.vid or 0:04x}:{camera.pid or 0:04x}"
    return f"{kind}:{camera.path or f'{_tidy(camera.name)}#{camera.index}'}"


def _tidy(name: str | None) -> str:
    """A camera's name without the system's repetition ("Integrated Camera: Integrated C")."""
    head, _, tail = (name or "").strip().partition(": ")
    if tail and (head.startswith(tail) or tail.startswith(head)):
        return head
    return (name or "").strip() or "Camera"


def _numbered(cameras: list[CameraInfo]) -> list[CameraInfo]:
    """Cameras of one name told apart by number: names are what the user chooses by."""
    shared = {name for name, count in Counter(camera.name for camera in cameras).items() if count > 1}
    seen: Counter[str] = Counter()
    numbered = []
    for camera in cameras:
        seen[camera.name] += 1
        numbered.append(replace(camera, name=f"{camera.name} ({seen[camera.name]})") if camera.name in shared else camera)
    return numbered
