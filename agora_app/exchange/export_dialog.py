"""Export: the person on stage as a web page, as splats or as a mesh."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.exchange.models.export import LONGEST_NAME, ExportModel
from agora_app.exchange.models.formats import FORMATS
from agora_app.exchange.work_dialog import WorkDialog
from agora_app.findings import muted_wrapping, sentence
from agora_app.icons import keep_icon
from agora_app.log import shorten_home
from agora_app.parts import Choice
from agora_app.theme import set_role
from agora_app.words import size_of
from core.head.presets import PRESET_NAMES


class ExportDialog(WorkDialog):
    """Chooses a format, its options and a place, and shows the command at work.

    Args:
        model: the export; closed with the dialog.
    """

    def __init__(self, model: ExportModel, parent: QWidget | None = None) -> None:
        super().__init__(model.task, self.tr("Export"), self.tr("Take people along into a browser, a viewer or a 3D program."),
                         (self.tr("Export"), self.tr("Write the file")), parent)
        self.model = model
        model.setParent(self)
        self.setWindowTitle(self.tr("Export"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        row = QHBoxLayout(self.form)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(20)
        row.addLayout(self._format_column(), 5)
        row.addLayout(self._option_column(), 4)
        self.open_button = self.button(self.tr("Open the page"), self.tr("Show it in your browser"), self._open)
        self.folder_button = self.button(self.tr("Open folder"), self.tr("Show the file in the file manager"), self._open_folder)
        for place, button in enumerate((self.folder_button, self.open_button), 1):
            self.buttons.insertWidget(place, button)
        model.changed.connect(self.show_model)
        self.resize(860, 560)
        self.show_model()
        self.choices[model.format.kind].setFocus()

    def begin(self) -> None:
        self.model.start()

    def end(self) -> None:
        self.model.close()

    def show_model(self) -> None:
        """Show what the model holds."""
        model, found = self.model, self.model.format
        for kind, choice in self.choices.items():
            choice.setChecked(kind == found.kind)
        _set_text(self.people_edit, model.people)
        self.people_edit.setPlaceholderText(self.tr("7, 20-24") if found.most_people > 1 else "7")
        self.people_note.setText(self.tr("Up to {0} people, such as 7, 20-24").format(found.most_people)
                                 if found.most_people > 1 else self.tr("One person, by seed or mix"))
        self.motion_card.setVisible(bool(found.motion))
        self.motion_note.setText(f"{found.shown_motion.format(model.frames)}." if found.motion else "")
        self.motion_note.setVisible(model.with_motion)
        self.face_row.setVisible(found.sequence and not model.with_motion)
        self.face_box.setCurrentIndex(self.face_box.findData(model.face))
        self.motion.setChecked(model.with_motion)
        self._fill_motions()
        self.motion_box.setEnabled(model.with_motion)
        _set_text(self.name_edit, model.name)
        folder = str(model.folder)
        self.folder_label.setText(shorten_home(folder))
        self.folder_label.setToolTip(folder)
        self.suffix.setText(found.suffix)
        self.suffix.setVisible(not (found.sequence and model.with_motion))
        written = model.written
        self.open_button.setVisible(written is not None and found.kind == "web")
        self.folder_button.setVisible(written is not None)
        fine = self.tr("{0} is written, {1}.").format(written.name, size_of(_bytes_of(written))) if written else ""
        if fine and model.said:
            fine = f"{fine} {sentence(model.said)}"
        self.show_work(model.reason(), [found for found in (model.failure, fine) if found])

    # ------------------------------------------------------------------------------------------------------------ building

    def _format_column(self) -> QVBoxLayout:
        column = QVBoxLayout()
        column.setSpacing(8)
        self.choices: dict[str, Choice] = {}
        group = QButtonGroup(self)
        for found in FORMATS:
            choice = self.choices[found.kind] = Choice(found.icon, found.shown_title)
            why_not = self.model.why_not(found)
            choice.set_words(why_not or found.shown_words)
            choice.setEnabled(not why_not)
            choice.setMinimumHeight(72)
            choice.clicked.connect(lambda _checked=False, kind=found.kind: self.model.set_format(kind))
            group.addButton(choice)
            column.addWidget(choice)
        column.addStretch(1)
        return column

    def _option_column(self) -> QVBoxLayout:
        self.people_edit = QLineEdit(maxLength=200)
        self.people_edit.textEdited.connect(self.model.set_people)
        self.people_note = muted_wrapping("")
        self.name_edit = QLineEdit(maxLength=LONGEST_NAME)
        self.name_edit.textEdited.connect(self.model.set_name)
        self.suffix = QLabel()
        set_role(self.suffix, "muted")
        column = QVBoxLayout()
        column.setSpacing(12)
        column.addLayout(self._field(self.tr("Who"), self.people_edit, self.tr("People by seed, range or mix, such as 7, 20-24"),
                                     self.people_note))
        column.addWidget(self._face_row())
        column.addWidget(self._motion_card())
        column.addLayout(self._field(self.tr("Name of the file"), self.name_edit, self.tr("Without what stands behind the dot"),
                                     beside=self.suffix))
        column.addLayout(self._folder_field())
        column.addStretch(1)
        return column

    def _field(self, title: str, edit: QLineEdit, tooltip: str, note: QLabel | None = None,
               beside: QLabel | None = None) -> QVBoxLayout:
        label = QLabel(title)
        label.setBuddy(edit)
        edit.setAccessibleName(title)
        edit.setToolTip(tooltip)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(edit, 1)
        if beside is not None:
            row.addWidget(beside)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(label)
        column.addLayout(row)
        if note is not None:
            column.addWidget(note)
        return column

    def _face_row(self) -> QWidget:
        self.face_box = QComboBox(toolTip=self.tr("The face that the person makes"))
        self.face_box.setAccessibleName(self.tr("Face"))
        for name in PRESET_NAMES:
            self.face_box.addItem(name.capitalize(), name)
        self.face_box.activated.connect(lambda place: self.model.set_face(self.face_box.itemData(place)))
        label = QLabel(self.tr("Face"))
        label.setBuddy(self.face_box)
        self.face_row = QWidget()
        column = QVBoxLayout(self.face_row)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(label)
        column.addWidget(self.face_box)
        return self.face_row

    def _motion_card(self) -> QFrame:
        self.motion = QCheckBox(self.tr("With a motion"))
        self.motion.setToolTip(self.tr("Let a motion clip go along"))
        self.motion.clicked.connect(self.model.set_with_motion)
        self.motion_box = QComboBox()
        self.motion_box.setAccessibleName(self.tr("Motion clip"))
        self.motion_box.setToolTip(self.tr("The motion clip that goes along"))
        self.motion_box.activated.connect(self._on_motion)
        self.motion_note = muted_wrapping("")
        self.motion_card = QFrame()
        set_role(self.motion_card, "card")
        column = QVBoxLayout(self.motion_card)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(6)
        for widget in (self.motion, self.motion_box, self.motion_note):
            column.addWidget(widget)
        return self.motion_card

    def _folder_field(self) -> QVBoxLayout:
        self.folder_label = QLabel()
        self.folder_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        set_role(self.folder_label, "muted")
        button = QToolButton(toolTip=self.tr("Choose another folder"))
        button.setAccessibleName(self.tr("Choose another folder"))
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        keep_icon(button, "mdi6.folder-open-outline")
        button.clicked.connect(self._choose_folder)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.folder_label, 1)
        row.addWidget(button)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(QLabel(self.tr("Folder")))
        column.addLayout(row)
        return column

    # ------------------------------------------------------------------------------------------------------------- inside

    def _fill_motions(self) -> None:
        box, chosen = self.motion_box, self.model.motion_file
        known = [(self.tr("The demo"), ""), *([(chosen.stem, str(chosen))] if chosen else []), (self.tr("Another clip…"), None)]
        if [(box.itemText(i), box.itemData(i)) for i in range(box.count())] != known:
            box.clear()
            for words, path in known:
                box.addItem(words, path)
        box.setCurrentIndex(1 if chosen else 0)

    def _on_motion(self, place: int) -> None:
        path = self.motion_box.itemData(place)
        if path is None:
            path, _ = QFileDialog.getOpenFileName(self, self.tr("A motion clip"), str(Path.home()),
                                                  self.tr("Motion clips (*.npz)"))
            if not path:
                self._fill_motions()
                return
        self.model.set_motion(path)

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self.tr("Folder for the file"), str(self.model.folder))
        if chosen:
            self.model.set_folder(chosen)

    def _open(self) -> None:
        if self.model.written is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.model.written)))

    def _open_folder(self) -> None:
        if self.model.written is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.model.written.parent)))


def _set_text(edit: QLineEdit, text: str) -> None:
    """Without moving the cursor of who is typing it."""
    if edit.text() != text:
        edit.setText(text)


def _bytes_of(path: Path) -> int:
    try:
        files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
        return sum(file.stat().st_size for file in files)
    except OSError:
        return 0
