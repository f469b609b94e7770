"""The commands of the window as Qt actions: menus, tool bar, shortcuts that can be changed."""

from __future__ import annotations

import logging
from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence
from PySide6.QtWidgets import QMenu, QMenuBar, QToolBar, QWidget

from agora_app.action_table import ACTIONS, CONTEXT, MENUS, TOOL_BAR_ORDER, ActionSpec
from agora_app.icons import keep_icon
from agora_app.key_guard import KeyGuard
from agora_app.settings.store import SettingsStore

log = logging.getLogger(__name__)
_PORTABLE, _NATIVE = QKeySequence.SequenceFormat.PortableText, QKeySequence.SequenceFormat.NativeText
_CONTEXTS = {"window": Qt.ShortcutContext.WindowShortcut, "application": Qt.ShortcutContext.ApplicationShortcut}


class ActionRegistry(QObject):
    """Makes every action of the table once. An action that nothing is connected to is disabled.

    Signals:
        shortcuts_changed: some key sequences are different now.

    Args:
        parent: the window in which the shortcuts work.
        store: where key sequences that differ from the defaults are kept.
    """

    shortcuts_changed = Signal()

    def __init__(self, parent: QWidget, store: SettingsStore, specs: tuple[ActionSpec, ...] = ACTIONS) -> None:
        super().__init__(parent)
        self.specs = specs
        self._store = store
        self._specs = {spec.id: spec for spec in specs}
        self._actions = {spec.id: self._make(spec, parent) for spec in specs}
        self._menus: dict[str, QMenu] = {}
        self._tool_bars: list[QToolBar] = []
        self._guard = KeyGuard(self)
        self._apply_shortcuts()
        store.changed.connect(self._on_settings)

    # ------------------------------------------------------------------------------------------------------------ access

    def action(self, name: str) -> QAction:
        """The action of an id. Raises KeyError."""
        return self._actions[name]

    def spec(self, name: str) -> ActionSpec:
        """The row of the table. Raises KeyError."""
        return self._specs[name]

    def title(self, name: str) -> str:
        """What the user calls the action, translated, without an ellipsis."""
        return translated(self._specs[name].text).rstrip("…")

    def connect(self, name: str, slot: Callable[[], object]) -> None:
        """Call `slot`, without arguments, when the action is triggered, and enable it."""
        action = self._actions[name]
        action.triggered.connect(lambda _checked=False: slot())
        action.setEnabled(True)

    def connected(self) -> list[ActionSpec]:
        """Rows whose action can be triggered now, in the order of the table."""
        return [spec for spec in self.specs if not spec.submenu and self._actions[spec.id].isEnabled()]

    def submenu(self, name: str) -> QMenu:
        """The menu of an action that opens one; to be filled by whoever knows its entries. Empty, it is disabled."""
        menu = self._actions[name].menu()
        if menu is None:
            menu = QMenu(self.parent())
            self._actions[name].setMenu(menu)
        return menu

    def fill_submenu(self, name: str, entries: list[tuple[str, Callable[[], object]]]) -> None:
        """Replace the entries of such a menu: each a text and what to call."""
        menu = self.submenu(name)
        menu.clear()
        for text, slot in entries:
            menu.addAction(text.replace("&", "&&")).triggered.connect(lambda _checked=False, slot=slot: slot())
        self._actions[name].setEnabled(bool(entries))

    # ---------------------------------------------------------------------------------------------------------- building

    def build_menu_bar(self, menu_bar: QMenuBar) -> None:
        """Fill a menu bar with the menus of the table."""
        for title in MENUS:
            self._menus[title] = menu_bar.addMenu("&" + translated(title))
        for spec in self.specs:
            menu = self._menu_of(spec.menu)
            if spec.separator:
                menu.addSeparator()
            if spec.submenu:
                self.submenu(spec.id)
            menu.addAction(self._actions[spec.id])

    def build_tool_bar(self, tool_bar: QToolBar) -> None:
        """Fill a tool bar; its text beside icons follows the settings."""
        tool_bar.setMovable(False)
        tool_bar.toggleViewAction().setEnabled(False)
        for name in TOOL_BAR_ORDER:
            if not name:
                tool_bar.addSeparator()
            elif name in self._actions:
                tool_bar.addAction(self._actions[name])
        self._tool_bars.append(tool_bar)
        self._show_tool_bars()

    def _menu_of(self, path: str) -> QMenu:
        if path not in self._menus:
            parent, _, title = path.rpartition("/")
            self._menus[path] = self._menu_of(parent).addMenu(translated(title))
        return self._menus[path]

    # --------------------------------------------------------------------------------------------------------- shortcuts

    def shortcut(self, name: str) -> QKeySequence:
        """The key sequence in force."""
        return self._actions[name].shortcut()

    def shortcut_text(self, name: str) -> str:
        """The key sequence in force as it is written on this system, empty for none."""
        return self.shortcut(name).toString(_NATIVE)

    def default_shortcut(self, name: str) -> QKeySequence:
        """The key sequence of the table."""
        return QKeySequence(self._specs[name].key, _PORTABLE)

    def conflicts(self, name: str, sequence: QKeySequence | str) -> list[str]:
        """Ids of other actions that could not be told from this one if it had this sequence."""
        wanted = _sequence(sequence)
        return [other for other in self._actions if other != name and _collide(wanted, self.shortcut(other))]

    def set_shortcut(self, name: str, sequence: QKeySequence | str) -> None:
        """Give an action a key sequence, and take it from those that have it (see `conflicts`); empty for none."""
        wanted = _sequence(sequence)
        chosen = dict(self._store.settings.shortcuts)
        for other in self.conflicts(name, wanted):
            chosen[other] = ""
        chosen[name] = wanted.toString(_PORTABLE)
        self._keep(chosen)

    def reset_shortcut(self, name: str) -> None:
        """Back to the default; whoever else has that key loses it."""
        self.set_shortcut(name, self.default_shortcut(name))

    def reset_shortcuts(self) -> None:
        """Back to all defaults."""
        self._keep({})

    def _keep(self, chosen: dict[str, str]) -> None:
        """Store what differs from the defaults; the signal of the store applies it."""
        self._store.set_shortcuts({name: text for name, text in chosen.items()
                                   if name in self._specs and _sequence(text) != self.default_shortcut(name)})

    def _apply_shortcuts(self) -> None:
        chosen = self._store.settings.shortcuts
        for name in self._actions:
            self._actions[name].setShortcut(QKeySequence())
        # What the user chose comes first: a default gives way to it, as it does when a key is chosen.
        for name in sorted(self._actions, key=lambda name: name not in chosen):
            sequence = _sequence(chosen[name]) if name in chosen else self.default_shortcut(name)
            holders = self.conflicts(name, sequence)
            if holders:
                log.info("%s has no shortcut: %s belongs to %s", name, sequence.toString(_PORTABLE), ", ".join(holders))
                continue
            self._actions[name].setShortcut(sequence)
        for name in self._actions:
            self._describe(name)

    # ------------------------------------------------------------------------------------------------------------ inside

    def _make(self, spec: ActionSpec, parent: QWidget) -> QAction:
        action = QAction(translated(spec.text), parent)
        action.setObjectName(spec.id)
        action.setIconText(translated(spec.short or spec.text).rstrip("…"))
        action.setCheckable(spec.checkable)
        action.setShortcutContext(_CONTEXTS[spec.context])
        action.setEnabled(False)
        if spec.id == "file.quit":
            action.setMenuRole(QAction.MenuRole.QuitRole)
        elif spec.id == "edit.preferences":
            action.setMenuRole(QAction.MenuRole.PreferencesRole)
        elif spec.id == "help.about":
            action.setMenuRole(QAction.MenuRole.AboutRole)
        else:
            action.setMenuRole(QAction.MenuRole.NoRole)
        if spec.icon:
            keep_icon(action, spec.icon, "bad" if spec.id == "record.toggle" else "text")
        action.setIconVisibleInMenu(not spec.checkable)  # its place in a menu is the tick's
        parent.addAction(action)  # the shortcut works where menu and tool bar are hidden
        return action

    def _describe(self, name: str) -> None:
        spec, keys = self._specs[name], self.shortcut_text(name)
        words = translated(spec.tooltip) if spec.tooltip else self.title(name)
        self._actions[name].setToolTip(f"{words} ({keys})" if keys else words)

    def _on_settings(self, section: str) -> None:
        if section == "shortcuts":
            self._apply_shortcuts()
            self.shortcuts_changed.emit()
        elif section == "appearance":
            self._show_tool_bars()

    def _show_tool_bars(self) -> None:
        with_text = self._store.settings.appearance.toolbar_text
        style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon if with_text else Qt.ToolButtonStyle.ToolButtonIconOnly
        for tool_bar in self._tool_bars:
            tool_bar.setToolButtonStyle(style)


def translated(text: str) -> str:
    """A text of the table in the user's language."""
    return QCoreApplication.translate(CONTEXT, text)


def _sequence(value: QKeySequence | str) -> QKeySequence:
    return value if isinstance(value, QKeySequence) else QKeySequence(value, _PORTABLE)


def _collide(one: QKeySequence, other: QKeySequence) -> bool:
    """Whether they are the same, or one begins with the other."""
    if one.isEmpty() or other.isEmpty():
        return False
    none = QKeySequence.SequenceMatch.NoMatch
    return one.matches(other) != none or other.matches(one) != none
