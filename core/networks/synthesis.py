"""Styles to UV planes: the main network with the shape condition in every 3×3 convolution, and the deformation branch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.networks.config import GeneratorConfig
from core.networks.layers import EqualLinear, ModulatedConv, ModulatedToPlanes, SharedNoise, resampling_filter, upsample

SHAPE_CHANNELS = 3
PLANE_MAP_GAIN, MIXED_MAP_GAIN = 8.0, 2.0  # on the learning rates of the planes that everybody shares, and of the mixed ones
_VARIANCE_EPSILON = 1e-8


@dataclass(frozen=True)
class Tap:
    """What the deformation branch starts from.

    Attributes:
        features: [B, C, r, r] activations of the tapped block.
        planes: [B, 22, r, r] planes accumulated up to it.
    """

    features: Tensor
    planes: Tensor


def shape_condition(displacement: Tensor, resolution: int) -> Tensor:
    """The shape displacement map [B, 3, H, W] in metres at another resolution, divided by its standard deviation (3.4).

    The deviation is taken over channels and pixels of each sample; the mean is not subtracted.
    """
    size = (resolution, resolution)
    resized = functional.interpolate(displacement, size, mode="bilinear", align_corners=False, antialias=False)
    variance = (resized - resized.mean((1, 2, 3), keepdim=True)).square().mean((1, 2, 3), keepdim=True)
    return resized * torch.rsqrt(variance + _VARIANCE_EPSILON)


class Block(nn.Module):
    """One resolution: two convolutions (one at the first block) and the step to the planes."""

    def __init__(self, inputs: int, outputs: int, styles: int, resolution: int, *, planes: int, condition: int = 0,
                 texel_maps: bool = False, mixed_maps: int = 0) -> None:
        super().__init__()
        self._condition, self._is_first = condition, inputs == 0
        self.register_buffer("resample_filter", resampling_filter())
        if self._is_first:
            self.const = nn.Parameter(torch.randn(outputs, resolution, resolution))
        else:
            self.conv0 = ModulatedConv(inputs, outputs, styles, resolution, condition=condition, up=True)
        self.conv1 = ModulatedConv(outputs, outputs, styles, resolution, condition=condition)
        self.torgb = ModulatedToPlanes(outputs, planes, styles)
        self._mapped = texel_maps and not self._is_first
        if self._mapped:
            self.feature_map = nn.Parameter(torch.randn(outputs, resolution, resolution))
            self.plane_map = nn.Parameter(torch.zeros(planes, resolution, resolution))
        self._mixed = bool(mixed_maps) and self._mapped
        if self._mixed:
            self.mixing = EqualLinear(styles, mixed_maps)
            self.mixed_maps = nn.Parameter(torch.zeros(mixed_maps, planes, resolution, resolution))

    def forward(self, x: Tensor | None, planes: Tensor | None, style: Tensor, displacement: Tensor | None, noise: str,
                generator: SharedNoise | None = None) -> tuple[Tensor, Tensor]:
        """Features and accumulated planes of this resolution."""
        if self._is_first:
            x = self.const.expand(len(style), -1, -1, -1)
        else:
            x = self.conv0(self._conditioned(x, displacement), style, noise, generator)
        if self._mapped:
            x = x + self.feature_map
        x = self.conv1(self._conditioned(x, displacement), style, noise, generator)
        step = self.torgb(x, style)
        if self._mapped:
            step = step + PLANE_MAP_GAIN * self.plane_map
        if self._mixed:
            step = step + MIXED_MAP_GAIN * torch.einsum("bj,jchw->bchw", self.mixing(style), self.mixed_maps)
        return x, step if planes is None else upsample(planes, self.resample_filter) + step

    def _conditioned(self, x: Tensor, displacement: Tensor | None) -> Tensor:
        if not self._condition:
            return x
        return torch.cat([x, shape_condition(displacement, x.shape[-1])], 1)


class Synthesis(nn.Module):
    """w and the shape displacement map -> main planes, and the tap of the deformation branch (3.3)."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self._config = config
        before = 0
        for resolution in config.resolutions:
            channels = config.channels(resolution)
            setattr(self, f"b{resolution}", Block(before, channels, config.style_size, resolution,
                                                   planes=config.plane_channels, condition=SHAPE_CHANNELS,
                                                   texel_maps=config.texel_maps,
                                                   mixed_maps=config.maps_mixed_at(resolution)))
            before = channels

    def forward(self, w: Tensor, displacement: Tensor, noise: str = "const",
                generator: SharedNoise | None = None) -> tuple[Tensor, Tap]:
        """w [B, W], or one for each block [B, L, W]; displacement [B, 3, R, R] metres -> planes [B, 22, R, R] and tap."""
        styles = functional.pad(w, (0, self._config.unused_style_size))
        x = planes = tap = None
        for index, resolution in enumerate(self._config.resolutions):
            style = styles if styles.ndim == 2 else styles[:, index]
            x, planes = getattr(self, f"b{resolution}")(x, planes, style, displacement, noise, generator)
            if resolution == self._config.tap_resolution:
                tap = Tap(x, planes)
        return planes, tap


class _DeformationBlocks(nn.Module):
    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        styles = 2 * config.latent_size
        self.blocks = nn.ModuleList(
            Block(config.channels(resolution // 2), config.channels(resolution), styles, resolution,
                  planes=config.plane_channels, texel_maps=config.texel_maps)
            for resolution in config.deform_resolutions)


class Deformation(nn.Module):
    """The expression branch: the tap, w and ψ -> residual planes (4)."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.flame_mlp = nn.Sequential(nn.Linear(config.psi_size, config.latent_size), nn.LeakyReLU(0.2),
                                       nn.Linear(config.latent_size, config.latent_size))
        self.synthesis = _DeformationBlocks(config)
        self._from_planes = config.residual_from_planes

    def forward(self, tap: Tap, w: Tensor, psi: Tensor, noise: str = "const",
                generator: SharedNoise | None = None) -> Tensor:
        """w [B, W], ψ [B, P] -> residual planes [B, 22, R, R] before masking."""
        style = torch.cat([w, self.flame_mlp(psi)], 1)
        x, planes = tap.features, tap.planes if self._from_planes else None
        for block in self.synthesis.blocks:
            x, planes = block(x, planes, style, None, noise, generator)
        return planes
