"""What is known about a picture as one row of numbers, in named groups: the targets of the feature network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.geometry import axis_angle_from_rotation, rotation_from_axis_angle
from core.types import FloatArray, PsiLayout
from trainer.data.dataset import People, Samples

GROUPS = ("view", "head", "jaw", "expression", "eyes", "shape", "latent")
SHAPE_COUNT = 20  # leading shape coefficients; the others change less than a network can see in a small picture
_FACING_LENS = np.diag([1.0, -1.0, -1.0])  # head axes to camera axes of somebody who looks straight into the lens
_CONSTANT = 1e-4  # a factor that varies less is none


@dataclass(frozen=True)
class Factors:
    """n pictures; the groups are those of `GROUPS`.

    Attributes:
        view: [n, 2] yaw and pitch of the camera around the head, radians.
        head: [n, 3] axis-angle of the head against the camera, neck included, radians.
        jaw: [n, J] axis-angle, radians.
        expression: [n, E] coefficients.
        eyes: [n, 6] axis-angle of both eyes, radians.
        shape: [n, up to SHAPE_COUNT] coefficients.
        latent: [n, Z] known factors of appearance, Z may be 0.
    """

    view: FloatArray
    head: FloatArray
    jaw: FloatArray
    expression: FloatArray
    eyes: FloatArray
    shape: FloatArray
    latent: FloatArray

    @property
    def table(self) -> FloatArray:
        """All groups side by side [n, F] float32."""
        return np.concatenate([getattr(self, name) for name in GROUPS], 1).astype(np.float32)

    @property
    def widths(self) -> tuple[int, ...]:
        """Columns of each group."""
        return tuple(getattr(self, name).shape[1] for name in GROUPS)

    def taken(self, rows: np.ndarray) -> Factors:
        """Some of the pictures."""
        return Factors(*(getattr(self, name)[rows] for name in GROUPS))

    @staticmethod
    def of_table(table: FloatArray, widths: tuple[int, ...]) -> Factors:
        """Takes a `table` apart again."""
        return Factors(*np.split(table, np.cumsum(widths)[:-1], axis=1))


def factors_of(samples: Samples, people: People, psi: PsiLayout) -> Factors:
    """What a dataset knows about its pictures."""
    return factors_from(people.latent[samples.person], samples.shape, samples.psi, samples.neck, samples.world_to_camera, psi)


def factors_from(latent: FloatArray, shape: FloatArray, psi: FloatArray, neck: FloatArray, world_to_camera: FloatArray,
                 layout: PsiLayout) -> Factors:
    """Factors of n pictures from the inputs of whatever draws them."""
    e, j = layout.expression, layout.jaw
    rotation = world_to_camera[:, :3, :3].astype(np.float64)
    towards_camera = -rotation[:, 2]  # from the head to the camera; the third row of a rotation is the viewing direction
    view = np.stack([np.arctan2(towards_camera[:, 0], towards_camera[:, 2]), np.arcsin(np.clip(towards_camera[:, 1], -1, 1))], 1)
    head = axis_angle_from_rotation(_FACING_LENS @ rotation @ rotation_from_axis_angle(neck.astype(np.float64)))
    return Factors(view, head, psi[:, e:e + j], psi[:, :e], psi[:, e + j:e + j + layout.eyes], shape[:, :SHAPE_COUNT], latent)


@dataclass(frozen=True)
class Scaling:
    """Mean [F] and deviation [F] of every factor; a factor that does not vary has deviation 0."""

    mean: FloatArray
    deviation: FloatArray

    @staticmethod
    def of(table: FloatArray) -> Scaling:
        deviation = table.std(0)
        return Scaling(table.mean(0), np.where(deviation > _CONSTANT, deviation, 0).astype(np.float32))

    def normalized(self, table: FloatArray) -> FloatArray:
        """Zero mean, unit variance; 0 where nothing varies."""
        return ((table - self.mean) / np.where(self.deviation > 0, self.deviation, np.inf)).astype(np.float32)

    def restored(self, normalized: FloatArray) -> FloatArray:
        """Inverse of `normalized`."""
        return (normalized * self.deviation + self.mean).astype(np.float32)
