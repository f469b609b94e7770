"""What works on this machine and how to mend what does not, in a window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QFileDialog, QLabel, QVBoxLayout, QWidget

from agora_app.check_panel import CheckPanel
from agora_app.theme import set_role
from core.commands.report import check_json_output, write_json
from core.doctor import Check, run_checks
from core.errors import AgoraError
from core.version import VERSION


class DoctorDialog(QDialog):
    """Runs the checks when it opens. Closing it while they run is safe.

    Args:
        run: the checks; replaced in tests.
    """

    def __init__(self, parent: QWidget | None = None, run: Callable[[], Sequence[Check]] = run_checks) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Doctor"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(640, 620)
        self.panel = CheckPanel(run, self)
        self.panel.finished.connect(self._on_finished)
        self.note = QLabel(self.tr("The report names this machine's versions and folders. It goes nowhere by itself."))
        self.note.setWordWrap(True)
        set_role(self.note, "muted")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        role = QDialogButtonBox.ButtonRole.ActionRole
        self.refresh = self.buttons.addButton(self.tr("Check again"), role)
        self.copy = self.buttons.addButton(self.tr("Copy report"), role)
        self.save = self.buttons.addButton(self.tr("Save report…"), role)
        self.refresh.setToolTip(self.tr("Look at this machine once more"))
        self.copy.setToolTip(self.tr("Put the report on the clipboard, as text"))
        self.save.setToolTip(self.tr("Write the report to a JSON file"))
        self.refresh.clicked.connect(self._check)
        self.copy.clicked.connect(self._copy)
        self.save.clicked.connect(self._ask_and_save)
        for button in (self.refresh, self.copy, self.save):
            button.setAutoDefault(False)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addWidget(self.panel, 1)
        column.addWidget(self.note)
        column.addWidget(self.buttons)
        self._check()

    def report(self) -> str:
        """The findings as text."""
        lines = [f"AGORA live {VERSION}"]
        for check in self.panel.checks:
            lines.append(f"{check.health.value:>8}  {check.name}: {check.detail}")
            if check.mend:
                lines.append(f"{'':>8}  to mend: {check.mend}")
        return "\n".join(lines)

    def save_report(self, path: Path) -> None:
        """Write the findings as the command `doctor --json` does. Raises OutputError."""
        check_json_output(path)
        write_json(path, {"checks": [asdict(check) | {"health": check.health.value} for check in self.panel.checks]})

    def done(self, result: int) -> None:
        self.panel.stop()
        super().done(result)

    def _check(self) -> None:
        if self.panel.refresh():
            self.refresh.setEnabled(False)
            self.copy.setEnabled(False)
            self.save.setEnabled(False)

    def _on_finished(self, checks: list[Check]) -> None:
        self.refresh.setEnabled(True)
        self.copy.setEnabled(bool(checks))
        self.save.setEnabled(bool(checks))

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.report())
        self.note.setText(self.tr("The report is on the clipboard."))

    def _ask_and_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, self.tr("Save report"), str(Path.home() / "agora-doctor.json"),
                                              self.tr("Reports (*.json)"))
        if not path:
            return
        try:
            self.save_report(Path(path))
        except AgoraError as error:
            self.note.setText(str(error))
        else:
            self.note.setText(self.tr("Saved {0}").format(path))
