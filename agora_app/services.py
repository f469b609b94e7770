"""Everything the window is made of, put together once: settings, live session, models. No widgets."""

from __future__ import annotations

import gc
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal

from agora_app.models.calibration import CalibrationModel
from agora_app.models.cast import CastModel
from agora_app.models.drive import DriveModel
from agora_app.models.outputs import OutputsModel
from agora_app.models.performance import PerformanceModel
from agora_app.models.recording import RecordingModel
from agora_app.models.shelves import shipped_packs
from agora_app.models.source import SourceModel
from agora_app.models.take_context import Scene
from agora_app.models.view import ViewModel
from agora_app.photo.models.model import PhotoModel
from agora_app.settings.store import SettingsStore
from agora_app.training.models.model import TrainingModel
from core.assets import resource
from core.avatar.sources import STUDIO_PACK_NAME
from core.avatar.workshop import Workshop
from core.pipeline.live.memory import give_back_memory
from core.pipeline.live.session import LiveSession
from core.pipeline.live.state import LivePicture, SourceState, SourceStatus
from core.tracking.calibration_child import calibrate_apart
from core.version import VERSION

log = logging.getLogger(__name__)
TIDY_MS = 20_000  # between two rounds of giving memory back
FREEZES = 2


@dataclass(frozen=True)
class LiveOptions:
    """How a live session differs from what the settings say.

    Attributes:
        renderer: as `core.avatar.backend_choice.open_backend`; empty leaves it to the settings.
        tracker_delay: seconds by which every tracked frame is slowed down, for measurements of a slow stage.
        make_context: makes an OpenGL context for the drawing thread, where EGL is not to be had.
    """

    renderer: str = ""
    tracker_delay: float = 0.0
    make_context: Callable | None = None


class Services(QObject):
    """Owns the session and the models; `close` ends all their threads.

    Signals:
        picture_ready: a new picture can be had from `take_picture`; at most one notice is under way.
        stage_failed: (stage, what happened, hint, details) a stage of the live chain reported a failure.
    """

    picture_ready = Signal()
    stage_failed = Signal(str, str, str, str)

    def __init__(self, store: SettingsStore, options: LiveOptions | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        options = options or LiveOptions()
        self.store = store
        renderer = options.renderer or store.settings.performance.renderer
        self.session = LiveSession(lambda: _make_tracker(options.tracker_delay),
                                   lambda: _open_backend(renderer, options.make_context))
        self._notified = False
        self._camera = ""
        self.session.on_picture = self._notify
        self.session.on_problem = self._report
        self.workshop = Workshop(None)
        self.view = ViewModel(self.session, store, parent=self)
        self.drive = DriveModel(self.session, store, self)
        self.cast = CastModel(self.session, store, self.workshop, self, shipped=shipped_packs())
        self.calibration = CalibrationModel(self.session, store, self, calibrate=calibrate_apart)
        self.source = SourceModel(self.session, store, self)
        self.outputs = OutputsModel(self.session, store, self)
        self.performance = PerformanceModel(self.session, store, self)
        self.recording = RecordingModel(self.session, store, TakeSource(self), self)
        self.training = TrainingModel(store, self)
        self.photo = PhotoModel(store, self.cast, self)
        self.cast.cast_changed.connect(self._on_cast)
        self.source.status_changed.connect(self._on_source)
        store.changed.connect(self._on_settings)
        self._on_settings("performance")
        self._tidied = 0
        self._tidying = QTimer(self, interval=TIDY_MS)
        self._tidying.timeout.connect(self._tidy)

    def start(self) -> None:
        """Start the threads."""
        self.session.start()
        self._tidying.start()

    def take_picture(self) -> LivePicture | None:
        """The newest picture; asks for the next notice."""
        self._notified = False
        return self.session.latest_picture()

    def close(self) -> None:
        """Stop everything; recordings under way are finished and kept."""
        started = time.monotonic()
        self._tidying.stop()
        self.recording.stop_and_keep()
        for model in (self.training, self.photo, self.recording, self.outputs, self.calibration, self.source, self.cast,
                      self.drive, self.performance, self.view):
            model.close()
        if not self.session.stop():
            log.warning("a thread of the live chain does not end; leaving it behind")
        self.workshop.close()
        self.store.flush()
        log.info("closed in %.1f s", time.monotonic() - started)

    # ------------------------------------------------------------------------------------------------------------ inside

    def _notify(self) -> None:
        """Called in the drawing thread; the signal is queued to the GUI's thread, once until it has been answered."""
        if not self._notified:
            self._notified = True
            self.picture_ready.emit()

    def _report(self, error: BaseException, stage: str) -> None:
        """Called in any thread."""
        log.error("%s: %s", stage, error, exc_info=error)
        message = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
        self.stage_failed.emit(stage, message, getattr(error, "hint", ""), repr(error))

    def _tidy(self) -> None:
        """Collect what refers to itself, which may hold pictures, and give memory back.

        What has been loaded by the first rounds stays for good and is not looked at again: that keeps a round at a few
        milliseconds, during which no live thread can run.
        """
        gc.collect()
        if self._tidied < FREEZES:
            self._tidied += 1
            gc.freeze()
        give_back_memory()

    def _on_cast(self) -> None:
        people = self.cast.people_on_stage
        self.view.set_people(len(people))
        self.view.set_label(f"Synthetic person {' | '.join(people)} · AGORA live {VERSION}")

    def _on_source(self, status: SourceStatus) -> None:
        """A camera that has come up brings back the calibration that was last used with it."""
        if status.state is SourceState.RUNNING and self.source.kind == "camera" and self._camera != self.source.camera_id:
            self._camera = self.source.camera_id
            self.calibration.camera_opened(self._camera)

    def _on_settings(self, section: str) -> None:
        settings = self.store.settings
        if section == "performance":
            self.session.set_quality(settings.performance.governor, settings.performance.target_fps)


class TakeSource:
    """What a recording wants to know of the session it is made in (`agora_app.models.take_context.TakeContext`)."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def scene(self) -> Scene:
        """What is on stage now."""
        s = self._services
        settings, pack, picture = s.store.settings, s.cast.stage.shelf, s.session.latest_picture()
        shape = () if picture is None else tuple(float(value) for value in picture.params.shape)
        return Scene(person=s.cast.person, pack=Path(pack).stem if pack else "studio",
                     pack_path=Path(pack) if pack else resource(STUDIO_PACK_NAME), canvas=settings.view.canvas,
                     background=settings.view.background, source_kind=s.source.kind or "demo", source_title=s.source.title(),
                     source_path=s.source.path, shape=shape)


def _make_tracker(delay: float):
    """The tracker, made in its own thread: MediaPipe is loaded here and nowhere else."""
    from core.head.library import load_open_head
    from core.tracking.tracker import Tracker

    tracker = Tracker(load_open_head(), calibrate=calibrate_apart)
    if delay > 0:
        _slow_down(tracker, delay)
    return tracker


def _slow_down(tracker, delay: float) -> None:
    """Make every look at a frame take longer, as a slow machine would."""
    detect = tracker.landmarker.detect

    def late(frame):
        time.sleep(delay)
        return detect(frame)

    tracker.landmarker.detect = late


def _open_backend(name: str, make_context: Callable | None):
    """What draws, made in the drawing thread."""
    from core.avatar.backend_choice import open_backend

    return open_backend(name, make_context, threads=2 if (os.cpu_count() or 1) > 3 else 1)
