"""Pictures of how people come in from photographs and published files, and go out again; part of `screenshots`."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from PySide6.QtWidgets import QWidget

from agora_app.app import Running
from agora_app.exchange.export_dialog import ExportDialog
from agora_app.exchange.import_dialog import ImportDialog
from agora_app.photo.dialog import PhotoDialog
from agora_app.photo.models.job import PhotoCommands
from agora_app.photo.models.model import PhotoStage

SITTER, PHOTO_SIZE = "1005", 900
SIDES = (("sam.png", 4.0), ("sam-left.png", -32.0), ("sam-right.png", 28.0))  # file, degrees
PUBLISHED = (("checkpoints/checkpoint-20500.pkl", 469_000_000), ("model_config.json", 8_200), ("svd_basis.pt", 644_000_000),
             ("mlp_regressor.pt", 1_640_000))  # file and bytes; empty ones stand in, which are never opened
_LONGEST = 900.0  # seconds for any step


class PeoplePictures:
    """Goes through the dialogs once; each state is kept in every theme.

    Args:
        running: the program; its folders are for these pictures alone.
        grab: keeps a picture of a widget under a name.
        wait: processes events until a condition holds, some seconds at most.
        themes: which.
        folder: for what the pictures are made with; its path may be seen in them.
        program: answers `invert`; None for this one.
    """

    def __init__(self, running: Running, grab: Callable[[QWidget, str], None], wait: Callable[[Callable[[], bool], float], None],
                 themes: tuple[str, ...], folder: Path, program: Path | None = None) -> None:
        self._running, self._grab, self._wait, self._themes, self._folder = running, grab, wait, themes, folder
        self._model = running.services.photo
        if program is not None:
            self._model.commands = PhotoCommands((sys.executable, str(program)))

    def take_photo(self) -> None:
        """From the empty form to the person on stage. The sitter is a studio person: nobody's photograph is shown."""
        services, model = self._running.services, self._model
        services.session.set_paused(True)  # all processors for the work
        photos = self._sitting()
        self._running.window.dialogs.new_from_photo()
        dialog = self._dialog(PhotoDialog)
        self._keep(dialog, "photo_form_empty")
        model.form.add([*photos, self._wall()])
        dialog.form_page.consent.setChecked(True)
        dialog.form_page.fold.setChecked(True)
        self._keep(dialog, "photo_form")
        dialog.form_page.fold.setChecked(False)
        self._start(dialog)
        self._wait(lambda: model.stage is PhotoStage.FORM, _LONGEST)
        self._keep(dialog, "photo_refused")
        model.form.remove(model.form.photos[-1])
        self._start(dialog)
        self._wait(lambda: not model.is_active or (model.run.share > 0.5 and model.preview is not None), _LONGEST)
        if model.is_active:
            self._keep(dialog, "photo_working")
        self._wait(lambda: not model.is_active and not model.is_drawing, _LONGEST)
        if model.stage is not PhotoStage.DONE:
            raise RuntimeError(f"nobody was made: {model.form.problem or [model.form.problem_of(photo) for photo in photos]}")
        self._keep(dialog, "photo_result")
        model.add()
        self._wait(lambda: model.stage is PhotoStage.FORM, _LONGEST)
        services.session.set_paused(False)
        self._pause(10)  # the thumbnail comes in
        self._keep(self._running.window, "photo_live")

    def take_exchange(self) -> None:
        """The forms of export and import, and an export that has been done."""
        services, openers = self._running.services, self._running.window.dialogs
        out = self._folder / "Documents"
        services.store.change("exchange", folder=str(out), format="web")
        openers.export()
        dialog = self._dialog(ExportDialog)
        self._keep(dialog, "export_web")
        dialog.model.set_format("ply")
        self._keep(dialog, "export_ply")
        dialog.begin()
        self._wait(lambda: not dialog.model.task.is_running, _LONGEST)
        self._keep(dialog, "export_done")
        dialog.close()
        openers.import_official()
        dialog = self._dialog(ImportDialog)
        self._keep(dialog, "import_empty")
        dialog.model.set_folder(str(self._published()))
        self._keep(dialog, "import_found")
        dialog.close()
        self._pause(0.3)

    def _start(self, dialog: PhotoDialog) -> None:
        if not dialog.start_button.isEnabled():
            raise RuntimeError(f"it cannot begin: {dialog.reason.text()}")
        dialog.start_button.click()

    def _sitting(self) -> list[Path]:
        """A studio person before the camera."""
        from core.avatar.portraits import Portraitist
        from core.avatar.sources import open_source
        from core.media.image import write_image

        folder, portraitist = self._folder / "Pictures", Portraitist(open_source(), PHOTO_SIZE)
        folder.mkdir(parents=True, exist_ok=True)
        for name, degrees in SIDES:
            write_image(folder / name, portraitist.picture(SITTER, math.radians(degrees)))
        return [folder / name for name, _ in SIDES]

    def _wall(self) -> Path:
        """A picture without a face."""
        import numpy as np

        from core.media.image import write_image

        path, shade = self._folder / "Pictures" / "garden wall.png", np.linspace(150, 90, 600).astype(np.uint8)
        write_image(path, np.broadcast_to(shade[:, None, None], (600, 800, 3)).copy())
        return path

    def _published(self) -> Path:
        """A folder that looks like the published files: their names, and their sizes, with nothing in them."""
        folder = self._folder / "Downloads" / "AGORA"
        for name, size in PUBLISHED:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            with (folder / name).open("wb") as file:
                file.truncate(size)
        return folder

    def _dialog(self, kind: type) -> QWidget:
        self._pause(0.5)
        return next(found for found in self._running.window.findChildren(kind) if found.isVisible())

    def _keep(self, widget: QWidget, name: str) -> None:
        for theme in self._each_theme():
            self._grab(widget, f"{name}_{theme}")

    def _each_theme(self) -> Iterator[str]:
        for theme in self._themes:
            self._running.services.store.change("appearance", theme=theme)
            self._pause(0.8)
            yield theme

    def _pause(self, seconds: float) -> None:
        self._wait(lambda: False, seconds)
