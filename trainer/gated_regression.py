"""The coefficient regressor of a generator pack: a ridge baseline, and a network that must beat it on people it has not seen.

The published network is validated on random rows, which holds out faces but not people (specification 9.4); here whole people are
held out, for the strength of the ridge, for early stopping and for the decision whether the network is used at all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from core.avatar.manifest import PackManifest
from core.avatar.regressor import LEAK, Regressor, pose_features
from core.types import FloatArray
from trainer.regression import RegressionSettings

_JOINT = 9
_STRENGTHS = (1e-6, 1e-4, 1e-2, 1.0)
_MUST_GAIN = 0.99  # the network has to bring the error below this share of the baseline's
_CHUNK = 2048


@dataclass(frozen=True)
class GateReport:
    """How the regressor was chosen; errors are relative to the size of the coefficients, on held-out people.

    Attributes:
        people, held_out: how many people were learned from and held out.
        ridge: error of the baseline, one number per attribute.
        network: error with the network on top; NaN when none was trained.
        network_is_used: one per attribute; where it is not, its outputs are zero.
    """

    people: int
    held_out: int
    ridge: tuple[float, ...]
    network: tuple[float, ...]
    network_is_used: tuple[bool, ...]

    def as_json(self) -> dict:
        """None stands for the error of a network that was not trained."""
        return asdict(self) | {"network": [error if np.isfinite(error) else None for error in self.network]}


@dataclass(frozen=True)
class CoefficientSamples:
    """T faces.

    Attributes:
        latent: [T, W];  psi: [T, P];  person: [T] number of the person.
        coefficients: [T, K] for each attribute.
    """

    latent: FloatArray
    psi: FloatArray
    person: np.ndarray
    coefficients: tuple[FloatArray, ...]


def fit_gated(samples: CoefficientSamples, conventions: PackManifest, shape_size: int, settings: RegressionSettings,
              progress: Callable[[float], None] = lambda share: None) -> tuple[Regressor, GateReport]:
    """The regressor, and how it was chosen.

    Args:
        conventions: declares the layout of ψ; the features are those of generator packs.
        shape_size: how many leading numbers of the latent multiply the pose (joints and rest positions are linear in the shape).
        settings: of the network; 0 epochs leave it out. Its `validation` is the share of people held out.
    """
    people = np.random.default_rng(settings.seed).permutation(np.unique(samples.person))
    count = max(1, round(settings.validation * len(people))) if len(people) > 1 else 0
    held = np.isin(samples.person, people[:count]) if count else np.ones(len(samples.person), bool)
    learned = ~held if count else held
    linear = _Linear(samples, conventions, shape_size)
    targets = [block.astype(np.float64) for block in samples.coefficients]
    weights = linear.fit(targets, learned, held)
    remainder = [target - linear.predict(part) for target, part in zip(targets, weights, strict=True)]
    ridge = tuple(_relative(rest, target, held) for rest, target in zip(remainder, targets, strict=True))
    inputs = np.concatenate([samples.latent, samples.psi, pose_features(samples.psi, conventions.psi)], 1).astype(np.float64)
    outputs = sum(target.shape[1] for target in targets)
    network = (np.zeros((outputs, inputs.shape[1]), np.float32),), (np.zeros(outputs, np.float32),)  # says nothing
    errors, used = (np.nan,) * len(ridge), (False,) * len(ridge)
    if settings.epochs and outputs:
        trained, predicted = _train(inputs, remainder, learned, held, settings, progress)
        splits = np.cumsum([target.shape[1] for target in targets])[:-1]
        left = [rest[held] - part for rest, part in zip(remainder, np.split(predicted, splits, 1), strict=True)]
        errors = tuple(_relative(rest, target[held]) for rest, target in zip(left, targets, strict=True))
        used = tuple(after < _MUST_GAIN * before for after, before in zip(errors, ridge, strict=True))
        if any(used):
            kept = np.concatenate([np.full(target.shape[1], use) for target, use in zip(targets, used, strict=True)])
            trained[0][-1][~kept], trained[1][-1][~kept] = 0, 0
            network = trained
    report = GateReport(len(people) - count, count, ridge, errors, used)
    regressor = Regressor(conventions.psi, conventions.latent_size, conventions.features, *network,
                          linear.tensors(np.concatenate(weights, 1)))
    return regressor, report


def _relative(rest: np.ndarray, target: np.ndarray, chosen: np.ndarray | slice = slice(None)) -> float:
    energy = float(np.square(target[chosen]).sum())
    return float(np.sqrt(np.square(rest[chosen]).sum() / energy)) if energy else 0.0


class _Linear:
    """Linear features of (w, ψ) in blocks, and ridge fits on them."""

    def __init__(self, samples: CoefficientSamples, conventions: PackManifest, shape_size: int) -> None:
        self._psi, self._layout = samples.psi.astype(np.float64), conventions.psi
        self._pose = pose_features(samples.psi, conventions.psi).astype(np.float64)
        self._shape = samples.latent[:, :shape_size].astype(np.float64)
        pose, jaw = self._pose.shape[1], min(_JOINT, self._pose.shape[1])
        self._sizes = {"bias": 1, "psi": self._psi.shape[1], "pose": pose, "jaw_by_expression": jaw * conventions.psi.expression,
                       "pose_by_latent": pose * shape_size}

    @property
    def width(self) -> int:
        return sum(self._sizes.values())

    def rows(self, chosen: np.ndarray) -> np.ndarray:
        """Features [n, width] of the samples with these numbers."""
        psi, pose, shape, n = self._psi[chosen], self._pose[chosen], self._shape[chosen], len(chosen)
        jaw = (pose[:, :_JOINT, None] * psi[:, None, :self._layout.expression]).reshape(n, -1)
        return np.concatenate([np.ones((n, 1)), psi, pose, jaw, (pose[:, :, None] * shape[:, None, :]).reshape(n, -1)], 1)

    def fit(self, targets: list[np.ndarray], learned: np.ndarray, held: np.ndarray) -> list[np.ndarray]:
        """Weights [width, K] per attribute: whatever predicts the held-out people best, with or without the products with the
        shape, at any strength of the ridge, or nothing at all where that is no better than no motion."""
        stacked = np.concatenate(targets, 1)
        solve = self._solver(stacked, np.flatnonzero(learned))
        splits = np.cumsum([target.shape[1] for target in targets])[:-1]
        best = [(float(np.square(target[held]).sum()), np.zeros((self.width, target.shape[1]))) for target in targets]
        for size in (self.width, self.width - self._sizes["pose_by_latent"]):
            for strength in _STRENGTHS:
                solution = np.zeros((self.width, stacked.shape[1]))
                solution[:size] = solve(size, strength)
                error = [0.0] * len(targets)
                for chunk in _chunks(np.flatnonzero(held)):
                    rest = np.split(stacked[chunk] - self.rows(chunk) @ solution, splits, 1)
                    error = [total + float(np.square(part).sum()) for total, part in zip(error, rest, strict=True)]
                best = [(now, part) if now < known[0] else known
                        for now, part, known in zip(error, np.split(solution, splits, 1), best, strict=True)]
        return [weights for _, weights in best]

    def _solver(self, wanted: np.ndarray, numbers: np.ndarray) -> Callable[[int, float], np.ndarray]:
        """Ridge weights of the first `size` features, each scaled to unit energy, at a strength; through whichever of the two
        normal equations is smaller, that of the features or that of the samples."""
        if len(numbers) < self.width:
            rows = self.rows(numbers)
            scale = _energy(np.square(rows).sum(0))
            rows /= scale
            return lambda size, strength: rows[:, :size].T @ np.linalg.solve(
                rows[:, :size] @ rows[:, :size].T + strength * np.eye(len(rows)), wanted[numbers]) / scale[:size, None]
        normal, right = np.zeros((self.width, self.width)), np.zeros((self.width, wanted.shape[1]))
        for chunk in _chunks(numbers):
            rows = self.rows(chunk)
            normal += rows.T @ rows
            right += rows.T @ wanted[chunk]
        scale = _energy(np.diag(normal))
        normal /= np.outer(scale, scale)
        return lambda size, strength: np.linalg.solve(
            normal[:size, :size] + strength * np.eye(size), right[:size] / scale[:size, None]) / scale[:size, None]

    def predict(self, weights: np.ndarray) -> np.ndarray:
        return np.concatenate([self.rows(chunk) @ weights for chunk in _chunks(np.arange(len(self._psi)))])

    def tensors(self, weights: np.ndarray) -> dict[str, FloatArray]:
        """Splits weights [width, D] into the regressor's named tensors."""
        outputs, pose = weights.shape[1], self._pose.shape[1]
        shapes = {"bias": (outputs,), "psi": (outputs, -1), "pose": (outputs, pose),
                  "jaw_by_expression": (outputs, _JOINT, self._layout.expression),
                  "pose_by_latent": (outputs, pose, self._shape.shape[1])}
        named, start = {}, 0
        for name, size in self._sizes.items():
            if size:
                named[name] = np.ascontiguousarray(weights[start:start + size].T.reshape(shapes[name]), np.float32)
            start += size
        return named


def _energy(squares: np.ndarray) -> np.ndarray:
    """Scales of features; those that never occur get no weight."""
    return np.where(squares > 1e-18, np.sqrt(squares), np.inf)


def _chunks(numbers: np.ndarray) -> list[np.ndarray]:
    return [numbers[start:start + _CHUNK] for start in range(0, len(numbers), _CHUNK)]


def _train(inputs: np.ndarray, remainder: list[np.ndarray], learned: np.ndarray, held: np.ndarray, settings: RegressionSettings,
           progress: Callable[[float], None]) -> tuple[tuple, np.ndarray]:
    """AGORA-M's network on what the ridge leaves, every attribute scaled to unit size; the state that is best on held-out people.

    Returns:
        weights and biases, with the scaling folded in, and what they predict for the held-out samples.
    """
    import torch

    mean, spread = inputs[learned].mean(0), inputs[learned].std(0)
    spread = np.where(spread > 1e-5, spread, np.inf)  # what never varied is not listened to
    size = np.concatenate([np.full(part.shape[1], np.sqrt(np.square(part[learned]).mean()) + 1e-12 if part.size else 1.0)
                           for part in remainder])
    x = torch.from_numpy(((inputs - mean) / spread).astype(np.float32))
    y = torch.from_numpy((np.concatenate(remainder, 1) / size).astype(np.float32))
    rows, check = torch.from_numpy(np.flatnonzero(learned)), torch.from_numpy(np.flatnonzero(held))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        layers = [torch.nn.Linear(a, b) for a, b in pairwise((x.shape[1], *settings.hidden, y.shape[1]))]
    torch.nn.init.zeros_(layers[-1].weight)
    torch.nn.init.zeros_(layers[-1].bias)
    model = torch.nn.Sequential(*(m for layer in layers for m in (layer, torch.nn.LeakyReLU(float(LEAK)))))[:-1]
    steps = max(1, len(rows) // settings.batch)
    optimizer = torch.optim.Adam(model.parameters(), settings.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * steps, settings.rate * 0.01)
    random = torch.Generator().manual_seed(settings.seed)
    best, state = np.inf, None
    for epoch in range(settings.epochs + 1):
        with torch.no_grad():
            error = float((model(x[check]) - y[check]).square().mean())
        if error < best:
            best, state = error, {name: value.clone() for name, value in model.state_dict().items()}
        if epoch == settings.epochs:
            break
        order = rows[torch.randperm(len(rows), generator=random)]
        for batch in order.split(settings.batch)[:steps]:
            loss = (model(x[batch]) - y[batch]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        progress((epoch + 1) / settings.epochs)
    model.load_state_dict(state)
    with torch.no_grad():
        predicted = model(x[check]).numpy().astype(np.float64) * size
    weights = [layer.weight.detach().numpy().astype(np.float64) for layer in layers]
    biases = [layer.bias.detach().numpy().astype(np.float64) for layer in layers]
    biases[0] = biases[0] - weights[0] @ (mean / spread)
    weights[0] = weights[0] / spread
    weights[-1], biases[-1] = weights[-1] * size[:, None], biases[-1] * size
    return (tuple(w.astype(np.float32) for w in weights), tuple(b.astype(np.float32) for b in biases)), predicted
