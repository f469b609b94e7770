"""The steps of the wizard after a training: evaluate, extract blendshapes, install and drive."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from agora_app.background import Job
from agora_app.training.models.answers import DistillAnswer, EvaluationAnswer, Problem, read_answer
from agora_app.training.models.model import TrainingModel
from agora_app.training.models.steps import Step
from core.assets import data_folder
from core.errors import AgoraError, InputError
from core.run_folder import RunFolder

log = logging.getLogger(__name__)
_PATIENCE_MS = 600_000  # for the first person of a new pack to be on stage: they are built in the background, at ease


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

    Attributes:
        failure: why it could not be installed; None when it could.
        is_done: it is on stage.
    """

    changed = Signal()
    installed = Signal()
    cameras_changed = Signal()

    def __init__(self, model: TrainingModel, cast, source, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.model, self._cast, self._source = model, cast, source
        self.failure: Problem | None = None
        self.is_done = False
        self._key, self._with_camera = "", False
        self._job = Job("install pack", self)
        self._job.done.connect(self._on_copied)
        self._job.failed.connect(lambda error: self._fail(_words(error), "make room, then try again"))
        self._patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._patience.timeout.connect(lambda: self._fail("nobody of the pack has come on stage", "look into the log"))
        source.cameras_changed.connect(self.cameras_changed)
        cast.cast_changed.connect(self._on_cast)
        cast.failed.connect(self._on_cast_failed)
        cast.build_failed.connect(lambda _person, why: self._on_cast_failed(why, ""))

    @property
    def has_camera(self) -> bool:
        """Whether there is one to drive with."""
        return bool(self._source.cameras)

    @property
    def is_busy(self) -> bool:
        return self._job.is_running or bool(self._key)

    def begin(self, pack: Path, with_camera: bool) -> None:
        """Install a pack.

        Args:
            with_camera: drive it with the camera, which the user has agreed to; else with the demo.
        """
        if self.is_busy:
            return
        self.failure, self.is_done, self._with_camera = None, False, with_camera
        name = self.model.run.path.name if self.model.run else pack.stem
        self._job.run(lambda: _keep_copy(pack, name))
        self.changed.emit()

    def close(self) -> None:
        self._job.cancel()
        self._patience.stop()
        self._key = ""

    def _on_copied(self, copy: Path) -> None:
        self._key = str(copy.absolute())
        self._patience.start()
        self._cast.open_pack(copy)
        self._on_cast()

    def _on_cast(self) -> None:
        if self._key and self._cast.stage.shelf == self._key:
            self.close()
            self.is_done = True
            if self._with_camera:
                self._source.choose_camera()
            elif self._source.kind not in ("video", "motion"):
                self._source.play_demo()
            self.installed.emit()

    def _on_cast_failed(self, what: str, hint: str) -> None:
        if self._key:
            self._fail(what, hint)

    def _fail(self, what: str, hint: str) -> None:
        self.close()
        self.failure = Problem(what, hint or "extract the blendshapes again")
        self.changed.emit()


def _report(folder: RunFolder) -> EvaluationAnswer | None:
    """The report that lies in a run's folder, unless the training has gone on since."""
    try:
        newest = max((folder.snapshots, folder.checkpoints), key=lambda path: path.stat().st_mtime_ns if path.exists() else 0)
        if folder.report.stat().st_mtime_ns < newest.stat().st_mtime_ns:
            return None
        return read_answer(folder.report, EvaluationAnswer)
    except (OSError, InputError):
        return None


def _keep_copy(pack: Path, name: str) -> Path:
    """A copy of a pack among the user's packs; the same pack is copied once. Raises OSError."""
    folder = data_folder() / "packs"
    folder.mkdir(parents=True, exist_ok=True)
    content = pack.read_bytes()
    for number in range(1, 1000):
        target = folder / (f"{name}.agora" if number == 1 else f"{name}-{number}.agora")
        if target.is_file() and target.read_bytes() == content:
            return target
        if not target.exists():
            temporary = target.with_suffix(".part")
            shutil.copyfile(pack, temporary)
            temporary.replace(target)
            return target
    raise InputError(f"there are too many packs called {name}", f"remove some from {folder}")


def _words(error: Exception) -> str:
    if isinstance(error, AgoraError):
        return error.message
    return f"the pack cannot be copied: {getattr(error, 'strerror', '') or error}"
