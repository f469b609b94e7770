"""What a take is made of, as the rest of the window tells it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from core.media.live_sound import SoundSource
from core.pipeline.live.take import TakeAbout
from core.pipeline.provenance import pack_fingerprint
from core.version import VERSION


@dataclass(frozen=True)
class Scene:
    """What is on stage.

    Attributes:
        person: as the user names it.
        pack, pack_path: name and file of the avatar pack.
        canvas, background: as in the settings.
        source_kind, source_title, source_path: what drives: camera, video, motion or demo; in words; its file.
        shape: shape coefficients of the calibrated person in front of the camera.
    """

    person: str
    pack: str = ""
    pack_path: Path | None = None
    canvas: str = "square"
    background: str = "gradient"
    source_kind: str = "demo"
    source_title: str = ""
    source_path: str = ""
    shape: tuple[float, ...] = ()


class TakeContext(Protocol):
    """Tells what a take is made of."""

    def scene(self) -> Scene:
        """What is on stage now. Called in the GUI's thread."""


def take_about(scene: Scene, layout: str, sound: SoundSource | None) -> TakeAbout:
    """What goes into sidecar and metadata. Reads the pack's file: for a worker thread."""
    source = f"{scene.source_kind}: {scene.source_title}".rstrip(": ")
    fingerprint = pack_fingerprint(scene.pack_path) if scene.pack_path is not None else ""
    return TakeAbout(scene.person, scene.pack, fingerprint, VERSION, scene.canvas, scene.background, layout,
                     sound.name if sound is not None else "", source, scene.shape)
