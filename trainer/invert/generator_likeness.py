"""How unlike its photographs a rendered person is: the loss that inversion goes down."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.invert.generator_target import Targets
from trainer.losses import picture_loss
from trainer.metrics.features import FeatureNetwork
from trainer.metrics.pictures import BACKGROUND, two_views
from trainer.metrics.similarity import ssim_map
from trainer.rasterize import Rendering

FOCUS = 3.0  # added weight of eyes and mouth
_WINDOW = 11  # pixels of a window of structural similarity


@dataclass(frozen=True)
class LikenessWeights:
    """Weights of the parts: multi-scale L1 with gradients counts 1.

    Attributes:
        structure: of 1 − structural similarity.
        coverage: of the L1 of the foreground.
        identity: of 1 − cosine of the feature network's embeddings of identity; nothing where there is no network.
    """

    structure: float = 0.3
    coverage: float = 0.5
    identity: float = 0.1


class Likeness:
    """Compares renderings with the targets.

    Args:
        features: of the metrics, trained on some dataset; None leaves the identity out.
    """

    def __init__(self, targets: Targets, features: FeatureNetwork | None = None,
                 weights: LikenessWeights | None = None) -> None:
        self._targets, self._weights = targets, weights or LikenessWeights()
        self._focus = 1 + FOCUS * targets.focus
        self._features = features
        if features is not None:
            with torch.no_grad():
                self._identity = self._embedded(targets.color + (1 - targets.alpha) * BACKGROUND)

    def __call__(self, drawn: Rendering, background: Tensor) -> Tensor:
        """The loss. Colours [n, 3, 1, 1] are laid behind both: what lets them through shall not match by chance."""
        targets, weights = self._targets, self._weights
        real = targets.color + (1 - targets.alpha) * background
        fake = drawn.over(background)
        loss = picture_loss(fake, real, self._focus) + weights.coverage * (drawn.alpha - targets.alpha).abs().mean()
        if weights.structure and targets.size >= _WINDOW:
            loss = loss + weights.structure * (1 - self._similarity(fake, real))
        if self._features is not None:
            likeness = (self._embedded(drawn.over(torch.full_like(background, BACKGROUND))) * self._identity).sum(1).mean()
            loss = loss + weights.identity * (1 - likeness)
        return loss

    def _similarity(self, fake: Tensor, real: Tensor) -> Tensor:
        """Structural similarity where the photographs show the person."""
        border = _WINDOW // 2
        weight = (self._targets.alpha * self._focus)[..., border:-border, border:-border]
        return (ssim_map(fake, real) * weight).mean() / weight.mean().clamp(min=1e-3)

    def _embedded(self, pictures: Tensor) -> Tensor:
        network = self._features
        size = 2 * network.config.size
        if pictures.shape[-1] != size:
            pictures = functional.interpolate(pictures, (size, size), mode="bilinear", align_corners=False, antialias=True)
        return network(two_views(255 * pictures, network.config.size))[2]
