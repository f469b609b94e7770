"""The judge of a training's snapshots: keeps the averaged generator and measures it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from trainer.data.dataset import Dataset
from trainer.evaluate import SNAPSHOT, evaluate
from trainer.portraitist import GeneratorPortraitist
from trainer.snapshots import Snapshot, SnapshotStore
from trainer.state import Training
from trainer.steps import Numbers

_FEWEST = 10  # test pictures below which nothing can be measured


class SnapshotJudge:
    """Measures snapshots against the dataset's unseen people.

    Args:
        data: folder of the dataset. Without enough test pictures, snapshots are kept and not measured.
        store: where they go.
    """

    def __init__(self, data: Path, store: SnapshotStore) -> None:
        self._dataset, self._store = Dataset.open(data), store

    def __call__(self, training: Training, phase: str, look_up: Callable[[], None]) -> Numbers:
        """Numbers of the averaged generator as it is now; `look_up` is called now and then and may break off by raising."""
        generator = training.average
        numbers: Numbers = ()
        tests = [split.images for split in self._dataset.info.splits if split.name == "test"]
        if tests and tests[0] >= _FEWEST:
            found = evaluate(GeneratorPortraitist(generator), self._dataset, SNAPSHOT, progress=lambda stage, share: look_up())
            numbers = tuple((row.name, row.value) for row in found.rows)
        self._store.save(generator, Snapshot(training.position.images, phase, training.phase.kind, numbers))
        return numbers
