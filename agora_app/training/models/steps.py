"""The steps of the wizard before a training runs: data, check, recipe, budget. Each knows what is missing and how to mend it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from agora_app.children.answers import Kind, Problem, read_answer
from agora_app.children.task import ChildTask
from agora_app.settings.model import Training
from agora_app.training.models.answers import CheckAnswer, ProbeAnswer
from agora_app.training.models.model import TrainingModel
from agora_app.training.models.presets import preset
from agora_app.words import about, size_of
from core.assets import data_folder
from core.errors import InputError
from core.media.image import SUFFIXES as IMAGE_SUFFIXES

DATASET_FILE = "dataset.json"
ROOM = 1.1  # of the disk or memory that is needed
_BYTES_OF_LANDMARKS = 8_000  # beside the picture itself, for every picture of a dataset
_SEARCHED_FILES = 5000


class Step(QObject):
    """One step, with the one command it may run.

    Signals:
        changed: what it knows is different, and perhaps whether one may go on.

    Attributes:
        task: its command.
        failure: why the command failed last; None when it did not.
    """

    changed = Signal()

    def __init__(self, model: TrainingModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.model = model
        self.failure: Problem | None = None
        self.task = ChildTask(self)
        self._folder = Path(tempfile.mkdtemp(prefix="agora-training-"))
        self.task.done.connect(self._on_done)
        self.task.failed.connect(self._on_failed)
        self.task.cancelled.connect(self.changed)
        model.store.changed.connect(self._on_settings)

    @property
    def form(self) -> Training:
        return self.model.form

    @property
    def answer_file(self) -> Path:
        """Where the command writes what it has found; the folder is there, also after `close`."""
        self._folder.mkdir(exist_ok=True)
        return self._folder / "answer.json"

    def close(self) -> None:
        """End the command."""
        self.task.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, command: list[str]) -> bool:
        self.failure = None
        self.answer_file.unlink(missing_ok=True)
        started = self.task.start(command)
        self.changed.emit()
        return started

    def _answer(self, kind: type[Kind]) -> Kind | None:
        """The answer of the command; one that cannot be read becomes the failure."""
        try:
            return read_answer(self.answer_file, kind)
        except InputError as error:
            self.failure = Problem(error.message, error.hint)
            return None

    def _on_done(self) -> None:
        self.changed.emit()

    def _on_failed(self, problem: Problem) -> None:
        self.failure = problem
        self.changed.emit()

    def _on_settings(self, section: str) -> None:
        if section == "training":
            self.changed.emit()


class DataStep(Step):
    """Chooses a dataset, or makes one."""

    @property
    def dataset(self) -> Path:
        """The folder that is meant, there or not."""
        form = self.form
        if form.data_kind == "folder":
            return Path(form.dataset).expanduser()
        root = Path(form.data_folder).expanduser() if form.data_folder else data_folder() / "datasets"
        if form.data_kind == "photos":
            return root / f"photos-{Path(form.photos).name or 'none'}"
        return root / f"synthetic-{form.synthetic_size}-{form.synthetic_count}-seed-{form.synthetic_seed}"

    @property
    def is_there(self) -> bool:
        return (self.dataset / DATASET_FILE).is_file() and (self.form.data_kind != "folder" or bool(self.form.dataset))

    @property
    def was_begun(self) -> bool:
        """Whether making it was stopped half-way: it goes on from there."""
        return self.form.data_kind != "folder" and not self.is_there and self.dataset.is_dir() and any(self.dataset.iterdir())

    @property
    def is_ready(self) -> bool:
        """Whether one may go on."""
        return self.is_there and not self.task.is_running

    @property
    def needed_bytes(self) -> int:
        """Room that a synthetic dataset takes, roughly: pictures are kept as they are, four bytes a pixel."""
        size = int(self.form.synthetic_size)
        return round(ROOM * self.form.synthetic_count * (4 * size * size + _BYTES_OF_LANDMARKS))

    def problem(self) -> Problem | None:
        """Why there is no dataset and none can be made; None when one is there or can be made."""
        form = self.form
        if self.task.is_running or self.is_there:
            return None
        if form.data_kind == "folder":
            return self._folder_problem()
        if form.data_kind == "photos":
            photos = Path(form.photos).expanduser()
            if not form.photos or not photos.is_dir():
                what = f"{photos} is not there" if form.photos else "no folder of photos is chosen"
                return Problem(what, "choose the folder that holds the photos")
            if not has_pictures(photos):
                return Problem(f"there is no picture in {photos}", f"choose a folder with {', '.join(IMAGE_SUFFIXES)}")
            if self.dataset.resolve() == photos.resolve():
                return Problem("the dataset would lie among the photos", "choose another folder to keep it in")
        needed = self.needed_bytes if form.data_kind == "synthetic" else 0
        return self.model.machine.folder_problem(self.dataset, needed)

    def make(self) -> bool:
        """Make the dataset. Returns whether that has begun."""
        if self.form.data_kind == "folder" or self.is_there or self.problem() is not None:
            return False
        commands, form = self.model.commands, self.form
        if form.data_kind == "photos":
            return self._run(commands.portraits(Path(form.photos).expanduser(), self.dataset))
        return self._run(commands.synth(form, self.dataset, max(1, form.threads or self.model.machine.cores)))

    def _folder_problem(self) -> Problem:
        folder = self.dataset
        if not self.form.dataset:
            return Problem("no dataset is chosen", "choose its folder, or let one be made")
        if not folder.is_dir():
            return Problem(f"{folder} is not there", "choose the folder of a dataset, or let one be made")
        hint = "these are photos: choose “A folder of photos” above" if has_pictures(folder) else "choose a folder that has one"
        return Problem(f"{folder} is no dataset: it has no {DATASET_FILE}", hint)

    def _on_done(self) -> None:
        if not self.is_there:
            self.failure = Problem(f"no dataset has come about in {self.dataset}", "try again; if it stays, look into the log")
        self.changed.emit()


class CheckStep(Step):
    """What is wrong with the dataset."""

    def __init__(self, data: DataStep, parent: QObject | None = None) -> None:
        super().__init__(data.model, parent)
        self._data = data
        self._checked: tuple | None = None
        self.answer: CheckAnswer | None = None

    @property
    def is_ready(self) -> bool:
        return self.answer is not None and not self.answer.blocked and not self.task.is_running

    def begin(self, again: bool = False) -> None:
        """Check, unless this very dataset has been checked already."""
        dataset = self._data.dataset
        stamp = (dataset, _stamp(dataset / DATASET_FILE))
        if self.task.is_running or (not again and stamp == self._checked and self.answer is not None):
            return
        self._checked, self.answer = stamp, None
        self._run(self.model.commands.check(dataset, self.answer_file))

    def _on_done(self) -> None:
        self.answer = self._answer(CheckAnswer)
        self.changed.emit()

    def _on_failed(self, problem: Problem) -> None:
        """A dataset with blocking findings may end the command with an error: what it has found counts."""
        self.answer = self._answer(CheckAnswer) if self.answer_file.is_file() else None
        self.failure = problem if self.answer is None else None
        self.changed.emit()


class RecipeStep(Step):
    """Which recipe, and what is changed about it."""

    def __init__(self, check: CheckStep, parent: QObject | None = None) -> None:
        super().__init__(check.model, parent)
        self._check = check

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What does not go together."""
        form, found = self.form, []
        if form.recipe == "file":
            path = Path(form.recipe_file).expanduser()
            if not form.recipe_file or not path.is_file():
                what = f"{path} is not there" if form.recipe_file else "no recipe file is chosen"
                found.append(Problem(what, "choose the file, or one of the recipes above"))
            elif path.suffix != ".json":
                found.append(Problem(f"{path.name} is no recipe", "a recipe's name ends in .json"))
        data, chosen = self._check.answer, preset(form.recipe)
        wanted = chosen.pixels if form.size == "recipe" else min(chosen.pixels, int(form.size))
        if data and data.size and wanted > data.size:
            found.append(Problem(f"the pictures have {data.size} pixels, {wanted} are needed",
                                 f"choose the picture size {data.size} under Advanced, another recipe, or larger pictures"))
        if data and data.kind and not data.is_synthetic and chosen.needs_factors:
            found.append(Problem("this recipe has to know more about the pictures than photos tell",
                                 "choose the paper's recipe, or synthetic pictures"))
        return tuple(found)

    @property
    def is_ready(self) -> bool:
        return not any(problem.blocking for problem in self.problems)


class BudgetStep(Step):
    """Time, memory and disk, estimated by a short probe, against what this machine has."""

    def __init__(self, data: DataStep, parent: QObject | None = None) -> None:
        super().__init__(data.model, parent)
        self._data = data
        self._probed: list[str] = []
        self.answer: ProbeAnswer | None = None

    @property
    def run_folder(self) -> Path:
        """Where the training will be kept."""
        return self.model.new_run_folder()

    @property
    def free_memory(self) -> int:
        return self.model.machine.free_memory()

    @property
    def free_disk(self) -> int:
        """Bytes; 0 when the disk is not to be had."""
        try:
            return self.model.machine.free_disk(self.run_folder)
        except OSError:
            return 0

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What would make the training fail, and what is worth knowing."""
        found: list[Problem] = []
        answer = self.answer
        if self.failure is not None:
            found.append(self.failure)
        if answer is not None:
            found += [Problem(problem.what, problem.mend) for problem in answer.problems]
            if answer.memory_bytes > (free := self.free_memory):
                found.append(Problem(f"too little memory: {size_of(answer.memory_bytes)} are needed, {size_of(free)} are free",
                                     "close other programs, choose fewer pictures in a batch, or a smaller picture size"))
        folder = self.model.machine.folder_problem(self.run_folder, round(ROOM * answer.disk_bytes) if answer else 0)
        found += [folder] if folder else []
        if self.model.is_active:
            found.append(Problem(f"another training is running in {self.model.run.path.name}",
                                 "both will be slower; you can stop it with Train ▸ Show training", blocking=False))
        return tuple(found)

    @property
    def is_ready(self) -> bool:
        return (self.answer is not None and not self.task.is_running
                and not any(problem.blocking for problem in self.problems))

    def begin(self, again: bool = False) -> None:
        """Probe, unless these very settings have been probed already."""
        command = self.model.commands.probe(self.form, self._data.dataset, self.answer_file)
        if self.task.is_running or (not again and command == self._probed and self.answer is not None):
            self.changed.emit()
            return
        self._probed, self.answer = command, None
        self._run(command)

    def words(self) -> str:
        """The estimate in a sentence."""
        answer = self.answer
        return "" if answer is None else f"{about(answer.seconds)} at {answer.images_per_second:.1f} pictures a second"

    def _on_done(self) -> None:
        self.answer = self._answer(ProbeAnswer)
        self.changed.emit()


def has_pictures(folder: Path) -> bool:
    """Whether a picture lies in a folder or below it; looks at no more than some thousand files."""
    seen = 0
    for _, _, names in os.walk(folder):
        for name in names:
            seen += 1
            if Path(name).suffix.lower() in IMAGE_SUFFIXES:
                return True
            if seen > _SEARCHED_FILES:
                return False
    return False


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
