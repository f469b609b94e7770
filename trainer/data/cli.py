"""The commands under ``data``: make, ingest and check datasets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError


@dataclass(kw_only=True)
class SynthOptions:
    """Render a dataset of synthetic portraits, everything known about each. Run it again to go on after a stop."""

    out: Path
    """The folder to make."""
    count: int = 20000
    """Training pictures; other parts are made in proportion."""
    size: int = 128
    """Side of the pictures, pixels."""
    shots: int = 10
    """Pictures of each person."""
    workers: int = max(1, (os.cpu_count() or 2) - 1)
    """Processes."""
    seed: int = 0
    """Of expressions and cameras."""
    confounded: bool = True
    """Also make a part in which smile, view and open mouth go together, as in collections of photographs."""
    glasses: bool = False
    """Let people wear glasses."""


def synth(options: SynthOptions) -> int:
    """Makes a synthetic dataset."""
    from core.commands.progress import ProgressBars
    from trainer.data.synth import SplitPlan, SynthPlan, synthesize

    for name, low, high in (("count", 1, 10_000_000), ("size", 16, 1024), ("shots", 1, 1000), ("workers", 1, 256)):
        if not low <= getattr(options, name) <= high:
            raise InputError(f"--{name} must be a whole number from {low} to {high}")
    shots = min(options.shots, options.count)
    people = -(-options.count // shots)
    unseen = max(2, people // 8)
    splits = [SplitPlan("train", people, shots), SplitPlan("test", unseen, min(8, shots)),
              SplitPlan("pairs", max(2, people // 50), 16)]
    if options.confounded:
        splits.append(SplitPlan("confounded", unseen, min(8, shots)))
    plan = SynthPlan(options.size, options.seed, tuple(splits), options.glasses)
    with ProgressBars("pictures", lines=True) as bars:
        info = synthesize(options.out, plan, options.workers, lambda done, total: bars("pictures", done, total))
    counts = ", ".join(f"{split.images} {split.name}" for split in info.splits)
    print(f"{options.out}: {counts}; {info.size} x {info.size} pixels")
    return 0
