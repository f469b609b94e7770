"""A take once more: its motion with other people, another view, size or background, and its own sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.avatar.identity import Identity, parse_seeds
from core.avatar.model import Avatar
from core.avatar.person import parse_person
from core.avatar.sources import IdentitySource
from core.errors import InputError, OutputError
from core.media.formats import check_video_output
from core.media.video_reader import VideoReader
from core.media.video_writer import Recording, VideoWriter
from core.pipeline.background import parse_background
from core.pipeline.compose import Composer, make_layout
from core.pipeline.live.take import Take, safe_name
from core.pipeline.offline import Painter, Progress, core_count, film, no_progress, resting_translation
from core.pipeline.provenance import provenance
from core.pipeline.views import check_view
from core.render.renderer import open_renderer
from core.tracking.motion_clip import MotionClip

MOST_PEOPLE = 64
RERENDER_LAYOUTS = ("avatar", "grid")


class Cancelled(Exception):
    """The user does not want it any more."""


@dataclass(frozen=True)
class RerenderOptions:
    """What is to be made of a take.

    Attributes:
        people: names, as `parse_people` gives them.
        folder, name: where the videos go; several videos get the person's name appended.
        size: pixels along one side of a head.
        view: one of `core.pipeline.views.VIEW_NAMES`.
        background: as `core.pipeline.background.parse_background`.
        layout: "avatar": a video of each person; "grid": all in one video.
        renderer: as `core.render.renderer.open_renderer`.
    """

    people: tuple[str, ...]
    folder: Path
    name: str
    size: int = 512
    view: str = "frontal"
    background: str = "gradient"
    layout: str = "avatar"
    renderer: str = "auto"

    def outputs(self) -> list[tuple[Path, tuple[str, ...]]]:
        """The videos that will be written, and who is in each."""
        suffix = ".webm" if parse_background(self.background).transparent else ".mp4"
        if self.layout == "grid" or len(self.people) == 1:
            return [(self.folder / f"{self.name}{suffix}", self.people)]
        return [(self.folder / f"{safe_name(f'{self.name} {person}', 110)}{suffix}", (person,)) for person in self.people]


def parse_people(text: str) -> tuple[str, ...]:
    """People as the user lists them: seeds, ranges and mixes, such as "7, 20-24, 7+42@0.5". Raises InputError."""
    people: list[str] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        people += [parse_person(part).text] if "+" in part else [str(seed) for seed in parse_seeds(part)]
    people = list(dict.fromkeys(people))
    if not people:
        raise InputError("nobody is named", "for instance 7, 20-24 or 7+42@0.5")
    if len(people) > MOST_PEOPLE:
        raise InputError(f"{len(people)} people are too many at once", f"name at most {MOST_PEOPLE}")
    return tuple(people)


def unused_name(folder: Path, wanted: str) -> str:
    """A name like `wanted` that no video in `folder` has yet."""
    name, number = wanted, 1
    while any((folder / f"{name}{suffix}").exists() for suffix in (".mp4", ".webm")):
        number += 1
        name = f"{wanted} ({number})"
    return name


def check_options(options: RerenderOptions) -> Composer:
    """Find what is wrong with the options before any work. Raises InputError, OutputError."""
    check_view(options.view)
    if not options.name or safe_name(options.name, 110) != options.name:
        raise OutputError(f"“{options.name}” cannot be the name of a file", "use letters, digits and blanks")
    if options.layout not in RERENDER_LAYOUTS:
        raise InputError(f"there is no layout called '{options.layout}'", f"choose one of {', '.join(RERENDER_LAYOUTS)}")
    background = parse_background(options.background)
    if background.needs_driver:
        raise InputError("the blurred camera cannot be the background: a take does not keep the camera's picture",
                         "choose another background")
    for out, _ in options.outputs():
        check_video_output(out, background.transparent)
        if out.exists():
            raise OutputError(f"{out.name} is there already", "choose another name")
    together = len(options.people) if options.layout == "grid" else 1
    return Composer(make_layout(options.layout, together, options.size), background)


def rerender(take: Take, options: RerenderOptions, source: IdentitySource, progress: Progress = no_progress) -> list[Recording]:
    """Make the videos, one after the other; with the take's own sound.

    Args:
        source: builds the people.
        progress: called in this thread with what is being done, how much is done, of how much. An exception that it raises, such
            as `Cancelled`, stops the work; videos that are finished stay.

    Raises:
        InputError: options or the take's motion cannot be used.
        OutputError: a video cannot be written.
    """
    composer = check_options(options)
    motion = take.read_motion()
    clip = VideoReader(take.video)
    renderer = _renderer_name(options.renderer)
    built = {}
    for index, person in enumerate(options.people):
        progress("building people", index, len(options.people))
        built[person] = source.build_person(person)
    outputs, made = options.outputs(), []
    for index, (out, people) in enumerate(outputs):

        def tell(_: str, done: int, total: int, before: int = index * len(motion)) -> None:
            progress("rendering", before + done, len(outputs) * len(motion))

        about = provenance(out.stem, ", ".join(people), take.info.about.pack, take.info.about.pack_sha256)
        writer = VideoWriter(out, composer.layout.width, composer.layout.height, fps=motion.fps, alpha=composer.alpha, audio=clip,
                             metadata=about)
        cast = [built[person] for person in people]
        made.append(_film(writer, motion, cast, composer, options.view, renderer, source, tell))
    return made


def _renderer_name(wanted: str) -> str:
    """What "auto" stands for here. Raises DeviceError."""
    probe = open_renderer(wanted)
    probe.close()
    return probe.name


def _film(writer: VideoWriter, motion: MotionClip, people: Sequence[Identity], composer: Composer, view: str, renderer: str,
          source: IdentitySource, progress: Progress) -> Recording:
    rest = resting_translation(motion.params)

    def make_painter() -> Painter:
        return Painter(open_renderer(renderer), [Avatar(source.pack, person) for person in people], composer, rest)

    # One core stays with the live view.
    workers = max(1, min(core_count() - 1, 3)) if renderer in ("cpu", "reference") else 1
    return film(motion.params, make_painter, composer, view, writer, None, progress, workers).recording
