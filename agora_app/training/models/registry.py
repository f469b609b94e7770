"""Which trainings there are: a list in the user's data folder, so that one that runs is found again."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from core.assets import data_folder, write_atomically

log = logging.getLogger(__name__)
VERSION = 1
MOST_RUNS = 50


class KnownRun(BaseModel):
    """A training that was started here.

    Attributes:
        folder: of the run.
        dataset, recipe: what it was started with.
        command: the words that started it; with one more it goes on.
        started: when, in ISO form.
    """

    folder: str
    dataset: str = ""
    recipe: str = ""
    command: tuple[str, ...] = ()
    started: str = ""


class _File(BaseModel):
    version: int = Field(VERSION, le=VERSION)
    runs: tuple[KnownRun, ...] = ()


class TrainingRegistry:
    """The trainings, newest first. A list that cannot be read counts as empty and is kept under another name.

    Args:
        path: the file; by default in the user's data folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or data_folder() / "trainings.json"
        self._runs = self._read()

    def runs(self) -> tuple[KnownRun, ...]:
        """Those whose folder is still there."""
        return tuple(run for run in self._runs if Path(run.folder).is_dir())

    def find(self, folder: Path) -> KnownRun | None:
        return next((run for run in self._runs if Path(run.folder) == folder), None)

    def add(self, run: KnownRun) -> None:
        """Put a training at the top of the list. Raises OSError when the list cannot be written."""
        kept = [other for other in self.runs() if other.folder != run.folder]
        run = run.model_copy(update={"started": run.started or datetime.now().astimezone().isoformat(timespec="seconds")})
        self._runs = (run, *kept)[:MOST_RUNS]
        write_atomically(self.path, _File(runs=self._runs).model_dump_json(indent=1).encode())

    def _read(self) -> tuple[KnownRun, ...]:
        try:
            return _File.model_validate_json(self.path.read_text(encoding="utf-8")).runs
        except FileNotFoundError:
            return ()
        except (OSError, ValueError, ValidationError) as error:
            log.warning("%s cannot be read: %s", self.path, error)
            try:
                self.path.replace(self.path.with_name(f"{self.path.name}.bad"))
            except OSError:
                log.warning("%s stays where it is", self.path)
            return ()
