"""Makes the environment the program runs in, with nothing but the standard library.

A virtual environment `.venv` beside this file, the packages of requirements.txt, the third-party files of
`core.assets`. Each finished step leaves a mark in `.venv`, written last and in one piece, so a set-up that was cut
short (killed, disk full, no network) is simply continued by the next run, and a finished one costs a file read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import system_libraries
from system_libraries import SetupError

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
TEST_REQUIREMENTS = "requirements-dev.txt"
NEEDED_BYTES = 4 * 1024**3
INSIDE = "AGORA_INSIDE_ENVIRONMENT"  # set before the program starts itself again, so that it does so once only


def ensure_environment(with_tests: bool = False) -> None:
    """Return inside a complete environment, or start this program again in one. Raises SetupError."""
    steps = ["requirements.txt", *([TEST_REQUIREMENTS] if with_tests else [])]
    if not all(_is_done(step) for step in steps):
        with _lock():
            _set_up(steps)
    if not _running_inside():
        _restart_inside()


def run_tests(arguments: list[str]) -> int:
    """Run the test suite with the environment's Python."""
    return subprocess.call([str(venv_python()), "-m", "pytest", *arguments], cwd=ROOT)


def venv_python() -> Path:
    """The environment's interpreter."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


# ---------------------------------------------------------------------------------------------------------- steps


def _set_up(steps: list[str]) -> None:
    started = time.monotonic()
    missing = [step for step in steps if not _is_done(step)]
    if not missing:  # another process has just finished it
        return
    _say("setting up (once; about 3 minutes and 3 GB)")
    _check_space()
    system_libraries.ensure(_say)
    if TEST_REQUIREMENTS in steps:
        system_libraries.ensure_virtual_screen(_say)
        system_libraries.ensure_browser(_say)
    _make_venv()
    for step in missing:
        _install(step)
    _keep_one_opencv()
    _fetch_assets()
    for step in missing:
        _mark_done(step)
    _say(f"ready after {time.monotonic() - started:.0f} s")


def _check_space() -> None:
    free = shutil.disk_usage(ROOT).free
    if free < NEEDED_BYTES and not venv_python().exists():
        raise SetupError(f"{ROOT} has {free / 1024**3:.1f} GB free; the set-up needs {NEEDED_BYTES / 1024**3:.0f} GB")


def _make_venv() -> None:
    """Create `.venv`, or create it anew when what is there cannot run pip."""
    if venv_python().exists() and _quiet([venv_python(), "-m", "pip", "--version"]):
        return
    system_libraries.ensure_venv_module(_say)
    _say("making the virtual environment")
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise SetupError(f"the virtual environment {VENV} cannot be made: {reason[0]}")


def _install(requirements: str) -> None:
    """Install a requirements file with pip and show which package it is at."""
    _say(f"installing the packages of {requirements}")
    command = [str(venv_python()), "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
               "--progress-bar", "off", "-r", str(ROOT / requirements)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT)
    lines: list[str] = []
    try:
        for line in process.stdout:
            lines.append(line.rstrip())
            words = line.split()
            if words[:1] in (["Collecting"], ["Downloading"]):
                _progress(f"  {words[0].lower()} {words[1][:60]}")
            elif line.startswith("Installing collected packages"):
                _progress("  installing (the longest step)")
    finally:
        if process.poll() is None and sys.exc_info()[0] is not None:
            process.terminate()
        code = process.wait()
    _progress("")
    if code:
        raise SetupError(_explain_pip(requirements, "\n".join(lines)))


def _explain_pip(requirements: str, output: str) -> str:
    """One line for what pip says in many."""
    if "No space left" in output:
        return f"the disk is full; free some space beside {ROOT} and run the same command again"
    if any(mark in output for mark in ("Temporary failure in name resolution", "Failed to establish a new connection",
                                       "Name or service not known", "Connection refused", "Network is unreachable",
                                       "timed out", "No route to host")):
        return "the packages cannot be downloaded: no network; run the same command again when there is one"
    if "(from versions: none)" in output:
        wanted = output.split("satisfies the requirement ")[-1].split(" ")[0]
        return (f"{wanted} cannot be found: there is no network, or no build of it for Python {sys.version.split()[0]} "
                "on this system; run the same command again")
    errors = [line for line in output.splitlines() if line.startswith("ERROR")] or output.splitlines()[-1:] or ["pip failed"]
    return f"{requirements} cannot be installed: {errors[0].removeprefix('ERROR: ')}"


def _keep_one_opencv() -> None:
    """Two OpenCV packages write into the same cv2 folder; keep the one that mediapipe brings."""
    listing = subprocess.run([str(venv_python()), "-m", "pip", "list", "--format=json", "--disable-pip-version-check"],
                             capture_output=True, text=True, check=False).stdout
    names = {package["name"].lower() for package in json.loads(listing or "[]")}
    extra = sorted(names & {"opencv-python", "opencv-python-headless", "opencv-contrib-python-headless"})
    if extra:
        _say(f"removing {', '.join(extra)}: opencv-contrib-python is there already")
        pip = [str(venv_python()), "-m", "pip"]
        subprocess.run([*pip, "uninstall", "-y", *extra], capture_output=True, check=False)
        subprocess.run([*pip, "install", "--force-reinstall", "--no-deps", "opencv-contrib-python"],
                       capture_output=True, check=False)


def _fetch_assets() -> None:
    """Fetch the third-party files; without them the program still runs and says which one is missing."""
    _say("fetching the face landmark model")
    done = subprocess.run([str(venv_python()), "-m", "core.assets"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        _say(f"warning: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'it could not be fetched'}")


# ---------------------------------------------------------------------------------------------------------- marks


def _mark_path(requirements: str) -> Path:
    return VENV / f".done-{requirements}.json"


def _fingerprint(requirements: str) -> str:
    return hashlib.sha256((ROOT / requirements).read_bytes()).hexdigest()


def _is_done(requirements: str) -> bool:
    try:
        mark = json.loads(_mark_path(requirements).read_text())
    except (OSError, ValueError):
        return False
    return mark.get("sha256") == _fingerprint(requirements) and venv_python().exists()


def _mark_done(requirements: str) -> None:
    path = _mark_path(requirements)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps({"sha256": _fingerprint(requirements), "python": sys.version.split()[0]}))
    os.replace(temporary, path)


@contextlib.contextmanager
def _lock() -> Iterator[None]:
    """Let one process at a time set up; the operating system frees the lock of a killed one."""
    handle = open(ROOT / ".setup.lock", "a+")  # noqa: SIM115  (held for the whole set-up)
    try:
        _wait_for_lock(handle)
        yield
    finally:
        handle.close()


def _wait_for_lock(handle) -> None:
    waiting = False
    while True:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if not waiting:
                _say("another process is setting up; waiting for it")
                waiting = True
            time.sleep(1)


# -------------------------------------------------------------------------------------------------------- helpers


def _running_inside() -> bool:
    return Path(sys.prefix).resolve() == VENV.resolve()


def _restart_inside() -> None:
    if os.environ.get(INSIDE):
        raise SetupError(f"{venv_python()} does not run in its own environment; remove {VENV} and run the same command again")
    os.environ[INSIDE] = "1"
    command = [str(venv_python()), *sys.argv]
    if os.name == "nt":  # Windows has no exec that keeps the console
        sys.exit(subprocess.call(command))
    os.execv(command[0], command)


def _quiet(command: list) -> bool:
    return subprocess.run([str(part) for part in command], capture_output=True, check=False).returncode == 0


def _say(text: str) -> None:
    print(f"[set-up] {text}", file=sys.stderr, flush=True)


def _progress(text: str) -> None:
    """Rewrite the line on a terminal; stay silent in a log."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
