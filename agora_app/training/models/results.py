"""The steps of the wizard after a training: evaluate, extract blendshapes, install and drive."""

from __future__ import annotations

import logging
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from agora_app.children.answers import Problem, read_answer
from agora_app.models.pack_installer import PackInstaller
from agora_app.training.models.answers import DistillAnswer, EvaluationAnswer
from agora_app.training.models.model import TrainingModel
from agora_app.training.models.steps import Step
from core.errors import InputError
from core.run_folder import RunFolder

log = logging.getLogger(__name__)


class EvaluateStep(Step):
    """How good the training on show has become."""

    def __init__(self, model: TrainingModel, parent: QObject | None = None) -> None:
        super().__init__(model, parent)
        self._measured: Path | None = None
        self.answer: EvaluationAnswer | None = None

    @property
    def is_ready(self) -> bool:
        """One may go on without numbers, but not while they are made."""
        return not self.task.is_running

    def begin(self, again: bool = False) -> None:
        """Measure, unless that has been done; a report that is newer than the run's last word is taken as it is."""
        run = self.model.run
        if run is None or self.task.is_running or (not again and self._measured == run.path and self.answer is not None):
            return
        self._measured, self.answer = run.path, None
        if not again and (answer := _report(run.folder)) is not None:
            self.answer = answer
            self.changed.emit()
            return
        self._run(self.model.commands.evaluate(run.path, self.answer_file))

    def _on_done(self) -> None:
        self.answer = self._answer(EvaluationAnswer)
        self.changed.emit()


class BlendshapeStep(Step):
    """Extracts the blendshapes into a pack."""

    def __init__(self, model: TrainingModel, parent: QObject | None = None) -> None:
        super().__init__(model, parent)
        self._components = 0
        self.answer: DistillAnswer | None = None

    @property
    def pack(self) -> Path | None:
        """The pack of the training on show; None before there is one."""
        if self.task.is_running or self.model.run is None:
            return None
        pack = self.model.run.folder.pack
        return pack if pack.is_file() else None

    @property
    def made_components(self) -> int:
        """K of what was extracted here; 0 when nothing was."""
        return self._components if self.answer is not None else 0

    @property
    def is_ready(self) -> bool:
        return self.pack is not None

    def problem(self) -> Problem | None:
        """Why nothing can be extracted."""
        run = self.model.run
        if run is None or not run.has_result:
            return Problem("the training has left nothing to extract from", "let it run until its first checkpoint")
        return self.model.machine.folder_problem(run.path, 100_000_000)

    def extract(self) -> bool:
        """Make the pack. Returns whether that has begun."""
        if self.problem() is not None:
            return False
        run, self._components, self.answer = self.model.run, self.form.components, None
        return self._run(self.model.commands.distill(self.form, run.path, run.folder.pack, self.answer_file))

    def _on_done(self) -> None:
        self.answer = self._answer(DistillAnswer)
        if self.failure is None and self.pack is None:
            self.failure = Problem("no pack has come about", "try again; if it stays, look into the log")
        self.changed.emit()


class InstallStep(QObject):
    """Copies a pack to the user's packs, puts it into the gallery and lets it be driven.

    Signals:
        changed: it has begun, or failed.
        installed: its first person is on stage.
        cameras_changed: cameras have come or gone.

    Args:
        cast, source: the models of the live session.
    """

    changed = Signal()
    installed = Signal()
    cameras_changed = Signal()

    def __init__(self, model: TrainingModel, cast, source, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.model, self._source = model, source
        self._with_camera = False
        self._installer = PackInstaller(cast, self)
        self._installer.changed.connect(self.changed)
        self._installer.installed.connect(self._on_installed)
        source.cameras_changed.connect(self.cameras_changed)

    @property
    def failure(self) -> Problem | None:
        """Why it could not be installed; None when it could."""
        found = self._installer.failure
        return found and Problem(found.what, found.mend or "extract the blendshapes again")

    @property
    def is_done(self) -> bool:
        """Whether it is on stage."""
        return self._installer.is_done

    @property
    def has_camera(self) -> bool:
        """Whether there is one to drive with."""
        return bool(self._source.cameras)

    @property
    def is_busy(self) -> bool:
        return self._installer.is_busy

    def begin(self, pack: Path, with_camera: bool) -> None:
        """Install a pack.

        Args:
            with_camera: drive it with the camera, which the user has agreed to; else with the demo.
        """
        if not self.is_busy:
            self._with_camera = with_camera
            self._installer.install(pack, self.model.run.path.name if self.model.run else pack.stem)

    def close(self) -> None:
        self._installer.close()

    def _on_installed(self) -> None:
        if self._with_camera:
            self._source.choose_camera()
        elif self._source.kind not in ("video", "motion"):
            self._source.play_demo()
        self.installed.emit()


def _report(folder: RunFolder) -> EvaluationAnswer | None:
    """The report that lies in a run's folder, unless the training has gone on since."""
    try:
        newest = max((folder.snapshots, folder.checkpoints), key=lambda path: path.stat().st_mtime_ns if path.exists() else 0)
        if folder.report.stat().st_mtime_ns < newest.stat().st_mtime_ns:
            return None
        return read_answer(folder.report, EvaluationAnswer)
    except (OSError, InputError):
        return None
