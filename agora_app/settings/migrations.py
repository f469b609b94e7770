"""How settings files of earlier versions become today's.

To change the layout of the file: raise `VERSION` in `agora_app.settings.model`, and add one function here that is decorated
with the version it starts from. It takes the whole file as plain values, and returns what the next version would have written.
Fields that are new need nothing: they start at their defaults. Functions stay for ever; they run one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agora_app.settings.model import VERSION

Values = dict[str, Any]
_steps: dict[int, Callable[[Values], Values]] = {}


def migrates_from(version: int) -> Callable[[Callable[[Values], Values]], Callable[[Values], Values]]:
    """Mark a function as the way from `version` to the next one."""

    def register(step: Callable[[Values], Values]) -> Callable[[Values], Values]:
        if version in _steps:
            raise ValueError(f"there are two ways from version {version}")
        _steps[version] = step
        return step

    return register


def migrate(values: Values) -> Values:
    """Bring the content of a settings file to the present version.

    Args:
        values: as read from the file; a file without a number is of version 0.

    Raises:
        ValueError: the file is of a version from which no way leads here.
    """
    version = values.get("version", 0)
    if type(version) is not int or version < 0:
        raise ValueError(f"there is no version {version!r}")
    while version < VERSION:
        if version not in _steps:
            raise ValueError(f"there is no way from version {version}")
        values = {**_steps[version](values), "version": version + 1}
        version += 1
    return values


_SECTIONS_OF_0 = {
    "theme": ("appearance", "theme"),
    "show_performance": ("appearance", "show_performance"),
    "camera": ("source", "camera_id"),
    "mirror": ("source", "mirror"),
    "rotation": ("source", "rotation"),
    "pack": ("identity", "pack"),
    "background": ("view", "background"),
    "canvas_size": ("view", "size"),
    "smoothing": ("tracking", "smoothing"),
    "recording_folder": ("recording", "folder"),
    "renderer": ("performance", "renderer"),
    "target_fps": ("performance", "target_fps"),
}


@migrates_from(0)
def _into_sections(values: Values) -> Values:
    """Version 0 was one flat list without a number, with the seed as an integer and theme "auto" for the system's."""
    sections: Values = {}
    for name, (section, field) in _SECTIONS_OF_0.items():
        if name in values:
            sections.setdefault(section, {})[field] = values[name]
    if "seed" in values:
        sections.setdefault("identity", {})["person"] = str(values["seed"])
    if values.get("theme") == "auto":
        sections["appearance"]["theme"] = "system"
    for name in ("shortcuts",):
        if name in values:
            sections[name] = values[name]
    return sections
