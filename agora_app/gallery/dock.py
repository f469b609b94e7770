"""The dock of people: type or roll a seed, look for somebody, keep favourites, compare and mix."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtWidgets import (
    QButtonGroup,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QTabBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.gallery.mixer import MixerStrip
from agora_app.gallery.model import FILTERS, GalleryModel, short_name
from agora_app.gallery.note import NotePopup
from agora_app.gallery.view import GalleryView
from agora_app.icons import icon, keep_icon
from agora_app.models.cast import CastModel
from agora_app.models.shelves import AVATAR_SUFFIXES
from agora_app.theme import set_role, theme


class IdentityDock(QWidget):
    """Everything about who is on stage.

    Signals:
        photo_wanted: somebody is to be made from a photograph.

    Args:
        cast: the model.
    """

    photo_wanted = Signal()

    def __init__(self, cast: CastModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cast = cast
        self._typed = ""  # who was wanted when the hint was written
        self.model = GalleryModel(cast, self)
        self.view = GalleryView(self.model)
        self.mixer = MixerStrip(cast)
        self.mixer.hide()
        self._note = NotePopup(self)
        self._build()
        self._connect()
        self._show_tabs()
        self._show_cast()
        self._show_filter(0)

    def focus_seed(self) -> None:
        """Let the user type a seed."""
        self.seed_edit.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.seed_edit.selectAll()

    def menu_for(self, person: str) -> QMenu:
        """What can be done with a person of the list."""
        menu = QMenu(self)
        shelf = self.model.shelf
        favourite = self._cast.is_favourite(person, shelf)
        for text, name, act in (
            (self.tr("Use"), "mdi6.account-arrow-right", lambda: self._cast.choose(person, shelf)),
            (self.tr("Compare beside"), "mdi6.account-multiple", lambda: self._cast.choose_second(person)),
            (self.tr("Remove from favourites") if favourite else self.tr("Favourite"),
             "mdi6.star-off" if favourite else "mdi6.star", lambda: self._cast.toggle_favourite(person, shelf)),
            (self.tr("Edit note…"), "mdi6.note-edit-outline", lambda: self._edit_note(person)),
            (self.tr("Mix with the person on stage"), "mdi6.call-merge", lambda: self._mix(self._cast.person, person)),
            (self.tr("Copy seed"), "mdi6.content-copy", lambda: QGuiApplication.clipboard().setText(person)),
        ):
            action = QAction(icon(name), text, menu)
            action.triggered.connect(act)
            menu.addAction(action)
        here = shelf == self._cast.wanted.shelf
        menu.actions()[1].setEnabled(here)
        menu.actions()[4].setEnabled(here and not self._cast.why_not_mix(self._cast.person, person, shelf))
        return menu

    # ------------------------------------------------------------------------------------------------------------ building

    def _build(self) -> None:
        self.hint = QLabel(wordWrap=True)
        set_role(self.hint, "muted")
        self.hint.hide()
        self.hint.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addLayout(self._seed_row())
        column.addWidget(self.hint)
        column.addWidget(self._beside_row())
        column.addLayout(self._tab_row())
        column.addLayout(self._search_row())
        column.addWidget(self.view, 1)
        column.addWidget(self.mixer)
        self.setMinimumWidth(280)

    def _seed_row(self) -> QHBoxLayout:
        self.seed_edit = QLineEdit(placeholderText=self.tr("Seed, mix or name"), maxLength=80)
        self.seed_edit.setAccessibleName(self.tr("Person on stage"))
        self.seed_edit.setToolTip(self.tr("A number, a mix such as 7+42@0.5, or any word; Enter puts that person on stage (G)"))
        self.seed_edit.setMinimumWidth(70)
        self.dice_button = self._tool("mdi6.dice-5", self.tr("Somebody at random"), self.tr("Somebody at random (Q)"))
        self.star_button = self._tool("mdi6.star-outline", self.tr("Favourite"),
                                      self.tr("Keep the person on stage as a favourite (Ctrl+D)"))
        self.star_button.setCheckable(True)
        self.undo_button = self._tool("mdi6.undo", self.tr("Undo"), self.tr("Undo"))
        self.redo_button = self._tool("mdi6.redo", self.tr("Redo"), self.tr("Redo"))
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.seed_edit, 1)
        for button in (self.dice_button, self.star_button, self.undo_button, self.redo_button):
            row.addWidget(button)
        return row

    def _beside_row(self) -> QWidget:
        self.beside_label = QLabel()
        self.beside_label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.compare_button = self._tool("mdi6.compare", self.tr("Side by side"), self.tr("Show both side by side (C)"))
        self.compare_button.setCheckable(True)
        self.swap_button = self._tool("mdi6.swap-horizontal", self.tr("Swap"), self.tr("Let both change places (S)"))
        self.clear_button = self._tool("mdi6.close", self.tr("Remove the second person"), self.tr("Remove the second person"))
        self.beside = QWidget()
        row = QHBoxLayout(self.beside)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.beside_label, 1)
        for button in (self.compare_button, self.swap_button, self.clear_button):
            row.addWidget(button)
        return self.beside

    def _tab_row(self) -> QHBoxLayout:
        self.tabs = QTabBar(expanding=False, drawBase=False, usesScrollButtons=True, elideMode=Qt.TextElideMode.ElideRight)
        self.tabs.setAccessibleName(self.tr("Packs"))
        self.tabs.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.open_button = self._tool("mdi6.plus", self.tr("Open a pack"), self.tr("Open an avatar file"))
        self.photo_button = self._tool("mdi6.account-plus-outline", self.tr("New from photo"),
                                       self.tr("Make an avatar from a photo (Ctrl+N)"))
        self.photo_button.clicked.connect(lambda: self.photo_wanted.emit())
        row = QHBoxLayout()
        row.setSpacing(4)
        row.addWidget(self.tabs, 1)
        row.addWidget(self.photo_button)
        row.addWidget(self.open_button)
        return row

    def _search_row(self) -> QVBoxLayout:
        self.search_edit = QLineEdit(placeholderText=self.tr("Find by hair, beard, glasses or note"), clearButtonEnabled=True)
        self.search_edit.setAccessibleName(self.tr("Find people"))
        self.search_edit.setToolTip(self.tr("Among all people who were drawn on this computer"))
        self.chips = QButtonGroup(self)
        chips = QHBoxLayout()
        chips.setSpacing(6)
        words = {"all": self.tr("All"), "favourites": self.tr("Favourites"), "recent": self.tr("Recent")}
        hints = {"all": self.tr("All people"), "favourites": self.tr("People with a star"),
                 "recent": self.tr("People who were on stage, newest first")}
        for i, name in enumerate(FILTERS):
            chip = QPushButton(words[name], checkable=True, checked=i == 0, toolTip=hints[name])
            self.chips.addButton(chip, i)
            chips.addWidget(chip)
        chips.addStretch(1)
        rows = QVBoxLayout()
        rows.setSpacing(8)
        rows.addWidget(self.search_edit)
        rows.addLayout(chips)
        return rows

    def _tool(self, name: str, text: str, hint: str) -> QToolButton:
        button = QToolButton(text=text, toolTip=hint)
        button.setAccessibleName(text)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        keep_icon(button, name)
        return button

    # ---------------------------------------------------------------------------------------------------------- connections

    def _connect(self) -> None:
        cast = self._cast
        self.seed_edit.returnPressed.connect(self._on_typed)
        self.seed_edit.editingFinished.connect(self._show_cast)
        self.dice_button.clicked.connect(lambda: cast.roll())
        self.star_button.clicked.connect(lambda: cast.toggle_favourite())
        self.undo_button.clicked.connect(cast.undo_stack.undo)
        self.redo_button.clicked.connect(cast.undo_stack.redo)
        cast.undo_stack.indexChanged.connect(self._show_undo)
        self.compare_button.toggled.connect(lambda on: cast.set_compare("side-by-side" if on else "single"))
        self.swap_button.clicked.connect(cast.swap)
        self.clear_button.clicked.connect(cast.clear_second)
        self.tabs.currentChanged.connect(self._on_tab)
        self.tabs.tabCloseRequested.connect(lambda i: cast.close_pack(self.tabs.tabData(i)))
        self.open_button.clicked.connect(self._open_pack)
        self.search_edit.textChanged.connect(self._on_search)
        self.chips.idClicked.connect(self._show_filter)
        self.view.use_wanted.connect(lambda person: cast.choose(person, self.model.shelf))
        self.view.star_wanted.connect(lambda person: cast.toggle_favourite(person, self.model.shelf))
        self.view.note_wanted.connect(self._edit_note)
        self.view.menu_wanted.connect(self._open_menu)
        self.model.pairing.connect(self._mix)
        self.mixer.closed.connect(self.view.setFocus)
        self._note.kept.connect(lambda person, text: cast.set_note(person, text, self.model.shelf))
        cast.cast_changed.connect(self._show_cast)
        cast.people_changed.connect(self._show_star)
        cast.shelves_changed.connect(self._show_tabs)
        theme().changed.connect(self._show_star)

    def _on_typed(self) -> None:
        typed = self.seed_edit.text()
        known, words = self._cast.choose_typed(typed, self.model.shelf)
        self.hint.setText(words)
        self.hint.setVisible(bool(words))
        self._typed = self._cast.wanted.first
        if known:
            self.seed_edit.setText(self._cast.wanted.first)
            self.view.setFocus()
        else:
            self.seed_edit.selectAll()

    def _on_search(self, text: str) -> None:
        self.model.show_search(text)
        self._show_empty()

    def _show_filter(self, number: int) -> None:
        self.model.show_filter(FILTERS[number])
        self._show_empty()

    def _show_empty(self) -> None:
        words = {"all": self.tr("Nobody here."), "favourites": self.tr("No favourites yet. The star on a picture makes one."),
                 "recent": self.tr("Nobody has been on stage yet.")}
        searching = bool(self.search_edit.text().strip())
        self.view.empty_text = self.tr("Nobody is found. People can be found once their picture has been drawn.") if searching \
            else words[self.model.filter]
        self.view.viewport().update()

    def _show_cast(self) -> None:
        cast = self._cast
        if not (self.seed_edit.hasFocus() and self.seed_edit.isModified()):
            self.seed_edit.setText(cast.wanted.first)
        if cast.wanted.first != self._typed:
            self.hint.hide()
        self.beside.setVisible(bool(cast.second))
        self.beside_label.setText(self.tr("Beside: {0}").format(short_name(cast.second)) if cast.second else "")
        self.compare_button.blockSignals(True)
        self.compare_button.setChecked(cast.stage.side_by_side)
        self.compare_button.blockSignals(False)
        self._show_undo()
        self._show_star()
        if cast.stage.first and cast.stage.shelf != self.model.shelf:
            self._select_tab(cast.stage.shelf)

    def _show_star(self) -> None:
        on = bool(self._cast.person) and self._cast.is_favourite(self._cast.person)
        self.star_button.setChecked(on)
        keep_icon(self.star_button, "mdi6.star" if on else "mdi6.star-outline", "warn" if on else "text")

    def _show_undo(self) -> None:
        stack = self._cast.undo_stack
        self.undo_button.setEnabled(stack.canUndo())
        self.redo_button.setEnabled(stack.canRedo())
        undo, redo = self.tr("Undo (Ctrl+Z)"), self.tr("Redo")
        self.undo_button.setToolTip(f"{undo}: {stack.undoText()}" if stack.canUndo() else undo)
        self.redo_button.setToolTip(f"{redo}: {stack.redoText()}" if stack.canRedo() else redo)

    # ---------------------------------------------------------------------------------------------------------------- packs

    def _show_tabs(self) -> None:
        shelves = self._cast.shelves.all()
        if [self.tabs.tabData(i) for i in range(self.tabs.count())] != [shelf.key for shelf in shelves]:
            self.tabs.blockSignals(True)
            while self.tabs.count():
                self.tabs.removeTab(0)
            self.tabs.setTabsClosable(not all(shelf.shipped for shelf in shelves))
            for i, shelf in enumerate(shelves):
                self.tabs.addTab("")
                self.tabs.setTabData(i, shelf.key)
            for i in (i for i, shelf in enumerate(shelves) if shelf.shipped):
                for side in (QTabBar.ButtonPosition.LeftSide, QTabBar.ButtonPosition.RightSide):
                    self.tabs.setTabButton(i, side, None)  # these stay
            self.tabs.blockSignals(False)
            self._select_tab(self.model.shelf)
        for i, shelf in enumerate(shelves):
            self.tabs.setTabText(i, shelf.title.replace("&", "&&") if shelf.ready else self.tr("Reading…"))
            self.tabs.setTabToolTip(i, shelf.key or self.tr("People who are made from any seed"))

    def _select_tab(self, key: str) -> None:
        for i in range(self.tabs.count()):
            if self.tabs.tabData(i) == key:
                self.tabs.setCurrentIndex(i)
                self._on_tab(i)

    def _on_tab(self, number: int) -> None:
        self.model.show_shelf(self.tabs.tabData(number))
        if self.mixer.isVisible():
            self.mixer.end()

    def _open_pack(self) -> None:
        kinds = self.tr("Avatar files ({0})").format(" ".join(f"*{suffix}" for suffix in AVATAR_SUFFIXES))
        path = QFileDialog.getOpenFileName(self, self.tr("Open an avatar file"), "", kinds)[0]
        if path:
            self._cast.open_pack(path)

    # -------------------------------------------------------------------------------------------------------------- one person

    def _open_menu(self, person: str, where: QPoint) -> None:
        menu = self.menu_for(person)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(where)

    def _edit_note(self, person: str) -> None:
        row = self.model.row_of(person)
        tile = self.view.visualRect(self.model.index(row)) if row >= 0 else self.view.viewport().rect()
        where = self.view.viewport().mapToGlobal(tile.center())
        self._note.ask(person, short_name(person), self._cast.note(person, self.model.shelf), where)

    def _mix(self, a: str, b: str) -> None:
        self.mixer.show_pair(a, b, self.model.shelf)
