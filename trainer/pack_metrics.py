"""How close a studio pack comes to the exact rig: on people and faces that the extraction has not seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack
from core.avatar.studio_binding import bind_studio_identity, check_head
from core.geometry import portrait_camera, quat_multiply
from core.head.model import HeadModel
from core.studio import StudioIdentity, TexelAtlas, build_identity, pose_identity
from core.types import FloatArray, Gaussians
from trainer.psi_sampling import PsiSampler

UNSEEN_SEEDS = tuple(range(5000, 5008))
UNSEEN_FACES = 200
_FACE_SEED = 20_000_001  # of the generator that draws the faces; the extraction uses other generators
_MILLIMETRE = 1000.0


@dataclass(frozen=True)
class PackMetrics:
    """Pack against exact rig.

    Attributes:
        people, faces: how many were compared, faces for each person.
        mean_mm, p99_mm, max_mm: error of the position of all Gaussians.
        moving_mean_mm: mean error of the Gaussians that the rig moves by more than 0.1 mm.
        scale_percent: mean relative error of the scales of stretching Gaussians.
        angle_degrees: mean error of orientations of moving Gaussians.
        opacity: mean absolute error of opacities.
        psnr_db: mean PSNR of rendered pictures, 512², frontal; NaN when nothing was rendered.
        worst_psnr_db: of the worst picture.
    """

    people: int
    faces: int
    mean_mm: float
    p99_mm: float
    max_mm: float
    moving_mean_mm: float
    scale_percent: float
    angle_degrees: float
    opacity: float
    psnr_db: float
    worst_psnr_db: float

    def as_json(self) -> dict[str, float]:
        return asdict(self)


def evaluate_studio_pack(pack: AvatarPack, head: HeadModel, seeds: Sequence[int] = UNSEEN_SEEDS, faces: int = UNSEEN_FACES,
                         pictures: int = 4, progress: Callable[[float], None] = lambda share: None) -> PackMetrics:
    """Compares a pack with the exact rig.

    Args:
        seeds: people; the extraction uses seeds from 2³¹ upwards.
        faces: random faces per person, the same for all.
        pictures: faces per person that are also rendered.
    """
    atlas = TexelAtlas(head)
    check_head(pack, head, atlas)
    drives = PsiSampler(head).sample(np.random.default_rng(_FACE_SEED), faces)
    errors, details, psnr = [], [], []
    for i, seed in enumerate(seeds):
        person = build_identity(seed, head)
        avatar = Avatar(pack, bind_studio_identity(pack, head, atlas, person))
        for j, (driven, exact) in enumerate(_pairs(avatar, person, head, drives)):
            errors.append(np.linalg.norm(driven.xyz - exact.xyz, axis=1) * _MILLIMETRE)
            details.append(_details(driven, exact, person, avatar.identity.gaussians, errors[-1]))
            if j < pictures:
                psnr.append(_picture_psnr(driven, exact))
        progress((i + 1) / len(seeds))
    every = np.concatenate(errors)
    moving, scale, angle, opacity = np.nanmean(np.array(details), 0)
    return PackMetrics(
        len(seeds), faces, float(every.mean()), float(np.percentile(every, 99)), float(every.max()), float(moving),
        float(scale) * 100, float(np.degrees(angle)), float(opacity),
        float(np.mean(psnr)) if psnr else float("nan"), float(np.min(psnr)) if psnr else float("nan"))


def _pairs(avatar: Avatar, person: StudioIdentity, head: HeadModel,
           drives: FloatArray) -> Iterator[tuple[Gaussians, Gaussians]]:
    """Gaussians of the pack and of the exact rig for each driving vector; the driving response is left out."""
    neutral = head.neutral(person.shape)
    regress = avatar.pack.regressor.for_identity(avatar.identity.latent)
    out = avatar.empty()
    for psi in drives:
        driven = avatar.pose(regress(psi), out=out)
        exact = pose_identity(person, head.driven(neutral, psi), psi[:head.expression_count])
        yield driven, exact


def _details(driven: Gaussians, exact: Gaussians, person: StudioIdentity, resting: Gaussians,
             error_mm: FloatArray) -> tuple[float, ...]:
    """Mean position error of what moves (mm), relative scale error of what stretches, angle of what moves, opacity error."""
    moving = np.linalg.norm(exact.xyz - person.gaussians.xyz, axis=1) * _MILLIMETRE > 0.1
    if not moving.any():
        return float("nan"), float("nan"), float("nan"), float(np.abs(driven.opacity - exact.opacity).mean())
    stretching = moving & ~person.rigid
    scale = np.abs(driven.scale[stretching] / exact.scale[stretching] - 1).mean()
    # turns away from rest are compared, because the two clouds may name the same axes differently
    first = _turn(driven.quat[moving], resting.quat[moving])
    second = _turn(exact.quat[moving], person.gaussians.quat[moving])
    cosine = np.abs((first * second).sum(1)).clip(0, 1)
    return (float(error_mm[moving].mean()), float(scale), float((2 * np.arccos(cosine)).mean()),
            float(np.abs(driven.opacity - exact.opacity).mean()))


def _turn(quat: FloatArray, rest: FloatArray) -> FloatArray:
    """The rotation that takes resting orientations to those given, quaternions [N, 4]."""
    return quat_multiply(quat, rest * np.array([1, -1, -1, -1], np.float32))


def _picture_psnr(driven: Gaussians, exact: Gaussians, size: int = 512) -> float:
    """PSNR of the two clouds rendered from the front."""
    from core.render.renderer import open_renderer

    renderer = open_renderer("cpu")
    camera = portrait_camera(size, size)
    first, second = (renderer.render(cloud, camera, (0.5, 0.5, 0.5))[:, :, :3].astype(np.float64) for cloud in (driven, exact))
    return float(10 * np.log10(255.0**2 / max(np.square(first - second).mean(), 1e-6)))
