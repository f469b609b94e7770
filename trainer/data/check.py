"""Whether a dataset can be trained on: every shard is opened, every label and mask looked at, copies and leaks searched.

Understands this program's datasets (`trainer.data.dataset`) and the official layout (`trainer.data.official_zip`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from core.errors import InputError
from core.geometry import PORTRAIT_TARGET
from core.head.embedding import SKIN_LANDMARKS
from core.head.library import load_open_head
from core.head.model import HeadModel
from trainer.data.dataset import INFO_NAME, DatasetInfo, People, Samples, SplitInfo, read_info, shard_path
from trainer.data.findings import CheckReport, Finding, Problem, blocking, sorted_findings, warning
from trainer.data.official_zip import check_official, official_stems
from trainer.data.portrait_filter import duplicates_of, perceptual_hash

LEAST_IMAGES, MANY_IMAGES = 16, 2000
TOLERATED_SHARE = 0.02  # of pictures with a fault of their own; more keep training from starting
LEAST_ALPHA, MOST_ALPHA = 0.02, 0.995
LEAST_INSIDE = 0.75  # of the visible landmarks
PREMULTIPLIED_SLACK = 2  # of 255, what rounding may do
COMPARED = ("train", "test")  # splits between which nothing may leak
LEAST_YAW_SPREAD, MOST_YAW_MEAN = 8.0, 15.0  # degrees
OPEN_JAW, LEAST_OPEN_SHARE = 0.3, 0.02  # of the full opening; of the pictures
LEAST_COLUMN_SPREAD, SILENT_SHARE = 0.02, 0.5
Progress = Callable[[int, int], None]


def check_data(folder: str | Path, head: HeadModel | None = None, progress: Progress = lambda done, total: None) -> CheckReport:
    """What is wrong with the data in a folder. Never raises for bad data.

    Args:
        head: the head model that training will use; the open head by default.
        progress: is told the shards done and the shards in all.
    """
    folder = Path(folder)
    if not (folder / INFO_NAME).is_file() and folder.is_dir() and official_stems(folder):
        return check_official(folder)
    try:
        info = read_info(folder)
    except InputError as error:
        known = (folder / INFO_NAME).is_file()
        finding = blocking(Problem.DESCRIPTION if known else Problem.NOT_A_DATASET, error.message, hint=error.hint)
        return CheckReport(folder, "", {}, (finding,))
    return _Check(folder, info, head or load_open_head()).report(progress)


@dataclass
class _Seen:
    """What was collected over the shards of one split.

    Attributes:
        faults: places ("split: picture n") by problem.
        digests, fingerprints: [n, 16] and [n, 32] of the pictures.
        seeds: of the people.
        yaw, jaw: [n] degrees; share of the full opening.
        expression: [n, E].
    """

    faults: dict[Problem, list[str]]
    digests: list[bytes]
    fingerprints: list[NDArray[np.uint8]]
    seeds: list[NDArray[np.int64]]
    yaw: list[NDArray]
    jaw: list[NDArray]
    expression: list[NDArray]


class _Check:
    def __init__(self, folder: Path, info: DatasetInfo, head: HeadModel) -> None:
        self._folder, self._info, self._head = folder, info, head
        self._findings: list[Finding] = []
        self._seen: dict[str, _Seen] = {}

    def report(self, progress: Progress) -> CheckReport:
        self._findings += _head_findings(self._info, self._head)
        total, done = sum(split.shards for split in self._info.splits), 0
        for split in self._info.splits:
            seen = self._seen[split.name] = _Seen({}, [], [], [], [], [], [])
            images = people = 0
            for index in range(split.shards):
                counted = self._shard(split, index, images, seen)
                images, people = images + counted[0], people + counted[1]
                done += 1
                progress(done, total)
            self._counts(split, images, people)
            self._findings += _fault_findings(split.name, seen, images)
        self._findings += [*_size_findings(self._info), *self._copies(), *_label_findings(self._seen.get("train"), self._head)]
        return CheckReport(self._folder, self._info.kind, {s.name: s.images for s in self._info.splits},
                           sorted_findings(self._findings), sum(s.people for s in self._info.splits), self._info.size)

    def _shard(self, split: SplitInfo, index: int, first: int, seen: _Seen) -> tuple[int, int]:
        """Looks at one shard; returns its pictures and people."""
        path = shard_path(self._folder, split.name, index)
        place = path.relative_to(self._folder).as_posix()
        hint = "make the dataset again with the same command; what is whole is kept"
        if not path.is_file():
            self._findings.append(blocking(Problem.MISSING_FILE, f"{place} is missing", [place], hint=hint))
            return 0, 0
        try:
            with safe_open(path, framework="numpy") as shard:
                samples = Samples(**{f.name: shard.get_tensor(f"sample.{f.name}") for f in fields(Samples)})
                people = People(**{f.name: shard.get_tensor(f"people.{f.name}") for f in fields(People)})
        except (OSError, SafetensorError) as error:
            self._findings.append(blocking(Problem.DAMAGED_FILE, f"{place} is damaged: {error}", [place],
                                           hint=f"remove it and {hint}"))
            return 0, 0
        wrong = _layout(samples, people, self._info, self._head)
        if wrong:
            self._findings.append(blocking(Problem.LAYOUT, f"{place}: {wrong}", [place]))
            return len(samples.rgba), len(people.seed)
        _look(samples, people, split.name, first, seen, self._head)
        return len(samples), len(people)

    def _counts(self, split: SplitInfo, images: int, people: int) -> None:
        damaged = any(f.problem in (Problem.MISSING_FILE, Problem.DAMAGED_FILE) for f in self._findings)
        if not damaged and (images, people) != (split.images, split.people):
            self._findings.append(blocking(Problem.COUNT, f"{split.name} holds {images} pictures of {people} people, {INFO_NAME} "
                                           f"promises {split.images} of {split.people}", count=1))
        wanted = {shard_path(self._folder, split.name, index).name for index in range(split.shards)}
        extra = sorted(path.name for path in (self._folder / split.name).glob("*") if path.name not in wanted)
        if extra:
            self._findings.append(warning(Problem.EXTRA_FILE, f"{len(extra)} files in {split.name} belong to nothing", extra))

    def _copies(self) -> Iterator[Finding]:
        """Pictures that repeat each other, and what is in both the training and the test part."""
        names = [name for name in COMPARED if name in self._seen and self._seen[name].digests]
        digests = [(name, i, d) for name in names for i, d in enumerate(self._seen[name].digests)]
        first: dict[bytes, tuple[str, int]] = {}
        same, leaked = [], []
        for name, i, digest in digests:
            other, row = first.setdefault(digest, (name, i))
            if (other, row) != (name, i):
                (same if other == name else leaked).append(f"{name}: picture {i} = {other}: picture {row}")
        if same:
            yield warning(Problem.DUPLICATE, f"{len(same)} pictures repeat another one exactly", same)
        if self._info.kind == "portraits":
            near = _near_copies(digests, np.concatenate([f for name in names for f in self._seen[name].fingerprints]))
            leaked += [text for text, crosses in near if crosses]
            if alike := [text for text, crosses in near if not crosses]:
                yield warning(Problem.DUPLICATE, f"{len(alike)} pictures are nearly the same as another one", alike)
        if leaked:
            yield blocking(Problem.LEAK, f"{len(leaked)} test pictures are training pictures", leaked)
        seeds = [set(np.concatenate(self._seen[name].seeds).tolist()) - {-1} for name in names]
        if len(seeds) == 2 and (both := sorted(seeds[0] & seeds[1])):
            yield blocking(Problem.LEAK, f"{len(both)} people of the test part are training people", [f"seed {s}" for s in both])


# ---------------------------------------------------------------------- one shard

def _layout(samples: Samples, people: People, info: DatasetInfo, head: HeadModel) -> str:
    """Which array has the wrong shape or type; empty when all are right."""
    n, p, s = len(samples.rgba), len(people.seed), samples.shape.shape[-1]
    expected = {"rgba": ((n, info.size, info.size, 4), np.uint8), "shape": ((n, min(s, head.shape_count)), np.float32),
                "psi": ((n, info.psi.size), np.float32), "neck": ((n, 3), np.float32), "world_to_camera": ((n, 4, 4), np.float32),
                "intrinsics": ((n, 4), np.float32), "person": ((n,), np.int32), "landmarks": ((n, SKIN_LANDMARKS, 3), np.float32)}
    for name, (shape, dtype) in expected.items():
        array = getattr(samples, name)
        if array.shape != shape or array.dtype != dtype:
            return f"{name} is {array.dtype} {array.shape}, not {np.dtype(dtype)} {shape}"
    if people.latent.shape != (p, info.latent_size):
        return f"the people's latent is {people.latent.shape}, not {(p, info.latent_size)}"
    if n and (samples.person.min() < 0 or samples.person.max() >= p):
        return f"pictures name person {samples.person.max()} of {p} people"
    return ""


def _look(samples: Samples, people: People, split: str, first: int, seen: _Seen, head: HeadModel) -> None:
    """Adds what a shard holds to `seen`."""
    alpha = samples.rgba[..., 3]
    finite = _finite(samples)
    camera = _camera_is_possible(samples) | ~finite
    share = alpha.mean((1, 2)) / 255
    spill = (samples.rgba[..., :3].max(3).astype(np.int16) - alpha).max((1, 2))
    inside = np.where(finite, _share_inside(samples), 1)
    faults = {Problem.BAD_NUMBER: ~finite, Problem.BAD_CAMERA: ~camera, Problem.EMPTY_MASK: share < LEAST_ALPHA,
              Problem.FULL_MASK: share > MOST_ALPHA, Problem.NOT_PREMULTIPLIED: spill > PREMULTIPLIED_SLACK,
              Problem.OUT_OF_FRAME: inside < LEAST_INSIDE}
    for problem, wrong in faults.items():
        seen.faults.setdefault(problem, []).extend(f"{split}: picture {first + i}" for i in np.flatnonzero(wrong))
    seen.digests += [hashlib.blake2b(picture.tobytes(), digest_size=16).digest() for picture in samples.rgba]
    seen.fingerprints.append(np.stack([perceptual_hash(_over_grey(picture)) for picture in samples.rgba]))
    seen.seeds.append(people.seed)
    good, e = finite & camera, head.expression_count
    if samples.psi.shape[1] == head.psi_layout.size and good.any():
        seen.yaw.append(_yaw_degrees(samples.world_to_camera[good]))
        seen.jaw.append(np.linalg.norm(samples.psi[good, e:e + 3], axis=1) / head.jaw_open_angle)
        seen.expression.append(samples.psi[good, :e])


def _finite(samples: Samples) -> NDArray[np.bool_]:
    labels = [getattr(samples, f.name) for f in fields(Samples) if f.name not in ("rgba", "person")]
    return np.all([np.isfinite(label.reshape(len(label), -1)).all(1) for label in labels], axis=0)


def _camera_is_possible(samples: Samples) -> NDArray[np.bool_]:
    """A rotation, a head in front of the camera, and positive focal lengths [n]."""
    matrix = np.nan_to_num(samples.world_to_camera.astype(float), nan=0.0, posinf=0.0, neginf=0.0)
    turn = matrix[:, :3, :3]
    rotates = np.abs(turn @ turn.transpose(0, 2, 1) - np.eye(3)).max((1, 2)) < 1e-3
    proper = np.linalg.det(turn) > 0
    in_front = (turn @ PORTRAIT_TARGET + matrix[:, :3, 3])[:, 2] > 0.05
    return rotates & proper & in_front & (np.nan_to_num(samples.intrinsics[:, :2]) > 0).all(1)


def _share_inside(samples: Samples) -> NDArray:
    """How many of the visible landmarks lie in the picture [n]; 0 where none is visible."""
    size = samples.rgba.shape[1]
    points, visible = np.nan_to_num(samples.landmarks[..., :2]), samples.landmarks[..., 2] > 0.5
    inside = ((points >= 0) & (points <= size)).all(2) & visible
    return inside.sum(1) / np.maximum(visible.sum(1), 1)


def _yaw_degrees(world_to_camera: NDArray) -> NDArray:
    """From which side the camera sees the head, positive from the subject's left [n]."""
    position = -np.einsum("nba,nb->na", world_to_camera[:, :3, :3], world_to_camera[:, :3, 3]) - PORTRAIT_TARGET
    return np.degrees(np.arctan2(position[:, 0], position[:, 2]))


def _over_grey(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.add(rgba[..., :3], np.repeat((255 - rgba[..., 3:]) // 2, 3, axis=2))


# ---------------------------------------------------------------------- findings

_FAULTS = {
    Problem.BAD_NUMBER: "labels that are not finite",
    Problem.BAD_CAMERA: "a camera that cannot be",
    Problem.EMPTY_MASK: "next to no foreground",
    Problem.FULL_MASK: "next to no background",
    Problem.NOT_PREMULTIPLIED: "colours that are not premultiplied by alpha",
    Problem.OUT_OF_FRAME: "a face that leaves the picture",
}
_ALWAYS_BLOCKING = (Problem.BAD_NUMBER, Problem.BAD_CAMERA, Problem.NOT_PREMULTIPLIED)


def _fault_findings(split: str, seen: _Seen, images: int) -> Iterator[Finding]:
    for problem, places in seen.faults.items():
        if places:
            blocks = problem in _ALWAYS_BLOCKING or (problem is not Problem.FULL_MASK and len(places) > TOLERATED_SHARE * images)
            message = f"{len(places)} of {images} pictures in {split} have {_FAULTS[problem]}"
            yield (blocking if blocks else warning)(problem, message, places)


def _head_findings(info: DatasetInfo, head: HeadModel) -> Iterator[Finding]:
    if info.head_sha256 != head.sha256:
        yield blocking(Problem.WRONG_HEAD, f"the dataset was made for head model {info.head_name} ({info.head_sha256[:12]}), "
                       f"this is {head.name} ({head.sha256[:12]})", hint="make the dataset again, or train with its head model")
    elif info.psi != head.psi_layout:
        yield blocking(Problem.LAYOUT, "driving vectors are laid out differently from the head model's")


def _size_findings(info: DatasetInfo) -> Iterator[Finding]:
    counts = {split.name: split.images for split in info.splits}
    train = counts.get("train", 0)
    if train < LEAST_IMAGES:
        yield blocking(Problem.TOO_FEW, f"{train} training pictures, at least {LEAST_IMAGES} are needed", count=train)
    elif train < MANY_IMAGES:
        yield warning(Problem.TOO_FEW, f"{train} training pictures; generators want {MANY_IMAGES} and more", count=train)
    if not counts.get("test"):
        yield warning(Problem.NO_TEST, "there is no test part: nothing will be measured on unseen people")


def _label_findings(seen: _Seen | None, head: HeadModel) -> Iterator[Finding]:
    """Hints about what the training labels hardly contain."""
    if seen is None or not seen.yaw:
        return
    yaw, jaw, expression = np.concatenate(seen.yaw), np.concatenate(seen.jaw), np.concatenate(seen.expression)
    if yaw.std() < LEAST_YAW_SPREAD:
        yield warning(Problem.DISTRIBUTION, f"nearly all heads are seen from one side (yaw {yaw.mean():.0f} ± {yaw.std():.0f} "
                      "degrees): what the other sides look like cannot be learned")
    if abs(yaw.mean()) > MOST_YAW_MEAN:
        yield warning(Problem.DISTRIBUTION, f"heads are mostly seen from one side (mean yaw {yaw.mean():.0f} degrees)",
                      hint="mirrored copies would balance that")
    opened = float((jaw > OPEN_JAW).mean())
    if opened < LEAST_OPEN_SHARE:
        yield warning(Problem.DISTRIBUTION, f"only {100 * opened:.1f} % of the mouths are open: their inside will be poor")
    silent = [name for name, spread in zip(head.expression_names, expression.std(0), strict=True) if spread < LEAST_COLUMN_SPREAD]
    if len(silent) > SILENT_SHARE * len(head.expression_names):
        yield warning(Problem.DISTRIBUTION, f"{len(silent)} of {len(head.expression_names)} expressions hardly occur", silent)


def _near_copies(pictures: list[tuple[str, int, bytes]], fingerprints: NDArray[np.uint8]) -> list[tuple[str, bool]]:
    """Nearly equal pictures that are not exactly equal, and whether they lie in different parts."""
    found = []
    for i, original in enumerate(duplicates_of(fingerprints)):
        if original >= 0 and pictures[i][2] != pictures[original][2]:
            (name, row, _), (other, other_row, _) = pictures[i], pictures[original]
            found.append((f"{name}: picture {row} ~ {other}: picture {other_row}", name != other))
    return found
