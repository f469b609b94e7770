"""What `reenact`, `render` and the demo share: who is in the picture, how it looks, and the writing of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from core.avatar.identity import Identity
    from core.avatar.sources import IdentitySource
    from core.media.video_reader import VideoReader
    from core.pipeline.compose import Composer
    from core.pipeline.offline import Film, Painter, Progress
    from core.types import FloatArray, HeadParams


@dataclass(kw_only=True)
class FilmOptions:
    """How a video is made."""

    seed: tuple[str, ...]
    """Who is seen: whole numbers or ranges such as 0-32. Several people make a grid."""
    out: Path
    """The video to write: .mp4, .mov, .mkv or .webm."""
    pack: Path | None = None
    """Avatar pack (.agora); the studio people that ship with the program when left out."""
    size: int | None = None
    """Pixels along one side of a head: 512, or 256 in a grid, when left out."""
    layout: Literal["auto", "avatar", "side-by-side", "grid"] = "auto"
    """avatar: the head alone; side-by-side: the driver next to it; grid: a wall of several seeds."""
    background: str = "gradient"
    """gradient, green, transparent (.webm or .mov), blur (the driver out of focus), a colour (white, #203040) or a picture."""
    view: Literal["frontal", "follow", "orbit"] = "frontal"
    """frontal: a fixed camera; follow: it turns with the head; orbit: it swings slowly around."""
    renderer: Literal["auto", "cpu", "opengl", "cuda", "reference"] = "auto"
    """What draws: the fastest that works here when left at auto."""


class Production:
    """A video in the making: everything that can be wrong with the options is found on construction, before any work.

    Raises InputError, PackError or OutputError.
    """

    def __init__(self, options: FilmOptions, driver: VideoReader | None = None) -> None:
        from core.avatar.identity import parse_seeds
        from core.avatar.sources import open_source
        from core.errors import InputError
        from core.media.formats import check_video_output
        from core.pipeline.background import parse_background
        from core.pipeline.compose import Composer, make_layout
        from core.render.renderer import open_renderer

        self.options = options
        self.seeds = [seed for text in options.seed for seed in parse_seeds(text)]
        if not self.seeds:
            raise InputError("no seed is given", "for instance --seed 7")
        background = parse_background(options.background)
        check_video_output(options.out, background.transparent)
        aspect = driver.width / driver.height if driver else None
        self.composer: Composer = Composer(make_layout(options.layout, len(self.seeds), options.size, aspect), background)
        if self.composer.needs_driver and driver is None:
            raise InputError("there is no driver video to show", "choose another --background or --layout")
        self.driver = driver
        self.source: IdentitySource = open_source(options.pack)
        probe = open_renderer(options.renderer)
        self.renderer_name = probe.name
        probe.close()
        self._building: list[Future[Identity]] = []
        self._given_up = False

    def __enter__(self) -> Production:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._given_up = True

    def start_building(self) -> None:
        """Begin in the background, while the driver is tracked: compile the renderer's kernels, build the people."""
        self._building = [Future() for _ in self.seeds]
        for work in (self._build, self._warm_up):
            threading.Thread(target=work, daemon=True).start()  # Ctrl-C does not wait for these

    def _build(self) -> None:
        for seed, future in zip(self.seeds, self._building, strict=True):
            if self._given_up:
                return
            try:
                future.set_result(self.source.build(seed))
            except Exception as error:
                future.set_exception(error)

    def _warm_up(self) -> None:
        from core.render.renderer import open_renderer

        if self.renderer_name == "cpu":
            renderer = open_renderer("cpu")
            renderer.warm_up()
            renderer.close()

    def people(self) -> list[Identity]:
        """The people, in the order of the seeds."""
        if not self._building:
            self.start_building()
        return [future.result() for future in self._building]

    def film(self, motion: Sequence[HeadParams], audio: bool, progress: Progress) -> Film:
        """Write the video. Ctrl-C keeps the frames that are done."""
        from core.assets import resource
        from core.avatar.sources import STUDIO_PACK_NAME
        from core.media.video_writer import VideoWriter
        from core.pipeline.offline import film, resting_translation
        from core.pipeline.provenance import pack_fingerprint, provenance

        people = self.people()
        make_painter = self._painter_maker(people, resting_translation(motion))
        layout = self.composer.layout
        pack = self.options.pack or resource(STUDIO_PACK_NAME)
        about = provenance(self.options.out.stem, ", ".join(map(str, self.seeds)), self.source.pack.manifest.name,
                           pack_fingerprint(pack))
        writer = VideoWriter(self.options.out, layout.width, layout.height, fps=_fps(motion), alpha=self.composer.alpha,
                             time_base=self.driver.time_base if self.driver else None,
                             audio=self.driver if audio else None, metadata=about)
        on_cpu = self.renderer_name in ("cpu", "reference")
        return film(motion, make_painter, self.composer, self.options.view, writer, self.driver, progress,
                    workers=None if on_cpu else 1)

    def _painter_maker(self, people: Sequence[Identity], rest_translation: FloatArray) -> Callable[[], Painter]:
        from core.avatar.model import Avatar
        from core.pipeline.offline import Painter
        from core.render.renderer import open_renderer

        def make_painter() -> Painter:
            actors = [Avatar(self.source.pack, identity) for identity in people]
            return Painter(open_renderer(self.renderer_name), actors, self.composer, rest_translation)

        return make_painter


def say_what_was_made(film: Film, started: float, damaged: int = 0) -> int:
    """Print the one line that closes the work. Returns the exit code."""
    made, seconds = film.recording, time.monotonic() - started
    parts = [f"{made.frames} frames", f"{made.seconds:.2f} s", f"{made.frames / max(seconds, 1e-3):.1f} frames/s"]
    if damaged:
        parts.append(f"{damaged} damaged frames")
    if film.interrupted:
        print(f"stopped: the first {made.frames} of {film.wanted_frames} frames are in {made.path}")
        return 130
    print(f"{made.path}: {', '.join(parts)}")
    return 0


def _fps(motion: Sequence[HeadParams]) -> float:
    span = (motion[-1].time_ns - motion[0].time_ns) / 1e9
    return (len(motion) - 1) / span if span > 0 else 30.0


def require_other_file(source: Path, target: Path) -> None:
    """Raise OutputError when the result would replace what it is made from."""
    from core.errors import OutputError

    if target.exists() and target.samefile(source):
        raise OutputError(f"{target} is the driver itself", "choose another --out")
