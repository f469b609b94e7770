"""Everything the window knows about making a person from photographs: the form, the work under way, and what has come of it."""

from __future__ import annotations

import logging
from enum import Enum
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from agora_app.background import Job
from agora_app.children.answers import Problem, read_answer
from agora_app.children.followed import Condition, FollowedRun
from agora_app.children.launcher import Launcher, end_process
from agora_app.models.pack_installer import PackInstaller
from agora_app.photo.models.form import PhotoForm
from agora_app.photo.models.job import JobFolder, PhotoCommands, PhotoJob, job_folders, new_job_folder
from agora_app.photo.models.report import PhotoReport
from agora_app.photo.models.views import PersonView, draw_views
from agora_app.settings.store import SettingsStore
from core.errors import AgoraError, InputError

log = logging.getLogger(__name__)
CANCEL_SECONDS = 3.0  # for the command to end by itself after it was told to


class PhotoStage(Enum):
    """Where one is: filling in the form, waiting, waiting for the end of what was cancelled, looking at the result."""

    FORM = "form"
    WORKING = "working"
    CANCELLING = "cancelling"
    DONE = "done"


class PhotoModel(QObject):
    """One person at a time. The work goes on when the window is closed, and is found again by the next one.

    Signals:
        stage_changed: one is elsewhere, or the outcome is different.
        progressed: the work has got on, or there is a new preview.
        views_changed: the person has been drawn, or cannot be.
        ended: the work is over, well or badly, and was not cancelled.
        added: (name) the person is in the gallery and on stage.
        failed: (what, hint) something could not be started or steered.

    Args:
        cast: the people of the live session.
        commands: replaced in tests.

    Attributes:
        form: what is asked for.
        stage: where one is.
        run: the work under way; None while there is none.
        job: what is made, or has been made.
        report: about the finished person.
        views: the finished person from several sides; empty before they are drawn.
        problem: why the finished person cannot be drawn or added.
        installer: adds the person.
    """

    stage_changed = Signal()
    progressed = Signal()
    views_changed = Signal()
    ended = Signal()
    added = Signal(str)
    failed = Signal(str, str)

    def __init__(self, store: SettingsStore, cast, parent: QObject | None = None, *,
                 commands: PhotoCommands | None = None) -> None:
        super().__init__(parent)
        self.commands = commands or PhotoCommands()
        self.form = PhotoForm(store, self)
        self.stage = PhotoStage.FORM
        self.run: FollowedRun | None = None
        self.job: PhotoJob | None = None
        self.report = PhotoReport()
        self.views: tuple[PersonView, ...] = ()
        self.problem: Problem | None = None
        self.installer = PackInstaller(cast, self)
        self.installer.changed.connect(self._on_installer)
        self.installer.installed.connect(self._on_installed)
        self._folder: JobFolder | None = None
        self._launcher: Launcher | None = None
        self._drawing = Job("draw the person", self)
        self._drawing.done.connect(self._on_drawn)
        self._drawing.failed.connect(self._on_not_drawn)
        self._find()

    @property
    def is_active(self) -> bool:
        """Whether the work is under way."""
        return self.stage in (PhotoStage.WORKING, PhotoStage.CANCELLING)

    @property
    def is_drawing(self) -> bool:
        """Whether views are still to come."""
        return self._drawing.is_running

    @property
    def preview(self) -> Path | None:
        """The newest picture of the work under way."""
        return self.run.samples[-1] if self.run is not None and self.run.samples else None

    # --------------------------------------------------------------------------------------------------------- steering

    def start(self) -> bool:
        """Make what the form asks for, to which the user has agreed. Returns whether that has begun."""
        if self.stage is not PhotoStage.FORM:
            return False
        self.form.forgive()
        folder, job, launcher = new_job_folder(), self.form.job(), Launcher()
        try:
            folder.write(job)
            launcher.start(self.commands.invert(job, folder), folder.path)
        except OSError as error:
            folder.remove()
            self.form.blame(Problem(self.tr("It cannot be started: {0}").format(error.strerror or error),
                                    self.tr("make room in {0}, or mend its rights").format(folder.path.parent)))
            return False
        self._follow(folder, job, launcher)
        return True

    def cancel(self) -> None:
        """End the work at once and leave nothing of it."""
        if self.stage is PhotoStage.WORKING:
            self.stage = PhotoStage.CANCELLING
            self.run.abort()
            self.stage_changed.emit()

    def add(self) -> None:
        """Put the finished person into the gallery and on stage; `added` follows, or `problem`."""
        if self.stage is PhotoStage.DONE:
            self.problem = None
            self.installer.install(self._folder.pack(self.job), self.job.name)

    def discard(self) -> None:
        """Give the finished person up; the form is still filled in."""
        if self.stage is PhotoStage.DONE:
            self.installer.close()
            self._clear_away()
            self._show(PhotoStage.FORM)

    def close(self) -> None:
        """Look no more; the work goes on."""
        self._drawing.cancel()
        self.installer.close()
        if self.run is not None:
            self.run.close()

    # ------------------------------------------------------------------------------------------------------------ inside

    def _find(self) -> None:
        """Take up what an earlier window has begun, and clear away what nobody will ask for any more."""
        newest, *others = [*job_folders()] or [None]
        for folder in others:
            if not Launcher().find(folder.path):
                folder.remove()
        if newest is None:
            return
        job, launcher = newest.read(), Launcher()
        runs = launcher.find(newest.path)
        if job is not None:
            self.form.show_job(job)
            self._follow(newest, job, launcher if runs else None)
        elif not runs:
            newest.remove()

    def _follow(self, folder: JobFolder, job: PhotoJob, launcher: Launcher | None) -> None:
        self._folder, self.job, self._launcher = folder, job, launcher
        self.report, self.views, self.problem = PhotoReport(), (), None
        self.run = FollowedRun(folder.path, launcher, self, patience=CANCEL_SECONDS)
        self.run.changed.connect(self.progressed)
        self.run.samples_changed.connect(self.progressed)
        self.run.failed.connect(self.failed)
        self.run.ended.connect(self._on_ended)
        self._show(PhotoStage.WORKING)
        if not self.run.is_active:  # it has ended while no window was open
            self._on_ended()

    def _on_ended(self) -> None:
        condition, cancelled = self.run.condition, self.stage is PhotoStage.CANCELLING
        pack = self._folder.pack(self.job)
        if condition is Condition.FINISHED and pack.is_file() and not cancelled:
            self._read_report()
            self._drawing.run(lambda: draw_views(pack))
            self._show(PhotoStage.DONE)
            self.ended.emit()
            return
        problem = self.run.problem
        if condition is Condition.FINISHED:
            problem = Problem(self.tr("no avatar has come about"), self.tr("try again; if it stays, look into the log"))
        self._clear_away()
        if problem is not None and not cancelled:
            self.form.blame(problem)
        self._show(PhotoStage.FORM)
        if not cancelled and condition is not Condition.STOPPED:
            self.ended.emit()

    def _read_report(self) -> None:
        try:
            self.report = read_answer(self.run.folder.report, PhotoReport)
        except InputError as error:
            log.warning("%s: %s", self.run.folder.report, error)
            self.report = PhotoReport()

    def _on_drawn(self, views: tuple[PersonView, ...]) -> None:
        self.views = views
        self.views_changed.emit()

    def _on_not_drawn(self, error: Exception) -> None:
        known = isinstance(error, AgoraError)
        self.problem = Problem(error.message, error.hint) if known else Problem(
            self.tr("the person cannot be drawn: {0}").format(error), self.tr("try again; if it stays, look into the log"))
        self.views_changed.emit()

    def _on_installer(self) -> None:
        self.problem = self.installer.failure
        self.stage_changed.emit()

    def _on_installed(self) -> None:
        name = self.job.name
        self._clear_away()
        self.form.clear()
        self._show(PhotoStage.FORM)
        self.added.emit(name)

    def _show(self, stage: PhotoStage) -> None:
        self.stage = stage
        self.stage_changed.emit()

    def _clear_away(self) -> None:
        """Forget the work, end what is left of its process, and remove its folder."""
        self._drawing.cancel()
        run, self.run = self.run, None
        run.close()
        pid = run.status.pid if run.status else 0
        for number in {pid, self._launcher.pid if self._launcher else 0} - {0}:
            end_process(number, run.path)
        run.deleteLater()
        self._folder.remove()
        self.views, self.problem = (), None
