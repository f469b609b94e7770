"""The main window: the avatar in the middle, docks around it, one table of actions over all of it. Composition, no logic."""

from __future__ import annotations

import time
from pathlib import Path

from PySide6.QtCore import QByteArray, Qt, QTimer, QUrl
from PySide6.QtGui import QCloseEvent, QDesktopServices, QDragEnterEvent, QDragLeaveEvent, QDropEvent
from PySide6.QtWidgets import QDockWidget, QFileDialog, QMainWindow, QMessageBox, QScrollArea, QVBoxLayout, QWidget

from agora_app.actions import ActionRegistry
from agora_app.dialog_openers import DialogOpeners
from agora_app.docks.expression import ExpressionDock
from agora_app.docks.log import LogDock
from agora_app.docks.performance import PerformanceDock
from agora_app.docks.recording import RecordingDock
from agora_app.docks.source import SourceDock
from agora_app.docks.tracking import TrackingDock
from agora_app.drops import DropOverlay, classify
from agora_app.gallery.dock import IdentityDock
from agora_app.notifications import Banner, ToastStack
from agora_app.services import Services
from agora_app.settings.paths import window_state
from agora_app.viewport.avatar_view import AvatarView
from agora_app.viewport.stage_bar import StageBar
from core.pipeline.live.state import LiveStats, SourceState, SourceStatus

LAYOUT_VERSION = 1
PREVIEW_SECONDS = 0.1  # between two pictures of the camera in the source dock
FAVOURITE_KEYS = 9
_LEFT, _RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea
_MEDIA = "Videos and pictures (*.mp4 *.mov *.mkv *.webm *.avi *.m4v *.png *.jpg *.jpeg);;All files (*)"


class MainWindow(QMainWindow):
    """Shows `Services` and lets the user drive them.

    Args:
        services: what it shows; closed with the window.
        log_model: lines for the log dock.
    """

    def __init__(self, services: Services, log_model, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.services = services
        self.setWindowTitle("AGORA live")
        self.setDockOptions(QMainWindow.DockOption.AllowTabbedDocks | QMainWindow.DockOption.AllowNestedDocks
                            | QMainWindow.DockOption.AnimatedDocks)
        self.setDockNestingEnabled(True)
        self.setAcceptDrops(True)
        self.registry = ActionRegistry(self, services.store)
        self.dialogs = DialogOpeners(self, services, self.registry, log_model)
        self._last_preview = 0.0
        self._build_centre()
        self._build_docks(log_model)
        self.registry.build_menu_bar(self.menuBar())
        self.tool_bar = self.addToolBar(self.tr("Main"))
        self.tool_bar.setObjectName("main")
        self.registry.build_tool_bar(self.tool_bar)
        self._connect_actions()
        self._connect_services()
        self._restore_layout()

    # --------------------------------------------------------------------------------------------------------- building

    def _build_centre(self) -> None:
        services = self.services
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.banner = Banner(centre)
        self.view = AvatarView(services.view)
        self.stage_bar = StageBar(services.view, services.store)
        column.addWidget(self.banner)
        column.addWidget(self.view, 1)
        column.addWidget(self.stage_bar)
        self.setCentralWidget(centre)
        self.toasts = ToastStack(self.view)
        self.drop_overlay = DropOverlay(centre)

    def _build_docks(self, log_model) -> None:
        s = self.services
        self.source_dock = SourceDock(s.source)
        self.identity_dock = IdentityDock(s.cast)
        self.expression_dock = ExpressionDock(s.drive)
        self.tracking_dock = TrackingDock(s.calibration, s.store)
        self.recording_dock = RecordingDock(s.recording, s.outputs, s.store)
        self.performance_dock = PerformanceDock(s.performance)
        self.log_dock = LogDock(log_model)
        self.docks = {
            "source": self._dock("source", self.tr("Source"), self.source_dock, _LEFT),
            "tracking": self._dock("tracking", self.tr("Tracking"), self.tracking_dock, _LEFT),
            "recording": self._dock("recording", self.tr("Recording"), self.recording_dock, _LEFT),
            "people": self._dock("people", self.tr("People"), self.identity_dock, _RIGHT, scrolls=False),
            "expression": self._dock("expression", self.tr("Expression"), self.expression_dock, _RIGHT),
            "performance": self._dock("performance", self.tr("Performance"), self.performance_dock, _RIGHT, scrolls=False),
            "log": self._dock("log", self.tr("Log"), self.log_dock, _RIGHT, scrolls=False),
        }
        self._default_layout()

    def _dock(self, name: str, title: str, widget: QWidget, area, scrolls: bool = True) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(name)
        if scrolls:
            scroll = QScrollArea()
            scroll.setWidgetResizable(True)
            scroll.setFrameShape(QScrollArea.Shape.NoFrame)
            scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            scroll.setWidget(widget)
            widget = scroll
        dock.setWidget(widget)
        self.addDockWidget(area, dock)
        return dock

    def _default_layout(self) -> None:
        """Left: what comes in and goes out. Right: who and how. Tabs share what is not needed at the same time."""
        docks = self.docks
        for name, dock in docks.items():
            dock.setFloating(False)
            dock.show()
            self.addDockWidget(_LEFT if name in ("source", "tracking", "recording") else _RIGHT, dock)
        self.splitDockWidget(docks["source"], docks["tracking"], Qt.Orientation.Vertical)
        self.tabifyDockWidget(docks["tracking"], docks["recording"])
        self.splitDockWidget(docks["people"], docks["expression"], Qt.Orientation.Vertical)
        self.tabifyDockWidget(docks["expression"], docks["performance"])
        self.tabifyDockWidget(docks["performance"], docks["log"])
        docks["tracking"].raise_()
        docks["expression"].raise_()
        self.resizeDocks([docks["source"], docks["people"]], [330, 360], Qt.Orientation.Horizontal)
        self.resizeDocks([docks["source"], docks["tracking"]], [430, 430], Qt.Orientation.Vertical)
        self.resizeDocks([docks["people"], docks["expression"]], [460, 400], Qt.Orientation.Vertical)

    # ----------------------------------------------------------------------------------------------------------- actions

    def _connect_actions(self) -> None:
        s, connect = self.services, self.registry.connect
        connect("file.open_video", self.open_video)
        connect("file.open_motion", self.open_motion)
        connect("file.open_pack", self.open_pack)
        connect("file.export_snapshot", s.recording.snapshot)
        connect("file.quit", self.close)
        connect("edit.undo", s.cast.undo_stack.undo)
        connect("edit.redo", s.cast.undo_stack.redo)
        connect("live.toggle", self.toggle_live)
        connect("live.rezero", s.drive.rezero)
        connect("live.calibrate", self.calibrate)
        connect("live.mirror", lambda: s.source.set_mirror(not s.store.settings.source.mirror))
        connect("live.relative", lambda: s.drive.set_relative(not s.store.settings.drive.relative))
        connect("live.freeze", s.drive.toggle_frozen)
        connect("live.camera", lambda: s.source.choose_camera(s.store.settings.source.camera_id))
        connect("live.demo", s.source.play_demo)
        for name, slot in (("roll", s.cast.roll), ("previous", s.cast.previous), ("next", s.cast.next), ("swap", s.cast.swap)):
            connect(f"identity.{name}", slot)
        connect("identity.favourite", lambda: s.cast.toggle_favourite(s.cast.person))
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
        connect("view.fullscreen", self._toggle_full_screen)
        connect("view.layout_reset", self._default_layout)
        connect("view.theme", self._toggle_theme)
        connect("record.toggle", s.recording.toggle)
        connect("record.marker", s.recording.mark)
        connect("record.snapshot", s.recording.snapshot)
        connect("record.folder", self._open_recording_folder)
        connect("output.virtual_camera", lambda: s.outputs.set_virtual_camera(not s.outputs.virtual_camera_on))
        connect("output.osc", lambda: s.outputs.set_osc(not s.outputs.osc_on))
        connect("tools.log", lambda: self._raise("log"))
        self.dialogs.connect(connect)
        self._show_checks()

    def open_video(self, path: str | None = None) -> None:
        """Let a video drive the head; asks for one without a path."""
        path = path or QFileDialog.getOpenFileName(self, self.tr("Open a video of a face"), str(Path.home()), _MEDIA)[0]
        if path and self.dialogs.require_consent():
            self.services.source.open_video(path)

    def open_motion(self, path: str | None = None) -> None:
        """Let a motion clip drive the head."""
        path = path or QFileDialog.getOpenFileName(self, self.tr("Open a motion clip"), str(Path.home()),
                                                   self.tr("Motion clips (*.npz)"))[0]
        if path:
            self.services.source.open_motion(path)

    def open_pack(self, path: str | None = None) -> None:
        """Add the people of a pack to the gallery."""
        path = path or QFileDialog.getOpenFileName(self, self.tr("Open an avatar pack"), str(Path.home()),
                                                   self.tr("Avatar packs (*.agora)"))[0]
        if path:
            self.services.cast.open_pack(path)

    def open_files(self, paths: list[str]) -> None:
        """What was dropped on the window, or given to the program: each by its kind."""
        openers = {"video": self.open_video, "motion": self.open_motion, "pack": self.open_pack}
        for path in paths:
            found = classify(path)
            if found.kind in openers:
                openers[found.kind](str(found.path))
            else:
                self.toasts.show_toast(found.words, "warn")

    def toggle_live(self) -> None:
        """Hold the picture, or let it live again."""
        self._paused = not getattr(self, "_paused", False)
        self.services.session.set_paused(self._paused)
        self._show_checks()

    def calibrate(self) -> None:
        """Start the two-second neutral where it can be seen."""
        self._raise("tracking")
        self.services.calibration.start(False)

    def toggle_docks(self) -> None:
        """Hide all docks, or bring back those that were shown."""
        shown = [dock for dock in self.docks.values() if dock.isVisible()]
        if shown:
            self._hidden_docks = shown
        for dock in shown or getattr(self, "_hidden_docks", list(self.docks.values())):
            dock.setVisible(not shown)

    def _type_seed(self) -> None:
        self._raise("people")
        self.identity_dock.focus_seed()

    def _choose_favourite(self, number: int) -> None:
        favourites = self.services.cast.favourites
        if number <= len(favourites):
            self.services.cast.choose(favourites[number - 1])
        else:
            self.toasts.show_toast(self.tr("There is no favourite {0}; Ctrl+D makes the person on stage one").format(number))

    def _toggle_overlay(self) -> None:
        store = self.services.store
        store.change("appearance", show_performance=not store.settings.appearance.show_performance)

    def _toggle_compare(self) -> None:
        cast = self.services.cast
        if len(cast.people_on_stage) > 1:
            cast.set_compare("single")
        elif cast.second:
            cast.set_compare("side-by-side")
        else:
            self._raise("people")
            self.toasts.show_toast(self.tr("Choose who stands beside: right-click a person and take “Compare beside”"))

    def _toggle_full_screen(self) -> None:
        if self.isFullScreen():
            self.showNormal()
            for widget in (self.menuBar(), self.tool_bar, self.stage_bar):
                widget.show()
            self.toggle_docks()
        else:
            for widget in (self.menuBar(), self.tool_bar, self.stage_bar):
                widget.hide()
            if any(dock.isVisible() for dock in self.docks.values()):
                self.toggle_docks()
            self.showFullScreen()

    def keyPressEvent(self, event) -> None:
        if event.key() == Qt.Key.Key_Escape and self.isFullScreen():
            self._toggle_full_screen()
        else:
            super().keyPressEvent(event)

    def _toggle_theme(self) -> None:
        following = {"system": "dark", "dark": "light", "light": "dark"}
        store = self.services.store
        store.change("appearance", theme=following[store.settings.appearance.theme])

    def _open_recording_folder(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.services.recording.folder)))

    def _raise(self, name: str) -> None:
        self.docks[name].show()
        self.docks[name].raise_()

    def _show_checks(self) -> None:
        """Checkable actions show what is."""
        s = self.services
        settings = s.store.settings
        states = {
            "live.toggle": not getattr(self, "_paused", False), "live.mirror": settings.source.mirror,
            "live.relative": settings.drive.relative, "live.freeze": s.drive.frozen, "view.landmarks": settings.view.landmarks,
            "view.performance": settings.appearance.show_performance, "view.follow": s.view.pose.mode == "follow",
            "view.orbit": s.view.pose.mode == "orbit", "view.compare": len(s.cast.people_on_stage) > 1,
            "record.toggle": s.recording.is_recording, "output.virtual_camera": s.outputs.virtual_camera_on,
            "output.osc": s.outputs.osc_on,
        }
        for name, on in states.items():
            action = self.registry.action(name)
            if action.isCheckable():
                action.setChecked(on)
        self.registry.action("edit.undo").setEnabled(s.cast.undo_stack.canUndo())
        self.registry.action("edit.redo").setEnabled(s.cast.undo_stack.canRedo())

    # ---------------------------------------------------------------------------------------------------------- services

    def _connect_services(self) -> None:
        s = self.services
        s.picture_ready.connect(self._on_picture, Qt.ConnectionType.QueuedConnection)
        s.stage_failed.connect(self.dialogs.show_stage_failure, Qt.ConnectionType.QueuedConnection)
        self.view.painted.connect(s.session.shown)
        s.source.status_changed.connect(self._on_source_status)
        s.performance.stats_changed.connect(self._on_stats)
        for model in (s.source, s.cast, s.view):
            model.failed.connect(lambda what, hint: self._complain(what, hint))
        s.recording.failed.connect(self._complain)
        s.outputs.problem.connect(self._complain)
        s.recording.saved.connect(self.dialogs.on_take_saved)
        s.recording.status_changed.connect(self._on_recording)
        s.cast.building.connect(lambda person: self.statusBar().showMessage(self.tr("Building person {0}…").format(person)))
        s.cast.cast_changed.connect(lambda: self.statusBar().clearMessage())
        s.calibration.drift.connect(lambda text: text and self._show_banner("info", text, self.tr("Recalibrate"), self.calibrate))
        for signal in (s.cast.cast_changed, s.drive.changed, s.view.changed, s.recording.state_changed, s.outputs.changed,
                       s.cast.undo_stack.indexChanged):
            signal.connect(lambda *_: self._show_checks())
        s.store.changed.connect(self._on_settings)
        s.store.problem_found.connect(lambda text: self._complain(text, ""))
        for signal in (s.cast.cast_changed, s.source.choice_changed, s.recording.state_changed, s.outputs.changed):
            signal.connect(lambda *_: self._show_title())
        self._on_settings("view")
        self._show_title()

    def _on_picture(self) -> None:
        picture = self.services.take_picture()
        if picture is None:
            return
        self.view.show_picture(picture)
        self.services.drive.show_picture(picture)
        self.dialogs.show_picture(picture)
        now = time.monotonic()
        if now - self._last_preview >= PREVIEW_SECONDS and self.source_dock.isVisible():
            self._last_preview = now
            self.source_dock.show_picture(picture)

    def _on_source_status(self, status: SourceStatus) -> None:
        self.statusBar().showMessage("")
        if status.state in (SourceState.LOST, SourceState.FAILED):
            words = f"{status.detail} — {status.hint}" if status.hint else status.detail
            self._show_banner("error" if status.state is SourceState.FAILED else "warn", words,
                              self.tr("Try again"), self.services.source.retry)
        elif status.state is SourceState.RUNNING and self._banner_of_source:
            self.banner.hide_banner()
            self._banner_of_source = False

    _banner_of_source = False

    def _show_banner(self, kind: str, text: str, action: str = "", slot=None) -> None:
        self._banner_of_source = kind in ("warn", "error")
        self.banner.show_banner(kind, text, action, slot)

    def _complain(self, what: str, hint: str) -> None:
        self.toasts.show_toast(f"{what}\n{hint}" if hint else what, "warn")

    def _on_stats(self, stats: LiveStats) -> None:
        if not self.services.store.settings.appearance.show_performance:
            self.view.set_overlay(())
            return
        lines = [self.tr("{0:.0f} frames/s").format(stats.shown_fps),
                 self.tr("camera to screen {0:.0f} ms, p95 {1:.0f} ms").format(stats.latency_p50_ms, stats.latency_p95_ms),
                 stats.quality.name]
        self.view.set_overlay(tuple(lines))

    def _on_recording(self, status) -> None:
        recording = self.services.recording.is_recording
        minutes, seconds = divmod(int(status.seconds), 60)
        self.view.set_badge(f"REC {minutes:02d}:{seconds:02d}" if recording else "")
        self._show_title()

    def _on_settings(self, section: str) -> None:
        if section == "view":
            self.source_dock.set_overlay(self.services.store.settings.view.landmarks)
        self._show_checks()

    def _show_title(self) -> None:
        s = self.services
        marks = [mark for mark, on in (("REC", s.recording.is_recording), ("VCAM", s.outputs.virtual_camera_on)) if on]
        people = " | ".join(s.cast.people_on_stage)
        parts = [" · ".join(marks)] if marks else []
        self.setWindowTitle(" — ".join([*parts, f"{people} · {s.source.title()}" if people else s.source.title(), "AGORA live"]))

    # ------------------------------------------------------------------------------------------------------ drag and drop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            self.drop_overlay.announce(classify(paths[0]))
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop_overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self.drop_overlay.hide()
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        QTimer.singleShot(0, self, lambda: self.open_files(paths))

    # ----------------------------------------------------------------------------------------------------------- layout

    def _restore_layout(self) -> None:
        self._factory_state = self.saveState(LAYOUT_VERSION)
        kept = window_state()
        geometry, state = kept.value("geometry"), kept.value("state")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            self.resize(1440, 920)
        if isinstance(state, QByteArray):
            self.restoreState(state, LAYOUT_VERSION)

    def _keep_layout(self) -> None:
        if self.isFullScreen():
            self._toggle_full_screen()
        kept = window_state()
        kept.setValue("geometry", self.saveGeometry())
        kept.setValue("state", self.saveState(LAYOUT_VERSION))
        kept.sync()

    def closeEvent(self, event: QCloseEvent) -> None:
        """A recording under way is finished and kept; the user is asked first."""
        if self.services.recording.is_recording and not self.confirm_close():
            event.ignore()
            return
        self._keep_layout()
        self.dialogs.close()
        self.services.close()
        event.accept()

    def confirm_close(self) -> bool:
        """Ask whether to stop the recording and close."""
        answer = QMessageBox.question(self, self.tr("Recording"),
                                      self.tr("A recording is under way. Stop it, keep it, and close the window?"),
                                      QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel,
                                      QMessageBox.StandardButton.Yes)
        return answer == QMessageBox.StandardButton.Yes
