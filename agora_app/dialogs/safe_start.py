"""After a run that did not end properly: start as usual, or in safe mode."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from agora_app.sentinel import SafeStart
from agora_app.theme import set_role


class SafeStartDialog(QDialog):
    """Accepted for safe mode; closing it starts as usual.

    Args:
        safe: what is known of the run before.
    """

    def __init__(self, safe: SafeStart, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("AGORA live"))
        self.setMinimumWidth(480)
        title = QLabel(self.tr("AGORA live did not shut down properly"))
        set_role(title, "heading")
        words = QLabel(self.tr(
            "Your settings are kept, and an unfinished recording is offered for repair.\n\n"
            "If it closed by itself, try safe mode: the processor draws instead of the graphics card, and the virtual camera "
            "stays off. It holds for this start only."))
        words.setWordWrap(True)
        self.buttons = QDialogButtonBox()
        role = QDialogButtonBox.ButtonRole
        self.normal = self.buttons.addButton(self.tr("Start as usual"), role.RejectRole)
        self.safe = self.buttons.addButton(self.tr("Start in safe mode"), role.AcceptRole)
        self.log = self.buttons.addButton(self.tr("Open the log"), role.HelpRole)
        self.normal.setDefault(True)
        set_role(self.normal, "primary")
        self.log.setEnabled(safe.last_log.is_file())
        self.log.setToolTip(str(safe.last_log))
        self.log.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(safe.last_log))))
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(12)
        for widget in (title, words, self.buttons):
            column.addWidget(widget)


def ask_safe_mode(safe: SafeStart, parent: QWidget | None = None) -> bool:
    """Whether to start in safe mode."""
    dialog = SafeStartDialog(safe, parent)
    chosen = dialog.exec() == QDialog.DialogCode.Accepted
    dialog.deleteLater()
    return chosen
