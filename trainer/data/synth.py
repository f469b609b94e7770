"""Synthetic portraits: studio people under random expressions and cameras, with everything known about each picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open

from core.errors import InputError
from core.head.embedding import LandmarkEmbedding, load_landmark_embedding
from core.head.library import load_open_head
from core.head.mesh import project, vertex_normals
from core.head.model import HeadModel
from core.networks.head_surface import head_surface
from core.networks.reach import seat_reach
from core.render.cpu import CpuRenderer
from core.studio import StudioIdentity, build_identity, pose_identity
from core.studio.trait_vector import TRAIT_VECTOR_SIZE, trait_vector
from core.types import Camera, FloatArray
from trainer.data.dataset import (
    ANCHOR_RESOLUTION,
    INFO_NAME,
    Dataset,
    DatasetInfo,
    People,
    Samples,
    SplitInfo,
    read_info,
    shard_path,
    write_info,
    write_shard,
)
from trainer.data.population import Population, Shot
from trainer.data.uv_truth import uv_truth
from trainer.data.workers import finished

PEOPLE_PER_SHARD = 20
_ANOTHER = "choose an empty folder, or the size, seed and counts it was made with"
_SUPERSAMPLING = 2
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class SplitPlan:
    """How much of a split to make: people, and pictures of each."""

    name: str
    people: int
    shots: int

    @property
    def shards(self) -> int:
        return -(-self.people // PEOPLE_PER_SHARD)


@dataclass(frozen=True)
class SynthPlan:
    """A whole synthetic dataset.

    Attributes:
        size: side of the pictures, pixels.
        seed: of expressions and cameras.
        splits: what to make.
        glasses: whether people may wear glasses.
    """

    size: int
    seed: int
    splits: tuple[SplitPlan, ...]
    glasses: bool = False


def synthesize(folder: Path, plan: SynthPlan, workers: int = 1, progress: Progress = lambda done, total: None) -> DatasetInfo:
    """Makes the missing and the damaged shards of a dataset and then its description.

    Args:
        folder: of the dataset; shards that are whole are kept.
        workers: processes; 1 works in this one.
        progress: is told the pictures done and the pictures in all.

    Raises:
        InputError: the folder holds another dataset.
    """
    info = _info(plan)
    if (folder / INFO_NAME).is_file() and read_info(folder) != info:
        raise InputError(f"{folder} holds another dataset", _ANOTHER)
    missing = [(folder, plan, split, index) for split in plan.splits for index in _missing(folder, plan, split)]
    total = sum(split.people * split.shots for split in plan.splits)
    done = total - sum(_people_in(split, index) * split.shots for _, _, split, index in missing)
    progress(done, total)
    for _, _, split, index, *_ in finished(_make_shard, missing, workers):
        done += _people_in(split, index) * split.shots
        progress(done, total)
    write_info(folder, info)
    return Dataset.open(folder).info


def _info(plan: SynthPlan) -> DatasetInfo:
    head = load_open_head()
    splits = tuple(SplitInfo(s.name, s.people * s.shots, s.people, s.shards) for s in plan.splits)
    return DatasetInfo("synthetic", plan.size, head.name, head.sha256, head.psi_layout, TRAIT_VECTOR_SIZE, plan.seed, splits,
                       "studio people; colour premultiplied by alpha" + (", some with glasses" if plan.glasses else ""))


def _missing(folder: Path, plan: SynthPlan, split: SplitPlan) -> list[int]:
    """Shards of a split that are not there or damaged. Raises InputError when one that is there is not of this plan."""
    population = Population(load_open_head(), split.name, plan.seed, plan.size, split.shots, plan.glasses)
    missing = []
    for index in range(split.shards):
        path = shard_path(folder, split.name, index)
        try:
            with safe_open(path, framework="numpy") as shard:
                pictures, first = shard.get_slice("sample.rgba").get_shape(), shard.get_slice("sample.psi")[:1][0]
        except (OSError, SafetensorError):
            missing.append(index)
            continue
        wanted = population.shots(index * PEOPLE_PER_SHARD)[0].psi
        if pictures[:2] != [_people_in(split, index) * split.shots, plan.size] or not np.allclose(first, wanted, atol=1e-5):
            raise InputError(f"{path} belongs to another dataset", _ANOTHER)
    return missing


def _people_in(split: SplitPlan, index: int) -> int:
    return min(PEOPLE_PER_SHARD, split.people - index * PEOPLE_PER_SHARD)


def _make_shard(folder: Path, plan: SynthPlan, split: SplitPlan, index: int) -> None:
    head = load_open_head()
    population = Population(head, split.name, plan.seed, plan.size, split.shots, plan.glasses)
    photographer = _photographer(plan.size)
    samples, people = [], []
    for i in range(_people_in(split, index)):
        number = index * PEOPLE_PER_SHARD + i
        traits = population.person(number)
        person = build_identity(traits, head)
        truth = uv_truth(person, photographer.surface, photographer.reach)
        people.append(People(np.array([traits.seed]), trait_vector(traits)[None], traits.shape[None].astype(np.float32),
                             truth.color[None], truth.offset[None], truth.known[None]))
        samples += [photographer.take(person, shot, i) for shot in population.shots(number)]
    write_shard(shard_path(folder, split.name, index), _stacked(Samples, samples), _stacked(People, people))


def _stacked(kind: type, parts: list):
    return kind(*(np.concatenate([getattr(part, name) for part in parts]) for name in kind.__dataclass_fields__))


@lru_cache(maxsize=1)
def _photographer(size: int) -> Photographer:
    return Photographer(load_open_head(), size)


class Photographer:
    """Takes pictures of studio people.

    Attributes:
        surface: the seats that truths on the texture map are given at.
        reach: [G] how far things may stand off them.
    """

    def __init__(self, head: HeadModel, size: int) -> None:
        self._head, self._size = head, size
        self._renderer = CpuRenderer(1)
        self._landmarks: LandmarkEmbedding = load_landmark_embedding(head)
        self.surface = head_surface(head, ANCHOR_RESOLUTION)
        self.reach = seat_reach(self.surface)

    def take(self, person: StudioIdentity, shot: Shot, row: int) -> Samples:
        """One picture [1] of the person at a row of the shard."""
        head, e = self._head, self._head.expression_count
        vertices = head.driven(head.neutral(person.shape), shot.psi, shot.neck)
        large = self._renderer.render(pose_identity(person, vertices, shot.psi[:e]), enlarged(shot.camera, _SUPERSAMPLING))
        rgba = cv2.resize(large, (self._size, self._size), interpolation=cv2.INTER_AREA)
        c = shot.camera
        return Samples(rgba[None], person.shape[None].astype(np.float32), shot.psi[None], shot.neck[None],
                       c.world_to_camera[None].astype(np.float32), np.array([[c.fx, c.fy, c.cx, c.cy]], np.float32),
                       np.array([row], np.int32), self._seen_landmarks(vertices, c)[None])

    def _seen_landmarks(self, vertices: FloatArray, camera: Camera) -> FloatArray:
        points = self._landmarks.points(vertices)
        normals = self._landmarks.points(vertex_normals(vertices, self._head.faces_of("skin")))
        facing = ((camera.position - points) * normals).sum(1) > 0
        return np.concatenate([project(camera, points)[:, :2], facing[:, None]], 1).astype(np.float32)


def enlarged(camera: Camera, factor: int) -> Camera:
    """The same view in more pixels."""
    return Camera(camera.world_to_camera, camera.fx * factor, camera.fy * factor, camera.cx * factor, camera.cy * factor,
                  camera.width * factor, camera.height * factor)
