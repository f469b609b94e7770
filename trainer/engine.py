"""The one adapter of Lightning Fabric: the same training loop in one process, under torchrun or under SLURM, on CPUs or GPUs.

Fabric finds the cluster, the device and the precision and carries the collective calls. Its wrapper around modules
(DistributedDataParallel) is not used. That wrapper averages gradients by hooks in a backward pass that must reach every
parameter exactly once per forward pass, which a GAN does not do: a discriminator is frozen while it judges for the generator,
runs twice before one backward pass, takes part in the double backward of R1, and lazy regularisers and staged growth leave
parameters out. Here the gradients are averaged afterwards, in flat buckets, in the order of the parameters (`average_gradients`).
Nothing can be unused, the sum does not depend on timing, and modules stay plain modules whose methods can all be called.
What is given up is the overlap of communication with the backward pass.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies import DDPStrategy
from lightning_fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor, nn

from core.errors import DeviceError, InputError

ACCELERATORS = ("auto", "cpu", "cuda")
PRECISIONS = ("32-true", "64-true", "bf16-mixed")
_MOST_HELPERS = 8
_BUCKET_BYTES = 32 << 20
_PATIENCE = timedelta(hours=2)  # the others wait while the main process evaluates
_Value = TypeVar("_Value", bool, int, float, str, None)
_Module = TypeVar("_Module", bound=nn.Module)


@dataclass(frozen=True)
class EngineSettings:
    """What a training runs on.

    Attributes:
        accelerator: "auto" (a CUDA device where there is one), "cpu" or "cuda".
        devices: processes per machine, one device each; 0: what torchrun or SLURM has started, else one. Under those two the
            number that they have started counts. More than one without them starts the program again that often.
        nodes: machines; 0: what torchrun or SLURM says, else one.
        precision: "32-true", "64-true" (tests) or "bf16-mixed".
    """

    accelerator: str = "auto"
    devices: int = 0
    nodes: int = 0
    precision: str = "32-true"


class Engine:
    """One process of a training, and its connection to the others. A context manager: the connection ends with it.

    Every process must make the same calls in the same order. Decisions that steer the loop therefore come from `from_main`, `any`
    or from values that `mean` has made equal everywhere. A pause must go on asking (`from_main` every second or so): processes
    that wait for hours for one of theirs are given up.
    """

    def __init__(self, settings: EngineSettings = EngineSettings()) -> None:
        """Join the other processes. Raises InputError for unknown settings, DeviceError when the devices are not there."""
        _check(settings)
        logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it announces every process with a banner
        devices, nodes = _launched() or (settings.devices or 1, settings.nodes or 1)
        self._local_processes = devices
        accelerator = settings.accelerator
        if accelerator == "auto":
            accelerator = "cuda" if torch.cuda.is_available() else "cpu"
        strategy = DDPStrategy(timeout=_PATIENCE) if devices * nodes > 1 else "auto"
        try:
            self._fabric = Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, strategy=strategy,
                                  precision=settings.precision)
            self._fabric.launch()
        except (MisconfigurationException, RuntimeError, ValueError) as error:
            reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
            raise DeviceError(f"training on {devices} × {accelerator} cannot start: {reason}",
                              "start fewer processes, or choose the accelerator cpu") from error
        self.dtype = torch.float64 if settings.precision == "64-true" else torch.float32

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the other processes."""
        if self.world_size > 1 and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()

    @property
    def device(self) -> torch.device:
        return self._fabric.device

    @property
    def rank(self) -> int:
        """This process among all, from 0."""
        return self._fabric.global_rank

    @property
    def world_size(self) -> int:
        return self._fabric.world_size

    @property
    def is_main(self) -> bool:
        """Whether this process talks to the user and writes files."""
        return self.rank == 0

    @property
    def helpers(self) -> int:
        """Threads beside this process's own that should prepare its batches: one where the processor computes as well, else
        half of this process's share of the cores."""
        if self.device.type == "cpu":
            return 1
        return max(1, min(_MOST_HELPERS, (os.cpu_count() or 2) // (2 * self._local_processes)))

    def setup(self, module: _Module, optimizer: torch.optim.Optimizer | None = None) -> _Module:
        """Move a module to this process's device (the parameters stay the same objects) and give it the main process's values.

        Args:
            optimizer: of the module; what it has in memory moves along.
        """
        module.to(device=self.device, dtype=torch.float64 if self.dtype == torch.float64 else None)
        if optimizer is not None:
            optimizer.load_state_dict(optimizer.state_dict())  # which casts moments to their parameters' device and dtype
        if self.world_size > 1:
            for value in [*module.parameters(), *module.buffers()]:
                flat = value.detach().contiguous()
                torch.distributed.broadcast(flat, 0)
                value.detach().copy_(flat)
        return module

    def autocast(self) -> AbstractContextManager:
        """Inside, forward passes compute in the precision of the settings."""
        return self._fabric.autocast()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of this process's share of the batch."""
        self._fabric.backward(loss)

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Make every gradient the mean over the processes; to be called after backward and before the optimizer.

        With losses that are means over equal shares this is the gradient of the whole batch's mean. A gradient that is missing in
        some processes counts as zero there, one that is missing in all stays missing. Frozen parameters are passed over.

        Args:
            parameters: the same in every process, in the same order.
        """
        if self.world_size == 1:
            return
        for bucket in _buckets(parameters):
            have = torch.tensor([p.grad is not None for p in bucket], dtype=bucket[0].dtype, device=bucket[0].device)
            parts = [(p.grad if p.grad is not None else torch.zeros_like(p)).detach().reshape(-1) for p in bucket]
            total = self._fabric.all_reduce(torch.cat([*parts, have]), reduce_op="sum")
            *gradients, have = total.split([*(p.numel() for p in bucket), len(bucket)])
            for parameter, gradient, count in zip(bucket, gradients, have.tolist(), strict=True):
                if count:
                    mean = (gradient / self.world_size).view_as(parameter)
                    parameter.grad = mean if parameter.grad is None else parameter.grad.copy_(mean)

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the processes, without a gradient; the argument stays as it is."""
        value = value.detach()
        return value if self.world_size == 1 else self._fabric.all_reduce(value.clone(), reduce_op="mean")

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.world_size == 1:
            return flag
        return bool(self._fabric.all_reduce(torch.tensor(float(flag), device=self.device), reduce_op="sum"))

    def from_main(self, value: _Value) -> _Value:
        """The main process's value, in every process."""
        return value if self.world_size == 1 else self._fabric.broadcast(value)

    def barrier(self) -> None:
        """Wait until every process is here."""
        self._fabric.barrier()

    def share(self, batch_size: int) -> slice:
        """This process's part of a batch that all processes draw alike. Raises InputError when it cannot be shared equally."""
        part, rest = divmod(batch_size, self.world_size)
        if rest or not part:
            raise InputError(f"a batch of {batch_size} cannot be shared equally by {self.world_size} processes",
                             "choose a batch size that is a multiple of the number of processes")
        return slice(self.rank * part, (self.rank + 1) * part)


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Euclidean norm of all gradients together; NaN or infinite when any gradient is."""
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])


def _check(settings: EngineSettings) -> None:
    for name, value, known in (("accelerator", settings.accelerator, ACCELERATORS),
                               ("precision", settings.precision, PRECISIONS)):
        if value not in known:
            raise InputError(f"{name} {value!r} is not known", f"choose one of {', '.join(known)}")
    if settings.devices < 0 or settings.nodes < 0:
        raise InputError("a number of devices or machines cannot be negative")
    if settings.accelerator == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA device can be used for training", "choose the accelerator auto or cpu")


def _launched() -> tuple[int, int] | None:
    """Processes per machine and machines as torchrun or SLURM (srun) has started them, None when neither has."""
    environment: dict[str, Any] = dict(os.environ)
    if "TORCHELASTIC_RUN_ID" in environment:
        local = int(environment["LOCAL_WORLD_SIZE"])
        return local, int(environment["WORLD_SIZE"]) // local
    interactive = environment.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if "SLURM_PROCID" in environment and "SLURM_NTASKS" in environment and not interactive:
        nodes = int(environment.get("SLURM_NNODES", 1))
        return int(environment["SLURM_NTASKS"]) // nodes, nodes
    return None


def _buckets(parameters: Iterable[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Trainable parameters in their order, in groups of one dtype and device that fit a message."""
    bucket: list[nn.Parameter] = []
    size = 0
    for parameter in parameters:
        if not parameter.requires_grad:
            continue
        of_another_kind = bucket and (bucket[0].dtype != parameter.dtype or bucket[0].device != parameter.device)
        if of_another_kind or size > _BUCKET_BYTES:
            yield bucket
            bucket, size = [], 0
        bucket.append(parameter)
        size += parameter.numel() * parameter.element_size()
    if bucket:
        yield bucket
