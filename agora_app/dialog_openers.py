"""Which dialog opens when: from actions, from the start, from what models report. Keeps those that stay open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog

from agora_app.services import Services
from core.pipeline.live.state import LivePicture


class DialogOpeners(QObject):
    """Opens the dialogs of one main window; each class is imported when it is first needed, so that the window is there soon."""

    def __init__(self, window, services: Services, registry, log_model) -> None:
        super().__init__(window)
        self._window, self._services, self._registry, self._log_model = window, services, registry, log_model
        self._inspector = None
        self._training = None
        self._photo = None
        self._crashes_shown = False

    def connect(self, connect: Callable[[str, Callable], None]) -> None:
        """Connect the actions that open dialogs."""
        for name, slot in (("edit.preferences", self.preferences), ("tools.palette", self.palette), ("tools.doctor", self.doctor),
                           ("tools.wizard", self.wizard), ("help.shortcuts", self.shortcuts), ("help.about", self.about),
                           ("help.licences", self.licences), ("help.guide", self.guide), ("view.inspector", self.inspector),
                           ("record.rerender", self.rerender), ("record.recover", self.recover),
                           ("train.new", self.new_training), ("train.show", self.show_training),
                           ("file.new_from_photo", self.new_from_photo), ("file.export", self.export),
                           ("file.import_official", self.import_official)):
            connect(name, slot)

    # ---------------------------------------------------------------------------------------------------------- at start

    def ask_at_start(self) -> None:
        """The wizard on the first run; else what an earlier run left to decide."""
        if not self._services.store.settings.application.wizard_done:
            self.wizard()
        elif self._services.recording.unfinished():
            self.recover()

    def require_consent(self) -> bool:
        """Whether real people's footage may be used; asks once in a lifetime."""
        from agora_app.dialogs.consent import require_consent

        return require_consent(self._services.store, self._window)

    # ------------------------------------------------------------------------------------------------------------ dialogs

    def wizard(self) -> None:
        from agora_app.wizard.first_run import FirstRunWizard

        self._wizard = FirstRunWizard(self._services.store, self._services.source, parent=self._window)
        self._wizard.open()

    def preferences(self) -> None:
        from agora_app.dialogs.preferences import PreferencesDialog

        PreferencesDialog(self._services.store, self._registry, self._window).open()

    def palette(self) -> None:
        from agora_app.dialogs.palette import CommandPalette

        CommandPalette(self._registry, self._window).open()

    def shortcuts(self) -> None:
        from agora_app.dialogs.shortcuts import ShortcutDialog

        ShortcutDialog(self._registry, self._window).open()

    def doctor(self) -> None:
        from agora_app.dialogs.doctor import DoctorDialog

        DoctorDialog(self._window).open()

    def about(self) -> None:
        from agora_app.dialogs.about import AboutDialog

        AboutDialog(self._window, self._services.session.stats().renderer).open()

    def licences(self) -> None:
        from agora_app.dialogs.about import AboutDialog

        dialog = AboutDialog(self._window, self._services.session.stats().renderer)
        dialog.show_licences()
        dialog.open()

    def guide(self) -> None:
        from agora_app.dialogs.guide import GuideDialog

        GuideDialog(self._registry, self._window).show()  # it stays open beside the work

    def inspector(self) -> None:
        """The fitted mesh in a window of its own; stays until it is closed."""
        from agora_app.dialogs.inspector import Inspector

        if self._inspector is None:
            self._inspector = Inspector(self._window)
        self._inspector.show()
        self._inspector.raise_()

    def rerender(self, take=None) -> None:
        """Another person, view or size for a take; the newest one when none is named."""
        from agora_app.dialogs.rerender import RerenderDialog
        from core.avatar.sources import open_source

        takes = self._services.recording.takes()
        take = take or (takes[0] if takes else None)
        if take is None:
            self._window.toasts.show_toast(self.tr("There is no take yet: record one with R"))
            return
        packs = [path for path in self._services.store.settings.identity.packs if Path(path).stem == take.info.about.pack]
        RerenderDialog(take, self._services.cast.person, self._window,
                       open_people=lambda: open_source(packs[0] if packs else None)).open()

    def recover(self) -> None:
        from agora_app.dialogs.recover import RecoverDialog

        unfinished = self._services.recording.unfinished()
        if not unfinished:
            self._window.toasts.show_toast(self.tr("There is no unfinished recording"))
            return
        RecoverDialog(self._services.recording, unfinished, self._window).open()

    def new_from_photo(self, photos: Sequence[str] = ()) -> None:
        """The dialog of a person from photographs, at what is under way; with photographs that were dropped on the window."""
        from agora_app.photo.dialog import PhotoDialog

        s = self._services
        if self._photo is None:
            self._photo = PhotoDialog(s.photo, s.cast.shelves, self._window)
            self._photo.finished.connect(self._on_photo_closed)
            self._photo.closed_while_working.connect(lambda: self._window.toasts.show_toast(
                self.tr("The avatar is still being made. File ▸ New from photo… comes back to it.")))
            self._photo.show()
        self._photo.raise_()
        self._photo.add_photos(photos)

    def _on_photo_closed(self) -> None:
        self._photo = None

    def export(self) -> None:
        """The people on stage in another format."""
        from agora_app.exchange.export_dialog import ExportDialog
        from agora_app.exchange.models.export import ExportModel

        ExportDialog(ExportModel(self._services.store, self._services.cast), self._window).show()

    def import_official(self) -> None:
        """The published files as a pack."""
        from agora_app.exchange.import_dialog import ImportDialog
        from agora_app.exchange.models.official import OfficialModel

        ImportDialog(OfficialModel(self._services.store, self._services.cast), self._window).show()

    def new_training(self) -> None:
        """The training wizard at its first page."""
        if self._training is None:
            self._open_training(monitor=False)
        else:
            self._training.begin_again()
        self._training.raise_()

    def show_training(self) -> None:
        """The monitor of the training that runs, else of the last one."""
        if self._services.training.run is None:
            self._window.toasts.show_toast(self.tr("There is no training yet: Train ▸ New training… begins one"))
            return
        if self._training is None:
            self._open_training(monitor=True)
        else:
            self._training.show_monitor()
        self._training.raise_()

    def _open_training(self, monitor: bool) -> None:
        from agora_app.training.wizard import TrainingWizard

        s = self._services
        self._training = TrainingWizard(s.training, s.cast, s.source, self.require_consent, self._window, monitor=monitor)
        self._training.finished.connect(self._on_training_closed)
        self._training.closed_while_training.connect(lambda: self._window.toasts.show_toast(
            self.tr("The training goes on. Train ▸ Show training comes back to it.")))
        self._training.show()

    def _on_training_closed(self) -> None:
        self._training = None

    # ------------------------------------------------------------------------------------------------------------ reports

    def on_training_ended(self, run) -> None:
        """A training is over; the monitor says so itself where it is open."""
        from agora_app.children.followed import Condition

        if self._training is not None and self._training.isVisible():
            return
        bad = run.condition in (Condition.FAILED, Condition.DIED)
        words = self.tr("The training has failed") if bad else self.tr("The training is over")
        self._window.show_training_banner("error" if bad else "info", words)

    def on_photo_ended(self) -> None:
        """A person from photographs is finished, or cannot be made; the dialog says so itself where it is open."""
        from agora_app.photo.models.model import PhotoStage

        model = self._services.photo
        if self._photo is not None and self._photo.isVisible():
            return
        if model.stage is PhotoStage.DONE:
            self._window.show_photo_banner("info", self.tr("{0} is ready").format(model.job.name))
        else:
            self._window.show_photo_banner("error", self.tr("{0} could not be made from the photo").format(model.job.name))

    def show_picture(self, picture: LivePicture) -> None:
        """Keep the inspector up to date."""
        if self._inspector is not None and self._inspector.isVisible():
            self._inspector.show_picture(picture)

    def on_take_saved(self, take) -> None:
        self._window.toasts.show_toast(self.tr("Saved {0}").format(take.video.name))

    def show_stage_failure(self, stage: str, what: str, hint: str, details: str) -> None:
        """A stage of the live chain reports a failure: words, not a storm."""
        self._window.toasts.show_toast(f"{what}\n{hint}" if hint else what, "error")

    def show_crash(self, what: str, details: str) -> None:
        """A fault of the program itself."""
        from agora_app.dialogs.error import ErrorDialog

        ErrorDialog.show_error(self.tr("Something went wrong"), what,
                               self.tr("You can go on. If it happens again, restart the program and send the details."),
                               details, self._window)

    def confirm_leaving(self, words: str) -> None:
        """Parameters are about to be sent to another machine."""
        from agora_app.dialogs.consent import confirm_leaving

        if confirm_leaving(words, self._window):
            self._services.outputs.set_osc(True, confirmed=True)
        else:
            self._services.outputs.set_osc(False)

    def close(self) -> None:
        """The window closes: end what dialogs are at."""
        for dialog in self._window.findChildren(QDialog):
            if hasattr(dialog, "end"):
                dialog.end()
            dialog.close()
        if self._inspector is not None:
            self._inspector.close()
