"""What the user changes about the motion: gains, offsets, preset faces, freeze, relative driving."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, Signal

from agora_app.models.face_rows import FaceRow, face_rows, levels, offsets_of
from agora_app.settings.store import SettingsStore
from core.head.library import load_open_head
from core.head.model import HeadModel
from core.head.presets import preset
from core.pipeline.live.state import DriveControls, Gains, LivePicture

GAINS = ("brows", "eyes", "jaw", "mouth", "head")
LARGEST_GAIN = 2.0
PRESETS = ("smile", "grin", "surprise", "frown", "wink", "pucker", "blink", "jaw open", "cheek puff")  # by key, from 1
SHOWN_PER_SECOND = 15


class DriveModel(QObject):
    """Holds the `DriveControls` of the session. Gains and relative driving are kept in the settings, the rest is not.

    Signals:
        changed: any control is different now.
        psi_shown: (levels [rows] in the units of `psi_columns`) what the picture shows, at most 15 times a second.

    Args:
        head: the head model whose columns are steered; the open head by default.
    """

    changed = Signal()
    psi_shown = Signal(object)

    def __init__(self, session, store: SettingsStore, parent: QObject | None = None, *, head: HeadModel | None = None) -> None:
        super().__init__(parent)
        self._session, self._store = session, store
        self._head = head or load_open_head()
        self._rows = face_rows(self._head)
        self._row_of = {row.name: row for row in self._rows}
        self._size = self._head.psi_layout.size
        self._offsets: dict[str, float] = {}
        self._frozen = False
        self._preset: int | None = None
        self._faces = [preset(self._head, name).head_params() for name in PRESETS]
        self._gains = dict.fromkeys(GAINS, 1.0)
        self._relative = False
        self._read()
        self._shown_ns: int | None = None
        store.changed.connect(self._on_settings)
        self._push()

    # ------------------------------------------------------------------------------------------------------- what is set

    def psi_columns(self) -> tuple[FaceRow, ...]:
        """All rows that can be shown and offset, group by group."""
        return self._rows

    def gain(self, group: str) -> float:
        return self._gains[group]

    def offset(self, name: str) -> float:
        """Offset of a row in its own unit."""
        return self._offsets.get(name, 0.0)

    @property
    def has_offsets(self) -> bool:
        return bool(self._offsets)

    @property
    def frozen(self) -> bool:
        return self._frozen

    @property
    def relative(self) -> bool:
        return self._relative

    @property
    def preset(self) -> int | None:
        """Number of the preset that is on, from 1; None for none."""
        return self._preset

    @property
    def controls(self) -> DriveControls:
        """As the session has them."""
        psi, rotation = offsets_of(self._rows, self._offsets, self._size)
        return DriveControls(Gains(**self._gains), psi if psi.any() else np.zeros(0, np.float32), rotation, self._frozen,
                             self._relative, None if self._preset is None else self._faces[self._preset - 1])

    # ---------------------------------------------------------------------------------------------------------- changing

    def set_gain(self, group: str, value: float) -> None:
        """How strongly a part of the face follows, 0..2. Raises KeyError for a part that does not exist."""
        value = min(max(float(value), 0.0), LARGEST_GAIN)
        if value != self._gains[group]:
            self._gains[group] = value
            self._save_and_push()

    def set_offset(self, name: str, value: float) -> None:
        """Add to a row, in its own unit; more than its limit is not taken. Raises KeyError for a row that does not exist."""
        limit = self._row_of[name].limit
        value = min(max(float(value), -limit), limit)
        if value == self.offset(name):
            return
        self._offsets.pop(name, None)
        if value:
            self._offsets[name] = value
        self._push()

    def reset_offsets(self) -> None:
        if self._offsets:
            self._offsets.clear()
            self._push()

    def set_frozen(self, frozen: bool) -> None:
        """Hold the face and head as they are."""
        if frozen != self._frozen:
            self._frozen = frozen
            self._push()

    def toggle_frozen(self) -> None:
        self.set_frozen(not self._frozen)

    def set_relative(self, relative: bool) -> None:
        """Drive by the difference to a zero pose; switched on, the pose of this moment becomes it."""
        if relative != self._relative:
            self._relative = relative
            if relative:
                self._session.rezero()
            self._save_and_push()

    def rezero(self) -> None:
        """What is tracked now becomes the zero pose, and the place the head rests at."""
        self._session.rezero()

    def apply_preset(self, index: int | None) -> None:
        """Put on a preset face, by its number from 1; none with None or 0, or when it is on already."""
        index = index or None
        if index is not None and not 1 <= index <= len(PRESETS):
            raise IndexError(f"there is no preset {index}")
        index = None if index == self._preset else index
        if index != self._preset:
            self._preset = index
            self._push()

    def reset(self) -> None:
        """Everything as tracked."""
        self._offsets.clear()
        self._gains = dict.fromkeys(GAINS, 1.0)
        self._frozen = self._relative = False
        self._preset = None
        self._save_and_push()

    # ------------------------------------------------------------------------------------------------------------ showing

    def show_picture(self, picture: LivePicture) -> None:
        """Tell what a finished picture shows, unless that was told less than a fifteenth of a second before."""
        since = None if self._shown_ns is None else picture.finished_ns - self._shown_ns
        if (since is not None and 0 <= since < 1e9 / SHOWN_PER_SECOND) or len(picture.psi) != self._size:
            return
        self._shown_ns = picture.finished_ns
        self.psi_shown.emit(levels(self._rows, picture.psi, picture.driven.head_rotation))

    def close(self) -> None:
        """Nothing runs here."""

    # ------------------------------------------------------------------------------------------------------------ inside

    def _read(self) -> None:
        drive = self._store.settings.drive
        self._gains = {group: getattr(drive, group) for group in GAINS}
        self._relative = drive.relative

    def _save_and_push(self) -> None:
        self._store.change("drive", relative=self._relative, **self._gains)
        self._push()

    def _on_settings(self, section: str) -> None:
        """Somebody else, such as the preferences, has changed them."""
        if section != "drive":
            return
        before = (dict(self._gains), self._relative)
        self._read()
        if (self._gains, self._relative) != before:
            if self._relative and not before[1]:
                self._session.rezero()
            self._push()

    def _push(self) -> None:
        self._session.set_drive(self.controls)
        self.changed.emit()
