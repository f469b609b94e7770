"""New from photo: the form, the work, the result. It can be closed at any time; the work goes on."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from agora_app.models.shelves import Shelves
from agora_app.parts import muted
from agora_app.photo.form_page import FormPage
from agora_app.photo.models.model import PhotoModel, PhotoStage
from agora_app.photo.result_page import ResultPage
from agora_app.photo.work_page import WorkPage
from agora_app.theme import set_role


class PhotoDialog(QDialog):
    """Three pages over a `PhotoModel`; which one is shown follows from what the model is at.

    Signals:
        closed_while_working: it was closed, and the work goes on.

    Args:
        model: what is shown.
        shelves: the packs in the gallery.
    """

    closed_while_working = Signal()

    def __init__(self, model: PhotoModel, shelves: Shelves, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self._shelves = shelves
        self.setWindowTitle(self.tr("New from photo"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.form_page = FormPage(model.form, self._generators)
        self.work_page, self.result_page = WorkPage(model), ResultPage(model)
        self.pages = QStackedWidget()
        for page in (self._headed(self.form_page), self.work_page, self.result_page):
            self.pages.addWidget(page)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 18)
        column.setSpacing(16)
        column.addWidget(self.pages, 1)
        column.addLayout(self._footer())
        self.resize(940, 640)
        model.stage_changed.connect(self.show_stage)
        model.form.changed.connect(self._show_buttons)
        model.added.connect(self.accept)
        self.form_page.consent.toggled.connect(self._show_buttons)
        self.show_stage()
        self.form_page.photos.empty.button.setFocus()

    def add_photos(self, paths: Iterable[str]) -> None:
        """Photographs that were dropped on the window; they wait until a person under way is finished with."""
        if self.model.stage is PhotoStage.FORM:
            self.model.form.add(paths)

    def show_stage(self) -> None:
        """Turn to the page of what the model is at."""
        stage = self.model.stage
        self.pages.setCurrentIndex(0 if stage is PhotoStage.FORM else 2 if stage is PhotoStage.DONE else 1)
        self._show_buttons()

    def done(self, result: int) -> None:
        """Close, and say that the work goes on."""
        working = self.model.stage is PhotoStage.WORKING
        super().done(result)
        if working:
            self.closed_while_working.emit()

    # ------------------------------------------------------------------------------------------------------------ inside

    def _headed(self, page: QWidget) -> QWidget:
        heading = QLabel(self.tr("An avatar from a photo"))
        set_role(heading, "heading")
        lead = muted(self.tr("One photo of a face is enough. It takes a few minutes; then the person moves like everybody in "
                             "the gallery."))
        whole = QWidget()
        column = QVBoxLayout(whole)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(heading)
        column.addWidget(lead)
        column.addSpacing(8)
        column.addWidget(page, 1)
        return whole

    def _footer(self) -> QHBoxLayout:
        model = self.model
        self.reason = muted("")
        self.reason.setAccessibleName(self.tr("What is missing"))
        self.close_button = self._button(self.tr("Close"), self.tr("Close this window; work under way goes on"), self.reject)
        self.cancel_button = self._button(self.tr("Cancel"), self.tr("End the work; nothing of it is kept"), model.cancel)
        self.discard_button = self._button(self.tr("Try again"), self.tr("Give this avatar up and go back to the photos"),
                                           model.discard)
        self.start_button = self._button(self.tr("Make the avatar"), self.tr("Begin; this takes a few minutes"), self._start)
        self.add_button = self._button(self.tr("Add to my people"),
                                       self.tr("Keep this person in the gallery, and go live with them"), model.add)
        for button in (self.start_button, self.add_button):
            set_role(button, "primary")
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.reason, 1)
        for button in (self.close_button, self.cancel_button, self.discard_button, self.start_button, self.add_button):
            row.addWidget(button)
        return row

    def _button(self, words: str, tooltip: str, slot) -> QPushButton:
        button = QPushButton(words, toolTip=tooltip)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _checked=False: slot())
        return button

    def _show_buttons(self) -> None:
        model, stage = self.model, self.model.stage
        for button, shown in ((self.start_button, stage is PhotoStage.FORM), (self.cancel_button, model.is_active),
                              (self.discard_button, stage is PhotoStage.DONE), (self.add_button, stage is PhotoStage.DONE)):
            button.setVisible(shown)
        reason = model.form.reason(self.form_page.has_agreed) if stage is PhotoStage.FORM else ""
        if stage is PhotoStage.DONE and model.installer.is_busy:
            reason = self.tr("Opening the pack…")
        self.reason.setText(reason)
        self.start_button.setEnabled(not reason)
        self.start_button.setToolTip(reason or self.tr("Begin; this takes a few minutes"))
        self.cancel_button.setEnabled(stage is PhotoStage.WORKING)
        self.add_button.setEnabled(not model.installer.is_busy)
        self.discard_button.setEnabled(not model.installer.is_busy)
        self.start_button.setDefault(stage is PhotoStage.FORM)
        self.add_button.setDefault(stage is PhotoStage.DONE)

    def _start(self) -> None:
        if self.form_page.has_agreed and not self.model.form.reason(True):
            self.model.start()

    def _generators(self) -> list[tuple[str, str]]:
        """The user's packs in the gallery that hold their generator."""
        packs = ((shelf, shelf.workshop.pack) for shelf in self._shelves.all() if not shelf.shipped and shelf.ready)
        return [(shelf.title, shelf.key) for shelf, pack in packs if getattr(pack, "generator", None) is not None]
