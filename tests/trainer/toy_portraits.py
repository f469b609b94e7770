"""Portraits that a few lines can draw: a disc with two eyes and a mouth, every factor plain to see."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.geometry import orbit_camera
from core.types import PsiLayout
from trainer.data.dataset import Dataset, DatasetInfo, People, Samples, SplitInfo, shard_path, write_info, write_shard

LAYOUT = PsiLayout(expression=2, jaw=3, eyes=6)
SIZE, LATENT, SHAPE = 32, 4, 3


def draw(latent, shape, psi, world_to_camera, size: int = SIZE) -> np.ndarray:
    """Pictures [n, S, S, 4] uint8: latent = colours of skin and eyes, shape = width, ψ = mouth and brows, camera = place."""
    at = (np.arange(size) + 0.5) / size * 2 - 1
    x, y = np.broadcast_to(at, (size, size)), np.broadcast_to(at[:, None], (size, size))
    out = np.zeros((len(psi), size, size, 4), np.float32)
    yaw = np.arctan2(-world_to_camera[:, 2, 0], -world_to_camera[:, 2, 2])
    pitch = np.arcsin(np.clip(-world_to_camera[:, 2, 1], -1, 1))
    for i in range(len(psi)):
        width = 0.6 + 0.08 * shape[i, 0]
        cx, cy = 0.35 * yaw[i], 0.6 * pitch[i]
        face = (x / width) ** 2 + (y / 0.75) ** 2 < 1
        out[i, face, :3] = np.clip(0.5 + 0.18 * latent[i, :3], 0.05, 0.95)
        eyes = ((np.abs(x - cx) - 0.22) ** 2 + (y + 0.15 - cy) ** 2 < 0.018) & face
        out[i, eyes, :3] = np.clip(0.5 + 0.25 * latent[i, 3] * np.array([1, 0, -1]), 0, 1)
        mouth = (np.abs(x - cx) < 0.1 + 0.2 * psi[i, 1]) & (np.abs(y - 0.35 - cy) < 0.04 + 0.25 * psi[i, 0]) & face
        out[i, mouth, :3] = [0.3, 0.05, 0.05]
        out[i, face, 3] = 1
    return np.round(255 * out).astype(np.uint8)


def toy_dataset(folder: Path, people: int = 60, shots: int = 6) -> Dataset:
    """A dataset with the parts train, test and pairs."""
    rng = np.random.default_rng(4)
    splits = []
    for name, count, pictures in (("train", people, shots), ("test", people, shots), ("pairs", 5, 8)):
        latent = rng.standard_normal((count, LATENT)).astype(np.float32)
        shape = rng.standard_normal((count, SHAPE)).astype(np.float32)
        person = np.repeat(np.arange(count, dtype=np.int32), pictures)
        psi = np.zeros((len(person), LAYOUT.size), np.float32)
        psi[:, :2] = rng.uniform(0, 1, (len(person), 2))
        yaw, pitch = rng.uniform(-0.8, 0.8, len(person)), rng.uniform(-0.3, 0.3, len(person))
        if name == "pairs":
            half = pictures // 2
            shared = psi[:half, :2].copy()
            psi[:, :2] = np.tile(np.concatenate([shared, np.repeat(shared[:1], half, 0)]), (count, 1))
            yaw = np.tile(np.concatenate([np.zeros(half), np.linspace(-0.8, 0.8, half)]), count)
            pitch = np.zeros(len(person))
        cameras = [orbit_camera(y, p, SIZE, SIZE) for y, p in zip(yaw, pitch, strict=True)]
        pose = np.stack([camera.world_to_camera for camera in cameras])
        lens = np.array([[camera.fx, camera.fy, camera.cx, camera.cy] for camera in cameras], np.float32)
        neck, landmarks = np.zeros((len(person), 3), np.float32), np.zeros((len(person), 468, 3), np.float32)
        rgba = draw(latent[person], shape[person], psi, pose)
        samples = Samples(rgba, shape[person], psi, neck, pose, lens, person, landmarks)
        nobody = np.zeros((count, 0, 3), np.uint8)
        crowd = People(np.arange(count), latent, shape, nobody, np.zeros((count, 0), np.float16), np.zeros((count, 0), np.uint8))
        write_shard(shard_path(folder, name, 0), samples, crowd)
        splits.append(SplitInfo(name, len(person), count, 1))
    write_info(folder, DatasetInfo("synthetic", SIZE, "toy", "0" * 64, LAYOUT, LATENT, 0, tuple(splits)))
    return Dataset.open(folder)
