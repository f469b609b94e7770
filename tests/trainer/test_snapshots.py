"""Which snapshot is shipped, and that generators come back from disk as they were."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from core.errors import InputError
from core.head.library import load_open_head
from core.networks.head_generator import HeadGenerator, HeadGeneratorConfig
from trainer.recipe import ci_recipe
from trainer.snapshots import Snapshot, SnapshotStore, choose, read_generator, write_generator

CONFIG = HeadGeneratorConfig(replace(ci_recipe().networks, plane_resolution=16), 8)


@pytest.fixture(scope="module")
def head():
    return load_open_head()


@pytest.fixture(scope="module")
def generator(head):
    torch.manual_seed(0)
    made = HeadGenerator(CONFIG, head)
    made.mapping.w_avg.normal_()
    return made


# ---------------------------------------------------------------------- choice


def image(images, distance, patches=None):
    return taken("image", images, distance, patches, None)


def finish(images, distance, patches=None, leak=None):
    return taken("adversarial", images, distance, patches, leak)


def taken(kind, images, distance, patches, leak) -> Snapshot:
    numbers = [("FD-synth", distance), ("SWD 128", patches), ("skin leak", leak), ("SWD 64", 1e6 - images), ("PSNR", 20.0)]
    return Snapshot(images, "p", kind, tuple((name, value) for name, value in numbers if value is not None))


CASES = {
    "nothing at all": ([], None),
    "nothing was measured: the last": ([image(1, None), finish(2, None), finish(3, None)], 3),
    "supervised alone: the nearest": ([image(1, 9.0), image(2, 7.0), image(3, 8.0)], 2),
    "the finish is better": ([image(1, 9.0, 5.0), finish(2, 6.0, 4.0, 0.1)], 2),
    "the best of the finish": ([image(1, 9.0, 5.0), finish(2, 6.0, 4.0, 0.1), finish(3, 5.0, 4.5, 0.1), finish(4, 7.0, 3.0, 0.1)],
                               3),
    "the finish is farther": ([image(1, 5.0, 5.0), finish(2, 6.0, 4.0, 0.1)], 1),
    "as near is not nearer": ([image(1, 5.0, 5.0), finish(2, 5.0, 4.0, 0.1)], 1),
    "its skin is torn": ([image(1, 9.0, 5.0), finish(2, 3.0, 4.0, 2.0), finish(3, 8.0, 4.0, 1.9)], 3),
    "all skins are torn": ([image(1, 9.0, 5.0), finish(2, 3.0, 4.0, 5.0)], 1),
    "its patches are worse": ([image(1, 9.0, 5.0), finish(2, 3.0, 5.1, 0.1), finish(3, 8.0, 5.0, 0.1)], 3),
    "patches were not measured": ([image(1, 9.0), finish(2, 3.0)], 2),
    "the leak was not measured": ([image(1, 9.0, 5.0), finish(2, 3.0, 5.0)], 2),
    "compared with the best supervised one": ([image(1, 4.0, 3.0), image(2, 6.0, 9.0), finish(3, 3.0, 5.0, 0.1)], 1),
    "a run without supervision": ([finish(1, 9.0, 5.0, 0.1), finish(2, 8.0, 5.0, 0.1), finish(3, 8.5, 5.0, 0.1)], 2),
    "without supervision, torn": ([finish(1, 9.0, 5.0, 9.0), finish(2, 8.0, 5.0, 9.0)], 2),
    "unmeasured ones are passed over": ([image(1, 9.0, 5.0), finish(2, 8.0, 4.0, 0.1), finish(3, None)], 2),
    "not a number is not measured": ([image(1, 9.0, 5.0), finish(2, float("nan"), 4.0, 0.1)], 1),
    "only numbers that are none": ([image(1, float("nan")), finish(2, float("nan"))], 2),
}


@pytest.mark.parametrize("name", CASES)
def test_the_choice(name):
    snapshots, images = CASES[name]
    chosen = choose(snapshots)
    assert (None if chosen is None else chosen.images) == images


def test_the_largest_pictures_patches_count():
    """Patches at 64 pixels, which are more in number, say nothing where those at 128 are there."""
    better = Snapshot(2, "p", "adversarial", (("FD-synth", 5.0), ("SWD 128", 4.0), ("SWD 64", 99.0)))
    worse = Snapshot(3, "p", "adversarial", (("FD-synth", 4.0), ("SWD 128", 6.0), ("SWD 64", 1.0)))
    supervised = Snapshot(1, "p", "image", (("FD-synth", 9.0), ("SWD 64", 9.0), ("SWD 128", 5.0)))
    assert choose([supervised, better, worse]) is better


def test_of_equals_the_first():
    """A distance that is smaller by less than its noise does not make up for more adversarial training."""
    supervised, first, second = image(1, 9.0), finish(2, 5.05), finish(3, 5.0)
    assert choose([supervised, first, second]) is first
    assert choose([supervised, replace(first, numbers=(("FD-synth", 5.2),)), second]) is second


# ---------------------------------------------------------------------- disk


def test_a_generator_comes_back(generator, head, tmp_path):
    path = tmp_path / "g.safetensors"
    write_generator(path, generator)
    found = read_generator(path, head)
    assert found.config == CONFIG
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    state = found.state_dict()
    assert set(state) == set(generator.state_dict())
    for name, value in generator.state_dict().items():
        torch.testing.assert_close(state[name], value, atol=0, rtol=0)
    z, shape = torch.randn(2, 8), generator.shape_maps(head.shape_bank[:2])
    torch.testing.assert_close(found.people(z, shape, truncation=0.7).planes, generator.people(z, shape, truncation=0.7).planes,
                               atol=0, rtol=0)
    assert [p.name for p in tmp_path.iterdir()] == ["g.safetensors"]


def rewritten(source, target, metadata=None, drop=None, add=None, resize=None):
    """A copy of a generator's file with another description or other tensors."""
    with safe_open(source, framework="pt") as file:
        about = {**file.metadata(), **(metadata or {})}
        tensors = {name: file.get_tensor(name) for name in file.keys() if name != drop}  # noqa: SIM118
    if add:
        tensors[add] = torch.zeros(1)
    if resize:
        tensors[resize] = torch.zeros(3)
    save_file(tensors, target, {name: value for name, value in about.items() if value is not None})


@pytest.mark.parametrize(("changes", "message"), [
    ({"metadata": {"format": "agora-avatar"}}, "is not a generator of this program's format 1"),
    ({"metadata": {"format": None}}, "is not a generator"),
    ({"metadata": {"version": "2"}}, "is not a generator of this program's format 1"),
    ({"metadata": {"head": "0" * 64}}, "was trained on another head model"),
    ({"metadata": {"config": "{"}}, "do not fit"),
    ({"metadata": {"config": "[]"}}, "do not fit"),
    ({"metadata": {"config": json.dumps({**CONFIG.to_json(), "wings": 2})}}, "do not fit.*wings"),
    ({"metadata": {"config": None}}, "do not fit.*config"),
    ({"metadata": {"config": json.dumps(HeadGeneratorConfig(CONFIG.networks, 9).to_json())}}, "do not fit.*mapping"),
    ({"metadata": {"config": json.dumps(replace(CONFIG, seat_resolution=32).to_json())}}, "do not fit.*reach"),
    ({"drop": "mapping.fc0.weight"}, "do not fit.*mapping.fc0.weight"),
    ({"add": "mapping.fc7.weight"}, "do not fit.*mapping.fc7.weight"),
    ({"resize": "mapping.w_avg"}, "do not fit.*mapping.w_avg"),
])
def test_what_is_no_generator_of_this_head_is_refused(generator, head, tmp_path, changes, message):
    write_generator(tmp_path / "good.safetensors", generator)
    bad = tmp_path / "bad.safetensors"
    rewritten(tmp_path / "good.safetensors", bad, **changes)
    with pytest.raises(InputError, match=message) as refused:
        read_generator(bad, head)
    assert str(bad) in refused.value.message
    assert "\n" not in str(refused.value)


def test_missing_and_damaged_files_are_named(generator, head, tmp_path):
    path = tmp_path / "g.safetensors"
    with pytest.raises(InputError, match=r"g\.safetensors cannot be read"):
        read_generator(path, head)
    write_generator(path, generator)
    content = path.read_bytes()
    for damaged in (b"", b"not a file of tensors", content[:-100], content[:40]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"g\.safetensors cannot be read") as refused:
            read_generator(path, head)
        assert "\n" not in str(refused.value)


def test_a_store_keeps_what_it_is_given(generator, head, tmp_path):
    store = SnapshotStore(tmp_path / "snapshots")
    assert store.all() == []
    late, early = finish(200, 6.5, 4.0, 0.1), image(100, 7.5, 5.0)
    for snapshot in (late, early):
        store.save(generator, snapshot)
    assert store.all() == [early, late]
    assert store.path(late).name == "000000200.safetensors"
    assert read_generator(store.path(late), head).config == CONFIG
    assert early.number("FD-synth") == 7.5
    assert early.number("FID") is None


def test_damaged_snapshots_are_passed_over(generator, tmp_path):
    store = SnapshotStore(tmp_path)
    good = image(100, 7.5)
    store.save(generator, good)
    store.save(generator, image(300, 5.0))
    store.path(image(300, 5.0)).unlink()
    for name, text in (("a", ""), ("b", "{"), ("c", "[]"), ("d", "{}"), ("e", "null"),
                       ("f", '{"images": 1, "phase": "p", "kind": "k", "numbers": 3}'),
                       ("g", '{"images": "x", "phase": "p", "kind": "k", "numbers": []}'),
                       ("h", '{"images": 1, "phase": "p", "kind": "k", "numbers": [["FD"]]}')):
        (tmp_path / f"{name}.json").write_text(text)
    assert store.all() == [good]
