"""The commands that need a window."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

COMMANDS = {
    "live": "open the window with a video, a person or a renderer of your choice",
    "soak": "a long live session, measured: frame rate, latency, dropped frames, memory",
    "screenshots": "pictures of the window, its docks and dialogs in both themes",
}


@dataclass(kw_only=True)
class LiveOptions:
    """Open the window. The settings decide what is not said here."""

    files: tyro.conf.Positional[tuple[Path, ...]] = ()
    """Videos, motion clips or avatar packs to open."""
    driver: Path | None = None
    """A video that plays as the camera."""
    seed: str = ""
    """Who is on stage: a seed, or a mix such as 7+42@0.5."""
    renderer: Literal["", "auto", "cpu", "opengl", "cuda"] = ""
    """What draws."""
    safe: bool = False
    """Start with the CPU renderer and without the virtual camera."""
    questions: bool = True
    """Let the first-run wizard and notes appear."""


def main(argv: list[str]) -> int:
    """Run a command that needs a window. Returns the exit code."""
    from core.cli import guarded

    return guarded(lambda: _run(argv))


def _run(argv: list[str]) -> int:
    from core.commands.arguments import parse_arguments

    name, *arguments = argv
    if name == "live":
        return live(parse_arguments(LiveOptions, name, arguments))
    command = importlib.import_module(f"agora_app.scripts.{name}")
    return command.run(parse_arguments(command.Options, name, arguments))


def live(options: LiveOptions) -> int:
    """Open the window and stay until it is closed."""
    require_screen()
    from agora_app.app import Start, run
    from core.media.ffmpeg import require_file

    files = (*([options.driver] if options.driver else []), *options.files)
    for file in files:
        require_file(file)
    return run(Start(tuple(str(file) for file in files), options.seed, options.renderer, options.safe, options.questions))


def require_screen() -> None:
    """Raise DeviceError when no window can open here."""
    import os

    import system_libraries
    from core.doctor import has_display
    from core.errors import DeviceError

    if not has_display() and not os.environ.get("QT_QPA_PLATFORM"):
        raise DeviceError("there is no display here, so no window can open",
                          "use the commands that write files, such as reenact; or run under xvfb-run")
    lacking = [library.package for library in system_libraries.missing() if library.needed_for == "the window"]
    if lacking:
        raise DeviceError("libraries that the window needs are missing", system_libraries.install_command(lacking))
