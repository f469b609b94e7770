"""Which of the published AGORA files lie in a folder, told from their names alone: nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

_DEEPEST, _MOST_ENTRIES = 8, 20_000
_CONTEXT = "OfficialFiles"
_ = QT_TRANSLATE_NOOP


@dataclass(frozen=True)
class OfficialPart:
    """One of the published files.

    Attributes:
        patterns: what its name looks like.
        title: what it is.
        without: what it means when it is missing.
        is_needed: nothing can be imported without it.
    """

    patterns: tuple[str, ...]
    title: str
    without: str
    is_needed: bool = False


@dataclass(frozen=True)
class FoundPart:
    """A part and its file; None when it is missing."""

    part: OfficialPart
    file: Path | None

    @property
    def title(self) -> str:
        return QCoreApplication.translate(_CONTEXT, self.part.title)

    @property
    def without(self) -> str:
        return QCoreApplication.translate(_CONTEXT, self.part.without)


PARTS = (
    OfficialPart(("checkpoint-*.pkl", "*.pkl"), _("OfficialFiles", "Checkpoint of the generator"),
                 _("OfficialFiles", "Nothing can be imported without it"), True),
    OfficialPart(("model_config.json", "*_model_config.json"), _("OfficialFiles", "Configuration"),
                 _("OfficialFiles", "Not needed: the weights tell their sizes")),
    OfficialPart(("svd_basis.pt",), _("OfficialFiles", "Blendshapes (AGORA-M)"),
                 _("OfficialFiles", "Smaller ones are made here, which takes longer")),
    OfficialPart(("mlp_regressor.pt",), _("OfficialFiles", "Driving network (AGORA-M)"),
                 _("OfficialFiles", "Another one is made here, which takes longer")),
    OfficialPart(("fused_params_dataset.npy",), _("OfficialFiles", "Head shapes and cameras"),
                 _("OfficialFiles", "Head shapes are made up")),
)


def look_into(folder: Path) -> tuple[FoundPart, ...]:
    """The published files in a folder and below, each with its file or None."""
    files = [*_files(folder)]
    return tuple(FoundPart(part, next((path for pattern in part.patterns for path in files
                                       if fnmatch(path.name.casefold(), pattern)), None)) for part in PARTS)


def _files(folder: Path) -> Iterator[Path]:
    seen = 0
    for root, folders, files in os.walk(folder):
        depth = len(Path(root).relative_to(folder).parts)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < _DEEPEST else []
        for name in sorted(files):
            seen += 1
            if seen > _MOST_ENTRIES:
                return
            yield Path(root) / name
