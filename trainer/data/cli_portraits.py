"""The commands ``data portraits`` and ``data check``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import tyro

from core.errors import InputError, OutputError

BLOCKED = 1  # exit code of a check that found something blocking


@dataclass(kw_only=True)
class PortraitsOptions:
    """Make a dataset of a folder of photographs: one sharp, unobstructed face each. Run it again to go on after a stop."""

    photos: tyro.conf.Positional[Path]
    """The folder of photographs; its subfolders are searched too."""
    out: Path
    """The folder to make."""
    size: int = 128
    """Side of the portraits, pixels."""
    workers: int = max(1, (os.cpu_count() or 2) - 1)
    """Processes."""
    test_share: float = 0.05
    """Part of the portraits that is kept for testing."""
    yaw: float = 60.0
    """Largest turn of the head to the side, degrees."""
    blur: float = 0.66
    """Largest blur of the face, from 0 sharp to 1."""
    list_refused: bool = False
    """Name every photograph that is left out; the report in the folder does so anyway."""


@dataclass(kw_only=True)
class CheckOptions:
    """Say what is wrong with a dataset, this program's or an official one. Exit code 1 when it cannot be trained on."""

    folder: tyro.conf.Positional[Path]
    """The dataset."""
    json: Path | None = None
    """Also write the findings there."""


def portraits(options: PortraitsOptions) -> int:
    """Ingests photographs and says what became of them."""
    from core.commands.progress import ProgressBars
    from trainer.data.portrait_filter import QualityLimits
    from trainer.data.portraits import REPORT_NAME, PortraitSettings, ingest_portraits

    for name, low, high in (("size", 16, 1024), ("workers", 1, 256), ("test_share", 0, 0.5), ("yaw", 1, 90), ("blur", 0.1, 1)):
        if not low <= getattr(options, name) <= high:
            raise InputError(f"--{name.replace('_', '-')} must be a number from {low} to {high}")
    settings = PortraitSettings(options.size, QualityLimits(yaw=options.yaw, blur=options.blur), options.test_share)
    with ProgressBars("files", lines=True) as bars:
        report = ingest_portraits(options.photos, options.out, settings, options.workers,
                                  lambda done, total: bars("photographs", done, total))
    print(f"{options.out}: {report.text()}")
    if options.list_refused:
        for photo in report.refused:
            print(f"  {photo.name}: {photo.reason.value}" + (f" ({photo.detail})" if photo.detail else ""))
    elif report.refused:
        print(f"which ones: {options.out / REPORT_NAME}")
    return 0


def check(options: CheckOptions) -> int:
    """Checks a dataset; returns `BLOCKED` when training on it must not start."""
    from core.assets import write_atomically
    from core.commands.progress import ProgressBars
    from trainer.data.check import check_data

    with ProgressBars("files", lines=True) as bars:
        report = check_data(options.folder, progress=lambda done, total: bars("shards", done, total))
    print(report.text())
    if options.json is not None:
        try:
            write_atomically(options.json, report.to_json())
        except OSError as error:
            raise OutputError(f"{options.json} cannot be written: {error.strerror or error}") from error
    return BLOCKED if report.blocked else 0
