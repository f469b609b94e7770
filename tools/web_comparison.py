"""What a frame of an exported page costs, next to two published methods on the same cloud in the same Chromium.

Run it as ``python -m tools.web_comparison``. Every method draws one picture that is compared with the float64 reference first;
only methods that draw the head are timed. The cost is processor time of all of the browser's processes, the least of several
rounds, in which the methods take turns. Without a graphics processor that includes what one would do, and software OpenGL handles
the instances that both published methods draw one by one: a real device loses less by them.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

import system_libraries
from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.pack import AvatarPack
from core.avatar.sources import StudioSource
from core.export.web import export_web
from core.export.web_arrays import PackedArray, pack_part, whole_numbers
from core.export.web_page import viewer_script
from core.geometry import orbit_camera, quat_multiply
from core.head.library import load_open_head
from core.head.presets import preset
from core.render.benchmark import psnr
from core.render.reference import render_reference
from core.types import Camera, FloatArray, Gaussians

OURS, STATIC, PLANES = "exported page", "method of antimatter15/splat", "method of AGORA-M's viewer"
DRAWS_THE_HEAD_DB = 20.0
_WIDTH, _SCENE_SCALE = 1024, 8.0
FLAGS = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
          "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@dataclass(frozen=True)
class Cost:
    """A method's picture and price."""

    method: str
    psnr: float
    cpu_ms: float


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1000, help="the studio person")
    parser.add_argument("--size", type=int, default=512, help="pixels along a side")
    parser.add_argument("--frames", type=int, default=6, help="in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--planes", type=int, default=32, help="components of AGORA-M's method; its page takes 32, or 64")
    options = parser.parse_args()
    if system_libraries.browser() is None:
        print("error: there is no Chromium here", file=sys.stderr)
        return 2
    source = StudioSource()
    costs = compare(source.pack, source.build(options.seed), options.size, options.frames, options.rounds, options.planes)
    ours = next(cost for cost in costs if cost.method == OURS)
    for cost in costs:
        print(f"{cost.method:30s} {cost.psnr:5.1f} dB   {cost.cpu_ms:7.0f} CPU-ms a frame   {cost.cpu_ms / ours.cpu_ms:5.2f} x")
    return 0


def compare(pack: AvatarPack, person: Identity, size: int, frames: int, rounds: int, components: int) -> list[Cost]:
    """Costs of the three methods. Raises RuntimeError when one does not draw the head."""
    from playwright.sync_api import sync_playwright

    avatar, camera = Avatar(pack, person, exact=True), orbit_camera(0.0, 0.0, size, size)
    faces = [preset(load_open_head(), name).head_params().psi() for name in ("neutral", "smile")]
    clouds = [avatar.pose(avatar.coefficients(psi)) for psi in faces]
    expected = [_reference(cloud, camera) for cloud in clouds]
    weights = [plane_weights(avatar, psi, components) for psi in faces]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        ours, theirs = Path(folder) / "ours.html", Path(folder) / "theirs.html"
        export_web(pack, [person], None, ours)
        theirs.write_text(methods_page(pack, person, clouds[0], camera, components))
        browser = playwright.chromium.launch(executable_path=system_libraries.browser(), headless=True, args=list(FLAGS))
        pages = {OURS: browser.new_page(), STATIC: browser.new_page(), PLANES: browser.new_page()}
        pages[OURS].goto(ours.as_uri())
        pages[OURS].evaluate("agora.ready.then(() => { agora.pause(); })")
        for method, name in ((STATIC, "static"), (PLANES, "planes")):
            pages[method].goto(f"{theirs.as_uri()}#{name}")
            pages[method].evaluate("ready")
        scripts = {OURS: _ours(faces, size), STATIC: "i => method.draw()",
                   PLANES: f"i => method.draw(Float32Array.from({json.dumps([w.tolist() for w in weights])}[i % 2]))"}
        look = {OURS: "agora.last", STATIC: "method.bytes()", PLANES: "method.bytes()"}
        found = {}
        for method, page in pages.items():
            face = 0 if method == STATIC else 1
            found[method] = psnr(_picture(page, scripts[method], face, look[method], size), expected[face])
            if found[method] < DRAWS_THE_HEAD_DB:
                raise RuntimeError(f"{method} does not draw the head: {found[method]:.1f} dB")
        least = dict.fromkeys(pages, float("inf"))
        for _ in range(rounds):
            for method, page in pages.items():
                least[method] = min(least[method], _cpu_ms(page, scripts[method], frames))
        browser.close()
    return [Cost(method, found[method], least[method]) for method in pages]


def _reference(cloud: Gaussians, camera: Camera) -> FloatArray:
    color, coverage = render_reference(cloud, camera)
    return np.clip(np.concatenate([color, coverage[..., None]], -1), 0, 1)


def _ours(faces: list[FloatArray], size: int) -> str:
    """A frame of our page: coefficients, blend, motion, depths, order, picture."""
    return (f"i => {{ agora.last = agora.renderOnce({json.dumps([psi.tolist() for psi in faces])}[i % 2], "
            f"{{width: {size}, height: {size}, rotation: [0, 0, 0], translation: null}}); }}")


def _picture(page, script: str, face: int, look: str, size: int) -> FloatArray:
    raw = page.evaluate(f"""(() => {{ ({script})({face}); const bytes = {look}; let text = "";
        for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
        return btoa(text); }})()""")
    return np.frombuffer(base64.b64decode(raw), np.uint8).reshape(size, size, 4) / 255


def _cpu_ms(page, script: str, frames: int) -> float:
    """Processor milliseconds of the whole browser per frame; a pixel is read after each, so that all of it is done."""
    finish = "const gl = document.querySelector('canvas').getContext('webgl2'); const one = new Uint8Array(4);"
    run = f"""(count) => {{ const frame = {script}; {finish}
        for (let i = 0; i < count; i++) {{ frame(i); gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, one); }} }}"""
    page.bring_to_front()
    page.evaluate(run, 1)
    before = _browser_seconds()
    page.evaluate(run, frames)
    return 1e3 * (_browser_seconds() - before) / frames


def _browser_seconds() -> float:
    total = 0.0
    for process in psutil.Process().children(recursive=True):
        times = process.cpu_times()
        total += times.user + times.system
    return total


def plane_weights(avatar: Avatar, psi: FloatArray, components: int) -> FloatArray:
    """[64, 4] coefficients of position, scale, rotation and opacity; those beyond `components` are left out, as there."""
    weights, ends = np.zeros((64, 4), np.float32), np.cumsum(avatar.pack.manifest.components)[:-1]
    parts = np.split(avatar.coefficients(psi), ends)
    for lane, part in ((0, parts[0]), (1, parts[2]), (2, parts[1]), (3, parts[3])):
        used = min(components, len(part))
        weights[:used, lane] = part[:used]
    return weights.reshape(-1)


def gaussian_planes(pack: AvatarPack, person: Identity, components: int, rows: int) -> FloatArray:
    """The basis at every Gaussian [K, 3, rows·1024, 4] in half floats: positions, turns as additions to quaternions, opacities.

    Sizes stay, and what hangs on a row at a distance moves as the row does: a few hair tips lie elsewhere, and cost the same.
    """
    planes = np.zeros((components, 3, rows * _WIDTH, 4), np.float16)
    moving = np.flatnonzero(person.row >= 0)
    row, quat = person.row[moving], person.gaussians.quat[moving]
    xyz, rotation, _, opacity = (basis.dense() for basis in pack.basis)
    for k in range(components):
        if k < len(xyz):
            planes[k, 0, moving, :3] = xyz[k, row]
        if k < len(rotation):
            half = np.concatenate([np.zeros((len(row), 1), np.float32), 2 * rotation[k, row]], 1)
            added = quat_multiply(half, quat)
            planes[k, 1, moving, 2:], planes[k, 2, moving, :2] = added[:, :2], added[:, 2:]
        if k < len(opacity):
            planes[k, 2, moving, 2] = person.opacity_gain[moving] * opacity[k, row, 0]
    return planes


def methods_page(pack: AvatarPack, person: Identity, resting: Gaussians, camera: Camera, components: int) -> str:
    """A page with the two methods' data and code; its fragment says which one runs."""
    count, rows = len(resting), -(-len(resting) // _WIDTH)
    base = np.zeros((4, rows * _WIDTH, 4), np.float32)
    base[0, :count, :3], base[0, :count, 3], base[1, :count, :3] = resting.xyz, resting.opacity, resting.scale
    base[2, :count], base[3, :count, :3] = resting.quat, resting.rgb
    depth = resting.xyz @ camera.world_to_camera[2, :3]
    planes = gaussian_planes(pack, person, components, rows)
    parts = [pack_part("cloud", [PackedArray("base", base.reshape(-1, 1)),
                                 whole_numbers("order", np.argsort(depth, kind="stable"), np.int32)]),
             pack_part("planes", [PackedArray("planes", planes.view(np.uint16).reshape(-1, 4), differences=True)])]
    view = camera.world_to_camera.astype(float).copy()
    view[:3, 3] *= _SCENE_SCALE
    about = {"rows": rows, "components": components, "size": camera.width, "focal": camera.fx,
             "view": view.T.reshape(-1).tolist(),
             "parts": {part.name: {"name": part.name, "arrays": part.arrays} for part in parts}}
    script = Path(__file__).with_name("web_methods.js").read_text(encoding="utf-8").replace("export function", "function")
    modules = viewer_script(start="decode")
    data = "\n".join(f'<script type="text/plain" id="part-{part.name}">{part.text}</script>' for part in parts)
    return f"""<!doctype html><meta charset="utf-8"><body><canvas width="{camera.width}" height="{camera.height}"></canvas>
{data}
<script>
{modules}
{script}
const about = {json.dumps(about)}, wanted = location.hash.slice(1);
let method = null;
const ready = (async () => {{
  const cloud = {{ ...about, ...await decode_module.readPart(about.parts.cloud) }};
  if (wanted === "planes") cloud.planes = (await decode_module.readPart(about.parts.planes)).planes;
  method = makeMethod(document.querySelector("canvas"), cloud, about);
}})();
</script>"""


if __name__ == "__main__":
    sys.exit(main())
