"""What this machine has to spare."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from agora_app.children.answers import Problem
from agora_app.words import size_of


def free_disk(folder: Path) -> int:
    """Bytes that are free where a folder is, or would be made."""
    return shutil.disk_usage(existing_parent(folder)).free


def free_memory() -> int:
    """Bytes that programs can still have."""
    return int(psutil.virtual_memory().available)


def existing_parent(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    folder = folder.expanduser().absolute()
    return next((path for path in (folder, *folder.parents) if path.exists()), Path(folder.anchor or "."))


@dataclass(frozen=True)
class Machine:
    """Replaced in tests."""

    free_disk: Callable[[Path], int] = free_disk
    free_memory: Callable[[], int] = free_memory
    cores: int = os.cpu_count() or 1

    def folder_problem(self, folder: Path, needed: int) -> Problem | None:
        """Why files cannot be kept in a folder, that may have to be made; None when they can."""
        parent = existing_parent(folder)
        if not parent.is_dir():
            return Problem(f"{parent} is a file, no folder", "choose another folder")
        if not os.access(parent, os.W_OK):
            return Problem(f"{parent} may not be written to", "choose another folder, or change its permissions")
        try:
            free = self.free_disk(folder)
        except OSError as error:
            return Problem(f"{parent} cannot be used: {error.strerror or error}", "choose another folder")
        if needed > free:
            return Problem(f"the disk is too full: {size_of(needed)} are needed, {size_of(free)} are free in {parent}",
                           f"make room for {size_of(needed - free)} more, or choose a folder on another disk")
        return None
