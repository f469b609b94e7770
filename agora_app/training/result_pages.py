"""The pages of the training wizard after a training: evaluate, extract blendshapes, install and drive."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtGui import QPixmap
from PySide6.QtWidgets import QAbstractItemView, QHBoxLayout, QHeaderView, QTableWidget, QTableWidgetItem

from agora_app.findings import FindingList, muted_wrapping, sentence
from agora_app.parts import Choice, Picture, muted
from agora_app.plots import LinePlot
from agora_app.training.models.answers import DistillAnswer, EvaluationAnswer, Measure
from agora_app.training.models.results import BlendshapeStep, EvaluateStep, InstallStep
from agora_app.training.pages import StepPage
from agora_app.training.widgets import FormCard, TaskBar
from agora_app.words import size_of

_WORDS, _CELL_MARGIN = 4, 6  # a column, pixels
_SIGNS = {"lower": "↓", "higher": "↑", "one": "→ 1", "real": "→ real"}


class EvaluatePage(StepPage):
    """A table of what was measured; each number beside what real pictures get and what useless ones get."""

    def __init__(self, step: EvaluateStep) -> None:
        super().__init__(step)
        self.set_heading(self.tr("How good has it become?"),
                         self.tr("Beside each number: what real pictures of unseen people get, and what useless ones get. "
                                 "You may go on without measuring."))
        self.measure = TaskBar(step.task, self.tr("Measure again"), self.tr("On the newest snapshot"))
        self.measure.wanted.connect(lambda: step.begin(again=True))
        self.table = QTableWidget(0, 5)
        self.table.setHorizontalHeaderLabels([self.tr("Measure"), self.tr("Value"), self.tr("Real"), self.tr("Useless"),
                                              self.tr("What it says")])
        self.table.setAccessibleName(self.tr("Measures"))
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.table.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.table.setShowGrid(False)
        self.table.setWordWrap(True)
        header = self.table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for column in range(4):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_WORDS, QHeaderView.ResizeMode.Stretch)
        header.sectionResized.connect(lambda column, *_: self._fit_rows() if column == _WORDS else None)
        self.findings = FindingList()
        self.findings.setFixedHeight(76)
        self.column.addWidget(self.measure)
        self.column.addWidget(self.findings)
        self.column.addWidget(self.table, 1)

    def initializePage(self) -> None:
        self.step.begin()

    def show_step(self) -> None:
        self.findings.show_problems([self.step.failure] if self.step.failure else [])
        self.findings.setVisible(self.step.failure is not None)
        self._fill(self.step.answer)

    def _fill(self, answer: EvaluationAnswer | None) -> None:
        rows = answer.rows if answer else ()
        self.table.setRowCount(len(rows))
        for place, row in enumerate(rows):
            for column, text in enumerate((f"{row.name} {_SIGNS[row.better]}", number(row.value), number(row.floor),
                                           number(row.ceiling), sentence(row.meaning))):
                item = QTableWidgetItem(text)
                item.setToolTip(self._tooltip(row))
                self.table.setItem(place, column, item)
        self._fit_rows()

    def _fit_rows(self) -> None:
        """Room for all lines of the words; Qt's own way does not see how they wrap."""
        width = self.table.columnWidth(_WORDS) - 2 * _CELL_MARGIN
        for row in range(self.table.rowCount()):
            item, metrics = self.table.item(row, _WORDS), self.table.fontMetrics()
            words = metrics.boundingRect(0, 0, width, 10_000, Qt.TextFlag.TextWordWrap, item.text() if item else "")
            self.table.setRowHeight(row, words.height() + 2 * _CELL_MARGIN)

    def _tooltip(self, row: Measure) -> str:
        better = {"lower": self.tr("Lower is better"), "higher": self.tr("Higher is better"), "one": self.tr("1 is best"),
                  "real": self.tr("Best as on real pictures")}[row.better]
        return f"{sentence(row.meaning)} {better}."


class BlendshapePage(StepPage):
    """K, and what each K costs."""

    def __init__(self, step: BlendshapeStep) -> None:
        super().__init__(step)
        self.set_heading(self.tr("Extract the blendshapes"),
                         self.tr("The network is replaced by K shapes that are added up: that is what runs live on a processor."))
        self.form = FormCard(step.model.store, ("components", "identities", "expressions"))
        self.extract = TaskBar(step.task, self.tr("Extract"), self.tr("Write the pack of this training"))
        self.extract.wanted.connect(step.extract)
        self.words = muted_wrapping("")
        self.findings = FindingList()
        self.findings.setFixedHeight(76)
        self._curve: LinePlot | None = None
        for widget in (self.form, self.extract, self.words, self.findings):
            self.column.addWidget(widget)
        self.column.addStretch(1)

    @property
    def curve(self) -> LinePlot | None:
        """The plot of the error; None before there is one."""
        return self._curve

    def show_step(self) -> None:
        step = self.step
        running = step.task.is_running
        self.form.setEnabled(not running)
        problem = step.problem()
        self.extract.set_start(self.tr("Extract again") if step.pack else self.tr("Extract"), problem is None)
        problems = [found for found in (step.failure, problem) if found is not None]
        self.findings.show_problems([] if running else problems)
        self.findings.setVisible(bool(problems) and not running)
        self.words.setText(self._words())
        self._draw(step.answer)

    def _words(self) -> str:
        step = self.step
        if step.pack is None:
            return ""
        size = size_of(step.pack.stat().st_size)
        if not step.made_components:
            return self.tr("A pack of this training is there already: {0}.").format(size)
        if step.made_components != step.form.components:
            return self.tr("The pack that is there was extracted with K = {0}; press Extract again to use K = {1}.").format(
                step.made_components, step.form.components)
        return self.tr("The pack is there: K = {0}, {1}.").format(step.made_components, size)

    def _draw(self, answer: DistillAnswer | None) -> None:
        points = sorted(answer.curve, key=lambda point: point.components) if answer else []
        if len(points) < 2:
            if self._curve is not None:
                self._curve.hide()
            return
        if self._curve is None:
            self._curve = LinePlot(self.tr("Error on unseen people over K, millimetres"), height=200, marks=True, axis_width=54)
            self.column.insertWidget(self.column.count() - 1, self._curve)
        counts, errors = [point.components for point in points], [point.error for point in points]
        self._curve.show()
        self._curve.curves[0].setData(counts, errors)
        self._curve.view.setXRange(counts[0], counts[-1], padding=0.02)
        self._curve.view.setYRange(0, 1.1 * max(errors) or 1.0, padding=0)
        self._curve.axes[1].setTicks([[(count, str(count)) for count in counts]])
        self._curve.legend.setText(self.tr("{0:.3g} mm at K = {1}").format(errors[-1], counts[-1]))


class InstallPage(StepPage):
    """Onto the stage.

    Args:
        may_film: asks for the consent to use the camera; whether it is given.
    """

    def __init__(self, step: InstallStep, blendshapes: BlendshapeStep, may_film: Callable[[], bool]) -> None:
        self._blendshapes, self._may_film = blendshapes, may_film
        super().__init__(step)
        self.set_heading(self.tr("On stage"), self.tr("The pack is copied to your packs and stays in the gallery."))
        self.camera = Choice("mdi6.webcam", self.tr("Drive it with my camera"))
        self.demo = Choice("mdi6.play-circle-outline", self.tr("Let it play the demo"))
        self.demo.set_words(self.tr("Recorded movement; a video that is open goes on driving."))
        self.demo.setChecked(True)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.demo, 1)
        row.addWidget(self.camera, 1)
        self.picture = Picture(self.tr("Without samples"))
        self.picture.setAccessibleName(self.tr("The newest samples of the training"))
        self.words = muted("")
        self.findings = FindingList()
        self.findings.setFixedHeight(76)
        self.column.addLayout(row)
        self.column.addWidget(self.picture, 1)
        self.column.addWidget(self.words)
        self.column.addWidget(self.findings)
        step.installed.connect(self._on_installed)
        step.cameras_changed.connect(self._show_cameras)
        self._show_cameras()

    def isComplete(self) -> bool:
        return self._blendshapes.pack is not None and not self.step.is_busy

    def validatePage(self) -> bool:
        """Begin to install; the wizard is finished when the new person is on stage."""
        if self.step.is_done:
            return True
        pack = self._blendshapes.pack
        if pack is not None and not self.step.is_busy and (not self.camera.isChecked() or self._may_film()):
            self.step.begin(pack, self.camera.isChecked())
        return False

    def show_step(self) -> None:
        busy = self.step.is_busy
        self.demo.setEnabled(not busy)
        self._show_cameras()
        run = self.step.model.run
        self.picture.set_picture(QPixmap(str(run.samples[-1])) if run is not None and run.samples else QPixmap())
        self.words.setText(self.tr("Opening the pack and building its first person…") if busy else "")
        self.findings.show_problems([self.step.failure] if self.step.failure else [])
        self.findings.setVisible(self.step.failure is not None)

    def _show_cameras(self) -> None:
        """The camera can be chosen when there is one."""
        there = self.step.has_camera
        self.camera.setEnabled(there and not self.step.is_busy)
        self.camera.set_words(self.tr("Your face moves the new head at once.") if there else self.tr("No camera was found."))
        if not there:
            self.demo.setChecked(True)

    def _on_installed(self) -> None:
        self.wizard().finish()


def number(value: float | None) -> str:
    """A measured number, short."""
    return "–" if value is None else f"{value:.4g}"
