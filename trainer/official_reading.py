"""Reads the published files in a child process with limits: plain arrays come back, whatever the files are.

The reader of checkpoints runs nothing of them (`trainer.official_checkpoint`), and the other files are loaded as weights only.
Should there be a hole in either, the child still has no network, starts no program, writes nowhere but into one temporary
folder, and has limited memory and time.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.types import FloatArray
from trainer.official_files import OfficialFiles

MEMORY_BYTES = 12 << 30  # of address space, a good part of which torch's libraries take
SECONDS = 900
TABLE_COLUMNS = 364
_LARGEST_FILE = 4 << 30
_FLAME = "flame_lbs_model."
_BASIS_PARTS = ("xyz", "scale", "rotation", "opacity")
_FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "pty.",
              "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "shutil.", "ftplib.",
              "urllib.", "http.", "smtplib.", "webbrowser.")


@dataclass(frozen=True)
class OfficialBasis:
    """AGORA-M as published. Attributes in the order xyz, scale, rotation, opacity.

    Attributes:
        vectors: [K, G·C] float32 each;  samples: [T, K] coefficients of the faces that it was made of (T may be 0).
        weights, biases: of the regressor's layers.
    """

    vectors: tuple[FloatArray, ...]
    samples: tuple[FloatArray, ...]
    weights: tuple[FloatArray, ...]
    biases: tuple[FloatArray, ...]


@dataclass(frozen=True)
class OfficialData:
    """The published files as arrays.

    Attributes:
        generator: parameters and buffers of the smoothed generator by name.
        basis: None where AGORA-M is not complete.
        table: [N, 364] shapes 300, expression 50, global rotation 3, jaw 3, eyelids 2, camera 6; None where there is none.
        notes: what is odd about the files, a sentence each.
    """

    generator: dict[str, NDArray]
    basis: OfficialBasis | None
    table: FloatArray | None
    notes: tuple[str, ...] = field(default=())


@contextlib.contextmanager
def reading(files: OfficialFiles, folder: Path | None = None) -> Iterator[OfficialData]:
    """The contents of files. The arrays are valid inside the context.

    Args:
        folder: for temporary files of about the files' size.

    Raises:
        InputError: a file is damaged, refused, or takes more memory or time than any published one.
    """
    with tempfile.TemporaryDirectory(prefix="agora-official-", dir=folder, ignore_cleanup_errors=True) as place:
        about = _ask_child(files, Path(place))
        arrays = {name: np.load(Path(place) / f"{number}.npy", mmap_mode="r", allow_pickle=False)
                  for name, number in about["arrays"].items()}
        yield _sorted_out(arrays, tuple(about["notes"]))


def _ask_child(files: OfficialFiles, place: Path) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    paths = {key: None if path is None else str(path) for key, path in
             (("checkpoint", files.checkpoint), ("basis", files.basis if files.has_basis else None),
              ("regressor", files.regressor if files.has_basis else None), ("table", files.table))}
    child = context.Process(target=_serve, args=(theirs, paths, str(place)), name="agora-official", daemon=True)
    try:
        child.start()
        theirs.close()  # so that a child that dies is noticed
        if not ours.poll(SECONDS):
            raise InputError(f"{files.checkpoint}: reading it took more than {SECONDS // 60} minutes")
        answer = json.loads(ours.recv_bytes())  # never a pickle: a child that was taken over must not take over this process
    except (OSError, EOFError) as error:
        raise InputError(f"{files.checkpoint}: reading it failed, perhaps for lack of memory",
                         "a published release needs about 4 GB") from error
    finally:
        ours.close()
        if child.pid is not None:
            child.terminate()
            child.join()
    if "error" in answer:
        raise InputError(*answer["error"])
    return answer


def _serve(connection: Connection, paths: dict[str, str | None], place: str) -> None:
    """The child's work."""
    import torch

    from trainer import official_checkpoint  # noqa: F401 - before the limits, so that nothing need be imported under them

    torch.load  # noqa: B018 - resolves what torch loads lazily
    limit_process(Path(place))
    try:
        answer = _read(paths, Path(place))
    except InputError as error:
        answer = {"error": [error.message, error.hint]}
    except MemoryError:
        answer = {"error": [f"{paths['checkpoint']}: needs more memory than any published release", ""]}
    connection.send_bytes(json.dumps(answer).encode())
    connection.close()


def limit_process(place: Path, memory: int = MEMORY_BYTES, seconds: int = SECONDS) -> None:
    """Takes from this process, for good, what reading files does not need.

    Memory, time and file size are limited where the system can do it. Network, other programs, and changes to files outside
    `place` are refused on every system by an audit hook, which nothing that runs in Python can take away.
    """
    with contextlib.suppress(ImportError):
        import resource

        for kind, limit in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds), (resource.RLIMIT_CORE, 0),
                            (resource.RLIMIT_FSIZE, _LARGEST_FILE)):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(kind, (limit, limit))
    allowed = os.path.join(os.path.realpath(place), "")

    def watch(event: str, arguments: tuple) -> None:
        if event.startswith(_FORBIDDEN):
            raise PermissionError(f"{event} is not allowed here")
        if event == "open" and _writes(arguments) and not os.path.realpath(str(arguments[0])).startswith(allowed):
            raise PermissionError("writing is not allowed here")

    sys.addaudithook(watch)


def _writes(arguments: tuple) -> bool:
    path, mode, flags = (*arguments, None, None, None)[:3]
    if isinstance(path, int):
        return False
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    return (isinstance(mode, str) and bool(set("wax+") & set(mode))) or (isinstance(flags, int) and bool(flags & changing))


def _read(paths: dict[str, str | None], place: Path) -> dict[str, Any]:
    from trainer.official_checkpoint import read_official_checkpoint

    checkpoint = read_official_checkpoint(paths["checkpoint"])
    notes = [] if checkpoint.states.get("G_ema") else ["the checkpoint has no smoothed generator; the plain one is used"]
    state = checkpoint.states.get("G_ema") or checkpoint.states["G"]
    arrays = {f"generator/{name}": value.detach().contiguous().numpy() for name, value in _with_back(state).items()
              if str(value.dtype) in ("torch.float32", "torch.float64", "torch.int64", "torch.int32")}
    if paths["basis"] is not None:
        arrays |= _basis_arrays(paths["basis"], paths["regressor"])
    if paths["table"] is not None:
        arrays["table"] = _table(Path(paths["table"]))
    numbers = {}
    for number, (name, value) in enumerate(arrays.items()):
        np.save(place / f"{number}.npy", value, allow_pickle=False)
        numbers[name] = number
    return {"arrays": numbers, "notes": notes}


def _with_back(state: dict[str, Any]) -> dict[str, Any]:
    """The buffers of the back of the head under the names used here. Theirs are not published: they are known by their shapes."""
    template = state.get(f"{_FLAME}v_template")
    if template is None or f"{_FLAME}bh_vert" in state:
        return state
    whole = len(template)
    for name, value in state.items():
        shape = tuple(value.shape)
        if name.startswith(_FLAME) and len(shape) == 3 and shape[1:] == (3, 350) and shape[0] != whole:
            count = shape[0]
            parts = {"bh_vert": (count, 3), "bh_vert_J_regressor": (5, count), "bh_vert_shapedirs": shape}
            named = {ours: next((v for n, v in state.items() if n.startswith(_FLAME) and tuple(v.shape) == wanted), None)
                     for ours, wanted in parts.items()}
            if all(v is not None for v in named.values()):
                return state | {f"{_FLAME}{ours}": v for ours, v in named.items()}
    return state


def _basis_arrays(basis_path: str, regressor_path: str) -> dict[str, NDArray]:
    basis, regressor = _tensors_only(basis_path), _tensors_only(regressor_path)
    layers = regressor.get("state_dict")
    arrays: dict[str, NDArray] = {}
    for part in _BASIS_PARTS:
        arrays[f"U_{part}"] = _matrix(basis_path, basis, f"U_{part}")
        if f"c_{part}" in basis:
            arrays[f"c_{part}"] = _matrix(basis_path, basis, f"c_{part}")
    for layer in (0, 2, 4):
        for kind, dimensions in (("weight", 2), ("bias", 1)):
            arrays[f"net.{layer}.{kind}"] = _matrix(regressor_path, layers if isinstance(layers, dict) else {},
                                                    f"net.{layer}.{kind}", dimensions)
    return arrays


def _tensors_only(path: str) -> dict[str, Any]:
    import torch

    try:
        if Path(path).stat().st_size > _LARGEST_FILE:
            raise InputError(f"{path}: larger than any published file")
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # archives with scripts, which torch would hand to another loader
                if any(name.endswith(("constants.pkl", ".py", ".ts")) or "/code/" in name for name in archive.namelist()):
                    raise InputError(f"{path}: refused, it holds code")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or 'damaged'})") from error
    except MemoryError:
        raise
    except Exception as error:  # torch has many ways of saying that a file is damaged or holds something else than weights
        raise InputError(f"{path}: refused or damaged, it holds something else than weights") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: not a published file")
    return content


def _matrix(path: str, content: dict[str, Any], name: str, dimensions: int = 2) -> FloatArray:
    import torch

    value = content.get(name)
    if not isinstance(value, torch.Tensor) or value.ndim != dimensions or not value.is_floating_point():
        raise InputError(f"{path}: {name} is missing or no table of numbers")
    array = value.float().contiguous().numpy()
    if not np.isfinite(array).all():
        raise InputError(f"{path}: {name} holds values that are not finite")
    return array


def _table(path: Path) -> FloatArray:
    try:
        table = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: damaged, or not a table of numbers") from error
    if not isinstance(table, np.ndarray) or table.ndim != 2 or table.shape[1] != TABLE_COLUMNS or len(table) == 0 \
            or table.dtype.kind != "f":
        raise InputError(f"{path}: not the published table, which has {TABLE_COLUMNS} columns")
    table = np.ascontiguousarray(table, np.float32)
    if not np.isfinite(table).all():
        raise InputError(f"{path}: holds values that are not finite")
    return table


def _sorted_out(arrays: dict[str, NDArray], notes: tuple[str, ...]) -> OfficialData:
    generator = {name.removeprefix("generator/"): value for name, value in arrays.items() if name.startswith("generator/")}
    basis = None
    if "U_xyz" in arrays:
        none = np.zeros((0, 0), np.float32)
        layers = (tuple(np.array(arrays[f"net.{layer}.{kind}"]) for layer in (0, 2, 4)) for kind in ("weight", "bias"))
        basis = OfficialBasis(tuple(arrays[f"U_{part}"] for part in _BASIS_PARTS),
                              tuple(arrays.get(f"c_{part}", none) for part in _BASIS_PARTS), *layers)
    return OfficialData(generator, basis, arrays.get("table"), notes)
