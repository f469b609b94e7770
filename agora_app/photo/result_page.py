"""The last page: the finished person beside the photograph, and how like it they are."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from agora_app.findings import FindingCard
from agora_app.parts import Figure, muted
from agora_app.photo.models.model import PhotoModel, PhotoStage
from agora_app.photo.models.report import PhotoWarning, route_words, score_words, verdict
from agora_app.photo.pictures import PersonPicture, image_of, read_photo
from agora_app.theme import set_role

_SHOWN_WARNINGS = 3
_SMALL = 116  # pixels: width of the views beside the large pictures


class ResultPage(QWidget):
    """Shows what a model has made."""

    def __init__(self, model: PhotoModel) -> None:
        super().__init__()
        self._model = model
        self.title, self.verdict = QLabel(), muted("")
        set_role(self.title, "heading")
        drawing = self.tr("Drawing…")
        self.photo = PersonPicture(self.tr("Photo"), smallest=200)
        self.views = {"front": PersonPicture(self.tr("Avatar"), drawing, smallest=200),
                      "left": PersonPicture(self.tr("From −30°"), drawing), "right": PersonPicture(self.tr("From +30°"), drawing),
                      "smile": PersonPicture(self.tr("Smiling"), drawing)}
        pictures = QGridLayout()
        pictures.setSpacing(10)
        pictures.addWidget(self.photo, 0, 0, 3, 1)
        pictures.addWidget(self.views["front"], 0, 1, 3, 1)
        for place, name in enumerate(("left", "right", "smile")):
            pictures.addWidget(self.views[name], place, 2)
        for place in (0, 1):
            pictures.setColumnStretch(place, 1)
        for name in ("left", "right", "smile"):
            self.views[name].setFixedWidth(_SMALL)
        self.figures = QHBoxLayout()
        self.figures.setSpacing(8)
        self.cards = QVBoxLayout()
        self.cards.setSpacing(6)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(self.title)
        column.addWidget(self.verdict)
        column.addLayout(pictures, 1)
        column.addLayout(self.figures)
        column.addLayout(self.cards)
        model.stage_changed.connect(self.show_result)
        model.views_changed.connect(self.show_result)
        self.show_result()

    def show_result(self) -> None:
        """Show the finished person."""
        model = self._model
        if model.stage is not PhotoStage.DONE:
            return
        self.title.setText(self.tr("{0} is ready").format(model.job.name))
        said = (verdict(model.report.scores), f"{words}." if (words := route_words(model.report.route)) else "")
        self.verdict.setText(" ".join(part for part in said if part))
        self.verdict.setVisible(any(said))
        self.photo.set_image(read_photo(Path(model.job.photos[0])))
        drawn = {view.name: view.picture for view in model.views}
        words = self.tr("Drawing…") if model.is_drawing else self.tr("No picture")
        for name, picture in self.views.items():
            picture.set_words(words)
            picture.set_image(image_of(drawn[name]) if name in drawn else QImage())
        self._show_scores()
        self._show_cards()

    def _show_scores(self) -> None:
        _empty(self.figures)
        for score in score_words(self._model.report.scores):
            figure = Figure(score.name, score.meaning)
            figure.show_value(score.value, score.unit)
            figure.setAccessibleName(f"{score.name}: {score.value} {score.unit}. {score.meaning}")
            self.figures.addWidget(figure, 1)

    def _show_cards(self) -> None:
        _empty(self.cards)
        if self._model.problem is not None:
            self.cards.addWidget(FindingCard("blocking", self._model.problem.what, self._model.problem.mend))
        for warning in self._model.report.warnings[:_SHOWN_WARNINGS]:
            self.cards.addWidget(FindingCard("warning", self._told(warning), warning.hint))

    def _told(self, warning: PhotoWarning) -> str:
        """A warning with the photograph it is about at its end."""
        names = [Path(path).name for path in (*filter(None, [warning.photo]), *self._model.job.photos)]
        name = next((name for name in names if warning.message.startswith(f"{name}: ")), Path(warning.photo).name)
        words = warning.message.removeprefix(f"{name}: ")
        return words if not name or name in words else f"{words} ({name})"


def _empty(layout: QHBoxLayout | QVBoxLayout) -> None:
    while layout.count():
        widget = layout.takeAt(0).widget()
        widget.hide()
        widget.deleteLater()
