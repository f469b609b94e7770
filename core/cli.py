"""The run-time commands by name, and what happens when one fails: one clear line, an exit code, nothing half-written."""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from core.errors import AgoraError, InputError

COMMANDS = {
    "reenact": "a face video drives one or more people, into a video",
    "track": "a face video to a motion clip",
    "render": "a motion clip with any person, view and background",
    "identities": "a contact sheet of people",
    "export": "people as PLY, splat, SPZ, glTF or a web page",
    "doctor": "what works on this machine, and the mending step for what does not",
    "bench": "how fast this machine is, stage by stage",
}
DEMO_SEED = 7
DEMO_MOTION = "demo_motion.npz"
DEMO_VIDEO = "demo.mp4"
_LOG_BYTES = 1_000_000


def main(argv: list[str]) -> int:
    """Run a command. Returns the exit code: 0 done, 1 a fault of ours, 2 a wrong input or output, 130 stopped by Ctrl-C."""
    return guarded(lambda: _run(argv))


def demo_instead_of_window(reason: str) -> int:
    """What happens without a command where no window can open: the demo is written, and it is said why."""
    print(f"{reason}, so the demo is written to a file", flush=True)
    return guarded(lambda: demo(Path(DEMO_VIDEO)))


def demo(out: Path) -> int:
    """Let a person who ships with the program play a sample motion into a video, and say where it is."""
    from core.assets import resource
    from core.commands import render

    options = render.Options(seed=(str(DEMO_SEED),), out=out, motion=resource(DEMO_MOTION))
    code = render.run(options)
    if code == 0:
        print(f"the demo is in {out.resolve()}\nnext: main.py reenact --driver YOUR_VIDEO --seed 12 --out mine.mp4")
    return code


def _run(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        width = max(len(name) for name in COMMANDS)
        print("\n".join(f"  {name:<{width}}  {help_line}" for name, help_line in COMMANDS.items()))
        return 0
    name, *arguments = argv
    if name not in COMMANDS:
        raise InputError(f"there is no command '{name}'", f"commands: {', '.join(COMMANDS)}")
    from core.commands.arguments import parse_arguments

    command = importlib.import_module(f"core.commands.{name}")
    return command.run(parse_arguments(command.Options, name, arguments))


def guarded(work: Callable[[], int]) -> int:
    """Run a command; turn whatever it raises into one line on stderr and an exit code."""
    try:
        return work()
    except AgoraError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped: nothing was written", file=sys.stderr)
        return 130
    except SystemExit as stop:  # the help
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (for the interpreter's own flush on exit)
        return 0
    except Exception as error:
        log = _write_log()
        print(f"error: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
              f" (a fault of the program; details in {log})", file=sys.stderr)
        return 1


def _write_log() -> Path | str:
    """Append the current traceback to the log and return its path; the traceback is shown where no log can be written."""
    from core.assets import data_folder

    log = data_folder() / "log.txt"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        mode = "w" if log.exists() and log.stat().st_size > _LOG_BYTES else "a"
        with log.open(mode) as file:
            file.write(f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv)}\n{traceback.format_exc()}\n")
    except OSError:
        traceback.print_exc()
        return "the lines above"
    return log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
