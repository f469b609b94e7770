"""The second page: how far it is, and how the person looks so far."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QVBoxLayout, QWidget

from agora_app.parts import StepList, muted
from agora_app.photo.models.model import PhotoModel, PhotoStage
from agora_app.photo.pictures import PersonPicture, read_photo
from agora_app.theme import set_role
from agora_app.words import about

_SIDE = 300  # pixels: width of what stands beside the preview


class WorkPage(QWidget):
    """Follows the work of a model."""

    def __init__(self, model: PhotoModel) -> None:
        super().__init__()
        self._model = model
        self._shown: Path | None = None
        self._photo: Path | None = None
        self.preview = PersonPicture(words=self.tr("The first picture of the avatar comes soon."), smallest=320)
        self.preview.setAccessibleName(self.tr("How the avatar looks so far"))
        self.photo = PersonPicture(smallest=120)
        self.photo.setFixedHeight(150)
        self.title = QLabel()
        set_role(self.title, "heading")
        self.bar = QProgressBar(textVisible=False)
        self.bar.setAccessibleName(self.tr("Progress"))
        self.words = muted("")
        self.words.setAccessibleName(self.tr("What is being done"))
        self.steps: StepList | None = None
        self._side = QVBoxLayout()
        self._side.setSpacing(10)
        for widget in (self.title, self.photo, self.bar, self.words):
            self._side.addWidget(widget)
        self._side.addStretch(1)
        note = muted(self.tr("You may close this window: the work goes on, and “New from photo…” comes back to it."))
        self._side.addWidget(note)
        side = QWidget()
        side.setFixedWidth(_SIDE)
        side.setLayout(self._side)
        self._side.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(20)
        row.addWidget(self.preview, 1)
        row.addWidget(side)
        model.progressed.connect(self.show_progress)
        model.stage_changed.connect(self.show_progress)
        self.show_progress()

    def show_progress(self) -> None:
        """Show how far the work is."""
        model = self._model
        if not model.is_active or model.run is None:
            return
        cancelling = model.stage is PhotoStage.CANCELLING
        self.title.setText(self.tr("Cancelling…") if cancelling else self.tr("Making {0}").format(model.job.name))
        status = model.run.status
        known = status is not None and status.total_images > 0 and not cancelling
        self.bar.setRange(0, 1000 if known else 0)
        if known:
            self.bar.setValue(round(1000 * model.run.share))
        self.words.setText("" if cancelling else self._words())
        self._show_steps()
        self._show_pictures()

    def _words(self) -> str:
        status = self._model.run.status
        if status is None:
            return self.tr("Starting…")
        doing = status.message or status.phase or self.tr("Starting…")
        doing = f"{doing[:1].upper()}{doing[1:]}"
        left = self.tr("about {0} left").format(about(status.eta_seconds)) if status.eta_seconds is not None else ""
        return f"{doing}\n" + " · ".join(part for part in (f"{100 * self._model.run.share:.0f} %", left) if part)

    def _show_steps(self) -> None:
        """The phases, once the command has said which there are; not while it is at something else."""
        status = self._model.run.status
        phases = status.phases if status is not None and status.phase in status.phases else ()
        titles = [f"{phase[:1].upper()}{phase[1:]}" for phase in phases]
        if self.steps is not None and self.steps.titles != tuple(titles):
            self._side.removeWidget(self.steps)
            self.steps.hide()
            self.steps.deleteLater()
            self.steps = None
        if self.steps is None and len(titles) > 1:
            self.steps = StepList(titles)
            self.steps.setFixedWidth(_SIDE)
            self.steps.layout().setContentsMargins(2, 6, 0, 0)
            self.steps.layout().setSpacing(8)
            self._side.insertWidget(4, self.steps)
        if self.steps is not None:
            self.steps.show_step(phases.index(status.phase))

    def _show_pictures(self) -> None:
        photo = Path(self._model.job.photos[0])
        if photo != self._photo:
            self._photo = photo
            self.photo.set_image(read_photo(photo, 600))
            self.photo.setAccessibleName(self.tr("The photo"))
        preview = self._model.preview
        if preview is None and self._shown is not None:  # another person
            self.preview.set_image(read_photo(Path()))
            self._shown = None
        elif preview is not None and preview != self._shown:
            image = read_photo(preview)
            if not image.isNull():  # else it is still being written: the one before stays
                self._shown = preview
                self.preview.set_image(image)
