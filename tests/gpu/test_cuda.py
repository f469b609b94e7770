"""What only an NVIDIA graphics processor can show. Skipped where there is none, or no gsplat for what draws with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.avatar.backend_choice import open_backend
from core.avatar.cuda_random import CudaRandom
from core.avatar.model import Avatar
from core.avatar.motion import rest_motion
from core.avatar.self_test import probe_motion, probe_psi
from core.avatar.sources import StudioSource
from core.avatar.torch_blend import TorchAvatar, TorchPack
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.render.benchmark import psnr, shell_cloud
from core.render.reference import render_reference
from core.render.renderer import open_renderer
from core.run_folder import Request, RunFolder, RunState
from tests.render.clouds import FIELDS, random_cloud
from tests.trainer.conftest import tiny_data, tiny_recipe  # noqa: F401
from trainer.checkpoint import CheckpointStore
from trainer.engine import Engine, EngineSettings
from trainer.loop import Loop, RunSettings
from trainer.rasterize import CameraBatch, rasterize

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA graphics processor")
VIEW = orbit_camera(0.3, 0.2, 200, 160, 1.0, np.zeros(3), 22)


@pytest.fixture
def gsplat():
    return pytest.importorskip("gsplat")


# ---- random numbers of published seeds -------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 10, 123_456, 2**31 + 7, 2**63 - 1])
def test_our_numbers_are_torch_s(seed):
    """Two draws, the row of a table between them. A fast sine is 2^-21 off at most, times a radius of up to 6."""
    theirs, ours = torch.Generator("cuda").manual_seed(seed), CudaRandom(seed)
    for count in (512, 2048, 1):
        drawn = torch.randn(1, count, generator=theirs, device="cuda")[0].cpu().numpy()
        np.testing.assert_allclose(ours.normal(count), drawn, atol=3e-6, rtol=0)
        assert ours.integer(139_826) == int(torch.randint(0, 139_826, (1,), generator=theirs, device="cuda"))


# ---- drawing ---------------------------------------------------------------------------------------------------------


def test_pictures_are_the_reference_s(gsplat, generator):
    renderer = open_renderer("cuda")
    renderer.warm_up()
    for cloud, camera in ((random_cloud(generator, 3000), VIEW), shell_cloud(128**2, 128)):
        color, coverage = render_reference(cloud, camera)
        picture = renderer.render(cloud, camera) / 255
        assert psnr(picture[..., :3], color) > 55, psnr(picture[..., :3], color)  # 8-bit rounding alone leaves 58.9 dB
        assert psnr(picture[..., 3], coverage) > 55
        before = renderer.render(cloud, camera, (0.2, 0.5, 0.9)) / 255
        assert psnr(before[..., :3], color + (1 - coverage[..., None]) * (0.2, 0.5, 0.9)) > 55


def test_a_studio_head_is_drawn_as_on_the_processor(gsplat):
    source = StudioSource()
    person, layout = source.build(7), source.pack.manifest.psi
    backend, processor = open_backend("cuda"), open_renderer("cpu")
    performer = backend.performer(source.pack, person)
    assert backend.name == "cuda", backend.description  # the self-test was passed
    avatar = Avatar(source.pack, person, exact=True)
    for phase, yaw in enumerate((0.0, 0.6, -1.4)):
        psi, motion, camera = probe_psi(layout, phase), probe_motion(person), orbit_camera(yaw, 0.1, 512, 512)
        expected = processor.render(avatar.pose(avatar.coefficients(psi), motion), camera)
        picture = performer.draw(psi, motion, camera)
        assert psnr(picture / 255, expected / 255) > 45, psnr(picture / 255, expected / 255)
    assert backend.name == "cuda", backend.description
    backend.close()


def test_recorded_kernels_follow_every_input(gsplat):
    """What is replayed sees new faces, motions and cameras, and two people do not disturb each other."""
    source = StudioSource()
    layout = source.pack.manifest.psi
    people = [source.build(seed) for seed in (7, 8)]
    pack = TorchPack(source.pack, "cuda")
    drawn = [TorchAvatar(pack, person) for person in people]
    for phase in range(3):
        psi, camera = probe_psi(layout, phase), orbit_camera(0.5 * phase, 0.1, 64, 64)
        for person, torch_avatar in zip(people, drawn, strict=True):
            motion = probe_motion(person) if phase else rest_motion()
            expected = torch_avatar.gaussians(psi, motion)
            for got, wanted in zip(torch_avatar.shown(psi, motion, camera), expected, strict=True):
                torch.testing.assert_close(got, wanted, atol=1e-6, rtol=1e-5)


# ---- the differentiable rasteriser -----------------------------------------------------------------------------------


def differentiate(inputs, cameras):
    """Rendering, and gradients of a random linear function of it."""
    rendering = rasterize(*inputs, cameras)
    random = torch.Generator().manual_seed(0)
    weights = [torch.randn(picture.shape, generator=random, dtype=torch.float64).to(picture)
               for picture in (rendering.color, rendering.alpha)]
    return rendering, torch.autograd.grad((rendering.color, rendering.alpha), inputs, weights)


def leaves(cloud, dtype, device):
    return [torch.tensor(getattr(cloud, field), dtype=dtype, device=device)[None].requires_grad_() for field in FIELDS]


@pytest.mark.parametrize("channels", [3, 1, 5])
def test_gradients_are_those_of_double_precision(gsplat, generator, channels):
    for cloud, camera in ((random_cloud(generator, 300), orbit_camera(0.3, 0.2, 40, 32, 1.0, np.zeros(3), 22)),
                          shell_cloud(32**2, 48)):
        cloud = replace(cloud, rgb=generator.uniform(0, 1, (len(cloud), channels)).astype(np.float32))
        cameras = CameraBatch.of([camera])
        rendering, gradients = differentiate(leaves(cloud, torch.float32, "cuda"), cameras)
        truth, expected = differentiate(leaves(cloud, torch.float64, "cpu"), cameras)
        assert rendering.color.is_cuda
        # gsplat leaves out what lies beyond its radius and computes exponentials fast
        torch.testing.assert_close(rendering.color.cpu().double(), truth.color, atol=2e-3, rtol=0)
        torch.testing.assert_close(rendering.alpha.cpu().double(), truth.alpha, atol=2e-3, rtol=0)
        for name, gradient, wanted in zip(FIELDS, gradients, expected, strict=True):
            error = ((gradient.cpu() - wanted).norm() / wanted.norm()).item()
            print(name, channels, len(cloud), f"{error:.1e}")
            assert error < 1e-2, (name, error)


def test_a_batch_is_its_samples(gsplat, generator):
    views = [orbit_camera(yaw, 0.1, 50, 40, 1.0, np.zeros(3), 22) for yaw in (0.0, 0.5, -2.0)]
    singles = [leaves(random_cloud(generator, 77), torch.float32, "cuda") for _ in views]
    batch = [torch.cat(fields).detach() for fields in zip(*singles, strict=True)]
    together = rasterize(*batch, CameraBatch.of(views))
    for b, inputs in enumerate(singles):
        alone = rasterize(*inputs, CameraBatch.of(views[b:b + 1]))
        torch.testing.assert_close(alone.color[0], together.color[b], atol=1e-6, rtol=0)
        torch.testing.assert_close(alone.alpha[0], together.alpha[b], atol=1e-6, rtol=0)


# ---- training --------------------------------------------------------------------------------------------------------


def train(folder: Path, data: Path, accelerator: str, watch=lambda loop, numbers: None) -> tuple[RunState, Loop]:
    """A run of the smallest recipe; `watch` sees every step's numbers."""
    with Engine(EngineSettings(accelerator)) as engine:
        running = Loop(tiny_recipe(), RunSettings(folder, data, 3), engine, load_open_head())
        step = running._step

        def watched(batch, number):
            numbers = step(batch, number)
            watch(running, dict(numbers))
            return numbers

        running._step = watched
        return running.run(), running


def test_training_begins_as_on_the_processor(gsplat, tiny_data, tmp_path):  # noqa: F811
    """The same data, starting values and order; float32 sums in another order, and convolutions in TF32."""
    seen = {}
    for accelerator in ("cpu", "cuda"):
        losses = seen[accelerator] = []
        state, running = train(tmp_path / accelerator, tiny_data, accelerator,
                               lambda _, numbers, losses=losses: losses.append(numbers))
        assert state is RunState.FINISHED
    assert running.engine.device.type == "cuda"
    assert all(np.isfinite(list(numbers.values())).all() for numbers in seen["cuda"])
    for ours, theirs in list(zip(seen["cuda"], seen["cpu"], strict=True))[:8]:  # the phases without noise
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=0.03), (ours, theirs)


def test_a_stopped_training_goes_on(gsplat, tiny_data, tmp_path):  # noqa: F811
    def stop(running, numbers):
        if running.training.position.images >= 40:
            RunFolder(tmp_path).request(Request.STOP)

    state, _ = train(tmp_path, tiny_data, "cuda", stop)
    assert state is RunState.STOPPED
    RunFolder(tmp_path).request(Request.RESUME)
    state, running = train(tmp_path, tiny_data, "cuda")
    assert state is RunState.FINISHED
    assert running.training.position.images == tiny_recipe().images
    assert CheckpointStore(RunFolder(tmp_path).checkpoints).newest() is not None


def test_a_training_moves_from_one_device_to_the_other(gsplat, tiny_data, tmp_path):  # noqa: F811
    def stop(running, numbers):
        if running.training.position.images >= 20:
            RunFolder(tmp_path).request(Request.STOP)

    assert train(tmp_path, tiny_data, "cuda", stop)[0] is RunState.STOPPED
    RunFolder(tmp_path).request(Request.RESUME)
    assert train(tmp_path, tiny_data, "cpu")[0] is RunState.FINISHED
