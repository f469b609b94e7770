"""Pictures of the training wizard and of the trained person on stage, from a real training; part of `screenshots`."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtWidgets import QWidget

from agora_app.app import Running
from agora_app.training.models.commands import TrainerCommands
from agora_app.training.wizard import TrainingWizard
from core.assets import data_folder
from core.run_folder import RunFolder, RunState

PICTURES, SIZE = 200, "64"  # of the dataset that is made where none is given
EXTRACTION = {"components": 32, "identities": 12, "expressions": 40}
HASTE = ("--epochs", "20", "--people", "6")
_LONGEST = 1800.0  # seconds for any step


@dataclass(frozen=True)
class Material:
    """What the pictures are taken of.

    Attributes:
        trainer: a program that answers the training commands; None for this one.
        dataset: is copied and shown; None: a tiny one is made.
        run: a training on it, under way or over, of which all but the checkpoints is copied and shown; None: the smallest
            recipe is trained.
    """

    trainer: Path | None = None
    dataset: Path | None = None
    run: Path | None = None


class TrainingPictures:
    """Goes through the wizard once; every page is kept in every theme.

    Args:
        running: the program; its folders are for these pictures alone.
        grab: keeps a picture of a widget under a name.
        wait: processes events until a condition holds, some seconds at most.
    """

    def __init__(self, running: Running, grab: Callable[[QWidget, str], None], wait: Callable[[Callable[[], bool], float], None],
                 material: Material, themes: tuple[str, ...]) -> None:
        self._running, self._grab, self._wait, self._material, self._themes = running, grab, wait, material, themes
        self._model = running.services.training
        program = {} if material.trainer is None else {"program": (sys.executable, str(material.trainer))}
        self._model.commands = TrainerCommands(**program, distill_words=HASTE)

    def take(self) -> None:
        """Pictures of all eight pages, and of the window when the new person is on stage."""
        self._running.services.session.set_paused(True)  # all processors for the training
        self._running.window.dialogs.new_training()
        wizard = self._wizard()
        self._data(wizard)
        self._choices(wizard)
        self._training(wizard)
        self._results(wizard)

    def _data(self, wizard: TrainingWizard) -> None:
        self._page(wizard, 1)
        if self._material.dataset is not None:
            shutil.copytree(self._material.dataset, wizard.data.dataset)
            wizard.data.changed.emit()
        else:
            self._model.store.change("training", synthetic_count=PICTURES, synthetic_size=SIZE)
            wizard.data.make()
        self._until(lambda: wizard.data.is_ready, wizard.data)

    def _choices(self, wizard: TrainingWizard) -> None:
        _, check, recipe, budget, *_ = wizard.pages
        self._model.store.change("training", recipe="desktop" if self._material.dataset is not None else "ci")
        self._next(wizard, check)
        self._until(lambda: wizard.check.is_ready, wizard.check)
        self._page(wizard, 2)
        self._next(wizard, recipe)
        self._page(wizard, 3)
        recipe.fold.setChecked(True)
        self._pause(0.3)
        recipe.scroll.verticalScrollBar().setValue(recipe.scroll.verticalScrollBar().maximum())
        self._page(wizard, 3, "_advanced")
        self._next(wizard, budget)
        self._until(lambda: wizard.budget.is_ready, wizard.budget)
        self._page(wizard, 4)

    def _training(self, wizard: TrainingWizard) -> None:
        monitor = wizard.run_page
        if self._material.run is None:
            self._next(wizard, monitor)
            self._wait(lambda: monitor.samples.shown is not None and self._model.run.share > 0.4, _LONGEST)
        else:
            folder = self._model.new_run_folder()
            shutil.copytree(self._material.run, folder, ignore=shutil.ignore_patterns("checkpoints", "control.json"))
            self._speak_for(RunFolder(folder), RunState.RUNNING)
            self._model.open(folder)
            wizard.show_monitor()
        if self._model.is_active:
            self._page(wizard, 5)
        if self._material.run is not None:
            self._speak_for(self._model.run.folder, RunState.STOPPED)
        self._wait(lambda: not self._model.is_active, _LONGEST)
        self._page(wizard, 5, "_over")

    def _speak_for(self, folder: RunFolder, state: RunState) -> None:
        """The copy of a run that was not over yet has no process of its own: this one says what it does."""
        status = folder.status()
        if status is not None and not status.state.is_final:
            folder.write_status(replace(status, state=state, message="", pid=0, host="", birth="", updated=""))

    def _results(self, wizard: TrainingWizard) -> None:
        *_, quality, blendshapes, stage = wizard.pages
        self._model.store.change("training", **EXTRACTION)
        self._next(wizard, quality)
        self._until(lambda: wizard.evaluation.answer is not None, wizard.evaluation)
        self._page(wizard, 6)
        self._next(wizard, blendshapes)
        wizard.blendshapes.extract()
        self._until(lambda: wizard.blendshapes.is_ready, wizard.blendshapes)
        self._page(wizard, 7)
        self._next(wizard, stage)
        self._page(wizard, 8)
        cast, packs = self._running.services.cast, data_folder() / "packs"
        wizard.install.begin(wizard.blendshapes.pack, with_camera=False)
        self._wait(lambda: cast.stage.shelf.startswith(str(packs)), _LONGEST)
        self._running.services.session.set_paused(False)
        self._pause(4)
        for theme in self._each_theme():
            self._grab(self._running.window, f"training_live_{theme}")

    def _wizard(self) -> TrainingWizard:
        return next(w for w in self._running.app.topLevelWidgets() if isinstance(w, TrainingWizard) and w.isVisible())

    def _next(self, wizard: TrainingWizard, page: QWidget) -> None:
        self._wait(lambda: wizard.currentPage().isComplete(), _LONGEST)
        wizard.next()
        if wizard.currentPage() is not page:
            raise RuntimeError(f"the page before {type(page).__name__} does not let go: {wizard.currentPage().heading.text()}")

    def _until(self, ready: Callable[[], bool], step) -> None:
        """Wait for a step. Raises RuntimeError when it fails."""
        self._wait(lambda: ready() or step.failure is not None, _LONGEST)
        if not ready():
            raise RuntimeError(f"{type(step).__name__}: {step.failure or 'not ready in time'}")

    def _page(self, wizard: TrainingWizard, number: int, what: str = "") -> None:
        for theme in self._each_theme():
            self._grab(wizard, f"training_{number}{what}_{theme}")

    def _each_theme(self):
        for theme in self._themes:
            self._model.store.change("appearance", theme=theme)
            self._pause(0.8)
            yield theme

    def _pause(self, seconds: float) -> None:
        self._wait(lambda: False, seconds)
