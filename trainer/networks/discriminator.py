"""The dual discriminator: a picture and the rendering of its displacement, seen together, judged for a camera (specification 6).

A residual network; for the second stage a block is added on top of it, whose weight grows from 0 to 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.networks.config import DiscriminatorConfig
from core.networks.layers import EqualLinear, activate, downsample, filter_picture, resampling_filter
from core.networks.mapping import Mapping

CAMERA_LAYERS = 8
_HALF = math.sqrt(0.5)
_DEVIATION_EPSILON = 1e-8


class Conv(nn.Module):
    """Convolution with equalised learning rate, optionally to half the size (``Conv2dLayer`` of the published names).

    Args:
        activation: leaky rectifier after it; without one there is no clamp either.
        clamp: limit of the activations.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, down: bool = False, bias: bool = True, activation: bool = True,
                 clamp: float | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("resample_filter", resampling_filter())
        self._kernel, self._down, self._activation, self._clamp = kernel, down, activation, clamp
        self._weight_gain = 1 / math.sqrt(inputs * kernel**2)

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H', W'], times `gain`."""
        weight = self.weight * self._weight_gain
        if not self._down:
            x = functional.conv2d(x, weight, padding=self._kernel // 2)
        elif self._kernel == 1:
            x = functional.conv2d(downsample(x, self.resample_filter), weight)
        else:
            x = functional.conv2d(filter_picture(x, self.resample_filter, 1.0, (2, 2)), weight, stride=2)
        if self.bias is not None:
            x = x + self.bias[:, None, None]
        if self._activation:
            return activate(x, gain, self._clamp)
        return x * gain if self._clamp is None else (x * gain).clamp(-self._clamp * gain, self._clamp * gain)


class ResidualBlock(nn.Module):
    """Features of one resolution to half of it. The first one reads the picture."""

    def __init__(self, config: DiscriminatorConfig, resolution: int, *, reads_picture: bool) -> None:
        super().__init__()
        here, below, clamp = config.channels(resolution), config.channels(resolution // 2), config.clamp
        self.register_buffer("resample_filter", resampling_filter())
        if reads_picture:
            self.fromrgb = Conv(config.image_channels, here, 1, clamp=clamp)
        self.conv0 = Conv(here, here, 3, clamp=clamp)
        self.conv1 = Conv(here, below, 3, down=True, clamp=clamp)
        self.skip = Conv(here, below, 1, down=True, bias=False, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, r, r] -> [B, C', r/2, r/2]."""
        shortcut = self.skip(x, _HALF)
        return shortcut + self.conv1(self.conv0(x), _HALF)


class AddedBlock(nn.Module):
    """The block of the second stage: its own reading of the picture, beside the smaller picture. Silent at first."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        here, below, clamp = config.channels(config.resolution), config.channels(config.resolution // 2), config.clamp
        self.register_buffer("resample_filter", resampling_filter())
        self.fromrgb = Conv(config.image_channels, here, 1, clamp=clamp)
        self.conv0 = Conv(here, here, 3, clamp=clamp)
        self.conv1 = Conv(here, below, 3, down=True, clamp=clamp)
        nn.init.zeros_(self.conv1.weight)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Features and picture [B, ·, r/2, r/2] of a picture [B, 6, r, r]."""
        return self.conv1(self.conv0(self.fromrgb(picture))), downsample(picture, self.resample_filter)


class Epilogue(nn.Module):
    """4×4 features and the camera's embedding to one number."""

    def __init__(self, config: DiscriminatorConfig) -> None:
        super().__init__()
        channels = config.channels(4)
        self.conv = Conv(channels + 1, channels, 3, clamp=config.clamp)
        self.fc = EqualLinear(channels * 16, channels, activation=True)
        self.out = EqualLinear(channels, config.latent_size)
        self._group = config.group_size

    def forward(self, x: Tensor, camera: Tensor) -> Tensor:
        """x [B, C, 4, 4], camera embedding [B, L] -> logits [B, 1]."""
        x = self.conv(torch.cat([x, self._deviation(x)], 1))
        x = self.out(self.fc(x.flatten(1)))
        return (x * camera).sum(1, keepdim=True) / math.sqrt(camera.shape[1])

    def _deviation(self, x: Tensor) -> Tensor:
        """Mean standard deviation over each group of samples, as one more channel [B, 1, 4, 4]."""
        batch = len(x)
        group = min(self._group, batch)
        y = x.reshape(group, -1, *x.shape[1:])
        deviation = ((y - y.mean(0)).square().mean(0) + _DEVIATION_EPSILON).sqrt().mean((1, 2, 3))
        return deviation.repeat(group)[:, None, None, None].expand(-1, -1, *x.shape[2:])


class Discriminator(nn.Module):
    """Judges pictures [B, 6, R, R] in -1..1: three channels of the picture, three of its displacement rendering."""

    def __init__(self, config: DiscriminatorConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or DiscriminatorConfig()
        self.register_buffer("resample_filter", resampling_filter())
        if config.resolution > config.first_resolution:
            setattr(self, f"b{config.resolution}", AddedBlock(config))
        resolution = config.first_resolution
        while resolution > 4:
            setattr(self, f"b{resolution}", ResidualBlock(config, resolution,
                                                          reads_picture=resolution == config.first_resolution))
            resolution //= 2
        self.mapping = Mapping(0, config.camera_size, config.latent_size, CAMERA_LAYERS, averages=False)
        self.b4 = Epilogue(config)

    def forward(self, picture: Tensor, camera: Tensor, added_weight: float = 1.0) -> Tensor:
        """Logits [B, 1].

        Args:
            camera: conditioning cameras c12 [B, 12].
            added_weight: how much of the added block counts, 0..1.
        """
        config = self.config
        added = 0.0
        if config.resolution > config.first_resolution:
            features, picture = getattr(self, f"b{config.resolution}")(picture)
            added = features * added_weight
        first = getattr(self, f"b{config.first_resolution}")
        x = first(added + first.fromrgb(picture))
        resolution = config.first_resolution // 2
        while resolution > 4:
            x = getattr(self, f"b{resolution}")(x)
            resolution //= 2
        return self.b4(x, self.mapping(None, camera))
