"""Teaches the feature network what a dataset knows about its pictures, and which of them show the same person."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core.types import FloatArray
from trainer.data.dataset import Dataset
from trainer.metrics.factors import GROUPS, Factors, Scaling, factors_of
from trainer.metrics.features import FEATURES_NAME, FeatureConfig, FeatureNetwork, load_features, save_features
from trainer.metrics.pictures import composited, network_input

_WEIGHTS = {"view": 1.5, "head": 1.5, "jaw": 1.0, "expression": 5.0, "eyes": 0.5, "shape": 1.0, "latent": 1.5}
_IDENTITY_WEIGHT, _TEMPERATURE = 0.15, 0.1
LANDMARK_COMPONENTS, _LANDMARK_WEIGHT, _SMALLEST_COMPONENT = 24, 3.0, 1e-6
_TOTAL_VARIANCE = 100.0
_SHIFT = 2  # pixels
_READ_AT_ONCE = 4000
_MOST_PASSES = 60  # over the training pictures


@dataclass(frozen=True)
class FeatureBudget:
    """How long the network learns.

    Attributes:
        pictures: shown in all; 1000 take about 1.7 CPU-seconds.
        batch: pictures in a step, an even number.
        rate: largest learning rate.
        seed: of weights and order.
    """

    pictures: int = 300_000
    batch: int = 32
    rate: float = 2e-3
    seed: int = 0

    @staticmethod
    def for_dataset(dataset: Dataset) -> FeatureBudget:
        """As much as the dataset has to teach: a small one is known by heart long before a large one is."""
        return FeatureBudget(min(FeatureBudget.pictures, _MOST_PASSES * dataset.count("train")))


@dataclass(frozen=True)
class Labelled:
    """Pictures as the network takes them, and what is known about them.

    Attributes:
        views: [n, 6, size, size] uint8.
        factors: of the pictures.
        person: [n] int, who is seen.
        landmarks: [n, 2 L] float32 x and y in picture sides, L may be 0.
    """

    views: Tensor
    factors: Factors
    person: np.ndarray
    landmarks: FloatArray


def features_of(dataset: Dataset, budget: FeatureBudget | None = None,
                progress: Callable[[float], None] = lambda share: None) -> FeatureNetwork:
    """The feature network that lies beside a dataset; trained, and put there, when there is none.

    Raises:
        InputError: the file is damaged, or the dataset is.
    """
    path = dataset.folder / FEATURES_NAME
    if path.is_file():
        return load_features(path)
    network, quality = train_features(dataset, budget or FeatureBudget.for_dataset(dataset), progress=progress)
    save_features(path, network, quality)
    return network


def train_features(dataset: Dataset, budget: FeatureBudget, config: FeatureConfig | None = None,
                   progress: Callable[[float], None] = lambda share: None) -> tuple[FeatureNetwork, dict[str, float]]:
    """Trains a feature network on a dataset.

    Returns:
        The network and, per group of factors, the explained variance on the people of ``test``.
    """
    config = config or FeatureConfig()
    train = labelled(dataset, "train", config.size)
    network = fitted(train, budget, replace(config, widths=train.factors.widths), progress)
    return network, explained_variance(network, labelled(dataset, "test", config.size))


def labelled(dataset: Dataset, split: str, size: int, limit: int | None = None) -> Labelled:
    """Pictures of a split for a network of that input size, evenly spread if `limit` is smaller than the split."""
    count = dataset.count(split)
    chosen = np.arange(count) if limit is None or limit >= count else np.linspace(0, count - 1, limit).astype(np.int64)
    people = dataset.people(split)
    views, tables, person, landmarks, widths = [], [], [], [], ()
    for first in range(0, len(chosen), _READ_AT_ONCE):
        samples = dataset.samples(split, chosen[first:first + _READ_AT_ONCE])
        factors = factors_of(samples, people, dataset.info.psi)
        widths = factors.widths
        views.append(network_input(composited(samples.rgba), size))
        tables.append(factors.table)
        person.append(samples.person)
        landmarks.append(samples.landmarks[:, :, :2].reshape(len(samples), -1) / dataset.info.size)
    return Labelled(torch.cat(views), Factors.of_table(np.concatenate(tables), widths), np.concatenate(person),
                    np.concatenate(landmarks))


def fitted(train: Labelled, budget: FeatureBudget, config: FeatureConfig,
           progress: Callable[[float], None] = lambda share: None) -> FeatureNetwork:
    """A network that has learned from pictures in memory. The order and the weights follow from the seed."""
    rng = np.random.default_rng(budget.seed)
    components = landmark_components(train.landmarks)  # `guide` learns them only to teach the features where things are
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(budget.seed)
        network, guide = FeatureNetwork(config), nn.Linear(config.features, components.shape[1])
    table = train.factors.table
    scaling = Scaling.of(table)
    network.mean.copy_(torch.from_numpy(scaling.mean))
    network.deviation.copy_(torch.from_numpy(scaling.deviation))
    network.to(memory_format=torch.channels_last).train()
    targets = torch.from_numpy(np.concatenate([scaling.normalized(table), components], 1))
    guide_weights = np.full(components.shape[1], _LANDMARK_WEIGHT / max(1, components.shape[1]), np.float32)
    weights = torch.from_numpy(np.concatenate([column_weights(config.widths, scaling), guide_weights]))
    steps = max(1, budget.pictures // budget.batch)
    optimizer = torch.optim.AdamW([*network.parameters(), *guide.parameters()], lr=budget.rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, budget.rate, total_steps=steps + 1, pct_start=0.1)
    batches = _batches(train.person, budget.batch, rng)
    for step in range(steps):
        rows, paired = next(batches)
        rows = torch.from_numpy(rows)
        features, normalized, identity = network(_shifted(train.views[rows], rng))
        loss = ((torch.cat([normalized, guide(features)], 1) - targets[rows]).square() * weights).sum(1).mean()
        if paired:
            loss = loss + _IDENTITY_WEIGHT * same_person_loss(identity)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        progress((step + 1) / steps)
    network.eval()
    _set_gain(network, train.views[:: max(1, len(train.views) // 2000)])
    return network


def column_weights(widths: tuple[int, ...], scaling: Scaling) -> FloatArray:
    """Weights [F]: every group counts as `_WEIGHTS` says, shared by its columns that vary."""
    parts, first = [], 0
    for name, width in zip(GROUPS, widths, strict=True):
        varies = scaling.deviation[first:first + width] > 0
        parts.append(np.where(varies, _WEIGHTS[name] / max(1, int(varies.sum())), 0))
        first += width
    return np.concatenate(parts).astype(np.float32)


def landmark_components(landmarks: FloatArray) -> FloatArray:
    """Leading principal components of landmarks [n, 2 L], each of unit variance [n, up to LANDMARK_COMPONENTS]; a column of
    zeros where landmarks are not known."""
    if not landmarks.any():
        return np.zeros((len(landmarks), 1), np.float32)
    centred = (landmarks - landmarks.mean(0)).astype(np.float64)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = np.flatnonzero(values > _SMALLEST_COMPONENT * values[-1])[-LANDMARK_COMPONENTS:]
    return (centred @ vectors[:, kept] / np.sqrt(values[kept])).astype(np.float32)


def same_person_loss(identity: Tensor) -> Tensor:
    """InfoNCE over a batch whose halves show the same people in the same order: who of the other half is it? (scalar)"""
    first, second = identity.chunk(2)
    similar = first @ second.T / _TEMPERATURE
    truth = torch.arange(len(first))
    return 0.5 * (functional.cross_entropy(similar, truth) + functional.cross_entropy(similar.T, truth))


def explained_variance(network: FeatureNetwork, seen: Labelled) -> dict[str, float]:
    """Share of the variance of every group that the estimates explain, the mean over columns that vary."""
    looks = network.look_at_views(seen.views)
    scaling = network.scaling
    truth, estimate = scaling.normalized(seen.factors.table), scaling.normalized(looks.factors.table)
    shares = 1 - ((truth - estimate) ** 2).mean(0) / np.maximum(truth.var(0), 1e-6)
    out, first = {}, 0
    for name, width in zip(GROUPS, network.config.widths, strict=True):
        varies = (scaling.deviation[first:first + width] > 0) & (truth[:, first:first + width].std(0) > 1e-3)
        if varies.any():
            out[name] = float(shares[first:first + width][varies].mean())
        first += width
    return out


def _shifted(views: Tensor, rng: np.random.Generator) -> Tensor:
    """Views moved by a few pixels, the same for the batch; pixels at the edge are repeated."""
    down, right = rng.integers(-_SHIFT, _SHIFT + 1, 2)
    at = torch.arange(views.shape[-1])
    last = views.shape[-1] - 1
    return views[:, :, (at + int(down)).clamp(0, last)][..., (at + int(right)).clamp(0, last)]


def _batches(person: np.ndarray, batch: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, bool]]:
    """Rows for ever, epoch by epoch, and whether the halves of the batch show the same people, two pictures of each."""
    half = max(1, min(batch, len(person)) // 2)
    while True:
        pairs = _pairs(person, rng)
        if len(pairs) * 4 < len(person) or len(pairs) < half:  # most people have one picture
            order = rng.permutation(len(person))
            for first in range(0, len(order) - 2 * half + 1, 2 * half):
                yield order[first:first + 2 * half], False
            continue
        for first in range(0, len(pairs) - half + 1, half):
            yield pairs[first:first + half].T.reshape(-1), True


def _pairs(person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures of the same people two by two [m, 2], shuffled; who has an odd one leaves it out."""
    order = rng.permutation(len(person))
    order = order[np.argsort(person[order], kind="stable")]
    ends = np.cumsum(np.bincount(person[order]))
    start = ends - np.bincount(person[order])
    place = np.arange(len(order)) - start[person[order]]
    first = np.flatnonzero((place % 2 == 0) & (np.arange(len(order)) + 1 < ends[person[order]]))
    return rng.permutation(np.stack([order[first], order[first + 1]], 1))


def _set_gain(network: FeatureNetwork, views: Tensor) -> None:
    network.gain.fill_(1.0)
    features = network.look_at_views(views).features
    network.gain.fill_(math.sqrt(_TOTAL_VARIANCE / max(float(features.astype(np.float64).var(0).sum()), 1e-12)))
