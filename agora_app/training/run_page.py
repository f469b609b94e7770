"""The monitor: what a training does now, its losses and samples, and the buttons that steer it."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from agora_app.children.followed import Condition
from agora_app.findings import FindingList
from agora_app.log import shorten_home
from agora_app.parts import Figure, Page, muted
from agora_app.plots import LinePlot
from agora_app.theme import set_role
from agora_app.training.models.model import TrainingModel
from agora_app.training.models.run_model import KEPT_LINES, RunModel
from agora_app.training.models.series import SHOWN_OF_EVALUATIONS
from agora_app.training.sample_view import SampleView
from agora_app.words import about
from core.run_folder import Request

PLOT_HEIGHT, PLOTS_IN_A_ROW = 84, 2
LEADING_PLOTS = ("FD-synth", "loss", "picture", "adversarial", "discriminator")  # the others follow as they come up
ROOM_OF_A_NUMBER = 0.16  # of a plot's height: half a number at the axis, which is not drawn when it does not fit
_THOUSAND = 10_000  # above it, pictures are counted in thousands


class RunPage(Page):
    """Shows the run of a `TrainingModel`, whoever has started it."""

    def __init__(self, model: TrainingModel) -> None:
        super().__init__()
        self._model = model
        self._run: RunModel | None = None
        self.column.setContentsMargins(16, 14, 16, 4)
        self.column.setSpacing(8)
        self._build()
        model.run_changed.connect(self._on_run)
        self._on_run()

    def isComplete(self) -> bool:
        """Whether it is over and has left something to go on with."""
        return self._run is not None and self._run.condition.is_over and self._run.has_result

    # ---------------------------------------------------------------------------------------------------------- building

    def _build(self) -> None:
        self.progress = QProgressBar(textVisible=False)
        self.progress.setRange(0, 1000)
        self.progress.setAccessibleName(self.tr("Progress of the training"))
        self.phase = Figure(self.tr("Phase"), self.tr("Of the recipe"))
        self.images = Figure(self.tr("Pictures shown"), self.tr("To the networks so far"))
        self.speed = Figure(self.tr("Pictures a second"), self.tr("Of late"))
        self.eta = Figure(self.tr("Time left"), self.tr("At the speed of late"))
        figures = QHBoxLayout()
        figures.setSpacing(8)
        for figure in (self.phase, self.images, self.speed, self.eta):
            figures.addWidget(figure, 1)
        self.findings = FindingList()
        self.findings.setFixedHeight(76)
        self.column.addWidget(self.progress)
        self.column.addLayout(figures)
        self.column.addWidget(self.findings)
        self.column.addWidget(self._middle(), 1)
        self.column.addLayout(self._buttons())

    def _middle(self) -> QSplitter:
        self.samples = SampleView()
        self.plots: dict[str, LinePlot] = {}
        board = QWidget()
        board.setProperty("page", True)
        self._board = QGridLayout(board)
        self._board.setContentsMargins(0, 0, 8, 0)
        self._board.setSpacing(10)
        self._no_plots = muted(self.tr("Losses appear here as soon as they are measured."))
        self._board.addWidget(self._no_plots, 0, 0, 1, PLOTS_IN_A_ROW)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setAccessibleName(self.tr("Losses"))
        scroll.setWidget(board)
        self.log = QPlainTextEdit(readOnly=True)
        self.log.setMaximumBlockCount(KEPT_LINES)
        self.log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.log.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.log.setAccessibleName(self.tr("Log of the training"))
        self.log.setPlaceholderText(self.tr("What happens is noted here."))
        self.log.setFixedHeight(92)
        right = QWidget()
        column = QVBoxLayout(right)
        column.setContentsMargins(8, 0, 0, 0)
        column.setSpacing(8)
        column.addWidget(scroll, 1)
        column.addWidget(self.log)
        middle = QSplitter(Qt.Orientation.Horizontal)
        middle.setChildrenCollapsible(False)
        middle.addWidget(self.samples)
        middle.addWidget(right)
        middle.setSizes([330, 470])
        return middle

    def _buttons(self) -> QHBoxLayout:
        def button(text: str, tooltip: str, slot) -> QPushButton:
            made = QPushButton(text, toolTip=tooltip)
            made.setAutoDefault(False)
            made.clicked.connect(lambda _checked=False: slot())
            return made

        self.pause = button(self.tr("Pause"), self.tr("Hold the training; its memory stays taken"), self._pause_or_resume)
        self.stop = button(self.tr("Stop and save"), self.tr("Write a checkpoint and end; it can go on from there"), self._stop)
        self.abort = button(self.tr("Stop now"), self.tr("End at once; what came after the last checkpoint is lost"),
                            self.ask_abort)
        set_role(self.abort, "danger")
        self.go_on = button(self.tr("Continue"), self.tr("Go on from the last checkpoint"), self._model.resume)
        self.again = button(self.tr("Change the settings"), self.tr("Back to the first page; what you entered is still there"),
                            lambda: self.wizard().begin_again())
        self.state = QLabel()
        self.state.setAccessibleName(self.tr("State of the training"))
        self.place = muted("")
        self.place.setWordWrap(False)
        row = QHBoxLayout()
        row.setSpacing(8)
        for widget in (self.pause, self.stop, self.abort, self.go_on, self.again):
            row.addWidget(widget)
        row.addWidget(self.state)
        row.addStretch(1)
        row.addWidget(self.place)
        return row

    # ---------------------------------------------------------------------------------------------------------- steering

    def ask_abort(self) -> None:
        """Stop at once, if that is really meant."""
        answer = QMessageBox.question(self, self.tr("Stop now"),
                                      self.tr("What was learned since the last checkpoint will be lost. Stop all the same?"),
                                      QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.Cancel,
                                      QMessageBox.StandardButton.Cancel)
        if answer == QMessageBox.StandardButton.Yes and self._run is not None:
            self._run.abort()

    def _pause_or_resume(self) -> None:
        if self._run is not None:
            (self._run.resume if self._run.condition is Condition.PAUSED else self._run.pause)()

    def _stop(self) -> None:
        if self._run is not None:
            self._run.stop()

    # ----------------------------------------------------------------------------------------------------------- showing

    def _on_run(self) -> None:
        run = self._model.run
        if run is not self._run:
            self._run = run
            for plot in self.plots.values():
                self._board.removeWidget(plot)
                plot.hide()
                plot.deleteLater()
            self.plots.clear()
            self.log.clear()
            self._no_plots.show()
            if run is not None:
                run.measured.connect(self._show_numbers)
                run.lines_added.connect(self._add_lines)
                run.samples_changed.connect(self._show_samples)
                self._add_lines(list(run.lines))
                self._show_numbers()
        self._show_samples()
        self._show_state()
        self.completeChanged.emit()

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self._show_numbers()

    def _show_state(self) -> None:
        run = self._run
        status = run.status if run else None
        words = self._words(run)
        self.set_heading(self.tr("Training: {0}").format(words), status.message if status and status.message else self._lead(run))
        self.progress.setRange(0, 0 if run is not None and run.condition is Condition.STARTING else 1000)
        self.progress.setValue(round(1000 * run.share) if run else 0)
        self.phase.show_value(status.phase or "–" if status else "–",
                              f"{status.phases.index(status.phase) + 1}/{len(status.phases)}"
                              if status and status.phase in status.phases else "")
        self.images.show_value(f"{status.images:,}" if status else "–",
                               self.tr("of {0:,}").format(status.total_images) if status and status.total_images else "")
        self.speed.show_value(f"{status.images_per_second:.1f}" if status and status.images_per_second else "–")
        known = status is not None and status.eta_seconds is not None and run.condition is Condition.RUNNING
        self.eta.show_value(about(status.eta_seconds) if known else "–")
        problem = run.problem if run else None
        self.findings.show_problems([problem] if problem else [])
        self.findings.setVisible(problem is not None)
        self.state.setText(self._asked_words(run))
        self.place.setText(shorten_home(str(run.path)) if run else "")
        self._show_buttons(run)

    def _show_buttons(self, run: RunModel | None) -> None:
        condition = run.condition if run else None
        active = run is not None and run.is_active
        asked = run.asked if run else None
        self.pause.setText(self.tr("Go on") if condition is Condition.PAUSED else self.tr("Pause"))
        self.pause.setEnabled(condition in (Condition.RUNNING, Condition.PAUSED) and asked is None)
        self.stop.setEnabled(condition in (Condition.STARTING, Condition.RUNNING, Condition.PAUSED)
                             and asked not in (Request.STOP, Request.ABORT))
        self.abort.setEnabled(active and asked is not Request.ABORT)
        for button in (self.pause, self.stop, self.abort):
            button.setVisible(active)
        self.go_on.setVisible(run is not None and run.can_resume)
        self.again.setVisible(run is not None and not active)
        self.again.setText(self.tr("Another training") if condition is Condition.FINISHED else self.tr("Change the settings"))

    def _words(self, run: RunModel | None) -> str:
        if run is None:
            return self.tr("none yet")
        return {Condition.STARTING: self.tr("starting"), Condition.RUNNING: self.tr("running"),
                Condition.PAUSED: self.tr("paused"), Condition.STOPPING: self.tr("stopping"),
                Condition.STOPPED: self.tr("stopped"), Condition.FINISHED: self.tr("finished"),
                Condition.FAILED: self.tr("failed"), Condition.DIED: self.tr("ended unexpectedly")}[run.condition]

    def _lead(self, run: RunModel | None) -> str:
        if run is not None and run.is_active:
            return self.tr("You can close this window, and the program too: the training goes on, and is found again.")
        if run is not None and run.has_result:
            return self.tr("The next pages measure it and make people of it.")
        return ""

    def _asked_words(self, run: RunModel | None) -> str:
        return {Request.PAUSE: self.tr("pausing…"), Request.RESUME: self.tr("going on…"), Request.STOP: self.tr("saving…"),
                Request.ABORT: self.tr("stopping…")}.get(run.asked, "") if run and run.asked else ""

    def _show_samples(self) -> None:
        self.samples.show_samples(self._run.samples if self._run else [])

    def _add_lines(self, lines: list[str]) -> None:
        for line in lines:
            self.log.appendPlainText(line)

    def _show_numbers(self) -> None:
        """Draw all losses; those that come up for the first time get a plot. Does nothing while it cannot be seen."""
        if self._run is None or not self.isVisible():
            return
        for name, series in self._run.measurements.series.items():
            if not series.images:
                continue
            if name not in self.plots:
                self._add_plot(name)
            self._draw(self.plots[name], series.images, series.values)

    def _add_plot(self, name: str) -> None:
        self._no_plots.hide()
        self.plots[name] = LinePlot(name, height=PLOT_HEIGHT, axis_width=44, marks=name in SHOWN_OF_EVALUATIONS)
        leading = {first: place for place, first in enumerate(LEADING_PLOTS)}
        for place, shown in enumerate(sorted(self.plots, key=lambda shown: leading.get(shown, len(leading)))):
            self._board.addWidget(self.plots[shown], place // PLOTS_IN_A_ROW, place % PLOTS_IN_A_ROW)
        last = (len(self.plots) - 1) // PLOTS_IN_A_ROW
        self._board.setRowStretch(last + 1, 1)
        self._board.setRowStretch(last, 0)

    def _draw(self, plot: LinePlot, images: list[int], values: list[float]) -> None:
        plot.curves[0].setData(images, values)
        plot.legend.setText(f"{values[-1]:.4g}")
        low, high = min(values), max(values)
        room = ROOM_OF_A_NUMBER * (high - low) or max(abs(high) * 0.1, 1e-6)
        plot.view.setYRange(low - room, high + room, padding=0)
        first, last = images[0], max(images[-1], images[0] + 1)
        plot.view.setXRange(first, last, padding=0.02)
        plot.axes[0].setTicks([[(low, f"{low:.3g}"), (high, f"{high:.3g}")] if high > low else [(low, f"{low:.3g}")]])
        plot.axes[1].setTicks([[(first, count_words(first)), (last, count_words(last))]])


def count_words(images: int) -> str:
    """A number of pictures, short."""
    return f"{images / 1000:,.0f} k" if images >= _THOUSAND else f"{images:,}"
