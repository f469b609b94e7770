"""Fréchet distance between feature distributions (Heusel et al. 2017, equation 6), in float64 and with streamed statistics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from core.types import FloatArray

_RANDOM_LEVELS, _RANDOM_SEED, _BATCH = (24, 48, 64), 7, 250


@dataclass(frozen=True)
class GaussianStatistics:
    """A Gaussian fitted to features.

    Attributes:
        mean: [D] float64.
        covariance: [D, D] float64, divided by n − 1.
        count: n.
    """

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    count: int

    @staticmethod
    def of(features: FloatArray) -> GaussianStatistics:
        """Of features [n, D], n ≥ 2."""
        stream = StatisticsStream(features.shape[1])
        stream.add(features)
        return stream.result()


class StatisticsStream:
    """Mean and covariance of features that come in batches; centred batch by batch (Chan et al. 1983), so nothing cancels."""

    def __init__(self, size: int) -> None:
        self._count, self._mean, self._scatter = 0, np.zeros(size), np.zeros((size, size))

    def add(self, features: FloatArray) -> None:
        """Takes features [n, D]."""
        batch = np.asarray(features, np.float64)
        if not len(batch):
            return
        mean = batch.mean(0)
        centred, step = batch - mean, mean - self._mean
        total = self._count + len(batch)
        self._scatter += centred.T @ centred + np.outer(step, step) * (self._count * len(batch) / total)
        self._mean = self._mean + step * (len(batch) / total)
        self._count = total

    def result(self) -> GaussianStatistics:
        """The statistics so far. Raises ValueError for fewer than two features."""
        if self._count < 2:
            raise ValueError("a covariance takes two features at least")
        return GaussianStatistics(self._mean.copy(), self._scatter / (self._count - 1), self._count)


def frechet_distance(a: GaussianStatistics, b: GaussianStatistics) -> float:
    """|μa − μb|² + tr(A + B − 2 (A^½ B A^½)^½), at least 0.

    The matrix root is that of a symmetric matrix, by eigenvalues, so a covariance of less than full rank needs no padding.
    The estimate is biased upwards by the finite samples, by about a constant over n: compare at equal n, beside real against
    real at that n.
    """
    root = _root(a.covariance)
    inner = np.linalg.eigvalsh(_symmetric(root @ b.covariance @ root))
    trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(np.maximum(inner, 0)).sum()
    return max(0.0, float(((a.mean - b.mean) ** 2).sum() + trace))


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(_symmetric(matrix))
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _symmetric(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (matrix + matrix.T)


@torch.no_grad()
def random_features(pictures: Tensor) -> FloatArray:
    """Features [n, 128] of three convolutions that were never trained, always the same; they share no blindness with a
    trained network, and see blur.

    Args:
        pictures: [n, 3, S, S] uint8, S ≥ 16.
    """
    weights = _random_weights()
    return np.concatenate([_random(batch.float() / 127.5 - 1, weights).numpy() for batch in pictures.split(_BATCH)])


def _random(x: Tensor, weights: list[Tensor]) -> Tensor:
    for weight in weights:
        x = functional.leaky_relu(functional.conv2d(x, weight.to(x.device), stride=2, padding=1), 0.1) * 1.4
    return torch.cat([x.mean((2, 3)), x.abs().mean((2, 3))], 1).cpu()


def _random_weights() -> list[Tensor]:
    generator = torch.Generator().manual_seed(_RANDOM_SEED)
    weights, inputs = [], 3
    for channels in _RANDOM_LEVELS:
        weights.append(torch.randn(channels, inputs, 4, 4, generator=generator) / (inputs * 16) ** 0.5)
        inputs = channels
    return weights
