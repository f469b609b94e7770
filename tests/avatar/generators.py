"""Small untrained generators whose planes say something, and packs that hold one face of them exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from core.avatar.basis import quantize
from core.avatar.generator_binding import Sitter, is_closed, seat_residuals, surface_of_seats
from core.avatar.generator_network import build_generator, declaration_of, weights_of
from core.avatar.manifest import PackManifest
from core.avatar.pack import AvatarPack, RowTable
from core.avatar.regressor import Regressor
from core.head.library import load_open_head
from core.networks.config import DESKTOP
from core.networks.head_generator import HeadGenerator, HeadGeneratorConfig
from core.studio.trait_vector import TRAIT_VECTOR_SIZE
from core.types import FloatArray

SHAPES = 5
NETWORKS = replace(DESKTOP, latent_size=16, plane_resolution=32, channel_base=256, channel_max=16, tap_resolution=8)


def small_generator(parametrization: str = "closed", latent: int = TRAIT_VECTOR_SIZE, color_channels: int = 3,
                    camera: int = 0) -> HeadGenerator:
    """Its Gaussians leave their seats and answer to expressions."""
    networks = replace(NETWORKS, color_channels=color_channels, camera_size=camera)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        generator = HeadGenerator(HeadGeneratorConfig(networks, latent, parametrization), load_open_head()).eval()
        for name, parameter in generator.named_parameters():
            if ".torgb.weight" in name:
                parameter.data.copy_((0.15 if name.startswith("deformation") else 0.3) * torch.randn_like(parameter))
    return generator


def table_of_shapes(rows: int = 7) -> FloatArray:
    return np.random.default_rng(5).standard_normal((rows, SHAPES)).astype(np.float32)


def exact_pack(generator: HeadGenerator, prior: str = "studio", face: tuple[Sitter, FloatArray] | None = None) -> AvatarPack:
    """A pack of a generator with one component per attribute: a person's face under ψ [P], whatever drives it."""
    head, closed, seats = generator.head, is_closed(generator), len(generator.surface)
    manifest = PackManifest(
        name="small", kind="generator", head_name=head.name, head_sha256=head.sha256, surface=surface_of_seats(generator.surface),
        psi=head.psi_layout, latent_size=SHAPES + generator.config.networks.latent_size, rows=seats, components=(1, 1, 1, 1),
        anchors="rows", neck="weights", rotation="relative" if closed else "additive", scale="strain" if closed else "additive",
        facing="soft" if closed else "none", generator=declaration_of(generator.config, prior))
    weights = weights_of(generator, table_of_shapes() if prior == "normal" else None)
    residuals = [np.full((1, seats, channels), 0.01, np.float32) for channels in manifest.channels]
    if face is not None:
        residuals = seat_residuals(face[0].rest, face[0].posed(face[1][None]), closed)
    silent = np.zeros((4, manifest.latent_size + manifest.psi.size), np.float32)
    regressor = Regressor(manifest.psi, manifest.latent_size, (), (silent,), (np.ones(4, np.float32),))
    rows = RowTable(np.arange(seats, dtype=np.int32), np.full(seats, -1, np.int32))
    return AvatarPack(manifest, tuple(quantize(part, refined=1) for part in residuals), regressor, rows, generator=weights)


def rounded(generator: HeadGenerator) -> HeadGenerator:
    """The same generator with its weights in half precision, as a pack holds them."""
    pack = exact_pack(generator)
    return build_generator(pack.manifest, pack.generator, generator.head)
