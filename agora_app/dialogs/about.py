"""What this program is, what it is made of, under which licences, and what it asks of those who use it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPlainTextEdit,
    QStackedWidget,
    QTabWidget,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from agora_app import licences
from agora_app.theme import set_role


class AboutDialog(QDialog):
    """Two tabs: about, and licences.

    Args:
        renderer: what draws now, in words; empty when that is not known.
    """

    def __init__(self, parent: QWidget | None = None, renderer: str = "") -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("About AGORA live"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(720, 560)
        self.rows = licences.versions(renderer)
        self.tabs = QTabWidget()
        self.tabs.addTab(self._about(), self.tr("About"))
        self.licences = LicenceReader()
        self.tabs.addTab(self.licences, self.tr("Licences"))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.copy = buttons.addButton(self.tr("Copy versions"), QDialogButtonBox.ButtonRole.ActionRole)
        self.copy.setAutoDefault(False)
        self.copy.setToolTip(self.tr("Put the list of versions on the clipboard"))
        self.copy.clicked.connect(self._copy)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(12)
        column.addWidget(self.tabs)
        column.addWidget(buttons)

    def show_licences(self) -> None:
        """Turn to the licences."""
        self.tabs.setCurrentWidget(self.licences)

    def _about(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(16, 16, 16, 16)
        column.setSpacing(12)
        title = QLabel("AGORA live")
        set_role(title, "heading")
        purpose = _paragraph(self.tr("A face video drives a three-dimensional head, in real time, on this machine."))
        set_role(purpose, "muted")
        for widget in (title, purpose, self._versions(), self._notes()):
            column.addWidget(widget)
        column.addStretch(1)
        return page

    def _versions(self) -> QWidget:
        card = QFrame()
        set_role(card, "card")
        grid = QGridLayout(card)
        grid.setContentsMargins(16, 12, 16, 12)
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        for row, (name, version) in enumerate(self.rows):
            label, value = QLabel(name), _paragraph(version)
            set_role(label, "muted")
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            grid.addWidget(label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, row, 1)
        return card

    def _notes(self) -> QWidget:
        notes = [self.tr("The people are synthetic: they are built from seeds and resemble nobody on purpose. Film and use only "
                         "people who agreed, and say so when a picture might be taken for a real person; the label in the "
                         "recording settings does it for you."),
                 self.tr("Nothing leaves this machine unless you send it: no account, no upload, no counting of users.")]
        if licences.has_x264():
            notes.append(self.tr("The bundled FFmpeg includes the encoder x264, which is under the GPL: who hands on a bundle of "
                                 "this program with it has to follow that licence."))
        page = QWidget()
        column = QVBoxLayout(page)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for note in notes:
            column.addWidget(_paragraph(note))
        return page

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText("\n".join(f"{name}: {version}" for name, version in self.rows))


class LicenceReader(QWidget):
    """A list of texts and the chosen one beside it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._texts = licences.texts()
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Licences"))
        self.list.addItems([text.title for text in self._texts])
        self.list.setFixedWidth(190)
        self.browser, self.plain = QTextBrowser(), QPlainTextEdit()
        self.browser.setOpenExternalLinks(True)
        self.plain.setReadOnly(True)
        self.plain.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        for reader in (self.browser, self.plain):
            reader.setAccessibleName(self.tr("Text of the licence"))
        self.pages = QStackedWidget()
        self.pages.addWidget(self.browser)
        self.pages.addWidget(self.plain)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 12, 12, 12)
        row.setSpacing(12)
        row.addWidget(self.list)
        row.addWidget(self.pages, 1)
        self.list.currentRowChanged.connect(self._show)
        self.list.setCurrentRow(0)

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self.list.scheduleDelayedItemsLayout()  # the rows were measured before the style sheet was there

    def text(self) -> str:
        """What is shown."""
        return self.browser.toPlainText() if self.pages.currentWidget() is self.browser else self.plain.toPlainText()

    def _show(self, row: int) -> None:
        chosen = self._texts[row]
        if chosen.markdown:
            self.browser.setMarkdown(chosen.read())
            self.pages.setCurrentWidget(self.browser)
        else:
            self.plain.setPlainText(chosen.read())
            self.pages.setCurrentWidget(self.plain)


def _paragraph(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label
