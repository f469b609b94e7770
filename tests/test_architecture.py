"""The rules of the house that a machine can hold: import directions, single adapters, lint, start-up weight."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("core", "trainer", "agora_app")
ADAPTERS = ("mediapipe", "gsplat", "av", "pyvirtualcam", "OpenGL", "sounddevice", "pythonosc", "cv2_enumerate_cameras", "vispy",
            "lightning_fabric", "tensorboard")


def sources():
    return [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]


def tool(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_imports_go_downward_only():
    done = tool("-c", "import sys; from importlinter.cli import lint_imports_command as c; sys.argv = ['lint-imports']; c()")
    assert done.returncode == 0, done.stdout + done.stderr


def test_lint():
    done = tool("-m", "ruff", "check", ".")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("library", ADAPTERS)
def test_each_foreign_library_has_one_adapter(library):
    pattern = re.compile(rf"^\s*(import|from) {library}\b", re.MULTILINE)
    users = {str(path.relative_to(ROOT)) for path in sources() if pattern.search(path.read_text())}
    assert len(users) <= 1, users


def test_modules_stay_readable():
    long = {str(path.relative_to(ROOT)): n for path in sources() if (n := path.read_text().count("\n")) > 450}
    assert not long


def test_driving_an_avatar_does_not_load_torch_or_mediapipe():
    code = ("import sys, core.avatar, core.render, core.head;"
            "bad = {'torch', 'mediapipe', 'cv2', 'PySide6'} & set(sys.modules); assert not bad, bad")
    done = tool("-c", code)
    assert done.returncode == 0, done.stderr
