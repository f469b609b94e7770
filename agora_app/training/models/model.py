"""Everything the window knows about trainings: the form, the list of runs, and the one that is looked at."""

from __future__ import annotations

import logging
from datetime import date
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from agora_app.children.launcher import Launcher
from agora_app.settings.model import Training
from agora_app.settings.store import SettingsStore
from agora_app.training.models.commands import TrainerCommands
from agora_app.training.models.machine import Machine
from agora_app.training.models.registry import KnownRun, TrainingRegistry
from agora_app.training.models.run_model import RunModel
from core.assets import data_folder
from core.run_folder import RunFolder

log = logging.getLogger(__name__)


class TrainingModel(QObject):
    """Starts trainings, finds those that run, and holds the one on show.

    Signals:
        run_changed: another training is on show, or the one on show is in another condition.
        ended: (RunModel) the training on show was under way and is over.
        failed: (what, hint) something could not be started or written.

    Args:
        commands, machine, registry: replaced in tests.
    """

    run_changed = Signal()
    ended = Signal(object)
    failed = Signal(str, str)

    def __init__(self, store: SettingsStore, parent: QObject | None = None, *, commands: TrainerCommands | None = None,
                 machine: Machine | None = None, registry: TrainingRegistry | None = None) -> None:
        super().__init__(parent)
        self.store = store
        self.commands, self.machine = commands or TrainerCommands(), machine or Machine()
        self.registry = registry or TrainingRegistry()
        self.run: RunModel | None = None
        newest = self.registry.runs()[:1]
        active = [run for run in self.registry.runs() if RunFolder(run.folder).is_alive()]
        for known in (active or newest)[:1]:
            self.open(Path(known.folder))

    @property
    def form(self) -> Training:
        """What the user has chosen."""
        return self.store.settings.training

    @property
    def is_active(self) -> bool:
        """Whether the training on show is under way."""
        return self.run is not None and self.run.is_active

    @property
    def runs_folder(self) -> Path:
        """Where new runs go."""
        return Path(self.form.runs_folder).expanduser() if self.form.runs_folder else data_folder() / "trainings"

    def new_run_folder(self) -> Path:
        """A folder for the next run that nothing is in yet, named after recipe and day."""
        form = self.form
        name = f"{Path(form.recipe_file).stem if form.recipe == 'file' else form.recipe}-{date.today().isoformat()}"
        names = [name, *(f"{name}-{number}" for number in range(2, 1000))]
        return next(folder for name in names if not (folder := self.runs_folder / name).exists())

    def start(self, dataset: Path) -> bool:
        """Start a training with the form as it is. Returns whether its process has been started."""
        folder = self.new_run_folder()
        command = self.commands.train(self.form, dataset, folder)
        return self._launch(KnownRun(folder=str(folder), dataset=str(dataset), recipe=self.form.recipe, command=tuple(command)))

    def resume(self) -> bool:
        """Go on with the training on show from its last checkpoint. Returns whether its process has been started."""
        if self.run is None or not self.run.can_resume:
            return False
        known = self.registry.find(self.run.path)
        if known is None or not known.command:
            self.failed.emit("It is not known how this training was started", "start it with main.py train … --resume")
            return False
        return self._launch(known.model_copy(update={"command": tuple(self.commands.resume(list(known.command)))}))

    def open(self, folder: Path) -> RunModel:
        """Look at a training, whoever has started it."""
        if self.run is None or self.run.path != folder:
            self._show(RunModel(folder, parent=self))
        return self.run

    def close(self) -> None:
        """Look no more; a training goes on."""
        if self.run is not None:
            self.run.close()

    def _launch(self, known: KnownRun) -> bool:
        launcher, folder = Launcher(), Path(known.folder)
        left = RunFolder(folder).status()
        try:
            launcher.start(list(known.command), folder)
            self.registry.add(known)
        except OSError as error:
            log.warning("the training cannot be started: %s", error)
            self.failed.emit(f"The training cannot be started: {error.strerror or error}", f"look at {folder}")
            return False
        self._show(RunModel(folder, launcher, self, left_behind=left))
        return True

    def _show(self, run: RunModel) -> None:
        former, self.run = self.run, run
        if former is not None:
            former.close()
            former.deleteLater()
        run.changed.connect(self.run_changed)
        run.ended.connect(lambda: self.ended.emit(run))
        run.failed.connect(self.failed)
        self.run_changed.emit()
