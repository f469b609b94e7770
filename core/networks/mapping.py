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
        camera: size of the conditioning camera, 0 for a network of the latent alone.
        layers: number of hidden layers.
        averages: keep the running mean of w that truncation pulls toward.
        rate: learning rate relative to other layers.
        normalize: bring z to unit length per number first.
    """

    def __init__(self, latent: int, camera: int, width: int, layers: int, *, averages: bool = True, rate: float = MAPPING_RATE,
                 normalize: bool = True) -> None:
        super().__init__()
        self._latent, self._camera, self._layers, self._normalize = latent, camera, layers, normalize
        if camera:
            self.embed = EqualLinear(camera, width)
        inputs = latent + (width if camera else 0)
        for index in range(layers):
            setattr(self, f"fc{index}", EqualLinear(inputs if index == 0 else width, width, activation=True, rate=rate))
        if averages:
            self.register_buffer("w_avg", torch.zeros(width))

    def forward(self, z: Tensor | None, camera: Tensor | None, truncation: float = 1.0) -> Tensor:
        """The style.

        Args:
            truncation: 1 leaves w as it is, 0 gives the average.
        """
        inputs = []
        if self._latent:
            inputs.append(normalize_second_moment(z) if self._normalize else z)
        if self._camera:
            inputs.append(normalize_second_moment(self.embed(camera)))
        x = torch.cat(inputs, 1)
        for index in range(self._layers):
            x = getattr(self, f"fc{index}")(x)
        return x if truncation == 1.0 else self.w_avg.lerp(x, truncation)

    def follow(self, mean: Tensor) -> None:
        """Let the running mean move toward the mean [W] of a batch's styles."""
        self.w_avg.copy_(mean.lerp(self.w_avg, AVERAGE_BETA))
