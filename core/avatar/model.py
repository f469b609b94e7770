"""Driving an avatar: head parameters -> coefficients -> Gaussians (AGORA-M at run time)."""

from __future__ import annotations

import numpy as np

from core.avatar.basis import ATTRIBUTES
from core.avatar.identity import Identity
from core.avatar.kernels import add_to_rows, fade_averted, move_with_rows, turn_at_neck
from core.avatar.motion import HeadMotion, MotionSettings, head_motion, rest_motion
from core.avatar.pack import AvatarPack
from core.errors import InputError
from core.types import Camera, FloatArray, Gaussians, HeadParams, PsiLayout

# Contributions of one plane to one block below these sizes are not blended: 0.02 mm, 0.2°, 0.2 % and 0.3 %. On the studio
# heads that costs 4 µm of accuracy and 0.5 dB at 53 dB, and saves a fifth of the blend. In additive packs rotations and scales
# are differences of quaternions and metres: a turn by 0.2° is twice as large there, times the length of the resting ones.
_NEGLIGIBLE = (2e-5, 1e-3, 2e-3, 3e-3)


def _negligible(pack: AvatarPack, identity: Identity) -> tuple[float, float, float, float]:
    shift, turn, growth, fade = _NEGLIGIBLE
    base = identity.gaussians
    if pack.manifest.rotation == "additive":
        turn *= 2 * float(np.linalg.norm(base.quat, axis=1).mean())
    if pack.manifest.scale == "additive":
        growth *= float(base.scale.mean())
    return shift, turn, growth, fade


class AvatarModel:
    """What all people of a pack share: the coefficient regressor."""

    def __init__(self, pack: AvatarPack) -> None:
        self.pack = pack

    def coefficients(self, latent: FloatArray, psi: FloatArray) -> FloatArray:
        """Blend coefficients [..., K_xyz + K_rotation + K_scale + K_opacity] float32.

        Args:
            latent: [W] identity latent w.
            psi: [..., P] driving vector(s).
        """
        return self.pack.regressor.for_identity(latent)(check_psi(self.pack, psi))


def check_psi(pack: AvatarPack, psi: FloatArray) -> FloatArray:
    """ψ as float32, of the pack's own layout; a tracked ψ goes through the pack's driving map where it has one.

    Raises:
        InputError: the pack is driven by more or fewer numbers.
    """
    psi = np.asarray(psi, np.float32)
    manifest = pack.manifest
    if pack.driving is not None and psi.shape[-1] == manifest.driven_by.size:
        return pack.driving(psi)
    if psi.shape[-1] != manifest.psi.size:
        raise _wrong_size(pack, psi)
    return psi


def _wrong_size(pack: AvatarPack, psi: FloatArray) -> InputError:
    return InputError(f"pack '{pack.manifest.name}' is driven by {pack.manifest.driven_by.size} numbers, {psi.shape[-1]} given",
                      "the motion was made for another head model")


class Avatar:
    """One person, ready to be driven. Not to be shared between threads: it owns scratch memory.

    Args:
        pack: the pack the identity belongs to.
        identity: the person.
        settings: how strongly head movement is followed.
        exact: blend in float32, and even what nobody can see (for measurements).
    """

    def __init__(self, pack: AvatarPack, identity: Identity, settings: MotionSettings | None = None, *,
                 exact: bool = False) -> None:
        self.model = AvatarModel(pack)
        self.identity = identity
        self.settings = settings or MotionSettings()
        self._exact = exact
        self._negligible = (0.0,) * 4 if exact else _negligible(pack, identity)
        self._regress = pack.regressor.for_identity(identity.latent)
        additive = pack.manifest.rotation == "additive"
        self._residuals = tuple(basis.zeros(always=additive or name in ("xyz", "rotation"))
                                for name, basis in zip(ATTRIBUTES, pack.basis, strict=True))
        self._splits = np.cumsum(pack.manifest.components)[:-1]

    @property
    def pack(self) -> AvatarPack:
        return self.model.pack

    @property
    def psi_layout(self) -> PsiLayout:
        """Of the driving vector that this person is given."""
        return self.pack.manifest.driven_by

    def drive(self, params: HeadParams, rest_translation: FloatArray | None = None, out: Gaussians | None = None) -> Gaussians:
        """The person with the expression and head pose of `params`.

        Args:
            params: tracked head; its shape is ignored. Scores, where it has any, correct ψ by the pack's driving response.
            rest_translation: see `core.avatar.motion.head_motion`.
            out: Gaussians of an earlier call whose arrays may be overwritten; fresh ones are made without it.
        """
        motion = head_motion(params, self.identity.neck_joint, rest_translation, self.settings)
        return self.pose(self.coefficients(self.respond(params)), motion, out)

    def respond(self, params: HeadParams) -> FloatArray:
        """ψ of `params` in the tracked head's layout, corrected by the pack's driving response."""
        psi, response = params.psi(), self.pack.response
        if len(psi) != self.psi_layout.size:
            raise _wrong_size(self.pack, psi)
        if response is None:
            return psi
        return response.correct(psi, params.scores, params.head_rotation, self.identity.rest_scores)

    def coefficients(self, psi: FloatArray) -> FloatArray:
        """Blend coefficients [..., D] of driving vector(s) [..., P]."""
        return self._regress(check_psi(self.pack, psi))

    def pose(self, coefficients: FloatArray, motion: HeadMotion | None = None, out: Gaussians | None = None) -> Gaussians:
        """Gaussians for blend coefficients [D] and a head motion."""
        self.blend(coefficients)
        out = out or self.empty()
        self.apply_rows(out)
        self.apply_motion(motion or rest_motion(), out)
        return out

    def seen_from(self, camera: Camera, cloud: Gaussians) -> Gaussians:
        """The moved Gaussians as a camera is to draw them: in packs with soft facing, those that look away fade, in place.

        The last step before rendering. A cloud may go through it once; `drive` and `pose` make its opacities anew.
        """
        if self.pack.manifest.facing == "soft":
            person = self.identity
            fade_averted(cloud.xyz, cloud.quat, person.normal, person.closed, camera.position.astype(np.float32), cloud.opacity)
        return cloud

    def empty(self) -> Gaussians:
        """Gaussians to be written over by `drive` or `pose`; they share the colours of the identity."""
        g = self.identity.gaussians
        return Gaussians(np.empty_like(g.xyz), np.empty_like(g.scale), np.empty_like(g.quat), g.rgb, np.empty_like(g.opacity))

    # ------------------------------------------------------------------ stages, separate so that they can be timed

    def blend(self, coefficients: FloatArray) -> None:
        """Fills the row residuals from blend coefficients [D]."""
        parts = np.split(np.ascontiguousarray(coefficients, np.float32), self._splits)
        for basis, part, residual, small in zip(self.pack.basis, parts, self._residuals, self._negligible, strict=True):
            basis.blend(part, residual, small, self._exact)

    def apply_rows(self, out: Gaussians) -> None:
        """Moves the Gaussians with their rows."""
        person, base = self.identity, self.identity.gaussians
        residuals, target = self._residuals, (out.xyz, out.quat, out.scale, out.opacity)
        resting = (base.xyz, base.quat, base.scale, base.opacity, person.row)
        if self.pack.manifest.rotation == "additive":
            add_to_rows(*resting, *residuals, *target)
        else:
            move_with_rows(*resting, person.offset, person.tangents, person.axis, person.opacity_gain, *residuals, *target)

    def apply_motion(self, motion: HeadMotion, out: Gaussians) -> None:
        """Turns the head at the neck."""
        turn_at_neck(self.identity.neck_weight, motion.rotation, motion.axis, motion.angle, self.identity.neck_joint,
                     motion.head_shift, motion.body_shift, out.xyz, out.quat)

