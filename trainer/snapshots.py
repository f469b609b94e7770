"""Snapshots of a run's averaged generator, what was measured on them, and the choice of the one that is shipped."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from core.assets import write_atomically
from core.errors import InputError
from core.head.model import HeadModel
from core.networks.head_generator import HeadGenerator, HeadGeneratorConfig

FORMAT_NAME, FORMAT_MAJOR = "agora-generator", 1
LARGEST_LEAK = 2.0  # percent of a face's pixels that may be torn
DISTANCE, PATCH_DISTANCE, LEAK = "FD-synth", "SWD", "skin leak"
"""Rows of an evaluation that the choice looks at; the second with the side of the pictures behind it."""
_NOISE = 1.02  # of the distance between 500 pictures and 500: other pictures change it by about so much


@dataclass(frozen=True)
class Snapshot:
    """A generator on disk and its numbers.

    Attributes:
        images: pictures shown when it was taken.
        phase, kind: of the phase it was taken in.
        numbers: (name, value) pairs.
    """

    images: int
    phase: str
    kind: str
    numbers: tuple[tuple[str, float], ...] = ()

    def number(self, name: str) -> float | None:
        """A number by name, None where it was not measured."""
        return dict(self.numbers).get(name)


class SnapshotStore:
    """The snapshots of a run: `000123456.safetensors` each, and what is known about it beside in JSON."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, snapshot: Snapshot) -> Path:
        return self.folder / f"{snapshot.images:09d}.safetensors"

    def save(self, generator: HeadGenerator, snapshot: Snapshot) -> None:
        """Writes the generator first, then what is known about it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_generator(self.path(snapshot), generator)
        write_atomically(self.path(snapshot).with_suffix(".json"), json.dumps(asdict(snapshot)).encode())

    def all(self) -> list[Snapshot]:
        """Complete snapshots in the order of training; damaged ones are passed over."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            try:
                raw = json.loads(path.read_text("utf-8"))
                snapshot = Snapshot(int(raw["images"]), str(raw["phase"]), str(raw["kind"]),
                                    tuple((str(name), float(value)) for name, value in raw["numbers"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if self.path(snapshot).is_file():
                found.append(snapshot)
        return found


def choose(snapshots: list[Snapshot]) -> Snapshot | None:
    """The one to ship.

    Of the adversarial snapshots whose skin is closed and whose patches are not farther from the real ones than the best
    supervised one's, the first whose Fréchet distance is the smallest one but for `_NOISE`, if that is smaller than the
    supervised one's; else the supervised one. Where nothing was measured, the last one.
    """
    measured = [s for s in snapshots if math.isfinite(_distance(s))]
    if not measured:
        return snapshots[-1] if snapshots else None
    supervised = [s for s in measured if s.kind == "image"]
    fallback = min(supervised, key=_distance) if supervised else None
    finished = [s for s in measured if s.kind == "adversarial" and _closed(s)
                and (fallback is None or _patches(s) <= _patches(fallback))]
    smallest = min(map(_distance, finished), default=math.inf)
    best = next((s for s in finished if _distance(s) <= _NOISE * smallest), None)  # an adversary goes on sharpening what is sharp
    if best is None or (fallback is not None and _distance(fallback) <= _distance(best)):
        return fallback or min(measured, key=_distance)
    return best


def _distance(snapshot: Snapshot) -> float:
    """Infinite where it was not measured."""
    distance = snapshot.number(DISTANCE)
    return math.inf if distance is None or math.isnan(distance) else distance


def _patches(snapshot: Snapshot) -> float:
    at_largest = max((int(name.split()[1]), value) for name, value in [(f"{PATCH_DISTANCE} 0", float("inf")), *snapshot.numbers]
                     if name.startswith(f"{PATCH_DISTANCE} "))
    return at_largest[1]


def _closed(snapshot: Snapshot) -> bool:
    leak = snapshot.number(LEAK)
    return leak is None or leak < LARGEST_LEAK


def write_generator(path: Path, generator: HeadGenerator) -> None:
    """Writes weights and configuration, whole or not at all."""
    metadata = {"format": FORMAT_NAME, "version": str(FORMAT_MAJOR), "head": generator.head.sha256,
                "config": json.dumps(generator.config.to_json())}
    tensors = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    write_atomically(path, save(tensors, metadata))


def read_generator(path: Path, head: HeadModel) -> HeadGenerator:
    """Reads what `write_generator` wrote, ready to draw.

    Raises:
        InputError: missing, damaged, of another head model or version.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (not a dict)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if metadata.get("format") != FORMAT_NAME or metadata.get("version") != str(FORMAT_MAJOR):
        raise InputError(f"{path} is not a generator of this program's format {FORMAT_MAJOR}")
    if metadata.get("head") != head.sha256:
        raise InputError(f"{path} was trained on another head model", f"it needs the one with hash {metadata.get('head')}")
    try:
        generator = HeadGenerator(HeadGeneratorConfig.from_json(json.loads(metadata["config"])), head)
        generator.load_state_dict(tensors)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2])
        raise InputError(f"{path}: weights and configuration do not fit: {reason}") from error
    return generator.eval().requires_grad_(False)
