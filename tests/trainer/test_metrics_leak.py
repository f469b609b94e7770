"""Light through closed and torn surfaces of Gaussians."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.networks.head_generator import SeatedGaussians
from core.networks.head_surface import head_surface
from core.networks.reach import hair_seats
from trainer.metrics.leak import LeakMaps, light_passed, skin_leak
from trainer.rasterize import CameraBatch

RADIUS, COUNT, SIZE = 0.1, 8000, 64


@pytest.fixture(scope="module")
def cameras() -> CameraBatch:
    middle = np.zeros(3)
    return CameraBatch.of([orbit_camera(0, 0, SIZE, SIZE, target=middle), orbit_camera(0.9, 0.3, SIZE, SIZE, target=middle)])


def sphere():
    """Evenly spread flat Gaussians on a sphere, twice: xyz, scale, quat, opacity, normal."""
    i = np.arange(COUNT) + 0.5
    polar, around = np.arccos(1 - 2 * i / COUNT), math.pi * (1 + 5**0.5) * i
    normal = np.stack([np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)], 1)
    pitch = RADIUS * math.sqrt(4 * math.pi / COUNT)
    half = np.concatenate([1 + normal[:, 2:], -normal[:, 1:2], normal[:, :1], np.zeros((COUNT, 1))], 1)  # takes z to the normal
    scale = np.tile([0.8 * pitch, 0.8 * pitch, 0.2 * pitch], (COUNT, 1))
    fields = (RADIUS * normal, scale, half, np.full(COUNT, 0.98), normal)
    return tuple(torch.from_numpy(np.repeat(field[None], 2, 0).astype(np.float32)) for field in fields)


def disc(fraction: float) -> np.ndarray:
    """Pixels within a fraction of the sphere's radius of the middle."""
    focal = 0.5 * SIZE / math.tan(math.radians(14.3) / 2)
    at = np.arange(SIZE) + 0.5 - SIZE / 2
    return np.hypot(at[:, None], at) < fraction * RADIUS * focal / 1.3


def test_a_closed_sphere_lets_no_light_through(cameras):
    passed = light_passed(*sphere(), cameras)
    maps = LeakMaps(passed, np.repeat(disc(0.85)[None], 2, 0))
    assert maps.share == 0
    assert maps.mean < 0.02


def test_holes_are_seen_though_the_back_is_closed(cameras):
    xyz, scale, quat, opacity, normal = sphere()
    towards = torch.tensor([0.0, 0.0, 1.0])
    torn = opacity * ((normal @ towards) < math.cos(0.35))  # a cap of 0.35 radians at the front is missing
    passed = light_passed(xyz, scale, quat, torn, normal, cameras)
    front = LeakMaps(passed[:1], disc(0.85)[None])
    expected = (math.sin(0.35) / 0.85) ** 2  # share of the disc that the cap covers
    assert front.share == pytest.approx(expected, rel=0.2)  # the rim of the hole is a Gaussian and a few pixels wide
    assert passed[0, SIZE // 2, SIZE // 2] > 0.99


def test_nothing_to_look_at_is_no_leak():
    assert LeakMaps(np.ones((1, 4, 4), np.float32), np.zeros((1, 4, 4), bool)).share == 0


def seated(vertices, surface, opacity=0.98) -> SeatedGaussians:
    seats = surface.frames(vertices)
    closed = torch.from_numpy(1 - hair_seats(surface))

    def batch(field):
        return torch.from_numpy(field[None].astype(np.float32))

    scale = seats.pitch[:, None] * np.array([0.8, 0.8, 0.2], np.float32)
    return SeatedGaussians(batch(seats.xyz), batch(scale), batch(seats.quat), torch.full((1, len(surface), 3), 0.5),
                           torch.full((1, len(surface)), opacity), batch(seats.frame[:, :, 2]), closed)


def test_a_head_of_resting_seats_is_tight_and_a_thinned_one_leaks():
    torch.set_num_threads(1)
    head = load_open_head()
    surface = head_surface(head, 96)
    psi = np.zeros(head.psi_layout.size, np.float32)
    psi[head.expression_count] = head.jaw_open_angle  # the open mouth is a hole that is meant
    vertices = head.driven(np.zeros(head.shape_count, np.float32), psi)
    cameras = CameraBatch.of([orbit_camera(0.4, 0.0, 96, 96)])
    maps = skin_leak(seated(vertices, surface), surface, vertices[None], cameras)
    assert 800 < maps.inside.sum() < 5000  # a face, neck and ears; hair seats are not counted
    assert maps.share < 0.005
    gaussians = seated(vertices, surface)
    thin = SeatedGaussians(**{**vars(gaussians), "scale": 0.4 * gaussians.scale})
    assert skin_leak(thin, surface, vertices[None], cameras).share > 0.3
    gone = gaussians.opacity.clone()
    gone[:, np.random.default_rng(0).random(len(surface)) < 0.4] = 0
    torn = SeatedGaussians(**{**vars(gaussians), "opacity": gone})
    assert maps.share < skin_leak(torn, surface, vertices[None], cameras).share
