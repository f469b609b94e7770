"""A pack's generator as a network: building it from untrusted weights, taking the weights of one, drawing z and shape. Torch."""

from __future__ import annotations

import json

import numpy as np
import torch
from torch import Tensor

from core.avatar.generator_weights import GeneratorWeights
from core.avatar.manifest import GeneratorDeclaration, PackManifest
from core.errors import InputError, PackError
from core.head.model import HeadModel
from core.networks.head_generator import PARAMETRIZATIONS, HeadGenerator, HeadGeneratorConfig
from core.studio.trait_vector import TRAIT_VECTOR_SIZE
from core.types import FloatArray

_MOST_PLANE_TEXELS = 1024  # along one side
_LARGEST_CHANNELS = 1024
_COMPUTED = ("w_avg", "resample_filter")  # not needed, or the same for everybody
_NOISE = "noise_const"  # of the deformation branch, which is used without noise


def declaration_of(config: HeadGeneratorConfig, prior: str) -> GeneratorDeclaration:
    """What a manifest says about a generator."""
    return GeneratorDeclaration(prior, json.dumps(config.to_json(), sort_keys=True))


def weights_of(generator: HeadGenerator, shapes: FloatArray | None) -> GeneratorWeights:
    """The weights that new people need, in half precision.

    Raises:
        InputError: a weight is not a number, or too large for half precision.
    """
    weights = {}
    for name in _needed(generator):
        value = generator.state_dict()[name].detach().cpu()
        with np.errstate(over="ignore"):
            weights[name] = np.atleast_1d(value.numpy()).astype(np.float16)
        if not np.isfinite(weights[name]).all():
            raise InputError(f"the generator's weight {name} holds values that half precision cannot hold",
                             "the training has diverged; use an earlier checkpoint")
    return GeneratorWeights(weights, None if shapes is None else np.ascontiguousarray(shapes, np.float32))


def build_generator(manifest: PackManifest, stored: GeneratorWeights, head: HeadModel) -> HeadGenerator:
    """The network of a pack, ready to be used.

    Raises:
        PackError: configuration or weights do not fit each other, the manifest or the head.
    """
    where = f"pack '{manifest.name}': generator"
    config = _checked_config(where, manifest, head)
    try:
        with torch.device("meta"):  # shapes are compared before anything of that size is made
            planned = HeadGenerator(config, head)
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise PackError(f"{where}: no network can be made of the configuration ({str(error).splitlines()[0]})") from error
    state = planned.state_dict()
    needed = _needed(planned)
    if set(needed) != set(stored.weights):
        odd = sorted(set(needed) ^ set(stored.weights))[0]
        raise PackError(f"{where}/{odd}: is {'missing' if odd in needed else 'unexpected'}")
    for name in needed:
        expected = tuple(state[name].shape) or (1,)
        if stored.weights[name].shape != expected:
            raise PackError(f"{where}/{name}: has shape {stored.weights[name].shape}, expected {expected}")
    with torch.random.fork_rng(devices=[]):
        generator = HeadGenerator(config, head)
    given = {name: torch.from_numpy(value.astype(np.float32)).reshape(state[name].shape)
             for name, value in stored.weights.items()}
    generator.load_state_dict(given, strict=False)
    return generator.requires_grad_(False).eval()


def _checked_config(where: str, manifest: PackManifest, head: HeadModel) -> HeadGeneratorConfig:
    try:
        config = HeadGeneratorConfig.from_json(json.loads(manifest.generator.config))
    except (TypeError, KeyError, ValueError) as error:
        raise PackError(f"{where}: the configuration cannot be read ({error})") from error
    networks = config.networks
    try:
        side, tap = networks.plane_resolution, networks.tap_resolution
        sides = all(type(n) is int and 4 <= n <= _MOST_PLANE_TEXELS and n & (n - 1) == 0 for n in (side, tap)) and tap <= side
        seats = type(config.seats) is int and 0 < config.seats <= _MOST_PLANE_TEXELS
        sizes = min(networks.channel_base // side, networks.channel_max) > 0 and networks.channel_max <= _LARGEST_CHANNELS
        sizes = sizes and networks.color_channels in (3, 12) and config.parametrization in PARAMETRIZATIONS
        camera = networks.camera_size in (0, 12) and networks.unused_style_size >= 0
    except (TypeError, ZeroDivisionError) as error:
        raise PackError(f"{where}: the configuration cannot be read ({error})") from error
    if not (sides and seats and sizes and camera):
        raise PackError(f"{where}: the configuration has sizes that no generator can have")
    expected = TRAIT_VECTOR_SIZE if manifest.generator.prior == "studio" else config.latent_input
    for name, value, wanted in (("latent_input", config.latent_input, expected),
                                ("psi_size", networks.psi_size, manifest.psi.size),
                                ("psi_size", networks.psi_size, head.psi_layout.size)):
        if value != wanted:
            raise PackError(f"{where}: {name} is {value}, the pack needs {wanted}")
    if not 0 <= manifest.latent_size - networks.latent_size <= head.shape_count:
        raise PackError(f"{where}: latent_size is {networks.latent_size}, which does not fit the pack's {manifest.latent_size}")
    return config


def _needed(generator: HeadGenerator) -> list[str]:
    """Names of parameters and buffers without which no new person can be made."""
    return [name for name in generator.state_dict()
            if not name.endswith(_COMPUTED) and not (name.startswith("deformation") and name.endswith(_NOISE))]


def style_of(generator: HeadGenerator, z: FloatArray) -> Tensor:
    """w [W] of z [Z]; generators that know a camera are told that it looks from the front."""
    size, camera = generator.config.networks.camera_size, None
    if size:
        camera = torch.zeros(1, size)
        camera[0, :9] = torch.eye(3).flatten()  # the head is not turned
    with torch.inference_mode():
        return generator.mapping(torch.from_numpy(np.asarray(z, np.float32))[None], camera)[0]


def normal_draw(seed: int, latent_size: int, shapes: FloatArray) -> tuple[FloatArray, FloatArray]:
    """z [Z] and shape [s] of a seed under the prior ``normal``."""
    random = torch.Generator("cpu").manual_seed(seed)
    z = torch.randn(latent_size, generator=random)
    return z.numpy(), shapes[int(torch.randint(len(shapes), (), generator=random))]
