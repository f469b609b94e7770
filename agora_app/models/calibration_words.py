"""What a calibration says to the user, phase by phase."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject

from core.tracking.drift import Drift
from core.tracking.guided_calibration import Guidance, Phase, Waiting


@dataclass(frozen=True)
class Step:
    """One phase in words.

    Attributes:
        title: what it is about.
        instruction: what to do.
        progress: 0..1.
        waiting_for: why it does not go on; empty while it does.
        step, steps: number of the step among those the user takes part in.
        can_skip: the step may be passed over.
        name: under which the result was saved; empty when it was not.
        before, after: fit error over the resting face with the old and with the new calibration, 0 when not known.
    """

    phase: Phase
    title: str
    instruction: str
    progress: float = 0.0
    waiting_for: str = ""
    step: int = 1
    steps: int = 1
    can_skip: bool = False
    name: str = ""
    before: float = 0.0
    after: float = 0.0


class Words(QObject):
    """Puts guidance into words of the user's language."""

    def step(self, guidance: Guidance, name: str = "", before: float = 0.0, after: float = 0.0) -> Step:
        """A phase in words; the last three are those of a finished calibration."""
        title, instruction = self._phase(guidance)
        skips = guidance.phase in (Phase.OPEN, Phase.SMILE, Phase.SHUT, Phase.BROWS)
        return Step(guidance.phase, title, instruction, guidance.progress, self._waiting(guidance), guidance.step, guidance.steps,
                    skips, name, before, after)

    def drift(self, drift: Drift) -> str:
        """The hint that a calibration no longer fits."""
        if drift is Drift.REST:
            return self.tr("Your resting face reads differently than when you calibrated. Recalibrate with Shift+X.")
        return self.tr("The calibration no longer fits. Recalibrate with Shift+X.")

    def _phase(self, guidance: Guidance) -> tuple[str, str]:
        return {
            Phase.REST: (self.tr("Relax your face"),
                         self.tr("Look straight ahead, lips closed, and hold still for a moment.")),
            Phase.OPEN: (self.tr("Open your mouth wide"), self.tr("As wide as is comfortable, and hold it.")),
            Phase.SMILE: (self.tr("Smile"), self.tr("A broad smile, teeth or not, and hold it.")),
            Phase.SHUT: (self.tr("Close your eyes"), self.tr("Gently, for about a second.")),
            Phase.BROWS: (self.tr("Raise your brows"), self.tr("As if surprised, and hold it.")),
            Phase.COMPUTING: (self.tr("Working it out"), self.tr("You may move again. This takes a few seconds.")),
            Phase.DONE: (self.tr("Calibrated"), self.tr("The avatar now rests when you do.")),
            Phase.FAILED: (self.tr("That did not work"), self._reason(guidance.reason)),
            Phase.CANCELLED: (self.tr("Cancelled"), ""),
        }[guidance.phase]

    def _reason(self, reason: str) -> str:
        return reason[:1].upper() + reason[1:] + "." if reason else self.tr("No steady face was seen.")

    def _waiting(self, guidance: Guidance) -> str:
        more = {Phase.OPEN: self.tr("Open wider"), Phase.SMILE: self.tr("Smile more"), Phase.SHUT: self.tr("Close both eyes"),
                Phase.BROWS: self.tr("Raise them higher")}
        return {
            Waiting.NOTHING: "",
            Waiting.NO_FACE: self.tr("No face in sight"),
            Waiting.TURN: self.tr("Turn toward the camera"),
            Waiting.CLOSER: self.tr("Come closer"),
            Waiting.STILL: self.tr("Hold still"),
            Waiting.DARK: self.tr("Too dark: turn on a light in front of you"),
            Waiting.MORE: more.get(guidance.phase, ""),
        }[guidance.waiting]
