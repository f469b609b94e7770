"""Bad input and output: one clear line each, exit code 2, and the folder as it was."""

from __future__ import annotations

import io
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import cli
from core.assets import resource
from core.avatar.sources import STUDIO_PACK_NAME
from tests.media.clips import make_clip

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run(capsys):
    """Runs a command; returns its exit code and what it said on stderr."""

    def run(*arguments):
        code = cli.main([str(a) for a in arguments])
        return code, capsys.readouterr().err

    return run


@pytest.fixture
def folder(tmp_path):
    """Good and bad files to work with."""
    clip = make_clip(tmp_path / "clip.mp4", list(range(0, 400, 40)))
    (tmp_path / "text.mp4").write_text("not a video\n" * 40)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:-700])
    (tmp_path / "text.npz").write_text("not a motion")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "evil.npz", "w") as archive:
        payload = io.BytesIO()
        np.save(payload, np.array([Canary()], object), allow_pickle=True)
        archive.writestr("expression.npy", payload.getvalue())
    (tmp_path / "text.agora").write_text("not a pack")
    with zipfile.ZipFile(tmp_path / "slip.agora", "w") as archive:
        archive.writestr("../evil.txt", "out of the folder")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "black.png")
    return tmp_path


class Canary:
    """Writes a file when it is unpickled."""

    def __reduce__(self):
        return (open, (str(Path.cwd() / "canary"), "w"))


REENACT = ("reenact", "--driver", "{f}/clip.mp4", "--seed", "7", "--out", "{f}/o.mp4")
RENDER = ("render", "--motion", "{f}/other.npz", "--seed", "7", "--out", "{f}/o.mp4")


def changed(base, **options):
    """A command with options replaced or added; an empty value leaves an option out."""
    words = list(base)
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if flag in words:
            at = words.index(flag)
            del words[at:at + 2]
        words += [flag, *([value] if isinstance(value, str) else value)]
    return words


CASES = {
    "no driver": (changed(REENACT, driver="{f}/nothing.mp4"), "nothing.mp4 does not exist"),
    "text as driver": (changed(REENACT, driver="{f}/text.mp4"), "text.mp4"),
    "empty driver": (changed(REENACT, driver="{f}/empty.mp4"), "empty"),
    "truncated driver": (changed(REENACT, driver="{f}/cut.mp4"), "cut off"),
    "folder as driver": (changed(REENACT, driver="{f}"), "folder"),
    "seed abc": (changed(REENACT, seed="abc"), "'abc'"),
    "negative seed": (changed(REENACT, seed="-1"), "seed"),
    "huge seed": (changed(REENACT, seed="4294967296"), "4294967296"),
    "backward range": (changed(REENACT, seed="9-3"), "9-3"),
    "output without ending": (changed(REENACT, out="{f}/o"), "ending"),
    "output of another kind": (changed(REENACT, out="{f}/o.gif"), "o.gif"),
    "output folder missing": (changed(REENACT, out="{f}/no/o.mp4"), "does not exist"),
    "output is a folder": (changed(REENACT, out="{f}/sub.mp4"), "folder"),
    "output is the driver": (changed(REENACT, out="{f}/clip.mp4"), "driver itself"),
    "output in a file": (changed(REENACT, out="{f}/text.npz/o.mp4"), "o.mp4"),
    "unwritable output": (changed(REENACT, out="/proc/o.mp4"), "/proc/o.mp4"),
    "transparent mp4": (changed(REENACT, background="transparent"), "transparent"),
    "unknown background": (changed(REENACT, background="plaid"), "plaid"),
    "missing background": (changed(REENACT, background="{f}/wall.png"), "wall.png"),
    "tiny size": (changed(REENACT, size="4"), "size 4"),
    "size in words": (changed(REENACT, size="large"), "large"),
    "two people in one": (changed(REENACT, seed=("1", "2"), layout="avatar"), "one person"),
    "unknown layout": (changed(REENACT, layout="wall"), "wall"),
    "unknown view": (changed(REENACT, view="upside-down"), "upside-down"),
    "unknown option": ((*REENACT, "--sparkle"), "--sparkle"),
    "missing option": (REENACT[:5], "--out"),
    "no pack": (changed(REENACT, pack="{f}/nothing.agora"), "nothing.agora"),
    "text as pack": (changed(REENACT, pack="{f}/text.agora"), "text.agora"),
    "pack that escapes": (changed(REENACT, pack="{f}/slip.agora"), "slip.agora"),
    "motion out elsewhere": (changed(REENACT, motion_out="{f}/no/m.npz"), "m.npz"),
    "no motion": (changed(RENDER, motion="{f}/nothing.npz"), "nothing.npz"),
    "text as motion": (changed(RENDER, motion="{f}/text.npz"), "text.npz"),
    "other arrays as motion": (RENDER, "other.npz"),
    "motion that runs code": (changed(RENDER, motion="{f}/evil.npz"), "evil.npz"),
    "driver for render": (changed(RENDER, layout="side-by-side"), ""),
    "track without clip": (("track", "{f}/nothing.mp4", "--out", "{f}/m.npz"), "nothing.mp4"),
    "track to a video": (("track", "{f}/clip.mp4", "--out", "{f}/m.mp4"), "m.mp4"),
    "unknown expression": (("identities", "--seeds", "1", "--out", "{f}/s.png", "--expression", "bored"), "bored"),
    "sheet as video": (("identities", "--seeds", "1", "--out", "{f}/s.mp4"), "s.mp4"),
    "sheet of words": (("identities", "--seeds", "a-b", "--out", "{f}/s.png"), "'a'"),
    "sheet without columns": (("identities", "--seeds", "1", "--out", "{f}/s.png", "--columns", "0"), "columns"),
    "report into nowhere": (("doctor", "--json", "{f}/no/d.json"), "d.json"),
    "unknown command": (("dance",), "dance"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(name, run, folder, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "sub.mp4").mkdir()
    before = sorted(folder.rglob("*"))
    words, expected = CASES[name]
    code, said = run(*(word.replace("{f}", str(folder)) for word in words))
    lines = said.splitlines()
    assert code == 2, said
    assert lines[0].startswith("error: ")
    assert expected in lines[0]
    assert lines[1:] == [] or (len(lines) == 2 and lines[1].startswith("hint: "))
    assert sorted(folder.rglob("*")) == before


def test_a_pack_with_a_changed_byte_is_refused(run, folder):
    pack = resource(STUDIO_PACK_NAME)
    if not pack.is_file():
        pytest.skip("the studio pack is not here")
    content = bytearray(pack.read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "changed.agora").write_bytes(content)
    code, said = run(*(w.replace("{f}", str(folder)) for w in changed(REENACT, pack="{f}/changed.agora")))
    assert code == 2
    assert "changed.agora" in said
    assert not (folder / "o.mp4").exists()


@pytest.mark.parametrize("driver", ["clip.mp4", "black.png"])
def test_a_driver_without_a_face(run, folder, driver):
    code, said = run("track", folder / driver, "--out", folder / "m.npz")
    assert code == 2
    assert said.startswith(f"error: no face was found in {folder / driver}\n")
    assert not (folder / "m.npz").exists()


@pytest.mark.media
@pytest.mark.parametrize("driver", ["driving/s13_no_face.mp4", "portraits/animal_monkey.jpg"])
def test_real_drivers_without_a_human_face(run, tmp_path, media, driver):
    code, said = run("reenact", "--driver", media / driver, "--seed", "7", "--out", tmp_path / "o.mp4", "--renderer", "cpu")
    assert code == 2, said
    assert "no face was found" in said
    assert not list(tmp_path.iterdir())


def test_a_fault_of_ours_is_one_line_with_a_log(run, monkeypatch):
    monkeypatch.setattr("core.doctor.run_checks", lambda: 1 / 0)
    code, said = run("doctor")
    assert code == 1
    assert said.startswith("error: ZeroDivisionError")
    log = said.split("details in ")[1].rstrip(")\n")
    assert "ZeroDivisionError" in Path(log).read_text()
    assert said.count("\n") == 1


def test_ctrl_c_ends_with_130(run, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr("core.doctor.run_checks", interrupted)
    code, said = run("doctor")
    assert code == 130
    assert said == "stopped: nothing was written\n"


def test_help_of_every_command(capsys):
    for command in cli.COMMANDS:
        assert cli.main([command, "--help"]) == 0
        assert "--" in capsys.readouterr().out


def test_help_loads_nothing_heavy():
    code = ("import sys; from core import cli; cli.main(['reenact', '--help']);"
            "bad = {'numpy', 'numba', 'av', 'cv2', 'torch', 'mediapipe', 'scipy'} & set(sys.modules); assert not bad, bad")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_pickle_canary_would_sing(tmp_path, monkeypatch):
    """The control of 'motion that runs code': unpickling the payload does write the file."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Canary())).close()
    assert (tmp_path / "canary").exists()
    shutil.rmtree(tmp_path)
