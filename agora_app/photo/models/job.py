"""A person who is being made: what was asked for, kept in a folder until they are added or given up."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agora_app.children.program import PROGRAM
from core.assets import data_folder, write_atomically
from core.avatar.pack import PACK_SUFFIX

log = logging.getLogger(__name__)
_FILE = "job.json"


class PhotoJob(BaseModel):
    """What was asked for.

    Attributes:
        photos: paths of the photographs.
        name: of the person, which is also the file name of the pack.
        route: "auto", "studio" or "generator".
        generator: path of the pack whose generator is used; empty for the one that ships.
        keep_photo: whether the photographs are kept in the pack.
    """

    model_config = ConfigDict(frozen=True)

    photos: tuple[str, ...]
    name: str
    route: str = "auto"
    generator: str = ""
    keep_photo: bool = False


@dataclass(frozen=True)
class JobFolder:
    """Where one is worked on. Beside what the command tells (`core.run_folder`) it holds the request and the finished pack."""

    path: Path

    def pack(self, job: PhotoJob) -> Path:
        """Where the finished pack is."""
        return self.path / f"{job.name}{PACK_SUFFIX}"

    def write(self, job: PhotoJob) -> None:
        """Keep what is asked for. Raises OSError."""
        write_atomically(self.path / _FILE, job.model_dump_json(indent=1).encode())

    def read(self) -> PhotoJob | None:
        """What was asked for; None when that cannot be read."""
        try:
            return PhotoJob.model_validate_json((self.path / _FILE).read_bytes())
        except (OSError, ValidationError) as error:
            log.warning("%s: %s", self.path / _FILE, error)
            return None

    def remove(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.path, ignore_errors=True)


def jobs_folder() -> Path:
    """Where the folders of jobs are."""
    return data_folder() / "photo_jobs"


def new_job_folder() -> JobFolder:
    """A folder that is not there yet."""
    stamp = f"{datetime.now():%Y-%m-%d-%H%M%S}"
    names = (stamp, *(f"{stamp}-{number}" for number in range(2, 1000)))
    return JobFolder(next(folder for name in names if not (folder := jobs_folder() / name).exists()))


def job_folders() -> Iterator[JobFolder]:
    """Those that are there, the newest first."""
    try:
        paths = sorted((path for path in jobs_folder().iterdir() if path.is_dir()), reverse=True)
    except OSError:
        return
    yield from map(JobFolder, paths)


@dataclass(frozen=True)
class PhotoCommands:
    """Makes the command line.

    Attributes:
        program: what is started; replaced in tests.
    """

    program: tuple[str, ...] = PROGRAM

    def invert(self, job: PhotoJob, folder: JobFolder) -> list[str]:
        """Make the person of a job, telling of it in the job's folder."""
        route = ["--route", job.route] if job.route != "auto" else []
        generator = ["--generator", job.generator] if job.generator and job.route != "studio" else []
        keep = ["--keep-photo"] if job.keep_photo else []
        return [*self.program, "invert", *job.photos, "--out", str(folder.pack(job)), "--name", job.name, *route,
                *generator, *keep, "--progress", str(folder.path)]
