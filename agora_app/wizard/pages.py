"""The pages of the first-run wizard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWizard,
)

from agora_app.background import Job
from agora_app.check_panel import CheckPanel
from agora_app.parts import Banner, Choice, Page, muted, point
from agora_app.settings.store import SettingsStore
from agora_app.theme import set_role
from agora_app.wizard.device_test import DeviceTest
from core.assets import resource
from core.doctor import Check, Health
from core.media.cameras import CameraInfo

_PREVIEW = QSize(340, 264)
_NO_SOUND = "\0none"
_LOUDEST = 100
_LOOK_FOR_CAMERAS_MS = 2000  # one that is plugged in now appears in the list


class WelcomePage(Page):
    """What the program does, and what it asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.set_heading(self.tr("Welcome to AGORA live"),
                         self.tr("Your face drives a three-dimensional head, in real time, on this machine. "
                                 "Setting up takes a minute; every step can be skipped."))
        self.column.addWidget(Banner(resource("window/welcome.jpg")))
        for name, title, words in (
                ("mdi6.face-recognition", self.tr("You move, the head moves"),
                 self.tr("A camera or a video is enough: no markers, no depth camera, no graphics card.")),
                ("mdi6.lock-outline", self.tr("Nothing leaves this machine"),
                 self.tr("No account and no upload. Pictures and sound are kept only where you record them.")),
                ("mdi6.account-check-outline", self.tr("Film only people who agreed"),
                 self.tr("The heads are synthetic, the movement is somebody's. Use your own face, or footage you may use."))):
            self.column.addWidget(point(name, title, words))
        self.column.addStretch(1)


class ChecksPage(Page):
    """What works on this machine. Never holds anybody up."""

    def __init__(self, run: Callable[[], Sequence[Check]]) -> None:
        super().__init__()
        self.set_heading(self.tr("Is this machine ready?"),
                         self.tr("You can go on at any time; the doctor in the Tools menu checks again."))
        self.panel = CheckPanel(run)
        self.panel.finished.connect(self._on_finished)
        self.column.addWidget(self.panel, 1)

    def initializePage(self) -> None:
        """Begin to look, unless that has been done."""
        if not self.panel.checks and self.panel.refresh():
            self.setButtonText(QWizard.WizardButton.NextButton, self.tr("Continue anyway"))

    def _on_finished(self, checks: list[Check]) -> None:
        fine = checks and all(check.health is not Health.BROKEN for check in checks)
        self.setButtonText(QWizard.WizardButton.NextButton, self.tr("Next") if fine else self.tr("Continue anyway"))


class CameraPage(Page):
    """Camera and microphone, chosen by name and tried at once.

    Args:
        source: its cameras are offered.
        probes: `first_run.Probes`.

    Attributes:
        camera_id: what was chosen; empty for none.
        has_picture: the chosen camera has delivered.
        agreed: the box about the people in front of it is ticked.
    """

    def __init__(self, store: SettingsStore, source, probes) -> None:
        super().__init__()
        self.set_heading(self.tr("Camera and microphone"),
                         self.tr("Choose what you want to use. Both are tried while you see this page, then let go of."))
        self._store, self._source, self._probes = store, source, probes
        self.has_picture = False
        self._shown = False
        self._lookout = QTimer(self, interval=_LOOK_FOR_CAMERAS_MS)
        self._lookout.timeout.connect(source.refresh_cameras)
        self.camera_test, self.microphone_test = DeviceTest("camera test", self), DeviceTest("microphone test", self)
        self._microphones = Job("microphones", self)
        self._build()
        self._connect()

    @property
    def camera_id(self) -> str:
        return self.cameras.currentData() or ""

    @property
    def agreed(self) -> bool:
        return self.consent.isChecked()

    @property
    def camera_name(self) -> str:
        return self.cameras.currentText() if self.camera_id else ""

    def initializePage(self) -> None:
        """List what is there and try what was chosen before."""
        self.no_camera_chosen = False
        if self._source.kind == "camera":  # it cannot be opened twice
            self._source.play_demo()
        self._list_cameras()
        self._shown = True
        self._source.refresh_cameras()
        self._lookout.start()
        self._microphones.run(self._probes.microphones)
        self._try_camera()

    def leave(self) -> None:
        """Let go of the devices."""
        self._shown = False
        self._lookout.stop()
        self.camera_test.stop()
        self.microphone_test.stop()

    def keep(self) -> None:
        """Write down what was chosen."""
        if self.agreed and not self._store.settings.application.consent:
            self._store.change("application", consent=True)
        chosen = self.microphones.currentData()
        if chosen is None:
            return
        if chosen == _NO_SOUND:
            self._store.change("recording", sound="none")
        else:
            sound = "auto" if self._store.settings.recording.sound == "none" else self._store.settings.recording.sound
            self._store.change("recording", microphone=chosen, sound=sound)

    # ------------------------------------------------------------------------------------------------------------ inside

    def _build(self) -> None:
        self.preview = QLabel()
        self.preview.setFixedSize(_PREVIEW)
        self.preview.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.preview.setWordWrap(True)
        self.preview.setMargin(8)
        self.preview.setAccessibleName(self.tr("Test picture"))
        set_role(self.preview, "card", "muted")
        self.cameras, self.microphones = QComboBox(), QComboBox()
        self.cameras.setAccessibleName(self.tr("Camera"))
        self.microphones.setAccessibleName(self.tr("Microphone"))
        for combo in (self.cameras, self.microphones):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(12)
        self.cameras.setToolTip(self.tr("Which camera sees you"))
        self.microphones.setToolTip(self.tr("Which microphone is recorded with the picture"))
        self.consent = QCheckBox(self.tr("I have the right to use\nwhat this camera films"))
        self.consent.setToolTip(self.tr("Everybody in front of the camera agrees. The test picture starts with it."))
        self.consent.setChecked(self._store.settings.application.consent)
        self.no_camera = QPushButton(self.tr("I have no camera"))
        self.no_camera.setToolTip(self.tr("Go on with the demo; a video file can be opened later"))
        self.level = QProgressBar()
        self.level.setRange(0, _LOUDEST)
        self.level.setTextVisible(False)
        self.level.setFixedHeight(12)
        self.level.setAccessibleName(self.tr("Loudness"))
        self.problem, self.sound_problem = muted(""), muted("")
        controls = QVBoxLayout()
        controls.setSpacing(8)
        for widget in (QLabel(self.tr("Camera")), self.cameras, self.consent, self.no_camera, self.problem):
            controls.addWidget(widget)
        controls.addSpacing(8)
        for widget in (QLabel(self.tr("Microphone")), self.microphones, self.level, self.sound_problem):
            controls.addWidget(widget)
        controls.addStretch(1)
        row = QHBoxLayout()
        row.setSpacing(16)
        row.addWidget(self.preview, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(controls, 1)
        self.column.addLayout(row, 1)
        self.no_camera_chosen = False

    def _connect(self) -> None:
        self._source.cameras_changed.connect(self._list_cameras)
        self.cameras.activated.connect(self._try_camera)
        self.consent.toggled.connect(self._try_camera)
        self.no_camera.clicked.connect(self._go_without)
        self.camera_test.value.connect(self._show_picture)
        self.camera_test.failed.connect(self._on_camera_failed)
        self._microphones.done.connect(self._list_microphones)
        self._microphones.failed.connect(lambda error: self._list_microphones([], getattr(error, "message", str(error))))
        self.microphones.activated.connect(self._try_microphone)
        self.microphone_test.value.connect(lambda level: self.level.setValue(round(_LOUDEST * level)))
        self.microphone_test.failed.connect(lambda what, hint: self.sound_problem.setText(_sentence(what, hint)))

    def _list_cameras(self) -> None:
        wanted = self.camera_id or self._store.settings.source.camera_id
        before = self.camera_id
        self.cameras.clear()
        for camera in self._source.cameras:
            self.cameras.addItem(camera.name, camera.id)
        if not self.cameras.count():
            searching = not self._source.has_searched
            self.cameras.addItem(self.tr("Looking for cameras…") if searching else self.tr("No camera found"), "")
        self.cameras.setCurrentIndex(max(0, self.cameras.findData(wanted)))
        self.cameras.setEnabled(bool(self._source.cameras))
        self.consent.setEnabled(bool(self._source.cameras))
        if self.camera_id != before or not self.camera_id:
            self._try_camera()

    def _chosen(self) -> CameraInfo | None:
        return next((camera for camera in self._source.cameras if camera.id == self.camera_id), None)

    def _try_camera(self) -> None:
        """Start the test picture if there may be one; otherwise say what is missing."""
        if not self._shown:
            return
        self.has_picture = False
        self.problem.setText("")
        self.preview.setPixmap(QPixmap())
        camera = self._chosen()
        if camera is None:
            self.camera_test.stop()
            self.preview.setText(self.tr("No camera was found.\n\nPlug one in, or go on with the demo: everything else works.")
                                 if self._source.has_searched else self.tr("Looking for cameras…"))
        elif not self.agreed:
            self.camera_test.stop()
            self.preview.setText(self.tr("Tick the box to see the test picture.\n\nIt is shown here and kept nowhere."))
        else:
            self.preview.setText(self.tr("Opening {0}…").format(camera.name))
            self.camera_test.start(lambda: self._probes.open_camera(camera))

    def _show_picture(self, picture) -> None:
        if not self._shown or not self.agreed:
            return
        self.has_picture = True
        self.problem.setText("")
        self.preview.setPixmap(_pixmap(picture, self._store.settings.source.mirror, self.preview.devicePixelRatioF()))

    def _on_camera_failed(self, what: str, hint: str) -> None:
        self.has_picture = False
        self.preview.setPixmap(QPixmap())
        self.preview.setText(self.tr("No picture"))
        self.problem.setText(_sentence(what, hint))

    def _go_without(self) -> None:
        self.no_camera_chosen = True
        self.wizard().next()

    def _list_microphones(self, names: list[str], problem: str = "") -> None:
        self.microphones.clear()
        self.sound_problem.setText(_sentence(problem, self.tr("recordings will have no sound")) if problem else "")
        if names:
            self.microphones.addItem(self.tr("System default"), "")
            for name in names:
                self.microphones.addItem(name, name)
        elif not problem:
            self.sound_problem.setText(self.tr("No microphone was found; recordings will have no sound."))
        self.microphones.addItem(self.tr("No sound"), _NO_SOUND)
        wanted = self._store.settings.recording
        chosen = _NO_SOUND if wanted.sound == "none" else wanted.microphone
        self.microphones.setCurrentIndex(max(0, self.microphones.findData(chosen)))
        self._try_microphone()

    def _try_microphone(self) -> None:
        self.level.setValue(0)
        name = self.microphones.currentData()
        self.level.setVisible(name != _NO_SOUND)
        if not self._shown or name is None or name == _NO_SOUND:
            self.microphone_test.stop()
        else:
            self.sound_problem.setText(self.tr("Say something: the bar moves."))
            self.microphone_test.start(lambda: self._probes.open_microphone(name))


class ReadyPage(Page):
    """Two ways to begin."""

    def __init__(self, devices: CameraPage) -> None:
        super().__init__()
        self.set_heading(self.tr("Ready"),
                         self.tr("How do you want to begin? You can change it at any time in the Source dock."))
        self._devices = devices
        self.camera = Choice("mdi6.webcam", self.tr("Start with my camera"))
        self.demo = Choice("mdi6.play-circle-outline", self.tr("Start with the demo"))
        self.demo.set_words(self.tr("Recorded movement plays; no camera is opened."))
        for choice in (self.camera, self.demo):
            self.column.addWidget(choice)
        tip = muted(self.tr("Then press Calibrate and relax your face for two seconds: the head rests when you do. "
                             "F1 opens a short guide."))
        self.column.addSpacing(8)
        self.column.addWidget(tip)
        self.column.addStretch(1)

    @property
    def wants_camera(self) -> bool:
        """Whether to start with the camera."""
        return self.camera.isChecked() and self.camera.isEnabled()

    def initializePage(self) -> None:
        """Offer the camera when there is one that may be used."""
        devices = self._devices
        usable = bool(devices.camera_id) and devices.agreed
        if not devices.camera_id:
            words = self.tr("No camera was found.")
        elif not devices.agreed:
            words = self.tr("Go back and tick the box below the camera first.")
        else:
            words = self.tr("{0}. Look straight at it, with light from the front.").format(devices.camera_name)
        self.camera.setEnabled(usable)
        self.camera.set_words(words)
        prefers_camera = usable and devices.has_picture and not devices.no_camera_chosen
        (self.camera if prefers_camera else self.demo).setChecked(True)


def _sentence(what: str, hint: str) -> str:
    parts = [part[:1].upper() + part[1:] for part in (what, hint) if part]
    return ". ".join(parts) + ("." if parts else "")


def _pixmap(picture, mirror: bool, ratio: float) -> QPixmap:
    """A picture [H, W, 3] that fits the preview, in pixels of the screen."""
    picture = np.ascontiguousarray(picture[:, ::-1] if mirror else picture)
    height, width = picture.shape[:2]
    image = QImage(picture.data, width, height, 3 * width, QImage.Format.Format_RGB888)
    scaled = QPixmap.fromImage(image).scaled((_PREVIEW - QSize(16, 16)) * ratio, Qt.AspectRatioMode.KeepAspectRatio,
                                             Qt.TransformationMode.SmoothTransformation)
    scaled.setDevicePixelRatio(ratio)
    return scaled
