"""The first page: photographs, name, consent, and how the avatar is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.findings import FindingCard, muted_wrapping
from agora_app.photo.models.form import LONGEST_NAME, ROUTES, PhotoForm
from agora_app.photo.photo_list import PhotoList
from agora_app.theme import set_role
from core.media.image import SUFFIXES

SIDE = 348  # pixels: width of what is asked beside the photographs


class FormPage(QWidget):
    """Edits a form.

    Args:
        form: the form.
        generators: names and paths of the user's packs in the gallery that hold a generator.
    """

    def __init__(self, form: PhotoForm, generators: Callable[[], list[tuple[str, str]]]) -> None:
        super().__init__()
        self._form, self._generators = form, generators
        self.photos = PhotoList(form)
        self.photos.choose_wanted.connect(self.choose_photos)
        self.notes = muted_wrapping("")
        self.problems = QVBoxLayout()
        self.problems.setSpacing(6)
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addWidget(self.photos, 1)
        left.addWidget(self.notes)
        left.addLayout(self.problems)
        side = QWidget()
        side.setFixedWidth(SIDE)
        right = QVBoxLayout(side)
        right.setContentsMargins(0, 0, 0, 0)
        right.setSpacing(12)
        right.addLayout(self._name_row())
        right.addWidget(self._consent_card())
        right.addWidget(self._keep_row())
        right.addWidget(self._fold_button(), 0, Qt.AlignmentFlag.AlignLeft)
        right.addWidget(self._route_card())
        right.addStretch(1)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(20)
        row.addLayout(left, 1)
        row.addWidget(side)
        form.changed.connect(self.show_form)
        self.route_card.setVisible(False)
        self.show_form()
        if form.route != "auto":
            self.fold.setChecked(True)

    @property
    def has_agreed(self) -> bool:
        """Whether the user has said that the photographs may be used."""
        return self.consent.isChecked()

    def choose_photos(self) -> None:
        """Let the user point at pictures."""
        start = self._form.folder or str(Path.home())
        kinds = " ".join(f"*{suffix}" for suffix in SUFFIXES)
        chosen, _ = QFileDialog.getOpenFileNames(self, self.tr("Photos of one person"), start,
                                                 self.tr("Pictures ({0})").format(kinds))
        if chosen:
            self._form.add(chosen)

    def show_form(self) -> None:
        """Show what the form holds."""
        form = self._form
        if self.name_edit.text() != form.name:
            self.name_edit.setText(form.name)
        self.keep.setChecked(form.keep_photo)
        for route, button in self.routes.items():
            button.setChecked(route == form.route)
        self.generator_row.setEnabled(form.route != "studio")
        self._fill_generators()
        self.notes.setText("\n".join(form.notes))
        self.notes.setVisible(bool(form.notes))
        self._show_problem()

    # ------------------------------------------------------------------------------------------------------------ building

    def _name_row(self) -> QVBoxLayout:
        label = QLabel(self.tr("Name"))
        self.name_edit = QLineEdit(maxLength=LONGEST_NAME, placeholderText=self.tr("Who is it?"))
        self.name_edit.setAccessibleName(self.tr("Name"))
        self.name_edit.setToolTip(self.tr("What the person is called in the gallery"))
        self.name_edit.textEdited.connect(self._form.set_name)
        label.setBuddy(self.name_edit)
        column = QVBoxLayout()
        column.setSpacing(4)
        column.addWidget(label)
        column.addWidget(self.name_edit)
        return column

    def _consent_card(self) -> QFrame:
        self.consent = QCheckBox(self.tr("It is me, or somebody who agreed"))
        self.consent.setToolTip(self.tr("Only use photos of yourself or of people who agreed to this"))
        self.consent.setAccessibleDescription(self.consent.toolTip())
        words = muted_wrapping(self.tr("Only use photos of yourself or of people who agreed. The avatar can do and say what they "
                                       "never did. The photos are worked on here and sent nowhere."))
        card = QFrame()
        set_role(card, "card")
        column = QVBoxLayout(card)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(6)
        column.addWidget(self.consent)
        column.addWidget(words)
        return card

    def _keep_row(self) -> QWidget:
        self.keep = QCheckBox(self.tr("Keep the photo in the avatar"))
        self.keep.setToolTip(self.tr("Without it the avatar's file holds no photograph; whoever gets the file could look at it"))
        self.keep.toggled.connect(self._form.set_keep_photo)
        return self.keep

    def _fold_button(self) -> QToolButton:
        self.fold = QToolButton(text=self.tr("How it is made"), checkable=True, toolTip=self.tr("Choose between the two ways"))
        set_role(self.fold, "flat")
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.setArrowType(Qt.ArrowType.RightArrow)
        self.fold.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.fold.toggled.connect(self._fold_out)
        return self.fold

    def _route_card(self) -> QFrame:
        self.route_card = QFrame()
        set_role(self.route_card, "card")
        column = QVBoxLayout(self.route_card)
        column.setContentsMargins(14, 12, 14, 12)
        column.setSpacing(4)
        self.routes: dict[str, QRadioButton] = {}
        titles = {"auto": (self.tr("Automatic"), self.tr("Whichever comes out more like the person.")),
                  "studio": (self.tr("Fit a studio person"), self.tr("Needs nothing else; the photo becomes the skin.")),
                  "generator": (self.tr("Use a trained generator"), self.tr("The one that ships, or that of a pack of yours."))}
        for route in ROUTES:
            title, words = titles[route]
            button = self.routes[route] = QRadioButton(title)
            button.setToolTip(words)
            button.setAccessibleDescription(words)
            button.clicked.connect(lambda _checked=False, route=route: self._form.set_route(route))
            note = muted_wrapping(words)
            note.setContentsMargins(24, 0, 0, 4)
            column.addWidget(button)
            column.addWidget(note)
        column.addWidget(self._generator_row())
        return self.route_card

    def _generator_row(self) -> QWidget:
        self.generator_box = QComboBox()
        self.generator_box.setAccessibleName(self.tr("Pack with the generator"))
        self.generator_box.setToolTip(self.tr("The pack whose generator is used"))
        self.generator_box.setMinimumContentsLength(12)
        self.generator_box.activated.connect(lambda place: self._form.set_generator(self.generator_box.itemData(place)))
        choose = QToolButton(text=self.tr("Choose…"), toolTip=self.tr("A pack that is not in the gallery"))
        choose.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        choose.clicked.connect(self._choose_generator)
        self.generator_row = QWidget()
        row = QHBoxLayout(self.generator_row)
        row.setContentsMargins(24, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.generator_box, 1)
        row.addWidget(choose)
        return self.generator_row

    # ------------------------------------------------------------------------------------------------------------- inside

    def _fold_out(self, out: bool) -> None:
        self.fold.setArrowType(Qt.ArrowType.DownArrow if out else Qt.ArrowType.RightArrow)
        self.route_card.setVisible(out)

    def _fill_generators(self) -> None:
        known, chosen = [(self.tr("The one that ships"), ""), *self._generators()], self._form.generator
        if chosen and chosen not in (path for _, path in known):
            known.append((Path(chosen).stem, chosen))
        box = self.generator_box
        if [(box.itemText(i), box.itemData(i)) for i in range(box.count())] != known:
            box.clear()
            for name, path in known:
                box.addItem(name, path)
        box.setCurrentIndex(max(box.findData(chosen), 0))

    def _choose_generator(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.tr("A pack with a generator"), "", self.tr("Avatar packs (*.agora)"))
        if path:
            self._form.set_generator(path)

    def _show_problem(self) -> None:
        while self.problems.count():
            card = self.problems.takeAt(0).widget()
            card.hide()
            card.deleteLater()
        if self._form.problem is not None:
            self.problems.addWidget(FindingCard("blocking", self._form.problem.what, self._form.problem.mend))
