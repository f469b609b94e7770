"""The feature network of the metrics: features for a Fréchet distance, estimates of what is known, an embedding of identity."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from core.assets import write_atomically
from core.errors import InputError
from core.types import FloatArray
from trainer.metrics.factors import GROUPS, Factors, Scaling
from trainer.metrics.pictures import network_input

FEATURES_NAME = "features.safetensors"
FORMAT = "agora-features-1"
_BATCH = 128


@dataclass(frozen=True)
class FeatureConfig:
    """Size of the network.

    Attributes:
        size: side of both views of a picture, pixels (a multiple of 16).
        channels: of the four levels.
        residuals: residual blocks of each level.
        hidden: width of the layer before the features.
        features: length of the features.
        embedding: length of the identity embedding.
        widths: columns of the factor groups, in the order of `GROUPS`.
    """

    size: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 192)
    residuals: tuple[int, ...] = (0, 0, 0, 0)
    hidden: int = 256
    features: int = 128
    embedding: int = 64
    widths: tuple[int, ...] = (0,) * len(GROUPS)


@dataclass(frozen=True)
class Looks:
    """What the network sees in n pictures.

    Attributes:
        features: [n, D] float32.
        factors: estimates.
        identity: [n, E] float32, unit vectors.
    """

    features: FloatArray
    factors: Factors
    identity: FloatArray


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _convolution(channels, channels, 1), _convolution(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


def _convolution(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs))


class FeatureNetwork(nn.Module):
    """A small convolutional network over two views of a picture.

    Args:
        config: sizes.

    Buffers hold what training found: scaling of the factors, and the gain that gives the features of real pictures the total
    variance 100, so that a generator that only ever draws the average picture is about 100 away from the real ones.
    """

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        levels: list[nn.Module] = []
        inputs = 6
        for i, channels in enumerate(config.channels):
            levels += [_convolution(inputs, channels, 2), nn.ReLU()]
            levels += [_Residual(channels) for _ in range(config.residuals[i])]
            inputs = channels
        cells = (config.size >> len(config.channels)) ** 2
        self.trunk = nn.Sequential(*levels)
        self.to_features = nn.Sequential(
            nn.Linear(inputs * cells, config.hidden, bias=False), nn.BatchNorm1d(config.hidden), nn.ReLU(),
            nn.Linear(config.hidden, config.features, bias=False), nn.BatchNorm1d(config.features), nn.ReLU())
        self.to_factors = nn.Linear(config.features, sum(config.widths))
        self.to_identity = nn.Linear(config.features, config.embedding)
        self.register_buffer("mean", torch.zeros(sum(config.widths)))
        self.register_buffer("deviation", torch.ones(sum(config.widths)))
        self.register_buffer("gain", torch.ones(()))

    @property
    def scaling(self) -> Scaling:
        """Of the factors."""
        return Scaling(self.mean.numpy(), self.deviation.numpy())

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views [n, 6, size, size] uint8 -> features [n, D] without gain, normalised factors [n, F], identity [n, E]."""
        x = (views.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)
        features = self.to_features(self.trunk(x).flatten(1))
        return features, self.to_factors(features), functional.normalize(self.to_identity(features), dim=1)

    @torch.no_grad()
    def look(self, pictures: Tensor) -> Looks:
        """Judges pictures [n, 3, S, S] uint8 before the background of `trainer.metrics.pictures`."""
        return self.look_at_views(network_input(pictures, self.config.size))

    @torch.no_grad()
    def look_at_views(self, views: Tensor) -> Looks:
        """As `look`, for what `network_input` made of pictures."""
        self.eval()
        device = self.gain.device
        parts = [[part.cpu().numpy() for part in self(batch.to(device))] for batch in views.split(_BATCH)]
        features, normalized, identity = (np.concatenate(column) for column in zip(*parts, strict=True))
        factors = Factors.of_table(self.scaling.restored(normalized), self.config.widths)
        return Looks(features * float(self.gain), factors, identity)

    @property
    def fingerprint(self) -> str:
        """Changes with the weights."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]


def save_features(path: Path, network: FeatureNetwork, quality: dict[str, float]) -> None:
    """Writes weights and, beside them as JSON, how well each group of factors is estimated.

    Args:
        quality: explained variance of every group on people the network has not seen.
    """
    about = {"format": FORMAT, "config": json.dumps(asdict(network.config)), "quality": json.dumps(quality)}
    tensors = {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}
    write_atomically(path, save(tensors, about))
    readable = {"format": FORMAT, "config": asdict(network.config), "explained_variance": quality}
    write_atomically(path.with_suffix(".json"), (json.dumps(readable, indent=1) + "\n").encode())


def load_features(path: Path) -> FeatureNetwork:
    """Reads what `save_features` wrote.

    Raises:
        InputError: missing, damaged, or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("format") != FORMAT:
                raise InputError(f"{path} holds no feature network of this program")
            config = {key: tuple(value) if isinstance(value, list) else value
                      for key, value in json.loads(about["config"]).items()}
            network = FeatureNetwork(FeatureConfig(**config))
            network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no mapping)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist", "`evaluate` trains a dataset's feature network on its first run") from None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read: {error}", "delete it; it will be trained again") from error
    return network.eval()
