"""Fits the coefficient regressor: linear terms on the declared features by ridge regression, the network on what remains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from core.avatar.manifest import PackManifest
from core.avatar.regressor import LEAK, Regressor, pose_features
from core.types import FloatArray

_CHUNK = 2048
_JOINT = 9


@dataclass(frozen=True)
class RegressionSettings:
    """How the regressor is fitted.

    Attributes:
        hidden: sizes of the hidden layers.
        ridge: strengths of the regularisation that are tried, relative to the variance of a feature.
        epochs, batch, rate: of the Adam training, with a cosine schedule to 1 % of the rate.
        validation: share of the samples held out to choose the ridge and to report.
        seed: of initialisation and shuffling.
    """

    hidden: tuple[int, int] = (256, 512)
    ridge: tuple[float, ...] = (1e-8, 1e-6, 1e-4, 1e-2)
    epochs: int = 80
    batch: int = 256
    rate: float = 1e-3
    validation: float = 0.1
    seed: int = 0


def fit_regressor(latents: FloatArray, psi: FloatArray, coefficients: tuple[FloatArray, ...], conventions: PackManifest,
                  settings: RegressionSettings, progress: Callable[[float], None] = lambda share: None) -> Regressor:
    """Regressor for samples (w, ψ) → coefficients.

    Args:
        latents: [T, W];  psi: [T, P];  coefficients: [T, K] for each attribute.
        conventions: declares the features and the layout of ψ.
    """
    order = np.random.default_rng(settings.seed).permutation(len(psi))
    held_out = max(1, round(settings.validation * len(psi)))
    latents, psi = latents[order], psi[order]
    targets = tuple(block[order].astype(np.float64) for block in coefficients)
    design = _Design(latents, psi, conventions)
    fits = _ridge(design, targets, held_out, settings.ridge)
    remainder = [target - design.predict(weights) for target, weights in zip(targets, fits, strict=True)]
    network = _fit_network(latents, psi, remainder, conventions, held_out, settings, progress)
    linear = design.linear_terms(np.concatenate(fits, 1))
    return Regressor(conventions.psi, conventions.latent_size, conventions.features, *network, linear)


class _Design:
    """The matrix of linear features, one row a sample; built chunk by chunk because it is wide."""

    def __init__(self, latents: FloatArray, psi: FloatArray, conventions: PackManifest) -> None:
        self._latents, self._psi = latents.astype(np.float64), psi.astype(np.float64)
        self._layout, self._features = conventions.psi, conventions.features
        self._pose = pose_features(psi, conventions.psi).astype(np.float64)
        self.sizes = self._block_sizes()
        self.width = sum(self.sizes.values())

    def _block_sizes(self) -> dict[str, int]:
        pose = self._pose.shape[1]
        sizes = {"bias": 1, "psi": self._psi.shape[1]}
        if "pose_matrices" in self._features:
            sizes["pose"] = pose
        if "pose_by_latent" in self._features:
            sizes["pose_by_latent"] = pose * self._latents.shape[1]
        if "jaw_by_expression" in self._features:
            sizes["jaw_by_expression"] = _JOINT * self._layout.expression
        return sizes

    def __len__(self) -> int:
        return len(self._psi)

    def rows(self, chosen: slice) -> np.ndarray:
        psi, pose = self._psi[chosen], self._pose[chosen]
        n = len(psi)
        blocks = {
            "bias": lambda: np.ones((n, 1)),
            "psi": lambda: psi,
            "pose": lambda: pose,
            "pose_by_latent": lambda: (pose[:, :, None] * self._latents[chosen, None, :]).reshape(n, -1),
            "jaw_by_expression": lambda: (pose[:, :_JOINT, None] * psi[:, None, :self._layout.expression]).reshape(n, -1),
        }
        return np.concatenate([blocks[name]() for name in self.sizes], 1)

    def chunks(self, start: int) -> list[slice]:
        return [slice(i, min(i + _CHUNK, len(self))) for i in range(start, len(self), _CHUNK)]

    def predict(self, weights: np.ndarray) -> np.ndarray:
        return np.concatenate([self.rows(chunk) @ weights for chunk in self.chunks(0)])

    def linear_terms(self, weights: np.ndarray) -> dict[str, FloatArray]:
        """Splits weights [width, D] into the regressor's named tensors."""
        outputs = weights.shape[1]
        shapes = {"bias": (outputs,), "psi": (outputs, -1), "pose": (outputs, -1),
                  "pose_by_latent": (outputs, self._pose.shape[1], self._latents.shape[1]),
                  "jaw_by_expression": (outputs, _JOINT, self._layout.expression)}
        terms, start = {}, 0
        for name, size in self.sizes.items():
            terms[name] = np.ascontiguousarray(weights[start:start + size].T.reshape(shapes[name]), np.float32)
            start += size
        return terms


def _ridge(design: _Design, targets: tuple[np.ndarray, ...], held_out: int, strengths: tuple[float, ...]) -> list[np.ndarray]:
    """Ridge weights [width, K] per attribute; the strength that predicts the held-out samples best is taken."""
    stacked = np.concatenate(targets, 1)
    normal, right = np.zeros((design.width, design.width)), np.zeros((design.width, stacked.shape[1]))
    for chunk in design.chunks(held_out):
        rows = design.rows(chunk)
        normal += rows.T @ rows
        right += rows.T @ stacked[chunk]
    scale = np.sqrt(np.diag(normal)) + 1e-12
    scaled, scaled_right = normal / np.outer(scale, scale), right / scale[:, None]
    check = design.rows(slice(0, held_out)) / scale
    splits = np.cumsum([target.shape[1] for target in targets])[:-1]
    best: list[tuple[float, np.ndarray | None]] = [(np.inf, None)] * len(targets)
    for strength in strengths:
        solution = np.linalg.solve(scaled + strength * np.eye(design.width), scaled_right)
        for i, weights in enumerate(np.split(solution, splits, axis=1)):
            error = float(np.square(check @ weights - targets[i][:held_out]).sum())
            if error < best[i][0] or best[i][1] is None:
                best[i] = (error, weights / scale[:, None])
    return [weights for _, weights in best]


def _fit_network(latents: FloatArray, psi: FloatArray, remainder: list[np.ndarray],
                 conventions: PackManifest, held_out: int, settings: RegressionSettings,
                 progress: Callable[[float], None]) -> tuple[tuple[FloatArray, ...], tuple[FloatArray, ...]]:
    """Trains the network on what the linear terms leave. Every attribute counts by its share of the unexplained energy."""
    import torch

    torch.manual_seed(settings.seed)
    inputs = [latents, psi]
    if "pose_matrices" in conventions.features:
        inputs.append(pose_features(psi, conventions.psi))
    x = np.concatenate(inputs, 1).astype(np.float64)
    mean, spread = x.mean(0), x.std(0) + 1e-6
    out_scale = np.concatenate([np.full(block.shape[1], np.sqrt(np.square(block).mean()) + 1e-12 if block.size else 0)
                                for block in remainder])
    y = np.concatenate(remainder, 1) / out_scale
    features = torch.from_numpy(((x - mean) / spread).astype(np.float32))
    wanted = torch.from_numpy(y.astype(np.float32))
    sizes = (x.shape[1], *settings.hidden, y.shape[1])
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    torch.nn.init.zeros_(layers[-1].weight)
    torch.nn.init.zeros_(layers[-1].bias)
    activation = torch.nn.LeakyReLU(float(LEAK))
    model = torch.nn.Sequential(*(m for layer in layers for m in (layer, activation)))[:-1]
    _train(model, features, wanted, held_out, settings, progress)
    weights = [layer.weight.detach().numpy().astype(np.float64) for layer in layers]
    biases = [layer.bias.detach().numpy().astype(np.float64) for layer in layers]
    # fold the normalisation of inputs and outputs into the first and last layer
    biases[0] = biases[0] - weights[0] @ (mean / spread)
    weights[0] = weights[0] / spread
    weights[-1], biases[-1] = weights[-1] * out_scale[:, None], biases[-1] * out_scale
    return tuple(w.astype(np.float32) for w in weights), tuple(b.astype(np.float32) for b in biases)


def _train(model, features, wanted, held_out: int, settings: RegressionSettings, progress: Callable[[float], None]) -> None:
    """Adam with a cosine schedule; the state with the least validation error is kept (the untrained one included)."""
    import torch

    steps_per_epoch = max(1, (len(features) - held_out) // settings.batch)
    optimizer = torch.optim.Adam(model.parameters(), settings.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.epochs * steps_per_epoch, settings.rate * 0.01)
    generator = torch.Generator().manual_seed(settings.seed)

    def validation_error() -> float:
        with torch.no_grad():
            return float((model(features[:held_out]) - wanted[:held_out]).square().mean())

    best, state = validation_error(), {k: v.clone() for k, v in model.state_dict().items()}
    for epoch in range(settings.epochs):
        order = held_out + torch.randperm(len(features) - held_out, generator=generator)
        for batch in order[:steps_per_epoch * settings.batch].split(settings.batch):
            loss = (model(features[batch]) - wanted[batch]).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        error = validation_error()
        if error < best:
            best, state = error, {k: v.clone() for k, v in model.state_dict().items()}
        progress((epoch + 1) / settings.epochs)
    model.load_state_dict(state)
