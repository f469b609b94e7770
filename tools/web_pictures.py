"""The picture of web pages in docs: four faces as a page and as the program draw them, and the page as visitors see it.

``python -m tools.web_pictures OUT.jpg`` exports eight studio people with the sample motion, and opens them in Chromium.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, sync_playwright

import system_libraries
from core.assets import resource
from core.avatar.model import Avatar
from core.avatar.sources import StudioSource
from core.export.web import WebSettings, export_web
from core.geometry import orbit_camera
from core.head.library import load_open_head
from core.head.presets import preset
from core.media.image import write_image
from core.render.benchmark import psnr
from core.render.renderer import open_renderer
from core.tracking.motion_clip import read_motion
from tools.web_comparison import FLAGS

SEEDS = range(1000, 1008)
_FACES = (("neutral", 0, 0.0), ("smile", 4, 25.0), ("jaw open", 6, -30.0), ("surprise", 7, 10.0))  # and who, and degrees
_CELL, _MARGIN, _TEXT = 420, 16, 26
_WALL = np.linspace((118, 128, 146), (40, 46, 56), _CELL)[:, None]
_SCREENS = ((1280, 800), (390, 800))
_MOMENT = 2.2  # seconds of the motion


def main(out: Path) -> None:
    """Make the picture."""
    source = StudioSource()
    people = [source.build(seed) for seed in SEEDS]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        path = Path(folder) / "page.html"
        export_web(source.pack, people, read_motion(resource("demo_motion.npz")), path, WebSettings(title="Studio people"))
        browser = playwright.chromium.launch(executable_path=system_libraries.browser(), headless=True, args=list(FLAGS))
        page = browser.new_page()
        _open(page, path)
        faces = [_face(page, source, people[who], who, name, yaw) for name, who, yaw in _FACES]
        screens = [_screen(browser.new_page(viewport={"width": width, "height": height}), path) for width, height in _SCREENS]
        browser.close()
    write_image(out, np.asarray(_sheet(faces, screens)))


def _open(page: Page, path: Path) -> None:
    page.goto(path.as_uri())
    page.evaluate("agora.ready.then(() => { agora.pause(); })")


def _face(page: Page, source: StudioSource, person, who: int, name: str, yaw: float) -> tuple[str, np.ndarray, np.ndarray]:
    """A face by the page and by the program."""
    psi = preset(load_open_head(), name).head_params().psi()
    page.evaluate(f"agora.setIdentity({who})")
    raw = page.evaluate("""([psi, view]) => { const bytes = agora.renderOnce(psi, view); let text = "";
        for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
        return btoa(text); }""", [psi.tolist(), {"yaw": yaw, "width": _CELL, "height": _CELL, "rotation": [0, 0, 0],
                                                 "translation": None}])
    drawn = np.frombuffer(base64.b64decode(raw), np.uint8).reshape(_CELL, _CELL, 4)
    avatar, camera = Avatar(source.pack, person), orbit_camera(np.radians(yaw), 0.0, _CELL, _CELL)
    own = open_renderer("cpu").render(avatar.pose(avatar.coefficients(psi)), camera)
    return f"{name}: {psnr(drawn / 255, own / 255):.0f} dB", _on_wall(drawn), _on_wall(own)


def _on_wall(rgba: np.ndarray) -> np.ndarray:
    clear = 1 - rgba[..., 3:].astype(np.float32) / 255
    return (rgba[..., :3] + clear * _WALL).round().clip(0, 255).astype(np.uint8)


def _screen(page: Page, path: Path) -> Image.Image:
    """The page as it is seen, in the middle of the motion, with the sliders open where there is room."""
    _open(page, path)
    if page.viewport_size["width"] > 800:
        page.click("#show-panel")
        page.evaluate("agora.setView({yaw: -18, pitch: 4})")
    else:
        page.evaluate("agora.setIdentity(5)")
    page.evaluate(f"agora.seek({_MOMENT})")
    seen = page.evaluate("agora.state.pictures")
    while page.evaluate("agora.state.pictures") < seen + 2:
        page.evaluate("agora.seek(agora.state.seconds)")
        page.wait_for_timeout(50)
    return Image.open(io.BytesIO(page.screenshot(timeout=120_000))).convert("RGB")


def _sheet(faces: list[tuple[str, np.ndarray, np.ndarray]], screens: list[Image.Image]) -> Image.Image:
    width = len(faces) * (_CELL + _MARGIN) + _MARGIN
    height = round((width - (1 + len(screens)) * _MARGIN) * screens[0].height / sum(screen.width for screen in screens))
    sheet = Image.new("RGB", (width, 2 * (_CELL + _MARGIN) + 2 * _TEXT + height + 3 * _MARGIN), (24, 27, 33))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    for column, (label, drawn, own) in enumerate(faces):
        x, y = _MARGIN + column * (_CELL + _MARGIN), _MARGIN
        for text, picture in ((f"page, {label}", drawn), ("program", own)):
            draw.text((x, y), text, (200, 206, 216), font)
            sheet.paste(Image.fromarray(picture), (x, y + _TEXT))
            y += _CELL + _TEXT + _MARGIN
    x = _MARGIN
    for screen in screens:
        small = screen.resize((round(screen.width * height / screen.height), height), Image.Resampling.LANCZOS)
        sheet.paste(small, (x, y))
        x += small.width + _MARGIN
    return sheet


if __name__ == "__main__":
    main(Path(sys.argv[1]))
