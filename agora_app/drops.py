"""What a dropped or opened file is, told from its name and first bytes, and the sheet that says so while it is dragged."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout, QWidget

from agora_app.theme import current_colors
from core.avatar.cloud_file import is_cloud_file
from core.errors import InputError
from core.media.ffmpeg import require_file
from core.media.image import SUFFIXES as IMAGE_SUFFIXES
from core.media.image import is_image

VIDEO, PHOTO, MOTION, PACK, REFUSED = "video", "photo", "motion", "pack", "refused"
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".flv", ".wmv",
                  ".ogv", ".gif", ".3gp")
_PICKLES = (".pkl", ".pt", ".pth", ".ckpt", ".pickle")
_SCANNED_MEMBERS = 2000


@dataclass(frozen=True)
class Drop:
    """A file and what can be done with it.

    Attributes:
        kind: "video", "photo" (a still picture), "motion", "pack" (or another file with people) or "refused".
        path: the file.
        words: what will happen, or why not; for the user.
    """

    kind: str
    path: Path
    words: str

    @property
    def is_accepted(self) -> bool:
        return self.kind != REFUSED


def classify(path: str | Path) -> Drop:
    """Look at a file's name and first bytes. Quick, and never raises: a file that cannot be used is refused in words."""
    path = Path(path)
    if path.is_dir():
        return Drop(REFUSED, path, f"{path.name or path} is a folder: drop the file in it that you want to open")
    try:
        require_file(path)
        return _by_content(path)
    except InputError as error:
        return Drop(REFUSED, path, error.message.replace(str(path), path.name))
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return Drop(REFUSED, path, f"{path.name} is damaged")


def classify_all(paths: Sequence[str]) -> Drop:
    """What can be done with files that are dropped together: the first one speaks for all, but photographs are counted."""
    first, *others = [classify(path) for path in paths]
    photos = [found for found in (first, *others) if found.kind == PHOTO]
    if first.kind == PHOTO and len(photos) > 1:
        return replace(first, words=f"Make an avatar of the person in these {len(photos)} photos")
    return first


def _by_content(path: Path) -> Drop:
    suffix, name = path.suffix.lower(), path.name
    if suffix == ".agora":
        if "manifest.json" in _members(path):
            return Drop(PACK, path, f"Add the people of {name}")
        return Drop(REFUSED, path, f"{name} is not an avatar pack: it has no manifest")
    if suffix == ".npz":
        if {"format.npy", "psi.npy", "time_ns.npy"} <= _members(path):
            return Drop(MOTION, path, f"Play the motion {name}")
        return Drop(REFUSED, path, f"{name} is not a motion clip")
    if suffix in _PICKLES:
        return Drop(REFUSED, path, f"{name} is not opened: files of this kind can run programs. Avatars come as .agora packs")
    if is_cloud_file(path):
        return Drop(PACK, path, f"Show the head in {name}")
    if is_image(path):
        return Drop(PHOTO, path, f"Make an avatar of the person in {name}")
    if suffix in VIDEO_SUFFIXES or _looks_like_video(path):
        return Drop(VIDEO, path, f"Let the face in {name} drive the head")
    if suffix in IMAGE_SUFFIXES:
        return Drop(REFUSED, path, f"{name} is called a picture but is none")
    return Drop(REFUSED, path, f"{name} cannot be opened here: drop a video, a photo, a motion clip (.npz) or a pack (.agora)")


def _members(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist()[:_SCANNED_MEMBERS])


def _looks_like_video(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(12)
    return head[4:8] == b"ftyp" or head[:4] == b"\x1aE\xdf\xa3" or (head[:4] == b"RIFF" and head[8:12] == b"AVI ")


class DropOverlay(QFrame):
    """A sheet over the picture that names what letting go will do. Covers its parent, takes no mouse events.

    Args:
        parent: what it covers.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName(self.tr("What will happen to the dragged file"))
        self._accepted = True
        column = QVBoxLayout(self)
        column.setContentsMargins(48, 48, 48, 48)
        column.addStretch(1)
        self.headline, self.details = QLabel(), QLabel()
        font = self.headline.font()
        font.setPointSizeF(font.pointSizeF() * 1.6)
        font.setWeight(font.Weight.DemiBold)
        self.headline.setFont(font)
        for label in (self.headline, self.details):
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.PlainText)
            column.addWidget(label)
        column.addStretch(1)
        parent.installEventFilter(self)
        self.hide()

    def announce(self, drop: Drop) -> None:
        """Show what will happen to the file."""
        self._accepted = drop.is_accepted
        self.headline.setText(drop.words if drop.is_accepted else self.tr("This cannot be opened"))
        self.details.setText(self.tr("Let go to open it. The file stays where it is.") if drop.is_accepted else drop.words)
        self.setGeometry(self.parentWidget().rect())
        self.raise_()
        self.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Resize and watched is self.parentWidget():
            self.setGeometry(self.parentWidget().rect())
        return super().eventFilter(watched, event)

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = current_colors()
        sheet = QColor(colors.window)
        sheet.setAlpha(235)
        painter.fillRect(self.rect(), sheet)
        edge = colors.accent if self._accepted else colors.bad
        painter.setPen(QPen(edge, 2, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(16, 16, -16, -16), 12, 12)
