"""The last step of the studio route: colours of what the photographs show, corrected until the rendering looks like them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from core.studio.anatomy import Anatomy
from core.studio.identity import StudioIdentity
from core.types import FloatArray
from trainer.invert.geometry import view_weight
from trainer.invert.pack import GREY
from trainer.invert.person import InvertProgress, ProgressReport
from trainer.invert.sight import PhotoSight, eye_masks, mouth_mask
from trainer.invert.texture import SkinPaint
from trainer.invert.worn import footprints, kinds_of, posed_cloud
from trainer.losses import picture_loss
from trainer.metrics.similarity import ssim_map
from trainer.rasterize import CameraBatch, Rendering, rasterize

PLAINLY_SEEN = 0.5  # pixels of weight in a photograph at which a colour is half free


@dataclass(frozen=True)
class Refinement:
    """How much is done.

    Attributes:
        size: pixels of the pictures that are compared.
        steps: of Adam, each on one photograph.
        rate: of Adam, in display values.
        similarity: weight of 1 − SSIM beside the L1 of pictures and gradients.
        restraint: weight of the squared distance from the colours at the start.
    """

    size: int = 256
    steps: int = 36
    rate: float = 0.010
    similarity: float = 0.3
    restraint: float = 1.5


@dataclass(frozen=True)
class _Goal:
    """One photograph as tensors: picture before grey [1, 3, S, S] and what counts of it [1, 1, S, S]; the posed cloud."""

    picture: Tensor
    weight: Tensor
    cloud: tuple[Tensor, Tensor, Tensor, Tensor]
    camera: CameraBatch
    share: float


def refined(person: StudioIdentity, sights: Sequence[PhotoSight], anatomy: Anatomy, paint: SkinPaint, progress: ProgressReport,
            settings: Refinement | None = None) -> StudioIdentity:
    """The person with better colours. Eyes, mouth and what a blink unrolls stay as they are, and so does all that the photographs
    show at a grazing angle or hardly at all.

    Args:
        progress: is told how far it is, from 0.65 to 0.9; may raise.
    """
    settings = settings or Refinement()
    best = max(view_weight(sight.view) for sight in sights)
    goals = [replace(_goal(person, sight, settings.size), share=view_weight(sight.view) / best) for sight in sights]
    free = _tensor(_freedom(person, sights, anatomy, paint))[:, None]
    start = torch.from_numpy(np.ascontiguousarray(person.gaussians.rgb))
    change = torch.zeros_like(start, requires_grad=True)
    optimizer = torch.optim.Adam([change], settings.rate, betas=(0.85, 0.99))
    for step in range(settings.steps):
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * (1 - 0.8 * step / settings.steps)
        goal = goals[step % len(goals)]
        color = (start + free * change).clamp(0, 1)
        drawn = rasterize(*goal.cloud[:3], color[None], goal.cloud[3], goal.camera)
        loss = goal.share * _difference(drawn, goal, settings) + settings.restraint * change.square().sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 6 == 5:
            progress(InvertProgress("comparing with the photograph", 0.65 + 0.25 * (step + 1) / settings.steps,
                                    _preview(drawn) if step % 12 == 11 and goal is goals[0] else None))
    rgb = (start + free * change).clamp(0, 1).detach().numpy().astype(np.float32)
    return replace(person, gaussians=replace(person.gaussians, rgb=np.ascontiguousarray(rgb)))


def _freedom(person: StudioIdentity, sights: Sequence[PhotoSight], anatomy: Anatomy, paint: SkinPaint) -> FloatArray:
    """[N] 0..1, how far a colour may be changed."""
    kinds = kinds_of(person, anatomy)
    seen = np.zeros(len(person.gaussians))
    for sight in sights:
        print_ = footprints(posed_cloud(person, sight), sight.camera, np.zeros((sight.view.size,) * 2 + (1,), np.float32),
                            sight.inside)
        seen = np.maximum(seen, print_.weight / (print_.weight + PLAINLY_SEEN))
    skin = person.texel >= 0
    seen[skin] *= paint.belief[person.texel[skin]] ** 2
    return np.where(kinds.eye | kinds.inside | kinds.close, 0, seen).astype(np.float32)


def _difference(drawn: Rendering, goal: _Goal, settings: Refinement) -> Tensor:
    picture = drawn.over(torch.tensor(GREY))
    unlike = 1 - ssim_map(picture, goal.picture).mean(1, keepdim=True)
    rim = (settings.size - unlike.shape[-1]) // 2
    weight = functional.pad(goal.weight, (-rim,) * 4)
    return picture_loss(picture, goal.picture, goal.weight) + settings.similarity * (unlike * weight).mean()


def _goal(person: StudioIdentity, sight: PhotoSight, size: int) -> _Goal:
    view = sight.view
    alpha = view.alpha[..., None]
    picture = cv2.resize(view.colors / 255 * alpha + GREY * (1 - alpha), (size, size), interpolation=cv2.INTER_AREA)
    counted = view.alpha * ~cv2.dilate((np.logical_or(*eye_masks(view)) | mouth_mask(view)).astype(np.uint8),
                                       np.ones((5, 5), np.uint8)).astype(bool)
    weight = cv2.resize(counted.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    cloud = posed_cloud(person, sight)
    tensors = tuple(_tensor(a)[None] for a in (cloud.xyz, cloud.scale, cloud.quat, cloud.opacity))
    camera = view.fit.camera(size)
    return _Goal(_tensor(picture.transpose(2, 0, 1))[None], _tensor(weight)[None, None], tensors, CameraBatch.of([camera]),
                 1.0)


def _tensor(array: FloatArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def _preview(drawn: Rendering) -> np.ndarray:
    rgb = drawn.over(torch.tensor(GREY))[0].detach().clamp(0, 1)
    return np.ascontiguousarray((rgb.permute(1, 2, 0) * 255 + 0.5).to(torch.uint8).numpy())
