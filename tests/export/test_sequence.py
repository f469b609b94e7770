"""A motion as a folder of PLY files: it plays, and no frame is there when it is stopped."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from plyfile import PlyData

from core.assets import resource
from core.avatar.sources import open_source
from core.cli import DEMO_MOTION
from core.errors import InputError, OutputError
from core.export.clouds import CloudOptions, check_folder_output, whole_folder
from core.export.sequence import chosen_frames, write_sequence
from core.pipeline.offline import resting_translation
from core.tracking.motion_clip import read_motion
from tests.export.people import as_shown, avatar, pictures, psnr

FRAMES = 30


@pytest.fixture(scope="module")
def motion():
    return read_motion(resource(DEMO_MOTION)).params[20:20 + FRAMES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, motion):
    folder = tmp_path_factory.mktemp("sequence")
    write_sequence(folder, avatar(), motion, 30.0, CloudOptions("ply"), resting_translation(motion))
    return folder


def test_thirty_frames_play(folder, motion):
    """Every tenth frame as the avatar draws it (equal pixels, measured 100 dB), the others of the same size and order."""
    index = json.loads((folder / "index.json").read_text())
    assert index["fps"] == 30.0
    assert index["frames"] == [f"frame_{i:06d}.ply" for i in range(FRAMES)]
    assert {path.name for path in folder.iterdir()} == {*index["frames"], "index.json"}
    driven = avatar()
    for i in range(0, FRAMES, 10):
        shown = as_shown(open_source(folder / index["frames"][i]))
        wanted = driven.drive(motion[i], resting_translation(motion))
        assert psnr(pictures(shown), pictures(wanted)) >= 60


def test_gaussians_keep_their_place_in_the_file(folder):
    """Colours, which no expression changes, are those of the same Gaussian in all frames; positions move by millimetres."""
    tables = [PlyData.read(folder / f"frame_{i:06d}.ply")["vertex"] for i in (0, 1, FRAMES - 1)]
    assert len({len(table.data) for table in tables}) == 1
    for table in tables[1:]:
        assert all((table[name] == tables[0][name]).all() for name in ("f_dc_0", "f_dc_1", "f_dc_2"))
    steps = np.stack([tables[1][axis] - tables[0][axis] for axis in "xyz"])
    assert 0 < np.abs(steps).max() < 0.02


@pytest.mark.parametrize("kind", ["splat", "spz"])
def test_other_formats_keep_the_order_too(tmp_path, motion, kind):
    write_sequence(tmp_path, avatar(), motion[:2], 30.0, CloudOptions(kind))
    first, second = (open_source(tmp_path / f"frame_00000{i}.{kind}").build("0").gaussians for i in (0, 1))
    same = min(len(first), len(second))
    assert (first.rgb[:same // 2] == second.rgb[:same // 2]).mean() > 0.99


def test_frames_are_chosen_by_number_and_rate(motion):
    still = [replace(params, time_ns=i * 40_000_000) for i, params in enumerate(motion)]  # 25 frames per second
    part, fps = chosen_frames(still, 25.0, (5, 14))
    assert ([p.time_ns for p in part], fps) == ([p.time_ns for p in still[5:15]], 25.0)
    half, fps = chosen_frames(still, 25.0, (0, 20), 12.5)
    assert ([p.time_ns for p in half], fps) == ([p.time_ns for p in still[0:21:2]], 12.5)
    more, _ = chosen_frames(still, 25.0, (0, 10), 50.0)
    assert len(more) == 21
    assert len(chosen_frames(still, 25.0, (3, 3), 10.0)[0]) == 1
    with pytest.raises(InputError, match="30 "):
        chosen_frames(still, 25.0, (10, FRAMES))


def test_a_stopped_folder_leaves_nothing(tmp_path):
    def stopped():
        with whole_folder(tmp_path / "out") as folder:
            (folder / "frame_000000.ply").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert not list(tmp_path.iterdir())


def test_a_folder_with_files_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="files in it"):
        check_folder_output(tmp_path)
    (tmp_path / "empty").mkdir()
    check_folder_output(tmp_path / "empty")
    with whole_folder(tmp_path / "empty") as folder:
        (folder / "a").write_bytes(b"1")
    assert (tmp_path / "empty" / "a").read_bytes() == b"1"
