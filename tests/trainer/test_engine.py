"""Training in several processes is training in one. Run as a program, this file is one of the processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.errors import DeviceError, InputError
from trainer.engine import Engine, EngineSettings, gradient_norm

ROOT = Path(__file__).resolve().parent.parent.parent
STEPS, BATCH = 12, 8


class Critic(nn.Module):
    """A discriminator with a head that takes part only now and then, as lazy regularisers and staged growth do."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Conv2d(2, 8, 3), nn.Softplus(), nn.Conv2d(8, 8, 3, 2), nn.Softplus(), nn.Flatten())
        self.judge, self.rare, self.never = nn.Linear(32, 1), nn.Linear(32, 1), nn.Linear(32, 1)

    def forward(self, image: Tensor, rare: bool = False) -> Tensor:
        features = self.trunk(image)
        return self.judge(features) + (self.rare(features) if rare else 0)


def toy_gan(engine: Engine) -> dict[str, Tensor]:
    """A GAN with lazy R1 for a few steps; its weights, losses and gradient norms."""
    torch.manual_seed(100 + engine.rank)  # all must get the main process's weights
    generator = nn.Sequential(nn.Linear(5, 32), nn.Softplus(), nn.Linear(32, 128), nn.Tanh(), nn.Unflatten(1, (2, 8, 8)))
    critic = Critic().to(memory_format=torch.channels_last)
    optimizer_g = torch.optim.Adam(generator.parameters(), 2e-3, betas=(0.0, 0.99))
    optimizer_d = torch.optim.Adam(critic.parameters(), 2e-3, betas=(0.0, 0.99))
    engine.setup(generator, optimizer_g)
    engine.setup(critic, optimizer_d)
    data = torch.Generator().manual_seed(1)
    mine = engine.share(BATCH)
    logs = []
    for step in range(STEPS):
        z_g, z_d = (torch.randn(BATCH, 5, generator=data, dtype=engine.dtype)[mine] for _ in range(2))
        real = torch.randn(BATCH, 2, 8, 8, generator=data, dtype=engine.dtype)[mine].clamp(-1, 1)

        critic.requires_grad_(False)
        optimizer_g.zero_grad()
        loss_g = F.softplus(-critic(generator(z_g))).mean()
        engine.backward(loss_g)
        engine.average_gradients(generator.parameters())
        norm_g = gradient_norm(generator.parameters())
        optimizer_g.step()
        critic.requires_grad_(True)

        optimizer_d.zero_grad()
        with torch.no_grad():
            fake = generator(z_d)
        lazy = step % 4 == 0
        real.requires_grad_(lazy)
        score = critic(real, rare=lazy)
        loss_d = F.softplus(critic(fake)).mean() + F.softplus(-score).mean()
        if lazy:
            (slope,) = torch.autograd.grad(score.sum(), real, create_graph=True)
            loss_d = loss_d + 2 * slope.square().sum((1, 2, 3)).mean()
        engine.backward(loss_d)
        engine.average_gradients(critic.parameters())
        optimizer_d.step()
        logs.append(torch.stack([engine.mean(torch.stack([loss_g, loss_d])).sum(), norm_g.detach()]))
    assert critic.never.weight.grad is None
    weights = {f"g.{name}": value for name, value in generator.state_dict().items()}
    weights |= {f"d.{name}": value.contiguous() for name, value in critic.state_dict().items()}
    return {**weights, "logs": torch.stack(logs)}


def small_things(engine: Engine) -> dict[str, object]:
    """What the calls of an engine give in this process."""
    parameters = [nn.Parameter(torch.zeros(2, dtype=dtype)) for dtype in (torch.float32, torch.float64, torch.float64)]
    parameters.append(nn.Parameter(torch.zeros(3), requires_grad=False))
    parameters[0].grad = torch.full((2,), float(engine.rank + 1))
    if engine.is_main:
        parameters[1].grad = torch.full((2,), 5.0, dtype=torch.float64)
    engine.average_gradients(parameters)
    value = torch.tensor([float(engine.rank)])
    mean = engine.mean(value)
    engine.barrier()
    return {"rank": engine.rank, "world": engine.world_size, "share": [engine.share(6).start, engine.share(6).stop],
            "gradients": [None if p.grad is None else p.grad.tolist() for p in parameters], "mean": mean.tolist(),
            "kept": value.tolist(), "any": [engine.any(engine.rank == 1), engine.any(False)],
            "from main": [engine.from_main(item if engine.is_main else None) for item in (True, 7, "stop")]}


def as_program(out: Path, store: str) -> None:
    """One of several processes: finds the others through a file (`store`), or as torchrun says when that is empty."""
    torch.set_num_threads(1)
    settings = EngineSettings("cpu", precision="64-true")
    if store:
        rank, world = int(os.environ["LOCAL_RANK"]), 2
        torch.distributed.init_process_group("gloo", init_method=Path(store).as_uri(), rank=rank, world_size=world)
        settings = EngineSettings("cpu", devices=world, precision="64-true")
    with Engine(settings) as engine:
        small = small_things(engine)
        result = toy_gan(engine) if store else {}
        (out / f"{engine.rank}.json").write_text(json.dumps(small))
        save_file(result, out / f"{engine.rank}.safetensors")


def environment(**more: str) -> dict[str, str]:
    loopback = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **loopback, **more}


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Iterator[Path]:
    """What two processes leave that train together."""
    out = tmp_path_factory.mktemp("two")
    command = [sys.executable, __file__, str(out), str(out / "store")]
    processes = [subprocess.Popen(command, cwd=ROOT, env=environment(LOCAL_RANK=str(rank)), stderr=subprocess.PIPE, text=True)
                 for rank in range(2)]
    try:
        errors = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
    return out


@pytest.fixture(scope="module")
def one() -> dict[str, Tensor]:
    with Engine(EngineSettings("cpu", precision="64-true")) as engine:
        return toy_gan(engine)


def test_two_processes_equal_one(one, two):
    """In float64 only the order of sums differs; 12 steps of Adam amplify that by some powers of ten, not to 1e-12."""
    for rank in range(2):
        result = load_file(two / f"{rank}.safetensors")
        assert result.keys() == one.keys()
        for name, value in one.items():
            assert value.dtype == torch.float64
            assert (result[name] - value).abs().max() <= 1e-12, name


def test_the_toy_learns_something(one):
    torch.manual_seed(100)
    start = nn.Linear(5, 32, dtype=torch.float32).weight.double()
    assert (one["g.0.weight"] - start).abs().max() > 1e-2
    assert one["logs"].isfinite().all()


def test_both_processes_are_equal_to_the_last_bit(two):
    first, second = (load_file(two / f"{rank}.safetensors") for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def expected_of_two(rank: int) -> dict[str, object]:
    return {"rank": rank, "world": 2, "share": [3 * rank, 3 * rank + 3], "gradients": [[1.5, 1.5], [2.5, 2.5], None, None],
            "mean": [0.5], "kept": [float(rank)], "any": [True, False], "from main": [True, 7, "stop"]}


def test_calls_in_two_processes(two):
    for rank in range(2):
        assert json.loads((two / f"{rank}.json").read_text()) == expected_of_two(rank)


def test_under_torchrun(tmp_path):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__,
               str(tmp_path), ""]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for rank in range(2):
        assert json.loads((tmp_path / f"{rank}.json").read_text()) == expected_of_two(rank)


def test_calls_in_one_process():
    with Engine(EngineSettings("cpu")) as engine:
        assert small_things(engine) == {
            "rank": 0, "world": 1, "share": [0, 6], "gradients": [[1.0, 1.0], [5.0, 5.0], None, None], "mean": [0.0],
            "kept": [0.0], "any": [False, False], "from main": [True, 7, "stop"]}
        assert engine.is_main
        assert engine.device == torch.device("cpu")


def test_setup_keeps_parameters_and_moments():
    """An optimizer made before the move goes on with the same parameters, in the new dtype."""
    module = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    weight, moment = module.weight, optimizer.state[module.weight]["exp_avg"].clone()
    with Engine(EngineSettings("cpu", precision="64-true")) as engine:
        assert engine.setup(module, optimizer) is module
    assert module.weight is weight
    assert weight.dtype == torch.float64
    assert torch.equal(optimizer.state[weight]["exp_avg"], moment.double())


def test_autocast_follows_the_precision():
    module, image = nn.Linear(2, 2), torch.ones(1, 2)
    for precision, dtype in (("32-true", torch.float32), ("bf16-mixed", torch.bfloat16)):
        with Engine(EngineSettings("cpu", precision=precision)) as engine, engine.autocast():
            assert module(image).dtype == dtype
            assert engine.dtype == torch.float32


def test_gradient_norm():
    a, b, none = nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    a.grad, b.grad = torch.tensor([2.0, 3.0]), torch.tensor([6.0])
    assert gradient_norm([a, b, none]) == 7.0
    b.grad = torch.tensor([float("nan")])
    assert gradient_norm([a, b]).isnan()
    assert gradient_norm([none]) == 0.0


@pytest.mark.parametrize(("size", "world"), [(5, 2), (1, 2), (0, 1)])
def test_batches_that_cannot_be_shared(monkeypatch, size, world):
    engine = Engine(EngineSettings("cpu"))
    monkeypatch.setattr(Engine, "world_size", world)
    with pytest.raises(InputError, match=f"a batch of {size} cannot be shared equally by {world}"):
        engine.share(size)


@pytest.mark.parametrize(("settings", "words"), [
    (EngineSettings("tpu"), "accelerator 'tpu'"), (EngineSettings("cpu", precision="16"), "precision '16'"),
    (EngineSettings("cpu", devices=-1), "negative")])
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(InputError, match=words):
        Engine(settings)


def test_a_missing_gpu_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="no CUDA device") as caught:
        Engine(EngineSettings("cuda"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("variables", "expected"), [
    ({}, None),
    ({"TORCHELASTIC_RUN_ID": "x", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}, (4, 2)),
    ({"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, (4, 2)),
    ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2"}, None),
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "bash"}, None)],
    ids=["alone", "torchrun", "srun", "allocated only", "interactive"])
def test_who_has_started_the_processes(monkeypatch, variables, expected):
    from trainer.engine import _launched

    for name in ("TORCHELASTIC_RUN_ID", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert _launched() == expected


if __name__ == "__main__":
    as_program(Path(sys.argv[1]), sys.argv[2])
