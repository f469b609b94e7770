"""Recording: start, stop, markers, snapshots, and the takes that there are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from enum import Enum
from functools import partial
from pathlib import Path

from PySide6.QtCore import QFile, QObject, QTimer, Signal

from agora_app.models.take_context import Scene, TakeContext, take_about
from agora_app.models.take_sound import TakeSound
from agora_app.models.worker import Worker
from agora_app.settings.store import SettingsStore
from core.errors import AgoraError
from core.media.microphone import list_microphones
from core.pipeline.live.snapshot import write_snapshot
from core.pipeline.live.take import Take, list_takes, rename_take, take_name, thumbnail
from core.pipeline.live.take_folder import (
    USUAL_RATE,
    DiskGuard,
    default_folder,
    free_bytes,
    spare_folder,
    usable_folder,
)
from core.pipeline.live.take_recorder import Ending, TakeEnd, TakeRecorder, TakeSettings, TakeStatus
from core.pipeline.live.take_recovery import (
    Unfinished,
    discard_take,
    find_unfinished_takes,
    recover_take,
    settle_journals,
)

log = logging.getLogger(__name__)

STATUS_MS, ROOM_MS = 500, 5000
LONGEST_STOP = 3.0  # seconds in which a recording is closed when the window is
SHORTEST_TO_GO_ON = 2.0  # seconds; a take that ended by itself earlier is not continued, it would end again


class RecordingState(Enum):
    """What the recorder is doing."""

    IDLE = "idle"
    STARTING = "starting"
    RECORDING = "recording"
    STOPPING = "stopping"


class RecordingModel(QObject):
    """Records what is on stage. No method waits, but `stop_and_keep`, `recover` and `discard`.

    Signals:
        state_changed: a recording starts, runs, is being closed, or is over.
        status_changed: (TakeStatus) twice a second while recording; now and then while somebody watches.
        saved: (Take) a take is complete.
        failed: (what, hint) something did not work; what was recorded is kept as the words say.
        notice: (words) to know about a recording that goes on: another folder, no sound, little room.
        snapshot_saved: (Path) a still was written.
        takes_changed: other takes are there.
        thumbnail_ready: (video path, picture [h, w, 3] or None).
        microphones_changed: the list of microphones, or why there is none.

    Args:
        session: the live session, which gets the recorder as a sink.
        store: settings; section recording.
        context: what is on stage.
        sound, microphones, recorder: replaced in tests.
    """

    state_changed = Signal()
    status_changed = Signal(object)
    saved = Signal(object)
    failed = Signal(str, str)
    notice = Signal(str)
    snapshot_saved = Signal(object)
    takes_changed = Signal()
    thumbnail_ready = Signal(str, object)
    microphones_changed = Signal()
    _started = Signal(object, str)
    _refused = Signal(str, str)
    _ended = Signal(object)
    _listed = Signal(object, object)
    _room_known = Signal(object)
    _microphones_listed = Signal(object, str)

    def __init__(self, session, store: SettingsStore, context: TakeContext, parent: QObject | None = None, *,
                 sound: TakeSound | None = None, microphones: Callable[[], list[str]] = list_microphones,
                 recorder: Callable[..., TakeRecorder] = TakeRecorder) -> None:
        super().__init__(parent)
        self._session, self._store, self._context = session, store, context
        self._sound, self._list_microphones, self._make_recorder = sound or TakeSound(), microphones, recorder
        self._devices, self._files = Worker("recording devices"), Worker("recording files")
        self._state = RecordingState.IDLE
        self._recorder: TakeRecorder | None = None
        self._status = TakeStatus()
        self._takes: list[Take] | None = None
        self._takes_folder: Path | None = None
        self._told: set[str] = set()
        self._stop_soon = self._watching = False
        self._rate = USUAL_RATE
        self.microphones: tuple[str, ...] = ()
        self.microphone_problem = ""
        self._timer = QTimer(self, interval=STATUS_MS)
        self._timer.timeout.connect(self._look)
        self._room_timer = QTimer(self, interval=ROOM_MS)
        self._room_timer.timeout.connect(self._ask_for_room)
        for signal, slot in ((self._started, self._on_started), (self._refused, self._on_refused), (self._ended, self._on_ended),
                             (self._listed, self._on_listed), (self._room_known, self._on_room),
                             (self._microphones_listed, self._on_microphones)):
            signal.connect(slot)
        store.changed.connect(self._on_settings)

    # --------------------------------------------------------------------------------------------------------- recording

    @property
    def state(self) -> RecordingState:
        return self._state

    @property
    def is_recording(self) -> bool:
        """Whether a recording is under way, or just beginning."""
        return self._state in (RecordingState.STARTING, RecordingState.RECORDING)

    @property
    def status(self) -> TakeStatus:
        """As `status_changed` told last."""
        return self._status

    @property
    def level(self) -> float | None:
        """Loudness of the microphone, 0..1; None when none is open."""
        return self._sound.level

    @property
    def folder(self) -> Path:
        """Where takes go, as far as the settings are concerned."""
        wanted = self._store.settings.recording.folder
        return Path(wanted).expanduser() if wanted else default_folder()

    def start(self) -> None:
        """Begin a take; nothing happens while one is under way."""
        if self._state is not RecordingState.IDLE:
            return
        self._told.clear()
        self._stop_soon = False
        self._set_state(RecordingState.STARTING)
        self._devices.do(partial(self._open, self._context.scene(), self._store.settings))

    def stop(self) -> None:
        """End the take; `saved` tells when it is complete."""
        if self._state is RecordingState.STARTING:
            self._stop_soon = True
        elif self._state is RecordingState.RECORDING:
            self._set_state(RecordingState.STOPPING)
            self._session.remove_sink(self._recorder)
            self._recorder.end()

    def toggle(self) -> None:
        """Begin or end a take."""
        self.stop() if self.is_recording else self.start()

    def mark(self, text: str = "") -> None:
        """Remember this moment of the take."""
        if self._state is RecordingState.RECORDING:
            marker = self._recorder.mark(text if isinstance(text, str) else "")
            self.notice.emit(self.tr("Marker at {0:.1f} s").format(marker.seconds))

    def stop_and_keep(self, timeout: float = LONGEST_STOP) -> bool:
        """End the take and wait for it. Returns False when it takes longer: what is there can be recovered at the next start."""
        recorder = self._recorder
        if recorder is None:
            return True
        self._session.remove_sink(recorder)
        return recorder.stop(timeout) is not None

    def snapshot(self) -> Path | None:
        """Write what is on stage as a PNG, soon. Returns its path; None when there is no picture yet."""
        picture = self._session.latest_picture()
        if picture is None:
            self.failed.emit(self.tr("There is no picture yet"), self.tr("Start a camera, a video or the demo first."))
            return None
        scene, now = self._context.scene(), datetime.now().astimezone()
        name = f"{take_name(now, scene.person)}.{now.microsecond // 1000:03d}.png"
        self._files.do(partial(self._write_snapshot, name, picture, scene))
        return self.folder / name

    # -------------------------------------------------------------------------------------------------------------- takes

    def takes(self) -> list[Take]:
        """Takes in the folder, newest first, as they were at the last look."""
        if self._takes is None or self._takes_folder != self.folder:
            self._takes, self._takes_folder = list_takes(self.folder), self.folder
        return list(self._takes)

    def refresh(self) -> None:
        """Look at the folder again, soon."""
        self._files.do(partial(self._list, self.folder))

    def want_thumbnail(self, video: Path) -> None:
        """Have `thumbnail_ready` tell a small picture of a video, soon."""
        self._files.do(lambda: self.thumbnail_ready.emit(str(video), thumbnail(video)))

    def rename(self, take: Take, name: str) -> bool:
        """Give a take another name."""
        try:
            rename_take(take, name)
        except AgoraError as error:
            self.failed.emit(error.message, error.hint)
            return False
        self._takes = None
        self.takes_changed.emit()
        return True

    def delete(self, take: Take) -> bool:
        """Move all files of a take to the trash."""
        stuck = [path for path in take.files() if not QFile.moveToTrash(str(path))[0]]
        if stuck:
            self.failed.emit(self.tr("{0} cannot be moved to the trash").format(stuck[0].name),
                             self.tr("Delete it in the file manager."))
        self._takes = None
        self.takes_changed.emit()
        return not stuck

    def unfinished(self) -> list[Unfinished]:
        """Takes that were never closed, in any folder that takes may have gone to."""
        folders = dict.fromkeys((self.folder, default_folder(), spare_folder()))
        return [take for folder in folders for take in find_unfinished_takes(folder)]

    def recover(self, unfinished: Unfinished) -> Take:
        """Make a proper take of an unfinished one; for a worker thread. Raises AgoraError."""
        take = recover_take(unfinished)
        self.refresh()
        return take

    def discard(self, unfinished: Unfinished) -> None:
        """Throw an unfinished take away; for a worker thread. Raises AgoraError."""
        discard_take(unfinished)

    # ------------------------------------------------------------------------------------------------------------ watching

    def set_watching(self, on: bool) -> None:
        """Somebody looks at the recording panel: list takes and microphones, show the level and the room on the disk."""
        if on == self._watching:
            return
        self._watching = on
        if on:
            self.refresh()
            self.refresh_microphones()
            self._ask_for_room()
            self._room_timer.start()
        else:
            self._room_timer.stop()
        self._follow_level()

    def refresh_microphones(self) -> None:
        """List the microphones again, soon."""
        self._devices.do(self._look_for_microphones)

    def close(self) -> None:
        """End and keep a take that is under way, and all threads."""
        self._store.changed.disconnect(self._on_settings)
        self._timer.stop()
        self._room_timer.stop()
        self._stop_soon = True
        if not self.stop_and_keep():
            log.warning("the recording is not closed yet; it can be recovered at the next start")
        self._files.close()
        if self._devices.close():  # otherwise a device does not answer, and still would not
            self._sound.stop_listening()
        self.stop_and_keep()  # a take that was being opened meanwhile

    # ------------------------------------------------------------------------------------------------- in worker threads

    def _open(self, scene: Scene, settings) -> None:
        """Open folder, sound and recorder."""
        recording, sound = settings.recording, None
        try:
            folder, words = usable_folder(recording.folder)
            sound = self._sound.open(recording, scene.source_kind, scene.source_path)
            take_settings = TakeSettings(recording.layout, recording.quality, recording.audio_delay_ms,
                                         float(settings.performance.target_fps))
            recorder = self._make_recorder(folder, take_settings, take_about(scene, recording.layout, sound), sound,
                                           spare_folder=spare_folder(), on_end=self._ended.emit)
        except AgoraError as error:
            if sound is not None:
                sound.close()
            self._sound.returned()
            self._refused.emit(error.message, error.hint)
            return
        self._recorder = recorder
        self._session.add_sink(recorder)
        self._started.emit(recorder, words)

    def _write_snapshot(self, name: str, picture, scene: Scene) -> None:
        try:
            folder, words = usable_folder(self._store.settings.recording.folder)
            write_snapshot(folder / name, picture, take_about(scene, "avatar", None), scene.background == "transparent")
        except AgoraError as error:
            self.failed.emit(error.message, error.hint)
            return
        if words:
            self.notice.emit(words)
        self.snapshot_saved.emit(folder / name)

    def _list(self, folder: Path) -> None:
        settle_journals(folder)
        self._listed.emit(folder, list_takes(folder))

    def _look_for_microphones(self) -> None:
        try:
            self._microphones_listed.emit(tuple(self._list_microphones()), "")
        except AgoraError as error:
            self._microphones_listed.emit((), str(error))

    def _measure_room(self, folder: Path, rate: float) -> None:
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            free = free_bytes(folder)
            left = DiskGuard(folder, lambda _: free).look(0.0, 0).seconds_left * USUAL_RATE / rate
        except OSError:
            return
        self._room_known.emit(TakeStatus(free=free, seconds_left=left))

    # ---------------------------------------------------------------------------------------------- in the GUI's thread

    def _on_started(self, recorder: TakeRecorder, words: str) -> None:
        if recorder is not self._recorder:  # it has ended already
            return
        self._set_state(RecordingState.RECORDING)
        if words:
            self._tell(words)
        self._timer.start()
        self._look()
        if self._stop_soon:
            self.stop()

    def _on_refused(self, what: str, hint: str) -> None:
        self._set_state(RecordingState.IDLE)
        self.failed.emit(what, hint)
        self._follow_level()

    def _on_ended(self, end: TakeEnd) -> None:
        self._timer.stop()
        recorder, self._recorder = self._recorder, None
        self._session.remove_sink(recorder)
        self._sound.returned()
        asked = self._state is RecordingState.STOPPING
        self._status = TakeStatus(free=self._status.free)
        self._set_state(RecordingState.IDLE)
        if end.take is not None:
            self._rate = max(end.take.bytes / max(end.take.seconds, 1.0), USUAL_RATE / 10)
            self._takes = None
            self.saved.emit(end.take)
            self.takes_changed.emit()
        if end.message:
            self.failed.emit(end.message, end.hint)
        self.status_changed.emit(self._status)
        self._ask_for_room()
        if self._goes_on(end) and not asked and not self._stop_soon:
            self.start()
        else:
            self._follow_level()

    def _goes_on(self, end: TakeEnd) -> bool:
        """Whether a take that ended by itself is continued by another one."""
        return (end.ending in (Ending.SLEPT, Ending.FOLDER_GONE, Ending.FAILED) and end.take is not None
                and end.take.seconds >= SHORTEST_TO_GO_ON)

    def _on_listed(self, folder: Path, takes: list[Take]) -> None:
        if folder == self.folder:
            self._takes, self._takes_folder = takes, folder
            self.takes_changed.emit()

    def _on_room(self, status: TakeStatus) -> None:
        if self._state is RecordingState.IDLE:
            self._status = status
            self.status_changed.emit(status)

    def _on_microphones(self, names: tuple[str, ...], problem: str) -> None:
        self.microphones, self.microphone_problem = names, problem
        self.microphones_changed.emit()

    def _on_settings(self, section: str) -> None:
        if section == "recording":
            if self._takes_folder != self.folder:
                self.refresh()
                self._ask_for_room()
            self._follow_level()

    def _look(self) -> None:
        if self._recorder is None:
            return
        self._status = self._recorder.status
        for words in (self._status.sound_problem, self._status.warning):
            if words:
                self._tell(words)
        self.status_changed.emit(self._status)

    def _tell(self, words: str) -> None:
        """Give notice of something once in a take; numbers in the words do not make it something else."""
        plain = "".join(sign for sign in words if not sign.isdigit())
        if plain not in self._told:
            self._told.add(plain)
            self.notice.emit(words[:1].upper() + words[1:])

    def _ask_for_room(self) -> None:
        if self._state is RecordingState.IDLE:
            self._files.do(partial(self._measure_room, self.folder, self._rate))

    def _follow_level(self) -> None:
        """Listen to the microphone while its level is looked at, and only then."""
        if self._state is not RecordingState.IDLE:
            return
        recording = self._store.settings.recording
        if self._watching and recording.sound in ("auto", "microphone"):
            self._devices.do(partial(self._sound.listen, recording.microphone))
        else:
            self._devices.do(self._sound.stop_listening)

    def _set_state(self, state: RecordingState) -> None:
        if state is not self._state:
            self._state = state
            self.state_changed.emit()
