"""Pictures per second by the paper's protocol: one person's clip in batches, what depends on the person alone done before.

Counted per batch: skinning, deformation branch, assembly and rasterisation (AGORA, specification 10). Unlike the published
measurement, work on a graphics card is waited for before the clock is read.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack
from core.geometry import orbit_camera
from core.networks.head_generator import HeadGenerator
from core.render.cpu import CpuRenderer
from core.types import FloatArray
from trainer.adversary import conditioning_cameras
from trainer.rasterize import CameraBatch, rasterize

BATCH = 8


def pictures_per_second(draw: Callable[[slice], None], frames: int, batch: int = BATCH,
                        synchronize: Callable[[], None] = lambda: None) -> float:
    """Rate of drawing a clip.

    Args:
        draw: draws the frames of a slice; called once beforehand, uncounted, with the first.
        synchronize: returns when everything that was begun is done.
    """
    draw(slice(0, min(batch, frames)))
    synchronize()
    start = time.perf_counter()
    for first in range(0, frames, batch):
        draw(slice(first, min(first + batch, frames)))
    synchronize()
    return frames / (time.perf_counter() - start)


@torch.no_grad()
def generator_rate(generator: HeadGenerator, latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray,
                   size: int) -> float:
    """Pictures per second of a generator.

    Args:
        latent: [Z];  shape: [s], of the person.
        psi: [T, P];  neck: [T, 3], of the clip.
        size: of the pictures, seen from the front.
    """
    device = next(generator.parameters()).device
    camera = orbit_camera(0.0, 0.0, size, size)
    centre = torch.from_numpy(camera.position[None].astype(np.float32)).to(device)
    condition = None
    if generator.config.networks.camera_size:
        condition = conditioning_cameras(torch.from_numpy(camera.world_to_camera[None])).to(device)
    person = generator.people(torch.from_numpy(latent[None]).to(device), generator.shape_maps(shape[None]).to(device), condition)

    def draw(frames: slice) -> None:
        drive = psi[frames]
        count = len(drive)
        seats = generator.seats(np.repeat(shape[None], count, 0), drive, neck[frames]).to(device)
        people = person.repeated(count)
        residual = generator.residual_planes(people, torch.from_numpy(drive).to(device))
        cloud = generator.assemble(generator.raw(people.planes, residual), seats)
        color, opacity = cloud.seen_from(_repeated(centre, count))
        rasterize(cloud.xyz, cloud.scale, cloud.quat, color, opacity, CameraBatch.of([camera] * count).to(device))

    synchronize = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    return pictures_per_second(draw, len(psi), synchronize=synchronize)


def pack_rate(pack: AvatarPack, identity: Identity, psi: FloatArray, size: int, threads: int = 1) -> float:
    """Pictures per second from driving vectors [T, P] to pixels for a pack, on the processor, one picture at a time."""
    avatar = Avatar(pack, identity)
    out, renderer, camera = avatar.empty(), CpuRenderer(threads), orbit_camera(0.0, 0.0, size, size)

    def draw(frames: slice) -> None:
        for drive in psi[frames]:
            renderer.render(avatar.pose(avatar.coefficients(drive), out=out), camera)

    return pictures_per_second(draw, len(psi), batch=1)


def _repeated(one: Tensor, count: int) -> Tensor:
    return one.expand(count, *one.shape[1:])
