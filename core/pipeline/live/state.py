"""What the live chain is told and what it tells: frozen values that cross threads, and the protocols of its ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import numpy as np

from core.avatar.identity import Identity
from core.avatar.pack import AvatarPack
from core.geometry import PORTRAIT_DISTANCE
from core.pipeline.background import Background, Gradient, Picture
from core.pipeline.timing import StageTimes
from core.types import Camera, FloatArray, Frame, HeadParams, Landmarks

# -------------------------------------------------------------------------------------------------------------- sources


class SourceState(Enum):
    """How a source is doing."""

    NONE = "none"
    OPENING = "opening"
    RUNNING = "running"
    LOST = "lost"  # it delivered and no longer does; it is being opened again
    ENDED = "ended"  # a file that does not loop is over
    FAILED = "failed"  # it could not be opened; it is tried again only when the user asks


@dataclass(frozen=True)
class SourceStatus:
    """State of the source in words for the user.

    Attributes:
        name: of the source.
        detail: what happened, one line; empty when all is well.
        hint: what to do about it.
        width, height: of its frames, 0 when not known (a motion clip has none).
        fps: frames that really arrive per second.
    """

    state: SourceState = SourceState.NONE
    name: str = ""
    detail: str = ""
    hint: str = ""
    width: int = 0
    height: int = 0
    fps: float = 0.0


@dataclass(frozen=True)
class Captured:
    """One item of a source.

    Attributes:
        value: a picture to be tracked, or parameters that need no tracking (motion clips, the demo).
        captured_ns: `perf_counter_ns` at which it was captured or, for files, was due. Also the `time_ns` of the value.
        position_ns: place in the file it came from, None for cameras.
        lap: how often the file has started anew.
    """

    value: Frame | HeadParams
    captured_ns: int
    position_ns: int | None = None
    lap: int = 0


class FrameSource(Protocol):
    """Something that delivers frames or parameters. Opened, read and closed in one thread of the capture stage.

    Attributes:
        name: for the user.
        is_live: a camera, which can be lost and come back; a file cannot.
    """

    name: str
    is_live: bool

    def open(self) -> None:
        """Make ready; may block for seconds. Raises AgoraError in words for the user."""

    def read(self) -> Captured | None:
        """The next item, waiting for it (files: until it is due). None when nothing came in time.

        Raises:
            EOFError: a file is over.
            AgoraError: the device is gone.
        """

    def close(self) -> None:
        """Release the device; harmless when it was never opened."""


# ------------------------------------------------------------------------------------------------------------- controls


@dataclass(frozen=True)
class ViewPose:
    """Where the camera stands.

    Attributes:
        yaw, pitch: radians around the head; positive is toward the subject's left, and up.
        distance: metres.
        pan_x, pan_y: metres by which the looked-at point is moved to the right and up in the picture.
        mode: "free" (as set), "follow" (turns with the head) or "orbit" (swings slowly around), both about the pose above.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    distance: float = PORTRAIT_DISTANCE
    pan_x: float = 0.0
    pan_y: float = 0.0
    mode: str = "free"


@dataclass(frozen=True)
class Look:
    """What the picture is made of, beside the people.

    Attributes:
        width, height: of the picture, even numbers of pixels. Several people stand side by side in it.
        view: the camera.
        background: what stands behind the head.
        label: provenance line written into the lower corner, empty for none.
    """

    width: int = 512
    height: int = 512
    view: ViewPose = field(default_factory=ViewPose)
    background: Background = field(default_factory=Gradient)
    label: str = ""


@dataclass(frozen=True, eq=False)
class Cast:
    """Who is on stage: one person, or two for a comparison."""

    pack: AvatarPack
    identities: tuple[Identity, ...]


@dataclass(frozen=True)
class Gains:
    """How strongly parts of the face follow; 1 is as tracked."""

    brows: float = 1.0
    eyes: float = 1.0
    jaw: float = 1.0
    mouth: float = 1.0
    head: float = 1.0


@dataclass(frozen=True, eq=False)
class DriveControls:
    """What the user changes about the motion.

    Attributes:
        gains: per part of the face.
        psi_offset: [P] added to the driving vector ψ, empty for none.
        rotation_offset: [3] axis-angle, radians, added to the head's rotation.
        frozen: hold the face and head as they are.
        relative: drive by the difference to the zero pose that `LiveSession.rezero` takes.
        preset: a face that replaces the tracked expression, None for none.
        rotation_gain: as `core.avatar.motion.MotionSettings`; multiplied by `gains.head`.
    """

    gains: Gains = field(default_factory=Gains)
    psi_offset: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    rotation_offset: FloatArray = field(default_factory=lambda: np.zeros(3, np.float32))
    frozen: bool = False
    relative: bool = False
    preset: HeadParams | None = None
    rotation_gain: float = 1.0

    @property
    def is_neutral(self) -> bool:
        """Whether tracked parameters pass unchanged (relative driving counts as unchanged: it is part of the parameters)."""
        return (self.gains == Gains() and not self.psi_offset.any() and not self.rotation_offset.any()
                and self.preset is None and self.rotation_gain == 1.0)


# --------------------------------------------------------------------------------------------------------------- results


@dataclass(frozen=True, eq=False)
class LivePicture:
    """A finished picture and everything that belongs to it. Arrays are not to be written to.

    Attributes:
        image: uint8 RGB [H, W, 3] as on screen (a transparent background is drawn as nothing: see `heads`).
        heads: premultiplied RGBA [h, w, 4] of each person, side by side in `image`.
        params: what drove it, after freeze, relative driving and the loss policy.
        driven: what replays it exactly: `params`, or, where manual controls are active, ψ as shown and no scores.
        psi: [P] driving vector as shown on the first person.
        frame: the camera's frame, None for motion clips.
        landmarks: found in the frame, None when there were none.
        camera: of each head.
        captured_ns, finished_ns: `perf_counter_ns` of the capture and of the picture.
        position_ns, lap: as in `Captured`.
        index: running number.
        fresh: the parameters are new; otherwise the picture was drawn anew because the view or a control changed.
    """

    image: Picture
    heads: tuple[Picture, ...]
    params: HeadParams
    driven: HeadParams
    psi: FloatArray
    frame: Frame | None
    landmarks: Landmarks | None
    camera: Camera
    captured_ns: int
    finished_ns: int
    position_ns: int | None = None
    lap: int = 0
    index: int = 0
    fresh: bool = True


class Sink(Protocol):
    """Takes every finished picture (recorder, virtual camera, parameter sender). Called in the drawing thread."""

    def accept(self, picture: LivePicture) -> None:
        """Take a picture. Never waits; an exception removes the sink and is reported."""


@dataclass(frozen=True)
class Quality:
    """What the governor has chosen, and why, in words."""

    rung: int = 0
    name: str = "full quality"
    reason: str = ""


@dataclass(frozen=True)
class LiveStats:
    """How the chain is doing, over about the last two seconds (latency: the last ten).

    Attributes:
        stages: processor milliseconds per stage: capture, track, drive, render, compose.
        source_fps, tracked_fps, drawn_fps, shown_fps: items per second.
        latency_p50_ms, latency_p95_ms: capture to paint.
        dropped: frames that were overwritten before anybody took them, since the start of the source.
        quality: the governor's choice.
        renderer: what draws, in words.
    """

    stages: tuple[StageTimes, ...] = ()
    source_fps: float = 0.0
    tracked_fps: float = 0.0
    drawn_fps: float = 0.0
    shown_fps: float = 0.0
    latency_p50_ms: float = 0.0
    latency_p95_ms: float = 0.0
    dropped: int = 0
    quality: Quality = field(default_factory=Quality)
    renderer: str = ""


@dataclass(frozen=True, eq=False)
class Observation:
    """What the tracker saw in one captured frame; given to observers in the tracker's thread."""

    frame: Frame
    landmarks: Landmarks | None
    params: HeadParams
