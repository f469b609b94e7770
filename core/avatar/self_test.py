"""Does a backend draw what the processor draws? Asked before its first picture is shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.avatar.backend import Backend, CpuBackend
from core.avatar.identity import Identity
from core.avatar.motion import HeadMotion, head_motion
from core.avatar.pack import AvatarPack
from core.geometry import orbit_camera
from core.render.benchmark import psnr
from core.types import FloatArray, HeadParams, PsiLayout

PASSING_DB = 35.0
_SIZE = 128
_TURN = (0.1, 0.35, 0.05)  # axis-angle of the tested head


def self_test(backend: Backend, pack: AvatarPack, identity: Identity, size: int = _SIZE) -> float:
    """PSNR in dB of a person's picture against the CPU backend's, all four channels, at an expression and a turned head.

    Raises:
        DeviceError: the backend cannot draw at all.
    """
    psi, camera = probe_psi(pack.manifest.driven_by), orbit_camera(0.2, 0.05, size, size)
    motion = probe_motion(identity)
    reference = CpuBackend()
    pictures = []
    for candidate in (reference, backend):
        performer = candidate.performer(pack, identity)
        pictures.append(performer.draw(psi, motion, camera) / 255)
        performer.close()
    reference.close()
    return psnr(*pictures)


def probe_psi(layout: PsiLayout, phase: int = 0) -> FloatArray:
    """A face [P] that moves all there is to move: some of every expression, the jaw half open, the eyes aside."""
    wave = 0.5 + 0.5 * np.sin(1.7 * np.arange(layout.expression) + phase)
    jaw = 0.15 * np.resize([1.0, 0.2, 0.0], layout.jaw)
    eyes = 0.2 * np.resize([0.5, 1.0, 0.0], layout.eyes)
    return np.concatenate([0.5 * wave, jaw, eyes, np.full(layout.eyelids, 0.2)]).astype(np.float32)


def probe_motion(identity: Identity) -> HeadMotion:
    """A turned head that has moved a little."""
    rest = HeadParams.neutral(0)
    params = replace(rest, head_rotation=np.array(_TURN, np.float32),
                     head_translation=rest.head_translation + np.array([0.02, 0.01, 0.0], np.float32))
    return head_motion(params, identity.neck_joint, rest.head_translation)
