"""A generator against its distilled pack, side by side: pictures, a map of their difference, and numbers (AGORA-M's A/B)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from core.avatar.generator_binding import BoundPerson, Sitter
from core.avatar.generator_source import GeneratorSource
from core.avatar.kernels import fade_averted
from core.avatar.model import Avatar
from core.avatar.person import parse_person
from core.geometry import portrait_camera, rotation_from_quat
from core.render.renderer import open_renderer
from core.types import Camera, FloatArray, Gaussians

_BACKGROUND = (0.5, 0.5, 0.5)
_MILLIMETRE = 1000.0
ERROR_GAIN = 8.0  # of the error map
_GAP = 4  # pixels between the pictures of a sheet


@dataclass(frozen=True, eq=False)
class FaceComparison:
    """One face of one person.

    Attributes:
        person: as the source calls them.
        face: number of the driving vector.
        mean_mm, p99_mm, max_mm: position error of the Gaussians.
        psnr_db: of the picture before grey.
        full, distilled: uint8 [S, S, 3] pictures.
        error: [S, S] float32, mean absolute difference of the colours, 0..1.
    """

    person: str
    face: int
    mean_mm: float
    p99_mm: float
    max_mm: float
    psnr_db: float
    full: NDArray[np.uint8]
    distilled: NDArray[np.uint8]
    error: FloatArray


@dataclass(frozen=True, eq=False)
class PackComparison:
    """All faces that were compared."""

    faces: tuple[FaceComparison, ...]

    @property
    def mean_mm(self) -> float:
        return float(np.mean([face.mean_mm for face in self.faces]))

    @property
    def p99_mm(self) -> float:
        return float(np.max([face.p99_mm for face in self.faces]))

    @property
    def psnr_db(self) -> float:
        return float(np.mean([face.psnr_db for face in self.faces]))

    @property
    def worst_psnr_db(self) -> float:
        return float(np.min([face.psnr_db for face in self.faces]))

    def as_json(self) -> dict:
        """Numbers without pictures."""
        each = [{"person": f.person, "face": f.face, "mean_mm": f.mean_mm, "p99_mm": f.p99_mm, "max_mm": f.max_mm,
                 "psnr_db": f.psnr_db} for f in self.faces]
        return {"mean_mm": self.mean_mm, "p99_mm": self.p99_mm, "psnr_db": self.psnr_db, "worst_psnr_db": self.worst_psnr_db,
                "faces": each}


def compare(source: GeneratorSource, people: Sequence[str | int], psi: FloatArray, size: int = 256, camera: Camera | None = None,
            progress: Callable[[float], None] = lambda share: None) -> PackComparison:
    """Drives people of a generator pack both ways.

    Args:
        source: of the pack; its generator is the full model.
        people: seeds or mixes.
        psi: [n, P] driving vectors, the same for all.
        size: pixels along a side.
        camera: from the front when left out.
    """
    camera = camera or portrait_camera(size, size)
    renderer, faces = open_renderer("cpu"), []
    try:
        for i, name in enumerate(people):
            person = parse_person(name)
            sitter, bound = source.sitter(person)[0], source.bind(person)
            for j, (full, distilled) in enumerate(_both(source, sitter, bound, psi, camera)):
                distance = np.linalg.norm(full.xyz - distilled.xyz, axis=1) * _MILLIMETRE
                pictures = [renderer.render(cloud, camera, _BACKGROUND)[..., :3].copy() for cloud in (full, distilled)]
                difference = pictures[0].astype(np.float32) - pictures[1]
                psnr = 10 * np.log10(255.0**2 / max(float(np.square(difference).mean()), 1e-4))
                faces.append(FaceComparison(person.text, j, float(distance.mean()), float(np.percentile(distance, 99)),
                                            float(distance.max()), float(psnr), *pictures, np.abs(difference).mean(2) / 255))
            progress((i + 1) / len(people))
    finally:
        renderer.close()
    return PackComparison(tuple(faces))


def _both(source: GeneratorSource, sitter: Sitter, bound: BoundPerson, psi: FloatArray,
          camera: Camera) -> Iterator[tuple[Gaussians, Gaussians]]:
    """The same Gaussians from the generator and from the pack, as the camera sees them."""
    avatar = Avatar(source.pack, bound.identity)
    centre = camera.position.astype(np.float32)
    for drive in psi:
        distilled = avatar.seen_from(camera, avatar.pose(avatar.coefficients(drive)))
        posed = sitter.posed(drive[None])
        full = Gaussians(*(np.ascontiguousarray(field[0][bound.seat])
                           for field in (posed.xyz, posed.scale, posed.quat, posed.rgb, posed.opacity)))
        if source.pack.manifest.facing == "soft":
            local = np.einsum("nij,ni->nj", rotation_from_quat(full.quat), posed.normal[0][bound.seat]).astype(np.float32)
            fade_averted(full.xyz, full.quat, local, bound.identity.closed, centre, full.opacity)
        yield full, replace(distilled, opacity=distilled.opacity.copy())


def sheet(comparison: PackComparison, columns: int = 6) -> NDArray[np.uint8]:
    """A picture of the comparison: for each face the full model, the pack below it, and their difference times `ERROR_GAIN`."""
    faces = comparison.faces
    size = faces[0].full.shape[0]
    columns = min(columns, len(faces))
    bands = -(-len(faces) // columns)
    page = np.full((bands * (3 * size + 2 * _GAP), columns * (size + _GAP), 3), 255, np.uint8)
    for i, face in enumerate(faces):
        top, left = i // columns * (3 * size + 2 * _GAP), i % columns * (size + _GAP)
        heat = _heat(np.clip(ERROR_GAIN * face.error, 0, 1))
        for k, picture in enumerate((face.full, face.distilled, heat)):
            page[top + k * size:top + (k + 1) * size, left:left + size] = picture
    return page


def _heat(values: FloatArray) -> NDArray[np.uint8]:
    """Black, red, yellow, white for 0..1."""
    return np.round(255 * np.clip(3 * values[..., None] - np.arange(3), 0, 1)).astype(np.uint8)
