"""What the actions of the main window do: each id of the table is connected here, once."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QByteArray, QObject, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFileDialog

from agora_app.drops import PHOTO, classify
from agora_app.models.shelves import AVATAR_SUFFIXES

FAVOURITE_KEYS = 9
_MEDIA = "Videos and pictures (*.mp4 *.mov *.mkv *.webm *.avi *.m4v *.png *.jpg *.jpeg);;All files (*)"
AVATAR_FILES = " ".join(f"*{suffix}" for suffix in AVATAR_SUFFIXES)
_NEXT_THEME = {"system": "dark", "dark": "light", "light": "dark"}


class WindowActions(QObject):
    """Connects the actions of a main window to its services, and keeps their check marks true.

    Args:
        window: the `MainWindow`, complete but for its actions.
    """

    def __init__(self, window) -> None:
        super().__init__(window)
        self._window, self._services, self._registry = window, window.services, window.registry
        self._paused = False
        self._docks_before: QByteArray | None = None
        self._connect()
        self.show_checks()

    def _connect(self) -> None:
        s, connect = self._services, self._registry.connect
        connect("file.open_video", self.open_video)
        connect("file.open_motion", self.open_motion)
        connect("file.open_pack", self.open_pack)
        connect("file.export_snapshot", s.recording.snapshot)
        connect("file.quit", self._window.close)
        connect("edit.undo", s.cast.undo_stack.undo)
        connect("edit.redo", s.cast.undo_stack.redo)
        connect("live.toggle", self.toggle_live)
        connect("live.rezero", s.drive.rezero)
        connect("live.calibrate", self.calibrate)
        connect("live.mirror", lambda: s.source.set_mirror(not s.source.mirror))
        connect("live.relative", lambda: s.drive.set_relative(not s.store.settings.drive.relative))
        connect("live.freeze", s.drive.toggle_frozen)
        connect("live.camera", self.use_camera)
        connect("live.demo", s.source.play_demo)
        for name, slot in (("roll", s.cast.roll), ("previous", s.cast.previous), ("next", s.cast.next), ("swap", s.cast.swap)):
            connect(f"identity.{name}", slot)
        connect("identity.favourite", s.cast.toggle_favourite)
        connect("identity.type_seed", self._type_seed)
        for number in range(1, FAVOURITE_KEYS + 1):
            connect(f"identity.favourite_{number}", lambda number=number: self._choose_favourite(number))
        for number in range(10):
            connect(f"preset.{number}", lambda number=number: s.drive.apply_preset(number or None))
        connect("view.frame", s.view.frame)
        connect("view.reset", s.view.reset)
        connect("view.background", lambda: s.view.cycle_background() and None)
        connect("view.landmarks", s.view.toggle_landmarks)
        connect("view.performance", self._toggle_overlay)
        connect("view.compare", self._toggle_compare)
        connect("view.follow", lambda: s.view.set_mode("follow"))
        connect("view.orbit", lambda: s.view.set_mode("orbit"))
        connect("view.docks", self.toggle_docks)
        connect("view.fullscreen", self.toggle_full_screen)
        connect("view.layout_reset", self._window.default_layout)
        connect("view.theme", self._toggle_theme)
        connect("record.toggle", s.recording.toggle)
        connect("record.marker", s.recording.mark)
        connect("record.snapshot", s.recording.snapshot)
        connect("record.folder", self._open_recording_folder)
        connect("output.virtual_camera", lambda: s.outputs.set_virtual_camera(not s.outputs.virtual_camera_on))
        connect("output.osc", lambda: s.outputs.set_osc(not s.outputs.osc_on))
        connect("tools.log", lambda: self._window.raise_dock("log"))
        self._window.dialogs.connect(connect)
        self.show_checks()

    def open_video(self, path: str | None = None) -> None:
        """Let a video drive the head; asks for one without a path."""
        path = path or QFileDialog.getOpenFileName(self._window, self.tr("Open a video of a face"), str(Path.home()), _MEDIA)[0]
        if path and self._window.dialogs.require_consent():
            self._services.source.open_video(path)

    def use_camera(self) -> None:
        """Let the chosen camera drive the head."""
        if self._window.dialogs.require_consent():
            self._services.source.choose_camera()

    def open_motion(self, path: str | None = None) -> None:
        """Let a motion clip drive the head."""
        path = path or QFileDialog.getOpenFileName(self._window, self.tr("Open a motion clip"), str(Path.home()),
                                                   self.tr("Motion clips (*.npz)"))[0]
        if path:
            self._services.source.open_motion(path)

    def open_pack(self, path: str | None = None) -> None:
        """Add the people of a pack, or a head as splats, to the gallery."""
        path = path or QFileDialog.getOpenFileName(self._window, self.tr("Open an avatar file"), str(Path.home()),
                                                   self.tr("Avatar files ({0})").format(AVATAR_FILES))[0]
        if path:
            self._services.cast.open_pack(path)

    def open_files(self, paths: list[str]) -> None:
        """What was given to the program: each by its kind. A picture drives the head, as a video does."""
        openers = {"video": self.open_video, "photo": self.open_video, "motion": self.open_motion, "pack": self.open_pack}
        for path in paths:
            found = classify(path)
            if found.is_accepted:
                openers[found.kind](str(found.path))
            else:
                self._window.toasts.show_toast(found.words, "warn")

    def take_dropped(self, paths: list[str]) -> None:
        """What was dropped on the window: pictures become a person, everything else is opened."""
        photos = [path for path in paths if classify(path).kind == PHOTO]
        self.open_files([path for path in paths if path not in photos])
        if photos:
            self._window.dialogs.new_from_photo(photos)

    def toggle_live(self) -> None:
        """Hold the picture, or let it live again."""
        self._paused = not self._paused
        self._services.session.set_paused(self._paused)
        self.show_checks()

    def calibrate(self) -> None:
        """Start the two-second neutral where it can be seen."""
        self._window.raise_dock("tracking")
        self._services.calibration.start(False)

    def toggle_docks(self) -> None:
        """Hide all docks, or bring them back as they were."""
        window = self._window
        if any(dock.isVisible() for dock in window.docks.values()):
            self._docks_before = window.saveState()
            for dock in window.docks.values():
                dock.hide()
        elif self._docks_before is None or not window.restoreState(self._docks_before):
            window.default_layout()

    def _type_seed(self) -> None:
        self._window.raise_dock("people")
        self._window.identity_dock.focus_seed()

    def _choose_favourite(self, number: int) -> None:
        favourites = self._services.cast.favourites
        if number <= len(favourites):
            self._services.cast.choose(favourites[number - 1])
        else:
            words = self.tr("There is no favourite {0}; Ctrl+D makes the person on stage one").format(number)
            self._window.toasts.show_toast(words)

    def _toggle_overlay(self) -> None:
        store = self._services.store
        store.change("appearance", show_performance=not store.settings.appearance.show_performance)

    def _toggle_compare(self) -> None:
        cast = self._services.cast
        if len(cast.people_on_stage) > 1:
            cast.set_compare("single")
        elif cast.second:
            cast.set_compare("side-by-side")
        else:
            self._window.raise_dock("people")
            self._window.toasts.show_toast(self.tr("Choose who stands beside: right-click a person and take “Compare beside”"))

    def toggle_full_screen(self) -> None:
        """Nothing but the picture, or everything again."""
        window = self._window
        leaves = window.isFullScreen()
        if not leaves and any(dock.isVisible() for dock in window.docks.values()):
            self.toggle_docks()
        for widget in (window.menuBar(), window.tool_bar, window.stage_bar, window.statusBar()):
            widget.setVisible(leaves)
        if leaves:
            window.showNormal()
            self.toggle_docks()
        else:
            window.showFullScreen()

    def _toggle_theme(self) -> None:
        store = self._services.store
        store.change("appearance", theme=_NEXT_THEME[store.settings.appearance.theme])

    def _open_recording_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._services.recording.folder)))

    def show_checks(self) -> None:
        """Checkable actions show what is."""
        s = self._services
        settings = s.store.settings
        states = {
            "live.toggle": not self._paused, "live.mirror": s.source.mirror,
            "live.relative": settings.drive.relative, "live.freeze": s.drive.frozen, "view.landmarks": settings.view.landmarks,
            "view.performance": settings.appearance.show_performance, "view.follow": s.view.pose.mode == "follow",
            "view.orbit": s.view.pose.mode == "orbit", "view.compare": len(s.cast.people_on_stage) > 1,
            "record.toggle": s.recording.is_recording, "output.virtual_camera": s.outputs.virtual_camera_on,
            "output.osc": s.outputs.osc_on,
        }
        for name, on in states.items():
            action = self._registry.action(name)
            if action.isCheckable():
                action.setChecked(on)
        self._registry.action("edit.undo").setEnabled(s.cast.undo_stack.canUndo())
        self._registry.action("edit.redo").setEnabled(s.cast.undo_stack.canRedo())
