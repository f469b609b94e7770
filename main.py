#!/usr/bin/env python3
"""AGORA live: drive a 3D Gaussian head with a face video.

usage: python3 main.py [COMMAND [ARGUMENTS]]

Without a command the window opens: a camera or a video drives the head you choose. The first run sets up everything that is
needed beside this file; `python3 main.py COMMAND --help` explains a command.

  live         the window, with a video, a person or a renderer of your choice
  reenact      a face video drives one or more people, into a video
  track        a face video to a motion clip
  render       a motion clip with any person, view and background
  identities   a contact sheet of people
  invert       photographs of one person to an avatar
  export       people as PLY, splat, SPZ, glTF or a web page
  import-official
               the published AGORA files to an avatar pack
  data         make, ingest or check a dataset
  train        train a generator, or go on with a run
  evaluate     measure a generator or a pack against a dataset
  ablate       what shape map, dual discrimination and deformation branch bring
  distill      extract the shared Gaussian blendshapes into an avatar pack
  doctor       what works on this machine, and the mending step for what does not
  bench        how fast this machine is, stage by stage
  soak         a long live session in the window, measured
  screenshots  pictures of the window, its docks and dialogs
  test         run the tests
"""

from __future__ import annotations

import sys

import bootstrap


def main(argv: list[str]) -> int:
    """Set up if needed, then hand over to a command, the tests or the demo."""
    if sys.version_info < (3, 10):  # noqa: UP036  (runs before anything has checked the interpreter)
        print(f"error: Python 3.10 or newer is needed, this is {sys.version.split()[0]}", file=sys.stderr)
        return 2
    if argv[:1] in (["--help"], ["-h"], ["help"]):
        print(__doc__.strip())
        return 0
    try:
        bootstrap.ensure_environment(with_tests=argv[:1] == ["test"])
    except bootstrap.SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nset-up interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    return run(argv)


def run(argv: list[str]) -> int:
    """Everything that happens inside the environment."""
    command = argv[0] if argv else ""
    if command == "test":
        return bootstrap.run_tests(argv[1:])
    import core.cli

    if not command:
        return open_window()
    if command in core.cli.COMMANDS:
        return core.cli.main(argv)
    import agora_app.cli
    import trainer.cli

    for table in (agora_app.cli, trainer.cli):
        if command in table.COMMANDS:
            return table.main(argv)
    known = ", ".join([*core.cli.COMMANDS, *agora_app.cli.COMMANDS, *trainer.cli.COMMANDS, "test"])
    print(f"error: there is no command '{command}' (commands: {known})", file=sys.stderr)
    return 2


def open_window() -> int:
    """The window; where none can open, the demo as a file."""
    import agora_app.cli
    import core.cli
    from core.errors import DeviceError

    try:
        agora_app.cli.require_screen()
    except DeviceError as error:
        return core.cli.demo_instead_of_window(error.message)
    return agora_app.cli.main(["live"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
