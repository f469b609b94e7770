"""Keeps global shortcuts away from controls that need the key themselves: text fields all of it, buttons and lists some."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QTextEdit,
    QWidget,
)

_Key = Qt.Key
_FOCUS_KEYS = frozenset({_Key.Key_Tab, _Key.Key_Backtab})
_PRESS_KEYS = frozenset({_Key.Key_Space, _Key.Key_Return, _Key.Key_Enter, _Key.Key_Select})
_MOVE_KEYS = frozenset({_Key.Key_Left, _Key.Key_Right, _Key.Key_Up, _Key.Key_Down, _Key.Key_Home, _Key.Key_End,
                        _Key.Key_PageUp, _Key.Key_PageDown})
_OWNED = (
    (QAbstractSlider, _MOVE_KEYS | _FOCUS_KEYS),
    (QAbstractButton, _PRESS_KEYS | _FOCUS_KEYS),
    (QAbstractItemView, _MOVE_KEYS | _PRESS_KEYS | _FOCUS_KEYS | {_Key.Key_Delete, _Key.Key_F2}),
    (QComboBox, _MOVE_KEYS | _PRESS_KEYS | _FOCUS_KEYS | {_Key.Key_F4}),
    (QTabBar, _MOVE_KEYS | _PRESS_KEYS | _FOCUS_KEYS),
)
_COMMANDS = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier


class KeyGuard(QObject):
    """Watches the widget that has the focus, and no other: a filter over the whole application would see every event of it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._watched: QWidget | None = None
        app = QApplication.instance()
        app.focusChanged.connect(self._on_focus)
        self._on_focus(None, app.focusWidget())

    def _on_focus(self, _old: QWidget | None, now: QWidget | None) -> None:
        if self._watched is not None:
            self._watched.removeEventFilter(self)
            self._watched.destroyed.disconnect(self._forget)
        self._watched = now
        if now is not None:
            now.installEventFilter(self)
            now.destroyed.connect(self._forget)

    def _forget(self) -> None:
        self._watched = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        # Qt asks the focused widget first: whoever accepts this event gets the key press in place of a shortcut.
        if event.type() == QEvent.Type.ShortcutOverride and owns_key(watched, event):
            event.accept()
            return True
        return False


def owns_key(widget: QObject, event: QKeyEvent) -> bool:
    """Whether a focused widget needs a key press for itself."""
    if event.modifiers() & _COMMANDS:
        return False
    if _takes_text(widget):
        # Function keys do nothing in a text field; Esc is the window's own.
        return not _Key.Key_F1 <= event.key() <= _Key.Key_F35 and event.key() != _Key.Key_Escape
    return any(isinstance(widget, kind) and event.key() in keys for kind, keys in _OWNED)


def _takes_text(widget: QObject) -> bool:
    if isinstance(widget, (QLineEdit, QTextEdit, QPlainTextEdit)):
        return not widget.isReadOnly()
    return isinstance(widget, QAbstractSpinBox) or (isinstance(widget, QComboBox) and widget.isEditable())
