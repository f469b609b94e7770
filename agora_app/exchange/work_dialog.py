"""What the dialogs of export and import have in common: a form, one command, its progress, and how it went."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QDialog, QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from agora_app.children.answers import Problem
from agora_app.children.task import ChildTask
from agora_app.findings import FindingCard, muted_wrapping, sentence
from agora_app.parts import muted
from agora_app.theme import set_role


class WorkDialog(QDialog):
    """A form above, progress and buttons below. Closing while the command runs cancels it first.

    Args:
        task: the command.
        heading, lead: at the top.
        start: words and tooltip of the button that begins.
    """

    def __init__(self, task: ChildTask, heading: str, lead: str, start: tuple[str, str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._task, self._start_tooltip = task, start[1]
        self._closing = False
        title = QLabel(heading)
        set_role(title, "heading")
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(24, 20, 24, 18)
        self.column.setSpacing(12)
        self.column.addWidget(title)
        self.column.addWidget(muted(lead))
        self.form = QWidget()
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(self.tr("Progress"))
        self.words = muted_wrapping("")
        self.words.setAccessibleName(self.tr("How it is going"))
        self.outcome = QVBoxLayout()
        self.outcome.setSpacing(6)
        self._outcome: tuple[Problem | str, ...] = ()
        self.start_button = self.button(start[0], start[1], self.begin)
        set_role(self.start_button, "primary")
        self.start_button.setDefault(True)
        self.close_button = self.button(self.tr("Close"), self.tr("Close this window"), self._close_or_cancel)
        self.buttons = QHBoxLayout()
        self.buttons.setSpacing(10)
        self.buttons.addWidget(self.words, 1)
        self.buttons.addWidget(self.close_button)
        self.buttons.addWidget(self.start_button)
        self.column.addWidget(self.form, 1)
        self.column.addLayout(self.outcome)
        self.column.addWidget(self.bar)
        self.column.addLayout(self.buttons)
        task.progressed.connect(self._on_progress)
        task.running_changed.connect(self._on_running)

    def begin(self) -> None:
        """Start the command."""
        raise NotImplementedError

    def end(self) -> None:
        """Stop now, because the program ends."""
        self._task.close()

    def button(self, words: str, tooltip: str, slot) -> QPushButton:
        """A button for the row below."""
        button = QPushButton(words, toolTip=tooltip)
        button.setAutoDefault(False)
        button.clicked.connect(lambda _checked=False: slot())
        return button

    def show_work(self, reason: str, outcome: Sequence[Problem | str] = (), busy: str = "") -> None:
        """Show whether it may begin, runs, or how it went.

        Args:
            reason: why it may not begin; empty when it may.
            outcome: how the last one went: problems, and sentences about what went well.
            busy: what is still being done after the command has ended.
        """
        running = self._task.is_running
        self.form.setEnabled(not running and not busy)
        self.start_button.setEnabled(not (running or busy or reason))
        self.start_button.setToolTip(reason or self._start_tooltip)
        self.close_button.setText(self.tr("Cancel") if running else self.tr("Close"))
        self.close_button.setToolTip(self.tr("End the work; nothing of it is kept") if running else self.tr("Close this window"))
        if not running:
            self.bar.setVisible(bool(busy))
            self.bar.setRange(0, 0)
            self.words.setText(busy or ("" if outcome else sentence(reason)))
        self._show_outcome(() if running or busy else tuple(outcome))

    def done(self, result: int) -> None:
        """Close; work under way is cancelled first, which takes a moment."""
        if self._task.is_running:
            self._closing = True
            self._cancel()
        else:
            super().done(result)

    # ------------------------------------------------------------------------------------------------------------ inside

    def _close_or_cancel(self) -> None:
        self._cancel() if self._task.is_running else self.reject()

    def _cancel(self) -> None:
        self._task.cancel()
        self.close_button.setEnabled(False)
        self.words.setText(self.tr("Cancelling…"))

    def _on_running(self) -> None:
        self.close_button.setEnabled(True)
        self.bar.setVisible(self._task.is_running)
        self.bar.setRange(0, 0)
        self.words.setText(self.tr("Starting…") if self._task.is_running else "")
        if self._closing and not self._task.is_running:
            super().done(QDialog.DialogCode.Rejected)

    def _on_progress(self, share: float, words: str) -> None:
        if not self.close_button.isEnabled():  # it is being cancelled
            return
        self.bar.setRange(0, 0 if share < 0 else 1000)
        if share >= 0:
            self.bar.setValue(round(1000 * share))
        self.words.setText(f"{words[:1].upper()}{words[1:]}")

    def _show_outcome(self, outcome: tuple[Problem | str, ...]) -> None:
        if outcome == self._outcome:
            return
        self._outcome = outcome
        while self.outcome.count():
            card = self.outcome.takeAt(0).widget()
            card.hide()
            card.deleteLater()
        for found in outcome:
            if isinstance(found, Problem):
                self.outcome.addWidget(FindingCard("blocking" if found.blocking else "warning", found.what, found.mend))
            else:
                self.outcome.addWidget(FindingCard("ok", found))
