"""The log view: what the program has noted, filtered, to be copied or saved."""

from __future__ import annotations

import logging
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableView,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.icons import keep_icon
from agora_app.log import LEVEL, LEVELS, MESSAGE, TIME, WHERE, LogFilter, LogModel
from agora_app.settings.paths import log_folder
from agora_app.theme import set_role
from core.assets import write_atomically

log = logging.getLogger(__name__)
WIDE = 560  # pixels from which on the column of loggers is shown


class LogDock(QWidget):
    """Shows a `LogModel`. New lines scroll into view as long as the newest one was in view."""

    def __init__(self, log_model: LogModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = log_model
        self.filter = LogFilter(log_model, self)
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(8)
        column.addLayout(self._filters())
        column.addWidget(self._table(), 1)
        column.addLayout(self._buttons())
        self._at_end = True
        self.filter.rowsAboutToBeInserted.connect(self._remember_end)
        self.filter.rowsInserted.connect(self._keep_end)
        self._set_level()
        self.table.scrollToBottom()

    def _filters(self) -> QHBoxLayout:
        self.level = QComboBox()
        for level in LEVELS:
            self.level.addItem(self._model.level_name(level), level)
        self.level.setCurrentIndex(LEVELS.index(logging.INFO))
        self.level.setAccessibleName(self.tr("Least level"))
        self.level.setToolTip(self.tr("Show lines of this level and above"))
        self.level.currentIndexChanged.connect(self._set_level)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("Filter"))
        self.search.setAccessibleName(self.tr("Filter by text"))
        self.search.setToolTip(self.tr("Show lines that contain this text"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self.filter.set_text)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.level)
        row.addWidget(self.search, 1)
        return row

    def _table(self) -> QTableView:
        self.table = _Table(self.copy)
        self.table.setModel(self.filter)
        self.table.setAccessibleName(self.tr("Log"))
        header = self.table.horizontalHeader()
        for section in (TIME, LEVEL, WHERE):
            header.setSectionResizeMode(section, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(MESSAGE, QHeaderView.ResizeMode.Stretch)
        header.setResizeContentsPrecision(20)
        header.setMinimumSectionSize(48)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setHighlightSections(False)
        return self.table

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self.copy_button = _button("mdi6.content-copy", self.tr("Copy"),
                                   self.tr("Copy the selected lines, or all that are shown"), self.copy)
        self.save_button = _button("mdi6.content-save-outline", self.tr("Save…"), self.tr("Save the lines that are shown"),
                                   self.ask_save)
        self.folder_button = _button("mdi6.folder-open-outline", "", self.tr("Open the folder of the log files"),
                                     self.open_folder)
        self.clear_button = _button("mdi6.broom", "", self.tr("Empty this view; the log file keeps everything"),
                                    self._model.clear)
        for button in (self.copy_button, self.save_button, self.folder_button, self.clear_button):
            row.addWidget(button)
        row.insertStretch(2, 1)
        return row

    # ----------------------------------------------------------------------------------------------------------- actions

    def shown_text(self) -> str:
        """The selected lines as text, all that are shown when none is selected."""
        rows = sorted({index.row() for index in self.table.selectionModel().selectedRows()}) or range(self.filter.rowCount())
        return self._model.text([self.filter.mapToSource(self.filter.index(row, 0)).row() for row in rows])

    def copy(self) -> None:
        """Put the lines on the clipboard."""
        QGuiApplication.clipboard().setText(self.shown_text())

    def ask_save(self) -> None:
        """Ask for a file and save the lines."""
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Save the log"), str(Path.home() / "agora-log.txt"),
                                              self.tr("Text (*.txt)"))
        if path:
            self.save(Path(path))

    def save(self, path: Path) -> bool:
        """Save the lines; what goes wrong is noted, and so shown here. Returns whether it worked."""
        try:
            write_atomically(path, f"{self.shown_text()}\n".encode())
        except OSError as error:
            log.error("the log cannot be saved as %s: %s", path, error.strerror or error)
            return False
        return True

    def open_folder(self) -> None:
        """Show the log files in the system's file manager."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(log_folder())))

    # ------------------------------------------------------------------------------------------------------------ inside

    def resizeEvent(self, event) -> None:
        super().resizeEvent(event)
        self.table.setColumnHidden(WHERE, self.width() < WIDE)
        self.table.setColumnHidden(LEVEL, self.width() < WIDE // 2)

    def _set_level(self) -> None:
        self.filter.set_level(self.level.currentData())

    def _remember_end(self) -> None:
        bar = self.table.verticalScrollBar()
        self._at_end = bar.value() >= bar.maximum() - 2

    def _keep_end(self) -> None:
        if self._at_end:
            self.table.scrollToBottom()


def _button(icon: str, text: str, tip: str, slot) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setAccessibleName(text or tip)
    if text:
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
    button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    keep_icon(button, icon)
    set_role(button, "flat")
    button.clicked.connect(lambda _checked=False: slot())
    return button


class _Table(QTableView):
    """Whole lines, no grid; Ctrl+C copies them through the dock."""

    def __init__(self, copy) -> None:
        super().__init__()
        self._copy = copy
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        rows = self.verticalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self._copy()
        else:
            super().keyPressEvent(event)
