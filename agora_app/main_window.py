"""The main window: the avatar in the middle, docks around it, one table of actions over all of it. Composition, no logic."""

from __future__ import annotations

import time

from PySide6.QtCore import QByteArray, Qt, QTimer
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDragLeaveEvent, QDropEvent, QKeyEvent
from PySide6.QtWidgets import QDockWidget, QMainWindow, QMessageBox, QScrollArea, QVBoxLayout, QWidget

from agora_app.actions import ActionRegistry
from agora_app.dialog_openers import DialogOpeners
from agora_app.docks.expression import ExpressionDock
from agora_app.docks.log import LogDock
from agora_app.docks.performance import PerformanceDock
from agora_app.docks.recording import RecordingDock
from agora_app.docks.source import SourceDock
from agora_app.docks.tracking import TrackingDock
from agora_app.drops import DropOverlay, classify_all
from agora_app.gallery.dock import IdentityDock
from agora_app.notifications import Banner, ToastStack
from agora_app.services import Services
from agora_app.settings.paths import LAYOUT_VERSION, window_state
from agora_app.viewport.avatar_view import AvatarView
from agora_app.viewport.stage_bar import StageBar
from agora_app.window_actions import WindowActions
from core.pipeline.live.state import LiveStats, SourceState, SourceStatus

NARROWEST_DOCK = 316  # pixels; below it words are cut off
PREVIEW_SECONDS = 0.1  # between two pictures of the camera in the source dock
_LEFT, _RIGHT = Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea


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
        self.commands = WindowActions(self)
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
        self.source_dock = SourceDock(s.source, may_film=self.dialogs.require_consent)
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
            "performance": self._dock("performance", self.tr("Performance"), self.performance_dock, _RIGHT),
            "log": self._dock("log", self.tr("Log"), self.log_dock, _RIGHT, scrolls=False),
        }
        self.default_layout()

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
        widget.setMinimumWidth(NARROWEST_DOCK)
        dock.setWidget(widget)
        self.addDockWidget(area, dock)
        return dock

    def default_layout(self) -> None:
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
        self._share_room()

    def _share_room(self) -> None:
        """Give the docks their usual sizes; Qt keeps to them only once the window has its own."""
        docks = self.docks
        self.resizeDocks([docks["source"], docks["people"]], [NARROWEST_DOCK, 350], Qt.Orientation.Horizontal)
        self.resizeDocks([docks["source"], docks["tracking"]], [54, 46], Qt.Orientation.Vertical)
        self.resizeDocks([docks["people"], docks["expression"]], [52, 48], Qt.Orientation.Vertical)

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
        for signal in (s.recording.failed, s.outputs.problem, s.calibration.failed):
            signal.connect(self._complain)
        s.cast.build_failed.connect(lambda person, why: self._complain(self.tr("{0}: {1}").format(person, why), ""))
        s.recording.notice.connect(lambda words: self.toasts.show_toast(words))
        s.recording.snapshot_saved.connect(lambda path: self.toasts.show_toast(self.tr("Saved {0}").format(path.name)))
        s.outputs.confirmation_needed.connect(self.dialogs.confirm_leaving)
        self.recording_dock.rerender_wanted.connect(self.dialogs.rerender)
        s.recording.saved.connect(self.dialogs.on_take_saved)
        s.recording.status_changed.connect(self._on_recording)
        s.cast.building.connect(lambda person: self.statusBar().showMessage(self.tr("Building person {0}…").format(person)))
        s.cast.cast_changed.connect(lambda: self.statusBar().clearMessage())
        s.calibration.drift.connect(self._on_drift)
        for signal in (s.cast.cast_changed, s.source.choice_changed, s.drive.changed, s.view.changed, s.recording.state_changed,
                       s.outputs.changed, s.cast.undo_stack.indexChanged):
            signal.connect(lambda *_: self.commands.show_checks())
        s.store.changed.connect(self._on_settings)
        s.store.problem_found.connect(lambda text: self._complain(text, ""))
        for signal in (s.cast.cast_changed, s.source.choice_changed, s.recording.state_changed, s.outputs.changed):
            signal.connect(lambda *_: self._show_title())
        self.identity_dock.photo_wanted.connect(self.dialogs.new_from_photo)
        s.photo.ended.connect(self.dialogs.on_photo_ended)
        s.photo.failed.connect(self._complain)
        s.photo.added.connect(lambda name: self.toasts.show_toast(self.tr("{0} is in the gallery").format(name)))
        if s.photo.is_active:
            self.show_photo_banner("info", self.tr("{0} is being made from a photo").format(s.photo.job.name))
        elif s.photo.job is not None:
            self.dialogs.on_photo_ended()
        s.training.ended.connect(self.dialogs.on_training_ended)
        s.training.failed.connect(self._complain)
        if s.training.is_active:
            self.show_training_banner("info", self.tr("A training is running"))
        self._on_settings("view")
        self._on_settings("application")
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

    def show_training_banner(self, kind: str, text: str) -> None:
        """Say how a training is, with the way to its monitor."""
        self._show_banner(kind, text, self.tr("Open the monitor"), self._open_monitor)
        self._banner_of_source = False

    def show_photo_banner(self, kind: str, text: str) -> None:
        """Say how a person from a photograph is, with the way there."""
        self._show_banner(kind, text, self.tr("Show"), self._open_photo)
        self._banner_of_source = False

    def _open_photo(self) -> None:
        self.banner.hide_banner()
        self.dialogs.new_from_photo()

    def _open_monitor(self) -> None:
        self.banner.hide_banner()
        self.dialogs.show_training()

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

    def _on_drift(self, text: str) -> None:
        if text:
            self._show_banner("info", text, self.tr("Recalibrate"), self.commands.calibrate)

    def _on_recording(self, status) -> None:
        recording = self.services.recording.is_recording
        minutes, seconds = divmod(int(status.seconds), 60)
        self.view.set_badge(f"REC {minutes:02d}:{seconds:02d}" if recording else "")
        self._show_title()

    def _on_settings(self, section: str) -> None:
        if section == "view":
            self.source_dock.set_overlay(self.services.store.settings.view.landmarks)
        elif section == "application":
            recent = self.services.store.settings.application.recent
            self.registry.fill_submenu("file.recent", [(path, lambda path=path: self.commands.open_files([path]))
                                                       for path in recent])
        self.commands.show_checks()

    def _show_title(self) -> None:
        s = self.services
        marks = [mark for mark, on in (("REC", s.recording.is_recording), ("VCAM", s.outputs.virtual_camera_on)) if on]
        people = " | ".join(s.cast.people_on_stage)
        parts = [" · ".join(marks)] if marks else []
        self.setWindowTitle(" — ".join([*parts, f"{people} · {s.source.title()}" if people else s.source.title(), "AGORA live"]))

    def raise_dock(self, name: str) -> None:
        """Show a dock and bring it before its neighbours."""
        self.docks[name].show()
        self.docks[name].raise_()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self.isFullScreen():
            self.commands.toggle_full_screen()
        else:
            super().keyPressEvent(event)

    # ------------------------------------------------------------------------------------------------------ drag and drop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            self.drop_overlay.announce(classify_all(paths))
            event.acceptProposedAction()

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        self.drop_overlay.hide()

    def dropEvent(self, event: QDropEvent) -> None:
        self.drop_overlay.hide()
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        QTimer.singleShot(0, self, lambda: self.commands.take_dropped(paths))

    # ----------------------------------------------------------------------------------------------------------- layout

    def _restore_layout(self) -> None:
        kept = window_state()
        geometry, state = kept.value("geometry"), kept.value("state")
        if not (isinstance(geometry, QByteArray) and self.restoreGeometry(geometry)):
            room = self.screen().availableSize()
            self.resize(min(1440, room.width()), min(940, room.height()))
        if not (isinstance(state, QByteArray) and self.restoreState(state, LAYOUT_VERSION)):
            QTimer.singleShot(0, self, self._share_room)

    def _keep_layout(self) -> None:
        if self.isFullScreen():
            self.commands.toggle_full_screen()
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
