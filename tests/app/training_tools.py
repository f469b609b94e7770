"""What tests of trainings share: commands that start the fake trainer, datasets that misbehave, models with stand-ins."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from agora_app.models.cast import CastModel
from agora_app.models.source import SourceModel
from agora_app.training.models.commands import TrainerCommands
from agora_app.training.models.machine import Machine
from agora_app.training.models.model import TrainingModel
from agora_app.training.wizard import TrainingWizard
from core.media.cameras import CameraInfo
from tests.app.fake_workshop import FakeWorkshop

FAKE = TrainerCommands((sys.executable, str(Path(__file__).with_name("fake_trainer.py"))))
PLENTY = Machine(lambda _folder: 10**12, lambda: 10**10, 2)


def make_dataset(folder: Path, **behaviour) -> Path:
    """A dataset that lets the fake trainer behave as told."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.json").write_text("{}")
    (folder / "behave.json").write_text(json.dumps(behaviour))
    return folder


class FakeCamera:
    """A camera that is only chosen."""

    is_live = True

    def __init__(self, info, *_) -> None:
        self.name, self.info = info.name, info


class Bench:
    """Makes models and wizards of one test, and clears away: trainings that still run are ended."""

    def __init__(self, qtbot, session, store, tmp_path) -> None:
        self.qtbot, self.session, self.store, self.tmp_path = qtbot, session, store, tmp_path
        self.workshop = FakeWorkshop(ready=("7", "8", "6"))
        self.pack = FakeWorkshop(ready=("0", "1"), names=("0", "1"), title="Mine")
        self.cast = CastModel(session, store, self.workshop, make_workshop=lambda path: self.pack)
        self.cameras = [CameraInfo("usb-1", "Desk camera", 200, 0)]
        self.source = SourceModel(session, store, enumerate_cameras=lambda: list(self.cameras), make_camera=FakeCamera)
        self.cast.choose("7")
        self.models: list[TrainingModel] = []
        self.wizards: list[TrainingWizard] = []
        self.told: list[tuple[str, str]] = []
        self.consent = True

    def model(self, machine: Machine = PLENTY, commands: TrainerCommands = FAKE) -> TrainingModel:
        """As the program makes it at its start."""
        model = TrainingModel(self.store, commands=commands, machine=machine)
        model.failed.connect(lambda what, hint: self.told.append((what, hint)))
        self.models.append(model)
        return model

    def wizard(self, model: TrainingModel, monitor: bool = False) -> TrainingWizard:
        wizard = TrainingWizard(model, self.cast, self.source, lambda: self.consent, monitor=monitor)
        self.wizards.append(wizard)
        wizard.show()
        return wizard

    def use(self, dataset: Path, **form) -> None:
        """Fill in the form."""
        self.store.change("training", **{"data_kind": "folder", "dataset": str(dataset), "recipe": "ci", **form})

    def run_model(self, dataset: Path, **form):
        """A training under way, and the model that has it on show."""
        self.use(dataset, **form)
        model = self.model()
        assert model.start(dataset), self.told
        return model, model.run

    def wait(self, condition, seconds: float = 20) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=round(1000 * seconds))

    def close(self) -> None:
        import shiboken6

        for wizard in self.wizards:
            if shiboken6.isValid(wizard):
                wizard.end()
                wizard.deleteLater()
        for model in self.models:
            model.close()
        self.cast.close()
        self.source.close()
        for process in psutil.Process().children(recursive=True):
            if any(Path(word).name == "fake_trainer.py" for word in _words(process)):
                process.kill()
                process.wait(5)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.fixture
def bench(qtbot, session, store, tmp_path, monkeypatch):
    monkeypatch.setattr("agora_app.children.followed.POLL_MS", 20)
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    store.change("source", kind="demo")
    bench = Bench(qtbot, session, store, tmp_path)
    yield bench
    bench.close()
