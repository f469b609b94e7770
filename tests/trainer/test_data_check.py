"""Each fault that a dataset can have is put into a good one, and the check must name it, where it is and how grave it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core.geometry import orbit_camera
from core.head.library import load_open_head
from trainer.data import check as check_module
from trainer.data.check import check_data
from trainer.data.cli_portraits import BLOCKED, CheckOptions, check
from trainer.data.dataset import DatasetInfo, People, Samples, SplitInfo, shard_path, write_info, write_shard
from trainer.data.findings import Problem, Severity

SIZE = 16
PER_SHARD = 10


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(autouse=True)
def _few_are_enough(monkeypatch):
    monkeypatch.setattr(check_module, "MANY_IMAGES", 20)


def picture(rng) -> np.ndarray:
    """A random blob on nothing, premultiplied."""
    colour = rng.integers(0, 256, (SIZE, SIZE, 3))
    alpha = np.zeros((SIZE, SIZE, 1), int)
    alpha[3:14, 3:14] = rng.integers(100, 256, (11, 11, 1))
    return np.concatenate([colour * alpha // 255, alpha], 2).astype(np.uint8)


def good_shard(head, rng, first_seed: int) -> tuple[Samples, People]:
    n, e = PER_SHARD, head.expression_count
    cameras = [orbit_camera(yaw, 0.0, SIZE, SIZE) for yaw in rng.uniform(-0.6, 0.6, n)]
    psi = np.concatenate([rng.uniform(0, 1, (n, e)), np.zeros((n, 9))], 1).astype(np.float32)
    psi[::2, e] = head.jaw_open_angle
    shape = rng.normal(size=(n, head.shape_count)).astype(np.float32)
    landmarks = np.concatenate([rng.uniform(4, 12, (n, 468, 2)), np.ones((n, 468, 1))], 2).astype(np.float32)
    samples = Samples(np.stack([picture(rng) for _ in range(n)]), shape, psi, np.zeros((n, 3), np.float32),
                      np.stack([c.world_to_camera for c in cameras]),
                      np.array([[c.fx, c.fy, c.cx, c.cy] for c in cameras], np.float32), np.arange(n, dtype=np.int32), landmarks)
    people = People(np.arange(first_seed, first_seed + n), np.zeros((n, 4), np.float32), shape, np.zeros((n, 0, 3), np.uint8),
                    np.zeros((n, 0), np.float16), np.zeros((n, 0), np.uint8))
    return samples, people


@pytest.fixture
def dataset(tmp_path, head):
    """A good dataset: three shards to train on, one to test."""
    rng = np.random.default_rng(0)
    for split, index, seed in (("train", 0, 0), ("train", 1, 10), ("train", 2, 20), ("test", 0, 500)):
        write_shard(shard_path(tmp_path, split, index), *good_shard(head, rng, seed))
    info = DatasetInfo("synthetic", SIZE, head.name, head.sha256, head.psi_layout, 4, 0,
                       (SplitInfo("train", 30, 30, 3), SplitInfo("test", 10, 10, 1)))
    write_info(tmp_path, info)
    return tmp_path


def rewrite(folder: Path, head, split: str = "train", index: int = 1, **changes) -> None:
    """Writes a shard anew with `changes`: functions that alter the copy of an array in place."""
    samples, people = good_shard(head, np.random.default_rng(99), 7000)
    for name, change in changes.items():
        owner = samples if hasattr(samples, name) and name != "seed" else people
        array = getattr(owner, name).copy()
        changed = change(array)
        array = array if changed is None else changed
        if owner is samples:
            samples = replace(samples, **{name: array})
        else:
            people = replace(people, **{name: array})
    write_shard(shard_path(folder, split, index), samples, people)


def put(value, *place):
    def change(array):
        array[place] = value
    return change


def found(folder: Path) -> dict[Problem, Severity]:
    return {finding.problem: finding.severity for finding in check_data(folder).findings}


def test_nothing_is_wrong_with_a_good_one(dataset):
    report = check_data(dataset)
    assert report.findings == ()
    assert not report.blocked
    assert report.images == {"train": 30, "test": 10}
    assert "nothing is wrong" in report.text()


@pytest.mark.parametrize(("change", "problem"), [
    ({"psi": put(np.nan, 3, 2)}, Problem.BAD_NUMBER),
    ({"landmarks": put(np.inf, 3, 0, 0)}, Problem.BAD_NUMBER),
    ({"world_to_camera": put(2.0, 3, 0, 0)}, Problem.BAD_CAMERA),
    ({"intrinsics": put(0.0, 3, 0)}, Problem.BAD_CAMERA),
    ({"rgba": put((200, 10, 10, 50), 3, 5, 5)}, Problem.NOT_PREMULTIPLIED),
    ({"rgba": lambda a: a[:, :8]}, Problem.LAYOUT),
    ({"psi": lambda a: a[:, :55]}, Problem.LAYOUT),
    ({"person": put(40, 3)}, Problem.LAYOUT),
])
def test_what_makes_labels_useless_is_blocking(dataset, head, change, problem):
    rewrite(dataset, head, **change)
    report = check_data(dataset)
    finding = next(finding for finding in report.findings if finding.problem is problem)
    assert report.blocked
    assert finding.count == 1
    expected = "train/shard-00001.safetensors" if problem is Problem.LAYOUT else "train: picture 13"
    assert finding.places == (expected,)


@pytest.mark.parametrize(("change", "problem"), [
    ({"rgba": put(0, 3)}, Problem.EMPTY_MASK),
    ({"landmarks": put(90.0, 3, slice(None), 0)}, Problem.OUT_OF_FRAME),
])
def test_a_few_bad_pictures_warn_and_many_block(dataset, head, change, problem, monkeypatch):
    rewrite(dataset, head, **change)
    assert found(dataset)[problem] is Severity.BLOCKING  # 1 of 30 is more than is tolerated
    monkeypatch.setattr(check_module, "TOLERATED_SHARE", 0.05)
    assert found(dataset)[problem] is Severity.WARNING


def test_pictures_without_background_warn(dataset, head):
    rewrite(dataset, head, rgba=put(255, 3))
    assert found(dataset) == {Problem.FULL_MASK: Severity.WARNING}


def test_missing_and_truncated_shards_are_named(dataset):
    shard_path(dataset, "train", 1).unlink()
    damaged = shard_path(dataset, "test", 0)
    damaged.write_bytes(damaged.read_bytes()[:-200])
    by_problem = {finding.problem: finding for finding in check_data(dataset).findings}
    assert by_problem[Problem.MISSING_FILE].places == ("train/shard-00001.safetensors",)
    assert by_problem[Problem.DAMAGED_FILE].places == ("test/shard-00000.safetensors",)
    assert Problem.COUNT not in by_problem  # which follows from the others


def test_wrong_counts_and_left_over_files(dataset, head):
    samples, people = good_shard(head, np.random.default_rng(5), 40)
    cut = Samples(**{name: getattr(samples, name)[:7] for name in Samples.__dataclass_fields__})
    write_shard(shard_path(dataset, "train", 2), cut, people)
    write_shard(shard_path(dataset, "train", 3), samples, people)
    by_problem = {finding.problem: finding for finding in check_data(dataset).findings}
    assert "holds 27 pictures" in by_problem[Problem.COUNT].message
    assert by_problem[Problem.EXTRA_FILE].places == ("shard-00003.safetensors",)


def test_copies_and_leaks(dataset, head):
    samples, people = good_shard(head, np.random.default_rng(0), 0)  # the first training shard's
    twice = samples.rgba.copy()
    twice[9] = twice[8]
    write_shard(shard_path(dataset, "train", 0), replace(samples, rgba=twice), people)
    assert found(dataset) == {Problem.DUPLICATE: Severity.WARNING}
    write_shard(shard_path(dataset, "test", 0), samples, people)
    report = check_data(dataset)
    leaks = [finding.message for finding in report.findings if finding.problem is Problem.LEAK]
    assert report.blocked
    assert leaks == ["9 test pictures are training pictures", "10 people of the test part are training people"]


def test_near_copies_of_photographs(dataset, head):
    info = json.loads((dataset / "dataset.json").read_text())
    (dataset / "dataset.json").write_text(json.dumps(info | {"kind": "portraits"}))
    samples, people = good_shard(head, np.random.default_rng(0), 0)
    brighter = samples.rgba[:1].copy()
    brighter[..., :3] = np.minimum(brighter[..., :3] // 2 + brighter[..., 3:] // 3, brighter[..., 3:])
    pictures = np.concatenate([brighter, np.full_like(samples.rgba[1:], 255)])
    write_shard(shard_path(dataset, "test", 0), replace(samples, rgba=pictures), replace(people, seed=np.full(10, -1)))
    leak = [finding for finding in check_data(dataset).findings if finding.problem is Problem.LEAK]
    assert leak[0].places == ("test: picture 0 ~ train: picture 0",)


def test_another_head_model(dataset):
    info = json.loads((dataset / "dataset.json").read_text())
    info["head"]["sha256"] = "0" * 64
    (dataset / "dataset.json").write_text(json.dumps(info))
    assert found(dataset)[Problem.WRONG_HEAD] is Severity.BLOCKING


def test_too_few_and_nothing_to_test(dataset, monkeypatch):
    monkeypatch.setattr(check_module, "MANY_IMAGES", 2000)
    assert found(dataset) == {Problem.TOO_FEW: Severity.WARNING}
    info = json.loads((dataset / "dataset.json").read_text())
    info["splits"] = [{"name": "train", "images": 10, "people": 10, "shards": 1}]
    (dataset / "dataset.json").write_text(json.dumps(info))
    assert found(dataset) == {Problem.TOO_FEW: Severity.BLOCKING, Problem.NO_TEST: Severity.WARNING,
                              Problem.EXTRA_FILE: Severity.WARNING}


def test_one_sided_labels_are_pointed_out(dataset, head):
    frontal = np.stack([orbit_camera(0.4, 0.0, SIZE, SIZE).world_to_camera] * PER_SHARD)
    for index in range(3):
        samples, people = good_shard(head, np.random.default_rng(index), 100 * index)
        write_shard(shard_path(dataset, "train", index), replace(samples, world_to_camera=frontal, psi=0 * samples.psi), people)
    messages = " ".join(f.message for f in check_data(dataset).findings if f.problem is Problem.DISTRIBUTION)
    for words in ("seen from one side (yaw 23 ± 0", "mean yaw 23", "0.0 % of the mouths", "49 of 49 expressions"):
        assert words in messages


@pytest.mark.parametrize("content", ["{", "[]", '{"format": "agora-dataset", "version": [9, 0]}', '{"format": "x"}'])
def test_a_damaged_description(tmp_path, content):
    (tmp_path / "dataset.json").write_text(content)
    assert found(tmp_path) == {Problem.DESCRIPTION: Severity.BLOCKING}


def test_a_folder_that_is_none(tmp_path):
    assert found(tmp_path) == {Problem.NOT_A_DATASET: Severity.BLOCKING}
    assert found(tmp_path / "absent") == {Problem.NOT_A_DATASET: Severity.BLOCKING}


def test_the_command_says_it_and_returns_a_code(dataset, head, tmp_path, capsys):
    report = tmp_path / "report.json"
    assert check(CheckOptions(folder=dataset, json=report)) == 0
    rewrite(dataset, head, psi=put(np.nan, 3, 2))
    assert check(CheckOptions(folder=dataset, json=report)) == BLOCKED
    assert "blocking: 1 of 30 pictures in train have labels that are not finite" in capsys.readouterr().out
    written = json.loads(report.read_text())
    assert written["blocked"] is True
    assert written["findings"][0]["problem"] == "bad_number"
