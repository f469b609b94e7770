"""How exactly the backends draw: pictures of a person against the float64 reference, and against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.avatar.backend import CpuBackend
from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack
from core.avatar.self_test import probe_motion, probe_psi
from core.geometry import orbit_camera
from core.render.benchmark import psnr
from core.render.reference import render_reference
from core.types import Camera, Gaussians


@dataclass(frozen=True)
class BackendParity:
    """The worst of several pictures of a person, in dB; colours (premultiplied) and coverage count alike.

    Attributes:
        person: whose pictures.
        cpu: the CPU backend against the float64 reference of the same Gaussians.
        opengl: the same for OpenGL;  opengl_bytes: for OpenGL without half floats.
        blend: OpenGL that blends on the device against OpenGL that draws what the processor has blended.
        whole: OpenGL that blends on the device against the reference of the Gaussians blended in full.
    """

    person: str
    cpu: float
    opengl: float
    opengl_bytes: float
    blend: float
    whole: float


def measure_backend_parity(pack: AvatarPack, identity: Identity, size: int = 256, faces: int = 3,
                           yaws: Sequence[float] = (0.0, 0.6)) -> BackendParity:
    """How close the backends come to the reference, which takes seconds a picture: two are drawn for every face and view.

    Raises:
        DeviceError: there is no OpenGL here.
    """
    from core.avatar.gl_backend import GlBackend

    backends = [CpuBackend()]
    try:
        backends += [GlBackend(gpu_blend=False), GlBackend(gpu_blend=False, half_floats=False), GlBackend()]
        performers = [backend.performer(pack, identity) for backend in backends]
        quick, exact = Avatar(pack, identity), Avatar(pack, identity, exact=True)
        motion, results = probe_motion(identity), []
        for face in range(faces):
            psi = probe_psi(pack.manifest.driven_by, face)
            for yaw in yaws:
                camera = orbit_camera(yaw, 0.1, size, size)
                cpu, opengl, opengl_bytes, on_device = (performer.draw(psi, motion, camera) / 255 for performer in performers)
                same, full = (_reference(avatar.seen_from(camera, avatar.pose(avatar.coefficients(psi), motion)), camera)
                              for avatar in (quick, exact))
                results.append([psnr(cpu, same), psnr(opengl, same), psnr(opengl_bytes, same), psnr(on_device, opengl),
                                psnr(on_device, full)])
    finally:
        for backend in backends:
            backend.close()
    return BackendParity(identity.name, *(float(worst) for worst in np.min(results, axis=0)))


def _reference(cloud: Gaussians, camera: Camera) -> NDArray[np.float64]:
    color, coverage = render_reference(cloud, camera)
    return np.clip(np.concatenate([color, coverage[..., None]], -1), 0, 1)
