"""The shared libraries of the operating system that the packages link against, and how to get the missing ones.

Standard library only: this runs before anything is installed. Only Linux is looked at; the wheels for Windows and
macOS bring what they need.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass


class SetupError(Exception):
    """The environment cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Library:
    """A shared object, the Debian package it lies in, and what does not work without it."""

    file: str
    package: str
    needed_for: str


LIBRARIES = (
    Library("libGL.so.1", "libgl1", "reading video"),
    Library("libgthread-2.0.so.0", "libglib2.0-0", "reading video"),
    Library("libEGL.so.1", "libegl1", "tracking"),
    Library("libGLESv2.so.2", "libgles2", "tracking"),
    Library("libxkbcommon.so.0", "libxkbcommon0", "the window"),
    Library("libxkbcommon-x11.so.0", "libxkbcommon-x11-0", "the window"),
    Library("libdbus-1.so.3", "libdbus-1-3", "the window"),
    Library("libfontconfig.so.1", "libfontconfig1", "the window"),
    Library("libxcb-cursor.so.0", "libxcb-cursor0", "the window"),
    Library("libxcb-icccm.so.4", "libxcb-icccm4", "the window"),
    Library("libxcb-keysyms.so.1", "libxcb-keysyms1", "the window"),
    Library("libxcb-image.so.0", "libxcb-image0", "the window"),
    Library("libxcb-render-util.so.0", "libxcb-render-util0", "the window"),
    Library("libxcb-shape.so.0", "libxcb-shape0", "the window"),
    Library("libxcb-xinerama.so.0", "libxcb-xinerama0", "the window"),
    Library("libportaudio.so.2", "libportaudio2", "the microphone"),
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def missing() -> list[Library]:
    """The libraries that this machine lacks."""
    return [library for library in LIBRARIES if not _loads(library.file)] if sys.platform == "linux" else []


def install_command(packages: list[str]) -> str:
    """The one command that installs packages, or the best description of it where there is no apt."""
    sudo = "" if _is_root() else "sudo "
    if shutil.which("apt-get"):
        return f"{sudo}apt-get update && {sudo}apt-get install -y {' '.join(packages)}"
    return f"install with your package manager what Debian calls: {' '.join(packages)}"


def ensure(say: Callable[[str], None]) -> None:
    """Install what is missing (Debian and Ubuntu, as root), else say which command does. Never stops the set-up."""
    lacking = missing()
    if not lacking:
        return
    packages = [library.package for library in lacking]
    if _can_apt():
        say(f"installing system libraries: {' '.join(packages)}")
        _apt_install(packages)
        lacking = missing()
    if lacking:
        uses = ", ".join(dict.fromkeys(library.needed_for for library in lacking))
        say(f"system libraries are missing for {uses}; run: {install_command([lib.package for lib in lacking])}")


def ensure_virtual_screen(say: Callable[[str], None]) -> None:
    """Xvfb, on which the tests open real windows where there is no screen. Without it those tests skip."""
    if sys.platform == "linux" and not shutil.which("Xvfb") and _can_apt():
        say("installing xvfb for the tests of the window")
        _apt_install(["xvfb"])


def browser() -> str | None:
    """Path of a Chromium or Chrome, in which the tests open exported web pages."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def ensure_browser(say: Callable[[str], None]) -> None:
    """Chromium, for the tests of exported web pages. Without it those tests skip."""
    if sys.platform == "linux" and not browser() and _can_apt():
        say("installing chromium for the tests of web pages")
        _apt_install(["chromium"])


def ensure_venv_module(say: Callable[[str], None]) -> None:
    """Debian splits `venv` from Python: install it as root, else raise SetupError with the command that does."""
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    if _can_apt():
        say(f"installing {package}")
        _apt_install([package])
        importlib.invalidate_caches()
    if not (importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")):
        raise SetupError(f"Python's venv module is missing; run: {install_command([package])}")


def _apt_install(packages: list[str]) -> None:
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    if subprocess.run(install, capture_output=True, env=environment, check=False).returncode:
        subprocess.run(["apt-get", "update"], capture_output=True, env=environment, check=False)
        subprocess.run(install, capture_output=True, env=environment, check=False)


def _loads(file: str) -> bool:
    try:
        ctypes.CDLL(file)
    except OSError:
        return False
    return True


def _can_apt() -> bool:
    return sys.platform == "linux" and _is_root() and shutil.which("apt-get") is not None


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
