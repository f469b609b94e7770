"""Import of the published AGORA files: what is there, and the command that makes a pack of it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QObject, Signal

from agora_app.children.answers import Problem
from agora_app.children.task import ChildTask
from agora_app.exchange.models.commands import ExchangeCommands
from agora_app.exchange.models.official_files import FoundPart, look_into
from agora_app.models.pack_installer import PackInstaller
from agora_app.models.user_packs import unused_pack, user_packs
from agora_app.settings.store import SettingsStore
from core.avatar.identity import parse_seeds
from core.errors import AgoraError
from core.pipeline.live.take import safe_name

LONGEST_NAME = 60  # characters
MOST_SEEDS = 64
_NOTE = "note:"


class OfficialModel(QObject):
    """One import at a time. Folder and seeds are remembered in the settings.

    Signals:
        changed: anything is different.
        added: (name) the people are in the gallery and the first of them is on stage.

    Args:
        cast: the people of the live session.
        commands: replaced in tests.

    Attributes:
        task: the command.
        parts: the published files, found or missing; empty before a folder is chosen.
        name: of the pack.
        with_generator: whether the generator itself comes along.
        failure: why it failed last; None when it did not.
        notes: what the command said of what is missing, line by line.
        is_done: the last one has succeeded.
        installer: opens the pack.
    """

    changed = Signal()
    added = Signal(str)

    def __init__(self, store: SettingsStore, cast, parent: QObject | None = None, *,
                 commands: ExchangeCommands | None = None) -> None:
        super().__init__(parent)
        self._store, self._commands = store, commands or ExchangeCommands()
        self.task = ChildTask(self)
        self.task.done.connect(self._on_done)
        self.task.failed.connect(self._on_failed)
        self.task.cancelled.connect(self._on_cancelled)
        self.task.running_changed.connect(self.changed)
        self.installer = PackInstaller(cast, self)
        self.installer.changed.connect(self._on_installer)
        self.installer.installed.connect(self._on_installed)
        self.name = "AGORA"
        self.with_generator = True
        self.parts: tuple[FoundPart, ...] = ()
        self.failure: Problem | None = None
        self.notes: tuple[str, ...] = ()
        self.is_done = False
        self._pack = Path()
        if self.folder:
            self._look()

    # ------------------------------------------------------------------------------------------------------- what is so

    @property
    def folder(self) -> str:
        """Where the published files lie; empty before one is chosen."""
        return self._store.settings.exchange.import_folder

    @property
    def seeds(self) -> str:
        return self._store.settings.exchange.import_seeds

    @property
    def is_busy(self) -> bool:
        return self.task.is_running or self.installer.is_busy

    def reason(self) -> str:
        """What stands in the way of importing, in words; empty when nothing does."""
        if not self.folder:
            return self.tr("Choose the folder with the published files")
        if not Path(self.folder).is_dir():
            return self.tr("The folder is not there any more")
        missing = next((found for found in self.parts if found.file is None and found.part.is_needed), None)
        if missing is not None:
            return self.tr("{0} is missing").format(missing.title)
        if not self.name.strip():
            return self.tr("Give the pack a name")
        try:
            count = len(parse_seeds(self.seeds))
        except AgoraError as error:
            return str(error)
        return self.tr("At most {0} people at once").format(MOST_SEEDS) if count > MOST_SEEDS else ""

    # --------------------------------------------------------------------------------------------------------- changing

    def set_folder(self, folder: str) -> None:
        self._store.change("exchange", import_folder=folder)
        self._forget()
        self._look()
        self.changed.emit()

    def set_seeds(self, seeds: str) -> None:
        self._store.change("exchange", import_seeds=seeds)
        self.changed.emit()

    def set_name(self, name: str) -> None:
        self.name = name
        self.changed.emit()

    def set_with_generator(self, on: bool) -> None:
        self.with_generator = on
        self.changed.emit()

    # --------------------------------------------------------------------------------------------------------- working

    def start(self) -> bool:
        """Import. Returns whether that has begun."""
        if self.is_busy or self.reason():
            return False
        self._forget()
        try:
            user_packs().mkdir(parents=True, exist_ok=True)
            self._pack = unused_pack(safe_name(self.name, LONGEST_NAME) or "AGORA")
        except (OSError, AgoraError) as error:
            self._on_failed(Problem(str(error), self.tr("make room, or mend the rights of the folder")))
            return False
        return self.task.start(self._commands.import_official(Path(self.folder), self._pack, self.name.strip(),
                                                              self.seeds.strip(), self.with_generator))

    def close(self) -> None:
        """End the command, if one runs; nothing half-written stays."""
        self.task.close()
        self.installer.close()

    # ------------------------------------------------------------------------------------------------------------ inside

    def _look(self) -> None:
        self.parts = look_into(Path(self.folder)) if Path(self.folder).is_dir() else ()

    def _on_done(self) -> None:
        self.notes = notes_of(self.task.lines)
        if self._pack.is_file():
            self.installer.open(self._pack)
        else:
            self._on_failed(Problem(self.tr("no pack has come about"), self.tr("try again; if it stays, look into the log")))

    def _on_failed(self, problem: Problem) -> None:
        self.failure = problem
        self.changed.emit()

    def _on_cancelled(self) -> None:
        self._pack.unlink(missing_ok=True)  # it may have been finished at that very moment
        self.changed.emit()

    def _on_installer(self) -> None:
        self.failure = self.installer.failure
        self.changed.emit()

    def _on_installed(self) -> None:
        self.is_done = True
        self.changed.emit()
        self.added.emit(self.name.strip())

    def _forget(self) -> None:
        self.failure, self.notes, self.is_done = None, (), False


def notes_of(lines: tuple[str, ...]) -> tuple[str, ...]:
    """What a command noted: its lines "note: …"."""
    return tuple(line.removeprefix(_NOTE).strip() for line in lines if line.startswith(_NOTE))
