"""The sheet of keyboard shortcuts: to look at, to search, to change."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QHBoxLayout,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from agora_app.action_table import ActionSpec
from agora_app.actions import ActionRegistry
from agora_app.dialogs.palette import menu_words
from agora_app.fuzzy import match
from agora_app.theme import set_role

NARROW = 520  # pixels below which the sheet has one column


class ShortcutSheet(QWidget):
    """All actions by menu with their keys, and a strip below in which the chosen one is changed."""

    def __init__(self, registry: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._registry = registry
        self._groups: list[_Group] = []
        self.rows: dict[str, ShortcutRow] = {}
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Search actions or keys"))
        self.search.setAccessibleName(self.tr("Search shortcuts"))
        self.search.setToolTip(self.tr("A few letters of an action, or a key"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._filter)
        self.editor = ShortcutEditor(registry)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(12)
        column.addWidget(self.search)
        column.addWidget(self._sheet(), 1)
        column.addWidget(self.editor)
        self._columns = 0
        self._arrange(2)
        registry.shortcuts_changed.connect(self._show_keys)

    def choose(self, name: str) -> None:
        """Take an action into the editor."""
        for other, row in self.rows.items():
            row.setChecked(other == name)
        self.editor.edit(name)

    def _sheet(self) -> QScrollArea:
        body = QWidget()
        body.setProperty("page", True)
        self._halves = [QVBoxLayout(), QVBoxLayout()]
        self._sides = QHBoxLayout(body)
        self._sides.setContentsMargins(0, 0, 8, 0)
        self._sides.setSpacing(12)
        for half in self._halves:
            half.setSpacing(12)
            self._sides.addLayout(half, 1)
        grouped: dict[str, list[ActionSpec]] = {}
        for spec in self._registry.specs:
            if not spec.submenu:
                grouped.setdefault(menu_words(spec), []).append(spec)
        for title, specs in grouped.items():
            rows = [ShortcutRow(self._registry, spec, self.choose) for spec in specs]
            self.rows.update({spec.id: row for spec, row in zip(specs, rows, strict=True)})
            self._groups.append(_Group(title, rows))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        return scroll

    def _arrange(self, columns: int) -> None:
        """Spread the groups over one or two columns of about the same length, in their order."""
        if columns == self._columns:
            return
        self._columns = columns
        for half in self._halves:
            while half.count():
                half.takeAt(0)
        lengths, total = 0, sum(group.length for group in self._groups)
        for group in self._groups:
            second = columns == 2 and lengths + group.length / 2 > total / 2
            self._halves[second].addWidget(group)
            lengths += group.length
        for half in self._halves:
            half.addStretch(1)
        self._sides.setStretch(1, columns - 1)

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self._arrange(1 if self.width() < NARROW else 2)

    def _filter(self, text: str) -> None:
        for group in self._groups:
            found = [is_found(self._registry, row.spec, text) for row in group.rows]
            for row, hit in zip(group.rows, found, strict=True):
                row.setVisible(hit)
            group.setVisible(any(found))

    def _show_keys(self) -> None:
        for row in self.rows.values():
            row.show_keys()


def is_found(registry: ActionRegistry, spec: ActionSpec, text: str) -> bool:
    """Whether a search finds an action, by its title or its key."""
    wanted, keys = text.strip().casefold(), registry.shortcut_text(spec.id).casefold()
    if not wanted or wanted == keys:
        return True
    return match(wanted, registry.title(spec.id)) is not None or (len(wanted) > 1 and wanted in keys)


class _Group(QFrame):
    """The actions of one menu."""

    def __init__(self, title: str, rows: list[ShortcutRow]) -> None:
        super().__init__()
        set_role(self, "card")
        self.rows = rows
        self.length = len(rows) + 1.6
        heading = QLabel(title)
        set_role(heading, "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 8, 6, 6)
        column.setSpacing(0)
        heading.setContentsMargins(8, 0, 0, 4)
        column.addWidget(heading)
        for row in rows:
            column.addWidget(row)


class ShortcutRow(QPushButton):
    """An action and its key; chosen by a click or with the keyboard."""

    def __init__(self, registry: ActionRegistry, spec: ActionSpec, choose) -> None:
        super().__init__()
        self.spec, self._registry = spec, registry
        self.setCheckable(True)
        self.setAutoDefault(False)
        set_role(self, "flat")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.keys = QLabel()
        title = QLabel(registry.title(spec.id))
        title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 2, 6, 2)
        row.addWidget(title, 1)
        row.addWidget(self.keys)
        for label in (title, self.keys):
            label.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedHeight(self.fontMetrics().height() + 14)
        self.clicked.connect(lambda: choose(spec.id))
        self.show_keys()

    def show_keys(self) -> None:
        keys, title = self._registry.shortcut_text(self.spec.id), self._registry.title(self.spec.id)
        self.keys.setText(keys or "–")
        self.keys.setProperty("key", bool(keys))
        self.keys.setProperty("muted", not keys)
        self.keys.style().unpolish(self.keys)
        self.keys.style().polish(self.keys)
        self.setAccessibleName(f"{title}: {keys or self.tr('no shortcut')}")
        tip = self._registry.action(self.spec.id).toolTip()
        self.setToolTip(self.tr("{0} — press to change its shortcut").format(tip))


class ShortcutEditor(QFrame):
    """Changes the shortcut of one action. What the new key would take from others is said before it is used.

    Signals:
        done: a shortcut has been changed, or the change was given up.
    """

    done = Signal()

    def __init__(self, registry: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._registry, self._name = registry, ""
        set_role(self, "card")
        self.title = QLabel(self.tr("Choose an action to change its shortcut"))
        self.title.setWordWrap(True)
        self.keys = QKeySequenceEdit()
        self.keys.setAccessibleName(self.tr("New shortcut"))
        self.keys.setToolTip(self.tr("Press the new key or keys"))
        self.keys.setMaximumSequenceLength(1)
        self.keys.setFixedWidth(130)
        self.keys.keySequenceChanged.connect(self._check)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.change = self._button(self.tr("Change…"), self.tr("Press a new key for this action"), self.start)
        self.use = self._button(self.tr("Use"), self.tr("Use this key"), self.accept)
        self.cancel = self._button(self.tr("Cancel"), self.tr("Leave it as it was"), self.stop)
        self.remove = self._button(self.tr("Remove"), self.tr("No key for this action"), self.remove_shortcut)
        self.reset = self._button(self.tr("Reset"), self.tr("Back to the key it has by default"), self.reset_shortcut)
        self.reset_all = self._button(self.tr("Reset all"), self.tr("Give every action its default key"), self.ask_reset_all)
        set_role(self.use, "primary")
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.title, 1)
        for widget in (self.keys, self.use, self.cancel, self.change, self.remove, self.reset, self.reset_all):
            row.addWidget(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 8, 8, 8)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.words)
        self._show(False)
        registry.shortcuts_changed.connect(lambda: self._show(False))

    def edit(self, name: str) -> None:
        """Take an action."""
        self._name = name
        self._show(False)

    def start(self) -> None:
        """Listen for the new key."""
        self._show(True)
        self.keys.setKeySequence(QKeySequence())
        self.keys.setFocus()
        self._check()

    def accept(self) -> None:
        """Give the action the key that was pressed."""
        sequence = self.keys.keySequence()
        if not sequence.isEmpty():
            self._registry.set_shortcut(self._name, sequence)
            self.stop()

    def stop(self) -> None:
        """Leave everything as it is."""
        self._show(False)
        self.change.setFocus()
        self.done.emit()

    def remove_shortcut(self) -> None:
        self._registry.set_shortcut(self._name, "")

    def reset_shortcut(self) -> None:
        self._registry.reset_shortcut(self._name)

    def ask_reset_all(self) -> None:
        """Reset everything, if the user means it."""
        answer = QMessageBox.question(self, self.tr("Shortcuts"), self.tr("Give every action its default key again?"))
        if answer == QMessageBox.StandardButton.Yes:
            self._registry.reset_shortcuts()

    def _button(self, text: str, tip: str, slot) -> QPushButton:
        button = QPushButton(text)
        button.setAutoDefault(False)
        button.setToolTip(tip)
        button.clicked.connect(lambda _checked=False: slot())
        return button

    def _check(self) -> None:
        """Say what the pressed key would do."""
        sequence = self.keys.keySequence()
        taken = self._registry.conflicts(self._name, sequence) if self._name else []
        keys = sequence.toString(QKeySequence.SequenceFormat.NativeText)
        titles = ", ".join(f"“{self._registry.title(other)}”" for other in taken)
        if sequence.isEmpty():
            words = self.tr("Press the new key, with Ctrl, Alt or Shift if you like.")
        elif taken:
            words = self.tr("{0} belongs to {1}, which would then have no key.").format(keys, titles)
        else:
            words = self.tr("{0} is free.").format(keys)
        self.words.setText(words)
        self.use.setText(self.tr("Use anyway") if taken else self.tr("Use"))
        self.use.setEnabled(not sequence.isEmpty())

    def _show(self, editing: bool) -> None:
        chosen = bool(self._name)
        for widget in (self.keys, self.use, self.cancel, self.words):
            widget.setVisible(editing)
        for widget in (self.change, self.remove, self.reset):
            widget.setVisible(chosen and not editing)
        self.reset_all.setVisible(not editing)
        if chosen:
            self.title.setText(f"{self._registry.title(self._name)}:  {self._registry.shortcut_text(self._name) or '–'}")
            default = self._registry.default_shortcut(self._name)
            self.reset.setEnabled(self._registry.shortcut(self._name) != default)
            self.reset.setToolTip(self.tr("Back to {0}").format(default.toString(QKeySequence.SequenceFormat.NativeText) or "–"))
            self.remove.setEnabled(not self._registry.shortcut(self._name).isEmpty())


class ShortcutDialog(QDialog):
    """The sheet in a window of its own."""

    def __init__(self, registry: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Keyboard shortcuts"))
        self.resize(760, 700)
        self.sheet = ShortcutSheet(registry)
        heading = QLabel(self.tr("Keyboard shortcuts"))
        set_role(heading, "heading")
        note = QLabel(self.tr("They work while no text field has the focus."))
        set_role(note, "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(8)
        column.addWidget(heading)
        column.addWidget(note)
        column.addWidget(self.sheet, 1)
        self.sheet.search.setFocus()
