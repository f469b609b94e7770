"""The doctor's findings as rows a person can read: a mark, the state in words, what was found, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from agora_app.background import Job
from agora_app.log import shorten_home
from agora_app.theme import current_colors, set_role, theme
from core.doctor import Check, Health, run_checks

_MARKS = {Health.OK: "✓", Health.LIMITED: "!", Health.BROKEN: "✗"}
_ROLES = {Health.OK: "ok", Health.LIMITED: "warn", Health.BROKEN: "bad"}
_TITLES = {"opencv": "OpenCV"}


class CheckPanel(QWidget):
    """Runs the checks in a thread and lists what they find. They never run twice at once.

    Signals:
        finished: (list of Check) the checks are over.

    Args:
        run: replaced in tests.
    """

    finished = Signal(object)

    def __init__(self, run: Callable[[], Sequence[Check]] = run_checks, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._run = run
        self.checks: tuple[Check, ...] = ()
        self.rows: list[CheckRow] = []
        self._job = Job("doctor", self)
        self._job.done.connect(self._show)
        self._job.failed.connect(self._on_failed)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.busy = QProgressBar()
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedHeight(4)
        self.busy.setAccessibleName(self.tr("Checks are running"))
        self._list = QWidget()
        self._column = QVBoxLayout(self._list)
        self._column.setContentsMargins(0, 0, 8, 0)
        self._column.setSpacing(6)
        self._column.addStretch(1)
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll.setAccessibleName(self.tr("Findings"))
        self.scroll.setWidget(self._list)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        for widget in (self.summary, self.busy, self.scroll):
            column.addWidget(widget)

    @property
    def is_running(self) -> bool:
        """Whether checks are under way."""
        return self._job.is_running

    def refresh(self) -> bool:
        """Run the checks. Returns False while they are running already."""
        if not self._job.run(self._run):
            return False
        self.summary.setText(self.tr("Looking at this machine…"))
        self.busy.show()
        return True

    def stop(self) -> None:
        """Let nobody hear of checks under way."""
        self._job.cancel()

    def wait(self, seconds: float) -> bool:
        """Wait for the checks' thread. Returns whether it has ended."""
        return self._job.wait(seconds)

    def _show(self, checks: Sequence[Check]) -> None:
        self.checks = tuple(checks)
        for row in self.rows:
            self._column.removeWidget(row)
            row.deleteLater()
        worst_first = sorted(self.checks, key=lambda check: list(Health).index(check.health), reverse=True)
        self.rows = [CheckRow(check) for check in worst_first]
        for place, row in enumerate(self.rows):
            self._column.insertWidget(place, row)
        self.busy.hide()
        self.summary.setText(self._summary())
        self.finished.emit(list(self.checks))

    def _summary(self) -> str:
        broken = [check.name for check in self.checks if check.health is Health.BROKEN]
        limited = [check.name for check in self.checks if check.health is Health.LIMITED]
        if broken:
            return self.tr("Something is broken: {0}. The steps below mend it.").format(", ".join(broken))
        if limited:
            return self.tr("Everything that is needed works. With limits: {0}.").format(", ".join(limited))
        return self.tr("Everything works.")

    def _on_failed(self, error: Exception) -> None:
        self.busy.hide()
        self.summary.setText(self.tr("The checks themselves failed: {0}").format(error))
        self.finished.emit([])


class CheckRow(QFrame):
    """One finding."""

    def __init__(self, check: Check, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.check = check
        set_role(self, "card")
        grid = QGridLayout(self)
        grid.setContentsMargins(12, 8, 12, 8)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(2)
        self.mark = QLabel(_MARKS[check.health])
        self.mark.setFixedWidth(20)
        font = self.mark.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.25)
        self.mark.setFont(font)
        self.name = QLabel(_TITLES.get(check.name, check.name[:1].upper() + check.name[1:]))
        bold = self.name.font()
        bold.setBold(True)
        self.name.setFont(bold)
        self.state = QLabel(self.words(check.health))
        self.detail = _wrapping(shorten_home(check.detail))
        set_role(self.detail, "muted")
        grid.addWidget(self.mark, 0, 0, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter)
        grid.addWidget(self.name, 0, 1)
        grid.addWidget(self.state, 0, 2, Qt.AlignmentFlag.AlignRight)
        grid.addWidget(self.detail, 1, 1, 1, 2)
        grid.setColumnStretch(1, 1)
        self.copy: QPushButton | None = None
        if check.mend:
            self._add_mend(grid, check.mend)
        self._paint()
        theme().changed.connect(self._paint)
        self.setAccessibleName(f"{check.name}: {self.state.text()}. {check.detail}")

    @staticmethod
    def words(health: Health) -> str:
        """A state as a word."""
        return {Health.OK: QCoreApplication.translate("CheckRow", "works"),
                Health.LIMITED: QCoreApplication.translate("CheckRow", "limited"),
                Health.BROKEN: QCoreApplication.translate("CheckRow", "broken")}[health]

    def _add_mend(self, grid: QGridLayout, mend: str) -> None:
        command = _wrapping(mend)
        command.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.copy = QPushButton(self.tr("Copy"))
        self.copy.setToolTip(self.tr("Copy the mending step"))
        self.copy.setAccessibleName(self.tr("Copy the mending step for {0}").format(self.check.name))
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(mend))
        grid.addWidget(QLabel(self.tr("To mend it:")), 2, 1, 1, 2)
        grid.addWidget(command, 3, 1)
        grid.addWidget(self.copy, 3, 2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)

    def _paint(self) -> None:
        """The mark and the word say the same without their colour."""
        colour = getattr(current_colors(), _ROLES[self.check.health]).name()
        for label in (self.mark, self.state):
            label.setStyleSheet(f"color: {colour};")


def _wrapping(text: str) -> QLabel:
    """A label that can break long paths: an invisible space after each separator lets it."""
    label = QLabel(text.replace("/", "/\u200b").replace("\\", "\\\u200b"))
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    return label
