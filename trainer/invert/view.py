"""One photograph of the person who becomes an avatar: cut out, and with its head fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.errors import InputError
from core.head.model import HeadModel
from core.types import Camera, FloatArray
from trainer.data.portrait_filter import QualityLimits
from trainer.data.portrait_fit import PortraitFit
from trainer.data.portrait_photo import PortraitMaker, Refused

WORKING_SIZE = 512
LEAST_SIDE = 96  # pixels of a photograph that the portrait's square must have
_HINT = "choose a photograph with one face, seen from the front or half from the side, nothing in front of it"


@dataclass(frozen=True)
class PhotoView:
    """A photograph as the canonical portrait camera sees it, S pixels square.

    Attributes:
        name: of the file, for messages.
        picture: [S, S, 3] uint8 RGB, background and all.
        alpha: [S, S] float32 0..1, the person.
        colors: [S, S, 3] uint8 RGB freed of the background that shines through the border.
        landmarks: [478, 2] float32 pixels of `picture`, MediaPipe's numbering.
        fit: head model in the picture; `fit.camera(size)` renders head space as the photograph shows it,
            `fit.params` has shape, expression, jaw and eyes.
    """

    name: str
    picture: NDArray[np.uint8]
    alpha: FloatArray
    colors: NDArray[np.uint8]
    landmarks: FloatArray
    fit: PortraitFit

    @property
    def size(self) -> int:
        return len(self.picture)

    @property
    def camera(self) -> Camera:
        """World is head space: the head does not turn, the camera stands where the photographer stood."""
        return self.fit.camera(self.size)


class PhotoReader:
    """Reads photographs of faces. Holds native resources: use from one thread and close there.

    Raises:
        AssetError: a network's file is missing and cannot be fetched.
    """

    def __init__(self, head: HeadModel, size: int = WORKING_SIZE) -> None:
        self._size = size
        limits = QualityLimits(resolution=LEAST_SIDE / size, outside=0.35, residual=0.06, doubt=np.inf)
        self._maker = PortraitMaker(head, size, limits)

    def __call__(self, path: Path) -> PhotoView:
        """The largest face of the photograph at `path`.

        Raises:
            InputError: the file cannot be read, or its picture cannot be used; the message names file and reason.
        """
        sitting = self._maker.sitting(path)
        cut = sitting if isinstance(sitting, Refused) else self._maker.cut_out(sitting, self._size)
        if isinstance(cut, Refused):
            raise InputError(f"{path}: {cut.text}", _HINT)
        return PhotoView(path.name, cut.picture, cut.alpha, cut.colors,
                         sitting.fit.to_crop(sitting.landmarks.points[:, :2], self._size), sitting.fit)

    def close(self) -> None:
        """Frees the networks."""
        self._maker.close()
