"""A small discriminator with dense votes for short adversarial finishes on processors.

It sees picture, displacement rendering and a high-pass of the picture, so that missing detail shows in its first layer; a
space-to-depth step spares the costly full resolution; every patch votes, and votes count where the head is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trainer.networks.discriminator import Conv

HIGH_PASS = 4.0
_LEAST_WEIGHT = 1e-3
_HALF = 0.5**0.5


@dataclass(frozen=True)
class Votes:
    """What the discriminator says.

    Attributes:
        logits: [B, K] of the K patches.
        weights: [B, K], sum to 1 per picture.
        features: activations after each block.
    """

    logits: Tensor
    weights: Tensor
    features: tuple[Tensor, ...]

    def score(self) -> Tensor:
        """Weighted mean of the logits [B]."""
        return (self.logits * self.weights).sum(1)


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = Conv(inputs, inputs, 3), Conv(inputs, outputs, 3)
        self.skip = Conv(inputs, outputs, 1, bias=False, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.avg_pool2d(self.conv1(self.conv0(x)), 2)
        return (y + self.skip(functional.avg_pool2d(x, 2))) * _HALF


class PatchDiscriminator(nn.Module):
    """Judges pictures [B, 6, R, R] in -1..1 (picture and displacement rendering) patch by patch.

    Args:
        resolution: R of the pictures.
        channel_base, channel_max: a resolution r has min(base / r, max) channels.
        dual: looks at the displacement rendering.
        patches: side of the grid of votes.
    """

    def __init__(self, resolution: int, channel_base: int = 1024, channel_max: int = 128, *, dual: bool = True,
                 patches: int = 8) -> None:
        super().__init__()
        self._dual, self._patches = dual, min(patches, resolution // 4)
        side = resolution // 2

        def channels(r: int) -> int:
            return min(channel_base // r, channel_max)

        self.stem = Conv(4 * (9 if dual else 6), channels(side), 3)
        self.blocks = nn.ModuleList()
        while side > self._patches:
            self.blocks.append(_Residual(channels(side), channels(side // 2)))
            side //= 2
        self.head = Conv(channels(side), channels(side), 1)
        self.vote = Conv(channels(side), 1, 1, activation=False)

    def forward(self, picture: Tensor, foreground: Tensor) -> Votes:
        """Votes on pictures; `foreground` [B, 1, R, R] in 0..1 says where they count."""
        image = picture[:, :3]
        smooth = functional.interpolate(functional.avg_pool2d(image, 2), scale_factor=2, mode="bilinear", align_corners=False)
        seen = [image, HIGH_PASS * (image - smooth)] + ([picture[:, 3:]] if self._dual else [])
        x = self.stem(functional.pixel_unshuffle(torch.cat(seen, 1), 2))
        features = [x]
        for block in self.blocks:
            x = block(x)
            features.append(x)
        weights = functional.adaptive_avg_pool2d(foreground, x.shape[-1]).flatten(1) + _LEAST_WEIGHT
        return Votes(self.vote(self.head(x)).flatten(1), weights / weights.sum(1, keepdim=True), tuple(features))
