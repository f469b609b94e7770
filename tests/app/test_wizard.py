"""The first-run wizard by real clicks: with and without devices, skipped anywhere, with devices that refuse."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import shiboken6
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QWizard

from agora_app.models.source import SourceModel
from agora_app.wizard.device_test import DeviceTest
from agora_app.wizard.first_run import FirstRunWizard, Probes
from core.doctor import Check, Health
from core.errors import DeviceError
from core.media.cameras import CameraInfo

CAMERAS = [CameraInfo("usb-1", "Desk camera", 200, 0), CameraInfo("usb-2", "Lid camera", 200, 2)]
FINE = [Check("python", Health.OK, "3.11")]
BROKEN = [Check("opencv", Health.BROKEN, "two", "remove one")]


class Desk:
    """Devices that tell what is done to them."""

    def __init__(self):
        self.log, self.open_now, self.most_open = [], 0, 0
        self.refuses = ""
        self.level = 1.0
        self.lock = threading.Lock()

    def open_camera(self, info):
        if self.refuses:
            raise DeviceError(f"{info.name} {self.refuses}", "close it there")
        return Thing(self, info.id, lambda: np.full((48, 64, 3), 200, np.uint8))

    def open_microphone(self, name):
        return Thing(self, f"mic {name or 'default'}", lambda: self.level)


class Thing:
    def __init__(self, desk, name, value):
        self.desk, self.name, self.value = desk, name, value
        with desk.lock:
            desk.log.append(f"open {name}")
            if not name.startswith("mic"):
                desk.open_now += 1
                desk.most_open = max(desk.most_open, desk.open_now)

    def read(self):
        time.sleep(0.005)
        return self.value()

    def close(self):
        with self.desk.lock:
            self.desk.log.append(f"close {self.name}")
            if not self.name.startswith("mic"):
                self.desk.open_now -= 1


@pytest.fixture
def desk():
    return Desk()


@pytest.fixture
def make(qtbot, session, store, desk, monkeypatch):
    monkeypatch.setattr("agora_app.wizard.device_test._RETRY_FOR", 0.05)
    made = []

    def make(cameras=CAMERAS, microphones=("Headset",), checks=lambda: FINE):
        source = SourceModel(session, store, enumerate_cameras=lambda: list(cameras), make_camera=FakeSource)
        qtbot.waitUntil(lambda: source.has_searched)
        wizard = FirstRunWizard(store, source, Probes(checks, lambda: list(microphones), desk.open_camera, desk.open_microphone))
        made.append((wizard, source))
        wizard.open()
        return wizard, source

    yield make
    for wizard, source in made:
        if shiboken6.isValid(wizard):
            with qtbot.waitSignal(wizard.destroyed):
                wizard.reject()
        source.close()


class FakeSource:
    is_live = True

    def __init__(self, info, *_):
        self.name, self.info = info.name, info


def press(qtbot, wizard, name):
    button = wizard.button(getattr(QWizard.WizardButton, name))
    assert button.isVisible()
    assert button.isEnabled()
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def tick(qtbot, box):
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(12, box.height() // 2))


def to_devices(qtbot, wizard):
    press(qtbot, wizard, "NextButton")
    press(qtbot, wizard, "NextButton")
    assert wizard.currentPage() is wizard.devices


def test_all_the_way_with_a_camera(qtbot, make, store, desk):
    wizard, source = make()
    assert source.kind == "demo"  # nobody has agreed to anything yet
    to_devices(qtbot, wizard)
    page = wizard.devices
    assert [page.cameras.itemText(i) for i in range(page.cameras.count())] == ["Desk camera", "Lid camera"]
    assert not page.has_picture
    assert not [line for line in desk.log if "usb" in line]  # not before the box is ticked
    tick(qtbot, page.consent)
    qtbot.waitUntil(lambda: page.has_picture)
    assert not page.preview.pixmap().isNull()
    qtbot.keyClick(page.cameras, Qt.Key.Key_Down)
    page.cameras.activated.emit(page.cameras.currentIndex())
    qtbot.waitUntil(lambda: "open usb-2" in desk.log and page.has_picture)
    qtbot.waitUntil(lambda: page.level.value() == 100)
    press(qtbot, wizard, "NextButton")
    assert wizard.ready.camera.isChecked()
    assert "Lid camera" in wizard.ready.camera.toolTip()
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "FinishButton")
    assert source.kind == "camera"
    assert source.camera_id == "usb-2"
    assert store.settings.application.wizard_done
    assert store.settings.application.consent
    assert desk.most_open == 1
    assert desk.open_now == 0
    opened = {line.split(" ", 1)[1] for line in desk.log if line.startswith("open")}
    qtbot.waitUntil(lambda: opened == {line.split(" ", 1)[1] for line in desk.log if line.startswith("close")})


def test_the_demo_may_be_chosen_all_the_same(qtbot, make, store):
    wizard, source = make()
    to_devices(qtbot, wizard)
    tick(qtbot, wizard.devices.consent)
    qtbot.waitUntil(lambda: wizard.devices.has_picture)
    press(qtbot, wizard, "NextButton")
    qtbot.mouseClick(wizard.ready.demo, Qt.MouseButton.LeftButton)
    assert not wizard.ready.camera.isChecked()
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "FinishButton")
    assert source.kind == "demo"


def test_without_the_box_the_camera_cannot_be_chosen(qtbot, make, store):
    wizard, source = make()
    to_devices(qtbot, wizard)
    press(qtbot, wizard, "NextButton")
    assert not wizard.ready.camera.isEnabled()
    assert "tick" in wizard.ready.camera.toolTip().lower()
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "FinishButton")
    assert source.kind == "demo"
    assert not store.settings.application.consent


def test_no_camera_and_no_microphone_is_no_dead_end(qtbot, make, store, desk):
    wizard, source = make(cameras=(), microphones=())
    to_devices(qtbot, wizard)
    page = wizard.devices
    assert "No camera was found" in page.preview.text()
    qtbot.waitUntil(lambda: "No microphone" in page.sound_problem.text())
    assert page.microphones.currentText() == "No sound"
    qtbot.mouseClick(page.no_camera, Qt.MouseButton.LeftButton)
    assert wizard.currentPage() is wizard.ready
    assert wizard.ready.demo.isChecked()
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "FinishButton")
    assert source.kind == "demo"
    assert store.settings.application.wizard_done
    assert not desk.log


def test_i_have_no_camera_beats_one_that_works(qtbot, make):
    wizard, _ = make()
    to_devices(qtbot, wizard)
    tick(qtbot, wizard.devices.consent)
    qtbot.waitUntil(lambda: wizard.devices.has_picture)
    qtbot.mouseClick(wizard.devices.no_camera, Qt.MouseButton.LeftButton)
    assert wizard.ready.demo.isChecked()


def test_a_camera_that_refuses_says_why(qtbot, make, desk):
    desk.refuses = "may not be used by you: permission denied"
    wizard, _ = make()
    to_devices(qtbot, wizard)
    tick(qtbot, wizard.devices.consent)
    qtbot.waitUntil(lambda: "permission denied" in wizard.devices.problem.text())
    assert "Close it there" in wizard.devices.problem.text()
    assert not wizard.devices.has_picture
    desk.refuses = ""
    wizard.devices.cameras.activated.emit(0)  # choosing it again tries again
    qtbot.waitUntil(lambda: wizard.devices.has_picture)
    assert not wizard.devices.problem.text()


def test_microphones_that_cannot_be_listed_are_told(qtbot, make):
    def refuse():
        raise DeviceError("sound does not work", "install it")

    wizard, _ = make(microphones=())
    wizard.devices._probes = Probes(lambda: FINE, refuse, wizard.devices._probes.open_camera)
    to_devices(qtbot, wizard)
    qtbot.waitUntil(lambda: "Sound does not work" in wizard.devices.sound_problem.text())


@pytest.mark.parametrize("pages", [0, 1, 2, 3])
def test_skipped_on_any_page(qtbot, make, store, pages, desk):
    wizard, source = make()
    for _ in range(pages):
        press(qtbot, wizard, "NextButton")
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "CustomButton1")
    assert store.settings.application.wizard_done
    assert not store.settings.application.consent
    assert source.kind == "demo"
    assert desk.open_now == 0


def test_escape_skips_too(qtbot, make, store):
    wizard, _ = make()
    with qtbot.waitSignal(wizard.destroyed):
        qtbot.keyClick(wizard, Qt.Key.Key_Escape)
    assert store.settings.application.wizard_done


def test_opened_again_and_skipped_the_camera_goes_on(qtbot, make, store, session):
    store.change("application", consent=True, wizard_done=True)
    wizard, source = make()
    assert source.kind == "camera"
    to_devices(qtbot, wizard)
    assert source.kind == "demo"  # the camera cannot be open twice
    qtbot.waitUntil(lambda: wizard.devices.has_picture)  # agreed to long ago: no box to tick
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "CustomButton1")
    assert source.kind == "camera"
    assert source.camera_id == "usb-1"


def test_checks_hold_nobody_up_and_run_once(qtbot, make):
    gate, runs = threading.Event(), []

    def checks():
        runs.append(1)
        gate.wait(10)
        return BROKEN

    wizard, _ = make(checks=checks)
    press(qtbot, wizard, "NextButton")
    next_button = wizard.button(QWizard.WizardButton.NextButton)
    assert next_button.text() == "Continue anyway"
    press(qtbot, wizard, "NextButton")
    assert wizard.currentPage() is wizard.devices
    press(qtbot, wizard, "BackButton")
    assert wizard.checks.panel.is_running
    gate.set()
    qtbot.waitUntil(lambda: bool(wizard.checks.panel.rows))
    assert runs == [1]
    assert wizard.checks.panel.rows[0].state.text() == "broken"
    assert next_button.text() == "Continue anyway"
    press(qtbot, wizard, "NextButton")
    press(qtbot, wizard, "BackButton")
    assert runs == [1]


def test_all_fine_just_says_next(qtbot, make):
    wizard, _ = make()
    press(qtbot, wizard, "NextButton")
    qtbot.waitUntil(lambda: bool(wizard.checks.panel.rows))
    assert wizard.button(QWizard.WizardButton.NextButton).text() == "Next"


def test_closing_while_checks_run_is_safe(qtbot, make):
    gate = threading.Event()
    wizard, _ = make(checks=lambda: gate.wait(10) and FINE)
    press(qtbot, wizard, "NextButton")
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "CustomButton1")
    gate.set()


def test_a_camera_that_hangs_holds_nobody_up(qtbot, make, desk, monkeypatch):
    monkeypatch.setattr("agora_app.wizard.first_run._LONGEST_WAIT_MS", 50)
    gate = threading.Event()
    wizard, source = make()
    wizard.devices._probes = Probes(lambda: FINE, lambda: [], lambda info: gate.wait(10) and Thing(desk, info.id, lambda: None))
    to_devices(qtbot, wizard)
    tick(qtbot, wizard.devices.consent)
    qtbot.waitUntil(lambda: wizard.devices.camera_test.is_busy)
    press(qtbot, wizard, "NextButton")
    qtbot.mouseClick(wizard.ready.camera, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "FinishButton")
    assert source.kind == "camera"
    gate.set()
    qtbot.waitUntil(lambda: "close usb-1" in desk.log or not desk.log)


def test_the_microphone_is_kept(qtbot, make, store):
    wizard, _ = make()
    to_devices(qtbot, wizard)
    page = wizard.devices
    qtbot.waitUntil(lambda: page.microphones.count() == 3)
    page.microphones.setCurrentIndex(1)
    page.microphones.activated.emit(1)
    press(qtbot, wizard, "NextButton")
    with qtbot.waitSignal(wizard.destroyed):
        press(qtbot, wizard, "FinishButton")
    assert store.settings.recording.microphone == "Headset"


def test_a_camera_plugged_in_later_appears(qtbot, make):
    found = []
    wizard, _ = make(cameras=found)
    to_devices(qtbot, wizard)
    assert not wizard.devices.cameras.isEnabled()
    found.append(CAMERAS[0])
    qtbot.waitUntil(lambda: wizard.devices.cameras.isEnabled())
    assert wizard.devices.cameras.currentText() == "Desk camera"


def test_every_control_can_be_told_apart(qtbot, make):
    wizard, _ = make()
    to_devices(qtbot, wizard)
    page = wizard.devices
    for widget in (page.cameras, page.microphones, page.consent, page.no_camera):
        assert widget.accessibleName() or widget.text()
        assert widget.toolTip()
        assert widget.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_a_device_test_opens_the_next_only_when_the_last_is_closed(qtbot, desk):
    test = DeviceTest("test")
    for number in range(5):
        test.start(lambda number=number: desk.open_camera(CameraInfo(f"usb-{number}", "", 0, number)))
    with qtbot.waitSignal(test.value):
        pass
    with qtbot.waitSignal(test.released):
        test.stop()
    assert desk.most_open == 1
    assert desk.open_now == 0
    assert test.wait(1)
