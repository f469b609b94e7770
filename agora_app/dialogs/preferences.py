"""The preferences: a page for each section of the settings, made from the model; every change holds at once."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from agora_app.actions import ActionRegistry
from agora_app.dialogs.shortcuts import ShortcutSheet, is_found
from agora_app.fields import FieldRow, fields_of, translated_field
from agora_app.icons import icon
from agora_app.settings.model import Section, Settings
from agora_app.settings.store import SettingsStore
from agora_app.theme import set_role, theme


@dataclass(frozen=True)
class PageSpec:
    """A page: the section it shows, its title, its icon."""

    section: str
    title: str
    icon: str


PAGES = (
    PageSpec("appearance", "Appearance", "mdi6.palette-outline"),
    PageSpec("source", "Source", "mdi6.webcam"),
    PageSpec("view", "View", "mdi6.image-outline"),
    PageSpec("drive", "Driving", "mdi6.emoticon-outline"),
    PageSpec("tracking", "Tracking", "mdi6.target"),
    PageSpec("recording", "Recording", "mdi6.record-circle-outline"),
    PageSpec("output", "Output", "mdi6.video-wireless-outline"),
    PageSpec("performance", "Performance", "mdi6.speedometer"),
    PageSpec("shortcuts", "Shortcuts", "mdi6.keyboard-outline"),
)


class PreferencesDialog(QDialog):
    """Pages at the left, settings at the right, a search over all of them."""

    def __init__(self, store: SettingsStore, registry: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Preferences"))
        self.resize(860, 620)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search"))
        self.search.setAccessibleName(self.tr("Search settings"))
        self.search.setToolTip(self.tr("Find a setting by its words"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._on_search)
        QShortcut(QKeySequence.StandardKey.Find, self, self.search.setFocus)
        self.pages = QListWidget()
        self.pages.setAccessibleName(self.tr("Pages"))
        self.pages.setFrameShape(QFrame.Shape.NoFrame)
        self.pages.setIconSize(QSize(18, 18))
        self.pages.setFixedWidth(180)
        set_role(self.pages, "nav")
        self.stack = QStackedWidget()
        self._made: dict[str, SettingsPage | ShortcutPage] = {}
        self._store, self._registry = store, registry
        for spec in PAGES:
            item = QListWidgetItem(translated_field(spec.title))
            item.setSizeHint(QSize(160, 34))
            self.pages.addItem(item)
        self.pages.currentRowChanged.connect(lambda row: self.stack.setCurrentWidget(self.page(PAGES[row].section)))
        self._build()
        self._show_icons()
        theme().changed.connect(self._show_icons)
        self.pages.setCurrentRow(0)
        self.pages.setFocus()

    def show_page(self, section: str) -> None:
        """Turn to the page of a section."""
        self.pages.setCurrentRow([spec.section for spec in PAGES].index(section))

    def page(self, section: str) -> SettingsPage | ShortcutPage:
        """The page of a section; made when it is first needed, so that the window opens at once."""
        if section not in self._made:
            spec = next(spec for spec in PAGES if spec.section == section)
            page = ShortcutPage(self._registry) if section == "shortcuts" else SettingsPage(self._store, spec)
            page.search(self.search.text())
            self._made[section] = page
            self.stack.addWidget(page)
        return self._made[section]

    def _build(self) -> None:
        left = QVBoxLayout()
        left.setSpacing(12)
        left.addWidget(self.search)
        left.addWidget(self.pages, 1)
        close = QPushButton(self.tr("Close"))
        close.setDefault(True)
        close.setToolTip(self.tr("All changes hold already"))
        close.clicked.connect(self.close)
        note = QLabel(self.tr("Changes hold at once."))
        set_role(note, "muted")
        foot = QHBoxLayout()
        foot.addWidget(note, 1)
        foot.addWidget(close)
        right = QVBoxLayout()
        right.setSpacing(12)
        right.addWidget(self.stack, 1)
        right.addLayout(foot)
        row = QHBoxLayout(self)
        row.setContentsMargins(16, 16, 16, 12)
        row.setSpacing(20)
        row.addLayout(left)
        row.addLayout(right, 1)

    def _show_icons(self) -> None:
        for row, spec in enumerate(PAGES):
            self.pages.item(row).setIcon(icon(spec.icon))

    def _on_search(self, text: str) -> None:
        """Show what is found; turn to the first page that has something when the present one has nothing."""
        for page in self._made.values():
            page.search(text)
        found = [self._finds(spec.section, text) for spec in PAGES]
        for row, hit in enumerate(found):
            self.pages.item(row).setHidden(not hit)
        if any(found) and not found[self.pages.currentRow()]:
            self.pages.setCurrentRow(found.index(True))

    def _finds(self, section: str, text: str) -> bool:
        if section == "shortcuts":
            return any(is_found(self._registry, spec, text) for spec in self._registry.specs)
        return any(field.matches(text) for field in fields_of(section, _model_of(section)))

    def keyPressEvent(self, event) -> None:
        # Enter ends an edit; it does not press the button that closes the window.
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and not isinstance(self.focusWidget(), QPushButton):
            event.accept()
        else:
            super().keyPressEvent(event)


class SettingsPage(QWidget):
    """The settings of one section."""

    def __init__(self, store: SettingsStore, spec: PageSpec, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._store, self.spec = store, spec
        self.rows = {field.name: FieldRow(store, field) for field in fields_of(spec.section, _model_of(spec.section))}
        self.nothing = QLabel(self.tr("Nothing on this page"))
        set_role(self.nothing, "muted")
        self.nothing.hide()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addLayout(self._head())
        column.addWidget(self._body(), 1)
        store.changed.connect(self._on_settings)
        self._show_reset()

    def search(self, text: str) -> None:
        """Show only what a search finds."""
        hits = {name: row.spec.matches(text) for name, row in self.rows.items()}
        for name, row in self.rows.items():
            row.setVisible(hits[name])
        visible = [row for name, row in self.rows.items() if hits[name]]
        for row in self.rows.values():
            row.setProperty("first", bool(visible) and row is visible[0])
            row.style().unpolish(row)
            row.style().polish(row)
        self.nothing.setVisible(not visible)
        self._card.setVisible(bool(visible))

    def reset(self) -> None:
        """Put what the page shows back to its defaults."""
        self._store.reset(self.spec.section, *self.rows)

    def _head(self) -> QHBoxLayout:
        heading = QLabel(translated_field(self.spec.title))
        set_role(heading, "heading")
        self.reset_button = QPushButton(self.tr("Reset page"))
        self.reset_button.setToolTip(self.tr("Put everything on this page back to its default"))
        self.reset_button.setAutoDefault(False)
        set_role(self.reset_button, "flat")
        self.reset_button.clicked.connect(self.reset)
        row = QHBoxLayout()
        row.addWidget(heading, 1)
        row.addWidget(self.reset_button)
        return row

    def _body(self) -> QScrollArea:
        body = QWidget()
        body.setProperty("page", True)
        self._card = QFrame()
        set_role(self._card, "card")
        inside = QVBoxLayout(self._card)
        inside.setContentsMargins(1, 1, 1, 1)
        inside.setSpacing(0)
        for position, row in enumerate(self.rows.values()):
            row.setProperty("setting", True)
            row.setProperty("first", position == 0)
            inside.addWidget(row)
        column = QVBoxLayout(body)
        column.setContentsMargins(0, 0, 6, 0)
        column.addWidget(self._card)
        column.addWidget(self.nothing)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        return scroll

    def _on_settings(self, section: str) -> None:
        if section == self.spec.section:
            for row in self.rows.values():
                row.show_value()
            self._show_reset()

    def _show_reset(self) -> None:
        defaults = type(getattr(self._store.settings, self.spec.section))()
        self.reset_button.setEnabled(any(row.value != getattr(defaults, name) for name, row in self.rows.items()))


class ShortcutPage(QWidget):
    """The sheet of shortcuts as a page."""

    def __init__(self, registry: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._registry = registry
        heading = QLabel(self.tr("Shortcuts"))
        set_role(heading, "heading")
        self.sheet = ShortcutSheet(registry)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(heading)
        column.addWidget(self.sheet, 1)

    def search(self, text: str) -> None:
        """Search the sheet; it shows all when the words are those of settings only."""
        found = any(is_found(self._registry, spec, text) for spec in self._registry.specs)
        self.sheet.search.setText(text if found else "")


def _model_of(section: str) -> type[Section]:
    return Settings.model_fields[section].annotation
