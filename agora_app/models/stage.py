"""Who is meant to be on stage, and the undoable change from one such state to the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtGui import QUndoCommand

STEPS_MERGE_SECONDS = 1.5  # rapid next/previous become one entry of the undo list
_STEP_ID = 1


@dataclass(frozen=True)
class Stage:
    """A wish or a fact about the stage.

    Attributes:
        shelf: key of the pack the people come from, "" for the studio.
        first, second: people by name; `second` may be empty.
        side_by_side: show both.
    """

    shelf: str = ""
    first: str = ""
    second: str = ""
    side_by_side: bool = False

    @property
    def people(self) -> tuple[str, ...]:
        """Those who can be seen."""
        return (self.first, self.second) if self.side_by_side and self.second else (self.first,)


def words_for_change(before: Stage, after: Stage) -> str:
    """A few words for the undo list."""
    if before.second and (after.first, after.second) == (before.second, before.first):
        return "swap people"
    if after.first != before.first or after.shelf != before.shelf:
        return f"mix {after.first}" if "+" in after.first else f"seed {after.first}"
    if after.second != before.second:
        return f"compare with {after.second}" if after.second else "one person"
    return "side by side" if after.side_by_side else "one person"


class StageChange(QUndoCommand):
    """A change that has already happened; undoing and redoing it is a wish like any other.

    Args:
        go: called with the state to go to.
        step: it was a next or previous.
        at: seconds of a monotonic clock at which the user asked for it.
    """

    def __init__(self, before: Stage, after: Stage, go: Callable[[Stage], None], step: bool, at: float) -> None:
        super().__init__(words_for_change(before, after))
        self.before, self.after, self.at = before, after, at
        self._go, self._step = go, step
        self._pushed = False

    def id(self) -> int:
        return _STEP_ID if self._step else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, StageChange) or other.at - self.at > STEPS_MERGE_SECONDS:
            return False
        self.after, self.at = other.after, other.at
        self.setText(words_for_change(self.before, self.after))
        return True

    def redo(self) -> None:
        if self._pushed:
            self._go(self.after)
        self._pushed = True

    def undo(self) -> None:
        self._go(self.before)
