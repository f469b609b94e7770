"""A dataset of the official layout in miniature: read lazily, and every fault named."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import InputError
from trainer.data import official_zip
from trainer.data.check import check_data
from trainer.data.findings import Problem, Severity
from trainer.data.official_zip import MASKS, RENDERINGS, OfficialZip

STEM, COUNT, SIZE = "FFHQ_png_512", 12, 24
NAMES = [f"00000/img{i:08d}.png" for i in range(COUNT)]


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch):
    monkeypatch.setattr(official_zip, "MANY_PICTURES", 10)


def png(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def write_zip(path: Path, entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def entries_of(kind: str) -> dict[str, bytes]:
    rng = np.random.default_rng(1)
    if kind == "masks":
        return {name: png(np.full((SIZE, SIZE), 100 + i, np.uint8)) for i, name in enumerate(NAMES)}
    return {name: png(rng.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)) for name in reversed(NAMES)}


@pytest.fixture
def official(tmp_path):
    labels = {"dataset.json": json.dumps({"labels": [[name, [0.0] * 25] for name in NAMES]}).encode()}
    write_zip(tmp_path / f"{STEM}.zip", entries_of("pictures") | labels)
    write_zip(tmp_path / f"{STEM}{MASKS}", entries_of("masks"))
    write_zip(tmp_path / f"{STEM}{RENDERINGS}", entries_of("renderings"))
    rows = np.arange(COUNT * 364, dtype=np.float32).reshape(COUNT, 364)
    np.save(tmp_path / "fused_params_dataset.npy", rows)
    return tmp_path


def found(folder: Path) -> dict[Problem, Severity]:
    return {finding.problem: finding.severity for finding in check_data(folder).findings}


def test_items_belong_together(official):
    with OfficialZip.open(official) as data:
        assert len(data) == COUNT
        assert list(data.names) == NAMES  # sorted, whatever the order in the zip
        item = data[3]
        assert (item.name, item.image.shape, item.rendering.shape) == (NAMES[3], (SIZE, SIZE, 3), (SIZE, SIZE, 3))
        np.testing.assert_array_equal(item.mask, 103)
        columns = {"shape": (0, 300), "expression": (300, 350), "jaw": (353, 356), "eyelids": (356, 358),
                   "global_pose": (358, 361), "camera": (361, 364)}
        for name, (start, stop) in columns.items():
            np.testing.assert_array_equal(getattr(item.params, name), 3 * 364 + np.arange(start, stop))
        assert sum(1 for _ in data) == COUNT


def test_nothing_is_wrong_with_a_good_one(official):
    report = check_data(official)
    assert report.findings == ()
    assert report.kind == f"official layout '{STEM}'"


def test_parts_may_be_missing(official):
    (official / f"{STEM}{RENDERINGS}").unlink()
    (official / "fused_params_dataset.npy").unlink()
    with OfficialZip.open(official) as data:
        assert data[0].rendering is None
        assert data[0].params is None
    report = check_data(official)
    assert report.blocked
    assert {finding.places[0] for finding in report.findings} == {f"{STEM}{RENDERINGS}", "*fused_params*.npy"}
    assert "FLAME" in report.text()


def test_names_that_do_not_match(official):
    masks = entries_of("masks")
    masks["00000/img99999999.png"] = masks.pop(NAMES[4])
    write_zip(official / f"{STEM}{MASKS}", masks)
    by_problem = {finding.problem: finding for finding in check_data(official).findings}
    assert by_problem[Problem.COUNT].places == (NAMES[4],)
    assert by_problem[Problem.EXTRA_FILE].places == ("00000/img99999999.png",)
    with OfficialZip.open(official) as data, pytest.raises(InputError, match="is missing"):
        data[4]


@pytest.mark.parametrize(("rows", "problem"), [
    (np.ones((COUNT - 1, 364), np.float32), Problem.COUNT),
    (np.ones((COUNT, 300), np.float32), Problem.LAYOUT),
    (np.ones((COUNT, 364)), Problem.LAYOUT),
    (np.full((COUNT, 364), np.nan, np.float32), Problem.BAD_NUMBER),
    (-np.ones((COUNT, 364), np.float32), Problem.BAD_CAMERA),
])
def test_wrong_numbers(official, rows, problem):
    np.save(official / "fused_params_dataset.npy", rows)
    assert found(official) == {problem: Severity.BLOCKING}


def test_an_array_of_objects_is_not_unpickled(official):
    np.save(official / "fused_params_dataset.npy", np.array([print, "x"], object), allow_pickle=True)
    assert found(official) == {Problem.DAMAGED_FILE: Severity.BLOCKING}


def test_damaged_and_odd_pictures(official):
    pictures = entries_of("pictures")
    pictures[NAMES[0]] = b"no picture"
    pictures[NAMES[1]] = png(np.zeros((SIZE, 2 * SIZE, 3), np.uint8))
    masks = entries_of("masks") | {NAMES[2]: png(np.zeros((SIZE, SIZE), np.uint8))}
    write_zip(official / f"{STEM}.zip", pictures)
    write_zip(official / f"{STEM}{MASKS}", masks)
    report = check_data(official)
    by_problem = {}
    for finding in report.findings:
        by_problem.setdefault(finding.problem, []).append(finding)
    assert by_problem[Problem.DAMAGED_FILE][0].places == (NAMES[0],)
    assert by_problem[Problem.EMPTY_MASK][0].places == (NAMES[2],)
    assert by_problem[Problem.LAYOUT][0].places == (NAMES[1],)  # its mask is smaller
    assert "48 x 24" in by_problem[Problem.LAYOUT][1].message
    assert by_problem[Problem.MISSING_FILE][0].severity is Severity.WARNING  # dataset.json


def test_a_zip_that_is_none(official):
    (official / f"{STEM}.zip").write_bytes(b"PK\x03\x04 and no more")
    assert found(official) == {Problem.DAMAGED_FILE: Severity.BLOCKING}
    with pytest.raises(InputError, match="not a zip file"):
        OfficialZip.open(official)


def test_folders_with_none_or_several(tmp_path, official):
    with pytest.raises(InputError, match="holds no dataset of the official layout"):
        OfficialZip.open(tmp_path / "empty")
    write_zip(official / "other.zip", entries_of("pictures"))
    write_zip(official / f"other{MASKS}", entries_of("masks"))
    with pytest.raises(InputError, match="holds 2 official datasets"):
        OfficialZip.open(official)


def test_an_entry_that_unpacks_to_too_much_is_not_read(official, monkeypatch):
    monkeypatch.setattr(official_zip, "LARGEST_ENTRY", 100)
    with OfficialZip.open(official) as data, pytest.raises(InputError, match="too large"):
        data.image(NAMES[0])
