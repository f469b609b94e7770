"""`export` from end to end, and what it says when something is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
import trimesh
from plyfile import PlyData

from core import cli
from core.assets import resource
from core.avatar.cloud_file import read_cloud
from core.avatar.sources import STUDIO_PACK_NAME
from core.commands.progress import ProgressBars

MOTION = resource(cli.DEMO_MOTION)

pytestmark = pytest.mark.skipif(not resource(STUDIO_PACK_NAME).is_file(), reason="the studio pack has not been made")


@pytest.fixture
def run(capsys):
    """Runs the command; returns its exit code, what it said on stdout and on stderr."""

    def run(*arguments):
        code = cli.main(["export", *(str(a) for a in arguments)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_a_person_in_every_format_of_clouds(run, tmp_path):
    clouds = {}
    for kind in ("ply", "splat", "spz"):
        code, out, err = run(kind, "--seed", "7", "--out", tmp_path / f"a.{kind}")
        assert code == 0, err
        clouds[kind] = read_cloud(tmp_path / f"a.{kind}").cloud
        assert f"{len(clouds[kind])} Gaussians, {'y up' if kind == 'spz' else 'y down'}" in out
    assert len({len(cloud) for cloud in clouds.values()}) == 1
    # the same head: y points down in the first two, up in the third
    assert np.abs(clouds["ply"].xyz - clouds["spz"].xyz * (1, -1, -1)).max() < 1e-6
    assert len(list(tmp_path.iterdir())) == 3


def test_mixes_faces_and_turns(run, tmp_path):
    code, out, err = run("ply", "--seed", "7+11@0.3", "7", "--expression", "smile", "jaw open", "--out", tmp_path / "all",
                         "--sh-degree", "1", "--axes", "head")
    assert code == 0, err
    assert "4 files, y up" in out
    found = sorted(str(path.relative_to(tmp_path / "all")) for path in (tmp_path / "all").rglob("*.ply"))
    assert found == ["7+11@0.3/jaw_open.ply", "7+11@0.3/smile.ply", "7/jaw_open.ply", "7/smile.ply"]
    assert "f_rest_8" in {p.name for p in PlyData.read(tmp_path / "all" / "7" / "smile.ply")["vertex"].properties}
    assert run("ply", "--seed", "7", "--axes", "head", "--out", tmp_path / "rest.ply")[0] == 0
    assert run("ply", "--seed", "7", "--axes", "head", "--turn", "30", "0", "0", "--out", tmp_path / "turned.ply")[0] == 0
    rest, turned = (read_cloud(tmp_path / name).cloud for name in ("rest.ply", "turned.ply"))
    nose = np.argmax(np.where(np.abs(rest.xyz[:, 0]) < 0.02, rest.xyz[:, 2], -1))
    assert turned.xyz[nose, 0] > 0.03  # toward the person's left


def test_a_motion_becomes_a_folder(run, tmp_path):
    code, out, err = run("ply", "--seed", "7", "--motion", MOTION, "--frames", "20-26", "--fps", "15", "--out", tmp_path / "seq")
    assert code == 0, err
    assert "writing: 4/4" in out
    index = json.loads((tmp_path / "seq" / "index.json").read_text())
    assert (index["fps"], len(index["frames"]), index["axes"]) == (15.0, 4, "3dgs")
    assert all((tmp_path / "seq" / name).is_file() for name in index["frames"])


def test_a_mesh_with_two_animations(run, tmp_path):
    code, out, err = run("glb", "--seed", "7", "--motion", MOTION, "--frames", "20-29", "--expression", "smile", "--out",
                         tmp_path / "a.glb")
    assert code == 0, err
    assert "2 animations" in out
    assert len(trimesh.load(tmp_path / "a.glb").geometry) == 3


def test_a_page_of_two_people(run, tmp_path):
    code, out, err = run("web", "--seed", "7", "7+11", "--motion", MOTION, "--frames", "0-19", "--title", "Two of them", "--out",
                         tmp_path / "a.html")
    assert code == 0, err
    assert "a web page of 2 people" in out
    page = (tmp_path / "a.html").read_text()
    assert "Two of them" in page
    assert "<script" in page


def test_an_exported_head_is_opened_again(run, tmp_path, capsys):
    assert run("splat", "--seed", "7", "--out", tmp_path / "a.splat")[0] == 0
    assert cli.main(["identities", "--pack", str(tmp_path / "a.splat"), "--seeds", "0", "--size", "48",
                     "--out", str(tmp_path / "a.png")]) == 0
    assert cli.main(["render", "--pack", str(tmp_path / "a.splat"), "--seed", "0", "--motion", str(MOTION), "--size", "48",
                     "--renderer", "cpu", "--out", str(tmp_path / "a.mp4")]) == 0
    code, _, err = run("glb", "--pack", tmp_path / "a.splat", "--seed", "0", "--out", tmp_path / "a.glb")
    assert code == 2
    assert "no mesh" in err
    assert not (tmp_path / "a.glb").exists()


BASE = ("--seed", "7", "--out", "{f}/o.ply")
CASES = {
    "unknown kind": (("obj", *BASE), "obj"),
    "no seed": (("ply", "--out", "{f}/o.ply"), "--seed"),
    "seed in words": (("ply", "--seed", "abc", "--out", "{f}/o.ply"), "'abc'"),
    "share too large": (("ply", "--seed", "7+8@2", "--out", "{f}/o.ply"), "7+8@2"),
    "wrong ending": (("ply", "--seed", "7", "--out", "{f}/o.splat"), "must end in .ply"),
    "missing folder": (("ply", "--seed", "7", "--out", "{f}/no/o.ply"), "does not exist"),
    "a full folder": (("ply", "--seed", "7", "8", "--out", "{f}"), "files in it"),
    "a file for many": (("ply", "--seed", "7", "8", "--out", "{f}/text.agora"), "is a file"),
    "unknown face": (("ply", *BASE, "--expression", "bored"), "'bored'"),
    "motion that is none": (("ply", "--seed", "7", "--out", "{f}/s", "--motion", "{f}/text.npz"), "text.npz"),
    "frames without motion": (("ply", *BASE, "--frames", "1-2"), "there is none"),
    "frames in words": (("ply", "--seed", "7", "--out", "{f}/s", "--motion", "{m}", "--frames", "some"), "'some'"),
    "frames that are not": (("ply", "--seed", "7", "--out", "{f}/s", "--motion", "{m}", "--frames", "5-99999"), "5-99999"),
    "faces with motion": (("ply", "--seed", "7", "--out", "{f}/s", "--motion", "{m}", "--expression", "smile"), "own faces"),
    "no frames a second": (("ply", "--seed", "7", "--out", "{f}/s", "--motion", "{m}", "--fps", "0"), "--fps"),
    "degree": (("ply", *BASE, "--sh-degree", "4"), "--sh-degree 4"),
    "turned spz": (("spz", "--seed", "7", "--out", "{f}/o.spz", "--axes", "3dgs"), "y up"),
    "turned mesh": (("glb", "--seed", "7", "--out", "{f}/o.glb", "--turn", "9", "0", "0"), "--turn"),
    "two motions of a page": (("web", "--seed", "7", "--out", "{f}/o.html", "--motion", "{m}", "{m}"), "one motion"),
    "text as pack": (("ply", *BASE, "--pack", "{f}/text.agora"), "text.agora"),
    "text as cloud": (("ply", *BASE, "--pack", "{f}/text.ply"), "text.ply"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_line_and_leaves_nothing(name, run, tmp_path):
    for text in ("text.npz", "text.agora", "text.ply"):
        (tmp_path / text).write_text("nothing of the kind")
    before = sorted(tmp_path.rglob("*"))
    words, expected = CASES[name]
    code, _, said = run(*(word.replace("{f}", str(tmp_path)).replace("{m}", str(MOTION)) for word in words))
    lines = said.splitlines()
    assert code == 2, said
    assert lines[0].startswith("error: ")
    assert expected in lines[0]
    assert lines[1:] == [] or (len(lines) == 2 and lines[1].startswith("hint: "))
    assert sorted(tmp_path.rglob("*")) == before


def test_ctrl_c_leaves_nothing(run, tmp_path, monkeypatch):
    def stop(self, doing, done, total):
        if doing == "writing" and done == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(ProgressBars, "__call__", stop)
    code, _, err = run("ply", "--seed", "7", "--motion", MOTION, "--frames", "0-9", "--out", tmp_path / "seq")
    assert (code, err) == (130, "stopped: nothing was written\n")
    assert not list(tmp_path.iterdir())
