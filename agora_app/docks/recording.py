"""The dock in which takes are recorded: the button, what and how is recorded, the takes, and where else the picture goes."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import QHideEvent, QResizeEvent, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.docks.level_meter import LevelMeter
from agora_app.docks.output_panel import OutputPanel, Outputs
from agora_app.docks.take_list import TakeList
from agora_app.icons import keep_icon
from agora_app.models.recording import RecordingModel, RecordingState
from agora_app.settings.store import SettingsStore
from agora_app.theme import set_role
from agora_app.words import about, length, size_of
from core.pipeline.live.take_recorder import TakeStatus

LEVEL_MS = 60


class RecordingDock(QWidget):
    """Everything about recording in one column.

    Signals:
        rerender_wanted: (Take) the user wants to make a take once more.
    """

    rerender_wanted = Signal(object)

    def __init__(self, model: RecordingModel, outputs: Outputs, store: SettingsStore, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model, self._store = model, store
        self._meter_timer = QTimer(self, interval=LEVEL_MS)
        self._meter_timer.timeout.connect(lambda: self.meter.set_level(model.level))
        self._build(outputs)
        model.state_changed.connect(self._show_state)
        model.status_changed.connect(self._show_status)
        model.microphones_changed.connect(self._show_microphones)
        store.changed.connect(self._on_settings)
        self._show_settings()
        self._show_state()
        self._show_status(model.status)

    # ------------------------------------------------------------------------------------------------------------- building

    def _build(self, outputs: Outputs) -> None:
        column = QVBoxLayout()
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addLayout(self._buttons())
        column.addWidget(self._banner())
        column.addLayout(self._choices())
        column.addWidget(_title(self.tr("Takes")))
        self.take_list = TakeList(self._model)
        self.take_list.rerender_wanted.connect(self.rerender_wanted)
        column.addWidget(self.take_list, 1)
        column.addWidget(_title(self.tr("Output")))
        self.output_panel = OutputPanel(outputs, self._store)
        column.addWidget(self.output_panel)
        page = QWidget()
        page.setProperty("page", True)
        page.setLayout(column)
        scroll = QScrollArea(widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(page)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)
        self.setMinimumWidth(280)

    def _buttons(self) -> QVBoxLayout:
        self.record_button = QPushButton()
        self.record_button.setMinimumHeight(44)
        self.record_button.setIconSize(QSize(20, 20))
        self.record_button.clicked.connect(self._model.toggle)
        self.snapshot_button = self._small_button(self.tr("Snapshot"), "mdi6.camera-outline",
                                                  self.tr("Save what is on stage as a picture, with its parameters (P)"))
        self.snapshot_button.clicked.connect(lambda: self._model.snapshot())
        self.marker_button = self._small_button(self.tr("Marker"), "mdi6.bookmark-outline",
                                                self.tr("Remember this moment of the take (Ctrl+M)"))
        self.marker_button.clicked.connect(lambda: self._model.mark())
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.snapshot_button)
        row.addWidget(self.marker_button)
        column = QVBoxLayout()
        column.setSpacing(8)
        column.addWidget(self.record_button)
        column.addLayout(row)
        return column

    def _small_button(self, text: str, icon: str, tip: str) -> QToolButton:
        button = QToolButton(text=text, toolTip=tip)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        keep_icon(button, icon)
        return button

    def _banner(self) -> QFrame:
        self.banner_label = QLabel(wordWrap=True)
        self.banner_label.setAccessibleName(self.tr("What to know about this recording"))
        sign = QToolButton()
        sign.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        sign.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        set_role(sign, "flat")
        keep_icon(sign, "mdi6.alert-outline", "warn")
        self.banner = QFrame()
        self.banner.setProperty("notice", "toast")
        self.banner.setProperty("kind", "warn")
        row = QHBoxLayout(self.banner)
        row.setContentsMargins(4, 6, 8, 6)
        row.setSpacing(4)
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self.banner_label, 1)
        self.banner.setVisible(False)
        return self.banner

    def _choices(self) -> QFormLayout:
        self.layout_box = self._choice("layout", self.tr("What is recorded"), (
            (self.tr("Avatar"), "avatar"), (self.tr("Camera and avatar"), "side-by-side"),
            (self.tr("Avatar, transparent (WebM)"), "alpha")))
        self.sound_box = self._choice("sound", self.tr("Where the sound comes from"), (
            (self.tr("Automatic"), "auto"), (self.tr("Microphone"), "microphone"), (self.tr("The video's own"), "source"),
            (self.tr("No sound"), "none")))
        self.sound_box.setToolTip(self.tr("Automatic: a video's own sound, else the microphone"))
        self.microphone_box = QComboBox(toolTip=self.tr("Which microphone is recorded"))
        self.microphone_box.setAccessibleName(self.tr("Microphone"))
        self.microphone_box.activated.connect(
            lambda index: self._store.change("recording", microphone=self.microphone_box.itemData(index) or ""))
        self.meter = LevelMeter()
        self.quality_box = self._choice("quality", self.tr("Quality of the video"), (
            (self.tr("Balanced"), "balanced"), (self.tr("High"), "high"), (self.tr("Safest"), "safest")))
        self.quality_box.setToolTip(self.tr("High: larger files. Safest: least is lost when the computer fails."))
        for box in (self.layout_box, self.sound_box, self.microphone_box, self.quality_box):
            box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.form = QFormLayout(horizontalSpacing=12, verticalSpacing=8)
        self.form.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.form.addRow(self.tr("Record"), self.layout_box)
        self.form.addRow(self.tr("Sound"), self.sound_box)
        self.form.addRow(self.tr("Microphone"), self.microphone_box)
        self.form.addRow(self.tr("Level"), self.meter)
        self.form.addRow(self.tr("Quality"), self.quality_box)
        self.form.addRow(self.tr("Folder"), self._folder_row())
        self.room_label = QLabel(wordWrap=True)
        self.room_label.setAccessibleName(self.tr("Room on the disk"))
        set_role(self.room_label, "muted")
        self.form.addRow("", self.room_label)
        return self.form

    def _choice(self, name: str, accessible: str, choices: tuple[tuple[str, str], ...]) -> QComboBox:
        box = QComboBox(toolTip=accessible)
        box.setAccessibleName(accessible)
        for text, value in choices:
            box.addItem(text, value)
        box.activated.connect(lambda index: self._store.change("recording", **{name: box.itemData(index)}))
        return box

    def _folder_row(self) -> QHBoxLayout:
        self.folder_label = QLabel()
        self.folder_label.setAccessibleName(self.tr("Folder of the takes"))
        self.folder_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.folder_button = QToolButton(toolTip=self.tr("Choose another folder"))
        self.folder_button.setAccessibleName(self.tr("Choose another folder"))
        self.folder_button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        keep_icon(self.folder_button, "mdi6.folder-outline")
        self.folder_button.clicked.connect(self._choose_folder)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.folder_label, 1)
        row.addWidget(self.folder_button)
        return row

    # --------------------------------------------------------------------------------------------------------------- showing

    def _show_state(self) -> None:
        state = self._model.state
        if state is not RecordingState.RECORDING:
            text = {RecordingState.IDLE: self.tr("Record"), RecordingState.STARTING: self.tr("Starting…"),
                    RecordingState.STOPPING: self.tr("Closing the take…")}[state]
            self.record_button.setText(text)
        running = state is RecordingState.RECORDING
        keep_icon(self.record_button, "mdi6.stop" if running else "mdi6.record", "bad")
        self.record_button.setToolTip(self.tr("End the take and keep it (R)") if running else self.tr("Begin a take (R)"))
        self.record_button.setEnabled(state in (RecordingState.IDLE, RecordingState.RECORDING))
        self.record_button.setProperty("danger", running)
        self.record_button.style().unpolish(self.record_button)
        self.record_button.style().polish(self.record_button)
        self.marker_button.setEnabled(running)
        for box in (self.layout_box, self.sound_box, self.microphone_box, self.quality_box, self.folder_button):
            box.setEnabled(state is RecordingState.IDLE)
        self._show_status(self._model.status)

    def _show_status(self, status: TakeStatus) -> None:
        if self._model.state is RecordingState.RECORDING:
            self.record_button.setText(self.tr("Stop  ·  {0}").format(length(status.seconds)))
            words = [_sentence(text) for text in (status.sound_problem, status.warning) if text]
        else:
            words = []
        self.banner_label.setText("\n".join(words))
        self.banner.setVisible(bool(words))
        room = [size_of(status.bytes)] if status.bytes else []
        if status.free:
            room.append(self.tr("{0} free").format(size_of(status.free)))
            if status.seconds_left is not None:
                room.append(about(status.seconds_left))
        self.room_label.setText(" · ".join(room))
        self.room_label.setToolTip(self.tr("Room on the disk, and how long a recording can be at the usual rate"))

    def _show_settings(self) -> None:
        recording = self._store.settings.recording
        for box, value in ((self.layout_box, recording.layout), (self.sound_box, recording.sound),
                           (self.quality_box, recording.quality)):
            box.setCurrentIndex(box.findData(value))
        hears = recording.sound in ("auto", "microphone")
        self.form.setRowVisible(self.microphone_box, hears)
        self.form.setRowVisible(self.meter, hears)
        self._show_microphones()
        self._show_folder()

    def _show_microphones(self) -> None:
        model, wanted = self._model, self._store.settings.recording.microphone
        self.microphone_box.clear()
        self.microphone_box.addItem(self.tr("System default") if model.microphones or wanted else self.tr("None found"), "")
        for name in dict.fromkeys((*model.microphones, *([wanted] if wanted else []))):
            self.microphone_box.addItem(name, name)
        self.microphone_box.setCurrentIndex(max(0, self.microphone_box.findData(wanted)))
        self.microphone_box.setToolTip(model.microphone_problem or self.tr("Which microphone is recorded"))

    def _show_folder(self) -> None:
        folder = str(self._model.folder)
        metrics = self.folder_label.fontMetrics()
        self.folder_label.setText(metrics.elidedText(folder, Qt.TextElideMode.ElideLeft, max(60, self.folder_label.width())))
        self.folder_label.setToolTip(folder)

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Folder for takes"), str(self._model.folder))
        if chosen:
            self._store.change("recording", folder=chosen)

    def _on_settings(self, section: str) -> None:
        if section == "recording":
            self._show_settings()

    # ---------------------------------------------------------------------------------------------------------------- events

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._show_folder()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self._model.set_watching(True)
        self._meter_timer.start()
        self._show_folder()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self._model.set_watching(False)
        self._meter_timer.stop()


def _title(text: str) -> QLabel:
    label = QLabel(text)
    label.setContentsMargins(0, 8, 0, 0)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text and text[-1] not in ".!?" else text[:1].upper() + text[1:]
