"""Import of the published AGORA files: what lies in the folder, and the pack that is made of it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from agora_app.children.answers import Problem
from agora_app.exchange.models.official import LONGEST_NAME, OfficialModel
from agora_app.exchange.models.official_files import FoundPart
from agora_app.exchange.work_dialog import WorkDialog
from agora_app.findings import muted_wrapping
from agora_app.icons import keep_icon
from agora_app.log import shorten_home
from agora_app.parts import Symbol, centred, muted
from agora_app.theme import current_colors, set_role, theme
from agora_app.words import size_of

_SHOWN_NOTES = 3


class ImportDialog(WorkDialog):
    """Chooses the folder, shows what was found, the command at work, and what it noted.

    Args:
        model: the import; closed with the dialog.
    """

    def __init__(self, model: OfficialModel, parent: QWidget | None = None) -> None:
        lead = self.tr("The published weights become a pack like any other: its people can be driven, recorded and exported. The "
                       "files are only read, and nothing in them is executed.")
        super().__init__(model.task, self.tr("Import official AGORA"), lead,
                         (self.tr("Import"), self.tr("Make the pack; this takes some minutes")), parent)
        self.model = model
        model.setParent(self)
        self.setWindowTitle(self.tr("Import official AGORA"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        column = QVBoxLayout(self.form)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(self._folder_row())
        column.addWidget(self._empty_card(), 10)
        self.parts = PartList()
        column.addWidget(self.parts)
        column.addLayout(self._options())
        column.addStretch(1)
        model.changed.connect(self.show_model)
        self.resize(680, 480)
        self.show_model()
        self.choose_button.setFocus()

    def begin(self) -> None:
        self.model.start()

    def end(self) -> None:
        self.model.close()

    def show_model(self) -> None:
        """Show what the model holds."""
        model = self.model
        self.folder_label.setText(shorten_home(model.folder) or self.tr("No folder is chosen"))
        self.folder_label.setToolTip(model.folder)
        self.empty.setVisible(not model.parts)
        self.parts.setVisible(bool(model.parts))
        self.parts.show_parts(model.parts)
        for edit, text in ((self.name_edit, model.name), (self.seeds_edit, model.seeds)):
            if edit.text() != text:
                edit.setText(text)
        self.generator.setChecked(model.with_generator)
        busy = self.tr("Opening the pack…") if model.installer.is_busy else ""
        fine = self.tr("{0} is in the gallery; its first person is on stage").format(model.name.strip()) if model.is_done else ""
        notes = [Problem(note, blocking=False) for note in model.notes[:_SHOWN_NOTES]]
        self.show_work(model.reason(), [found for found in (model.failure, fine, *notes) if found], busy)

    # ------------------------------------------------------------------------------------------------------------ building

    def _folder_row(self) -> QHBoxLayout:
        self.choose_button = QPushButton(self.tr("Choose folder…"))
        self.choose_button.setToolTip(self.tr("The folder into which the published files were unpacked"))
        self.choose_button.setAutoDefault(False)
        keep_icon(self.choose_button, "mdi6.folder-open-outline")
        self.choose_button.clicked.connect(self.choose_folder)
        self.folder_label = QLabel()
        self.folder_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        set_role(self.folder_label, "muted")
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.choose_button)
        row.addWidget(self.folder_label, 1)
        return row

    def _empty_card(self) -> QFrame:
        words = muted(self.tr("What lies in the folder is listed here before anything is read: the checkpoint, its "
                              "configuration, and the AGORA-M files that let the people move."))
        self.empty = QFrame()
        set_role(self.empty, "card")
        column = QVBoxLayout(self.empty)
        column.setSpacing(10)
        column.addStretch(1)
        column.addWidget(Symbol("mdi6.folder-search-outline", 40), 0, Qt.AlignmentFlag.AlignHCenter)
        column.addLayout(centred(words, 420))
        column.addStretch(1)
        return self.empty

    def _options(self) -> QFormLayout:
        self.name_edit = QLineEdit(maxLength=LONGEST_NAME, toolTip=self.tr("What the pack is called in the gallery"))
        self.name_edit.textEdited.connect(self.model.set_name)
        self.seeds_edit = QLineEdit(maxLength=80, toolTip=self.tr("Who is made, by seed, such as 0-7 or 10, 42"))
        self.seeds_edit.textEdited.connect(self.model.set_seeds)
        self.generator = QCheckBox(self.tr("Keep the generator, so that any seed can be rolled"))
        self.generator.setToolTip(self.tr("The pack grows by the size of the generator; without it, it holds these people only"))
        self.generator.clicked.connect(self.model.set_with_generator)
        form = QFormLayout(horizontalSpacing=12, verticalSpacing=8)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, widget in ((self.tr("Name"), self.name_edit), (self.tr("People"), self.seeds_edit)):
            widget.setAccessibleName(title)
            form.addRow(title, widget)
        form.addRow("", self.generator)
        return form

    def choose_folder(self) -> None:
        """Let the user point at the folder."""
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Folder with the published files"),
                                                  self.model.folder or str(Path.home()))
        if chosen:
            self.model.set_folder(chosen)


class PartList(QFrame):
    """The published files, one a line: a mark, what it is, and its file or what is lost without it."""

    def __init__(self) -> None:
        super().__init__()
        set_role(self, "card")
        self.setAccessibleName(self.tr("What was found"))
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(16, 12, 16, 12)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(8)
        self._grid.setColumnStretch(2, 1)
        self._marks: list[tuple[QLabel, str]] = []
        self._shown: tuple[FoundPart, ...] = ()
        theme().changed.connect(self._paint)

    def texts(self) -> list[str]:
        """The lines, as they are read."""
        return [" ".join(self._grid.itemAtPosition(row, place).widget().text().replace("\u200b", "") for place in range(3))
                for row in range(len(self._shown))]

    def show_parts(self, parts: tuple[FoundPart, ...]) -> None:
        """Show what was found."""
        if parts == self._shown:
            return
        self._shown, self._marks = parts, []
        while self._grid.count():
            widget = self._grid.takeAt(0).widget()
            widget.hide()
            widget.deleteLater()
        for row, found in enumerate(parts):
            sign, role = ("✓", "ok") if found.file else ("✗", "bad") if found.part.is_needed else ("!", "warn")
            mark, title = QLabel(sign), QLabel(found.title)
            mark.setFixedWidth(16)
            self._marks.append((mark, role))
            if found.file is None:
                words = muted_wrapping(self.tr("missing: {0}").format(found.without[:1].lower() + found.without[1:]))
            else:
                words = muted_wrapping(f"{found.file.name}, {size_of(found.file.stat().st_size)}")
                words.setToolTip(str(found.file))
            for place, widget in enumerate((mark, title, words)):
                self._grid.addWidget(widget, row, place, Qt.AlignmentFlag.AlignTop)
        self._paint()

    def _paint(self) -> None:
        for mark, role in self._marks:
            mark.setStyleSheet(f"color: {getattr(current_colors(), role).name()}; font-weight: 600;")
