"""Export of the people on stage: what can be written, and the command that writes it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PySide6.QtCore import QObject, QStandardPaths, Signal

from agora_app.children.answers import Problem
from agora_app.children.task import ChildTask
from agora_app.exchange.models.commands import ExchangeCommands
from agora_app.exchange.models.formats import ExportFormat, format_of
from agora_app.settings.store import SettingsStore
from core.assets import resource
from core.cli import DEMO_MOTION
from core.errors import AgoraError
from core.head.library import load_open_head
from core.head.presets import PRESET_NAMES
from core.pipeline.live.take import safe_name
from core.pipeline.rerender import parse_people
from core.tracking.motion_clip import read_motion

LONGEST_NAME = 100  # characters


class ExportModel(QObject):
    """One export at a time. Format, folder and motion are remembered in the settings.

    Signals:
        changed: anything is different.

    Args:
        cast: the people of the live session; those on stage when this is made are suggested.
        commands: replaced in tests.

    Attributes:
        task: the command.
        people: who is exported, as it was typed.
        name: of the file, without its suffix.
        failure: why it failed last; None when it did not.
        written: the file or folder that was written last; None before that.
        said: what the command has said of it.
    """

    changed = Signal()

    def __init__(self, store: SettingsStore, cast, parent: QObject | None = None, *,
                 commands: ExchangeCommands | None = None) -> None:
        super().__init__(parent)
        self._store, self._commands = store, commands or ExchangeCommands()
        self.task = ChildTask(self)
        self.task.done.connect(self._on_done)
        self.task.failed.connect(self._on_failed)
        self.task.cancelled.connect(self.changed)
        self.task.running_changed.connect(self.changed)
        self._on_stage = cast.people_on_stage
        self._shelf = cast.shelves.get(cast.stage.shelf) if self._on_stage else cast.shelf
        self.people = self._suggested_people()
        self._people_are_mine = True
        self.name, self._name_is_mine = "", True
        self.failure: Problem | None = None
        self.written: Path | None = None
        self.said = ""
        self._target = Path()
        self._suggest()

    # ------------------------------------------------------------------------------------------------------- what is so

    @property
    def format(self) -> ExportFormat:
        return format_of(self._store.settings.exchange.format)

    @property
    def pack(self) -> str:
        """Path of the pack of these people; empty for the studio."""
        return self._shelf.key

    @property
    def folder(self) -> Path:
        """Where the file goes."""
        chosen = self._store.settings.exchange.folder
        return Path(chosen or QStandardPaths.writableLocation(QStandardPaths.StandardLocation.DocumentsLocation) or Path.home())

    @property
    def with_motion(self) -> bool:
        """Whether a motion goes along, where the format takes one."""
        kept, found = self._store.settings.exchange, self.format
        return bool(found.motion) and (kept.with_sequence if found.sequence else kept.with_motion)

    @property
    def frames(self) -> int:
        """How many the motion has; 0 when it cannot be read."""
        try:
            return _frames_of(self.motion, self.motion.stat().st_mtime_ns)
        except (AgoraError, OSError):
            return 0

    @property
    def face(self) -> str:
        """The preset face of a format that holds one moment."""
        kept = self._store.settings.exchange.face
        return kept if kept in PRESET_NAMES else PRESET_NAMES[0]

    @property
    def motion(self) -> Path:
        """The motion clip."""
        return self.motion_file or resource(DEMO_MOTION)

    @property
    def motion_file(self) -> Path | None:
        """The clip that the user has chosen; None for the one that ships with the program."""
        chosen = self._store.settings.exchange.motion
        return Path(chosen) if chosen else None

    @property
    def target(self) -> Path:
        """What would be written."""
        found = self.format
        return self.folder / (self.name if found.sequence and self.with_motion else f"{self.name}{found.suffix}")

    def why_not(self, kind: ExportFormat) -> str:
        """Why a format cannot be had for these people, in words; empty when it can."""
        if not self._on_stage:
            return self.tr("Nobody is on stage yet")
        pack = self._shelf.workshop.pack if self.pack else None
        if pack is None:
            return ""
        if pack.manifest.kind == "static" and kind.kind in ("web", "glb"):
            return self.tr("This person came from a file of splats and has no expressions")
        if kind.kind == "glb" and pack.manifest.head_sha256 != load_open_head().sha256:
            return self.tr("The mesh of these people belongs to another head model and may not be passed on")
        return ""

    def reason(self) -> str:
        """What stands in the way of writing, in words; empty when nothing does."""
        words = self.why_not(self.format) or self._about_people()
        if words:
            return words
        if not self.name or safe_name(self.name, LONGEST_NAME + 10) != self.name:
            return self.tr("Give the file a name of letters, digits and blanks")
        if self.with_motion and not self.frames:
            return self.tr("The motion clip {0} cannot be used").format(self.motion.name)
        if self.target.exists():
            return self.tr("{0} is there already; choose another name").format(self.target.name)
        return ""

    # --------------------------------------------------------------------------------------------------------- changing

    def set_format(self, kind: str) -> None:
        self._store.change("exchange", format=kind)
        if self._people_are_mine or self.format.most_people == 1:
            self.people, self._people_are_mine = self._suggested_people(), True
        self._forget()

    def set_people(self, text: str) -> None:
        self.people, self._people_are_mine = text, False
        self._forget()

    def set_folder(self, folder: str) -> None:
        self._store.change("exchange", folder=folder)
        self._forget()

    def set_with_motion(self, on: bool) -> None:
        self._store.change("exchange", **{"with_sequence" if self.format.sequence else "with_motion": on})
        self._forget()

    def set_face(self, name: str) -> None:
        self._store.change("exchange", face=name)
        self._forget()

    def set_motion(self, path: str) -> None:
        """The motion clip that goes along; empty for the one that ships with the program."""
        self._store.change("exchange", motion=path)
        self._forget()

    def set_name(self, name: str) -> None:
        self.name, self._name_is_mine = name.strip(), False
        self.changed.emit()

    # --------------------------------------------------------------------------------------------------------- working

    def start(self) -> bool:
        """Write. Returns whether that has begun."""
        if self.task.is_running or self.reason():
            return False
        self.failure, self.written, self._target = None, None, self.target
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.failure = Problem(self.tr("the folder cannot be made: {0}").format(error.strerror or error),
                                   self.tr("choose another folder"))
            self.changed.emit()
            return False
        motion = str(self.motion) if self.with_motion else ""
        face = self.face if self.format.sequence and not motion and self.face != PRESET_NAMES[0] else ""
        return self.task.start(self._commands.export(self.format.kind, self.pack, self._names(), self._target, motion, face))

    def close(self) -> None:
        """End the command, if one runs; nothing half-written stays."""
        self.task.close()

    # ------------------------------------------------------------------------------------------------------------ inside

    def _suggested_people(self) -> str:
        return ", ".join(self._on_stage[:self.format.most_people])

    def _names(self) -> tuple[str, ...]:
        """Raises InputError."""
        return parse_people(self.people)

    def _about_people(self) -> str:
        try:
            names = self._names()
        except AgoraError as error:
            return str(error)
        stranger = next((name for name in names if self._shelf.names and name not in self._shelf.names), None)
        if stranger is not None:
            return self.tr("“{0}” has nobody called {1}").format(self._shelf.title, stranger)
        if len(names) > self.format.most_people:
            return self.tr("{0} people at most go into one file").format(self.format.most_people) \
                if self.format.most_people > 1 else self.tr("One person goes into such a file")
        return ""

    def _forget(self) -> None:
        """Other options: what was said of the last export no longer holds."""
        self.failure = self.written = None
        if self._name_is_mine:
            self._suggest()
        self.changed.emit()

    def _suggest(self) -> None:
        """A name that is not there yet."""
        who = safe_name(f"{self._shelf.title} {self.people}".replace(",", " "), LONGEST_NAME) or "people"
        self.name, number = who, 1
        while self.target.exists():
            number += 1
            self.name = f"{who} ({number})"

    def _on_done(self) -> None:
        if self._target.exists():
            self.written = self._target
            last = self.task.lines[-1] if self.task.lines else ""
            self.said = last.removeprefix(f"{self._target}: ") if last.startswith(str(self._target)) else ""
        else:
            self.failure = Problem(self.tr("nothing was written"), self.tr("try again; if it stays, look into the log"))
        if self._name_is_mine:
            self._suggest()
        self.changed.emit()

    def _on_failed(self, problem: Problem) -> None:
        self.failure = problem
        self.changed.emit()


@lru_cache(maxsize=8)
def _frames_of(motion: Path, _written: int) -> int:
    """How many frames a motion clip has; asked at every keystroke. Raises AgoraError."""
    return len(read_motion(motion))
