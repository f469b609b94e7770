"""The dataset format: a folder with `dataset.json` and, per split, shards of people and their pictures in safetensors.

A shard is written whole or not at all, and its name says which it is, so that a maker that was stopped goes on where it was.
Nothing in a dataset can execute.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from core.assets import write_atomically
from core.errors import InputError
from core.types import FloatArray, PsiLayout

FORMAT_NAME, FORMAT_MAJOR, FORMAT_MINOR = "agora-dataset", 1, 0
KINDS = ("synthetic", "portraits", "official")
INFO_NAME = "dataset.json"
ANCHOR_RESOLUTION = 128  # side of the texture map whose seats `People.uv_…` are given on


@dataclass(frozen=True)
class Samples:
    """n pictures and what is known about each.

    Attributes:
        rgba: [n, S, S, 4] uint8, colour premultiplied by alpha.
        shape: [n, s] float32 shape coefficients.
        psi: [n, P] float32 driving vectors.
        neck: [n, 3] float32 axis-angle of the neck joint, radians.
        world_to_camera: [n, 4, 4] float32.
        intrinsics: [n, 4] float32 fx, fy, cx, cy in pixels.
        person: [n] int32 row of the split's people.
        landmarks: [n, 468, 3] float32: x, y in pixels and 1 where the point faces the camera, else 0.
    """

    rgba: NDArray[np.uint8]
    shape: FloatArray
    psi: FloatArray
    neck: FloatArray
    world_to_camera: FloatArray
    intrinsics: FloatArray
    person: NDArray[np.int32]
    landmarks: FloatArray

    def __len__(self) -> int:
        return len(self.rgba)


@dataclass(frozen=True)
class People:
    """p people.

    Attributes:
        seed: [p] int64, -1 where there is none.
        latent: [p, Z] float32 known factors of appearance; Z is 0 where nothing is known.
        shape: [p, s] float32.
        uv_color: [p, A, 3] uint8 resting colour at the seats of `ANCHOR_RESOLUTION`; A is 0 where it is not known.
        uv_offset: [p, A] float16 metres, how far the visible surface (hair, garment) stands off the seat.
        uv_known: [p, A] uint8, 1 where colour and offset are known.
    """

    seed: NDArray[np.int64]
    latent: FloatArray
    shape: FloatArray
    uv_color: NDArray[np.uint8]
    uv_offset: NDArray[np.float16]
    uv_known: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.seed)


@dataclass(frozen=True)
class SplitInfo:
    """One part of a dataset."""

    name: str
    images: int
    people: int
    shards: int


@dataclass(frozen=True)
class DatasetInfo:
    """What `dataset.json` declares.

    Attributes:
        kind: one of `KINDS`.
        size: side of the pictures, pixels.
        head_name, head_sha256: head model of all coefficients.
        psi: layout of the driving vectors.
        latent_size: Z of the people.
        seed: of everything random in it.
        notes: how it was made, for people.
    """

    kind: str
    size: int
    head_name: str
    head_sha256: str
    psi: PsiLayout
    latent_size: int
    seed: int
    splits: tuple[SplitInfo, ...]
    notes: str = ""

    def split(self, name: str) -> SplitInfo:
        """A part by name. Raises InputError when there is none."""
        for split in self.splits:
            if split.name == name:
                return split
        raise InputError(f"the dataset has no part '{name}'", f"it has {', '.join(s.name for s in self.splits)}")

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT_NAME, "version": [FORMAT_MAJOR, FORMAT_MINOR], "kind": self.kind, "size": self.size,
                "head": {"name": self.head_name, "sha256": self.head_sha256}, "psi": asdict(self.psi),
                "latent_size": self.latent_size, "seed": self.seed, "notes": self.notes,
                "splits": [asdict(split) for split in self.splits]}


def write_info(folder: Path, info: DatasetInfo) -> None:
    """Writes `dataset.json`; a dataset exists once it is there."""
    write_atomically(folder / INFO_NAME, (json.dumps(info.to_json(), indent=1) + "\n").encode())


def read_info(folder: Path) -> DatasetInfo:
    """Reads `dataset.json`.

    Raises:
        InputError: missing, damaged, or of another format or major version.
    """
    path = Path(folder) / INFO_NAME
    try:
        raw = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} is not a dataset: it has no {INFO_NAME}", "make one with `data synth` or `data portraits`") \
            from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(raw, dict) or raw.get("format") != FORMAT_NAME:
        raise InputError(f"{path} does not describe a dataset of this program")
    if not isinstance(raw.get("version"), list) or raw["version"][:1] != [FORMAT_MAJOR]:
        raise InputError(f"{path}: dataset format {raw.get('version')}, this program reads format {FORMAT_MAJOR}.x")
    try:
        info = DatasetInfo(raw["kind"], int(raw["size"]), raw["head"]["name"], raw["head"]["sha256"],
                           PsiLayout(**{key: int(value) for key, value in raw["psi"].items()}),
                           int(raw["latent_size"]), int(raw["seed"]), tuple(SplitInfo(**split) for split in raw["splits"]),
                           raw.get("notes", ""))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: a field is missing or of the wrong type ({error})") from error
    if info.kind not in KINDS or not 8 <= info.size <= 4096:
        raise InputError(f"{path}: kind '{info.kind}' or size {info.size} is out of range")
    return info


def shard_path(folder: Path, split: str, index: int) -> Path:
    """Where a shard lies."""
    return Path(folder) / split / f"shard-{index:05d}.safetensors"


def write_shard(path: Path, samples: Samples, people: People) -> None:
    """Writes one shard, whole or not at all. `samples.person` counts from 0 within the shard."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"sample.{f.name}": np.ascontiguousarray(getattr(samples, f.name)) for f in fields(Samples)}
    tensors |= {f"people.{f.name}": np.ascontiguousarray(getattr(people, f.name)) for f in fields(People)}
    write_atomically(path, save(tensors))


@dataclass(frozen=True)
class Dataset:
    """A dataset that is open for reading; every call reads what it returns.

    Attributes:
        folder: where it lies.
        info: what it declares.
    """

    folder: Path
    info: DatasetInfo

    @staticmethod
    def open(folder: str | Path) -> Dataset:
        """Opens a dataset folder. Raises InputError when it is none."""
        folder = Path(folder)
        return Dataset(folder, read_info(folder))

    def count(self, split: str) -> int:
        """Pictures in a split."""
        return self.info.split(split).images

    def people(self, split: str) -> People:
        """Everybody in a split. Raises InputError when a shard is missing or damaged."""
        return _joined(People, [self._read(split, i, "people.", People) for i in range(self.info.split(split).shards)])

    def samples(self, split: str, indices: Sequence[int] | None = None) -> Samples:
        """All pictures of a split, or those of ascending `indices`, with their labels. Shards without any of them are not read.

        Raises:
            InputError: a shard is missing or damaged.
            ValueError: the indices do not ascend or leave the split.
        """
        wanted = None if indices is None else np.asarray(indices, np.int64)
        if wanted is not None and len(wanted) and ((np.diff(wanted) < 0).any() or wanted[0] < 0):
            raise ValueError("indices of pictures must ascend from 0")
        parts, first_image, first_person = [], 0, 0
        for i in range(self.info.split(split).shards):
            images, people = self._counts(split, i)
            inside = np.arange(images)
            if wanted is not None:
                inside = wanted[(wanted >= first_image) & (wanted < first_image + images)] - first_image
            if len(inside):
                part = self._read(split, i, "sample.", Samples, inside)
                parts.append(replace(part, person=part.person + np.int32(first_person)))
            first_image, first_person = first_image + images, first_person + people
        if wanted is not None and len(wanted) and wanted[-1] >= first_image:
            raise ValueError(f"part '{split}' has {first_image} pictures, number {wanted[-1]} is not among them")
        return _joined(Samples, parts)

    def _counts(self, split: str, index: int) -> tuple[int, int]:
        """Pictures and people of a shard."""
        with _shard(shard_path(self.folder, split, index)) as shard:
            return shard.get_slice("sample.person").get_shape()[0], shard.get_slice("people.seed").get_shape()[0]

    def _read(self, split: str, index: int, prefix: str, kind: type, rows: NDArray | None = None) -> Any:
        """All of a shard's samples or people, or some rows of them, which ascend."""
        path = shard_path(self.folder, split, index)
        with _shard(path) as shard:
            if rows is None:
                part = kind(**{f.name: shard.get_tensor(prefix + f.name) for f in fields(kind)})
            else:
                low, high = int(rows[0]), int(rows[-1]) + 1
                part = kind(**{f.name: shard.get_slice(prefix + f.name)[low:high][rows - low] for f in fields(kind)})
        sides = part.rgba.shape[1:3] if kind is Samples else (self.info.size, self.info.size)
        if sides != (self.info.size, self.info.size):
            raise InputError(f"{path} has pictures of {sides[1]} x {sides[0]} pixels, the dataset is of {self.info.size}",
                             "it belongs to another dataset")
        return part


@contextmanager
def _shard(path: Path) -> Iterator[Any]:
    """An open shard. Raises InputError when it is missing, damaged or lacks what is read from it."""
    try:
        with safe_open(path, framework="numpy") as shard:
            yield shard
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}", "make the dataset again with the same command; what is whole is "
                                                            "kept") from error


def _joined(kind: type, parts: Iterable[Any]) -> Any:
    parts = list(parts)
    if not parts:
        raise InputError(f"the dataset has no {kind.__name__.lower()}")
    return kind(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(kind)})
