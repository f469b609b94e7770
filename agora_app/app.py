"""Starting and ending the application: one instance, settings, theme, crash traces, the window."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from agora_app.dialogs.error import install_exception_hook
from agora_app.gl_context import make_gl_context_factory
from agora_app.log import LogModel, start_logging, stop_logging
from agora_app.main_window import MainWindow
from agora_app.sentinel import Sentinel
from agora_app.services import LiveOptions, Services
from agora_app.settings.paths import settings_path
from agora_app.settings.store import SettingsStore
from agora_app.single_instance import SingleInstance
from agora_app.theme import apply_theme
from core.pipeline.live.memory import keep_heaps_small

log = logging.getLogger(__name__)
INSTANCE_NAME = "agora-live"


@dataclass(frozen=True)
class Start:
    """What the command line asks for.

    Attributes:
        files: videos, motion clips or packs to open.
        person: who is on stage; empty for whom the settings remember.
        renderer: what draws; empty for what the settings say.
        safe: CPU renderer, no virtual camera, whatever the settings say.
        questions: whether wizards and notes may appear (scripts say no).
        tracker_delay: see `LiveOptions`.
    """

    files: tuple[str, ...] = ()
    person: str = ""
    renderer: str = ""
    safe: bool = False
    questions: bool = True
    tracker_delay: float = 0.0


@dataclass(frozen=True)
class Running:
    """A running application and what belongs to it."""

    app: QApplication
    window: MainWindow
    services: Services
    log_model: LogModel


def make_qt_application() -> QApplication:
    """The QApplication, made after what would disturb it has been cleared away."""
    os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)  # cv2 points it at its own, older plugins
    os.environ.pop("QT_QPA_FONTDIR", None)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    app.setApplicationName("AGORA live")
    app.setOrganizationName("AGORA live")
    app.setApplicationDisplayName("")
    return app


def build(start: Start) -> Running:
    """Everything but the event loop."""
    keep_heaps_small()
    app = make_qt_application()
    store = SettingsStore(settings_path())
    apply_theme(app, store.settings.appearance.theme)
    log_model = LogModel(start_logging())
    options = LiveOptions(renderer="cpu" if start.safe else start.renderer, tracker_delay=start.tracker_delay,
                          make_context=make_gl_context_factory())
    if start.safe:
        store.change("output", virtual_camera=False)
    services = Services(store, options)
    services.cast.choose(start.person or store.settings.identity.person)
    services.start()
    window = MainWindow(services, log_model)
    store.changed.connect(lambda section: section == "appearance" and apply_theme(app, store.settings.appearance.theme))
    if store.problem:
        window.toasts.show_toast(store.problem, "warn")
    # What is there now stays: the garbage collector need not look at it again, which would hold the live threads up.
    gc.collect()
    gc.freeze()
    window.show()
    if start.files:
        window.commands.open_files(list(start.files))
    return Running(app, window, services, log_model)


def run(start: Start) -> int:
    """Open the window and stay until it is closed. Returns the exit code."""
    app = make_qt_application()
    instance = SingleInstance(INSTANCE_NAME)
    if not instance.is_first:
        instance.send([str(Path(file).resolve()) for file in start.files])
        print("AGORA live is running already; its window has been brought to the front")
        return 0
    sentinel = Sentinel()
    safe = sentinel.arm()
    if safe.crashed and start.questions:
        apply_theme(app, "system")
        from agora_app.dialogs.safe_start import ask_safe_mode

        start = replace(start, safe=start.safe or ask_safe_mode(safe))
    running = build(start)
    window = running.window
    uninstall_hook = install_exception_hook(window.dialogs.show_crash)
    instance.files_received.connect(lambda files: (window.raise_(), window.activateWindow(), window.commands.open_files(files)))
    if start.questions:
        QTimer.singleShot(0, window, window.dialogs.ask_at_start)
    signal.signal(signal.SIGTERM, lambda *_: app.closeAllWindows())
    listening = QTimer(app, interval=200)  # lets Python look at signals while Qt's loop runs
    listening.timeout.connect(lambda: None)
    listening.start()
    code = app.exec()
    uninstall_hook()
    sentinel.disarm()
    instance.close()
    running.log_model.close()
    stop_logging()
    return code
