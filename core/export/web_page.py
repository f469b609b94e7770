"""The page itself: its files from resources/web_viewer put together into one, and what its controls show."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from core.assets import resource
from core.avatar.gl_layout import move_defines, rows_defines
from core.avatar.identity import Identity
from core.avatar.manifest import PackManifest
from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack
from core.export.web_arrays import PackedPart
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.render.renderer import open_renderer
from core.render.shader_source import WEBGL, shader_source
from core.types import PsiLayout

_MAIN = "main"
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([a-z_]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?(?:class|function|const)) (\w+)", re.MULTILINE)
_THUMBNAIL = 144  # pixels
_THUMBNAIL_DISTANCE = 1.1  # metres, a little nearer than the portrait
_THUMBNAIL_TOP, _THUMBNAIL_BOTTOM = (0.42, 0.46, 0.53), (0.15, 0.17, 0.21)
_SCORES_HELP = (', or <code>{type: "agora-scores", scores: {jawOpen: 0.4, …}}</code> with blendshape scores as MediaPipe’s face '
                "landmarker names them")
_GAZE = 0.45  # radians at the end of the slider, and at a score of one
_PLAIN_JAW = 0.35  # radians, of heads that do not tell how far their jaw opens
_PLAIN_SLIDERS = 8  # of expressions that have no names
_PLAIN_REACH = 2.0  # standard deviations, as FLAME's expressions are measured

# Sliders on heads with ARKit's expressions: what their upper and their lower half bring out.
_ARKIT_SLIDERS: tuple[tuple[str, dict[str, float], dict[str, float]], ...] = (
    ("Smile", {"mouthSmile": 0.9, "cheekSquint": 0.5, "mouthUpperUp": 0.25}, {"mouthFrown": 0.9}),
    ("Lips", {"mouthPucker": 1.0}, {"mouthStretch": 0.9}),
    ("Teeth", {"mouthUpperUp": 0.9, "mouthLowerDown": 0.7}, {}),
    ("Brows", {"browInnerUp": 0.9, "browOuterUp": 0.9}, {"browDown": 0.9}),
    ("Blink", {"eyeBlink": 1.0}, {"eyeWide": 0.9}),
    ("Cheeks", {"cheekPuff": 1.0}, {}),
    ("Nose", {"noseSneer": 0.9}, {}),
    ("Tongue", {"tongueOut": 0.9}, {}),
)


def page_text(page: Mapping[str, Any], parts: Iterable[PackedPart], manifest: PackManifest) -> str:
    """The whole page.

    Args:
        page: what the scripts know of the pack; goes in as JSON.
        parts: the data.
    """
    described = dict(page) | {"parts": {}}
    scripts = []
    for part in parts:
        described["parts"][part.name] = {"name": part.name, "arrays": part.arrays}
        scripts.append(f'<script type="text/plain" id="part-{part.name}">{part.text}</script>')
    return Template(_read("template.html")).substitute(
        title=html.escape(page["title"]), style=_read("style.css").strip(), psi_size=manifest.psi.size,
        scores_help=_SCORES_HELP if page["scores"] else "", credits=html.escape(credits_of(manifest)),
        page=json.dumps(described, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c"), parts="\n".join(scripts),
        script=viewer_script())


def viewer_script(start: str = _MAIN) -> str:
    """A module of the page and all that it needs as one script: each in a scope of its own, after those that it imports."""
    scopes: dict[str, str] = {}

    def add(name: str) -> None:
        text = _read(f"{name}.js")
        for _, needed in _IMPORT.findall(text):
            if needed not in scopes:
                add(needed)
        exported = ", ".join(found for _, found in _EXPORT.findall(text))
        body = _EXPORT.sub(r"\1 \2", _IMPORT.sub(r"const \1 = \2_module;", text)).strip()
        scopes[name] = f"const {name}_module = (() => {{\n{body}\nreturn {{ {exported} }};\n}})();"

    add(start)
    return "\n\n".join(scopes.values())


def page_shaders(manifest: PackManifest) -> dict[str, str]:
    """The renderer's own shaders in WebGL's dialect, told what they have to know of the pack."""
    splats, people = "core.render", "core.avatar"
    return {name: shader_source(f"{package}/{file}", defines, WEBGL) for name, package, file, defines in (
        ("cover", splats, "cover.vert", ()), ("rows", people, "rows.frag", rows_defines(manifest)),
        ("move", people, "move.frag", move_defines(manifest)), ("project", splats, "project.frag", ()),
        ("splatVertex", splats, "splat.vert", ()),
        ("splatFragment", splats, "splat.frag", ()), ("resolve", splats, "resolve.frag", ()),
        ("present", splats, "resolve.frag", ("UPSIDE_DOWN",)))}


def credits_of(manifest: PackManifest) -> str:
    """Who made the pack and how it may be used."""
    made = f"{manifest.name}{f' by {manifest.creator}' if manifest.creator else ''}."
    return f"{made} Licence: {manifest.licence}." if manifest.licence else made


def expression_names(manifest: PackManifest, motion_names: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the pack's expressions, as far as anybody knows them."""
    head = load_open_head()
    if manifest.head_sha256 == head.sha256 and manifest.psi.expression == head.expression_count:
        return tuple(head.expression_names)
    return tuple(motion_names) if len(motion_names) == manifest.psi.expression else ()


def page_sliders(layout: PsiLayout, names: Sequence[str]) -> list[dict[str, Any]]:
    """The face by hand: what each slider adds to ψ above and below its middle, as pairs of an entry and its weight."""
    sliders = []
    if layout.jaw:
        opening = load_open_head().jaw_open_angle if names else _PLAIN_JAW
        sliders.append(_slider("Jaw", [(layout.expression, opening)]))
    if "mouthSmileLeft" in names:
        sliders += [_slider(label, _entries(names, up), _entries(names, down)) for label, up, down in _ARKIT_SLIDERS]
    else:
        sliders += [_slider(f"Expression {i + 1}", [(i, _PLAIN_REACH)], [(i, -_PLAIN_REACH)])
                    for i in range(min(layout.expression, _PLAIN_SLIDERS))]
    if layout.eyes:
        eyes = [layout.expression + layout.jaw + 3 * side for side in range(layout.eyes // 3)]
        sliders.append(_slider("Gaze across", [(eye + 1, _GAZE) for eye in eyes], [(eye + 1, -_GAZE) for eye in eyes]))
        sliders.append(_slider("Gaze up", [(eye, -_GAZE) for eye in eyes] + _entries(names, {"eyeLookUp": 0.8}),
                               [(eye, _GAZE) for eye in eyes] + _entries(names, {"eyeLookDown": 0.8})))
    if layout.eyelids:
        first = layout.size - layout.eyelids
        sliders.append(_slider("Blink", [(first + i, 1.0) for i in range(layout.eyelids)]))
    return sliders


def page_scores(layout: PsiLayout, names: Sequence[str]) -> dict[str, Any] | None:
    """How ψ follows a face landmarker's scores, where the pack's expressions are called like them."""
    if "mouthSmileLeft" not in names or layout.jaw != 3 or layout.eyes != 6:
        return None
    head = load_open_head()
    return {"names": list(names), "jaw": layout.expression, "jawOpen": head.jaw_open_angle, "jawYaw": head.jaw_yaw_angle,
            "gaze": _GAZE}


def thumbnails(pack: AvatarPack, people: Sequence[Identity]) -> list[str]:
    """A small picture of everybody at rest, as data addresses."""
    camera = orbit_camera(0.0, 0.0, _THUMBNAIL, _THUMBNAIL, _THUMBNAIL_DISTANCE)
    renderer = open_renderer("cpu")
    wall = np.linspace(np.array(_THUMBNAIL_TOP), np.array(_THUMBNAIL_BOTTOM), _THUMBNAIL)[:, None]
    pictures = []
    for person in people:
        avatar = Avatar(pack, person)
        cloud = avatar.pose(avatar.coefficients(np.zeros(pack.manifest.psi.size, np.float32)))
        head = renderer.render(avatar.seen_from(camera, cloud), camera).astype(np.float32)
        picture = (head[..., :3] + (255 - head[..., 3:]) * wall).round().clip(0, 255).astype(np.uint8)
        content = io.BytesIO()
        Image.fromarray(picture).save(content, "JPEG", quality=88)
        pictures.append("data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode("ascii"))
    renderer.close()
    return pictures


def _slider(label: str, up: list[tuple[int, float]], down: Sequence[tuple[int, float]] = ()) -> dict[str, Any]:
    name = label.lower().replace(" ", "-")
    return {"id": name, "label": label, "low": -1 if down else 0, "high": 1, "up": up, "down": list(down)}


def _entries(names: Sequence[str], weights: Mapping[str, float]) -> list[tuple[int, float]]:
    """Entries of ψ by name; a name without ``Left`` or ``Right`` stands for both sides. Unknown names are left out."""
    return [(i, weight) for name, weight in weights.items()
            for i, known in enumerate(names) if known in (name, f"{name}Left", f"{name}Right")]


def _read(name: str) -> str:
    return (_folder() / name).read_text(encoding="utf-8")


def _folder() -> Path:
    return resource("web_viewer")
