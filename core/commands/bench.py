"""`bench`: how fast this machine is, stage by stage."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

BENCH_SEED = 7
ENCODED_FRAMES = 60
SIZE = 512


@dataclass(kw_only=True)
class Options:
    """Measure the stages on this machine: driving, drawing, composing, encoding. Milliseconds are processor time."""

    json: Path | None = None
    """Also write the figures to this file, machine-readable."""


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str


@dataclass(frozen=True)
class Section:
    """Figures of one part of the program, or why there are none."""

    name: str
    figures: tuple[Figure, ...] = ()
    problem: str = ""


def run(options: Options) -> int:
    """Measure, print a table, and write the report."""
    from core.commands.report import check_json_output, write_json

    check_json_output(options.json)
    sections = []
    for name, measure in MEASURES.items():
        sections.append(_guarded(name, measure))
        _print(sections[-1])
    machine = {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine(), "system": platform.platform()}
    write_json(options.json, {"machine": machine, "sections": [asdict(section) for section in sections]})
    return 0


def _guarded(name: str, measure: Callable[[], list[Figure]]) -> Section:
    from core.errors import AgoraError

    try:
        return Section(name, tuple(measure()))
    except AgoraError as error:
        return Section(name, problem=str(error))
    except Exception as error:  # one part that cannot be measured must not take the others with it
        return Section(name, problem=f"{type(error).__name__}: {error}")


def _print(section: Section) -> None:
    print(section.name + (f": not measured ({section.problem})" if section.problem else ""), flush=True)
    for figure in section.figures:
        print(f"  {figure.name:<42} {figure.value:10.2f} {figure.unit}", flush=True)


def _avatar():
    from core.avatar.model import Avatar
    from core.avatar.sources import open_source

    source = open_source(None)
    return Avatar(source.pack, source.build(BENCH_SEED))


def _drive() -> list[Figure]:
    import numpy as np

    from core.avatar.benchmark import measure_drive

    avatar = _avatar()
    psi = np.random.default_rng(0).uniform(0, 0.3, avatar.psi_layout.size).astype(np.float32)
    timings = measure_drive(avatar, psi)
    figures = [Figure(name, value, "ms") for name, value in asdict(timings).items()
               if name not in ("gaussians", "basis_megabytes")]
    return [Figure("Gaussians", timings.gaussians, ""), Figure("basis", timings.basis_megabytes, "MB"), *figures,
            Figure("blend / bandwidth floor", timings.blend_over_floor, "x")]


def _rasterise() -> list[Figure]:
    """The CPU rasteriser, stage by stage, on a shell of 65,536 Gaussians and on the default person."""
    from core.geometry import portrait_camera
    from core.render import open_renderer
    from core.render.benchmark import measure_parity, measure_stages, shell_cloud

    figures, renderer = [], open_renderer("cpu")
    clouds = {"shell": shell_cloud(), "person": (_avatar().identity.gaussians, portrait_camera(SIZE, SIZE))}
    for name, (gaussians, camera) in clouds.items():
        times = measure_stages(gaussians, camera)
        figures += [Figure(f"{name}: Gaussians", times.gaussian_count, ""), Figure(f"{name}: project", times.project_ms, "ms"),
                    Figure(f"{name}: sort and bin", times.sort_ms, "ms"), Figure(f"{name}: blend", times.blend_ms, "ms"),
                    Figure(f"{name}: picture", times.total_ms, "ms"),
                    Figure(f"{name}: one core", 1e3 / times.total_ms, "frames/s"),
                    Figure(f"{name}: against the reference", measure_parity(renderer, gaussians, camera), "dB")]
    renderer.close()
    return figures


def _opengl() -> list[Figure]:
    """The system's OpenGL on the same shell, in the same run."""
    from core.render.benchmark import compare_with_opengl, shell_cloud

    compared = compare_with_opengl(*shell_cloud())
    return [Figure(compared.description, compared.cpu_ms, "ms"), Figure("the CPU rasteriser is faster by", compared.ratio, "x")]


def _chain() -> list[Figure]:
    """Parameters to a finished picture of the default person, one thread."""
    import numpy as np

    from core.geometry import portrait_camera
    from core.pipeline.background import Gradient
    from core.pipeline.compose import Composer, make_layout
    from core.pipeline.offline import Painter, Shot
    from core.pipeline.timing import StageTimer
    from core.render.renderer import open_renderer
    from core.types import HeadParams

    avatar, timer = _avatar(), StageTimer()
    composer = Composer(make_layout("avatar", 1, SIZE), Gradient())
    painter = Painter(open_renderer("cpu"), [avatar], composer, np.zeros(3), timer)
    neutral = HeadParams.neutral(avatar.psi_layout.expression)
    camera = portrait_camera(SIZE, SIZE)
    shots = [Shot(neutral.with_psi(0.3 * np.abs(np.sin(np.arange(neutral.psi().size) + 0.2 * i)).astype(np.float32)), camera)
             for i in range(24)]
    painter(shots[0])
    timer.clear()
    for shot in shots:
        painter(shot)
    painter.close()
    times = timer.report()
    figures = [Figure(f"{stage.stage}, median", stage.p50, "ms") for stage in times]
    total = sum(stage.p50 for stage in times)
    return [*figures, Figure("parameters to picture", total, "ms"), Figure("one core", 1e3 / total, "frames/s")]


def _backends() -> list[Figure]:
    """Blend and draw of the default person by every backend to be had, and how close each comes to the reference."""
    from core.avatar.backend import CpuBackend
    from core.avatar.backend_benchmark import measure_backend_parity
    from core.avatar.gl_backend import GlBackend

    avatar, figures = _avatar(), []
    makers = {"processor": CpuBackend, "OpenGL, processor blends": lambda: GlBackend(gpu_blend=False), "OpenGL": GlBackend}
    for name, make in makers.items():
        figures += _backend_times(name, make(), avatar)
    parity = asdict(measure_backend_parity(avatar.pack, avatar.identity, SIZE // 2, faces=1, yaws=(0.3,)))
    del parity["person"]
    return figures + [Figure(f"parity: {name.replace('_', ' ')}", value, "dB") for name, value in parity.items()]


def _backend_times(name: str, backend, avatar) -> list[Figure]:
    """Processor time over all threads: a software OpenGL draws with several."""
    from core.avatar.self_test import probe_motion, probe_psi
    from core.geometry import portrait_camera
    from core.pipeline.timing import StageTimer

    camera, motion, timer = portrait_camera(SIZE, SIZE), probe_motion(avatar.identity), StageTimer(time.process_time)
    performer = backend.performer(avatar.pack, avatar.identity)
    for phase in range(6):
        backend.timer = timer if phase else None  # the first picture compiles
        performer.draw(probe_psi(avatar.psi_layout, phase), motion, camera)
    backend.close()
    return [Figure(f"{name}: {stage.stage}, median", stage.p50, "ms") for stage in timer.report()]


def _encode() -> list[Figure]:
    """H.264 of a moving picture, in a folder that goes away."""
    import tempfile

    import numpy as np

    from core.media.video_writer import VideoWriter

    ramp = np.linspace(0, 255, SIZE).astype(np.uint8)
    picture = np.dstack([np.tile(ramp, (SIZE, 1)), np.tile(ramp[:, None], (1, SIZE)), np.full((SIZE, SIZE), 90, np.uint8)])
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        with VideoWriter(Path(folder) / "bench.mp4", SIZE, SIZE) as writer:
            for index in range(ENCODED_FRAMES):
                writer.write(np.roll(picture, 3 * index, axis=1), round(index * 1e9 / 30))
        milliseconds = 1e3 * (time.process_time() - start) / ENCODED_FRAMES
    return [Figure("H.264, 512 x 512", milliseconds, "ms")]


MEASURES: dict[str, Callable[[], list[Figure]]] = {
    "driving an avatar": _drive,
    "CPU rasteriser, 512 x 512": _rasterise,
    "OpenGL, 512 x 512": _opengl,
    "parameters to picture, 512 x 512": _chain,
    "blend and draw by back end, 512 x 512": _backends,
    "encoding": _encode,
}
