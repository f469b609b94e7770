"""What the measurement of speed draws, and how much of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from core.head.library import load_open_head
from core.networks.config import GeneratorConfig
from core.networks.head_generator import HeadGenerator, HeadGeneratorConfig
from trainer.metrics.speed import generator_rate, pictures_per_second


def test_a_clip_is_drawn_once_in_batches_after_a_rehearsal():
    drawn = []
    rate = pictures_per_second(lambda frames: drawn.append((frames.start, frames.stop)), 19)
    assert drawn == [(0, 8), (0, 8), (8, 16), (16, 19)]
    assert rate > 0


@pytest.mark.parametrize("camera", [0, 12])
def test_what_depends_on_the_person_alone_is_worked_out_once(camera, monkeypatch):
    torch.set_num_threads(1)
    head = load_open_head()
    networks = GeneratorConfig(latent_size=16, plane_resolution=16, channel_base=256, channel_max=16, tap_resolution=8,
                               camera_size=camera, psi_size=head.psi_layout.size, unused_style_size=0, color_channels=3)
    generator = HeadGenerator(HeadGeneratorConfig(networks, 5), head).eval()
    calls = {"synthesis": 0, "deformation": 0}

    def count(name, run):
        def counted(*inputs, **options):
            calls[name] += 1
            return run(*inputs, **options)

        monkeypatch.setattr(getattr(generator, name), "forward", counted)

    count("synthesis", generator.synthesis.forward)
    count("deformation", generator.deformation.forward)
    psi, neck = np.zeros((20, head.psi_layout.size), np.float32), np.zeros((20, 3), np.float32)
    rate = generator_rate(generator, np.zeros(5, np.float32), np.zeros(head.shape_count, np.float32), psi, neck, 32)
    assert rate > 0
    assert calls == {"synthesis": 1, "deformation": 4}  # a rehearsal and three batches
