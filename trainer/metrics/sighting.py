"""What all metrics need of a set of pictures, gathered batch by batch so that no more pictures than needed are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core.types import FloatArray
from trainer.data.dataset import Dataset
from trainer.metrics.factors import Factors
from trainer.metrics.features import FeatureNetwork, Looks
from trainer.metrics.frechet import random_features
from trainer.metrics.inception import WHITE
from trainer.metrics.pictures import composited

_BYTES_AT_ONCE = 400_000_000
Inception = Callable[[Tensor], FloatArray]


@dataclass(frozen=True)
class Sighting:
    """n pictures, judged.

    Attributes:
        looks: of the feature network.
        random: [n, 128] float32 features that were never trained.
        inception: [n, D] float32, D is 0 without such a network.
        pictures: [k, 3, S, S] uint8, the first of them.
    """

    looks: Looks
    random: FloatArray
    inception: FloatArray
    pictures: Tensor

    def __len__(self) -> int:
        return len(self.random)


def seen(batches: Iterable[NDArray[np.uint8]], network: FeatureNetwork, keep: int,
         inception: Inception | None = None) -> Sighting:
    """Looks at batches of premultiplied pictures [., S, S, 4].

    Args:
        keep: how many pictures are kept for local statistics.
    """
    looks, random, published, kept, room = [], [], [], [], keep
    for rgba in batches:
        pictures = composited(rgba)
        looks.append(network.look(pictures))
        random.append(random_features(pictures))
        published.append(inception(composited(rgba, WHITE)) if inception else np.zeros((len(rgba), 0), np.float32))
        kept.append(pictures[:room])
        room -= len(kept[-1])
    factors = Factors.of_table(np.concatenate([look.factors.table for look in looks]), looks[0].factors.widths)
    together = Looks(np.concatenate([look.features for look in looks]), factors,
                     np.concatenate([look.identity for look in looks]))
    return Sighting(together, np.concatenate(random), np.concatenate(published), torch.cat(kept))


def real_pictures(dataset: Dataset, split: str, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """Pictures of ascending rows of a split, in batches that fit in memory."""
    batch = max(32, _BYTES_AT_ONCE // (4 * dataset.info.size**2))
    for first in range(0, len(rows), batch):
        yield dataset.samples(split, rows[first:first + batch]).rgba


def spread(count: int, wanted: int) -> NDArray[np.int64]:
    """At most `wanted` ascending rows, evenly over `count`."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).astype(np.int64))
