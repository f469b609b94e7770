"""People, clouds and pictures for the tests of exports."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from core import studio
from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.sources import load_studio_pack
from core.avatar.studio_binding import bind_studio_identity
from core.geometry import orbit_camera, rotation_from_quat
from core.head.library import load_open_head
from core.head.presets import preset
from core.render.renderer import open_renderer
from core.types import Gaussians, HeadParams

SIZE = 192


@lru_cache(maxsize=1)
def somebody() -> Identity:
    """A studio person, without the landmarker's look at the rest."""
    head, pack = load_open_head(), load_studio_pack()
    return bind_studio_identity(pack, head, studio.TexelAtlas(head), studio.build_identity(7, head))


@lru_cache(maxsize=1)
def smiling() -> Gaussians:
    """Her smile, in head space."""
    return avatar().drive(preset(load_open_head(), "smile").head_params())


def avatar() -> Avatar:
    return Avatar(load_studio_pack(), somebody())


def covariances(cloud: Gaussians) -> np.ndarray:
    """[N, 3, 3] float64."""
    factor = rotation_from_quat(cloud.quat.astype(np.float64)) * cloud.scale[:, None, :].astype(np.float64)
    return factor @ factor.transpose(0, 2, 1)


def pictures(cloud: Gaussians) -> np.ndarray:
    """Two views [2, H, W, 3] before white, in 0..255."""
    renderer = open_renderer("cpu")
    views = [renderer.render(cloud, orbit_camera(yaw, 0.05, SIZE, SIZE), (1.0, 1.0, 1.0))[..., :3] for yaw in (0.0, 0.7)]
    renderer.close()
    return np.stack(views).astype(np.float64)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(((a - b) ** 2).mean() / 255**2 + 1e-12))


def as_shown(source) -> Gaussians:
    """The only person of a source, at rest."""
    shown = Avatar(source.pack, source.build("0"))
    return shown.drive(HeadParams.neutral(shown.psi_layout.expression))
