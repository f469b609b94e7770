"""The packs that the user keeps: a folder among their data."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from core.assets import data_folder
from core.avatar.pack import PACK_SUFFIX
from core.errors import InputError

_MOST_OF_A_NAME = 1000


def user_packs() -> Path:
    """Their folder, which need not be there yet."""
    return data_folder() / "packs"


def unused_pack(name: str) -> Path:
    """A file among the user's packs that is not there yet. Raises InputError when there are too many of the name."""
    return next(target for target in _targets(name) if not target.exists())


def keep_copy(pack: Path, name: str) -> Path:
    """A copy of a pack among the user's packs; the same pack is copied once. Raises OSError, InputError."""
    user_packs().mkdir(parents=True, exist_ok=True)
    content = pack.read_bytes()
    for target in _targets(name):
        if target.is_file() and target.read_bytes() == content:
            return target
        if not target.exists():
            temporary = target.with_suffix(".part")
            shutil.copyfile(pack, temporary)
            temporary.replace(target)
            return target
    raise AssertionError


def _targets(name: str) -> Iterator[Path]:
    for number in range(1, _MOST_OF_A_NAME):
        yield user_packs() / (f"{name}{PACK_SUFFIX}" if number == 1 else f"{name}-{number}{PACK_SUFFIX}")
    raise InputError(f"there are too many packs called {name}", f"remove some from {user_packs()}")
