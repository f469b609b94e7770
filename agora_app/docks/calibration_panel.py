"""The part of the tracking dock that leads through a calibration."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from agora_app.docks.phase_ring import PhaseRing
from agora_app.models.calibration import CalibrationModel
from agora_app.models.calibration_words import Step
from agora_app.theme import set_role
from core.tracking.guided_calibration import Phase

_FACES = {Phase.REST: "rest", Phase.OPEN: "open", Phase.SMILE: "smile", Phase.SHUT: "shut", Phase.BROWS: "brows",
          Phase.COMPUTING: "rest", Phase.DONE: "done", Phase.FAILED: "failed"}
_ROLES = {Phase.DONE: "ok", Phase.FAILED: "bad"}


class CalibrationPanel(QFrame):
    """A face in a ring, what to do in large letters, why it waits, and the buttons that belong to it."""

    def __init__(self, model: CalibrationModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        set_role(self, "card")
        self.ring = PhaseRing()
        self.count = _line("muted")
        self.title = _line("heading")
        self.instruction = _line("muted")
        self.waiting = _line()
        self.outcome = _line()
        self.skip = QPushButton(self.tr("Skip this"))
        self.skip.setToolTip(self.tr("Go on without this step"))
        self.skip.clicked.connect(model.skip)
        self.again = QPushButton(self.tr("Try again"))
        self.again.setToolTip(self.tr("Start the calibration anew"))
        self.again.clicked.connect(self._start_again)
        self.finish = QPushButton()
        self.finish.clicked.connect(model.cancel)
        self._with_range = False
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(6)
        for widget in (self.count, self.ring, self.title, self.instruction, self.waiting, self.outcome):
            column.addWidget(widget)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        for button in (self.skip, self.again, self.finish):
            buttons.addWidget(button, 1)
        column.addSpacing(4)
        column.addLayout(buttons)
        model.phase_changed.connect(self.show_step)
        model.progress.connect(self.ring.set_progress)
        self.show_step(model.step)

    def start(self, with_range: bool) -> None:
        """Begin, and remember how, for another try."""
        self._with_range = with_range
        self._model.start(with_range)

    def show_step(self, step: Step | None) -> None:
        """Show a phase; nothing at all with None."""
        self.setVisible(step is not None)
        if step is None:
            return
        over = step.phase.is_over
        self.ring.show_face(_FACES.get(step.phase, "rest"), _ROLES.get(step.phase, "warn" if step.waiting_for else "accent"),
                            busy=step.phase is Phase.COMPUTING)
        self.ring.set_progress(step.progress if step.phase is not Phase.FAILED else 1.0)
        self.title.setText(step.title)
        self.instruction.setText(step.instruction)
        self.count.setText(self.tr("Step {0} of {1}").format(step.step, step.steps))
        self.count.setVisible(step.steps > 1 and not over and step.phase is not Phase.COMPUTING)
        running = not over and step.phase is not Phase.COMPUTING
        self.waiting.setText(f"<b>{step.waiting_for}</b>" if step.waiting_for else "")
        self.waiting.setVisible(running)  # its line stays, so that nothing jumps while reasons come and go
        self.outcome.setText(self._outcome(step))
        self.outcome.setVisible(step.phase is Phase.DONE)
        self.skip.setVisible(step.can_skip)
        self.again.setVisible(step.phase in (Phase.FAILED, Phase.DONE))
        self.again.setText(self.tr("Try again") if step.phase is Phase.FAILED else self.tr("Once more"))
        self.finish.setText(self.tr("Done") if step.phase is Phase.DONE else self.tr("Close") if over else self.tr("Cancel"))
        self.finish.setToolTip(self.tr("Close this") if over else self.tr("Stop and keep everything as it was"))
        set_role(self.finish, *(["primary"] if step.phase is Phase.DONE else []))
        self.finish.setProperty("primary", step.phase is Phase.DONE)
        self.finish.style().unpolish(self.finish)
        self.finish.style().polish(self.finish)

    def _outcome(self, step: Step) -> str:
        lines = []
        if step.name:
            lines.append(self.tr("Saved as <b>{0}</b>").format(step.name.replace("&", "&amp;").replace("<", "&lt;")))
        if step.after:
            after = f"{100 * step.after:.1f} %"
            lines.append(self.tr("Fit error {0}, before {1}").format(after, f"{100 * step.before:.1f} %") if step.before
                         else self.tr("Fit error {0}").format(after))
        return "<br>".join(lines)

    def _start_again(self) -> None:
        self.start(self._with_range)


def _line(*roles: str) -> QLabel:
    label = QLabel()
    label.setAlignment(Qt.AlignmentFlag.AlignCenter)
    label.setWordWrap(True)
    set_role(label, *roles)
    return label
