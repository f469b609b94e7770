"""The data layout of the official AGORA release: zips of pictures, masks and renderings under the same names, and one array of
fitted FLAME numbers. It can be read and checked here; training on it takes the FLAME model that its numbers belong to.

Layout: specification section 8. Files of a dataset called STEM lie in one folder: ``STEM.zip`` (RGB pictures and
``dataset.json``), ``STEM_masks_modnet.zip``, ``STEM__flame_renderings__v4.zip`` and ``*fused_params*.npy``, float32 [N, 364], row
i belonging to the i-th name in sorted order. `crop` folders of single fits, which drop names from the official list, are not
needed: with the fused array the names and rows must agree.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from core.errors import InputError
from core.types import FloatArray
from trainer.data.findings import CheckReport, Finding, Problem, blocking, sorted_findings, warning

MASKS, RENDERINGS, PARAMS = "_masks_modnet.zip", "__flame_renderings__v4.zip", "*fused_params*.npy"
PARAMS_WIDTH = 364
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
LARGEST_ENTRY = 64 << 20  # bytes of an unpacked picture file
LARGEST_PIXELS = 4096 * 4096
SAMPLED = 64  # pictures that a check decodes, evenly spread
LEAST_PICTURES, MANY_PICTURES = 8, 10_000


@dataclass(frozen=True)
class OfficialParams:
    """FLAME numbers of one picture: shape [300], expression [50], jaw [3], eyelids [2], global pose [3] (axis-angles in radians)
    and the weak-perspective camera s, tx, ty [3] of specification section 2.1."""

    shape: FloatArray
    expression: FloatArray
    jaw: FloatArray
    eyelids: FloatArray
    global_pose: FloatArray
    camera: FloatArray

    @staticmethod
    def of(row: FloatArray) -> OfficialParams:
        """From a row [364] of the fused array. Columns 300:303 and 358:361 of the official numbering repeat the pose."""
        return OfficialParams(row[0:300], row[300:350], row[353:356], row[356:358], row[358:361], row[361:364])


@dataclass(frozen=True)
class OfficialItem:
    """One picture: RGB [H, W, 3], mask [H, W], rendering [h, w, 3] (None where the release has none), all uint8, and numbers."""

    name: str
    image: NDArray[np.uint8]
    mask: NDArray[np.uint8] | None
    rendering: NDArray[np.uint8] | None
    params: OfficialParams | None


class OfficialZip:
    """An official dataset, read item by item. Use from one thread; close it or use it as a context manager.

    Attributes:
        stem: name of the dataset.
        names: sorted names of the pictures; the masks, renderings and rows of numbers follow them.
        missing: which of the layout's files are not there.
    """

    def __init__(self, folder: str | Path, stem: str) -> None:
        self.folder, self.stem = Path(folder), stem
        self._images = _Pictures(self.folder / f"{stem}.zip")
        self._masks = _Pictures.where_there(self.folder / f"{stem}{MASKS}")
        self._renderings = _Pictures.where_there(self.folder / f"{stem}{RENDERINGS}")
        self._params_path = next(iter(sorted(self.folder.glob(PARAMS))), None)
        self.names = self._images.names
        there = {f"{stem}{MASKS}": self._masks, f"{stem}{RENDERINGS}": self._renderings, PARAMS: self._params_path}
        self.missing = tuple(name for name, part in there.items() if part is None)

    @staticmethod
    def open(folder: str | Path) -> OfficialZip:
        """Opens the official dataset in a folder.

        Raises:
            InputError: the folder holds none, or more than one, or its zip is damaged.
        """
        stems = official_stems(Path(folder))
        if not stems:
            raise InputError(f"{folder} holds no dataset of the official layout: there is no zip of pictures with its masks")
        if len(stems) > 1:
            raise InputError(f"{folder} holds {len(stems)} official datasets: {', '.join(stems)}", "give each its own folder")
        return OfficialZip(folder, stems[0])

    def __enter__(self) -> OfficialZip:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[OfficialItem]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> OfficialItem:
        """One picture with all that belongs to it. Raises InputError when a file of it is missing or damaged."""
        name = self.names[index]
        return OfficialItem(name, self.image(name), self.mask(name), self._renderings and self._renderings.read(name, "RGB"),
                            None if self.params is None else OfficialParams.of(np.array(self.params[index])))

    def image(self, name: str) -> NDArray[np.uint8]:
        """RGB [H, W, 3]. Raises InputError when it is missing or damaged."""
        return self._images.read(name, "RGB")

    def mask(self, name: str) -> NDArray[np.uint8] | None:
        """[H, W]; None where the release has no masks. Raises InputError when it is missing or damaged."""
        return self._masks and self._masks.read(name, "L")

    @cached_property
    def params(self) -> FloatArray | None:
        """The fused array [N, 364], memory-mapped; None where there is none. Raises InputError when it is damaged."""
        if self._params_path is None:
            return None
        try:
            return np.load(self._params_path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{self._params_path} is not a numpy array that can be read: {error}") from error

    @property
    def parts(self) -> dict[str, tuple[str, ...] | None]:
        """Names in each zip, None where the zip is missing."""
        return {"pictures": self._images.names, "masks": self._masks and self._masks.names,
                "renderings": self._renderings and self._renderings.names}

    @property
    def labelled(self) -> tuple[str, ...] | None:
        """Names in the picture zip's ``dataset.json``; None where there is no readable one."""
        return self._images.labelled()

    def close(self) -> None:
        """Closes the zips."""
        for part in (self._images, self._masks, self._renderings):
            if part is not None:
                part.close()


def official_stems(folder: Path) -> list[str]:
    """Names of the official datasets in a folder: zips that have a zip of masks or renderings beside them."""
    ends = (MASKS, RENDERINGS)
    stems = {path.name[:-len(end)] for end in ends for path in folder.glob(f"*{end}")}
    return sorted(stem for stem in stems if (folder / f"{stem}.zip").is_file())


class _Pictures:
    """A zip of pictures, by name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"{path} is not a zip file that can be read: {error}") from error
        self.names = tuple(sorted(name for name in self._zip.namelist() if name.lower().endswith(PICTURES)))

    @staticmethod
    def where_there(path: Path) -> _Pictures | None:
        return _Pictures(path) if path.is_file() else None

    def read(self, name: str, mode: str) -> NDArray[np.uint8]:
        where = f"{self._path}: {name}"
        try:
            if self._zip.getinfo(name).file_size > LARGEST_ENTRY:
                raise InputError(f"{where} is too large to be a picture")
            with Image.open(io.BytesIO(self._zip.read(name))) as image:
                if image.width * image.height > LARGEST_PIXELS:
                    raise InputError(f"{where} has {image.width} x {image.height} pixels, more than can be read")
                return np.array(image.convert(mode))
        except KeyError:
            raise InputError(f"{where} is missing") from None
        except (OSError, ValueError, SyntaxError, zipfile.BadZipFile, Image.DecompressionBombError) as error:
            raise InputError(f"{where} is damaged: {error}") from error

    def labelled(self) -> tuple[str, ...] | None:
        try:
            content = json.loads(self._zip.read("dataset.json"))
            return tuple(str(name) for name, _ in content["labels"])
        except (KeyError, ValueError, TypeError, OSError, zipfile.BadZipFile):
            return None

    def close(self) -> None:
        self._zip.close()


# ---------------------------------------------------------------------- check

def check_official(folder: Path) -> CheckReport:
    """What is wrong with an official dataset. Decodes a sample of the pictures, reads all names and numbers."""
    try:
        with OfficialZip.open(folder) as data:
            findings = [*_file_findings(data), *_name_findings(data), *_params_findings(data), *_picture_findings(data)]
            return CheckReport(Path(folder), f"official layout '{data.stem}'", {"train": len(data)}, sorted_findings(findings))
    except InputError as error:
        return CheckReport(Path(folder), "official layout", {}, (blocking(Problem.DAMAGED_FILE, str(error)),))


def _file_findings(data: OfficialZip) -> Iterator[Finding]:
    for name in data.missing:
        hint = "the release does not include the renderings; they must be made with FLAME" if name.endswith(RENDERINGS) else ""
        yield blocking(Problem.MISSING_FILE, f"{name} is missing", [name], hint=hint)
    if data.labelled is None:
        yield warning(Problem.MISSING_FILE, f"{data.stem}.zip has no dataset.json with labels", [f"{data.stem}.zip"])
    if len(data) < LEAST_PICTURES:
        yield blocking(Problem.TOO_FEW, f"{len(data)} pictures, at least {LEAST_PICTURES} are needed", count=len(data))
    elif len(data) < MANY_PICTURES:
        yield warning(Problem.TOO_FEW, f"{len(data)} pictures; the official recipe was made for 139,826", count=len(data))


def _name_findings(data: OfficialZip) -> Iterator[Finding]:
    names = set(data.names)
    for part, others in data.parts.items():
        if part == "pictures" or others is None:
            continue
        without, extra = sorted(names - set(others)), sorted(set(others) - names)
        if without:
            yield blocking(Problem.COUNT, f"{len(without)} pictures have no {part[:-1]}", without)
        if extra:
            yield warning(Problem.EXTRA_FILE, f"{len(extra)} {part} belong to no picture", extra)
    if data.labelled is not None and (without := sorted(names - set(data.labelled))):
        yield warning(Problem.COUNT, f"{len(without)} pictures have no label in dataset.json", without)


def _params_findings(data: OfficialZip) -> Iterator[Finding]:
    params = data.params
    if params is None:
        return
    if params.ndim != 2 or params.shape[1] != PARAMS_WIDTH or params.dtype != np.float32:
        yield blocking(Problem.LAYOUT, f"the fused numbers are {params.dtype} {params.shape}, not float32 (N, {PARAMS_WIDTH})")
        return
    if len(params) != len(data):
        yield blocking(Problem.COUNT, f"{len(params)} rows of numbers for {len(data)} pictures",
                       hint="rows follow the sorted names; which rows are missing cannot be told")
    bad = [row for start in range(0, len(params), 8192)
           for row in start + np.flatnonzero(~np.isfinite(params[start:start + 8192]).all(1))]
    if bad:
        yield blocking(Problem.BAD_NUMBER, f"{len(bad)} rows of numbers are not finite", [f"row {row}" for row in bad])
    scale = params[:, 361]
    if len(params) and not (np.nan_to_num(scale, nan=1.0) > 0).all():
        yield blocking(Problem.BAD_CAMERA, "camera scales that are not positive", count=int((scale <= 0).sum()))


def _picture_findings(data: OfficialZip) -> Iterator[Finding]:
    """Decodes a sample evenly spread over the names."""
    damaged, unlike, empty, sizes = [], [], [], set()
    masks = set(data.parts["masks"] or ())
    for index in np.unique(np.linspace(0, len(data) - 1, min(SAMPLED, len(data))).astype(int)):
        name = data.names[index]
        try:
            image = data.image(name)
            sizes.add(image.shape[:2])
            if name in masks:
                mask = data.mask(name)
                unlike += [name] if mask.shape != image.shape[:2] else []
                empty += [name] if mask.mean() < 2.55 else []
        except InputError:
            damaged.append(name)
    if damaged:
        yield blocking(Problem.DAMAGED_FILE, f"{len(damaged)} of {SAMPLED} sampled pictures or masks are damaged", damaged)
    if unlike:
        yield blocking(Problem.LAYOUT, f"{len(unlike)} sampled masks are not as large as their pictures", unlike)
    if empty:
        yield warning(Problem.EMPTY_MASK, f"{len(empty)} sampled masks are empty", empty)
    if len(sizes) > 1 or any(height != width for height, width in sizes):
        shown = ", ".join(f"{width} x {height}" for height, width in sorted(sizes))
        yield blocking(Problem.LAYOUT, f"the pictures are not squares of one size: {shown}")
