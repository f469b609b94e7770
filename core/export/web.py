"""People as a web page: one file that opens from disk or any host and moves, turns and draws them like the program itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.assets import write_atomically
from core.avatar.gl_layout import moves_scale_and_opacity
from core.avatar.identity import Identity
from core.avatar.model import Avatar, check_psi
from core.avatar.motion import MotionSettings
from core.avatar.pack import AvatarPack
from core.errors import InputError, OutputError
from core.export.web_arrays import PackedPart, in_steps, pack_part, whole_numbers
from core.export.web_page import expression_names, page_scores, page_shaders, page_sliders, page_text, thumbnails
from core.export.web_people import basis_part, basis_shapes, person_part, regressor_part, regressor_sizes
from core.geometry import PORTRAIT_DISTANCE, PORTRAIT_FOV_DEGREES, PORTRAIT_TARGET
from core.tracking.motion_clip import MotionClip
from core.types import TrackState
from core.version import VERSION

BACKGROUNDS = ("gradient", "white", "transparent")
SUFFIXES = (".html", ".htm")
MOST_PEOPLE = 32
_FLOOR = (0.0, -0.2, -0.05)  # metres; below the portrait's frame, where studio busts end raggedly
LARGEST_PAGE = 256 << 20  # bytes; browsers on phones give up earlier


@dataclass(frozen=True)
class WebSettings:
    """How a page opens.

    Attributes:
        title: shown on top; the pack's name when empty.
        background: one of `BACKGROUNDS`.
        autoplay: start the motion at once, unless the visitor prefers reduced motion.
        following: how strongly head movement is followed.
    """

    title: str = ""
    background: str = "gradient"
    autoplay: bool = True
    following: MotionSettings = field(default_factory=MotionSettings)


def export_web(source_pack: AvatarPack, people: Sequence[Identity], motion: MotionClip | None, out: Path,
               settings: WebSettings | None = None) -> int:
    """Writes a page; an existing file is replaced only when all is written.

    Args:
        source_pack: the pack whose basis drives the people.
        people: who can be chosen on the page, in this order; each must belong to the pack.
        motion: what they play; without it they are moved by the page's sliders and by scripts.
        out: the page, ending in .html.

    Returns:
        Bytes of the page.

    Raises:
        InputError: nobody or too many people, a motion for another head model, an unknown background, too large a page.
        OutputError: the page cannot be written.
    """
    settings, out = settings or WebSettings(), Path(out)
    _check(source_pack, people, motion, out, settings)
    manifest = source_pack.manifest
    parts = [regressor_part(source_pack), basis_part(source_pack, people)]
    parts += [person_part(source_pack, person, f"person_{i}") for i, person in enumerate(people)]
    if motion is not None:
        parts.append(_motion_part(source_pack, people, motion))
    if sum(len(part.text) for part in parts) > LARGEST_PAGE:
        raise InputError(f"{out.name} would have more than {LARGEST_PAGE >> 20} MB", "name fewer people, or a shorter motion")
    names = expression_names(manifest, motion.expression_names if motion else ())
    page = {
        "title": settings.title or manifest.name, "background": settings.background, "autoplay": settings.autoplay,
        "program": f"AGORA live {VERSION}", "people": _about_people(source_pack, people), "basis": _about_basis(source_pack),
        "regressor": regressor_sizes(source_pack), "shaders": page_shaders(manifest), "following": _about_following(settings),
        "optics": {"target": PORTRAIT_TARGET.tolist(), "distance": PORTRAIT_DISTANCE,
                   "fov": float(np.radians(PORTRAIT_FOV_DEGREES)), "floor": _FLOOR},
        "motion": motion and _about_motion(motion), "sliders": page_sliders(manifest.psi, names),
        "scores": page_scores(manifest.psi, names),
    }
    content = page_text(page, parts, manifest).encode()
    try:
        write_atomically(out.absolute(), content)
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror or error})") from error
    return len(content)


def _check(pack: AvatarPack, people: Sequence[Identity], motion: MotionClip | None, out: Path, settings: WebSettings) -> None:
    if out.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{out}: a web page must end in .html")
    if out.is_dir():
        raise OutputError(f"{out}: is a folder")
    if not out.absolute().parent.is_dir():
        raise OutputError(f"{out}: the folder {out.absolute().parent} does not exist")
    if not 0 < len(people) <= MOST_PEOPLE:
        raise InputError(f"{len(people)} people cannot be put on a page", f"name 1 to {MOST_PEOPLE}")
    if settings.background not in BACKGROUNDS:
        raise InputError(f"there is no background called '{settings.background}'", f"choose one of {', '.join(BACKGROUNDS)}")
    if motion is not None:
        check_psi(pack, motion.params[0].psi())
    manifest = pack.manifest
    for person in people:
        if len(person.latent) != manifest.latent_size or person.row.max(initial=-1) >= manifest.rows:
            raise InputError(f"{person.name} does not belong to pack '{manifest.name}'")


def _about_people(pack: AvatarPack, people: Sequence[Identity]) -> list[dict[str, Any]]:
    return [{"name": person.name, "count": len(person), "neckJoint": person.neck_joint.tolist(), "thumbnail": picture}
            for person, picture in zip(people, thumbnails(pack, people), strict=True)]


def _about_basis(pack: AvatarPack) -> dict[str, Any]:
    has_scale, has_opacity = moves_scale_and_opacity(pack)
    return {"blocks": pack.basis[0].row_blocks, "shapes": basis_shapes(pack), "hasScale": has_scale, "hasOpacity": has_opacity}


def _about_following(settings: WebSettings) -> dict[str, Any]:
    following = settings.following
    return {"rotationGain": following.rotation_gain, "translationGain": following.translation_gain,
            "translationLimit": following.translation_limit, "shoulderShare": following.shoulder_share}


def _about_motion(motion: MotionClip) -> dict[str, Any]:
    """Where the head rests, which is the median of what was really tracked, and how long the last frame stands."""
    tracked = [p.head_translation for p in motion.params if p.state is TrackState.TRACKED]
    rest = np.median(np.stack(tracked or [p.head_translation for p in motion.params]), axis=0)
    return {"rest": rest.astype(float).tolist(), "frameMs": 1000 / motion.fps}


def _motion_part(pack: AvatarPack, people: Sequence[Identity], motion: MotionClip) -> PackedPart:
    """ψ of the pack and head poses of a motion; where scores correct ψ, that of everybody."""
    frames = motion.params
    times = [(p.time_ns - frames[0].time_ns) / 1e6 for p in frames]
    arrays = [whole_numbers("time", np.round(times), np.int32, differences=True)]
    arrays += [in_steps(name, np.stack(rows), kind=np.uint16) for name, rows in
               (("rotation", [p.head_rotation for p in frames]), ("translation", [p.head_translation for p in frames]))]
    if pack.response is not None and any(len(p.scores) for p in frames):
        for i, person in enumerate(people):
            avatar = Avatar(pack, person)
            arrays.append(in_steps(f"psi_{i}", np.stack([avatar.respond(p) for p in frames]), kind=np.uint16))
    else:
        arrays.append(in_steps("psi", check_psi(pack, np.stack([p.psi() for p in frames])), kind=np.uint16))
    return pack_part("motion", arrays)
