"""Reads the published checkpoints without running anything from them (specification 11).

The files are whole pickled modules, and their official loader executes Python source that is embedded in them. Here every name
is a stand-in that remembers its state; only arrays of numbers are built. The module tree is then walked for its tensors.
"""

from __future__ import annotations

import collections
import io
import os
import pickle
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from core.errors import InputError

LARGEST_FILE = 4 << 30  # the published checkpoints have about 0.5 GB
_NETWORKS = ("G_ema", "G", "D")
_MOST_DIMENSIONS, _MOST_MODULES, _DEEPEST = 8, 20_000, 64
_NUMBERS = re.compile(r"[<>=|]?[biuf][1248]")
_HINT = "choose the checkpoint-….pkl of the published release"


class _Stub:
    """Stands in for any class or function of the pickle: takes whatever it is given and runs nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.state: dict[str, Any] = {}

    def __call__(self, *arguments: Any, **named: Any) -> _Stub:
        return _Stub()

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}

    def __setitem__(self, key: Any, value: Any) -> None:
        self.state[key] = value

    def append(self, value: Any) -> None:
        """Lists that are filled element by element."""

    def extend(self, values: Any) -> None:
        """Lists that are filled at once."""


def _persistent(meta: Any) -> _Stub:
    """A persistent object: its state is kept, the source text that comes with it is not looked at."""
    stub = _Stub()
    if isinstance(meta, dict) and isinstance(meta.get("state"), dict):
        stub.state = meta["state"]
    return stub


def _storage(content: Any) -> Any:
    if not isinstance(content, bytes):
        raise pickle.UnpicklingError("a storage without data")
    if content[:2] == b"PK":  # the published storages are of the older format; archives may hold scripts, which torch loads
        raise pickle.UnpicklingError("a storage that is an archive")
    storage = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(storage, torch.storage.TypedStorage) or storage._untyped_storage.nbytes() > len(content):
        raise pickle.UnpicklingError("a storage that is larger than its data")
    return storage


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    """A view of a storage. Torch would enlarge a storage that is too small, and repeats numbers where a stride is zero."""
    if not isinstance(storage, torch.storage.TypedStorage):
        raise pickle.UnpicklingError("a tensor without a storage")
    if not (isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= _MOST_DIMENSIONS
            and all(type(n) is int and n >= 0 for n in (offset, *size, *stride))):
        raise pickle.UnpicklingError("a tensor of an impossible shape")
    count = 1
    for n in size:
        count *= n
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) if count else 0
    held = storage._untyped_storage.nbytes() // storage.dtype.itemsize
    if count > held or last >= max(held, 1):
        raise pickle.UnpicklingError("a tensor that is larger than its storage")
    return torch._utils._rebuild_tensor_v2(storage, offset, size, stride, False, collections.OrderedDict())


def _parameter(data: Any, *_: Any) -> torch.Tensor:
    if not isinstance(data, torch.Tensor):
        raise pickle.UnpicklingError("a parameter without a tensor")
    return data


def _number_type(code: Any, *_: Any) -> Any:
    return _NumberType(code)


class _NumberType:
    """A numpy dtype of plain numbers."""

    def __init__(self, code: Any) -> None:
        if not isinstance(code, str) or not _NUMBERS.fullmatch(code):
            raise pickle.UnpicklingError(f"numbers of the kind {code!r}")
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """The byte order is that of the file's machine; numpy's codes are enough."""


def _scalar(kind: Any, content: Any = b"") -> Any:
    if not isinstance(kind, _NumberType) or not isinstance(content, bytes | str):
        raise pickle.UnpicklingError("a number without a value")
    raw = content.encode("latin1") if isinstance(content, str) else content
    return np.frombuffer(raw, np.dtype(kind.code), count=1)[0].item()


_BUILT: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("numpy", "dtype"): _number_type,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("eg3d.torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
}


class _Bounded:
    """A file that is never asked for more than it has: a length that a pickle claims costs no memory."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, count: int) -> bytes:
        if count > max(self._left, 1):
            raise pickle.UnpicklingError("it claims more data than there is")
        data = self._file.read(count)
        self._left -= len(data)
        return data

    def readline(self) -> bytes:
        data = self._file.readline()
        self._left -= len(data)
        return data


class _Reader(pickle._Unpickler):  # the pure Python one: its instructions can be replaced
    def find_class(self, module: str, name: str) -> Any:
        return _BUILT.get((module, name), _Stub)

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to outside objects")

    def get_extension(self, code: int) -> Any:
        raise pickle.UnpicklingError("it uses registered extensions")

    def load_build(self) -> None:
        """Give an object its state: only to objects made here."""
        if not isinstance(self.stack[-2], _Stub | _NumberType):
            raise pickle.UnpicklingError("it changes something else than a module")
        state = self.stack.pop()
        self.stack[-1].__setstate__(state)

    def load_bytearray8(self) -> None:
        """Room would be made for as much as is claimed."""
        raise pickle.UnpicklingError("it holds a byte array")

    dispatch = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build,  # noqa: RUF012
                pickle.BYTEARRAY8[0]: load_bytearray8}


@dataclass(frozen=True)
class OfficialCheckpoint:
    """What a published checkpoint holds.

    Attributes:
        states: tensors by name, of the networks "G_ema", "G" and "D" that are there.
        training_set: the plain settings that were saved beside them.
    """

    states: dict[str, dict[str, torch.Tensor]]
    training_set: dict[str, Any] = field(default_factory=dict)


def read_official_checkpoint(path: str | Path) -> OfficialCheckpoint:
    """Read a checkpoint. Nothing in it is executed.

    Raises:
        InputError: missing, damaged, refused, or without a generator.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > LARGEST_FILE:
                raise InputError(f"{path}: larger than any published checkpoint", _HINT)
            content = _Reader(_Bounded(file, size), encoding="latin1").load()
        states = _states(path, content)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})", _HINT) from error
    except pickle.UnpicklingError as error:
        raise InputError(f"{path}: refused, {error}", _HINT) from error
    except InputError:
        raise
    except Exception as error:  # a damaged pickle can fail in any instruction
        raise InputError(f"{path}: damaged or not a checkpoint", _HINT) from error
    settings = content.get("training_set_kwargs")
    settings = settings if isinstance(settings, dict) else {}
    plain = {str(key): value for key, value in settings.items() if isinstance(value, str | int | float | bool)}
    return OfficialCheckpoint(states, plain)


def _states(path: Path, content: Any) -> dict[str, dict[str, torch.Tensor]]:
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no networks", _HINT)
    states = {name: tensors_of(content[name]) for name in _NETWORKS if isinstance(content.get(name), _Stub)}
    if not states.get("G_ema") and not states.get("G"):
        raise InputError(f"{path}: holds no generator", _HINT)
    return states


def tensors_of(module: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers of a module's stand-in and of those inside it, by dotted name.

    Raises:
        UnpicklingError: modules that contain themselves, or one another so often that there is no end.
    """
    found: dict[str, torch.Tensor] = {}
    waiting, visited = [(module, "", 0)], 0
    while waiting:
        module, prefix, depth = waiting.pop()
        visited += 1
        if visited > _MOST_MODULES or depth > _DEEPEST:
            raise pickle.UnpicklingError("it holds modules without end")
        state = getattr(module, "state", {})
        for group in ("_parameters", "_buffers"):
            found |= {prefix + name: value for name, value in _named(state, group) if isinstance(value, torch.Tensor)}
        waiting += [(child, f"{prefix}{name}.", depth + 1) for name, child in _named(state, "_modules")]
    return found


def _named(state: dict[str, Any], group: str) -> list[tuple[str, Any]]:
    members = state.get(group)
    return [(name, value) for name, value in members.items() if isinstance(name, str)] if isinstance(members, dict) else []
