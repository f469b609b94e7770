"""What the real pictures of a dataset look like to the metrics, worked out once and kept beside the dataset."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from core.assets import write_atomically
from trainer.data.dataset import Dataset
from trainer.metrics.factors import factors_of
from trainer.metrics.features import FeatureNetwork
from trainer.metrics.frechet import GaussianStatistics
from trainer.metrics.scores import RealStatistics, Scores, ceilings, scores
from trainer.metrics.sighting import Inception, real_pictures, seen, spread
from trainer.metrics.sliced import PatchStatistics

TRAIN_PICTURES = 5000
LOCAL_PICTURES = 500
FORMAT = "agora-reference-1"
_GAUSSIANS = ("learned", "random", "inception")


@dataclass(frozen=True)
class Reference:
    """Real pictures of a dataset.

    Attributes:
        count: pictures of people of ``test`` that the floors come from.
        statistics: of pictures of ``train``.
        floors: what the real pictures of ``test`` get.
        ceilings: what useless pictures get.
    """

    count: int
    statistics: RealStatistics
    floors: Scores
    ceilings: Scores


def reference_of(dataset: Dataset, network: FeatureNetwork, count: int, inception: Inception | None = None) -> Reference:
    """The reference for judging `count` pictures; read from beside the dataset, or made and put there.

    With the published FID's network it is always made anew: its file is the user's and may be another one tomorrow.
    """
    path = dataset.folder / f"reference-{count}.safetensors"
    key = _key(dataset, network)
    if inception is None:
        known = _read(path, key)
        if known is not None:
            return known
    made = _made(dataset, network, count, inception)
    if inception is None:
        _write(path, key, made)
    return made


def _made(dataset: Dataset, network: FeatureNetwork, count: int, inception: Inception | None) -> Reference:
    train = spread(dataset.count("train"), TRAIN_PICTURES)
    # pictures of a person are neighbours, and the first ones are kept for local statistics: mix people
    statistics = RealStatistics.of(seen(_mixed(dataset, "train", train), network, LOCAL_PICTURES, inception))
    test = spread(dataset.count("test"), count)
    samples = dataset.samples("test", test)
    truth = factors_of(samples, dataset.people("test"), dataset.info.psi)
    order = np.random.default_rng(0).permutation(len(test))
    batches = (samples.rgba[order[first:first + 250]] for first in range(0, len(order), 250))
    real = seen(batches, network, LOCAL_PICTURES, inception)
    truth = truth.taken(order)
    return Reference(len(test), statistics, scores(real, truth, statistics, network.scaling),
                     ceilings(real, truth, statistics, network.scaling))


def _mixed(dataset: Dataset, split: str, rows: np.ndarray):
    local = rows[spread(len(rows), LOCAL_PICTURES)]
    yield from real_pictures(dataset, split, local)
    yield from real_pictures(dataset, split, np.setdiff1d(rows, local))


def _key(dataset: Dataset, network: FeatureNetwork) -> str:
    about = json.dumps(dataset.info.to_json(), sort_keys=True) + network.fingerprint
    return hashlib.sha256(about.encode()).hexdigest()[:20]


def _write(path: Path, key: str, reference: Reference) -> None:
    statistics, tensors = reference.statistics, {}
    for name in _GAUSSIANS:
        gaussian = getattr(statistics, name)
        if gaussian is not None:
            tensors |= {f"{name}.mean": gaussian.mean, f"{name}.covariance": gaussian.covariance}
    for i, level in enumerate(statistics.patches):
        tensors |= {f"patches.{i}.deviation": level.deviation, f"patches.{i}.quantiles": level.quantiles}
    about = {"format": FORMAT, "key": key, "rest": json.dumps({
        "count": reference.count, "energy": statistics.energy, "floors": asdict(reference.floors),
        "ceilings": asdict(reference.ceilings), "sides": [level.side for level in statistics.patches],
        "counts": {name: getattr(statistics, name).count for name in _GAUSSIANS if getattr(statistics, name) is not None}})}
    write_atomically(path, save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}, about))


def _read(path: Path, key: str) -> Reference | None:
    """A reference that fits dataset and network, else None: it is only a cache."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT or about.get("key") != key:
                return None
            rest = json.loads(about["rest"])
            gaussians = [GaussianStatistics(file.get_tensor(f"{name}.mean"), file.get_tensor(f"{name}.covariance"),
                                            rest["counts"][name]) if name in rest["counts"] else None for name in _GAUSSIANS]
            patches = tuple(PatchStatistics(side, file.get_tensor(f"patches.{i}.deviation"),
                                            file.get_tensor(f"patches.{i}.quantiles")) for i, side in enumerate(rest["sides"]))
            statistics = RealStatistics(*gaussians, patches, rest["energy"])
            return Reference(rest["count"], statistics, _scores(rest["floors"]), _scores(rest["ceilings"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def _scores(raw: dict) -> Scores:
    return Scores(**{f.name: tuple(raw[f.name]) if isinstance(raw[f.name], list) else raw[f.name] for f in fields(Scores)})
