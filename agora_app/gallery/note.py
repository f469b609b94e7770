"""A small window over a tile in which a note is written."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from agora_app.theme import set_role


class NotePopup(QFrame):
    """Edits one line about a person. Enter keeps it, Esc or a click elsewhere leaves the old one.

    Signals:
        kept: (person, text).
    """

    kept = Signal(str, str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self._person = ""
        set_role(self, "card")
        self.title = QLabel()
        self.edit = QLineEdit(placeholderText=self.tr("What you want to remember"), maxLength=2000)
        self.edit.setAccessibleName(self.tr("Note"))
        self.edit.setMinimumWidth(230)
        self.edit.returnPressed.connect(self._keep)
        self.keep_button = QPushButton(self.tr("Keep"), toolTip=self.tr("Keep the note (Enter)"))
        set_role(self.keep_button, "primary")
        self.keep_button.clicked.connect(self._keep)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.edit, 1)
        row.addWidget(self.keep_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 10, 12, 12)
        column.setSpacing(6)
        column.addWidget(self.title)
        column.addLayout(row)

    def ask(self, person: str, name: str, text: str, where: QPoint) -> None:
        """Show the note of a person at a global position."""
        self._person = person
        self.title.setText(self.tr("Note on {0}").format(name))
        self.edit.setText(text)
        self.adjustSize()
        self.move(where)
        self.show()
        self.edit.setFocus()
        self.edit.selectAll()

    def _keep(self) -> None:
        self.hide()
        self.kept.emit(self._person, self.edit.text())
