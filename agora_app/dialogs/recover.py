"""What an earlier run left unfinished: recover, discard, or decide later."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import Protocol

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QImage, QPixmap
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from agora_app.dialogs.default_button import make_default
from agora_app.models.worker import Worker
from agora_app.theme import set_role
from agora_app.words import length, size_of
from core.errors import AgoraError
from core.pipeline.live.take import Take, thumbnail
from core.pipeline.live.take_recovery import Unfinished

log = logging.getLogger(__name__)
PICTURE = QSize(96, 72)
_MOST_VISIBLE = 4
_SOON = 0.05  # seconds to wait for a look at a long file; nobody needs its result any more


class Recoverer(Protocol):
    """What the dialog needs of `agora_app.models.recording.RecordingModel`; called in a worker thread."""

    def recover(self, unfinished: Unfinished) -> Take: ...

    def discard(self, unfinished: Unfinished) -> None: ...


class UnfinishedRow(QFrame):
    """One unfinished take with its three ways out."""

    def __init__(self, unfinished: Unfinished, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.unfinished = unfinished
        set_role(self, "card")
        self.picture = QLabel(alignment=Qt.AlignmentFlag.AlignCenter)
        self.picture.setFixedSize(PICTURE)
        self.picture.setAccessibleName(self.tr("Picture of the recording"))
        name = QLabel(unfinished.name, wordWrap=True)
        font = name.font()
        font.setBold(True)
        name.setFont(font)
        self.details = QLabel(wordWrap=True)
        set_role(self.details, "muted")
        self.recover_button = self._button(self.tr("Recover"), self.tr("Make a video and its motion of what is there"))
        self.discard_button = self._button(self.tr("Discard"), self.tr("Delete what is there"))
        self.later_button = self._button(self.tr("Later"), self.tr("Leave it as it is; it is offered again at the next start"))
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for button in (self.recover_button, self.later_button, self.discard_button):
            buttons.addWidget(button)
        buttons.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(4)
        for item in (name, self.details):
            words.addWidget(item)
        words.addStretch(1)
        words.addLayout(buttons)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 12, 12, 12)
        row.setSpacing(12)
        row.addWidget(self.picture, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.show_details(None)

    @property
    def is_open(self) -> bool:
        """Whether it is still to be decided."""
        return self.recover_button.isVisibleTo(self)

    def show_details(self, seconds: float | None) -> None:
        """Say how long, how large and of when it is; `seconds` when they are known."""
        what = self.unfinished
        parts = [] if seconds is None else [length(seconds) if seconds else self.tr("no video can be read")]
        parts += [size_of(what.bytes), what.modified.strftime("%d %B %Y, %H:%M")]
        self.details.setText(" · ".join(parts))

    def show_picture(self, picture) -> None:
        """Show a small picture [h, w, 3]."""
        if picture is not None:
            height, width = picture.shape[:2]
            self.picture.setPixmap(QPixmap.fromImage(QImage(picture.tobytes(), width, height, 3 * width,
                                                            QImage.Format.Format_RGB888)))

    def set_busy(self, words: str) -> None:
        """Something is being done with it."""
        self.details.setText(words)
        for button in (self.recover_button, self.discard_button, self.later_button):
            button.setEnabled(False)

    def set_open(self, words: str) -> None:
        """It is still to be decided, for a reason that is shown."""
        self.details.setText(words)
        for button in (self.recover_button, self.discard_button, self.later_button):
            button.setEnabled(True)

    def set_done(self, words: str) -> None:
        """It has been decided."""
        self.details.setText(words)
        for button in (self.recover_button, self.discard_button, self.later_button):
            button.setVisible(False)

    def _button(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text, toolTip=tip)
        button.setAccessibleName(f"{text}: {self.unfinished.name}")
        button.setAutoDefault(False)
        return button


class RecoverDialog(QDialog):
    """Lists unfinished takes. Pictures, recovery and deletion happen in a worker thread.

    Signals:
        recovered: (Take).

    Args:
        model: does the work.
        unfinished: what was found.
    """

    recovered = Signal(object)
    _looked = Signal(int, object, float)
    _done = Signal(int, object)
    _discarded = Signal(int)
    _failed = Signal(int, str)

    def __init__(self, model: Recoverer, unfinished: list[Unfinished], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Unfinished recordings"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._model = model
        self._worker = Worker("recovery")
        self._under_way = 0  # recoveries and deletions
        self._wants_to_close = False
        self.rows = [UnfinishedRow(one) for one in unfinished]
        self._build()
        for signal, slot in ((self._looked, self._on_looked), (self._done, self._on_done), (self._discarded, self._on_discarded),
                             (self._failed, self._on_failed)):
            signal.connect(slot)
        for number, row in enumerate(self.rows):
            row.recover_button.clicked.connect(partial(self._recover, number))
            row.discard_button.clicked.connect(partial(self._discard, number))
            row.later_button.clicked.connect(partial(self._later, number))
            self._worker.do(partial(self._look, number, row.unfinished))

    def _build(self) -> None:
        title = QLabel(self.tr("A recording was not finished") if len(self.rows) == 1
                       else self.tr("{0} recordings were not finished").format(len(self.rows)))
        set_role(title, "heading")
        note = QLabel(self.tr("The program or the computer stopped while they were made. At most the last second is missing."))
        note.setWordWrap(True)
        listed = QWidget()
        listed.setProperty("page", True)
        column = QVBoxLayout(listed)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for row in self.rows:
            column.addWidget(row)
        column.addStretch(1)
        scroll = QScrollArea(widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(listed)
        scroll.setMinimumHeight(min(len(self.rows), _MOST_VISIBLE) * (PICTURE.height() + 44))
        self.buttons = QDialogButtonBox()
        self.all_button = self.buttons.addButton(self.tr("Recover all"), QDialogButtonBox.ButtonRole.ActionRole)
        self.all_button.setToolTip(self.tr("Recover everything that is still to be decided"))
        make_default(self.all_button)
        self.all_button.clicked.connect(self.recover_all)
        self.close_button = self.buttons.addButton(self.tr("Decide later"), QDialogButtonBox.ButtonRole.RejectRole)
        self.buttons.rejected.connect(self.close)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(20, 16, 20, 16)
        outer.setSpacing(12)
        for widget in (title, note, scroll, self.buttons):
            outer.addWidget(widget)
        self.setMinimumWidth(480)

    # ------------------------------------------------------------------------------------------------------------ decisions

    def recover_all(self) -> None:
        """Recover whatever is not decided yet."""
        for number, row in enumerate(self.rows):
            if row.is_open and row.recover_button.isEnabled():
                self._recover(number)

    def _recover(self, number: int) -> None:
        row = self.rows[number]
        row.set_busy(self.tr("Recovering…"))
        self._under_way += 1
        self._worker.do(partial(self._do, number, lambda: self._done.emit(number, self._model.recover(row.unfinished))))

    def _discard(self, number: int) -> None:
        row = self.rows[number]
        answer = QMessageBox.question(self, self.tr("Discard recording"),
                                      self.tr("Delete “{0}” for good? It cannot be brought back.").format(row.unfinished.name),
                                      QMessageBox.StandardButton.Discard | QMessageBox.StandardButton.Cancel,
                                      QMessageBox.StandardButton.Cancel)
        if answer != QMessageBox.StandardButton.Discard:
            return
        row.set_busy(self.tr("Deleting…"))
        self._under_way += 1

        def work() -> None:
            self._model.discard(row.unfinished)
            self._discarded.emit(number)

        self._worker.do(partial(self._do, number, work))

    def _later(self, number: int) -> None:
        self.rows[number].set_done(self.tr("Left as it is; it is offered again at the next start."))
        self._show_rest()

    # ------------------------------------------------------------------------------------------------- in the worker's thread

    def _look(self, number: int, unfinished: Unfinished) -> None:
        picture = thumbnail(unfinished.video, PICTURE.width(), PICTURE.height()) if unfinished.video is not None else None
        seconds = unfinished.seconds()
        with contextlib.suppress(RuntimeError):  # the dialog may be gone by now
            self._looked.emit(number, picture, seconds)

    def _do(self, number: int, work) -> None:
        try:
            work()
        except Exception as error:
            if not isinstance(error, AgoraError):
                log.exception("an unfinished recording cannot be dealt with")
            self._failed.emit(number, str(error))

    # -------------------------------------------------------------------------------------------------------------- results

    def _on_looked(self, number: int, picture, seconds: float) -> None:
        row = self.rows[number]
        row.show_picture(picture)
        if row.recover_button.isEnabled() and row.is_open:
            row.show_details(seconds)

    def _on_done(self, number: int, take: Take) -> None:
        self.rows[number].set_done(self.tr("Recovered: {0}, {1}").format(take.video.name, length(take.seconds)))
        self.recovered.emit(take)
        self._finish_one()

    def _on_discarded(self, number: int) -> None:
        self.rows[number].set_done(self.tr("Deleted."))
        self._finish_one()

    def _on_failed(self, number: int, words: str) -> None:
        self.rows[number].set_open(f"{words[:1].upper()}{words[1:]}")
        self._finish_one()

    def _show_rest(self) -> None:
        if self._wants_to_close:
            return
        open_rows = any(row.is_open for row in self.rows)
        self.all_button.setVisible(open_rows)
        self.close_button.setText(self.tr("Decide later") if open_rows else self.tr("Close"))

    def done(self, result: int) -> None:
        """Close; at once, or when what is under way is finished."""
        if self._under_way:
            self._wants_to_close = True
            self.close_button.setEnabled(False)
            self.close_button.setText(self.tr("Closing when it is done…"))
            return
        self._worker.close(_SOON)
        super().done(result)

    def _finish_one(self) -> None:
        self._under_way -= 1
        if self._wants_to_close and not self._under_way:
            self.done(QDialog.DialogCode.Accepted)
        else:
            self._show_rest()
