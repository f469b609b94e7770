"""Pictures of each page of the training wizard, from a real training at the smallest scale; part of `screenshots`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from PySide6.QtWidgets import QWidget

from agora_app.app import Running
from agora_app.training.models.commands import TrainerCommands
from agora_app.training.wizard import TrainingWizard

PICTURES, SIZE = 200, "64"
_LONGEST = 1200.0  # seconds for any step


class TrainingPictures:
    """Goes through the wizard.

    Args:
        running: the program.
        grab: keeps a picture of a widget under a name.
        wait: processes events until a condition holds, some seconds at most.
        trainer: a program that answers the training commands; None for this one.
    """

    def __init__(self, running: Running, grab: Callable[[QWidget, str], None], wait: Callable[[Callable[[], bool], float], None],
                 trainer: Path | None) -> None:
        self._running, self._grab, self._wait = running, grab, wait
        self._model = running.services.training
        if trainer is not None:
            self._model.commands = TrainerCommands((sys.executable, str(trainer)))

    def take(self, theme: str) -> None:
        """Pictures of all eight pages; the last one ends with the new person on stage."""
        self._model.store.change("training", data_kind="synthetic", synthetic_count=PICTURES, synthetic_size=SIZE, recipe="ci",
                                 components=16)
        self._running.window.dialogs.new_training()
        wizard = self._wizard()
        _, check, recipe, budget, monitor, quality, blendshapes, stage = wizard.pages
        self._page(wizard, 1, theme, lambda: True)
        wizard.data.make()
        self._wait(lambda: wizard.data.is_ready, _LONGEST)
        self._next(wizard, check)
        self._page(wizard, 2, theme, lambda: wizard.check.is_ready)
        self._next(wizard, recipe)
        self._page(wizard, 3, theme, lambda: True)
        recipe.fold.setChecked(True)
        self._pause(0.3)
        recipe.scroll.verticalScrollBar().setValue(recipe.scroll.verticalScrollBar().maximum())
        self._page(wizard, 3, f"advanced_{theme}", lambda: True)
        self._next(wizard, budget)
        self._page(wizard, 4, theme, lambda: wizard.budget.is_ready)
        self._next(wizard, monitor)
        self._wait(lambda: len(monitor.samples.label.text()) == 0 and self._model.run.share > 0.4, _LONGEST)
        self._page(wizard, 5, theme, lambda: True)
        self._wait(monitor.isComplete, _LONGEST)
        self._page(wizard, 5, f"finished_{theme}", lambda: True)
        self._next(wizard, quality)
        self._page(wizard, 6, theme, lambda: wizard.evaluation.is_ready)
        self._next(wizard, blendshapes)
        blendshapes.step.extract()
        self._page(wizard, 7, theme, lambda: wizard.blendshapes.is_ready)
        self._next(wizard, stage)
        self._page(wizard, 8, theme, lambda: True)
        wizard.close()
        self._pause(0.3)

    def _wizard(self) -> TrainingWizard:
        return next(w for w in self._running.app.topLevelWidgets() if isinstance(w, TrainingWizard) and w.isVisible())

    def _next(self, wizard: TrainingWizard, page: QWidget) -> None:
        self._wait(lambda: wizard.currentPage().isComplete(), _LONGEST)
        wizard.next()
        if wizard.currentPage() is not page:
            raise RuntimeError(f"the page before {type(page).__name__} does not let go: {wizard.currentPage().heading.text()}")

    def _page(self, wizard: TrainingWizard, number: int, name: str, ready: Callable[[], bool]) -> None:
        self._wait(ready, _LONGEST)
        self._pause(0.8)
        self._grab(wizard, f"training_{number}_{name}")

    def _pause(self, seconds: float) -> None:
        self._wait(lambda: False, seconds)
