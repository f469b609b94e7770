"""Finds the files of the published release in a folder, whatever part of it somebody has (specification 11)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError

BASIS_NAME, REGRESSOR_NAME, TABLE_NAME = "svd_basis.pt", "mlp_regressor.pt", "fused_params_dataset.npy"
_CONFIG = "model_config.json"
_MOST_FILES = 200_000  # that are looked at
_DEEPEST = 8
_HINT = "give the folder with checkpoint-….pkl, svd_basis.pt and mlp_regressor.pt, or one that contains it"


@dataclass(frozen=True)
class OfficialFiles:
    """What was found. None stands for what was not.

    Attributes:
        checkpoint: of the generator, the newest where there are several.
        config: the ``model_config.json`` that belongs to it.
        basis, regressor: AGORA-M.
        table: head shapes, expressions and cameras of the dataset.
        others: further checkpoints, which are left alone.
    """

    checkpoint: Path | None
    config: Path | None
    basis: Path | None
    regressor: Path | None
    table: Path | None
    others: tuple[Path, ...] = ()

    @property
    def has_basis(self) -> bool:
        """Whether AGORA-M is complete."""
        return self.basis is not None and self.regressor is not None


def find_official(place: str | Path) -> OfficialFiles:
    """The files of the release in a folder and below, or beside and below a checkpoint.

    Raises:
        InputError: the place does not exist, or holds no checkpoint.
    """
    place = Path(place)
    if not place.exists():
        raise InputError(f"{place} does not exist", _HINT)
    folder = place.parent if place.is_file() else place
    found = _walk(folder)
    checkpoints = sorted((path for path in found if path.suffix == ".pkl"), key=_rank, reverse=True)
    if place.is_file():
        checkpoints = [place] + [path for path in checkpoints if path != place]
    if not checkpoints:
        raise InputError(f"{place}: no checkpoint-….pkl in there", _HINT)
    chosen = checkpoints[0]
    return OfficialFiles(chosen, _config_of(chosen, found), *(_nearest(chosen, found, name) for name in
                                                              (BASIS_NAME, REGRESSOR_NAME, TABLE_NAME)), tuple(checkpoints[1:]))


def _walk(folder: Path) -> list[Path]:
    """Files below a folder that may be meant. Links to folders are not followed."""
    wanted, found, waiting, seen = (".pkl", ".pt", ".npy", ".json"), [], [(folder, 0)], 0
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = sorted(here.iterdir())
        except OSError as error:
            if depth == 0:
                raise InputError(f"{here} cannot be read ({error.strerror})") from error
            continue
        for entry in entries:
            seen += 1
            if seen > _MOST_FILES:
                raise InputError(f"{folder} holds too many files to be looked through", _HINT)
            if entry.is_dir() and not entry.is_symlink() and depth < _DEEPEST:
                waiting.append((entry, depth + 1))
            elif entry.suffix in wanted and entry.is_file():
                found.append(entry)
    return found


def _rank(path: Path) -> tuple[bool, bool, int, str]:
    """Checkpoints of the second stage first, then those that trained longest."""
    number = re.search(r"checkpoint-(\d+)$", path.stem)
    return number is not None, "stage2" in str(path.parent), int(number[1]) if number else 0, str(path)


def _config_of(checkpoint: Path, found: list[Path]) -> Path | None:
    """Beside the checkpoint, or one folder above it."""
    for folder, name in ((checkpoint.parent, f"{checkpoint.stem}_{_CONFIG}"), (checkpoint.parent, _CONFIG),
                         (checkpoint.parent.parent, _CONFIG)):
        if (folder / name).is_file():
            return folder / name
    return None


def _nearest(checkpoint: Path, found: list[Path], name: str) -> Path | None:
    """The file of that name which shares most of its path with the checkpoint."""
    matches = [path for path in found if path.name == name]

    def shared(path: Path) -> int:
        return sum(a == b for a, b in zip(path.parts, checkpoint.parts, strict=False))

    return max(matches, key=lambda path: (shared(path), str(path)), default=None)
