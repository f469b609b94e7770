from __future__ import annotations

from dataclasses import asdict

import numpy as np

from core.avatar.benchmark import measure_drive, synthetic_identity
from core.avatar.model import Avatar
from tests.avatar.conftest import LAYOUT


def test_every_stage_is_timed(relative):
    avatar = Avatar(relative.pack, synthetic_identity(relative.pack, gaussians=5000))
    timings = measure_drive(avatar, np.full(LAYOUT.size, 0.1, np.float32), repeats=2)
    assert timings.gaussians == 5000
    assert all(value > 0 for value in asdict(timings).values())
    assert timings.blend_over_floor == timings.blend / timings.read_floor
