"""What drives the avatar: which cameras there are, which of them, which file or the demo is playing, and how it is doing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal

from agora_app.settings.store import SettingsStore
from core.errors import AgoraError, InputError
from core.head.library import load_open_head
from core.media.cameras import CameraInfo, device_nodes, list_cameras
from core.media.video_reader import open_video
from core.pipeline.live.sources import CameraSource, MotionSource, VideoSource, demo_source
from core.pipeline.live.state import FrameSource, SourceState, SourceStatus
from core.tracking.motion_clip import MotionClip, read_motion

log = logging.getLogger(__name__)

MOTION_SUFFIX = ".npz"
MOST_RECENT = 10
_POLL_MS = 100
_LOOK_FOR_CAMERAS_MS = 3000
_JOIN_SECONDS = 2.0


@dataclass(frozen=True)
class Banner:
    """What the user must know about the source.

    Attributes:
        text: what happened.
        hint: what to do about it.
        retry: whether trying again may help.
    """

    text: str
    hint: str
    retry: bool


class SourceModel(QObject):
    """Chooses the source of the session and keeps the choice in the settings.

    No method raises or waits: files are looked at and cameras are listed in threads of their own.

    Signals:
        cameras_changed: other cameras are there, or the first look for them is over.
        status_changed: (SourceStatus) state, words, size or frames per second are different.
        choice_changed: something else is playing, or mirror, rotation, size or loop are different.
        failed: (what, hint) what was asked for cannot be had; what was playing goes on.

    Args:
        session: the live session.
        store: settings; sections source and application are kept here.
        enumerate_cameras, make_camera: replaced in tests.
    """

    cameras_changed = Signal()
    status_changed = Signal(object)
    choice_changed = Signal()
    failed = Signal(str, str)
    _answered = Signal(object)

    def __init__(self, session, store: SettingsStore, parent: QObject | None = None, *,
                 enumerate_cameras: Callable[[], list[CameraInfo]] = list_cameras,
                 make_camera: Callable[[CameraInfo, int, int, int], FrameSource] = CameraSource) -> None:
        super().__init__(parent)
        self._session, self._store = session, store
        self._enumerate, self._make_camera = enumerate_cameras, make_camera
        self._settings = store.settings.source
        self._cameras: tuple[CameraInfo, ...] = ()
        self._nodes: object = None
        self._searching, self._has_searched = False, False
        self._kind, self._path = "", ""
        self._camera: CameraInfo | None = None
        self._clip: MotionClip | None = None
        self._file_mirror, self._file_rotation = False, 0
        self._source: FrameSource | None = None
        self._status = SourceStatus()
        self._camera_wanted = False  # before it is known which there are
        self._request = 0
        self._threads: list[threading.Thread] = []
        self._closed = False
        self._answered.connect(self._on_answer, Qt.ConnectionType.QueuedConnection)
        self._poller = QTimer(self, interval=_POLL_MS)
        self._poller.timeout.connect(self._poll)
        self._poller.start()
        self._lookout = QTimer(self, interval=_LOOK_FOR_CAMERAS_MS)
        self._lookout.timeout.connect(self._look_for_changes)
        store.changed.connect(self._on_settings)
        self._start()

    # -------------------------------------------------------------------------------------------------------- what there is

    @property
    def cameras(self) -> tuple[CameraInfo, ...]:
        """Cameras as of the last look."""
        return self._cameras

    @property
    def has_searched(self) -> bool:
        """Whether the first look for cameras is over."""
        return self._has_searched

    @property
    def kind(self) -> str:
        """What is playing: "camera", "video", "motion", "demo", or nothing yet."""
        return self._kind

    @property
    def camera_id(self) -> str:
        """Id of the camera that is playing, or of the one to be chosen first."""
        return self._camera.id if self._camera else self._settings.camera_id

    @property
    def path(self) -> str:
        """File that is playing, or nothing."""
        return self._path

    def last_file(self, kind: str) -> str:
        """The file of a kind ("video" or "motion") that is playing or was last, or nothing."""
        if self._kind == kind:
            return self._path
        files = self._store.settings.application.recent
        return next((path for path in files if _is_motion(path) == (kind == "motion")), "")

    @property
    def status(self) -> SourceStatus:
        return self._status

    @property
    def mirror(self) -> bool:
        """Whether the picture of what is playing is mirrored. Files are not, whatever holds for cameras."""
        return {"camera": self._settings.mirror, "video": self._file_mirror}.get(self._kind, False)

    @property
    def rotation(self) -> int:
        """Degrees by which the picture of what is playing is turned clockwise."""
        return {"camera": self._settings.rotation, "video": self._file_rotation}.get(self._kind, 0)

    @property
    def loop(self) -> bool:
        return self._settings.loop

    @property
    def size(self) -> tuple[int, int]:
        """Width and height wanted of cameras; zeros leave it to them."""
        return self._settings.width, self._settings.height

    @property
    def banner(self) -> Banner | None:
        """What to tell the user about a source that was lost or failed."""
        if self._status.state not in (SourceState.LOST, SourceState.FAILED):
            return None
        return Banner(self._status.detail, self._status.hint, True)

    def title(self) -> str:
        """Short name of what is playing."""
        if self._kind == "camera" and self._camera is not None:
            return self._camera.name
        if self._kind in ("video", "motion"):
            return Path(self._path).name
        return self.tr("Demo") if self._kind == "demo" else self.tr("No source")

    # ------------------------------------------------------------------------------------------------------------- choosing

    def choose_camera(self, camera_id: str = "") -> None:
        """Play a camera; without an id the one of last time, else the first."""
        self._request += 1
        if not self._has_searched:
            self._store.change("source", kind="camera", camera_id=camera_id or self._settings.camera_id)
            self._camera_wanted = True
            return
        camera = self._camera_of(camera_id) if camera_id else self._preferred_camera()
        if camera is None:
            self.failed.emit(self.tr("That camera is not connected") if camera_id else self.tr("No camera was found"),
                             self.tr("Plug it in, then choose it again"))
            self.refresh_cameras()
            return
        self._store.change("source", kind="camera", camera_id=camera.id)
        if self._kind == "camera" and self._camera is not None and self._camera.id == camera.id:
            self.retry()
        else:
            self._play_camera(camera)

    def open_file(self, path: str) -> None:
        """Play a file: motion when it is called so, else a video or picture."""
        (self.open_motion if _is_motion(path) else self.open_video)(path)

    def open_video(self, path: str) -> None:
        """Play a video or a still picture as if it were a camera."""
        self._open("video", str(path), lambda: open_video(path))

    def open_motion(self, path: str) -> None:
        """Play recorded motion."""
        self._open("motion", str(path), lambda: _read_own_motion(Path(path)))

    def play_demo(self) -> None:
        """Play the motion that ships with the program."""
        self._request += 1
        self._store.change("source", kind="demo")
        self._play("demo")

    def retry(self) -> None:
        """Open what is playing again if it failed, was lost or is over."""
        self._session.retry_source()
        self._poll()

    # -------------------------------------------------------------------------------------------------------------- options

    def set_mirror(self, on: bool) -> None:
        """Mirror the pictures of what is playing. Lasting for cameras, for the moment with a video."""
        if self._kind == "video":
            self._file_mirror = on
            self._push_options()
        else:
            self._store.change("source", mirror=on)

    def set_rotation(self, degrees: int) -> None:
        """Turn the pictures clockwise by 0, 90, 180 or 270 degrees, as `set_mirror`."""
        if self._kind == "video":
            self._file_rotation = degrees
            self._push_options()
        else:
            self._store.change("source", rotation=degrees)

    def set_size(self, width: int, height: int) -> None:
        """Ask cameras for pictures of that size; zeros leave it to them."""
        self._store.change("source", width=width, height=height)

    def set_loop(self, on: bool) -> None:
        """Play files again from the beginning when they are over."""
        self._store.change("source", loop=on)

    def set_watching(self, on: bool) -> None:
        """Look for cameras that come and go every few seconds; for as long as somebody sees the list."""
        if on:
            self._look_for_changes()
            self._lookout.start()
        else:
            self._lookout.stop()

    def refresh_cameras(self) -> None:
        """Look for cameras now."""
        if self._searching or self._closed:
            return
        self._searching, self._nodes = True, device_nodes()
        self._in_background(self._enumerate, self._on_cameras)

    def close(self) -> None:
        """End timers and threads."""
        self._closed = True
        self._poller.stop()
        self._lookout.stop()
        for thread in self._threads:
            thread.join(_JOIN_SECONDS)

    # --------------------------------------------------------------------------------------------------------------- inside

    def _start(self) -> None:
        kind, path = self._settings.kind, self._settings.path
        if kind == "demo":
            self.play_demo()
        elif kind in ("video", "motion") and path:
            (self.open_video if kind == "video" else self.open_motion)(path)
        else:
            self._camera_wanted = True
        self._push_options()
        self.refresh_cameras()

    def _camera_of(self, camera_id: str) -> CameraInfo | None:
        return next((camera for camera in self._cameras if camera.id == camera_id), None)

    def _preferred_camera(self) -> CameraInfo | None:
        return self._camera_of(self._settings.camera_id) or next(iter(self._cameras), None)

    def _camera_or_demo(self) -> None:
        """What plays when nothing else does; the user's choice in the settings stays what it is.

        No camera is switched on before the note on real people's footage has been answered.
        """
        camera = self._preferred_camera()
        if camera is not None and self._store.settings.application.consent:
            self._play_camera(camera)
        else:
            self._play("demo")

    def _open(self, kind: str, path: str, look: Callable[[], Any]) -> None:
        self._request += 1
        request = self._request

        def opened(result: Any, error: AgoraError | None) -> None:
            if request != self._request:  # something else was asked for since
                return
            if error is not None:
                self.failed.emit(error.message, error.hint)
                if not self._kind:
                    self._camera_wanted = True
                    self._play_wanted()
                return
            self._clip = result if isinstance(result, MotionClip) else None
            self._file_mirror, self._file_rotation = False, 0
            self._store.change("source", kind=kind, path=path)
            recent = [path, *(other for other in self._store.settings.application.recent if other != path)]
            self._store.change("application", recent=tuple(recent[:MOST_RECENT]))
            self._play(kind, path)

        self._in_background(look, opened)

    def _play_camera(self, camera: CameraInfo) -> None:
        settings = self._settings
        self._camera = camera
        self._set_source("camera", "", self._make_camera(camera, settings.width, settings.height, settings.fps))

    def _play(self, kind: str, path: str = "") -> None:
        if kind == "demo":
            source: FrameSource = demo_source()
        elif kind == "motion":
            source = MotionSource(self._clip, self.loop, Path(path).name)
        else:
            source = VideoSource(path, self.loop)
        self._set_source(kind, path, source)

    def _set_source(self, kind: str, path: str, source: FrameSource) -> None:
        self._kind, self._path, self._source, self._camera_wanted = kind, path, source, False
        self._push_options()
        self._session.set_source(source)
        self.choice_changed.emit()
        self._poll()

    def _push_options(self) -> None:
        self._session.set_picture_options(self.mirror, self.rotation)
        self.choice_changed.emit()

    def _on_settings(self, section: str) -> None:
        if section != "source":
            return
        before, self._settings = self._settings, self._store.settings.source
        now = self._settings
        if (now.mirror, now.rotation) != (before.mirror, before.rotation):
            self._push_options()
        if (now.width, now.height, now.fps) != (before.width, before.height, before.fps):
            if self._kind == "camera" and self._camera is not None:
                self._play_camera(self._camera)
            self.choice_changed.emit()
        if now.loop != before.loop:
            if isinstance(self._source, VideoSource | MotionSource) and self._kind != "demo":
                self._source.loop = now.loop
                if now.loop and self._status.state is SourceState.ENDED:
                    self.retry()
            self.choice_changed.emit()

    def _poll(self) -> None:
        status = self._session.source_status()
        status = replace(status, fps=float(round(status.fps)))
        if status == self._status:
            return
        before, self._status = self._status, status
        if status.state is not before.state and self.banner is not None and self._kind == "camera":
            self.refresh_cameras()
        self.status_changed.emit(status)

    def _look_for_changes(self) -> None:
        nodes = device_nodes()
        if nodes is None or nodes != self._nodes:
            self.refresh_cameras()

    def _on_cameras(self, cameras: list[CameraInfo] | None, error: AgoraError | None) -> None:
        first, self._searching, self._has_searched = not self._has_searched, False, True
        found = tuple(cameras or ())
        if found != self._cameras or first:
            self._cameras = found
            self.cameras_changed.emit()
        self._play_wanted()

    def _play_wanted(self) -> None:
        if self._camera_wanted and self._has_searched:
            self._camera_or_demo()

    # -------------------------------------------------------------------------------------------------------------- threads

    def _in_background(self, work: Callable[[], Any], then: Callable[[Any, AgoraError | None], None]) -> None:
        """Do work in a thread; `then` gets its result, or its error, in the GUI's."""
        def run() -> None:
            result, problem = None, None
            try:
                result = work()
            except AgoraError as error:
                problem = error
            except Exception as error:
                log.exception("looking for a source failed")
                problem = InputError(f"{type(error).__name__}: {error}")
            if not self._closed:
                self._answered.emit(lambda: then(result, problem))

        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=run, name="source look-up", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _on_answer(self, answer: Callable[[], None]) -> None:
        if not self._closed:
            answer()


def _is_motion(path: str) -> bool:
    return Path(path).suffix.lower() == MOTION_SUFFIX


def _read_own_motion(path: Path) -> MotionClip:
    """A motion of the head that the program drives. Raises InputError."""
    clip = read_motion(path)
    if clip.expression_names != tuple(load_open_head().expression_names):
        raise InputError(f"{path} was recorded for another head model", "track the video again with this program")
    return clip
