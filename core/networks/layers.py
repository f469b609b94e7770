"""Layers with equalised learning rate, style modulation and filtered resampling (Karras et al., StyleGAN2, 2020).

A modulated convolution is computed as one dense convolution for the whole batch: scaling the input channels by the style and
the output channels by the demodulation factor is the same as giving each sample a kernel of its own, and much faster on
processors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAK = 0.2
ACTIVATION_GAIN = math.sqrt(2)
TAPS = (1.0, 3.0, 3.0, 1.0)
_NORM_EPSILON = 1e-8


@dataclass(frozen=True)
class SharedNoise:
    """Random numbers for a part of a batch: the parts of several processes are what one process draws for the whole.

    Attributes:
        generator: seeded alike in all processes.
        batch: samples in the whole batch;  share: those of this process.
    """

    generator: torch.Generator
    batch: int
    share: slice

    def normal(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Normal numbers [share, *shape] on the generator's device."""
        whole = torch.randn(self.batch, *shape, generator=self.generator, device=self.generator.device, dtype=dtype)
        return whole[self.share]


def resampling_filter() -> Tensor:
    """The normalised binomial filter [4, 4]."""
    taps = torch.tensor(TAPS)
    kernel = torch.outer(taps, taps)
    return kernel / kernel.sum()


def activate(x: Tensor, gain: float = 1.0, clamp: float | None = None) -> Tensor:
    """Leaky rectifier that keeps the variance, times `gain`, limited to ± `clamp` · `gain`."""
    x = functional.leaky_relu(x, LEAK) * (ACTIVATION_GAIN * gain)
    return x if clamp is None else x.clamp(-clamp * gain, clamp * gain)


def normalize_second_moment(x: Tensor) -> Tensor:
    """x [B, C] divided by the root of its mean square over C."""
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + _NORM_EPSILON)


def filter_picture(x: Tensor, kernel: Tensor, gain: float, padding: tuple[int, int], down: int = 1) -> Tensor:
    """x [B, C, H, W] filtered channel by channel; `padding` before and after in both directions."""
    channels = x.shape[1]
    before, after = padding
    x = functional.pad(x, (before, after, before, after))
    weight = (kernel * gain).to(x.dtype).flip(0, 1).expand(channels, 1, -1, -1)
    return functional.conv2d(x, weight, stride=down, groups=channels)


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Twice the size: zeros between the samples, filtered with gain 4. [B, C, H, W] -> [B, C, 2H, 2W]."""
    channels = x.shape[1]
    weight = (kernel * 4).to(x.dtype).expand(channels, 1, -1, -1)
    return functional.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)


def downsample(x: Tensor, kernel: Tensor) -> Tensor:
    """Half the size, filtered. [B, C, H, W] -> [B, C, H/2, W/2]."""
    return filter_picture(x, kernel, 1.0, (1, 1), down=2)


class EqualLinear(nn.Module):
    """Linear layer whose stored weights have unit variance; their scale is applied at run time.

    Args:
        activation: leaky rectifier after it.
        rate: factor on the learning rate of weight and bias.
    """

    def __init__(self, inputs: int, outputs: int, *, activation: bool = False, rate: float = 1.0, bias: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias / rate))
        self._weight_gain, self._bias_gain, self._activation = rate / math.sqrt(inputs), rate, activation

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs] -> [B, outputs]."""
        y = functional.linear(x, self.weight * self._weight_gain, self.bias * self._bias_gain)
        return activate(y) if self._activation else y


class ModulatedConv(nn.Module):
    """3×3 convolution with style modulation, noise, bias and leaky rectifier (``SynthesisLayer`` of the published names).

    Args:
        inputs: channels that come from the layer before.
        condition: channels of a condition map that is put behind them.
        styles: width of the style vector.
        resolution: of the output.
        up: the output is twice as large as the input.
    """

    def __init__(self, inputs: int, outputs: int, styles: int, resolution: int, *, condition: int = 0, up: bool = False) -> None:
        super().__init__()
        self.affine = EqualLinear(styles, inputs + condition, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs + condition, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("resample_filter", resampling_filter())
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self._up = up

    def forward(self, x: Tensor, style: Tensor, noise: str, generator: SharedNoise | None = None) -> Tensor:
        """x [B, inputs + condition, H, W], style [B, S] -> [B, outputs, H', W'].

        Args:
            noise: "random", "const" (the stored picture) or "none".
            generator: of random noise; torch's own without one.
        """
        scales = self.affine(style)
        energy = torch.einsum("bi,oi->bo", scales.square(), self.weight.square().sum((2, 3)))
        x = x * scales[:, :, None, None]
        if self._up:
            x = functional.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2)
            x = filter_picture(x, self.resample_filter, 4.0, (1, 1))
        else:
            x = functional.conv2d(x, self.weight, padding=1)
        x = x * torch.rsqrt(energy + _NORM_EPSILON)[:, :, None, None]
        x = self._with_noise(x, noise, generator)
        return activate(x + self.bias[:, None, None])

    def _with_noise(self, x: Tensor, noise: str, generator: SharedNoise | None) -> Tensor:
        if noise == "const":
            return x + self.noise_const * self.noise_strength
        if noise == "random":
            shape = (1, *x.shape[2:])
            picture = torch.randn(len(x), *shape, device=x.device, dtype=x.dtype) if generator is None \
                else generator.normal(*shape, dtype=x.dtype)
            return x + picture * self.noise_strength
        return x


class ModulatedToPlanes(nn.Module):
    """1×1 convolution with style modulation and no demodulation (``ToRGBLayer`` of the published names)."""

    def __init__(self, inputs: int, outputs: int, styles: int) -> None:
        super().__init__()
        self.affine = EqualLinear(styles, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self._gain = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """x [B, inputs, H, W], style [B, S] -> [B, outputs, H, W]."""
        scales = self.affine(style) * self._gain
        return functional.conv2d(x * scales[:, :, None, None], self.weight, self.bias)
