"""How the head is looked at: camera, shape of the picture, background, overlays."""

from __future__ import annotations

import math
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from agora_app.settings.store import SettingsStore
from core.errors import AgoraError
from core.geometry import PORTRAIT_DISTANCE, PORTRAIT_FOV_DEGREES
from core.pipeline.background import Background, Gradient, parse_background
from core.pipeline.live.state import Look, ViewPose

CANVASES = {"square": 1.0, "landscape": 16 / 9, "portrait": 9 / 16}
BACKGROUNDS = ("gradient", "#23262e", "white", "green", "blur", "transparent")
NEAREST, FARTHEST = 0.45, 4.0  # metres
STEEPEST = math.radians(80)
WIDEST_PAN = 0.3  # metres
_DOLLY_STEP = 1.12  # per notch of the wheel


class ViewModel(QObject):
    """Holds the `Look` of the session and keeps its lasting part in the settings.

    Signals:
        changed: camera, canvas, background or overlays are different now.
        failed: (what, hint) a background that cannot be used.
    """

    changed = Signal()
    failed = Signal(str, str)

    def __init__(self, session, store: SettingsStore, label: str = "", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session, self._store = session, store
        self._people = 1
        self._label = label
        self._background_text = store.settings.view.background
        self._background: Background = self._parsed(self._background_text) or Gradient()
        self._pose = ViewPose(mode=store.settings.view.mode)
        store.changed.connect(self._on_settings)
        self._push()

    # ------------------------------------------------------------------------------------------------------- what is set

    @property
    def pose(self) -> ViewPose:
        return self._pose

    @property
    def look(self) -> Look:
        """The look as the session has it."""
        width, height = self.canvas_size
        label = self._label if self._store.settings.recording.label else ""
        return Look(width, height, self._pose, self._background, label)

    @property
    def background_name(self) -> str:
        return self._store.settings.view.background

    @property
    def canvas_size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels, even; people stand side by side."""
        view = self._store.settings.view
        aspect = CANVASES[view.canvas] * self._people
        width, height = (view.size * aspect, view.size) if CANVASES[view.canvas] >= 1 else (view.size * self._people,
                                                                                             view.size / CANVASES[view.canvas])
        return _even(width), _even(height)

    def set_people(self, count: int) -> None:
        """One person, or two side by side."""
        if count != self._people:
            self._people = count
            self._push()

    def set_label(self, label: str) -> None:
        """The provenance line of the person on stage; shown when the settings ask for it."""
        self._label = label
        self._push()

    # ------------------------------------------------------------------------------------------------------------ camera

    def orbit(self, right: float, down: float, picture_height: float) -> None:
        """Turn the camera around the head by a drag of the mouse, in pixels of a picture of that height."""
        turn = math.pi / max(picture_height, 1.0)
        yaw = math.remainder(self._pose.yaw - right * turn, 2 * math.pi)
        pitch = min(max(self._pose.pitch + down * turn, -STEEPEST), STEEPEST)
        self._move(yaw=yaw, pitch=pitch)

    def pan(self, right: float, down: float, picture_height: float) -> None:
        """Move the head in the picture with the mouse."""
        visible = 2 * self._pose.distance * math.tan(math.radians(PORTRAIT_FOV_DEGREES) / 2)
        step = visible / max(picture_height, 1.0)
        pan_x = min(max(self._pose.pan_x + right * step, -WIDEST_PAN), WIDEST_PAN)
        pan_y = min(max(self._pose.pan_y - down * step, -WIDEST_PAN), WIDEST_PAN)
        self._move(pan_x=pan_x, pan_y=pan_y)

    def dolly(self, notches: float) -> None:
        """Come nearer (positive) or go away, a wheel's notch at a time."""
        self._move(distance=min(max(self._pose.distance * _DOLLY_STEP ** -notches, NEAREST), FARTHEST))

    def frame(self) -> None:
        """Bring the head back into the middle at the usual distance; the side it is seen from stays."""
        self._move(distance=PORTRAIT_DISTANCE, pan_x=0.0, pan_y=0.0)

    def reset(self) -> None:
        """The view of the start: in front, free."""
        self._pose = ViewPose()
        self._store.change("view", mode="free")
        self._push()

    def set_mode(self, mode: str) -> None:
        """"free", "follow" or "orbit"; asking for the mode that is on goes back to free."""
        mode = "free" if mode == self._pose.mode else mode
        self._store.change("view", mode=mode)
        self._move(mode=mode)

    # ----------------------------------------------------------------------------------------------- canvas and background

    def set_canvas(self, shape: str) -> None:
        self._store.change("view", canvas=shape)

    def set_size(self, pixels: int) -> None:
        self._store.change("view", size=pixels)

    def set_background(self, text: str) -> bool:
        """Any background the command line knows. Returns whether it can be used; `failed` says why not."""
        parsed = self._parsed(text)
        if parsed is None:
            self._store.change("view", background=self._background_text)
            return False
        self._background, self._background_text = parsed, text
        self._store.change("view", background=text)
        self._push()
        return True

    def cycle_background(self) -> str:
        """The next of the usual backgrounds; returns its name."""
        names = list(BACKGROUNDS)
        following = names[(names.index(self.background_name) + 1) % len(names)] if self.background_name in names else names[0]
        self.set_background(following)
        return following

    def toggle_landmarks(self) -> None:
        self._store.change("view", landmarks=not self._store.settings.view.landmarks)

    def close(self) -> None:
        """Nothing runs here."""

    # ------------------------------------------------------------------------------------------------------------ inside

    def _move(self, **values) -> None:
        self._pose = replace(self._pose, **values)
        self._push()

    def _push(self) -> None:
        self._session.set_look(self.look)
        self.changed.emit()

    def _parsed(self, text: str) -> Background | None:
        try:
            return parse_background(text)
        except AgoraError as error:
            self.failed.emit(error.message, error.hint)
            return None

    def _on_settings(self, section: str) -> None:
        if section == "view":
            view = self._store.settings.view
            self._pose = replace(self._pose, mode=view.mode)
            if view.background != self._background_text:
                self.set_background(view.background)
            self._push()
        elif section == "recording":
            self._push()


def _even(pixels: float) -> int:
    return 2 * max(1, round(pixels / 2))
