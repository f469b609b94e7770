"""A virtual screen, and the program started on it as a user would."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def virtual_screen() -> Iterator[str]:
    """DISPLAY of a screen that lives until the generator is closed; skips where there can be none."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("Xvfb is not installed here")
    reading, writing = os.pipe()
    process = subprocess.Popen([server, "-displayfd", str(writing), "-screen", "0", "1600x1000x24", "-nolisten", "tcp"],
                               pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        number = pipe.readline().strip()
    if not number:
        pytest.skip("Xvfb does not start here")
    yield f":{number}"
    process.terminate()
    process.wait(10)


def screen_environment(display: str, data: Path) -> dict[str, str]:
    """The environment of a program that opens its window there and keeps its data in a folder of the test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("QT_", "WAYLAND"))}
    return {**kept, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb", "AGORA_DATA": str(data)}


def start(environment: dict[str, str], *arguments) -> subprocess.Popen:
    """Start `main.py` with arguments."""
    command = [sys.executable, str(ROOT / "main.py"), *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
