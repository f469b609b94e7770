"""Settings files as `Settings`: what can be used of a file is used, and what cannot is told."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agora_app.settings.migrations import migrate
from agora_app.settings.model import VERSION, Section, Settings


@dataclass(frozen=True)
class Loaded:
    """What a settings file holds.

    Attributes:
        settings: always usable.
        problem: for the user, empty when all is well.
        stale: the file should be written anew, because it was read from an older version or mended.
    """

    settings: Settings
    problem: str = ""
    stale: bool = False


def read_settings(path: Path) -> Loaded:
    """Read a settings file. Never raises: a file that cannot be used is set aside under another name, and defaults are used."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Loaded(Settings())
    except OSError as error:
        return _set_aside(path, f"The settings file cannot be read ({error.strerror or type(error).__name__})")
    except UnicodeDecodeError:
        return _set_aside(path, "The settings file was damaged")
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("not a group of values")
        version = values.get("version", 0)
        if type(version) is int and version > VERSION:
            return _set_aside(path, "The settings were made by a newer version of the program")
        values = migrate(values)
    except (ValueError, RecursionError, TypeError, AttributeError, KeyError):
        return _set_aside(path, "The settings file was damaged")
    settings, refused = _accept(values)
    problem = ""
    if refused:
        problem = f"Some settings could not be used and were set back to their defaults: {', '.join(refused)}."
    return Loaded(settings, problem, stale=bool(refused) or version != VERSION)


def _accept(values: dict[str, Any]) -> tuple[Settings, list[str]]:
    """Settings from plain values: what is not known is dropped, what is not allowed takes its default. Also names the latter."""
    accepted, refused = {}, []
    for name, field in Settings.model_fields.items():
        if name == "version" or name not in values:
            continue
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            accepted[name], bad = _accept_section(kind, values[name])
            refused += [f"{name}.{field}" if field else name for field in bad]
        else:
            try:
                accepted[name] = getattr(Settings.model_validate({name: values[name]}), name)
            except ValidationError:
                refused.append(name)
    return Settings.model_construct(**{**_defaults(), **accepted}), refused


def _accept_section(kind: type[Section], values: Any) -> tuple[Section, list[str]]:
    if not isinstance(values, dict):
        return kind(), [""]
    try:
        return kind.model_validate(values), []
    except ValidationError as error:
        bad = list(dict.fromkeys(str(problem["loc"][0]) for problem in error.errors()))
    return kind.model_validate({name: value for name, value in values.items() if name not in bad}), bad


def _defaults() -> dict[str, Any]:
    return {name: getattr(Settings(), name) for name in Settings.model_fields}


def _set_aside(path: Path, reason: str) -> Loaded:
    """Keep a file that cannot be used under another name and start with the defaults."""
    kept = _free_name(path)
    try:
        path.replace(kept)
    except OSError:
        return Loaded(Settings(), f"{reason}, so the program starts with its defaults.")
    return Loaded(Settings(), f"{reason}, so the program starts with its defaults. The file is kept as {kept.name}.")


def _free_name(path: Path) -> Path:
    stem = f"{path.name}.bad-{time.strftime('%Y-%m-%d')}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 100))]
    return next((path.with_name(name) for name in names if not path.with_name(name).exists()), path.with_name(stem))
