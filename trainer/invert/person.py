"""What becomes of a person's photographs: the avatar, how like them it is, and news while it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.avatar.identity import Identity
from core.avatar.pack import AvatarPack


@dataclass(frozen=True)
class InvertProgress:
    """News of an inversion under way.

    Attributes:
        stage: what is being done, in a word or two for people.
        done: 0..1 of the whole inversion.
        preview: [S, S, 3] uint8 RGB, how the person looks so far; None where there is nothing new to see.
    """

    stage: str
    done: float
    preview: NDArray[np.uint8] | None = None


ProgressReport = Callable[[InvertProgress], None]  # may raise, which ends the inversion; nothing half-written stays


@dataclass(frozen=True)
class PhotoScore:
    """How like its photograph an avatar is.

    Attributes:
        ssim: structural similarity in the fitted view at 256², mean over the foreground, -1..1.
        psnr: peak signal-to-noise ratio there, dB.
        landmark_error: mean distance between the landmarks read on the rendering and on the photograph, fraction of the
            distance of the eyes' outer corners; nan when no face is found in the rendering.
        held_out: likeness in views that the avatar was not made from, 0..1, higher is better; routes are compared by it.
    """

    ssim: float
    psnr: float
    landmark_error: float
    held_out: float


@dataclass(frozen=True, eq=False)
class InvertedPerson:
    """An avatar made of photographs.

    Attributes:
        pack: of kind "photo", ready to be written: basis, regressor and response of the pack it hangs on, this one person,
            a thumbnail.
        identity: the person; the only one of `pack`.
        route: "studio" or "generator".
        scores: how like the photographs it is.
    """

    pack: AvatarPack
    identity: Identity
    route: str
    scores: PhotoScore
