"""A folder of photographs becomes a dataset: `trainer.data.portrait_photo` on each, copies dropped, the rest put into shards.

Photographs are worked through in parcels. A parcel's result is a file named after the contents of the parcel and the settings,
so work that was stopped goes on where it was, and photographs that are added later cost only themselves and their neighbours.
The result depends on neither the number of processes nor the order in which they finish.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from core.assets import PERSON_SEGMENTER, landmarker_model_path, locate, write_atomically
from core.errors import InputError
from core.head.library import load_open_head
from trainer.data.dataset import DatasetInfo, People, Samples, SplitInfo, shard_path, write_info, write_shard
from trainer.data.portrait_filter import QualityLimits, Refusal, duplicates_of
from trainer.data.portrait_photo import Portrait, PortraitMaker
from trainer.data.workers import finished

SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
PARCEL, PORTRAITS_PER_SHARD = 32, 256
PARCELS_FOLDER, REPORT_NAME = "parcels", "report.json"
METHOD = 1  # changes with every change of what a photograph becomes
Progress = Callable[[int, int], None]
_FIELDS = tuple(Samples.__dataclass_fields__)


@dataclass(frozen=True)
class PortraitSettings:
    """How photographs are ingested.

    Attributes:
        size: side of the portraits, pixels.
        limits: what photographs must keep to.
        test_share: part of them that is kept for testing; at least one of two or more.
    """

    size: int = 128
    limits: QualityLimits = field(default_factory=QualityLimits)
    test_share: float = 0.05


@dataclass(frozen=True)
class RefusedPhoto:
    """A photograph that was left out; its name is relative to the folder of photographs."""

    name: str
    reason: Refusal
    detail: str = ""


@dataclass(frozen=True)
class PortraitReport:
    """What became of a folder of photographs.

    Attributes:
        info: the dataset.
        used: names of the photographs of each split, in the order of its pictures.
        refused: the others.
        residual: mean landmark error of the used ones, fraction of the interocular distance.
    """

    info: DatasetInfo
    used: dict[str, tuple[str, ...]]
    refused: tuple[RefusedPhoto, ...]
    residual: float

    @property
    def counts(self) -> dict[Refusal, int]:
        """How many were left out for each reason, most frequent first."""
        return dict(Counter(photo.reason for photo in self.refused).most_common())

    def text(self) -> str:
        """For people: one line for what is used, one for each reason."""
        used = sum(map(len, self.used.values()))
        lines = [f"{used} of {used + len(self.refused)} photographs used: "
                 + ", ".join(f"{len(names)} {split}" for split, names in self.used.items())
                 + f"; mean landmark error {100 * self.residual:.1f} % of the distance of the eyes"]
        return "\n".join(lines + [f"{number:7d}  {reason.value}" for reason, number in self.counts.items()])

    def to_json(self) -> bytes:
        """For programs and for looking up single photographs."""
        content = {"used": self.used, "residual": self.residual,
                   "counts": {reason.name.lower(): number for reason, number in self.counts.items()},
                   "refused": [{"name": p.name, "reason": p.reason.name.lower(), "detail": p.detail} for p in self.refused]}
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def ingest_portraits(photos: Path, folder: Path, settings: PortraitSettings, workers: int = 1,
                     progress: Progress = lambda done, total: None) -> PortraitReport:
    """Makes a dataset of kind "portraits" and writes a report beside it.

    Args:
        photos: folder of photographs, searched with its subfolders.
        folder: of the dataset; parcels that are there are kept.
        workers: processes; 1 works in this one.
        progress: is told the photographs done and the photographs in all.

    Raises:
        InputError: there are no photographs, or none of them can be used.
        AssetError: a network's file is missing and cannot be fetched.
    """
    files = photos_in(photos, folder)
    landmarker_model_path(), locate(PERSON_SEGMENTER)  # fetched here once, not by every process
    parcels = [files[i:i + PARCEL] for i in range(0, len(files), PARCEL)]
    paths = [folder / PARCELS_FOLDER / f"{_digest(photos, parcel, settings)}.safetensors" for parcel in parcels]
    missing = [(photos, parcel, path, settings) for parcel, path in zip(parcels, paths, strict=True) if not _is_whole(path)]
    done = len(files) - sum(len(job[1]) for job in missing)
    progress(done, len(files))
    for job in finished(_make_parcel, missing, workers):
        done += len(job[1])
        progress(done, len(files))
    report = _assemble(photos, folder, paths, settings)
    write_atomically(folder / REPORT_NAME, report.to_json())
    return report


def photos_in(photos: Path, folder: Path) -> list[str]:
    """Names of the photographs below a folder, in a fixed order; the dataset's own folder is left out. Raises InputError."""
    if not photos.is_dir():
        raise InputError(f"{photos} is not a folder of photographs")
    inside = [path for path in photos.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file()
              and not path.name.startswith(".") and folder.resolve() not in path.resolve().parents]
    if not inside:
        raise InputError(f"{photos} holds no photographs", f"files that end in {' '.join(SUFFIXES)} are read")
    return sorted(path.relative_to(photos).as_posix() for path in inside)


# ---------------------------------------------------------------------- parcels

def _digest(photos: Path, parcel: list[str], settings: PortraitSettings) -> str:
    """Name of a parcel's result: changes with its files, the settings, the head model and the method."""
    stamps = [(name, (photos / name).stat().st_size, (photos / name).stat().st_mtime_ns) for name in parcel]
    content = json.dumps([METHOD, settings.size, asdict(settings.limits), load_open_head().sha256, stamps])
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def _is_whole(path: Path) -> bool:
    try:
        with safe_open(path, framework="numpy") as parcel:
            return "photos" in (parcel.metadata() or {})
    except (OSError, SafetensorError):
        return False


def _make_parcel(photos: Path, names: list[str], path: Path, settings: PortraitSettings) -> None:
    made, about = [], []
    with closing(PortraitMaker(load_open_head(), settings.size, settings.limits)) as maker:
        for name in names:
            result = maker(photos / name)
            if isinstance(result, Portrait):
                made.append(result)
                about.append({"name": name, "residual": result.residual})
            else:
                about.append({"name": name, "reason": result.reason.name, "detail": result.detail})
    tensors = {name: np.concatenate([getattr(portrait.sample, name) for portrait in made]) for name in _FIELDS} if made else {}
    tensors["fingerprint"] = np.array([portrait.fingerprint for portrait in made], np.uint8).reshape(-1, 32)
    write_atomically(path, save(tensors, {"photos": json.dumps(about)}))


# ---------------------------------------------------------------------- assembly

@dataclass(frozen=True)
class _Place:
    """A usable portrait: the photograph's name, the parcel and the row in it."""

    name: str
    parcel: Path
    row: int
    residual: float


def _assemble(photos: Path, folder: Path, paths: list[Path], settings: PortraitSettings) -> PortraitReport:
    places, refused = _survey(paths)
    if not places:
        reasons = Counter(photo.reason.value for photo in refused).most_common(3)
        raise InputError(f"none of the {len(refused)} photographs in {photos} can be used",
                         "; ".join(f"{number} times: {reason}" for reason, number in reasons))
    splits = _split(places, settings.test_share)
    head, infos = load_open_head(), []
    for name, chosen in splits.items():
        shards = [chosen[i:i + PORTRAITS_PER_SHARD] for i in range(0, len(chosen), PORTRAITS_PER_SHARD)]
        for index, shard in enumerate(shards):
            samples = _gathered(shard)
            write_shard(shard_path(folder, name, index), samples, _strangers(samples))
        infos.append(SplitInfo(name, len(chosen), len(chosen), len(shards)))
    info = DatasetInfo("portraits", settings.size, head.name, head.sha256, head.psi_layout, 0, 0, tuple(infos),
                       "photographs; colour premultiplied by alpha; every picture counts as another person")
    write_info(folder, info)
    _clear(folder, paths, infos)
    return PortraitReport(info, {name: tuple(p.name for p in chosen) for name, chosen in splits.items()}, tuple(refused),
                          float(np.mean([place.residual for place in places])))


def _survey(paths: list[Path]) -> tuple[list[_Place], list[RefusedPhoto]]:
    """What the parcels hold, without copies; in the order of the photographs' names."""
    places, refused, fingerprints = [], [], []
    for path in paths:
        with safe_open(path, framework="numpy") as parcel:
            about = json.loads(parcel.metadata()["photos"])
            fingerprints.append(parcel.get_tensor("fingerprint"))
        row = 0
        for photo in about:
            if "reason" in photo:
                refused.append(RefusedPhoto(photo["name"], Refusal[photo["reason"]], photo["detail"]))
            else:
                places.append(_Place(photo["name"], path, row, photo["residual"]))
                row += 1
    original = duplicates_of(np.concatenate(fingerprints))
    refused += [RefusedPhoto(place.name, Refusal.DUPLICATE, places[first].name)
                for place, first in zip(places, original, strict=True) if first >= 0]
    kept = [place for place, first in zip(places, original, strict=True) if first < 0]
    return kept, sorted(refused, key=lambda photo: photo.name)


def _split(places: list[_Place], test_share: float) -> dict[str, list[_Place]]:
    """Train and test, drawn by the photographs' names so that an added one moves few others."""
    count = min(max(1, round(test_share * len(places))), len(places) // 2) if test_share > 0 else 0
    drawn = sorted(places, key=lambda place: hashlib.sha256(place.name.encode()).digest())[:count]
    test = {place.name for place in drawn}
    return {"train": [p for p in places if p.name not in test], "test": [p for p in places if p.name in test]}


def _gathered(places: list[_Place]) -> Samples:
    """The samples of a shard, each its own person."""
    rows: dict[str, list] = {name: [] for name in _FIELDS}
    for path in dict.fromkeys(place.parcel for place in places):
        wanted = [place.row for place in places if place.parcel == path]  # ascending, as the places are
        with safe_open(path, framework="numpy") as parcel:
            for name in _FIELDS:
                rows[name].append(parcel.get_tensor(name)[wanted])
    joined = {name: np.concatenate(parts) for name, parts in rows.items()}
    return Samples(**joined | {"person": np.arange(len(places), dtype=np.int32)})


def _strangers(samples: Samples) -> People:
    """People of whom only the fitted shape is known."""
    count = len(samples)
    return People(seed=np.full(count, -1, np.int64), latent=np.zeros((count, 0), np.float32), shape=samples.shape,
                  uv_color=np.zeros((count, 0, 3), np.uint8), uv_offset=np.zeros((count, 0), np.float16),
                  uv_known=np.zeros((count, 0), np.uint8))


def _clear(folder: Path, paths: list[Path], splits: list[SplitInfo]) -> None:
    """Removes shards and parcels of an earlier, other selection of photographs."""
    current = {path.name for path in paths}
    stale = [path for path in (folder / PARCELS_FOLDER).glob("*.safetensors") if path.name not in current]
    for split in splits:
        wanted = {shard_path(folder, split.name, index).name for index in range(split.shards)}
        stale += [path for path in (folder / split.name).glob("shard-*.safetensors") if path.name not in wanted]
    for path in stale:
        path.unlink()
