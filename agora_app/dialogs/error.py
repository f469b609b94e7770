"""Faults in words: what happened, what to do, details to copy; and the hooks through which faults get here."""

from __future__ import annotations

import logging
import platform
import sys
import threading
import time
import traceback
from collections.abc import Callable
from types import TracebackType

from PySide6.QtCore import QObject, Qt, QUrl, Signal, qVersion
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (
    QApplication,
    QDialog,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.icons import icon, keep_icon
from agora_app.log import shorten_home
from agora_app.notifications import ToastStack
from agora_app.settings.paths import log_folder
from agora_app.theme import set_role
from core.errors import AgoraError
from core.version import VERSION

log = logging.getLogger(__name__)
QUIET_SECONDS = 10.0  # in which the same fault is counted and not shown again


class ErrorDialog(QDialog):
    """Says what happened and what can be done. `show_error` never stacks two of them.

    Args:
        title: a few words.
        what_happened, what_to_do: for the user; the latter may be empty.
        details: for whoever mends it; hidden at first, without the name of the home folder when copied.
    """

    def __init__(self, title: str, what_happened: str, what_to_do: str, details: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(title)
        self.setMinimumWidth(460)
        self._what, self._further = what_happened, 0
        self._report = shorten_home(f"{title}\n{what_happened}\n{what_to_do}\n\n{details}\n\n{surroundings()}")
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 20, 20, 16)
        column.setSpacing(12)
        column.addLayout(self._words(title, what_happened, what_to_do))
        self.details = QPlainTextEdit(shorten_home(details))
        self.details.setReadOnly(True)
        self.details.setAccessibleName(self.tr("Details"))
        self.details.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.details.setMinimumHeight(180)
        self.details.hide()
        column.addWidget(self.details, 1)
        column.addLayout(self._buttons())
        self.details_button.setEnabled(bool(details))
        self.close_button.setFocus()

    @classmethod
    def show_error(cls, title: str, what_happened: str, what_to_do: str = "", details: str = "",
                   parent: QWidget | None = None) -> ErrorDialog | None:
        """Show a dialog and return it; while one is open, a toast says it instead, and the open dialog counts it."""
        windows = QApplication.topLevelWidgets()
        shown = next((widget for widget in windows if isinstance(widget, cls) and widget.isVisible()), None)
        if shown is None:
            dialog = cls(title, what_happened, what_to_do, details, parent)
            dialog.open()
            return dialog
        shown.count_further()
        toasts = parent.window().findChild(ToastStack) if parent is not None else None
        if toasts is not None:
            toasts.show_toast(f"{title}\n{what_happened}", "error")
        return None

    def count_further(self) -> None:
        """Something else went wrong while this one is open."""
        self._further += 1
        words = self.tr("One more problem since then; the log has it.") if self._further == 1 else self.tr(
            "{0} more problems since then; the log has them.").format(self._further)
        self.further.setText(words)
        self.further.show()

    def copy_details(self) -> None:
        """Put everything on the clipboard, for a report."""
        QGuiApplication.clipboard().setText(self._report)
        self.copy_button.setText(self.tr("Copied"))

    def open_log(self) -> None:
        """Show the log files in the system's file manager."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_folder())))

    def _words(self, title: str, what_happened: str, what_to_do: str) -> QHBoxLayout:
        sign = QLabel()
        sign.setPixmap(icon("mdi6.alert-circle-outline", "bad").pixmap(36, 36))
        heading = QLabel(title)
        set_role(heading, "heading")
        self.what_happened, self.what_to_do, self.further = QLabel(what_happened), QLabel(what_to_do), QLabel()
        set_role(self.further, "muted")
        words = QVBoxLayout()
        words.setSpacing(8)
        for label in (heading, self.what_happened, self.what_to_do, self.further):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            label.setVisible(bool(label.text()))
            words.addWidget(label)
        row = QHBoxLayout()
        row.setSpacing(16)
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        return row

    def _buttons(self) -> QHBoxLayout:
        self.details_button = QToolButton()
        self.details_button.setText(self.tr("Details"))
        self.details_button.setCheckable(True)
        self.details_button.setToolTip(self.tr("Show what a developer wants to know"))
        self.details_button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.details_button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        keep_icon(self.details_button, "mdi6.code-braces")
        set_role(self.details_button, "flat")
        self.details_button.toggled.connect(self._show_details)
        self.copy_button = QPushButton(self.tr("Copy details"))
        self.copy_button.setToolTip(self.tr("Copy everything, to send it to somebody"))
        self.copy_button.clicked.connect(self.copy_details)
        self.log_button = QPushButton(self.tr("Open log"))
        self.log_button.setToolTip(self.tr("Open the folder of the log files"))
        self.log_button.clicked.connect(self.open_log)
        self.close_button = QPushButton(self.tr("Close"))
        self.close_button.setDefault(True)
        self.close_button.clicked.connect(self.close)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.details_button)
        row.addStretch(1)
        for button in (self.log_button, self.copy_button, self.close_button):
            row.addWidget(button)
        return row

    def _show_details(self, on: bool) -> None:
        self.details.setVisible(on)
        self.resize(620 if on else self.minimumWidth(), self.sizeHint().height())


def surroundings() -> str:
    """What a report says about the machine, in one line."""
    return f"AGORA live {VERSION} · Python {platform.python_version()} · Qt {qVersion()} · {platform.platform()}"


class FaultCounter:
    """Decides which faults are shown: the same one again within some seconds is only counted."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple, tuple[float, int]] = {}

    def note(self, error: BaseException) -> int:
        """0 when it shall not be shown now, else how often it has come since it was last shown, this time included."""
        place = traceback.extract_tb(error.__traceback__)[-1:]
        key = (type(error), str(error), *((frame.filename, frame.lineno) for frame in place))
        shown_at, silent = self._seen.get(key, (None, 0))
        now = self._clock()
        if shown_at is not None and now - shown_at < QUIET_SECONDS:
            self._seen[key] = (shown_at, silent + 1)
            return 0
        self._seen[key] = (now, 0)
        return silent + 1


class _Hooks(QObject):
    """Brings faults of any thread to the GUI's."""

    _fault = Signal(str, str)

    def __init__(self, show: Callable[[str, str], object], clock: Callable[[], float]) -> None:
        super().__init__(QApplication.instance())
        self._show = show
        self._counter = FaultCounter(clock)
        self._lock = threading.Lock()
        self._fault.connect(self._on_fault, Qt.ConnectionType.QueuedConnection)

    def report(self, kind: type[BaseException], error: BaseException | None, trace: TracebackType | None,
               where: str = "") -> None:
        """Note a fault and show it, unless it was shown just now. Any thread."""
        if not issubclass(kind, Exception):  # Ctrl-C and the like
            if issubclass(kind, KeyboardInterrupt):
                sys.__excepthook__(kind, error, trace)
            return
        error = error if error is not None else kind()
        log.critical("%s%s: %s", f"in {where}: " if where else "", kind.__name__, error, exc_info=(kind, error, trace))
        with self._lock:
            times = self._counter.note(error)
        if times:
            details = "".join(traceback.format_exception(kind, error, trace))
            self._fault.emit(_in_words(error, times), f"{f'in {where}' if where else ''}{details}")

    def _on_fault(self, what: str, details: str) -> None:
        try:
            self._show(what, details)
        except Exception:  # a fault while a fault is shown would go round for ever
            log.exception("a fault cannot be shown")


def install_exception_hook(show: Callable[[str, str], object], clock: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Bring every exception that nobody caught to the user.

    Args:
        show: called in the GUI's thread with what happened, in words, and the details. What Python meets while it tidies up
            (`sys.unraisablehook`) is only logged: nothing the user did has failed then.
        clock: seconds.

    Returns:
        Call it to put the former hooks back.
    """
    hooks = _Hooks(show, clock)
    former = sys.excepthook, threading.excepthook, sys.unraisablehook
    sys.excepthook = hooks.report
    threading.excepthook = lambda args: hooks.report(args.exc_type, args.exc_value, args.exc_traceback,
                                                     args.thread.name if args.thread else "")
    sys.unraisablehook = _log_unraisable

    def uninstall() -> None:
        sys.excepthook, threading.excepthook, sys.unraisablehook = former
        hooks.deleteLater()

    return uninstall


def _log_unraisable(args) -> None:
    log.error("%s: %s", args.err_msg or "ignored", args.exc_value,
              exc_info=(args.exc_type, args.exc_value, args.exc_traceback) if args.exc_value is not None else None)


def _in_words(error: BaseException, times: int) -> str:
    if isinstance(error, AgoraError):
        text = f"{error.message}\n{error.hint}" if error.hint else error.message
    else:
        first = str(error).strip().splitlines()[:1]
        text = f"{type(error).__name__}: {first[0]}" if first else type(error).__name__
    return f"{text} (×{times})" if times > 1 else text
