"""`screenshots`: pictures of the window, its docks, dialogs and wizard in both themes, from a real live session."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DRIVER_SEED, STAGE_SEED = 1010, "7"
WIDTH, HEIGHT = 1500, 940
QUALITY = 90


@dataclass(kw_only=True)
class Options:
    """Open the window with a video as the camera, go through everything it has, and keep pictures."""

    out: Path
    """Folder for the pictures."""
    driver: Path | None = None
    """Video of a face that plays as the camera; a synthetic person who plays the demo when left out."""
    seed: str = STAGE_SEED
    """Who is on stage."""
    themes: tuple[str, ...] = ("dark", "light")
    """Which themes."""
    parts: tuple[Literal["window", "docks", "dialogs", "exchange", "photo", "training"], ...] = (
        "window", "docks", "dialogs", "exchange", "photo", "training")
    """What is shown."""
    inverter: Path | None = None
    """A program that makes people from photographs; this one when left out."""
    trainer: Path | None = None
    """A program that answers the training commands; this one when left out."""
    dataset: Path | None = None
    """A small dataset for the pages about training; a tiny one is made when left out."""
    run: Path | None = None
    """A training on it for these pages; when left out, the smallest recipe is trained, for a minute or two."""


def run(options: Options) -> int:
    """Make the pictures. The user's settings, recordings and favourites are not touched."""
    import os
    import tempfile

    from agora_app.cli import require_screen
    from core.assets import cache_folder

    require_screen()
    os.environ.setdefault("AGORA_CACHE", str(cache_folder()))
    with tempfile.TemporaryDirectory() as folder:  # a home of its own: pictures show no paths of this machine
        os.environ |= {"HOME": folder, "USERPROFILE": folder, "AGORA_DATA": str(Path(folder) / "Agora")}
        driver = options.driver or _synthetic_driver(Path(folder) / "camera.mp4")
        options.out.mkdir(parents=True, exist_ok=True)
        _Session(options, driver, Path(folder)).run()
    return 0


def _synthetic_driver(path: Path) -> Path:
    """A studio person who plays the demo: nobody's face is in the pictures."""
    from core.assets import resource
    from core.cli import DEMO_MOTION
    from core.commands import render

    render.run(render.Options(seed=(str(DRIVER_SEED),), out=path, motion=resource(DEMO_MOTION), size=512, background="#8a93a0"))
    return path


class _Session:
    """One run through the window."""

    def __init__(self, options: Options, driver: Path, folder: Path) -> None:
        from agora_app.app import Start, build
        from agora_app.settings.paths import window_state

        window_state().clear()
        self._options, self._folder = options, folder
        self._running = build(Start(person=options.seed, questions=False))
        store = self._running.services.store
        store.change("application", consent=True, wizard_done=True)
        store.change("recording", folder=str(folder / "takes"), sound="none")
        store.change("source", mirror=False)
        self._running.window.resize(WIDTH, HEIGHT)
        self._running.services.source.open_video(str(driver))

    def run(self) -> None:
        """Everything in each theme."""
        from agora_app.scripts.people_pictures import PeoplePictures
        from agora_app.scripts.training_pictures import Material, TrainingPictures

        services = self._running.services
        self._wait(lambda: services.session.stats().tracked_fps > 5, 40)
        self._pause(3)
        services.cast.toggle_favourite(services.cast.person)
        for theme in self._options.themes:
            services.store.change("appearance", theme=theme)
            self._pause(1)
            for part, show in (("window", self._main), ("docks", self._docks), ("dialogs", self._dialogs)):
                if part in self._options.parts:
                    show(theme)
        people = PeoplePictures(self._running, self._grab, self._wait, self._options.themes, self._folder, self._options.inverter)
        for part, take in (("exchange", people.take_exchange), ("photo", people.take_photo)):
            if part in self._options.parts:
                take()
        if "training" in self._options.parts:
            material = Material(self._options.trainer, self._options.dataset, self._options.run)
            TrainingPictures(self._running, self._grab, self._wait, material, self._options.themes).take()
        self._running.window.close()
        self._pause(0.2)

    def _main(self, theme: str) -> None:
        window, services = self._running.window, self._running.services
        services.store.change("appearance", show_performance=False)
        self._pause(8)  # thumbnails come in
        self._grab(window, f"window_{theme}")
        services.view.orbit(-150, 20, 600)
        services.store.change("appearance", show_performance=True)
        services.cast.choose_second("42")
        services.cast.set_compare("side-by-side")
        self._wait(lambda: len(services.cast.people_on_stage) == 2, 20)
        self._pause(3)
        self._grab(window, f"compare_{theme}")
        services.cast.set_compare("single")
        services.store.change("appearance", show_performance=False)
        services.view.reset()
        self._pause(1)

    def _docks(self, theme: str) -> None:
        window, services = self._running.window, self._running.services
        window.raise_dock("recording")
        services.recording.start()
        self._pause(5)
        self._grab(window, f"recording_{theme}")
        services.recording.stop()
        self._wait(lambda: not services.recording.is_recording and services.recording.takes(), 10)
        self._pause(1)
        self._grab(window.recording_dock, f"dock_recording_{theme}")
        window.raise_dock("tracking")
        services.calibration.start(True)
        self._pause(1.2)
        self._grab(window, f"calibration_{theme}")
        services.calibration.cancel()
        for name, widget in (("performance", window.performance_dock), ("log", window.log_dock),
                             ("expression", window.expression_dock), ("people", window.identity_dock),
                             ("source", window.source_dock), ("tracking", window.tracking_dock)):
            window.raise_dock(name)
            self._pause(4 if name == "performance" else 1)
            self._grab(widget, f"dock_{name}_{theme}")
        window.raise_dock("expression")

    def _dialogs(self, theme: str) -> None:
        from PySide6.QtWidgets import QWidget, QWizard

        openers = self._running.window.dialogs
        for name in ("doctor", "about", "licences", "guide", "preferences", "shortcuts", "palette", "rerender", "inspector"):
            getattr(openers, name)()
            self._pause(4 if name in ("doctor", "inspector") else 0.8)
            self._grab_top(name, theme)
        openers.wizard()
        self._pause(1)
        wizard = next(w for w in self._running.app.topLevelWidgets() if isinstance(w, QWizard) and w.isVisible())
        for page in range(1, 6):
            self._pause(3 if page == 2 else 1)
            self._grab(wizard, f"wizard_{page}_{theme}")
            if wizard.nextId() < 0:
                break
            wizard.next()
        QWidget.close(wizard)
        self._pause(0.3)

    def _grab_top(self, name: str, theme: str) -> None:
        window = self._running.window
        extra = [w for w in self._running.app.topLevelWidgets() if w.isVisible() and w is not window and w.width() > 150]
        if extra:
            self._grab(extra[-1], f"{name}_{theme}")
        for widget in extra:
            widget.close()
        self._pause(0.2)

    def _grab(self, widget, name: str) -> None:
        widget.grab().toImage().save(str(self._options.out / f"{name}.jpg"), quality=QUALITY)
        print(f"{name}.jpg", flush=True)

    def _pause(self, seconds: float) -> None:
        self._wait(lambda: False, seconds)

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not condition():
            self._running.app.processEvents()
            time.sleep(0.005)
