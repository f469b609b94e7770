"""The commands from end to end on a driver that the program renders itself."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from core import cli
from core.assets import resource
from core.avatar.sources import STUDIO_PACK_NAME
from core.media.video_reader import open_video
from core.tracking.motion_clip import MotionClip, read_motion, write_motion
from core.types import TrackState
from tests.media.clips import stamps

FRAMES = 60

pytestmark = pytest.mark.skipif(not resource(STUDIO_PACK_NAME).is_file(), reason="the studio pack has not been made")


def run(*arguments) -> int:
    return cli.main([str(a) for a in arguments])


@pytest.fixture(scope="module")
def motion(tmp_path_factory):
    """The liveliest two seconds of the demo's motion."""
    whole = read_motion(resource(cli.DEMO_MOTION))
    path = tmp_path_factory.mktemp("motion") / "m.npz"
    write_motion(path, MotionClip(whole.params[20:20 + FRAMES], whole.expression_names, whole.head_sha256))
    return path


@pytest.fixture(scope="module")
def driver(motion):
    """A rendered person as the driver."""
    path = motion.with_name("driver.mp4")
    assert run("render", "--motion", motion, "--seed", "11", "--out", path, "--size", "320", "--renderer", "cpu") == 0
    return path


def test_reenact_keeps_frames_and_times_and_says_so(driver, tmp_path, capsys):
    code = run("reenact", "--driver", driver, "--seed", "7", "--out", tmp_path / "o.mp4", "--size", "96", "--motion-out",
               tmp_path / "m.npz", "--renderer", "cpu")
    said = capsys.readouterr()
    assert code == 0, said.err
    assert f"{FRAMES} frames" in said.out
    assert said.err == ""  # no terminal, no progress bars
    assert stamps(tmp_path / "o.mp4") == stamps(driver)
    assert {p.name for p in tmp_path.iterdir()} == {"o.mp4", "m.npz"}
    assert len(read_motion(tmp_path / "m.npz")) == FRAMES


def test_the_tracked_motion_follows_the_one_that_was_rendered(driver, motion, tmp_path):
    """Head turn, nod and tilt, and less closely the jaw: a drawn mouth is read with another gain than a photographed one."""
    assert run("track", driver, "--out", tmp_path / "m.npz") == 0
    tracked, played = read_motion(tmp_path / "m.npz").params, read_motion(motion).params
    assert sum(p.state is TrackState.TRACKED for p in tracked) >= FRAMES - 2

    def curves(params):
        return np.array([[*p.head_rotation, p.jaw_pose[0]] for p in params]).T

    follows = [np.corrcoef(ours, theirs)[0, 1] for ours, theirs in zip(curves(tracked), curves(played), strict=True)]
    assert min(follows[:3]) > 0.8
    assert follows[3] > 0.6


def test_render_in_other_ways(motion, tmp_path):
    base = ("render", "--motion", motion, "--renderer", "cpu", "--size", "64")
    assert run(*base, "--seed", "7", "11", "7", "--out", tmp_path / "wall.mp4", "--background", "white") == 0
    assert run(*base, "--seed", "7", "--out", tmp_path / "clear.webm", "--background", "transparent", "--view", "orbit") == 0
    assert run(*base, "--seed", "7", "--out", tmp_path / "follow.mkv", "--background", "#00f", "--view", "follow") == 0
    wall = next(iter(open_video(tmp_path / "wall.mp4"))).image
    assert wall.shape == (128, 128, 3)
    assert np.abs(wall[:64, :64].astype(int) - wall[64:, :64]).mean() < 4  # the first and the third are the same person
    assert np.abs(wall[:64, :64].astype(int) - wall[:64, 64:]).mean() > 4  # the second is another
    for name in ("clear.webm", "follow.mkv"):
        assert len(list(open_video(tmp_path / name))) == FRAMES


def test_side_by_side_shows_the_driver(driver, tmp_path):
    assert run("reenact", "--driver", driver, "--seed", "7", "--out", tmp_path / "o.mp4", "--size", "96", "--layout",
               "side-by-side", "--background", "blur", "--renderer", "cpu") == 0
    picture = next(iter(open_video(tmp_path / "o.mp4"))).image
    original = next(iter(open_video(driver))).image
    small = np.asarray(Image.fromarray(original).resize((96, 96), Image.Resampling.BOX))
    assert picture.shape == (96, 192, 3)
    assert np.abs(picture[:, :96].astype(int) - small).mean() < 8


def test_contact_sheet_and_strip(tmp_path):
    assert run("identities", "--seeds", "7,11", "--out", tmp_path / "two.png", "--size", "64", "--columns", "2") == 0
    assert run("identities", "--seeds", "7", "--out", tmp_path / "strip.jpg", "--size", "48", "--expression", "strip") == 0
    assert Image.open(tmp_path / "two.png").size == (128, 64)
    assert Image.open(tmp_path / "strip.jpg").size == (288, 96)


def test_the_demo_plays_without_a_display(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert cli.demo_instead_of_window("there is no display here") == 0
    said = capsys.readouterr().out
    assert "no display" in said
    assert str(tmp_path / "demo.mp4") in said
    assert len(stamps(tmp_path / "demo.mp4")) == len(read_motion(resource(cli.DEMO_MOTION)))


def test_ctrl_c_keeps_the_frames_that_are_done(motion, tmp_path, monkeypatch, capsys):
    from core.commands.progress import ProgressBars

    def stop(self, doing, done, total):
        if done == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBars, "__call__", stop)
    code = run("render", "--motion", motion, "--seed", "7", "--out", tmp_path / "o.mp4", "--size", "64", "--renderer", "cpu")
    assert code == 130
    assert f"the first 10 of {FRAMES} frames" in capsys.readouterr().out
    assert len(stamps(tmp_path / "o.mp4")) == 10


def test_full_disk(motion, tmp_path, capsys):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        code = run("render", "--motion", motion, "--seed", "7", "--out", disk / "o.mp4", "--size", "512", "--renderer", "cpu")
        said = capsys.readouterr().err
        assert code == 2
        assert said.splitlines()[0].startswith(f"error: {disk / 'o.mp4'} cannot be written: No space left")
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", "-l", disk], check=False)


def test_bench_and_doctor_write_reports(tmp_path, capsys, monkeypatch):
    from core.commands import bench

    def broken():
        raise RuntimeError("no such thing here")

    monkeypatch.setattr(bench, "MEASURES", {"encoding": bench.MEASURES["encoding"], "imaginary": broken})
    assert run("bench", "--json", tmp_path / "b.json") == 0
    first, second = json.loads((tmp_path / "b.json").read_text())["sections"]
    assert first["figures"][0]["value"] > 0
    assert "no such thing" in second["problem"]
    run("doctor", "--json", tmp_path / "d.json")
    names = {check["name"] for check in json.loads((tmp_path / "d.json").read_text())["checks"]}
    assert {"python", "head model", "landmark model"} <= names
    assert "python" in capsys.readouterr().out


def test_another_pack_file_is_used(motion, tmp_path):
    shutil.copy(resource(STUDIO_PACK_NAME), tmp_path / "mine.agora")
    assert run("render", "--motion", motion, "--seed", "7", "--pack", tmp_path / "mine.agora", "--out", tmp_path / "o.mp4",
               "--size", "48", "--renderer", "cpu") == 0
