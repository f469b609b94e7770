"""A file of 3D Gaussians as a pack: one person who can be looked at and turned, but has no expression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from core.avatar.basis import quantize
from core.avatar.cloud_file import CloudFile, read_cloud, turned
from core.avatar.identity import Identity
from core.avatar.kernels import STATIC_ROW
from core.avatar.manifest import PackManifest
from core.avatar.pack import AvatarPack, RowTable
from core.avatar.regressor import Regressor
from core.geometry import PORTRAIT_DISTANCE, PORTRAIT_FOV_DEGREES, PORTRAIT_TARGET
from core.head.library import load_open_head
from core.types import FloatArray, Gaussians

Axes = Literal["auto", "3dgs", "head"]
Fit = Literal["auto", "portrait", "none"]
INVISIBLE = 1 / 255  # as in core.render.reference: fainter Gaussians are never drawn
_SHOULDERS = 1.35  # times as wide as the other end: that end is the lower one
_FILLED = 0.92  # of the portrait's height
_NEAR = 0.15  # metres from the middle of the portrait, at which a cloud of a head's size stays where it is
_HEAD_SIZES = (0.15, 0.75)  # metres


@dataclass(frozen=True)
class Placement:
    """How a cloud came into head space: x = factor · (x − middle) + target."""

    factor: float
    middle: FloatArray
    target: FloatArray


def read_static_pack(path: str | Path, axes: Axes = "auto", fit: Fit = "auto",
                     sh: Literal["front", "none"] = "front") -> AvatarPack:
    """A pack of kind ``static`` with one person, who is turned as a whole about the place of the open head's neck.

    Args:
        path: a .ply, .splat or .spz file.
        axes: of the file. ``auto``: as the file says; where it says nothing, those of 3DGS, unless the cloud is clearly wider
            (shoulders) at its other end.
        fit: ``auto``: a cloud of a head's size at a head's place stays there, any other is moved and scaled into the portrait.
            ``portrait``: always. ``none``: never.
        sh: ``front``: colours are those seen from the front. ``none``: the mean colours, without the spherical harmonics.

    Raises:
        InputError: the file cannot be used.
    """
    path = Path(path)
    found = read_cloud(path)
    chosen = (found.axes or guess_axes(found.cloud)) if axes == "auto" else axes
    cloud = replace(found.cloud, rgb=_colors(found, chosen, sh))
    cloud = turned(cloud) if chosen == "3dgs" else cloud
    visible = cloud.opacity >= INVISIBLE
    cloud = cloud.subset(visible) if visible.any() else cloud
    place = None if fit == "none" or (fit == "auto" and _is_in_place(cloud)) else fitting(cloud)
    if place is not None:
        cloud = replace(cloud, xyz=_float(place.factor * (cloud.xyz - place.middle) + place.target),
                        scale=_float(cloud.scale * place.factor))
    tags = ("static", f"{len(cloud)} Gaussians", *([f"{found.dropped} damaged rows left out"] if found.dropped else []))
    return static_pack(path.stem, cloud, tags)


def static_pack(name: str, cloud: Gaussians, tags: tuple[str, ...] = ("static",)) -> AvatarPack:
    """A pack of one person whom no expression moves, in head space."""
    head, n = load_open_head(), len(cloud)
    psi = head.psi_layout
    manifest = PackManifest(name=name, kind="static", head_name=head.name, head_sha256=head.sha256, psi=psi, latent_size=0,
                            rows=1, components=(0, 0, 0, 0), anchors="rows", neck="one", rotation="relative", scale="strain")
    basis = tuple(quantize(np.zeros((0, 1, channels), np.float32)) for channels in manifest.channels)
    nothing = np.zeros((0, psi.size), np.float32)
    regressor = Regressor(psi, 0, (), (nothing,), (np.zeros(0, np.float32),))
    rows = RowTable(np.array([-1], np.int32), np.array([0], np.int32))
    neck = head.neutral(np.zeros(0, np.float32)).joints[1]
    person = Identity(name=name, seed=None, latent=np.zeros(0, np.float32), gaussians=cloud, row=np.full(n, STATIC_ROW, np.int32),
                      offset=np.zeros((n, 3), np.float32), tangents=np.zeros((n, 2, 3), np.float32),
                      axis=np.zeros((n, 2), np.float32), opacity_gain=np.zeros(n, np.float32),
                      neck_weight=np.ones(n, np.float32), neck_joint=_float(neck), tags=tags)
    return AvatarPack(manifest, basis, regressor, rows, identities=(person,))


def guess_axes(cloud: Gaussians) -> Literal["3dgs", "head"]:
    """Which end of the y axis is up: 3DGS's y points down, unless the end of smaller y is the clearly wider one."""
    xyz = cloud.xyz[cloud.opacity > 0.1]
    if len(xyz) < 100:
        return "3dgs"
    low, high = np.quantile(xyz[:, 1], [0.12, 0.88])
    at_low, at_high = (np.subtract(*np.quantile(xyz[rows, 0], [0.95, 0.05])) for rows in (xyz[:, 1] < low, xyz[:, 1] > high))
    return "head" if at_low > _SHOULDERS * at_high else "3dgs"


def fitting(cloud: Gaussians) -> Placement:
    """What brings the bulk of a cloud into the portrait: all but the outermost hundredth on each side."""
    low, high = _bounds(cloud)
    seen = 2 * PORTRAIT_DISTANCE * np.tan(np.radians(PORTRAIT_FOV_DEGREES) / 2)
    factor = _FILLED * seen / max(float((high - low)[:2].max()), 1e-9)
    return Placement(factor, _float((low + high) / 2), _float(PORTRAIT_TARGET))


def _is_in_place(cloud: Gaussians) -> bool:
    low, high = _bounds(cloud)
    size = float((high - low).max())
    return _HEAD_SIZES[0] <= size <= _HEAD_SIZES[1] and bool(np.abs((low + high) / 2 - PORTRAIT_TARGET).max() < _NEAR)


def _bounds(cloud: Gaussians) -> tuple[FloatArray, FloatArray]:
    solid = cloud.xyz[cloud.opacity > 0.1]
    points = solid if len(solid) else cloud.xyz
    low, high = np.quantile(points, [0.01, 0.99], axis=0)
    return low, high


def _colors(found: CloudFile, axes: str, sh: str) -> FloatArray:
    """Display colours [N, 3] in 0..1, by choice as from far in front."""
    rgb = found.cloud.rgb
    if sh == "front" and found.rest.shape[2]:
        ahead = np.array([0, 0, -1.0]) if axes == "head" else np.array([0, 0, 1.0])
        rgb = rgb + found.rest @ harmonics(ahead)[: found.rest.shape[2]].astype(np.float32)
    return _float(np.clip(rgb, 0, 1))


def harmonics(direction: FloatArray) -> FloatArray:
    """The 15 real spherical harmonics of degrees 1 to 3 in 3DGS's order and signs, for a unit direction of sight [3].

    Ramamoorthi and Hanrahan, "An efficient representation for irradiance environment maps" (SIGGRAPH 2001) name the first two
    degrees; the third follows from the same definition.
    """
    x, y, z = (float(c) for c in direction)
    first = np.sqrt(3 / (4 * np.pi)) * np.array([-y, z, -x])
    second = np.sqrt(15 / (4 * np.pi)) * np.array(
        [x * y, -y * z, (3 * z * z - 1) / (2 * np.sqrt(3)), -x * z, (x * x - y * y) / 2])
    third = np.sqrt(7 / (4 * np.pi)) * np.array([
        -np.sqrt(5 / 8) * y * (3 * x * x - y * y), np.sqrt(15) * x * y * z, -np.sqrt(3 / 8) * y * (5 * z * z - 1),
        z * (5 * z * z - 3) / 2, -np.sqrt(3 / 8) * x * (5 * z * z - 1), np.sqrt(15) / 2 * z * (x * x - y * y),
        -np.sqrt(5 / 8) * x * (x * x - 3 * y * y)])
    return np.concatenate([first, second, third])


def _float(values: np.ndarray) -> FloatArray:
    return np.ascontiguousarray(values, np.float32)
