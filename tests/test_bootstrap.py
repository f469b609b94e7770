"""Set-up: each step once, healed after an interruption, every failure said in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bootstrap
import system_libraries

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def sandbox(tmp_path, monkeypatch):
    """A checkout without an environment, in which the slow steps only record that they ran."""
    calls = []
    monkeypatch.setattr(bootstrap, "ROOT", tmp_path)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    for name in ("requirements.txt", "requirements-dev.txt"):
        (tmp_path / name).write_text(f"# {name}\n")

    def make_venv():
        calls.append("venv")
        bootstrap.venv_python().parent.mkdir(parents=True, exist_ok=True)
        bootstrap.venv_python().touch()

    monkeypatch.setattr(bootstrap, "_make_venv", make_venv)
    monkeypatch.setattr(bootstrap, "_install", lambda step: calls.append(step))
    monkeypatch.setattr(bootstrap, "_keep_one_opencv", lambda: calls.append("opencv"))
    monkeypatch.setattr(bootstrap, "_fetch_assets", lambda: calls.append("assets"))
    monkeypatch.setattr(bootstrap, "_restart_inside", lambda: calls.append("restart"))
    monkeypatch.setattr(system_libraries, "ensure", lambda say: calls.append("libraries"))
    monkeypatch.setattr(system_libraries, "ensure_virtual_screen", lambda say: calls.append("screen"))
    monkeypatch.setattr(system_libraries, "ensure_browser", lambda say: calls.append("browser"))
    return calls


def test_a_bare_machine_gets_everything_once(sandbox):
    bootstrap.ensure_environment()
    assert sandbox == ["libraries", "venv", "requirements.txt", "opencv", "assets", "restart"]
    sandbox.clear()
    bootstrap.ensure_environment()
    assert sandbox == ["restart"]


def test_tests_add_their_packages_only(sandbox):
    bootstrap.ensure_environment()
    sandbox.clear()
    bootstrap.ensure_environment(with_tests=True)
    assert "requirements-dev.txt" in sandbox
    assert "requirements.txt" not in sandbox


def test_an_interrupted_set_up_goes_on(sandbox, monkeypatch):
    def broken(_step):
        raise bootstrap.SetupError("no network")

    with monkeypatch.context() as patch:
        patch.setattr(bootstrap, "_install", broken)
        with pytest.raises(bootstrap.SetupError):
            bootstrap.ensure_environment()
    assert "restart" not in sandbox
    bootstrap.ensure_environment()
    assert sandbox[-1] == "restart"
    assert "requirements.txt" in sandbox


def test_changed_requirements_are_installed(sandbox):
    bootstrap.ensure_environment()
    sandbox.clear()
    (bootstrap.ROOT / "requirements.txt").write_text("# another\n")
    bootstrap.ensure_environment()
    assert "requirements.txt" in sandbox


@pytest.mark.parametrize("content", ["", "{", json.dumps({"sha256": "x"}), "[]"[:1]])
def test_a_torn_mark_does_not_count(sandbox, content):
    bootstrap.ensure_environment()
    bootstrap._mark_path("requirements.txt").write_text(content)
    sandbox.clear()
    bootstrap.ensure_environment()
    assert "requirements.txt" in sandbox


def test_a_lost_interpreter_is_made_again(sandbox):
    bootstrap.ensure_environment()
    bootstrap.venv_python().unlink()
    sandbox.clear()
    bootstrap.ensure_environment()
    assert "venv" in sandbox


@pytest.mark.parametrize(("output", "said"), [
    ("OSError: [Errno 28] No space left on device", "the disk is full"),
    ("Failed to establish a new connection: [Errno 101]", "no network"),
    ("ERROR: Could not find a version that satisfies the requirement torch==2.13.0 (from versions: none)",
     "torch==2.13.0 cannot be found: there is no network"),
    ("ERROR: Cannot install a and b because these package versions have conflicting dependencies.", "Cannot install a and b"),
    ("", "requirements.txt cannot be installed"),
])
def test_pip_failures_become_one_line(output, said):
    explained = bootstrap._explain_pip("requirements.txt", output)
    assert said in explained
    assert "\n" not in explained


def test_a_full_disk_is_noticed_before_anything_is_written(sandbox, monkeypatch):
    monkeypatch.setattr(bootstrap.shutil, "disk_usage", lambda _path: type("usage", (), {"free": 10**8})())
    with pytest.raises(bootstrap.SetupError, match=r"0\.1 GB free"):
        bootstrap.ensure_environment()
    assert sandbox == []


def test_it_restarts_once_only(monkeypatch):
    monkeypatch.setenv(bootstrap.INSIDE, "1")
    with pytest.raises(bootstrap.SetupError, match="does not run in its own environment"):
        bootstrap._restart_inside()


@pytest.mark.skipif(os.name == "nt", reason="the lock of this test is POSIX's")
def test_two_processes_do_not_set_up_at_once(sandbox, tmp_path):
    import fcntl

    with bootstrap._lock(), open(tmp_path / ".setup.lock", "a+") as other, pytest.raises(OSError, match="unavailable"):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_missing_libraries_are_named_with_the_command(monkeypatch):
    said = []
    monkeypatch.setattr(system_libraries, "missing", lambda: [system_libraries.LIBRARIES[0]])
    monkeypatch.setattr(system_libraries, "_can_apt", lambda: False)
    monkeypatch.setattr(system_libraries, "_is_root", lambda: False)
    monkeypatch.setattr(system_libraries.shutil, "which", lambda _name: "/usr/bin/apt-get")
    system_libraries.ensure(said.append)
    assert len(said) == 1
    assert "sudo apt-get install -y libgl1" in said[0]


def test_a_missing_venv_module_stops_with_the_command(monkeypatch):
    monkeypatch.setattr(system_libraries.importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(system_libraries, "_can_apt", lambda: False)
    with pytest.raises(bootstrap.SetupError, match="venv"):
        system_libraries.ensure_venv_module(print)


def test_the_preamble_needs_only_the_standard_library():
    code = "import sys; sys.path.insert(0, '.'); import main, bootstrap, system_libraries; main.main(['--help'])"
    done = subprocess.run([sys.executable, "-S", "-I", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "reenact" in done.stdout


def test_there_is_exactly_one_opencv():
    from importlib import metadata

    names = {dist.metadata["Name"].lower() for dist in metadata.distributions()}
    assert len(names & {"opencv-python", "opencv-python-headless", "opencv-contrib-python"}) == 1
