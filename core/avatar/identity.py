"""A person: resting Gaussians, latent, and how each Gaussian hangs on the shared basis."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.avatar.kernels import STATIC_ROW
from core.avatar.response import SCORE_COUNT
from core.errors import InputError, PackError
from core.types import FloatArray, Gaussians

MAX_SEED = 2**32 - 1
MAX_GAUSSIANS = 1 << 21
_GAUSSIAN_SHAPES = {"xyz": (3,), "scale": (3,), "quat": (4,), "rgb": (3,), "opacity": ()}


@dataclass(frozen=True, eq=False)
class Identity:
    """One person of a pack. N Gaussians; arrays are not to be written to.

    Attributes:
        name: shown to the user.
        seed: the seed it was built from, None for people who have none.
        latent: [W] float32, the w of the coefficient regressor.
        gaussians: the resting head.
        row: [N] int32 basis row that moves each Gaussian, `STATIC_ROW` for those that only the neck moves.
        offset: [N, 3] float32 metres from the row's own point (on this person) to the Gaussian.
        tangents: [N, 2, 3] float32, unit tangents u and v of its row (on this person), along which the row's strain is given;
            zeros where the Gaussian does not stretch.
        axis: [N, 2] float32, the Gaussian's first local axis along u and v (its third is the normal); zeros as above.
        opacity_gain: [N] float32, share of the row's opacity residual that applies.
        neck_weight: [N] float32, 1 moves with the head, 0 stays with the body.
        neck_joint: [3] float32 metres, where the head turns.
        tags: words that describe the person.
        rest_scores: [52] float32, what the face landmarker reads on the resting face, or empty when nobody has looked.
        normal: [N, 3] float32 outward normals in the Gaussians' own axes, in packs with soft facing; else empty.
        closed: [N] float32, share of the soft facing that applies; empty as above.
    """

    name: str
    seed: int | None
    latent: FloatArray
    gaussians: Gaussians
    row: NDArray[np.int32]
    offset: FloatArray
    tangents: FloatArray
    axis: FloatArray
    opacity_gain: FloatArray
    neck_weight: FloatArray
    neck_joint: FloatArray
    tags: tuple[str, ...] = ()
    rest_scores: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    normal: FloatArray = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    closed: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))

    def __len__(self) -> int:
        return len(self.gaussians)

    @staticmethod
    def self_anchored(name: str, seed: int | None, latent: FloatArray, gaussians: Gaussians, pivot: FloatArray,
                      rows: int | None = None) -> Identity:
        """A person whose Gaussian i is moved by row i and who turns as a whole (the official convention).

        Args:
            rows: of the pack, where it has fewer than there are Gaussians: those that come after them only turn.
        """
        n = len(gaussians)
        row = np.arange(n, dtype=np.int32)
        row[len(row) if rows is None else rows:] = STATIC_ROW
        return Identity(name, seed, np.asarray(latent, np.float32), gaussians, row,
                        np.zeros((n, 3), np.float32), np.zeros((n, 2, 3), np.float32), np.zeros((n, 2), np.float32),
                        np.ones(n, np.float32), np.ones(n, np.float32), np.asarray(pivot, np.float32))

    def tensors(self) -> dict[str, NDArray]:
        g = self.gaussians
        facing = {"normal": self.normal, "closed": self.closed} if len(self.closed) else {}
        return {"xyz": g.xyz, "scale": g.scale, "quat": g.quat, "rgb": g.rgb, "opacity": g.opacity, "latent": self.latent,
                "row": self.row, "offset": self.offset, "tangents": self.tangents, "axis": self.axis,
                "opacity_gain": self.opacity_gain, "neck_weight": self.neck_weight, "neck_joint": self.neck_joint,
                "rest_scores": self.rest_scores, **facing}


def check_identity(where: str, tensors: dict[str, NDArray], name: str, seed: int | None, tags: tuple[str, ...],
                   latent_size: int, rows: int, facing: str = "none") -> Identity:
    """Builds an identity from untrusted tensors.

    Args:
        facing: as the pack's manifest declares it.

    Raises:
        PackError: a tensor is missing, of the wrong type or shape, not finite or out of range.
    """
    if "xyz" not in tensors or tensors["xyz"].ndim != 2 or not 0 < len(tensors["xyz"]) <= MAX_GAUSSIANS:
        raise PackError(f"{where}/xyz: is missing or has no usable number of Gaussians")
    n = len(tensors["xyz"])
    shapes = {key: (n, *shape) for key, shape in _GAUSSIAN_SHAPES.items()}
    shapes |= {"latent": (latent_size,), "row": (n,), "offset": (n, 3), "tangents": (n, 2, 3), "axis": (n, 2),
               "opacity_gain": (n,), "neck_weight": (n,), "neck_joint": (3,)}
    shapes["rest_scores"] = (SCORE_COUNT,) if len(tensors.get("rest_scores", ())) else (0,)
    if facing == "soft":
        shapes |= {"normal": (n, 3), "closed": (n,)}
    if set(tensors) != set(shapes):
        odd = sorted(set(tensors) ^ set(shapes))[0]
        raise PackError(f"{where}/{odd}: is {'missing' if odd in shapes else 'unexpected'}")
    for key, shape in shapes.items():
        value, dtype = tensors[key], np.int32 if key == "row" else np.float32
        if value.dtype != dtype or value.shape != shape:
            raise PackError(f"{where}/{key}: has type {value.dtype} and shape {value.shape}, expected {np.dtype(dtype)} {shape}")
        if dtype == np.float32 and not np.isfinite(value).all():
            raise PackError(f"{where}/{key}: holds values that are not finite")
    row = tensors["row"]
    if row.min() < STATIC_ROW or row.max() >= rows:
        raise PackError(f"{where}/row: out of range")
    if facing == "soft" and not 0 <= tensors["closed"].min() <= tensors["closed"].max() <= 1:
        raise PackError(f"{where}/closed: out of range")
    gaussians = Gaussians(*(tensors[key] for key in _GAUSSIAN_SHAPES))
    rest = (tensors[key] for key in ("row", "offset", "tangents", "axis", "opacity_gain", "neck_weight", "neck_joint"))
    seen = (tensors["normal"], tensors["closed"]) if facing == "soft" else ()
    return Identity(name, seed, tensors["latent"], gaussians, *rest, tags, tensors["rest_scores"], *seen)


def parse_seed(text: str | int) -> int:
    """A seed as the user wrote it.

    Raises:
        InputError: not a whole number in 0..2³²−1.
    """
    word = str(text).strip()
    if not re.fullmatch(r"[0-9]{1,10}", word) or int(word) > MAX_SEED:
        raise InputError(f"seed '{text}' is not a whole number from 0 to {MAX_SEED}")
    return int(word)


def parse_seeds(text: str) -> list[int]:
    """Seeds as a list of numbers and ranges, such as ``1000-1047`` or ``3,7,20-24``.

    Raises:
        InputError: a part is not a seed, or a range runs backwards or over more than 100 000 seeds.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        low = parse_seed(first)
        high = parse_seed(last) if dash else low
        if not low <= high < low + 100_000:
            raise InputError(f"seed range '{part}' must run upwards over at most 100000 seeds")
        seeds.extend(range(low, high + 1))
    return seeds
