"""The landmarker's points on the surface of a head model."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.assets import cache_folder, write_atomically
from core.errors import AssetError, HeadModelError
from core.head.library import OPEN_HEAD_PATH, load_open_head
from core.head.model import HeadModel
from core.head.npz_file import read_npz_arrays
from core.types import FloatArray

SKIN_LANDMARKS = 468
FORMAT_VERSION = 1
OPEN_HEAD_LANDMARKS_PATH = OPEN_HEAD_PATH.with_name("open_head_landmarks.npz")


@dataclass(frozen=True)
class LandmarkEmbedding:
    """Where MediaPipe's skin landmarks 0..467 lie on a head mesh. (The ten iris points follow the eyes, not the skin.)

    Attributes:
        triangles: [468, 3] int32 vertex ids.
        barycentric: [468, 3] float32 weights, rows sum to 1.
        spread: [468] float32 metres, how much the views disagreed about the point.
    """

    triangles: NDArray[np.int32]
    barycentric: FloatArray
    spread: FloatArray

    def points(self, vertices: FloatArray) -> FloatArray:
        """The landmarks [468, 3] on a head with vertices [V, 3]."""
        return np.einsum("nk,nkd->nd", self.barycentric, vertices[self.triangles])

    def save(self, path: Path) -> None:
        """Write the embedding as an npz file, whole or not at all."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, version=FORMAT_VERSION, triangles=self.triangles, barycentric=self.barycentric,
                            spread=self.spread)
        write_atomically(path, buffer.getvalue())


def read_embedding(path: Path) -> LandmarkEmbedding:
    """Read what `LandmarkEmbedding.save` wrote.

    Raises:
        HeadModelError: missing, damaged or of another version.
    """
    arrays = read_npz_arrays(path)
    missing = [key for key in ("version", "triangles", "barycentric", "spread") if key not in arrays]
    if missing:
        raise HeadModelError(f"{path}: not a landmark embedding, it has no '{missing[0]}'")
    if int(arrays["version"]) != FORMAT_VERSION:
        raise HeadModelError(f"{path}: landmark embedding of an unknown version")
    embedding = LandmarkEmbedding(arrays["triangles"], arrays["barycentric"], arrays["spread"])
    if embedding.triangles.shape != (SKIN_LANDMARKS, 3) or embedding.barycentric.shape != (SKIN_LANDMARKS, 3):
        raise HeadModelError(f"{path}: not an embedding of {SKIN_LANDMARKS} landmarks")
    return embedding


def load_landmark_embedding(head: HeadModel) -> LandmarkEmbedding:
    """The embedding of `head`: the open head's comes with the program, another's lies in the user's cache once it was computed.

    Raises:
        HeadModelError: there is none yet; `core.tracking.correspondence.landmark_embedding` computes it.
        AssetError: the resource is damaged.
    """
    if head.sha256 == load_open_head().sha256:
        try:
            return read_embedding(OPEN_HEAD_LANDMARKS_PATH)
        except HeadModelError as error:
            raise AssetError(error.message, "reinstall the program") from error
    path = cached_embedding_path(head)
    if not path.is_file():
        raise HeadModelError(f"the landmarks of head model {head.name} are not known yet")
    return read_embedding(path)


def cached_embedding_path(head: HeadModel) -> Path:
    """Where the embedding of a user's head model is kept."""
    return cache_folder() / "heads" / f"{head.sha256[:32]}-landmarks.npz"
