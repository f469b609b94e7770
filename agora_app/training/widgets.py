"""Small parts of the training wizard: a bar for work under way, rows of the form."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from agora_app.children.task import ChildTask
from agora_app.fields import FieldRow, FieldSpec, fields_of
from agora_app.findings import muted_wrapping
from agora_app.settings.model import Training
from agora_app.settings.store import SettingsStore
from agora_app.theme import set_role


class TaskBar(QWidget):
    """The one button of a step, how far its work is, and what it says.

    Signals:
        wanted: the button was pressed while nothing runs.

    Args:
        task: what is shown; it is cancelled with the same button.
    """

    wanted = Signal()

    def __init__(self, task: ChildTask, start: str, tooltip: str) -> None:
        super().__init__()
        self._task, self._start_text, self._start_tooltip = task, start, tooltip
        self._can_start = True
        self.button = QPushButton()
        self.button.setAutoDefault(False)
        self.button.clicked.connect(self._on_button)
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(self.tr("Progress"))
        self.words = muted_wrapping("")
        row = QHBoxLayout()
        row.setSpacing(12)
        row.addWidget(self.button)
        row.addWidget(self.bar, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.words)
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        task.running_changed.connect(self.show_state)
        task.progressed.connect(self._on_progress)
        self.show_state()

    def set_start(self, text: str, can_start: bool) -> None:
        """Words of the button, and whether the work may begin."""
        self._start_text, self._can_start = text, can_start
        self.show_state()

    def show_state(self) -> None:
        running = self._task.is_running
        self.button.setText(self.tr("Stop") if running else self._start_text)
        self.button.setToolTip(self.tr("Stop this step") if running else self._start_tooltip)
        self.button.setEnabled(running or self._can_start)
        self.bar.setVisible(running)
        if running:
            self.bar.setRange(0, 0)
            self.words.setText("")
        self.words.setVisible(running)

    def _on_button(self) -> None:
        if self._task.is_running:
            self.button.setEnabled(False)
            self._task.cancel()
        else:
            self.wanted.emit()

    def _on_progress(self, share: float, words: str) -> None:
        self.bar.setRange(0, 0 if share < 0 else 1000)
        if share >= 0:
            self.bar.setValue(round(1000 * share))
        self.words.setText(words)


class FormCard(QFrame):
    """Settings of the training form, one below the other."""

    def __init__(self, store: SettingsStore, names: Sequence[str]) -> None:
        super().__init__()
        set_role(self, "card")
        specs = {spec.name: spec for spec in fields_of("training", Training)}
        self.rows = {name: FieldRow(store, specs[name]) for name in names}
        column = QVBoxLayout(self)
        column.setContentsMargins(1, 1, 1, 1)
        column.setSpacing(0)
        for place, row in enumerate(self.rows.values()):
            row.setProperty("setting", True)
            row.setProperty("first", place == 0)
            column.addWidget(row)
        store.changed.connect(self._on_settings)

    def _on_settings(self, section: str) -> None:
        if section == "training":
            for row in self.rows.values():
                row.show_value()


def field(name: str) -> FieldSpec:
    """The field of the training form with a name."""
    return next(spec for spec in fields_of("training", Training) if spec.name == name)
