"""Make a take once more: other people, another view, size or background."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.dialogs.default_button import make_default
from agora_app.icons import keep_icon
from agora_app.theme import set_role
from agora_app.words import about, length
from core.avatar.sources import IdentitySource, open_source
from core.errors import AgoraError
from core.media.video_writer import Recording
from core.pipeline.live.take import Take, safe_name
from core.pipeline.rerender import Cancelled, RerenderOptions, check_options, parse_people, rerender, unused_name

log = logging.getLogger(__name__)
SIZES = (256, 384, 512, 768, 1024, 1536, 2048)
_TELL_SECONDS = 0.1
_GUESS_AFTER = 2.0  # seconds of work after which the rest is foretold


class RerenderDialog(QDialog):
    """Options, then progress; the work runs in a thread and can be cancelled. Closing cancels.

    Signals:
        made: (list of paths) videos that were written.

    Args:
        take: what is made once more.
        people: who is suggested.
        open_people: opens the source of people, in the worker's thread; the pack that ships by default.
    """

    made = Signal(object)
    _progressed = Signal(str, int, int)
    _finished = Signal(object)
    _stopped = Signal(str)

    def __init__(self, take: Take, people: str, parent: QWidget | None = None, *,
                 open_people: Callable[[], IdentitySource] = open_source) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Re-render take"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._take, self._open_people = take, open_people
        self._folder = take.video.parent
        self._thread: threading.Thread | None = None
        self._cancelled = threading.Event()
        self._began = 0.0
        self._closing = False
        self._name_is_mine = True
        self._build(people)
        self._progressed.connect(self._show_progress)
        self._finished.connect(self._on_finished)
        self._stopped.connect(self._on_stopped)
        self._suggest_name()

    # -------------------------------------------------------------------------------------------------------------- building

    def _build(self, people: str) -> None:
        title = QLabel(self._take.name, wordWrap=True)
        set_role(title, "heading")
        note = QLabel(self.tr("{0} long, with its own motion and sound.").format(length(self._take.seconds)))
        set_role(note, "muted")
        self.people_edit = QLineEdit(people, toolTip=self.tr("Seeds, ranges and mixes, such as 7, 20-24, 7+42@0.5"))
        self.people_edit.textChanged.connect(self._on_people)
        self.layout_box = _choices(((self.tr("A video of each"), "avatar"), (self.tr("All in one video"), "grid")))
        self.layout_box.setToolTip(self.tr("What is made when several people are named"))
        self.view_box = _choices(((self.tr("From the front"), "frontal"), (self.tr("Turning with the head"), "follow"),
                                  (self.tr("Swinging around the head"), "orbit")))
        self.size_box = _choices(tuple((f"{size} × {size}", size) for size in SIZES))
        self.size_box.setCurrentIndex(SIZES.index(512))
        self.background_box = QComboBox(editable=True)
        self.background_box.addItems(["gradient", "green", "white", "#23262e", "transparent"])
        self.background_box.setToolTip(self.tr("gradient, transparent, a colour such as white or #203040, or a picture file"))
        self.name_edit = QLineEdit()
        self.name_edit.textEdited.connect(self._on_name)
        self.form = QFormLayout(horizontalSpacing=12, verticalSpacing=8)
        self.form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, widget in ((self.tr("People"), self.people_edit), (self.tr("Several"), self.layout_box),
                             (self.tr("View"), self.view_box), (self.tr("Size"), self.size_box),
                             (self.tr("Background"), self.background_box), (self.tr("Name"), self.name_edit)):
            widget.setAccessibleName(text)
            self.form.addRow(text, widget)
        self.form.addRow(self.tr("Folder"), self._folder_row())
        self.options = QWidget()
        self.options.setLayout(self.form)
        self.form.setContentsMargins(0, 0, 0, 0)
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName(self.tr("Progress"))
        self.words = QLabel(wordWrap=True)
        self.words.setAccessibleName(self.tr("How it is going"))
        self.words.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.progress.setVisible(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 16, 20, 16)
        column.setSpacing(12)
        for widget in (title, note, self.options, self.progress, self.words):
            column.addWidget(widget)
        column.addStretch(1)
        column.addWidget(self._buttons())
        self.setMinimumWidth(440)

    def _folder_row(self) -> QHBoxLayout:
        self.folder_label = QLabel(str(self._folder), toolTip=str(self._folder))
        self.folder_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        button = QToolButton(toolTip=self.tr("Choose another folder"))
        button.setAccessibleName(self.tr("Choose another folder"))
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        keep_icon(button, "mdi6.folder-outline")
        button.clicked.connect(self._choose_folder)
        row = QHBoxLayout()
        row.addWidget(self.folder_label, 1)
        row.addWidget(button)
        return row

    def _buttons(self) -> QDialogButtonBox:
        self.buttons = QDialogButtonBox()
        self.start_button = self.buttons.addButton(self.tr("Render"), QDialogButtonBox.ButtonRole.ActionRole)
        make_default(self.start_button)
        self.start_button.setToolTip(self.tr("Write the videos; the live view goes on meanwhile"))
        self.start_button.clicked.connect(self.start)
        self.folder_button = QPushButton(self.tr("Open folder"), toolTip=self.tr("Show the videos in the file manager"))
        self.folder_button.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._folder))))
        self.buttons.addButton(self.folder_button, QDialogButtonBox.ButtonRole.ActionRole)
        self.folder_button.setVisible(False)
        self.close_button = self.buttons.addButton(self.tr("Close"), QDialogButtonBox.ButtonRole.RejectRole)
        self.close_button.clicked.connect(self._close_or_cancel)
        return self.buttons

    # ------------------------------------------------------------------------------------------------------------- choosing

    def chosen(self) -> RerenderOptions:
        """The options as they stand. Raises InputError for people that are not to be had."""
        return RerenderOptions(parse_people(self.people_edit.text()), self._folder, self.name_edit.text().strip(),
                               self.size_box.currentData(), self.view_box.currentData(),
                               self.background_box.currentText().strip(), self.layout_box.currentData())

    def _on_people(self) -> None:
        if self._name_is_mine:
            self._suggest_name()

    def _on_name(self) -> None:
        self._name_is_mine = False

    def _suggest_name(self) -> None:
        with contextlib.suppress(AgoraError):
            people = parse_people(self.people_edit.text())
            who = f" {people[0]}" if len(people) == 1 else ""
            self.name_edit.setText(unused_name(self._folder, safe_name(f"{self._take.name} as{who}", 100)))

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Folder for the videos"), str(self._folder))
        if chosen:
            self._folder = Path(chosen)
            self.folder_label.setText(chosen)
            self.folder_label.setToolTip(chosen)
            self._on_people()

    # --------------------------------------------------------------------------------------------------------------- working

    @property
    def is_working(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Check the options and begin."""
        if self.is_working:
            return
        try:
            options = self.chosen()
            check_options(options)
        except AgoraError as error:
            self._show_words(str(error), bad=True)
            return
        self._cancelled.clear()
        self._began = time.monotonic()
        self._show_words(self.tr("Starting…"))
        self.progress.setRange(0, 0)
        self._set_working(True)
        self._thread = threading.Thread(target=self._work, args=(options,), name="rerender", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Stop soon; videos that are finished stay."""
        if self.is_working:
            self._cancelled.set()
            self.close_button.setEnabled(False)
            self._show_words(self.tr("Stopping…"))

    def end(self, timeout: float = 3.0) -> None:
        """Stop now, because the program ends; nothing half-written stays."""
        self._cancelled.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _work(self, options: RerenderOptions) -> None:
        """In the worker's thread."""
        told = 0.0

        def progress(doing: str, done: int, total: int) -> None:
            nonlocal told
            if self._cancelled.is_set():
                raise Cancelled
            now = time.monotonic()
            if now - told >= _TELL_SECONDS:
                told = now
                self._progressed.emit(doing, done, total)

        try:
            self._finished.emit(rerender(self._take, options, self._open_people(), progress))
        except Cancelled:
            self._stopped.emit("")
        except Exception as error:
            if not isinstance(error, AgoraError):
                log.exception("the take cannot be rendered")
            self._stopped.emit(str(error) or type(error).__name__)

    def _show_progress(self, doing: str, done: int, total: int) -> None:
        if not self.is_working or self._cancelled.is_set():
            return
        if doing != "rendering":
            self._show_words(self.tr("Building person {0} of {1}").format(done + 1, total))
            self._began = time.monotonic()
            return
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        seconds = time.monotonic() - self._began
        left = self.tr(", {0} left").format(about(seconds / done * (total - done))) if seconds > _GUESS_AFTER and done else ""
        self._show_words(self.tr("{0} of {1} frames{2}").format(done, total, left))

    def _on_finished(self, made: list[Recording]) -> None:
        self._set_working(False)
        self.progress.setVisible(False)
        paths = [recording.path for recording in made]
        self._show_words(self.tr("Written: {0}").format(paths[0].name) if len(paths) == 1
                         else self.tr("{0} videos are written, the first is {1}").format(len(paths), paths[0].name))
        self.folder_button.setVisible(True)
        self.made.emit(paths)
        self._name_is_mine = True
        self._suggest_name()
        self._close_if_wanted()

    def _on_stopped(self, problem: str) -> None:
        self._set_working(False)
        self.progress.setVisible(False)
        self._show_words(problem or self.tr("Cancelled. Videos that were finished are kept."), bad=bool(problem))
        self._close_if_wanted()

    def _set_working(self, working: bool) -> None:
        if not working and self._thread is not None:
            self._thread.join(1.0)
            self._thread = None
        self.options.setEnabled(not working)
        self.start_button.setEnabled(not working)
        self.progress.setVisible(working)
        self.folder_button.setVisible(False)
        self.close_button.setEnabled(True)
        self.close_button.setText(self.tr("Cancel") if working else self.tr("Close"))

    def _show_words(self, words: str, bad: bool = False) -> None:
        self.words.setText(f"⚠ {words[:1].upper()}{words[1:]}" if bad else words)

    def _close_or_cancel(self) -> None:
        self.cancel() if self.is_working else self.reject()

    def _close_if_wanted(self) -> None:
        if self._closing:
            super().done(QDialog.DialogCode.Rejected)

    def done(self, result: int) -> None:
        """Close; work under way is cancelled first, which takes a moment."""
        if self.is_working:
            self._closing = True
            self.cancel()
        else:
            super().done(result)


def _choices(choices: tuple[tuple[str, object], ...]) -> QComboBox:
    box = QComboBox()
    for text, value in choices:
        box.addItem(text, value)
    return box
