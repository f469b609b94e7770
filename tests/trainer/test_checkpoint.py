"""Checkpoints: exact, whole or not there, whatever happens while they are written."""

from __future__ import annotations

import json
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import core.assets
from core.errors import InputError, OutputError
from trainer.checkpoint import (
    Checkpoint,
    CheckpointStore,
    load_module,
    load_optimizer,
    load_rng,
    module_tensors,
    optimizer_about,
    optimizer_tensors,
    read_checkpoint,
    rng_tensors,
)

ROOT = Path(__file__).resolve().parent.parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")


@pytest.fixture
def store(tmp_path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints", keep=3)


def simple(step: int, size: int = 100) -> Checkpoint:
    return Checkpoint(step, {"weight": torch.full((size,), float(step))}, {"step": step})


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 2)).to(memory_format=torch.channels_last)


def adam(module: nn.Module) -> torch.optim.Adam:
    late = list(module[2].parameters())
    early = [*module[0].parameters(), *module[1].parameters()]
    return torch.optim.Adam([{"params": early, "lr": 1e-3}, {"params": late}], 2.5e-3, betas=(0.0, 0.99))


def test_every_dtype_and_layout_comes_back_bit_by_bit(store):
    torch.manual_seed(0)
    base = torch.randn(6, 8)
    tensors = {
        "f64": torch.randn(3, 4, dtype=torch.float64), "f16": torch.randn(5).half(), "bf16": torch.randn(5).bfloat16(),
        "i64": torch.tensor([2**62, -1]), "u8": torch.arange(256, dtype=torch.uint8), "bool": torch.tensor([True, False]),
        "scalar": torch.tensor(1 / 3, dtype=torch.float64), "empty": torch.zeros(0, 3), "one": torch.ones(1),
        "transposed": base.T, "part": base[1:5:2, ::3], "shared": base, "again": base, "spread": torch.ones(1, 3).expand(4, 3),
        "last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last), "nan": torch.tensor([float("nan"), -0.0]),
        "grad": nn.Parameter(torch.ones(2)),
    }
    about = {"float": 0.1 + 0.2, "nested": {"list": [1, None, "ö"]}, "big": 2**100}
    store.save(Checkpoint(7, tensors, about))
    read = store.newest()
    assert (read.step, read.about) == (7, about)
    assert read.tensors.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (read.tensors[name].dtype, read.tensors[name].shape) == (tensor.dtype, tensor.shape), name
        written = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
        assert torch.equal(read.tensors[name].reshape(-1).view(torch.uint8), written), name


def test_the_newest_are_kept(store):
    assert store.newest() is None
    for step in (5, 100, 1000, 123456789, 2_000_000_000):
        store.save(simple(step))
    assert store.steps() == [1000, 123456789, 2_000_000_000]
    assert store.newest().step == 2_000_000_000
    assert store.path(1000).name == "000001000.safetensors"


def test_saving_again_replaces(store):
    store.save(simple(5))
    store.save(Checkpoint(5, {"other": torch.ones(1)}))
    assert list(store.newest().tensors) == ["other"]


def test_foreign_files_are_left_alone(store):
    store.save(simple(5))
    foreign = [store.folder / name for name in ("7.safetensors", "notes.safetensors", "readme.txt", ".hidden")]
    for path in foreign:
        path.write_bytes(b"x")
    for step in (6, 7, 8, 9):
        store.save(simple(step))
    assert store.steps() == [7, 8, 9]
    assert all(path.exists() for path in foreign)


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "bit":
        content = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    elif how == "about":
        content = content.replace(b'{\\"step\\": 3', b'{\\"step\\": 4')
        assert content != path.read_bytes()
    elif how == "empty":
        content = b""
    elif how == "zeros":
        content = bytes(len(content))
    elif how == "foreign":
        content = struct.pack("<Q", 2) + b"{}"
    else:
        content = content[:int(len(content) * float(how))]
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["bit", "about", "empty", "zeros", "foreign", "0.01", "0.5", "0.99"])
def test_a_damaged_checkpoint_is_passed_over(store, how):
    for step in (1, 2, 3):
        store.save(simple(step))
    damage(store.path(3), how)
    assert store.newest().step == 2
    ((path, reason),) = store.skipped
    assert path == store.path(3)
    assert reason
    store.save(simple(2))  # the run goes on from there: what it saves is the newest again
    assert store.newest().step == 2
    assert store.skipped == []
    assert store.steps() == [1, 2]


def test_nobody_starts_anew_over_damaged_checkpoints(store):
    for step in (1, 2):
        store.save(simple(step))
        damage(store.path(step), "0.5")
    with pytest.raises(InputError, match="none of the 2 checkpoints is usable") as caught:
        store.newest()
    assert "\n" not in str(caught.value)


def test_a_later_format_is_refused_and_not_passed_over(store, monkeypatch):
    store.save(simple(1))
    with monkeypatch.context() as patch:
        patch.setattr("trainer.checkpoint.VERSION", "2.0")
        store.save(simple(2))
    with pytest.raises(InputError, match=r"000000002\.safetensors is a checkpoint of format version 2\.0"):
        store.newest()
    with monkeypatch.context() as patch:
        patch.setattr("trainer.checkpoint.VERSION", "1.7")
        store.save(simple(2))
    assert store.newest().step == 2


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"none\.safetensors cannot be read: No such file"):
        read_checkpoint(tmp_path / "none.safetensors")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_ones(store, monkeypatch, call):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    for step in (1, 2, 3):
        store.save(simple(step))
    with monkeypatch.context() as patch:
        patch.setattr(core.assets.os, call, full)
        with pytest.raises(OutputError, match="the checkpoint cannot be written: No space left on device"):
            store.save(simple(4))
    assert sorted(path.name for path in store.folder.iterdir()) == [store.path(step).name for step in (1, 2, 3)]
    assert store.newest().step == 3


@posix
def test_a_write_that_the_system_breaks_off_leaves_the_earlier_ones(store):
    """The system refuses to let a file grow beyond 20 kB, as a full disk would, in the middle of the write."""
    code = ("import resource, sys, torch; from pathlib import Path; from core.errors import OutputError\n"
            "from trainer.checkpoint import *; store = CheckpointStore(Path(sys.argv[1])); store.save(Checkpoint(1, {}))\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
            "try: store.save(Checkpoint(2, {'weight': torch.ones(100_000)}))\n"
            "except OutputError as error: print(error.message)")
    done = subprocess.run([sys.executable, "-c", code, str(store.folder)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "cannot be written: File too large" in done.stdout
    assert [path.name for path in store.folder.iterdir()] == ["000000001.safetensors"]
    assert store.newest().step == 1


NURSERY = """
import os, sys, torch
from pathlib import Path
from trainer.checkpoint import Checkpoint, CheckpointStore
torch.set_num_threads(1)
for line in sys.stdin:                      # one saver per line: torch is imported once for all of them
    saver = os.fork()
    if not saver:
        store = CheckpointStore(Path(line.strip()), keep=2)
        newest = store.newest()
        step = 0 if newest is None else newest.step
        while True:
            step += 1
            store.save(Checkpoint(step, {str(i): torch.full((250_000,), float(step)) for i in range(4)}, {"step": step}))
            print("saved", step, flush=True)
    print("started", saver, flush=True)
    os.waitpid(saver, 0)
    print("ended", flush=True)
"""


@posix
def test_killed_at_any_moment_at_most_one_interval_is_lost(tmp_path):
    """Twenty times a process that does nothing but save is killed at a random moment; it goes on from what it left."""
    generator = random.Random(5)
    store = CheckpointStore(tmp_path)
    with subprocess.Popen([sys.executable, "-c", NURSERY], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as nursery:
        for _ in range(20):
            nursery.stdin.write(f"{tmp_path}\n")
            nursery.stdin.flush()
            lines = []
            while not any(line.startswith("started") for line in lines):
                lines.append(nursery.stdout.readline())
            saver = int(next(line for line in lines if line.startswith("started")).split()[1])
            for _ in range(generator.randrange(2, 6)):
                lines.append(nursery.stdout.readline())
            with pytest.raises(subprocess.TimeoutExpired):
                nursery.wait(generator.uniform(0.0, 0.08))
            os.kill(saver, signal.SIGKILL)
            while not lines[-1].startswith("ended"):
                lines.append(nursery.stdout.readline())
            reported = max(int(line.split()[1]) for line in lines if line.startswith("saved"))
            newest = store.newest()
            assert store.skipped == []
            assert newest.step in (reported, reported + 1)  # renamed, and killed before it could say so
            assert newest.about == {"step": newest.step}
            assert all(torch.equal(tensor, torch.full_like(tensor, newest.step)) for tensor in newest.tensors.values())
        nursery.stdin.close()
    store.save(simple(10**6))
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


SUICIDE = """
import os, signal, sys, torch
from pathlib import Path
from trainer.checkpoint import Checkpoint, CheckpointStore
for number, (call, occurrence) in enumerate([("write", 1), ("fsync", 1), ("replace", 1), ("fsync", 2), ("unlink", 1)]):
    folder = Path(sys.argv[1]) / str(number)
    store = CheckpointStore(folder, keep=2)
    for step in (1, 2):
        store.save(Checkpoint(step, {"weight": torch.full((9000,), float(step))}))
    saver = os.fork()
    if not saver:
        left = [occurrence]
        def die(*arguments, **named):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
        if call == "write":                                # half of it has been written
            original = Path.open
            def half(path, mode):
                file = original(path, mode)
                file.write(b"half of a checkpoint")
                file.flush()
                die()
            Path.open = half
        elif call == "unlink":
            Path.unlink = die
        else:
            intact = getattr(os, call)
            setattr(os, call, lambda *arguments: (die(), intact(*arguments)))
        store.save(Checkpoint(3, {"weight": torch.full((9000,), 3.0)}))
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(saver, 0)[1]) == -signal.SIGKILL, call
"""


@posix
def test_killed_between_any_two_calls_to_the_system(tmp_path):
    """A saver ends itself in the write, before the file is on the disk, before and after it has its name, before the rotation."""
    subprocess.run([sys.executable, "-c", SUICIDE, str(tmp_path)], cwd=ROOT, check=True)
    newest = []
    for number in range(5):
        store = CheckpointStore(tmp_path / str(number), keep=2)
        checkpoint = store.newest()
        newest.append(checkpoint.step)
        assert store.skipped == []
        assert torch.equal(checkpoint.tensors["weight"], torch.full((9000,), float(checkpoint.step)))
        store.save(simple(4))
        assert len(list(store.folder.iterdir())) == 2  # nothing unfinished is left, and the rotation is made up for
    assert newest == [2, 2, 2, 3, 3]


def steps(module: nn.Module, optimizer: torch.optim.Optimizer, generator: torch.Generator, count: int) -> list[float]:
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = module(torch.randn(4, 2, 6, 6, generator=generator)).square().mean() + torch.rand(())
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("make", [
    adam,
    lambda module: torch.optim.AdamW(module.parameters(), 1e-3, amsgrad=True),
    lambda module: torch.optim.Adam(module.parameters(), torch.tensor(1e-3)),
    lambda module: torch.optim.SGD(module.parameters(), 1e-2, momentum=0.9),
    lambda module: torch.optim.RMSprop(module.parameters(), 1e-3)], ids=["adam", "amsgrad", "tensor lr", "sgd", "rmsprop"])
def test_a_training_goes_on_bit_by_bit(store, make):
    module, generator = network(), torch.Generator().manual_seed(3)
    optimizer = make(module)
    generators = {"data": generator, "torch": torch.default_generator}
    steps(module, optimizer, generator, 3)
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * 0.7
    store.save(Checkpoint(3, {**module_tensors("net", module), **optimizer_tensors("opt", optimizer), **rng_tensors(generators)},
                          optimizer_about("opt", optimizer)))
    expected = steps(module, optimizer, generator, 4)

    resumed, other = network(seed=9), torch.Generator()
    again = make(resumed)
    checkpoint = store.newest()
    load_module("net", resumed, checkpoint.tensors)
    load_optimizer("opt", again, checkpoint.tensors, checkpoint.about)
    load_rng({"data": other, "torch": torch.default_generator}, checkpoint.tensors)
    assert steps(resumed, again, other, 4) == expected
    for name, value in module.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert again.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            assert torch.equal(torch.as_tensor(again.state_dict()["state"][index][name]), torch.as_tensor(value)), (index, name)


def test_an_optimizer_before_its_first_step(store):
    module = network()
    optimizer = adam(module)
    store.save(Checkpoint(0, optimizer_tensors("opt", optimizer), optimizer_about("opt", optimizer)))
    read = store.newest()
    load_optimizer("opt", optimizer, read.tensors, read.about)
    assert optimizer.state_dict()["state"] == {}
    assert optimizer.param_groups[1]["betas"] == (0.0, 0.99)


def test_moments_keep_the_layout_of_their_parameters():
    module = network()
    optimizer = adam(module)
    steps(module, optimizer, torch.Generator(), 1)
    about = json.loads(json.dumps(optimizer_about("opt", optimizer)))
    tensors = {name: value.contiguous() for name, value in optimizer_tensors("opt", optimizer).items()}
    load_optimizer("opt", optimizer, tensors, about)
    assert optimizer.state[module[0].weight]["exp_avg"].stride() == module[0].weight.stride()


def test_errors_name_what_does_not_fit():
    module, tensors = network(), module_tensors("net", network())
    lacking = {name: value for name, value in tensors.items() if "bias" not in name}
    with pytest.raises(InputError, match=r"the checkpoint lacks net\.0\.bias, net\.1\.bias, net\.2\.bias"):
        load_module("net", module, lacking)
    with pytest.raises(InputError, match=r"lacks net\.0\.bias, net\.0\.weight, net\.1\.bias and 6 more"):
        load_module("net", module, {})
    with pytest.raises(InputError, match=r"has unknown net\.3\.weight"):
        load_module("net", module, {**tensors, "net.3.weight": torch.ones(1)})
    with pytest.raises(InputError, match=r"net\.0\.bias is float32 \[5\], the network's is float32 \[4\]"):
        load_module("net", module, {**tensors, "net.0.bias": torch.ones(5)})
    with pytest.raises(InputError, match=r"net\.0\.bias is float64 \[4\]"):
        load_module("net", module, {**tensors, "net.0.bias": torch.ones(4, dtype=torch.float64)})
    with pytest.raises(InputError, match=r"lacks rng\.data"):
        load_rng({"data": torch.Generator()}, {})
    with pytest.raises(InputError, match=r"rng\.data is not a state"):
        load_rng({"data": torch.Generator()}, {"rng.data": torch.zeros(3, dtype=torch.uint8)})


def test_optimizers_that_do_not_fit():
    module = network()
    optimizer = adam(module)
    steps(module, optimizer, torch.Generator(), 1)
    tensors, about = optimizer_tensors("opt", optimizer), optimizer_about("opt", optimizer)
    with pytest.raises(InputError, match="lacks the optimizer opt"):
        load_optimizer("opt", optimizer, tensors, {})
    with pytest.raises(InputError, match="opt is Adam over 6 tensors, the run's is SGD over 6"):
        load_optimizer("opt", torch.optim.SGD(module.parameters(), 1e-3), tensors, about)
    with pytest.raises(InputError, match="opt is Adam over 6 tensors, the run's is Adam over 2"):
        load_optimizer("opt", torch.optim.Adam(module[0].parameters(), 1e-3), tensors, about)
    with pytest.raises(InputError, match=r"lacks opt\.0\.exp_avg"):
        load_optimizer("opt", optimizer, {name: value for name, value in tensors.items() if name != "opt.0.exp_avg"}, about)
    with pytest.raises(InputError, match=r"opt\.0\.exp_avg is float32 \[7\]"):
        load_optimizer("opt", optimizer, {**tensors, "opt.0.exp_avg": torch.zeros(7)}, about)
