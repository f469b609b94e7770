"""Cameras by name and lasting id, and every refusal in words; device files, drivers and OpenCV are stood in for."""

from __future__ import annotations

import errno
import os
import sys
from dataclasses import dataclass

import numpy as np
import pytest

from core.errors import DeviceError
from core.media import camera_device, cameras
from core.media.camera_device import OpenCvCamera, check_node
from core.media.cameras import CameraInfo, device_nodes, find_camera, linux_cameras, list_cameras


@dataclass
class Device:
    index: int
    name: str | None
    path: str | None = None
    vid: int | None = None
    pid: int | None = None


# ---------------------------------------------------------------------------------------------------------------- listing


class Linux:
    """A made-up /dev and /sys."""

    def __init__(self, folder) -> None:
        self.devices, self.classes = folder / "dev", folder / "sys" / "class" / "video4linux"
        for kind in ("by-id", "by-path"):
            (self.devices / "v4l" / kind).mkdir(parents=True)
        self.classes.mkdir(parents=True)
        self.usb = folder / "sys" / "devices"

    def plug(self, index: int, interface: str, by_id: str = "", by_path: str = "") -> None:
        node = self.devices / f"video{index}"
        node.touch()
        (self.usb / interface).mkdir(parents=True, exist_ok=True)
        (self.classes / node.name).mkdir()
        (self.classes / node.name / "device").symlink_to(self.usb / interface)
        for kind, name in (("by-id", by_id), ("by-path", by_path)):
            if name:
                (self.devices / "v4l" / kind / name).symlink_to(f"../../{node.name}")

    def list(self, *found: Device) -> list[CameraInfo]:
        return linux_cameras(found, 200, self.devices, self.classes)


@pytest.fixture
def linux(tmp_path):
    return Linux(tmp_path)


def test_a_camera_with_several_nodes_is_listed_once_by_its_lasting_id(linux):
    linux.plug(0, "1-2:1.0", "usb-Logitech_C920_AB12-video-index0", "pci-0000:00:14.0-usb-0:2:1.0-video-index0")
    linux.plug(1, "1-2:1.0", "usb-Logitech_C920_AB12-video-index1")
    found = linux.list(Device(1, "HD Pro Webcam C920"), Device(0, "HD Pro Webcam C920"))
    assert found == [CameraInfo("by-id/usb-Logitech_C920_AB12-video-index0", "HD Pro Webcam C920", 200, 0)]


def test_id_stays_when_the_number_changes(linux, tmp_path):
    linux.plug(0, "1-2:1.0", "usb-Cam-video-index0")
    before = linux.list(Device(0, "Cam"))[0]
    again = Linux(tmp_path / "later")
    again.plug(4, "1-3:1.0", "usb-Cam-video-index0")
    after = again.list(Device(4, "Cam"))[0]
    assert before.id == after.id
    assert (before.index, after.index) == (0, 4)


def test_twins_are_told_apart(linux):
    """Two cameras of one kind without serial numbers share a by-id link; the second has its socket only."""
    linux.plug(0, "1-1:1.0", "usb-Twin-video-index0", "pci-usb-1-video-index0")
    linux.plug(2, "1-2:1.0", "", "pci-usb-2-video-index0")
    linux.plug(4, "1-3:1.0")
    found = linux.list(Device(0, "Twin"), Device(2, "Twin"), Device(4, "Twin"))
    assert [camera.name for camera in found] == ["Twin (1)", "Twin (2)", "Twin (3)"]
    assert [camera.id for camera in found] == ["by-id/usb-Twin-video-index0", "by-path/pci-usb-2-video-index0", "1-3:1.0/Twin"]


def test_names_are_tidied(linux):
    for index, (name, expected) in enumerate([("Integrated Camera: Integrated C", "Integrated Camera"), ("", "Camera"),
                                              ("Vendor: Some Model", "Vendor: Some Model"), (None, "Camera (2)")]):
        assert cameras._tidy(name) == expected.removesuffix(" (2)"), index
    linux.plug(0, "a")
    linux.plug(1, "b")
    assert [c.name for c in linux.list(Device(0, ""), Device(1, None))] == ["Camera (1)", "Camera (2)"]


def test_other_systems_use_usb_numbers_and_path(monkeypatch):
    library = type(sys)("cv2_enumerate_cameras")
    asked = []
    library.enumerate_cameras = lambda backend: asked.append(backend) or [Device(1, "FaceTime HD", "0x14", 0x5AC, 0x8514),
                                                                          Device(0, "Virtual")]
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", library)
    monkeypatch.setattr(cameras.sys, "platform", "darwin")
    assert list_cameras() == [CameraInfo("05ac:8514:0x14", "FaceTime HD", 1200, 1),
                              CameraInfo("0000:0000:Virtual#0", "Virtual", 1200, 0)]
    assert asked == [1200]
    assert find_camera("05ac:8514:0x14").index == 1
    assert find_camera("else") is None
    assert list_cameras()[0].backend_name == "AVFoundation"


def test_a_library_that_fails_means_no_cameras(monkeypatch):
    library = type(sys)("cv2_enumerate_cameras")

    def fail(backend):
        raise OSError("no such driver")

    library.enumerate_cameras = fail
    monkeypatch.setitem(sys.modules, "cv2_enumerate_cameras", library)
    assert list_cameras() == []


@pytest.mark.skipif(sys.platform != "linux" or any(name.startswith("video") for name in os.listdir("/dev")),
                    reason="there are cameras here")
def test_a_machine_without_cameras_has_an_empty_list_and_says_nothing(capfd):
    assert list_cameras() == []
    with pytest.raises(DeviceError, match="not connected"):
        OpenCvCamera(CameraInfo("gone", "Gone", 200, 63)).open()
    with pytest.raises(DeviceError, match="not connected"):
        OpenCvCamera(CameraInfo("gone", "Gone", 200, 63), find=lambda _: CameraInfo("gone", "Gone", 200, 63)).open()
    assert capfd.readouterr().err == ""


def test_plugging_in_shows_without_asking_any_driver(tmp_path):
    nothing = device_nodes("linux", tmp_path)
    (tmp_path / "video0").touch()
    (tmp_path / "null").touch()
    one = device_nodes("linux", tmp_path)
    assert nothing != one == device_nodes("linux", tmp_path)
    (tmp_path / "video0").unlink()
    assert device_nodes("linux", tmp_path) == nothing
    assert device_nodes("win32", tmp_path) is None


# ---------------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(("number", "message", "hint"), [
    (errno.EBUSY, "used by another program", "close it there"), (errno.EACCES, "permission denied", "group video"),
    (errno.EPERM, "permission denied", "group video"), (errno.ENOENT, "not connected", "plug it in"),
    (errno.ENODEV, "not connected", "plug it in"), (errno.EIO, "cannot be opened", "unplug it")])
def test_why_a_device_file_cannot_be_opened(tmp_path, number, message, hint):
    def refuse(path, flags):
        raise OSError(number, os.strerror(number))

    with pytest.raises(DeviceError) as raised:
        check_node(tmp_path / "video0", "Webcam", refuse)
    assert raised.value.message.startswith("Webcam")
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_a_device_file_that_opens_is_closed_again(tmp_path):
    (tmp_path / "video0").touch()
    handles = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    check_node(tmp_path / "video0", "Webcam")
    assert not handles or len(os.listdir("/proc/self/fd")) == handles


@pytest.mark.skipif(sys.platform != "linux", reason="the process table is Linux's")
def test_the_program_that_holds_a_camera_is_named(tmp_path):
    node, processes = tmp_path / "video0", tmp_path / "proc"
    for number, target, name in (("17", "/dev/null", "shell"), ("18", str(node), "zoom"), (str(os.getpid()), str(node), "me")):
        (processes / number / "fd").mkdir(parents=True)
        (processes / number / "fd" / "3").symlink_to(target)
        (processes / number / "comm").write_text(name + "\n")
    assert camera_device._who_uses(node, processes) == "zoom"
    assert camera_device._who_uses(tmp_path / "video9", processes) == ""


@pytest.mark.skipif(sys.platform != "linux", reason="asks a Linux driver")
def test_streaming_elsewhere_shows_when_buffers_are_asked_for(tmp_path, monkeypatch):
    import fcntl

    (tmp_path / "video0").touch()
    asked = []

    def busy(handle, request, argument):
        asked.append((request, len(argument)))
        raise OSError(errno.EBUSY, "busy")

    monkeypatch.setattr(fcntl, "ioctl", busy)
    with pytest.raises(DeviceError, match="used by"):
        camera_device._check_free(tmp_path / "video0", "Webcam")
    size = asked[0][1]
    assert asked == [((3 << 30) | (size << 16) | (ord("V") << 8) | 8, 20)]  # _IOWR('V', 8, 20 bytes), by the rule of ioctl.h


# ----------------------------------------------------------------------------------------------------------------- pictures


class Driver:
    """OpenCV's VideoCapture, as far as it is used."""

    def __init__(self, pictures=(), opens: bool = True, first_after: int = 0) -> None:
        self.pictures, self.opens, self.first_after = list(pictures), opens, first_after
        self.asked: list[tuple[int, float]] = []
        self.released = 0
        self.arguments = None

    def __call__(self, index, backend):
        self.arguments = (index, backend)
        return self

    def isOpened(self):
        return self.opens

    def set(self, name, value):
        self.asked.append((name, value))
        return True

    def read(self):
        self.first_after -= 1
        return (False, None) if self.first_after >= 0 else (True, self.pictures[0])

    def grab(self):
        return bool(self.pictures)

    def retrieve(self):
        return True, self.pictures.pop(0)

    def release(self):
        self.released += 1
        self.opens = False


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 1_000_000
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9)


INFO = CameraInfo("usb-1", "Webcam", 700, 2)


def camera(driver: Driver, system: str = "win32", **named) -> OpenCvCamera:
    clock = Clock()
    return OpenCvCamera(INFO, **named, find=lambda _: INFO, make_capture=driver, system=system, clock=clock, sleep=clock.sleep)


def test_frames_are_rgb_contiguous_and_keep_their_own_size(generator):
    colour, alpha = (generator.integers(0, 255, (12, 16, n), np.uint8) for n in (3, 4))
    grey = generator.integers(0, 255, (6, 8), np.uint8)
    opened = camera(Driver([colour, alpha, grey]))
    opened.open()
    frames = [opened.read() for _ in range(3)]
    np.testing.assert_array_equal(frames[0].image, colour[:, :, ::-1])
    np.testing.assert_array_equal(frames[1].image, alpha[:, :, 2::-1])
    np.testing.assert_array_equal(frames[2].image, np.repeat(grey[:, :, None], 3, 2))
    assert all(frame.image.flags.c_contiguous for frame in frames)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[0].time_ns < frames[1].time_ns < frames[2].time_ns


def test_compressed_pictures_and_a_short_queue_are_asked_for_before_the_size():
    import cv2

    driver = Driver([np.zeros((4, 4, 3), np.uint8)])
    opened = camera(driver, width=1280, height=720, fps=30)
    opened.open()
    assert driver.arguments == (2, 700)
    assert driver.asked[0] == (cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    assert set(driver.asked[1:]) == {(cv2.CAP_PROP_FRAME_WIDTH, 1280), (cv2.CAP_PROP_FRAME_HEIGHT, 720), (cv2.CAP_PROP_FPS, 30),
                                     (cv2.CAP_PROP_BUFFERSIZE, 1)}
    automatic = Driver([np.zeros((4, 4, 3), np.uint8)])
    camera(automatic).open()
    assert {name for name, _ in automatic.asked} == {cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_BUFFERSIZE}


def test_slow_first_picture_is_waited_for_and_none_at_all_is_told():
    camera(Driver([np.zeros((4, 4, 3), np.uint8)], first_after=100)).open()
    driver = Driver(first_after=10**6)
    with pytest.raises(DeviceError, match="delivers no pictures"):
        camera(driver).open()
    assert driver.released == 1


@pytest.mark.parametrize(("system", "where"), [("win32", "Settings > Privacy"), ("darwin", "System Settings > Privacy")])
def test_refusal_on_other_systems_points_at_their_privacy_page(system, where):
    driver = Driver(opens=False)
    with pytest.raises(DeviceError, match="in use or not allowed") as raised:
        camera(driver, system).open()
    assert where in raised.value.hint
    assert driver.released == 1


def test_gone_camera_raises_and_a_pause_does_not():
    driver = Driver([np.zeros((4, 4, 3), np.uint8)])
    opened = camera(driver)
    opened.open()
    assert opened.read() is not None
    assert opened.read() is None
    driver.opens = False
    with pytest.raises(DeviceError, match="unplugged"):
        opened.read()
    opened.close()
    opened.close()
    assert driver.released == 1
    with pytest.raises(DeviceError):
        opened.read()
