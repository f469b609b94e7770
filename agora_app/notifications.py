"""What is said without stopping anybody: a banner for what lasts, toasts for what passes."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, Qt, QTimer, Signal
from PySide6.QtGui import QAccessible, QAccessibleEvent, QMouseEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from agora_app.icons import icon, keep_icon
from agora_app.theme import set_role, theme

KINDS = {"info": ("mdi6.information-outline", "accent"), "warn": ("mdi6.alert-outline", "warn"),
         "error": ("mdi6.alert-circle-outline", "bad")}
TOAST_MS = {"info": 4000, "warn": 6000, "error": 8000}  # time to read what is less expected
TOAST_WIDTH, TOAST_MARGIN, MOST_TOASTS = 340, 14, 4
_ICON_SIZE = 20


class Banner(QFrame):
    """One line across the window about a state that lasts; hidden as long as there is nothing to say.

    Signals:
        closed: the user closed it.
    """

    closed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind, self._slot = "info", None
        self._sign = QLabel()
        self._text = QLabel()
        self._text.setWordWrap(True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)
        self.action_button = QPushButton()
        self.action_button.clicked.connect(self._act)
        self.close_button = _close_button(self.tr("Close this message"), self._on_close)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 8, 6)
        row.setSpacing(10)
        for widget, stretch in ((self._sign, 0), (self._text, 1), (self.action_button, 0), (self.close_button, 0)):
            row.addWidget(widget, stretch)
        theme().changed.connect(self._show_sign)
        self.hide()

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def text(self) -> str:
        return self._text.text()

    def show_banner(self, kind: str, text: str, action: str = "", slot: Callable[[], object] | None = None) -> None:
        """Say something until it is closed or replaced.

        Args:
            kind: "info", "warn" or "error".
            text: what is said.
            action, slot: words of a button, and what it does; the banner stays.
        """
        self._kind, self._slot = kind, slot
        _set_kind(self, kind, "banner")
        self._show_sign()
        self._text.setText(text)
        self.action_button.setText(action)
        self.action_button.setVisible(bool(action))
        self.setAccessibleName(text)
        self.show()
        _announce(self)

    def hide_banner(self) -> None:
        """There is nothing to say any more."""
        self.hide()

    def _act(self) -> None:
        if self._slot is not None:
            self._slot()

    def _on_close(self) -> None:
        self.hide()
        self.closed.emit()

    def _show_sign(self) -> None:
        self._sign.setPixmap(icon(*KINDS[self._kind]).pixmap(_ICON_SIZE, _ICON_SIZE))


class ToastStack(QWidget):
    """Short messages in the lower right corner of a widget; they go by themselves, but not while the mouse rests on them."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        parent.installEventFilter(self)
        self.hide()

    def show_toast(self, text: str, kind: str = "info") -> None:
        """Say something for some seconds. The same words again only count up; the oldest gives way when there are too many."""
        same = next((toast for toast in self.toasts() if (toast.text, toast.kind) == (text, kind)), None)
        if same is not None:
            same.count_up()
            self._place()
            return
        for toast in self.toasts()[: max(0, len(self.toasts()) - MOST_TOASTS + 1)]:
            self._remove(toast)
        toast = Toast(text, kind, self)
        toast.finished.connect(lambda: self._remove(toast))
        self._column.addWidget(toast)
        toast.show()
        self._place()  # first: a stack that appears elsewhere may appear under the mouse
        self.show()
        if self.underMouse():
            toast.pause()

    def toasts(self) -> list[Toast]:
        """Those on show, the oldest first."""
        items = (self._column.itemAt(i).widget() for i in range(self._column.count()))
        return [item for item in items if isinstance(item, Toast)]

    def texts(self) -> list[str]:
        """What is said at the moment."""
        return [toast.text for toast in self.toasts()]

    def enterEvent(self, event) -> None:
        for toast in self.toasts():
            toast.pause()

    def leaveEvent(self, event) -> None:
        for toast in self.toasts():
            toast.go_on()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return False

    def _remove(self, toast: Toast) -> None:
        self._column.removeWidget(toast)
        toast.stop()
        toast.hide()
        toast.deleteLater()
        self.setVisible(self._column.count() > 0)
        self._place()

    def _place(self) -> None:
        parent = self.parentWidget()
        width = min(TOAST_WIDTH, parent.width() - 2 * TOAST_MARGIN)
        if width <= 0:
            return
        for toast in self.toasts():
            toast.setFixedWidth(width)
        self._column.activate()
        height = min(self._column.totalHeightForWidth(width) if self._column.hasHeightForWidth() else self.sizeHint().height(),
                     parent.height() - 2 * TOAST_MARGIN)
        self.setGeometry(parent.width() - width - TOAST_MARGIN, parent.height() - height - TOAST_MARGIN, width, height)
        self.raise_()


class Toast(QFrame):
    """One short message; a click sends it away.

    Signals:
        finished: it has been shown long enough, or the user has seen enough of it.
    """

    finished = Signal()

    def __init__(self, text: str, kind: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text, self.kind = text, kind
        self._count = 1
        _set_kind(self, kind, "toast")
        self._sign = QLabel()
        self._sign.setPixmap(icon(*KINDS[kind]).pixmap(_ICON_SIZE, _ICON_SIZE))
        self._words = QLabel(text)
        self._words.setWordWrap(True)
        self._words.setTextFormat(Qt.TextFormat.PlainText)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 9, 6, 9)
        row.setSpacing(10)
        row.addWidget(self._sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addWidget(self._words, 1)
        row.addWidget(_close_button(self.tr("Close this message"), self.finished.emit), 0, Qt.AlignmentFlag.AlignTop)
        self.setAccessibleName(text)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(TOAST_MS[kind])
        self._timer.timeout.connect(self.finished)
        self._timer.start()
        _announce(self)

    def count_up(self) -> None:
        """The same was said once more."""
        self._count += 1
        self._words.setText(f"{self.text} (×{self._count})")
        if self._timer.isActive():
            self._timer.start()

    def pause(self) -> None:
        self._timer.stop()

    def go_on(self) -> None:
        """Count from the beginning: whoever was reading gets the time to finish."""
        self._timer.start()

    def stop(self) -> None:
        self._timer.stop()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self.finished.emit()


def _close_button(words: str, slot: Callable[[], object]) -> QToolButton:
    button = QToolButton()
    keep_icon(button, "mdi6.close", "muted")
    button.setToolTip(words)
    button.setAccessibleName(words)
    button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    set_role(button, "flat")
    button.clicked.connect(lambda _checked=False: slot())
    return button


def _set_kind(frame: QFrame, kind: str, shape: str) -> None:
    frame.setProperty("notice", shape)
    frame.setProperty("kind", kind)
    frame.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
    frame.style().unpolish(frame)
    frame.style().polish(frame)


def _announce(widget: QWidget) -> None:
    """Let screen readers say it."""
    QAccessible.updateAccessibility(QAccessibleEvent(widget, QAccessible.Event.Alert))
