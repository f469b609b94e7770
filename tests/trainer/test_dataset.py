"""The dataset format: what is written comes back, in any selection, and every fault is one line that names the file."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from core.errors import InputError
from core.types import PsiLayout
from trainer.data.dataset import (
    Dataset,
    DatasetInfo,
    People,
    Samples,
    SplitInfo,
    read_info,
    shard_path,
    write_info,
    write_shard,
)

SIZE, LATENT, SHAPE, SEATS = 16, 4, 5, 7
LAYOUT = PsiLayout(expression=3, jaw=3, eyes=6)
SHARDS = ((2, (0, 0, 1)), (3, (0, 1, 1, 2, 2, 2)), (2, (0, 0)), (1, (0,)))  # people, and whose pictures; nobody took the third's


def samples_of(person, seed: int, size: int = SIZE) -> Samples:
    rng, n = np.random.default_rng(seed), len(person)
    return Samples(rng.integers(0, 256, (n, size, size, 4)).astype(np.uint8), rng.normal(size=(n, SHAPE)).astype(np.float32),
                   rng.normal(size=(n, LAYOUT.size)).astype(np.float32), rng.normal(size=(n, 3)).astype(np.float32),
                   rng.normal(size=(n, 4, 4)).astype(np.float32), rng.normal(size=(n, 4)).astype(np.float32),
                   np.array(person, np.int32), rng.normal(size=(n, 468, 3)).astype(np.float32))


def people_of(count: int, seed: int) -> People:
    rng = np.random.default_rng([seed, 1])
    return People(rng.integers(0, 2**40, count), rng.normal(size=(count, LATENT)).astype(np.float32),
                  rng.normal(size=(count, SHAPE)).astype(np.float32), rng.integers(0, 256, (count, SEATS, 3)).astype(np.uint8),
                  rng.uniform(0, 0.07, (count, SEATS)).astype(np.float16), rng.integers(0, 2, (count, SEATS)).astype(np.uint8))


@pytest.fixture
def info() -> DatasetInfo:
    images, people = sum(len(person) for _, person in SHARDS), sum(count for count, _ in SHARDS)
    return DatasetInfo("synthetic", SIZE, "some head", "0" * 64, LAYOUT, LATENT, 3,
                       (SplitInfo("train", images, people, len(SHARDS)), SplitInfo("test", 3, 2, 1)), "for tests")


@pytest.fixture
def folder(tmp_path, info) -> Path:
    for index, (count, person) in enumerate(SHARDS):
        write_shard(shard_path(tmp_path, "train", index), samples_of(person, index), people_of(count, index))
    write_shard(shard_path(tmp_path, "test", 0), samples_of((0, 1, 1), 50), people_of(2, 50))
    write_info(tmp_path, info)
    return tmp_path


def assert_rows(found, expected) -> None:
    """The same values and types in every field."""
    for field in fields(found):
        mine, theirs = getattr(found, field.name), getattr(expected, field.name)
        assert mine.dtype == theirs.dtype, field.name
        np.testing.assert_array_equal(mine, theirs, field.name)


def picked(samples: Samples, rows) -> Samples:
    return Samples(**{f.name: getattr(samples, f.name)[rows] for f in fields(Samples)})


def test_everything_comes_back(folder, info):
    dataset = Dataset.open(folder)
    assert dataset.info == info
    assert dataset.count("train") == 12
    found = dataset.samples("test")
    assert_rows(found, samples_of((0, 1, 1), 50))
    assert_rows(dataset.people("test"), people_of(2, 50))
    assert len(found) == 3
    assert len(dataset.people("train")) == 8


def test_people_are_counted_through_the_shards(folder):
    """Also past somebody without a picture: the row is into everybody of the split."""
    dataset = Dataset.open(folder)
    samples, people = dataset.samples("train"), dataset.people("train")
    assert samples.person.tolist() == [0, 0, 1, 2, 3, 3, 4, 4, 4, 5, 5, 7]
    np.testing.assert_array_equal(people.seed[samples.person[-1]], people_of(1, 3).seed[0])
    np.testing.assert_array_equal(people.latent[samples.person[3:9]], people_of(3, 1).latent[[0, 1, 1, 2, 2, 2]])


@pytest.mark.parametrize("indices", [[0], [11], [2, 3], [0, 4, 5, 10], range(12), [3, 3, 9], range(4, 9), np.array([1, 11])])
def test_a_selection_is_a_slice_of_everything(folder, indices):
    dataset = Dataset.open(str(folder))
    assert_rows(dataset.samples("train", indices), picked(dataset.samples("train"), np.asarray(indices)))


def test_a_selection_reads_its_own_shards_pictures_alone(folder):
    """The pictures of a shard without any of the indices may even be damaged."""
    path = shard_path(folder, "train", 2)
    with safe_open(path, framework="numpy") as shard:
        tensors = {name: shard.get_tensor(name) for name in shard.keys() if name != "sample.rgba"}  # noqa: SIM118
    save_file(tensors, path)
    assert len(Dataset.open(folder).samples("train", [0, 5, 11])) == 3
    with pytest.raises(InputError, match="00002"):
        Dataset.open(folder).samples("train", [0, 9])


@pytest.mark.parametrize(("indices", "message"), [([5, 4], "ascend"), ([-1, 3], "ascend"), ([3, 12], "12 pictures, number 12")])
def test_indices_that_are_none_are_refused(folder, indices, message):
    with pytest.raises(ValueError, match=message):
        Dataset.open(folder).samples("train", indices)


def test_splits_go_by_name(folder):
    with pytest.raises(InputError, match="no part 'tset'") as refused:
        Dataset.open(folder).samples("tset")
    assert "train, test" in refused.value.hint


def test_an_empty_selection_is_refused(folder):
    with pytest.raises(InputError, match="no samples"):
        Dataset.open(folder).samples("train", [])


# ---------------------------------------------------------------------- shards


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def scribbled(path: Path) -> None:
    path.write_bytes(b"x" * 3000)


def other_content(path: Path) -> None:
    save_file({"something": np.zeros(3)}, path)


@pytest.mark.parametrize("damage", [Path.unlink, truncated, emptied, scribbled, other_content])
@pytest.mark.parametrize("read", ["samples", "people"])
def test_a_damaged_shard_is_one_line_with_its_name(folder, damage, read):
    path = shard_path(folder, "train", 1)
    damage(path)
    with pytest.raises(InputError) as refused:
        getattr(Dataset.open(folder), read)("train")
    assert str(path) in refused.value.message
    assert "\n" not in str(refused.value)
    assert "make the dataset again" in refused.value.hint


def test_a_shard_of_another_dataset_is_named(folder):
    path = shard_path(folder, "train", 1)
    write_shard(path, samples_of((0, 1, 2), 1, size=32), people_of(3, 1))
    with pytest.raises(InputError, match="32 x 32 pixels, the dataset is of 16") as refused:
        Dataset.open(folder).samples("train")
    assert str(path) in refused.value.message


def test_a_shard_is_whole_or_not_there(tmp_path, monkeypatch):
    """A stop while the bytes go to the disk leaves nothing behind, and what was there before as it was."""
    path = shard_path(tmp_path, "train", 0)
    samples, people = samples_of((0, 1), 0), people_of(2, 0)

    def stop(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("core.assets.os.fsync", stop)
        with pytest.raises(KeyboardInterrupt):
            write_shard(path, samples, people)
    assert list(path.parent.iterdir()) == []
    write_shard(path, samples, people)
    before = path.read_bytes()
    monkeypatch.setattr("core.assets.os.fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_shard(path, samples_of((0, 1), 9), people)
    assert path.read_bytes() == before


def test_the_same_content_is_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_shard(tmp_path / name, samples_of((0, 1), 0), people_of(2, 0))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# ---------------------------------------------------------------------- description


def test_a_description_survives(tmp_path, info):
    for kind in ("synthetic", "portraits", "official"):
        write_info(tmp_path, replace(info, kind=kind))
        assert read_info(tmp_path) == replace(info, kind=kind)


def test_no_dataset(tmp_path):
    with pytest.raises(InputError, match=r"is not a dataset: it has no dataset\.json") as refused:
        Dataset.open(tmp_path)
    assert str(tmp_path) in refused.value.message


def description(info: DatasetInfo, **changes) -> str:
    raw = {**info.to_json(), **changes}
    return json.dumps({name: value for name, value in raw.items() if value is not None})


WRONG = {
    "not JSON": ("{", "cannot be read"),
    "empty": ("", "cannot be read"),
    "a list": ("[]", "does not describe a dataset"),
    "another format": ({"format": "agora-avatar"}, "does not describe a dataset"),
    "no format": ({"format": None}, "does not describe a dataset"),
    "a later version": ({"version": [2, 0]}, r"format \[2, 0\], this program reads format 1.x"),
    "no version": ({"version": None}, "this program reads format 1.x"),
    "a version of another shape": ({"version": 1}, "this program reads format 1.x"),
    "an empty version": ({"version": []}, "this program reads format 1.x"),
    "no size": ({"size": None}, "missing or of the wrong type"),
    "a size in words": ({"size": "large"}, "missing or of the wrong type"),
    "a tiny size": ({"size": 4}, "out of range"),
    "another kind": ({"kind": "paintings"}, "kind 'paintings'"),
    "a head without a hash": ({"head": {"name": "x"}}, "sha256"),
    "a head that is a name": ({"head": "x"}, "missing or of the wrong type"),
    "ψ as a list": ({"psi": [49, 3, 6]}, "missing or of the wrong type"),
    "ψ with a field too many": ({"psi": {"expression": 3, "tail": 1}}, "missing or of the wrong type"),
    "no splits": ({"splits": None}, "missing or of the wrong type"),
    "splits of names": ({"splits": ["train"]}, "missing or of the wrong type"),
    "a split without shards": ({"splits": [{"name": "train", "images": 1, "people": 1}]}, "missing or of the wrong type"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_description_is_one_line_with_its_name(tmp_path, info, name):
    changes, message = WRONG[name]
    path = tmp_path / "dataset.json"
    path.write_text(changes if isinstance(changes, str) else description(info, **changes))
    with pytest.raises(InputError, match=message) as refused:
        read_info(tmp_path)
    assert str(path) in refused.value.message
    assert "\n" not in str(refused.value)


def test_a_minor_version_is_read(tmp_path, info):
    """Later minor versions add fields only."""
    (tmp_path / "dataset.json").write_text(description(info, version=[1, 7], colour_space="sRGB"))
    assert read_info(tmp_path) == info
