"""Exported pages in a real browser: how to open them, look at them, and what they must be equal to."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import system_libraries
from core.avatar.identity import Identity
from core.avatar.model import Avatar
from core.avatar.motion import head_motion
from core.avatar.pack import AvatarPack
from core.geometry import orbit_camera
from core.render.reference import render_reference
from core.types import HeadParams

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

# No network, no first-run pages, and OpenGL on the processor.
FLAGS = ("--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_COMPLAINTS = ("error", "warning")
_PATIENCE = 60.0  # seconds
_PICTURE = """([psi, view]) => {
  const bytes = agora.renderOnce(psi, view);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window; skips the test where there is none."""
    path = system_libraries.browser()
    if path is None:
        pytest.skip("there is no Chromium to open the page in")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


class OpenPage:
    """A page in the browser that has finished loading, paused, with what it complained about and asked for."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.path = page, path
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in _COMPLAINTS else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        self.is_ready = page.evaluate("agora.ready")

    def run(self, script: str):
        return self.page.evaluate(script)

    def state(self, name: str):
        return self.page.evaluate(f"agora.state.{name}")

    def until(self, script: str) -> None:
        """Wait until something is true on the page."""
        end = time.monotonic() + _PATIENCE
        while not self.page.evaluate(script):
            assert time.monotonic() < end, f"never came true: {script}"
            self.page.wait_for_timeout(30)

    def until_drawn(self) -> None:
        """Wait for the next picture on the canvas."""
        self.until(f"agora.state.pictures > {self.state('pictures')}")

    def picture(self, psi=None, **view) -> np.ndarray:
        """What `agora.renderOnce` gives, premultiplied RGBA 0..1 [H, W, 4]."""
        psi = None if psi is None else [float(value) for value in psi]
        raw = base64.b64decode(self.page.evaluate(_PICTURE, [psi, view]))
        return np.frombuffer(raw, np.uint8).reshape(view["height"], view["width"], 4) / 255


def reference_picture(pack: AvatarPack, person: Identity, params: HeadParams, yaw: float, pitch: float, size: int) -> np.ndarray:
    """The same picture, blended in float32 by the processor and drawn in float64; premultiplied RGBA [H, W, 4].

    Args:
        yaw, pitch: degrees.
    """
    avatar, camera = Avatar(pack, person, exact=True), orbit_camera(np.radians(yaw), np.radians(pitch), size, size)
    cloud = avatar.pose(avatar.coefficients(params.psi()), head_motion(params, person.neck_joint))
    color, coverage = render_reference(avatar.seen_from(camera, cloud), camera)
    return np.clip(np.concatenate([color, coverage[..., None]], -1), 0, 1)
