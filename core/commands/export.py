"""`export`: people for other programs, as Gaussians, as a mesh or as a web page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

if TYPE_CHECKING:
    from core.avatar.identity import Identity
    from core.avatar.sources import IdentitySource
    from core.commands.progress import ProgressBars
    from core.export.clouds import CloudOptions
    from core.tracking.motion_clip import MotionClip
    from core.types import FloatArray, HeadParams

_FASTEST = 1000.0  # frames per second


@dataclass(kw_only=True)
class Options:
    """Write people for other programs. Several people, faces or frames make a folder of files."""

    kind: tyro.conf.Positional[Literal["ply", "splat", "spz", "glb", "web"]]
    """ply, splat, spz: Gaussians; glb: a mesh with blendshapes, joints and a texture; web: a page that plays in a browser."""
    seed: tuple[str, ...]
    """Who: whole numbers, ranges such as 0-7, or mixes such as 7+42@0.5."""
    out: Path
    """The file to write, or the folder."""
    pack: Path | None = None
    """Avatar pack (.agora) or a file of Gaussians; the studio people that ship with the program when left out."""
    motion: tuple[Path, ...] = ()
    """Motion clips (.npz) that `track` wrote: a folder with a file for every frame, animations in a glb, one plays in a page."""
    frames: str = ""
    """Which frames of the motion, counted from 0, such as 30-59; all when left out."""
    fps: float | None = None
    """Frames to a second; those of the motion when left out."""
    expression: tuple[str, ...] = ()
    """Faces such as neutral, smile or jaw open. In a glb each becomes an animation."""
    turn: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Degrees that the head is turned to the person's left, down, and toward the right shoulder."""
    axes: Literal["auto", "3dgs", "head"] = "auto"
    """3dgs: y down, as 3DGS files are; head: y up, the face looks along z. At auto, ply and splat are 3dgs, spz is y up."""
    sh_degree: int = 0
    """Degree of the spherical harmonics in a ply, 0 to 3; some readers want 3. All above 0 are zero."""
    averted: Literal["keep", "fade"] = "keep"
    """Gaussians of generated people that look away: keep them, or leave out what is not seen from the front."""
    title: str = ""
    """Of a web page; the pack's name when left out."""
    background: str = "gradient"
    """Of a web page: gradient, white or transparent."""


def run(options: Options) -> int:
    """Write the files. Ctrl-C leaves nothing."""
    from core.avatar.sources import open_source
    from core.commands.progress import ProgressBars
    from core.errors import InputError
    from core.pipeline.rerender import parse_people
    from core.tracking.motion_clip import read_motion

    names = parse_people(",".join(options.seed))
    write = {"glb": _write_glb, "web": _write_web}.get(options.kind, _write_clouds)
    _check(options)
    work = _Work(options, names, [_part_of(read_motion(path), path.stem, options) for path in options.motion])
    if len({clip.name for clip in work.clips}) < len(work.clips):
        raise InputError("two of the motions have the same name", "give their files different names")
    work.check_output()
    source = open_source(options.pack)
    with ProgressBars(lines=True) as progress:
        people = []
        for done, name in enumerate(names):
            progress("building", done, len(names))
            people.append(source.build_person(name))
        progress("building", len(names), len(names))
        print(f"{options.out}: {write(work, source, people, progress)}")
    return 0


@dataclass(frozen=True)
class _Clip:
    """A motion, or the part of it that is wanted."""

    name: str
    motion: MotionClip
    fps: float
    rest_translation: FloatArray


@dataclass(frozen=True)
class _Work:
    """What is to be written."""

    options: Options
    names: tuple[str, ...]
    clips: list[_Clip]

    @property
    def has_one_file(self) -> bool:
        """Whether all goes into one file."""
        options = self.options
        if options.kind == "web":
            return True
        if options.kind == "glb":
            return len(self.names) == 1
        still = len(self.clips) == 1 and len(self.clips[0].motion) == 1
        return len(self.names) == 1 and (still or not self.clips) and len(options.expression) <= 1

    def check_output(self) -> None:
        """Raise OutputError when the result cannot be written."""
        from core.export.clouds import check_file_output, check_folder_output

        if self.has_one_file:
            check_file_output(self.options.out, ".html" if self.options.kind == "web" else f".{self.options.kind}")
        else:
            check_folder_output(self.options.out)


def _check(options: Options) -> None:
    """Raise InputError for options that contradict each other or mean nothing."""
    from core.errors import InputError
    from core.head.presets import PRESET_NAMES

    unknown = [name for name in options.expression if name not in PRESET_NAMES]
    if unknown:
        raise InputError(f"there is no expression called '{unknown[0]}'", f"choose one of {', '.join(PRESET_NAMES)}")
    if not 0 <= options.sh_degree <= 3:
        raise InputError(f"--sh-degree {options.sh_degree} is not 0, 1, 2 or 3")
    if options.fps is not None and not 0 < options.fps <= _FASTEST:
        raise InputError(f"--fps {options.fps:g} is out of range", f"choose up to {_FASTEST:g}")
    if not all(math.isfinite(angle) and abs(angle) <= 180 for angle in options.turn):
        raise InputError("--turn takes three angles of at most 180 degrees")
    if (options.frames or options.fps) and not options.motion:
        raise InputError("--frames and --fps choose from a motion, and there is none", "give one with --motion")
    if options.kind in ("ply", "splat", "spz") and options.motion and (options.expression or any(options.turn)):
        raise InputError("a motion has its own faces and turns", "leave --expression and --turn out, or --motion")
    if options.kind == "spz" and options.axes == "3dgs":
        raise InputError("SPZ files are y up by their format", "leave --axes out")
    if options.kind == "web" and (len(options.motion) > 1 or options.expression):
        raise InputError("a web page plays one motion", "give one --motion and no --expression")
    if options.kind in ("glb", "web") and any(options.turn):
        raise InputError(f"--turn is for ply, splat and spz: the head of a {options.kind} can be turned where it is shown")


def _part_of(motion: MotionClip, name: str, options: Options) -> _Clip:
    from core.export.sequence import chosen_frames
    from core.pipeline.offline import resting_translation

    params, fps = chosen_frames(motion.params, motion.fps, _frame_range(options.frames), options.fps)
    return _Clip(name, replace(motion, params=tuple(params)), fps, resting_translation(motion.params))


def _frame_range(text: str) -> tuple[int, int] | None:
    from core.errors import InputError

    if not text:
        return None
    found = re.fullmatch(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9}))?\s*", text)
    if not found:
        raise InputError(f"--frames '{text}' is not a range", "for instance 30-59")
    return int(found[1]), int(found[2] or found[1])


# -------------------------------------------------------------------------------------------------------------- Gaussians


def _write_clouds(work: _Work, source: IdentitySource, people: Sequence[Identity], progress: ProgressBars) -> str:
    from core.avatar.model import Avatar
    from core.export.clouds import CloudOptions, whole_folder, write_cloud

    options = work.options
    cloud = CloudOptions(options.kind, "" if options.axes == "auto" else options.axes, options.sh_degree, options.averted)
    avatars = [Avatar(source.pack, person) for person in people]
    if work.has_one_file:
        clip = work.clips[0] if work.clips else None
        params = clip.motion.params[0] if clip else next(iter(_faces(options, avatars[0]).values()))
        made = write_cloud(options.out, avatars[0], params, cloud, clip.rest_translation if clip else None)
        return f"{len(made)} Gaussians, {_axes_in_words(cloud)}"
    with whole_folder(options.out) as folder:
        write = _write_sequences if work.clips else _write_faces
        count = write(work, avatars, cloud, folder, progress)
    return f"{count} files, {_axes_in_words(cloud)}"


def _write_faces(work: _Work, avatars: Sequence, cloud: CloudOptions, folder: Path, progress: ProgressBars) -> int:
    from core.export.clouds import write_cloud

    options, done = work.options, 0
    total = len(avatars) * max(len(options.expression), 1)
    for name, avatar in zip(work.names, avatars, strict=True):
        faces = _faces(options, avatar)
        own = folder / name if len(avatars) > 1 and len(faces) > 1 else folder
        own.mkdir(exist_ok=True)
        for face, params in faces.items():
            stem = name if len(faces) == 1 else face.replace(" ", "_")
            write_cloud(own / f"{stem}{cloud.suffix}", avatar, params, cloud)
            done += 1
            progress("writing", done, total)
    return total


def _write_sequences(work: _Work, avatars: Sequence, cloud: CloudOptions, folder: Path, progress: ProgressBars) -> int:
    from core.export.sequence import write_sequence

    before, total = 0, len(avatars) * sum(len(clip.motion) for clip in work.clips)
    for name, avatar in zip(work.names, avatars, strict=True):
        for clip in work.clips:
            own = folder.joinpath(*([name] if len(avatars) > 1 else []), *([clip.name] if len(work.clips) > 1 else []))
            own.mkdir(parents=True, exist_ok=True)
            write_sequence(own, avatar, clip.motion.params, clip.fps, cloud, clip.rest_translation,
                           lambda done, before=before: progress("writing", before + done, total))
            before += len(clip.motion)
    return total


def _faces(options: Options, avatar) -> dict[str, HeadParams]:
    """The faces by name, on a head that is turned as wanted."""
    import numpy as np

    from core.geometry import axis_angle_from_rotation, rotation_from_axis_angle
    from core.head.library import load_open_head
    from core.head.presets import preset
    from core.types import HeadParams

    yaw, pitch, roll = np.radians(options.turn)
    turn = np.eye(3)
    for axis_angle in ((0, yaw, 0), (pitch, 0, 0), (0, 0, roll)):
        turn = turn @ rotation_from_axis_angle(np.array(axis_angle, np.float64))
    rotation = axis_angle_from_rotation(turn).astype(np.float32)
    faces = {name: preset(load_open_head(), name).head_params() for name in options.expression}
    faces = faces or {"neutral": HeadParams.neutral(avatar.psi_layout.expression)}
    return {name: replace(params, head_rotation=rotation) for name, params in faces.items()}


def _axes_in_words(cloud: CloudOptions) -> str:
    return "y down" if cloud.file_axes == "3dgs" else "y up"


# ----------------------------------------------------------------------------------------------------------- mesh and page


def _write_glb(work: _Work, source: IdentitySource, people: Sequence[Identity], progress: ProgressBars) -> str:
    from core.export.clouds import whole_folder, write_file

    def write(person: Identity, path: Path) -> None:
        write_file(path, _glb_of(work, source, person))

    if work.has_one_file:
        write(people[0], work.options.out)
        return f"a mesh with blendshapes, joints and {_animations(work)}"
    with whole_folder(work.options.out) as folder:
        for done, (name, person) in enumerate(zip(work.names, people, strict=True), 1):
            write(person, folder / f"{name}.glb")
            progress("writing", done, len(people))
    return f"{len(people)} meshes with blendshapes, joints and {_animations(work)} each"


def _animations(work: _Work) -> str:
    count = len(work.clips) + len(work.options.expression)
    return f"{count or 'no'} animation{'s' * (count != 1)}"


def _glb_of(work: _Work, source: IdentitySource, person: Identity) -> bytes:
    from core.avatar.model import Avatar
    from core.export.glb import glb_bytes
    from core.export.head_rig import face_clip, motion_clip, rig_of, shape_of
    from core.export.mesh_texture import press_texture
    from core.head.library import load_open_head
    from core.head.presets import preset

    head, pack = load_open_head(), source.pack
    shaped = head.neutral(shape_of(pack, person, head))
    rig, avatar = rig_of(head, shaped), Avatar(pack, person)
    clips = [motion_clip(clip.name, rig, head, avatar, clip.motion.params, clip.rest_translation) for clip in work.clips]
    faces = [preset(head, name) for name in work.options.expression]
    clips += [face_clip(face.name, rig, head, face.expression, face.pose) for face in faces]
    return glb_bytes(person.name, rig, press_texture(head, shaped.vertices, pack, person), clips, pack.manifest.licence)


def _write_web(work: _Work, source: IdentitySource, people: Sequence[Identity], progress: ProgressBars) -> str:
    from core.errors import InputError
    from core.export.web import WebSettings, export_web

    if source.pack.manifest.kind == "static":
        raise InputError(f"'{source.pack.manifest.name}' has no expressions that a page could play",
                         "export it as ply, splat or spz")
    options, motion = work.options, work.clips[0].motion if work.clips else None
    progress("writing", 0, 1)
    size = export_web(source.pack, people, motion, options.out, WebSettings(options.title, options.background))
    progress("writing", 1, 1)
    return f"a web page of {len(people)} {'person' if len(people) == 1 else 'people'}, {size / 1e6:.1f} MB"
