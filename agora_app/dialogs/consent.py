"""The note on footage of real people, shown once before the first of it is used; and the question before numbers leave."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QCheckBox, QDialog, QDialogButtonBox, QLabel, QMessageBox, QVBoxLayout, QWidget

from agora_app.settings.store import SettingsStore
from agora_app.theme import set_role


class ConsentDialog(QDialog):
    """Accepted only with the box ticked."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Before a real face is used"))
        self.setMinimumWidth(480)
        title = QLabel(self.tr("Use only footage you may use"))
        set_role(title, "heading")
        self.note = QLabel(self.tr(
            "A camera or a video shows a real person. Their movements will drive a synthetic head, which others may take for a "
            "recording. Use your own face, or that of people who agreed to this.\n\n"
            "The pictures are worked on here and sent nowhere. They are kept only where you record them."))
        self.note.setWordWrap(True)
        self.box = QCheckBox(self.tr("I have the right to use this footage"))
        self.buttons = QDialogButtonBox()
        self.accept_button = self.buttons.addButton(self.tr("Go on"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.decline_button = self.buttons.addButton(self.tr("Not now"), QDialogButtonBox.ButtonRole.RejectRole)
        self.decline_button.setToolTip(self.tr("Nothing real is used; the demo goes on"))
        self.accept_button.setDefault(True)
        set_role(self.accept_button, "primary")
        self.accept_button.setEnabled(False)
        self.accept_button.setToolTip(self.tr("Tick the box first"))
        self.box.toggled.connect(self.accept_button.setEnabled)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 20, 24, 16)
        column.setSpacing(12)
        for widget in (title, self.note, self.box, self.buttons):
            column.addWidget(widget)

    def accept(self) -> None:
        """Agree; nothing happens while the box is not ticked."""
        if self.box.isChecked():
            super().accept()


def require_consent(store: SettingsStore, parent: QWidget | None = None) -> bool:
    """Whether real people's footage may be used. Asks until it was agreed to once, never after."""
    if store.settings.application.consent:
        return True
    dialog = ConsentDialog(parent)
    agreed = dialog.exec() == QDialog.DialogCode.Accepted
    dialog.deleteLater()
    if agreed:
        store.change("application", consent=True)
    return agreed


def confirm_leaving(words: str, parent: QWidget | None = None) -> bool:
    """Ask, in the words of `OutputsModel.leaving_words`, whether numbers may be sent to another machine. No is the default."""
    translate = QCoreApplication.translate
    box = QMessageBox(QMessageBox.Icon.Question, translate("confirm_leaving", "Send to another machine?"), words,
                      QMessageBox.StandardButton.NoButton, parent)
    box.setTextFormat(Qt.TextFormat.PlainText)
    send = box.addButton(translate("confirm_leaving", "Send"), QMessageBox.ButtonRole.AcceptRole)
    stay = box.addButton(translate("confirm_leaving", "Do not send"), QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(stay)
    box.setEscapeButton(stay)
    box.exec()
    agreed = box.clickedButton() is send
    box.deleteLater()
    return agreed
