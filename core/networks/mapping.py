"""Latent and conditioning camera to the style w (specification 3.1), and seeds to latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.networks.layers import EqualLinear, normalize_second_moment

MAPPING_RATE = 0.01
AVERAGE_BETA = 0.998


class Mapping(nn.Module):
    """z [B, Z] and camera [B, C] -> w [B, W].

    Args:
        latent: size of z, 0 for a network of the camera alone.
        layers: number of hidden layers.
        averages: keep the running mean of w that truncation pulls toward.
    """

    def __init__(self, latent: int, camera: int, width: int, layers: int, *, averages: bool = True) -> None:
        super().__init__()
        self._latent, self._layers = latent, layers
        self.embed = EqualLinear(camera, width)
        inputs = latent + width
        for index in range(layers):
            setattr(self, f"fc{index}", EqualLinear(inputs if index == 0 else width, width, activation=True, rate=MAPPING_RATE))
        if averages:
            self.register_buffer("w_avg", torch.zeros(width))

    def forward(self, z: Tensor | None, camera: Tensor, truncation: float = 1.0, update_average: bool = False) -> Tensor:
        """The style.

        Args:
            truncation: 1 leaves w as it is, 0 gives the average.
            update_average: let this batch move the running mean.
        """
        x = normalize_second_moment(self.embed(camera))
        if self._latent:
            x = torch.cat([normalize_second_moment(z), x], 1)
        for index in range(self._layers):
            x = getattr(self, f"fc{index}")(x)
        if update_average:
            self.w_avg.copy_(x.detach().mean(0).lerp(self.w_avg, AVERAGE_BETA))
        return x if truncation == 1.0 else self.w_avg.lerp(x, truncation)
