"""Checkpoints of a training run: whole on disk or not there, verified when read, and exact to the last bit.

A checkpoint is one safetensors file, named by the training pictures shown. Its metadata carry format and version, a JSON text
with everything that is not a tensor, and a digest over that text and all tensors. A file gets its name only when it lies on the
disk as a whole; the digest finds what a disk loses later.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from core.assets import write_atomically
from core.errors import InputError, OutputError

log = logging.getLogger(__name__)

FORMAT, VERSION = "agora-checkpoint", "1.0"
SUFFIX = ".safetensors"
_LARGEST_HEADER = 64 << 20
_NAMED = 3  # how many missing tensors an error names


@dataclass(frozen=True)
class Checkpoint:
    """The whole state of a training.

    Attributes:
        step: training pictures shown.
        tensors: everything that is a tensor, under flat names ("generator.…", "optimizer_g.0.exp_avg", "rng.torch"), on the CPU
            when it was read.
        about: everything else; must survive JSON (keys are texts, tuples come back as lists).
    """

    step: int
    tensors: Mapping[str, Tensor]
    about: Mapping[str, Any] = field(default_factory=dict)


class CheckpointStore:
    """The checkpoints of one run. One process writes; any may read.

    Attributes:
        skipped: (file, reason) of damaged checkpoints that `newest` passed over.
    """

    def __init__(self, folder: Path, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError("at least one checkpoint must be kept")
        self.folder = Path(folder)
        self.keep = keep
        self.skipped: list[tuple[Path, str]] = []

    def steps(self) -> list[int]:
        """Steps with a checkpoint, ascending; none of them is opened."""
        try:
            paths = [path for path in self.folder.iterdir() if path.suffix == SUFFIX and path.stem.isdecimal()]
        except OSError:
            return []
        return sorted(int(path.stem) for path in paths if path == self.path(int(path.stem)))

    def path(self, step: int) -> Path:
        return self.folder / f"{step:09d}{SUFFIX}"

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint; it becomes the newest. Older ones than the newest `keep` are removed afterwards.

        Checkpoints of later steps are removed too: they are damaged or belong to a line that was given up by going back.
        Raises OutputError when it cannot be written; all earlier ones are then still there.
        """
        target = self.path(checkpoint.step)
        self._sweep()
        try:
            write_atomically(target, encode(checkpoint))
            _sync_folder(self.folder)
        except OSError as error:
            raise OutputError(f"{target}: the checkpoint cannot be written: {error.strerror or error}",
                              "the earlier checkpoints are untouched; make room and resume the run") from error
        earlier = [step for step in self.steps() if step < checkpoint.step]
        for step in [*earlier[:len(earlier) - self.keep + 1], *(step for step in self.steps() if step > checkpoint.step)]:
            _remove(self.path(step))
        return target

    def newest(self) -> Checkpoint | None:
        """The newest complete checkpoint, None when there is none at all.

        Damaged ones are passed over and noted in `skipped`. Raises InputError when all are damaged, so that nobody starts anew
        over them, and for a version that this program does not know.
        """
        self.skipped = []
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                return read_checkpoint(path)
            except DamagedCheckpoint as error:
                log.warning("%s is passed over: %s", path, error.reason)
                self.skipped.append((path, error.reason))
        if self.skipped:
            path, reason = self.skipped[0]
            raise InputError(f"{self.folder}: none of the {len(self.skipped)} checkpoints is usable; {path.name} {reason}",
                             "restore them from a backup, or start the run in a new folder")
        return None

    def _sweep(self) -> None:
        """Remove what killed processes left of unfinished files."""
        for leftover in self.folder.glob(f".*{SUFFIX}.*"):
            _remove(leftover)


class DamagedCheckpoint(InputError):
    """A file that is not a complete checkpoint."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}", "it is not a complete checkpoint of this program")
        self.reason = reason


def encode(checkpoint: Checkpoint) -> bytes:
    """The file's content."""
    about = json.dumps(dict(checkpoint.about))
    tensors = {name: _own(tensor) for name, tensor in checkpoint.tensors.items()}
    metadata = {"format": FORMAT, "version": VERSION, "step": str(checkpoint.step), "about": about,
                "digest": _digest(checkpoint.step, about, tensors)}
    return safetensors.torch.save(tensors, metadata)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify one checkpoint. Raises DamagedCheckpoint (an InputError), InputError for a version that is not known."""
    try:
        content = path.read_bytes()  # not mapped into memory: Windows would not let the file be removed
        metadata = _metadata(content)
        if metadata.get("format") != FORMAT:
            raise DamagedCheckpoint(path, "is another kind of file")
        major = metadata["version"].split(".")[0]
        if major != VERSION.split(".")[0]:
            raise InputError(f"{path} is a checkpoint of format version {metadata['version']}, this program reads {VERSION}",
                             "resume the run with the program that wrote it")
        tensors = safetensors.torch.load(content)
        step, about = int(metadata["step"]), metadata["about"]
        if _digest(step, about, tensors) != metadata["digest"]:
            raise DamagedCheckpoint(path, "has another content than was written")
        return Checkpoint(step, tensors, json.loads(about))
    except OSError as error:
        raise DamagedCheckpoint(path, f"cannot be read: {error.strerror or error}") from error
    except (SafetensorError, ValueError, KeyError, TypeError, struct.error) as error:
        raise DamagedCheckpoint(path, "is torn or damaged") from error


# --- modules

def module_tensors(prefix: str, module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module under `prefix.`; they are not copied."""
    return {f"{prefix}.{name}": value for name, value in module.state_dict().items()}


def load_module(prefix: str, module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put saved tensors into a module, in place. Raises InputError unless names, shapes and dtypes are exactly the module's."""
    own = module.state_dict()
    saved = _below(prefix, tensors)
    _require(prefix, "lacks", (name for name in own if name not in saved))
    _require(prefix, "has unknown", (name for name in saved if name not in own))
    for name, value in own.items():
        _require_like(f"{prefix}.{name}", saved[name], value)
    module.load_state_dict(saved)


# --- optimizers

def optimizer_tensors(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and step counts under `prefix.PARAMETER.NAME`, parameters counted in the order of the groups."""
    state = optimizer.state_dict()
    moments = {f"{prefix}.{index}.{name}": value for index, values in state["state"].items()
               for name, value in values.items() if isinstance(value, Tensor)}
    rates = {f"{prefix}.group{number}.{name}": value for number, group in enumerate(state["param_groups"])
             for name, value in group.items() if isinstance(value, Tensor)}
    return moments | rates


def optimizer_about(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What of an optimizer is not a tensor, to be merged into a checkpoint's `about`: {prefix: …}."""
    state = optimizer.state_dict()
    groups = [{name: value for name, value in group.items() if not isinstance(value, Tensor)}
              for group in state["param_groups"]]
    values = {str(index): {name: value for name, value in values.items() if not isinstance(value, Tensor)}
              for index, values in state["state"].items()}
    return {prefix: {"kind": type(optimizer).__name__, "groups": groups, "values": values,
                     "tensors": sorted(_below(prefix, optimizer_tensors(prefix, optimizer)))}}


def load_optimizer(prefix: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor],
                   about: Mapping[str, Any]) -> None:
    """Restore moments, step counts and hyper-parameters. Raises InputError when they belong to another optimizer."""
    saved = about.get(prefix)
    own = optimizer.state_dict()["param_groups"]
    if not isinstance(saved, Mapping):
        raise InputError(f"the checkpoint lacks the optimizer {prefix}")
    counts = [len(group["params"]) for group in own]
    if saved["kind"] != type(optimizer).__name__ or [len(group["params"]) for group in saved["groups"]] != counts:
        raise InputError(f"the checkpoint's optimizer {prefix} is {saved['kind']} over "
                         f"{sum(len(group['params']) for group in saved['groups'])} tensors, the run's is "
                         f"{type(optimizer).__name__} over {sum(counts)}", "resume with the recipe of the run")
    moments = _below(prefix, tensors)
    _require(prefix, "lacks", (name for name in saved["tensors"] if name not in moments))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Any]] = {int(index): dict(values) for index, values in saved["values"].items()}
    groups = [_like_group(group, like) for group, like in zip(saved["groups"], own, strict=True)]
    for name in saved["tensors"]:
        owner, key = name.split(".", 1)
        if owner.startswith("group"):
            groups[int(owner.removeprefix("group"))][key] = moments[name].clone()
        else:
            state[int(owner)][key] = _like_parameter(f"{prefix}.{name}", moments[name], parameters[int(owner)])
    optimizer.load_state_dict({"state": state, "param_groups": groups})


# --- random numbers

def rng_tensors(generators: Mapping[str, torch.Generator]) -> dict[str, Tensor]:
    """States of random number generators under `rng.NAME`; torch's own is `torch.default_generator`."""
    return {f"rng.{name}": generator.get_state() for name, generator in generators.items()}


def load_rng(generators: Mapping[str, torch.Generator], tensors: Mapping[str, Tensor]) -> None:
    """Restore the states of generators. Raises InputError when one is missing or of another kind of device."""
    _require("rng", "lacks", (name for name in generators if f"rng.{name}" not in tensors))
    for name, generator in generators.items():
        try:
            generator.set_state(tensors[f"rng.{name}"])
        except (RuntimeError, TypeError) as error:
            raise InputError(f"the checkpoint's rng.{name} is not a state of a generator on {generator.device}") from error


# --- parts

def _own(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU that shares its memory with no other tensor."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _digest(step: int, about: str, tensors: Mapping[str, Tensor]) -> str:
    """BLAKE2b over the step, the JSON text and every tensor with its name, dtype and shape, in the order of the names."""
    digest = hashlib.blake2b(f"{step}\n{about}\n".encode(), digest_size=32)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}\n{tensor.dtype}\n{tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _metadata(content: bytes) -> dict[str, str]:
    """The metadata of a safetensors file: 8 bytes with the header's length, little-endian, then the header as JSON."""
    (length,) = struct.unpack_from("<Q", content)
    if length > min(_LARGEST_HEADER, len(content) - 8):
        raise ValueError("the header is cut off")
    return json.loads(content[8:8 + length])["__metadata__"]


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(f"{prefix}."): value for name, value in tensors.items() if name.startswith(f"{prefix}.")}


def _require(prefix: str, problem: str, names: Iterable[str]) -> None:
    """Raise InputError when there are names."""
    found = sorted(names)
    if found:
        listed = ", ".join(f"{prefix}.{name}" for name in found[:_NAMED])
        rest = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise InputError(f"the checkpoint {problem} {listed}{rest}", "it belongs to another recipe or version")


def _require_like(name: str, saved: Tensor, own: Tensor) -> None:
    if saved.shape != own.shape or saved.dtype != own.dtype:
        raise InputError(f"the checkpoint's {name} is {_describe(saved)}, the network's is {_describe(own)}",
                         "it belongs to another recipe or version")


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _like_parameter(name: str, saved: Tensor, parameter: Tensor) -> Tensor:
    """A copy of a moment in its parameter's memory layout; the optimizer itself moves it to the parameter's device."""
    if saved.dim() == 0 or saved.shape != parameter.shape:
        if saved.numel() > 1:
            raise InputError(f"the checkpoint's {name} is {_describe(saved)}, the network's is {_describe(parameter)}",
                             "it belongs to another recipe or version")
        return saved.clone()
    return torch.empty_like(parameter, dtype=saved.dtype, device="cpu", requires_grad=False).copy_(saved)


def _like_group(saved: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A group's hyper-parameters with the tuples that JSON has turned into lists."""
    return {name: tuple(value) if isinstance(own.get(name), tuple) and isinstance(value, list) else value
            for name, value in saved.items()}


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("%s cannot be removed: %s", path, error)
