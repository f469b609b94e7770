"""What tests of people from photographs share: commands that start the fake program, photographs that misbehave, stand-ins."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from agora_app.exchange.models.commands import ExchangeCommands
from agora_app.models.cast import CastModel
from agora_app.photo.dialog import PhotoDialog
from agora_app.photo.models.job import PhotoCommands, jobs_folder
from agora_app.photo.models.model import PhotoModel, PhotoStage
from tests.app.fake_workshop import FakeWorkshop

PROGRAM = (sys.executable, str(Path(__file__).with_name("fake_main.py")))


class PhotoBench:
    """Makes models and dialogs of one test, and clears away: processes that still run are ended."""

    def __init__(self, qtbot, session, store, tmp_path) -> None:
        self.qtbot, self.store, self.folder = qtbot, store, tmp_path / "pictures"
        self.folder.mkdir()
        self.packs: dict[str, FakeWorkshop] = {}
        self.cast = CastModel(session, store, FakeWorkshop(ready=("7", "8", "42")), make_workshop=self._workshop)
        self.cast.choose("7")
        self.models: list[PhotoModel] = []
        self.dialogs: list[PhotoDialog] = []
        self.told: list[str] = []
        self.exchange = ExchangeCommands(PROGRAM)

    def _workshop(self, path: Path) -> FakeWorkshop:
        return self.packs.setdefault(path.name, FakeWorkshop(ready=("0",), names=("0",), title=path.stem))

    def photo(self, name: str, size: tuple[int, int] = (60, 80)) -> Path:
        """A picture file."""
        path = self.folder / name
        Image.new("RGB", size, (150, 110, 90)).save(path)
        return path

    def behave(self, **plan: str) -> None:
        """How the fake program does next."""
        (self.folder / "behave.json").write_text(json.dumps(plan))

    def model(self, program: tuple[str, ...] = PROGRAM) -> PhotoModel:
        """As the program makes it at its start."""
        model = PhotoModel(self.store, self.cast, commands=PhotoCommands(program))
        model.ended.connect(lambda: self.told.append("ended"))
        model.failed.connect(lambda what, _hint: self.told.append(what))
        self.models.append(model)
        return model

    def dialog(self, model: PhotoModel) -> PhotoDialog:
        dialog = PhotoDialog(model, self.cast.shelves)
        self.dialogs.append(dialog)
        dialog.show()
        return dialog

    def begun(self, plan: str = "wait", name: str = "Anna") -> PhotoModel:
        """A model whose person is being made, as far as the first preview."""
        self.behave(invert=plan)
        model = self.model()
        model.form.add([self.photo("a.png")])
        model.form.set_name(name)
        assert model.start()
        self.wait(lambda: model.run is None or len(model.run.samples) >= 3)
        return model

    def go_on(self, model: PhotoModel) -> None:
        """Let a person that waits be finished."""
        (model.run.path / "go on").touch()

    def finished(self, **behaviour) -> PhotoModel:
        """A model whose person is finished."""
        model = self.begun(behaviour.get("plan", ""))
        self.wait(lambda: model.stage is PhotoStage.DONE and not model.is_drawing)
        return model

    def wait(self, condition, seconds: float = 20) -> None:
        self.qtbot.waitUntil(lambda: bool(condition()), timeout=round(1000 * seconds))

    def processes(self) -> list[psutil.Process]:
        """Those of the fake program that run."""
        return [process for process in psutil.Process().children(recursive=True) if _is_fake(process)]

    def close(self) -> None:
        import shiboken6

        for dialog in self.dialogs:
            if shiboken6.isValid(dialog):
                dialog.deleteLater()
        for model in self.models:
            model.close()
        self.cast.close()
        for process in self.processes():
            process.kill()
            process.wait(5)


def left_behind() -> list[str]:
    """What is in the folder of people under way."""
    return [path.name for path in jobs_folder().rglob("*")] if jobs_folder().is_dir() else []


def _is_fake(process: psutil.Process) -> bool:
    try:
        return any(Path(word).name == "fake_main.py" for word in process.cmdline())
    except psutil.Error:
        return False


@pytest.fixture
def photo_bench(qtbot, session, store, tmp_path, monkeypatch):
    monkeypatch.setattr("agora_app.children.followed.POLL_MS", 20)
    monkeypatch.setattr("agora_app.photo.models.model.draw_views", lambda pack: ())
    monkeypatch.setitem(os.environ, "OMP_NUM_THREADS", "1")
    bench = PhotoBench(qtbot, session, store, tmp_path)
    yield bench
    bench.close()
