"""The first minutes: what the program is, whether this machine is ready, camera and microphone, and off it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QWidget, QWizard

from agora_app.parts import StepList, style_buttons
from agora_app.settings.store import SettingsStore
from agora_app.wizard.device_test import CameraDevice, Device, MicrophoneDevice
from agora_app.wizard.pages import CameraPage, ChecksPage, ReadyPage, WelcomePage
from core.doctor import Check, run_checks
from core.media.cameras import CameraInfo

_TEST_SIZE = (640, 480, 30)
_LONGEST_WAIT_MS = 3000  # for the tested camera to be let go of


def open_camera(info: CameraInfo) -> Device:
    """Open a camera for a test picture. Raises DeviceError."""
    from core.pipeline.live.sources import CameraSource

    return CameraDevice(CameraSource(info, *_TEST_SIZE))


def open_microphone(name: str) -> Device:
    """Open a microphone, the system's default without a name. Raises DeviceError."""
    from core.media.microphone import Microphone

    return MicrophoneDevice(Microphone(name))


def microphones() -> list[str]:
    """Names of the microphones. Raises DeviceError."""
    from core.media.microphone import list_microphones

    return list_microphones()


@dataclass(frozen=True)
class Probes:
    """What the wizard looks at; replaced in tests. All are called in threads."""

    checks: Callable[[], Sequence[Check]] = run_checks
    microphones: Callable[[], list[str]] = microphones
    open_camera: Callable[[CameraInfo], Device] = open_camera
    open_microphone: Callable[[str], Device] = open_microphone


class FirstRunWizard(QWizard):
    """Can be skipped on every page and opened again; afterwards `application.wizard_done` is set.

    Real footage is only touched after its box was ticked: until then the demo plays.

    Args:
        store: settings.
        source: the source model: its cameras are offered, and it is told what to play.
        probes: replaced in tests.
    """

    def __init__(self, store: SettingsStore, source, probes: Probes | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        probes = probes or Probes()
        self._store, self._source = store, source
        self._former = (source.kind, source.camera_id) if store.settings.application.consent else ("demo", "")
        self._result, self._is_settled = 0, False
        self.setWindowTitle(self.tr("Set up AGORA live"))
        self.setWizardStyle(QWizard.WizardStyle.ModernStyle)
        self.setOption(QWizard.WizardOption.NoCancelButton)
        self.setOption(QWizard.WizardOption.NoBackButtonOnStartPage)
        self.setOption(QWizard.WizardOption.HaveCustomButton1)
        self.setButtonText(QWizard.WizardButton.CustomButton1, self.tr("Skip set-up"))
        self.setButtonText(QWizard.WizardButton.BackButton, self.tr("Back"))
        self.setButtonText(QWizard.WizardButton.NextButton, self.tr("Next"))
        self.setButtonText(QWizard.WizardButton.FinishButton, self.tr("Start"))
        button = QWizard.WizardButton
        self.setButtonLayout([button.CustomButton1, button.Stretch, button.BackButton, button.NextButton, button.FinishButton])
        style_buttons(self, button.NextButton, button.FinishButton)
        self.button(button.CustomButton1).setToolTip(self.tr("You can open it again from the Tools menu"))
        self.resize(840, 540)
        self.welcome, self.checks = WelcomePage(), ChecksPage(probes.checks)
        self.devices = CameraPage(store, source, probes)
        self.ready = ReadyPage(self.devices)
        self.steps = StepList([self.tr("Welcome"), self.tr("This machine"), self.tr("Camera and sound"), self.tr("Ready")])
        self.setSideWidget(self.steps)
        for page in (self.welcome, self.checks, self.devices, self.ready):
            self.addPage(page)
        self.currentIdChanged.connect(self._on_page)
        self.customButtonClicked.connect(self.reject)
        if not store.settings.application.consent and source.kind in ("", "camera"):
            source.play_demo()

    def done(self, result: int) -> None:
        """Keep that the wizard was seen; start what was chosen once the tested camera is free again."""
        self.checks.panel.stop()
        self.devices.leave()
        self._store.change("application", wizard_done=True)
        super().done(result)
        self._result = result
        if self.devices.camera_test.is_busy:
            self.devices.camera_test.released.connect(self._settle)
            QTimer.singleShot(_LONGEST_WAIT_MS, self, self._settle)  # a driver that hangs holds nobody up
        else:
            self._settle()

    def _on_page(self, number: int) -> None:
        self.steps.show_step(number)
        if self.page(number) is not self.devices:
            self.devices.leave()

    def _settle(self) -> None:
        if self._is_settled:
            return
        self._is_settled = True
        if self._result == QWizard.DialogCode.Accepted:
            self.devices.keep()
            if self.ready.wants_camera:
                self._source.choose_camera(self.devices.camera_id)
            else:
                self._source.play_demo()
        elif self._former[0] == "camera" and self._source.kind != "camera":
            self._source.choose_camera(self._former[1])
        self.deleteLater()
