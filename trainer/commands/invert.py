"""The command ``invert``: photographs of one person to an avatar pack."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from core.errors import InputError, OutputError

if TYPE_CHECKING:
    from core.avatar.pack import AvatarPack
    from core.head.model import HeadModel
    from core.studio import Traits
    from trainer.invert.person import InvertedPerson, ProgressReport
    from trainer.invert.view import PhotoView

CONSENT = "use photographs only of people who agreed to it; the avatar will do and say what they never did"
MOST_PHOTOS = 8
READ_SHARE = 0.02  # of the whole that reading the photographs takes
POOR = 0.35  # held-out likeness below which another route is tried unasked


@dataclass(kw_only=True)
class InvertOptions:
    """Make an avatar of a photograph, or of several of one person. One to three minutes on two cores."""

    photos: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Photographs of one person, the face seen from the front or half from the side."""
    out: Path
    """The pack to write (.agora)."""
    route: Literal["auto", "studio", "generator"] = "auto"
    """studio: a studio person bent and painted; generator: a trained generator's person; auto: the better of both."""
    generator: Path | None = None
    """A pack with a generator; by default the one that ships, where there is one."""
    keep_photo: bool = False
    """Keep the photographs in the pack; without it they are not stored anywhere."""
    name: str = ""
    """Of the person; by default the name of the first photograph's file."""
    progress: Path | None = None
    """Folder that is told how far the work is, with pictures, and in which it can be asked to stop."""
    json: Path | None = None
    """Also write the scores there."""


def invert(options: InvertOptions) -> int:
    """Makes the avatar and says how like the photographs it is."""
    _check(options)
    from core.commands.progress import SHARES, ProgressBars
    from trainer.invert.telling import Ended, InvertTelling

    print(f"note: {CONSENT}")
    with ProgressBars(SHARES, lines=True) as bars:
        telling = InvertTelling(options.progress, bars)
        try:
            with telling.telling():
                made, warnings = _inverted(options, telling)
                _write(options, made)
                telling.report(made.route, made.scores, warnings)
        except Ended:
            print(f"{options.out}: stopped, nothing was written")
            return 0
    _say(options, made, warnings)
    return 0


def _inverted(options: InvertOptions, progress: ProgressReport) -> tuple[InvertedPerson, tuple[str, ...]]:
    from core.head.library import load_open_head
    from trainer.invert.pack import renamed, with_photographs
    from trainer.invert.view import PhotoReader

    head = load_open_head()
    reader = PhotoReader(head)
    try:
        views = []
        for i, path in enumerate(options.photos):
            progress(_news("reading the photograph", READ_SHARE * i / len(options.photos)))
            views.append(reader(path))
    finally:
        reader.close()
    made = _best(options, views, head, progress)
    if options.name:
        made = renamed(made, options.name)
    if options.keep_photo:
        made = replace(made, pack=with_photographs(made.pack, views))
    return made, tuple(warnings_of(views))


def _best(options: InvertOptions, views: Sequence[PhotoView], head: HeadModel, progress: ProgressReport) -> InvertedPerson:
    """The person by the wanted route, or by the one whose person is more like the photographs in views not seen."""
    looks, studio = lru_cache(maxsize=1)(lambda: _looks(views, head)), None  # both routes start from them
    if options.route != "generator":
        studio = _by_studio(views, head, looks, _part(progress, READ_SHARE, 0.5 if options.generator else 1.0))
        if options.route == "studio" or (options.generator is None and studio.scores.held_out >= POOR):
            return studio
    pack = _generator_pack(options)
    if pack is None:
        return studio
    made = _by_generator(views, pack, head, looks, _part(progress, 0.5 if studio else READ_SHARE, 1.0))
    return made if studio is None or _worth(made) > _worth(studio) else studio


def _worth(made: InvertedPerson) -> float:
    """Likeness in views not seen, as far as the picture is sharp enough to be like the photograph in its own."""
    return made.scores.held_out * made.scores.ssim


def _looks(views: Sequence[PhotoView], head: HeadModel) -> Traits:
    from trainer.invert.geometry import mean_shape
    from trainer.invert.looks import looks_of

    return looks_of(views, head, mean_shape(views))


def _by_studio(views: Sequence[PhotoView], head: HeadModel, looks: Callable[[], Traits],
               progress: ProgressReport) -> InvertedPerson:
    from trainer.invert.studio_route import invert_by_studio

    return invert_by_studio(views, head, lambda shape: looks(), progress)


def _by_generator(views: Sequence[PhotoView], pack: AvatarPack, head: HeadModel, looks: Callable[[], Traits],
                  progress: ProgressReport) -> InvertedPerson:
    from trainer.invert.generator_route import invert_by_generator

    return invert_by_generator(views, pack, head, progress, looks=looks())


def _generator_pack(options: InvertOptions) -> AvatarPack | None:
    """The pack whose generator is used, None where there is none and none was asked for."""
    from core.assets import resource
    from core.avatar.pack import read_pack

    shipped = sorted(resource("packs").glob("*.agora"))
    if options.generator is None and not shipped:
        if options.route == "generator":
            raise InputError("there is no generator to use", "give a pack with a generator: --generator PACK.agora")
        return None
    path = options.generator or shipped[0]
    pack = read_pack(path)
    if pack.generator is None:
        raise InputError(f"{path}: holds no generator", "train one, or use --route studio")
    return pack


def warnings_of(views: Sequence[PhotoView]) -> list[str]:
    """What to be careful of."""
    found = []
    for view in views:
        yaw, pitch, _ = view.fit.turn_degrees
        if abs(yaw) > 30 or abs(pitch) > 20:
            found.append(f"{view.name}: the face is turned away by {max(abs(yaw), abs(pitch)):.0f} degrees; the side it hides "
                         "is guessed")
        if view.fit.framing.side < 0.4 * view.size:
            found.append(f"{view.name}: the face is small in the picture, so that the avatar is a little soft")
    return found


def _part(progress: ProgressReport, first: float, last: float) -> ProgressReport:
    """Progress of a part of the whole."""
    return lambda news: progress(replace(news, done=first + (last - first) * news.done))


def _news(stage: str, done: float):
    from trainer.invert.person import InvertProgress

    return InvertProgress(stage, done)


def _write(options: InvertOptions, made: InvertedPerson) -> None:
    from core.assets import write_atomically
    from core.avatar.pack import write_pack
    from trainer.invert.telling import plain

    write_pack(options.out, made.pack)
    if options.json is not None:
        text = json.dumps({"pack": str(options.out), "route": made.route, **plain(made.scores)}, indent=1)
        write_atomically(options.json, text.encode())


def _say(options: InvertOptions, made: InvertedPerson, warnings: Sequence[str]) -> None:
    scores = made.scores
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{options.out}: {made.identity.name}, by the {made.route}, {len(made.identity)} Gaussians, "
          f"{options.out.stat().st_size / 1e6:.1f} MB")
    print(f"in the photograph's view: similarity {scores.ssim:.3f}, {scores.psnr:.1f} dB, landmarks off by "
          f"{100 * scores.landmark_error:.1f} % of the distance of the eyes; other views: {scores.held_out:.2f}")


def _check(options: InvertOptions) -> None:
    """Refuses early what would fail after a minute of work."""
    from core.avatar.pack import PACK_SUFFIX

    if not options.photos:
        raise InputError("there is no photograph to make an avatar of", "give the path of one or more")
    if len(options.photos) > MOST_PHOTOS:
        raise InputError(f"{len(options.photos)} photographs given, at most {MOST_PHOTOS} are used")
    for path in (*options.photos, *filter(None, (options.generator,))):
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
    if options.out.suffix != PACK_SUFFIX:
        raise OutputError(f"{options.out}: a pack's name ends in {PACK_SUFFIX}")
    for path in (options.out, options.json):
        if path is not None and not path.parent.is_dir():
            raise OutputError(f"{path} cannot be written: the folder {path.parent} does not exist", "make the folder first")
