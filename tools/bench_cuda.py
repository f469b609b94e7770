"""How fast drawing, driving and training are on a graphics processor here: `python -m tools.bench_cuda`.

Milliseconds of wall time, the median of the runs, everything finished at both ends.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from core.avatar.motion import rest_motion
from core.avatar.self_test import probe_psi
from core.avatar.sources import StudioSource
from core.avatar.torch_blend import TorchBackend
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.networks.head_generator import HeadGenerator, HeadGeneratorConfig
from core.render.benchmark import shell_cloud
from trainer.metrics.speed import generator_rate
from trainer.rasterize import CameraBatch, rasterize
from trainer.rasterize_benchmark import CASES, WIDENED
from trainer.recipe import desktop_recipe, paper_recipe

BATCH = 8
FRAMES = 256


def milliseconds(work: Callable[[], object], repeats: int = 30) -> float:
    """Median wall time of a call; three more go before."""
    times = []
    for _ in range(repeats + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 1e3 * float(np.median(times[3:]))


def rasterizer(size: int, count: int) -> tuple[float, float]:
    """Forward alone, and forward with backward, of a batch of shells."""
    gaussians, camera = shell_cloud(count, size)
    scale = np.float32(WIDENED) * gaussians.scale
    fields = [torch.from_numpy(np.repeat(field[None], BATCH, 0)).cuda().requires_grad_()
              for field in (gaussians.xyz, scale, gaussians.quat, gaussians.rgb, gaussians.opacity)]
    cameras = CameraBatch.of([camera] * BATCH).to("cuda")

    def forward():
        with torch.no_grad():
            rasterize(*fields, cameras)

    def both():
        rendering = rasterize(*fields, cameras)
        torch.autograd.grad(rendering.color.sum() + rendering.alpha.sum(), fields)

    return milliseconds(forward), milliseconds(both)


def live(size: int) -> float:
    """One studio person from a driving vector to a picture in memory."""
    source = StudioSource()
    performer = TorchBackend().performer(source.pack, source.build(7))
    camera, faces = orbit_camera(0.2, 0.0, size, size), [probe_psi(source.pack.manifest.psi, k) for k in range(8)]
    count = iter(range(1 << 30))
    return milliseconds(lambda: performer.draw(faces[next(count) % 8], rest_motion(), camera), 100)


def generator(config: HeadGeneratorConfig, size: int) -> float:
    """Pictures per second of untrained weights, which cost what trained ones cost."""
    head, random = load_open_head(), np.random.default_rng(0)
    network = HeadGenerator(config, head).cuda().eval()
    latent, shape = (random.standard_normal(count).astype(np.float32) for count in (config.latent_input, head.shape_count))
    psi = random.uniform(0, 0.3, (FRAMES, config.networks.psi_size)).astype(np.float32)
    return generator_rate(network, latent, 0.3 * shape, psi, np.zeros((FRAMES, 3), np.float32), size)


def main() -> None:
    print(torch.cuda.get_device_name(), "· torch", torch.__version__)
    print(f"differentiable rasteriser, batches of {BATCH}, ms a picture")
    for size, count in (*CASES, (512, 512**2)):
        forward, both = rasterizer(size, count)
        print(f"  {size:>3}² / {count:>7,} Gaussians: {forward / BATCH:6.3f} forward, {both / BATCH:6.3f} with backward")
    print("studio person, driving vector to picture in memory")
    for size in (512, 1024):
        each = live(size)
        print(f"  {size:>4}²: {each:.2f} ms, {1e3 / each:.0f} pictures/s")
    print(f"untrained generators, {FRAMES} frames of one person in batches of 8, seats posed on the processor")
    for recipe, size in ((desktop_recipe(), 128), (paper_recipe(), 512)):
        config = HeadGeneratorConfig(recipe.networks, 512, recipe.parametrization)
        print(f"  {recipe.name}, {config.seats}² seats, {size}²: {generator(config, size):.0f} pictures/s")


if __name__ == "__main__":
    main()
