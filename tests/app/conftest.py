"""What holds for every test of the window: no screen needed, no Qt warning, nothing left behind, fresh settings."""

from __future__ import annotations

import gc
import os
import threading
import time
import weakref

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QObject, QThreadPool, QTimer
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QApplication, QWidget

from agora_app.settings.store import SettingsStore
from tests.app.fakes import FakeSession

# Qt messages that do not fail a test, each with the reason. Everything else at the level of a warning does.
IGNORED_MESSAGES = (
    r"This plugin does not support propagateSizeHints\(\)",  # the offscreen platform has no window manager to tell
    r"This plugin does not support raise\(\)",  # likewise
    r"This plugin does not support grabbing the keyboard",  # likewise, for menus
    r"QFont::setPointSize.*",  # style sheets in pixels give fonts without a point size; pyqtgraph copies them
    r"Cannot open file .*/pyqtgraph/icons/.*",  # optional icons of pyqtgraph
)
# Widgets and timers of libraries that live as long as the process, by the module of their class or the name of the class.
LASTING_MODULES = ("pyqtgraph", "vispy", "superqt")
LASTING_CLASSES = ("QTipLabel", "QDesktopWidget", "QRollEffect", "QAlphaWidget", "QShapedPixmapWidget")
LASTING_THREADS = ("tqdm", "pytest", "pydevd", "execnet", "QDBus")
GRACE_SECONDS = 2.0  # for a thread that has been told to stop

_failed = pytest.StashKey[bool]()
_started_timers: weakref.WeakSet[QTimer] = weakref.WeakSet()


def pytest_configure(config):
    for message in IGNORED_MESSAGES:
        config.addinivalue_line("qt_log_ignore", message)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.stash[_failed] = report.failed
    return report


@pytest.fixture(scope="session")
def qapp_args():
    """Arguments of the QApplication; its plugins and fonts are Qt's own, not those that cv2 points at when it is imported."""
    os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)
    os.environ.pop("QT_QPA_FONTDIR", None)
    return ["agora-live"]


@pytest.fixture(scope="session", autouse=True)
def _watch_timers():
    """Remember every timer that Python code starts: Qt keeps no list of them."""
    start = QTimer.start

    def remember(self, *arguments):
        _started_timers.add(self)
        # Connected to a signal, the real slot takes only what it can use: a button's state is no interval.
        return start(self, *(argument for argument in arguments if type(argument) is int))

    QTimer.start = remember
    yield
    QTimer.start = start


@pytest.fixture(autouse=True)
def _nothing_stays_behind(request):
    """Threads, running timers and top-level widgets that outlive their test fail it."""
    threads, widgets = set(threading.enumerate()), _top_level_widgets()
    yield
    if request.node.stash.get(_failed, False):
        _destroy(_strangers(widgets))  # its traceback holds on to things; the failure has been told
        return
    left = [*_leaked_threads(threads), *_leaked_timers(), *_leaked_widgets(widgets)]
    if left:
        pytest.fail("left behind: " + "; ".join(left), pytrace=False)


@pytest.fixture(autouse=True)
def _fresh_data_folder(tmp_path, monkeypatch):
    """No test sees the settings, logs or calibrations of another one."""
    monkeypatch.setenv("AGORA_DATA", str(tmp_path / "data"))


@pytest.fixture
def store(qapp, tmp_path):
    """Settings of their own file."""
    store = SettingsStore(tmp_path / "settings.json")
    yield store
    store.flush()


@pytest.fixture
def session() -> FakeSession:
    """A live session that only remembers what it is told."""
    return FakeSession()


@pytest.fixture
def theme_dark(qapp):
    """The dark theme, for one test."""
    yield from _theme(qapp, "dark")


@pytest.fixture
def theme_light(qapp):
    """The light theme, for one test."""
    yield from _theme(qapp, "light")


def _theme(app, name: str):
    from agora_app.theme import apply_theme

    apply_theme(app, name)
    yield name
    app.setStyleSheet("")
    app.setPalette(QPalette())


# ------------------------------------------------------------------------------------------------------- what is left behind


def _leaked_threads(before: set[threading.Thread]) -> list[str]:
    QThreadPool.globalInstance().waitForDone(int(1000 * GRACE_SECONDS))
    end = time.monotonic() + GRACE_SECONDS
    names = []
    for thread in set(threading.enumerate()) - before:
        # Python makes dummies for threads of C++ that call into it; they are not ours to join.
        if isinstance(thread, threading._DummyThread) or thread.name.startswith(LASTING_THREADS):
            continue
        thread.join(max(0.0, end - time.monotonic()))
        if thread.is_alive():
            names.append(f"thread {thread.name}")
    return names


def _leaked_timers() -> list[str]:
    def running() -> list[QTimer]:
        alive = [timer for timer in list(_started_timers) if shiboken6.isValid(timer)]
        return [timer for timer in alive if timer.isActive() and not _is_lasting(timer)]

    _delete_deferred()
    if running():
        gc.collect()
    left = running()
    for timer in left:
        timer.stop()
    return [f"timer of {_chain(timer)}" for timer in left]


def _leaked_widgets(before: list[QWidget]) -> list[str]:
    _delete_deferred()
    if _strangers(before):
        gc.collect()
        _delete_deferred()
    left = _strangers(before)
    names = [f"window {_chain(widget)}" for widget in left]
    _destroy(left)
    return names


def _top_level_widgets() -> list[QWidget]:
    return QApplication.topLevelWidgets() if QApplication.instance() else []


def _strangers(before: list[QWidget]) -> list[QWidget]:
    known = {id(widget) for widget in before}
    return [widget for widget in _top_level_widgets() if id(widget) not in known and not _is_lasting(widget)]


def _is_lasting(thing: QObject) -> bool:
    while thing is not None:
        kind = type(thing)
        if kind.__module__.startswith(LASTING_MODULES) or thing.metaObject().className() in LASTING_CLASSES:
            return True
        thing = thing.parent()
    return False


def _destroy(widgets: list[QWidget]) -> None:
    for widget in widgets:
        if shiboken6.isValid(widget):
            widget.close()
            widget.deleteLater()
    _delete_deferred()


def _delete_deferred() -> None:
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def _chain(thing: QObject | None) -> str:
    names = []
    while thing is not None:
        names.append(f"{type(thing).__name__} {thing.objectName()!r}" if thing.objectName() else type(thing).__name__)
        thing = thing.parent()
    return " in ".join(names)
