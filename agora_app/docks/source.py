"""The dock in which the user chooses what drives the avatar, and sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QHideEvent, QPalette, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.docks.camera_preview import CameraPreview
from agora_app.icons import keep_icon
from agora_app.models.source import SourceModel
from core.pipeline.live.state import LivePicture, SourceState, SourceStatus

KINDS = ("camera", "video", "motion", "demo")
SIZES = ((0, 0), (640, 480), (1280, 720), (1920, 1080))
ROTATIONS = (0, 90, 180, 270)
_PREVIEW_SECONDS = 0.09
_DOTS = {SourceState.NONE: "#8a909b", SourceState.OPENING: "#c98a1b", SourceState.RUNNING: "#2f9e5f",
         SourceState.LOST: "#c98a1b", SourceState.ENDED: "#8a909b", SourceState.FAILED: "#d64848"}
_SEGMENTS = """
QToolButton { padding: 5px 2px; border: 1px solid palette(mid); border-left-width: 0; background: palette(button);
              color: palette(button-text); }
QToolButton:hover { background: palette(midlight); }
QToolButton:checked { background: palette(highlight); color: palette(highlighted-text); border-color: palette(highlight); }
QToolButton:focus { border: 2px solid palette(link); padding: 4px 1px; }
QToolButton[place="first"] { border-left-width: 1px; border-top-left-radius: 5px; border-bottom-left-radius: 5px; }
QToolButton[place="last"] { border-top-right-radius: 5px; border-bottom-right-radius: 5px; }
"""
_VIDEOS = "*.mp4 *.m4v *.mov *.mkv *.webm *.avi *.gif *.png *.jpg *.jpeg *.webp"


class SourceDock(QWidget):
    """Camera, video, motion or demo, with what belongs to each, and a small picture of it.

    Args:
        model: what is chosen and how it is doing.
        may_film: asked before a camera is switched on or a video of a person is opened; no leaves everything as it is.
    """

    def __init__(self, model: SourceModel, parent: QWidget | None = None, *,
                 may_film: Callable[[], bool] = lambda: True) -> None:
        super().__init__(parent)
        self.may_film = may_film
        self._model = model
        self._overlay = False
        self._shown_at, self._shown_time_ns = float("-inf"), -1
        self._playing: tuple[str, str] | None = None
        self._build()
        model.cameras_changed.connect(self._show_cameras)
        model.status_changed.connect(self._show_status)
        model.choice_changed.connect(self._show_choice)
        model.failed.connect(self._show_playing)
        self._show_cameras()
        self._show_choice()
        self._show_status(model.status)

    # -------------------------------------------------------------------------------------------------------------- picture

    def show_picture(self, picture: LivePicture) -> None:
        """Show the frame that a finished picture was driven by; at most about ten times a second and only while visible."""
        now = time.monotonic()
        if not self.isVisible() or now - self._shown_at < _PREVIEW_SECONDS:
            return
        if picture.frame is None:
            self.preview.show_text(self._words_for_no_picture())
        elif picture.frame.time_ns != self._shown_time_ns and self._model.kind in ("camera", "video"):
            self._shown_at, self._shown_time_ns = now, picture.frame.time_ns
            self.preview.show_picture(picture.frame.image, picture.landmarks if self._overlay else None)

    def set_overlay(self, on: bool) -> None:
        """Draw the landmarks into the picture."""
        self._overlay = on

    # ------------------------------------------------------------------------------------------------------------- building

    def _build(self) -> None:
        self.preview = CameraPreview()
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addWidget(self.preview)
        column.addLayout(self._status_lines())
        column.addSpacing(4)
        column.addWidget(self._segments())
        column.addWidget(self._pages())
        column.addLayout(self._options())
        column.addStretch(1)

    def _status_lines(self) -> QVBoxLayout:
        self.state_label = QLabel(textFormat=Qt.TextFormat.RichText, wordWrap=True)
        self.state_label.setAccessibleName(self.tr("State of the source"))
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)  # a long path must not widen the dock
        policy.setHeightForWidth(True)
        self.state_label.setSizePolicy(policy)
        self.retry_button = QPushButton(self.tr("Try again"), toolTip=self.tr("Open the source again"))
        self.retry_button.clicked.connect(self._model.retry)
        lines = QVBoxLayout()
        lines.setSpacing(6)
        lines.addWidget(self.state_label)
        lines.addWidget(self.retry_button, 0, Qt.AlignmentFlag.AlignLeft)
        return lines

    def _segments(self) -> QWidget:
        words = {"camera": (self.tr("Camera"), self.tr("Drive the avatar with a camera")),
                 "video": (self.tr("Video"), self.tr("Drive the avatar with a video or picture of a face")),
                 "motion": (self.tr("Motion"), self.tr("Play recorded motion")),
                 "demo": (self.tr("Demo"), self.tr("Play the motion that ships with the program"))}
        self._group = QButtonGroup(self)
        self.kind_buttons: dict[str, QToolButton] = {}
        strip = QWidget()
        strip.setStyleSheet(_SEGMENTS)
        row = QHBoxLayout(strip)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        for kind in KINDS:
            text, tip = words[kind]
            button = QToolButton(text=text, toolTip=tip, checkable=True)
            button.setProperty("place", {KINDS[0]: "first", KINDS[-1]: "last"}.get(kind, ""))
            button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            button.clicked.connect(lambda _=False, kind=kind: self._choose(kind))
            self._group.addButton(button)
            self.kind_buttons[kind] = button
            row.addWidget(button)
        return strip

    def _pages(self) -> QStackedWidget:
        self.pages = QStackedWidget()
        self.pages.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.pages.addWidget(self._camera_page())
        self.file_labels: dict[str, QLabel] = {}
        self.open_buttons: dict[str, QPushButton] = {}
        self.pages.addWidget(self._file_page("video", self.tr("Open…"), self.tr("Open a video or picture of a face")))
        self.pages.addWidget(self._file_page("motion", self.tr("Open…"), self.tr("Open a motion file")))
        self.pages.addWidget(_hint(self.tr("Recorded motion that ships with the program. No camera is used.")))
        return self.pages

    def _camera_page(self) -> QWidget:
        self.camera_box = QComboBox(toolTip=self.tr("Camera"))
        self.camera_box.setAccessibleName(self.tr("Camera"))
        self.camera_box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.camera_box.activated.connect(lambda index: self._use_camera(self.camera_box.itemData(index) or ""))
        self.refresh_button = QToolButton(toolTip=self.tr("Look for cameras again"))
        self.refresh_button.setAccessibleName(self.tr("Look for cameras again"))
        self.refresh_button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.refresh_button.clicked.connect(self._model.refresh_cameras)
        keep_icon(self.refresh_button, "mdi6.refresh")
        self.camera_hint = _hint("")
        return _page((self.camera_box, self.refresh_button), self.camera_hint)

    def _file_page(self, kind: str, text: str, tip: str) -> QWidget:
        label = QLabel()
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        button = QPushButton(text, toolTip=tip)
        button.clicked.connect(lambda: self._ask_for_file(kind))
        self.file_labels[kind], self.open_buttons[kind] = label, button
        return _page((label, button), _hint(self.tr("Or drop a file on the window.")))

    def _options(self) -> QFormLayout:
        self.mirror_box = QCheckBox(self.tr("Mirror"), toolTip=self.tr("Show the picture as in a mirror (M)"))
        self.mirror_box.clicked.connect(self._model.set_mirror)
        self.loop_box = QCheckBox(self.tr("Play again at the end"), toolTip=self.tr("Begin again when the file is over"))
        self.loop_box.clicked.connect(self._model.set_loop)
        self.rotation_box = _choices(self.tr("Rotation"), self.tr("Turn the picture clockwise"),
                                     [(self.tr("None"), 0), ("90°", 90), ("180°", 180), ("270°", 270)])
        self.rotation_box.activated.connect(lambda index: self._model.set_rotation(self.rotation_box.itemData(index)))
        self.size_box = _choices(self.tr("Size"), self.tr("Size of the pictures that the camera is asked for"),
                                 [(f"{width} × {height}" if width else self.tr("Automatic"), f"{width}x{height}")
                                  for width, height in SIZES])
        self.size_box.activated.connect(lambda index: self._model.set_size(*map(int, self.size_box.itemData(index).split("x"))))
        self.form = QFormLayout(horizontalSpacing=12, verticalSpacing=8)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.form.addRow(self.tr("Size"), self.size_box)
        self.form.addRow(self.tr("Rotation"), self.rotation_box)
        self.form.addRow(self.mirror_box)
        self.form.addRow(self.loop_box)
        return self.form

    # ------------------------------------------------------------------------------------------------------ what is clicked

    def _choose(self, kind: str) -> None:
        """A kind was clicked: play what there is of it, or show where it can be had."""
        self._show_page(kind)
        if kind == self._model.kind:
            return
        if kind == "demo":
            self._model.play_demo()
        elif kind == "camera":
            if self._model.cameras:
                self._use_camera()
        elif last := self._model.last_file(kind):
            self._open(kind, last)

    def _use_camera(self, camera_id: str = "") -> None:
        if self.may_film():
            self._model.choose_camera(camera_id)
        else:
            self._show_playing()

    def _ask_for_file(self, kind: str) -> None:
        folder = str(Path(self._model.last_file(kind)).parent) if self._model.last_file(kind) else str(Path.home())
        if kind == "video":
            title, files = self.tr("Open a video of a face"), self.tr("Videos and pictures ({0})").format(_VIDEOS)
        else:
            title, files = self.tr("Open a motion clip"), self.tr("Motion clips (*.npz)")
        path = QFileDialog.getOpenFileName(self, title, folder, f"{files};;{self.tr('All files')} (*)")[0]
        if path:
            self._open(kind, path)

    def _open(self, kind: str, path: str) -> None:
        if kind == "motion":
            self._model.open_motion(path)
        elif self.may_film():
            self._model.open_video(path)
        else:
            self._show_playing()

    # ----------------------------------------------------------------------------------------------------- what is shown

    def _show_page(self, kind: str) -> None:
        kind = kind or "camera"
        self.kind_buttons[kind].setChecked(True)
        self.pages.setCurrentIndex(KINDS.index(kind))
        for index in range(self.pages.count()):  # a hidden page must not keep the stack tall
            page = self.pages.widget(index)
            page.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred if index == KINDS.index(kind)
                               else QSizePolicy.Policy.Ignored)
        playing = kind == self._model.kind  # options are those of what is playing
        self.form.setRowVisible(self.size_box, playing and kind == "camera")
        self.form.setRowVisible(self.rotation_box, playing and kind in ("camera", "video"))
        self.form.setRowVisible(self.mirror_box, playing and kind in ("camera", "video"))
        self.form.setRowVisible(self.loop_box, playing and kind in ("video", "motion"))
        if kind in self.file_labels:
            path = self._model.last_file(kind)
            self.file_labels[kind].setText(self.file_labels[kind].fontMetrics().elidedText(
                Path(path).name if path else self.tr("No file chosen"), Qt.TextElideMode.ElideMiddle, 190))
            self.file_labels[kind].setToolTip(path)

    def _show_playing(self, *_: str) -> None:
        """Show the page of what is playing, whatever was looked at."""
        self._show_page(self._model.kind)

    def _show_choice(self) -> None:
        model, playing = self._model, (self._model.kind, self._model.path)
        if playing != self._playing:
            self._playing = playing
            self._show_playing()
            self.preview.show_text(self._words_for_no_picture())
            self._show_status(model.status)
        self.mirror_box.setChecked(model.mirror)
        self.loop_box.setChecked(model.loop)
        self.rotation_box.setCurrentIndex(ROTATIONS.index(model.rotation))
        size = "{}x{}".format(*model.size)
        if self.size_box.findData(size) < 0:
            self.size_box.addItem("{} × {}".format(*model.size), size)
        self.size_box.setCurrentIndex(self.size_box.findData(size))
        self._show_chosen_camera()

    def _show_cameras(self) -> None:
        cameras = self._model.cameras
        self.camera_box.clear()
        for camera in cameras:
            self.camera_box.addItem(camera.name, camera.id)
        self.camera_box.setEnabled(bool(cameras))
        self.camera_hint.setVisible(not cameras)
        if not self._model.has_searched:
            self.camera_box.addItem(self.tr("Looking for cameras…"))
            self.camera_hint.setText("")
        elif not cameras:
            self.camera_box.addItem(self.tr("No camera found"))
            self.camera_hint.setText(self.tr("Plug one in, or play a video or the demo."))
        self._show_chosen_camera()

    def _show_chosen_camera(self) -> None:
        self.camera_box.setCurrentIndex(max(0, self.camera_box.findData(self._model.camera_id)))

    def _show_status(self, status: SourceStatus) -> None:
        words, detail = self._words(status)
        dot = f'<span style="color:{_DOTS[status.state]}">●</span>'
        small = f'<br><span style="font-size:small">{_escaped(detail)}</span>' if detail else ""
        self.state_label.setText(f"{dot}&nbsp;&nbsp;<b>{_escaped(words)}</b>{small}")
        self.state_label.setAccessibleDescription(f"{words}. {detail}")
        ended = status.state is SourceState.ENDED
        self.retry_button.setVisible(self._model.banner is not None or ended)
        self.retry_button.setText(self.tr("Play again") if ended else self.tr("Try again"))
        if status.state in (SourceState.FAILED, SourceState.OPENING, SourceState.LOST, SourceState.NONE):
            self._shown_time_ns = -1
            self.preview.show_text(self._words_for_no_picture())

    def _words(self, status: SourceStatus) -> tuple[str, str]:
        """A line on how the source is doing, and a second one that says more."""
        if status.state in (SourceState.LOST, SourceState.FAILED):
            return _sentence(status.detail), _sentence(status.hint)
        states = {SourceState.NONE: "", SourceState.OPENING: self.tr("Opening…"), SourceState.RUNNING: self.tr("Running"),
                  SourceState.ENDED: self.tr("Finished")}
        parts = [states[status.state]]
        if status.state is SourceState.RUNNING:
            parts.append(f"{status.width} × {status.height}" if status.width else "")
            parts.append(self.tr("{0:.0f} frames/s").format(status.fps) if status.fps else "")
        return self._model.title(), " · ".join(part for part in (*parts, status.detail) if part)

    def _words_for_no_picture(self) -> str:
        state = self._model.status.state
        if state is SourceState.LOST:
            return self.tr("Waiting for the camera")
        if state is SourceState.FAILED:
            return self.tr("No picture")
        if self._model.kind in ("motion", "demo"):
            return self.tr("Recorded motion drives the avatar.\nThere is no camera picture.")
        return self.tr("Opening…") if self._model.kind else ""

    # --------------------------------------------------------------------------------------------------------------- events

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._model.set_watching(True)

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._model.set_watching(False)



def _page(row: tuple[QWidget, QWidget], below: QWidget) -> QWidget:
    """A wide and a narrow widget side by side, and one below."""
    page = QWidget()
    column, line = QVBoxLayout(page), QHBoxLayout()
    column.setContentsMargins(0, 0, 0, 0)
    column.setSpacing(4)
    line.setSpacing(8)
    line.addWidget(row[0], 1)
    line.addWidget(row[1])
    column.addLayout(line)
    column.addWidget(below)
    return page


def _hint(text: str) -> QLabel:
    label = QLabel(text, wordWrap=True)
    label.setForegroundRole(QPalette.ColorRole.PlaceholderText)
    return label


def _choices(name: str, tip: str, choices: list[tuple[str, object]]) -> QComboBox:
    box = QComboBox(toolTip=tip)
    box.setAccessibleName(name)
    for text, value in choices:
        box.addItem(text, value)
    return box


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
