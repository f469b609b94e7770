"""The performance dock: figures, what the governor did, plots of the last minute, and what each stage takes."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QCheckBox, QFrame, QGridLayout, QHBoxLayout, QLabel, QSizePolicy, QSpinBox, QVBoxLayout, QWidget

from agora_app.models.performance import HISTORY_SECONDS, PerformanceModel, Sample
from agora_app.parts import Figure
from agora_app.plots import LinePlot
from agora_app.settings.model import Performance
from agora_app.theme import Colors, current_colors, set_role
from core.pipeline.live.state import LiveStats
from core.pipeline.timing import StageTimes


class PerformanceDock(QWidget):
    """Shows a `PerformanceModel`. While it cannot be seen it does nothing; the plots are made when it is first shown."""

    def __init__(self, model: PerformanceModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self.rate_plot: HistoryPlot | None = None
        self.latency_plot: HistoryPlot | None = None
        self._build()
        model.stats_changed.connect(self._on_stats)
        model.settings_changed.connect(self._show_settings)
        self._show_settings()
        self._show_stats()

    # ------------------------------------------------------------------------------------------------------------ building

    def _build(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.setSpacing(8)
        column.addLayout(self._figures())
        column.addWidget(self._governor_card())
        self._plots = QVBoxLayout()
        self._plots.setSpacing(8)
        column.addLayout(self._plots)
        self.stages = StageBars()
        column.addLayout(_title_row(_title(self.tr("Processor time")), _muted(self.tr("ms, median / p95"))))
        column.addWidget(self.stages)
        self.renderer = _wrapped()
        set_role(self.renderer, "muted")
        self.renderer.setAccessibleName(self.tr("What draws"))
        column.addWidget(self.renderer)
        column.addStretch(1)

    def _figures(self) -> QGridLayout:
        self.shown = Figure(self.tr("Shown"), self.tr("Pictures painted in a second"))
        self.tracked = Figure(self.tr("Tracked"), self.tr("Camera pictures in which the face was followed, in a second"))
        self.latency = Figure(self.tr("Latency"), self.tr("From camera to screen: the middle of the last ten seconds"))
        self.slowest = Figure(self.tr("Latency p95"), self.tr("From camera to screen: 19 of 20 pictures are faster than this"))
        self.dropped = Figure(self.tr("Dropped"), self.tr("Pictures that a newer one overtook, since the source was opened"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(8)
        for place, figure in (((0, 0, 1, 2), self.shown), ((0, 2, 1, 2), self.tracked), ((0, 4, 1, 2), self.dropped),
                              ((1, 0, 1, 3), self.latency), ((1, 3, 1, 3), self.slowest)):
            grid.addWidget(figure, *place)
        for index in range(6):
            grid.setColumnStretch(index, 1)
        return grid

    def _governor_card(self) -> QFrame:
        card = QFrame()
        set_role(card, "card")
        self.quality = _wrapped()
        self.quality.setAccessibleName(self.tr("Quality"))
        self.reason = _wrapped()
        set_role(self.reason, "muted")
        self.governor = QCheckBox(self.tr("Lower quality to keep"))
        self.governor.setToolTip(self.tr("Draw more simply when the machine is too slow, and fully again when there is time"))
        self.governor.clicked.connect(self._model.set_governor)
        limits = Performance.model_fields["target_fps"].metadata
        self.target = QSpinBox()
        self.target.setRange(*(int(getattr(limit, name)) for limit, name in zip(limits, ("ge", "le"), strict=True)))
        self.target.setSuffix(self.tr(" fps"))
        self.target.setKeyboardTracking(False)
        self.target.setAccessibleName(self.tr("Frame rate to keep"))
        self.target.setToolTip(self.tr("The frame rate to keep"))
        self.target.valueChanged.connect(self._model.set_target_fps)
        row = QHBoxLayout()
        row.setSpacing(8)
        row.addWidget(self.governor, 1)
        row.addWidget(self.target)
        column = QVBoxLayout(card)
        column.setContentsMargins(8, 8, 8, 8)
        column.setSpacing(4)
        column.addWidget(self.quality)
        column.addWidget(self.reason)
        column.addLayout(row)
        return card

    def _build_plots(self) -> None:
        """Loading the plot library takes a moment that the start of the program does not have."""
        self.rate_plot = HistoryPlot(self.tr("Frames per second"), [self.tr("shown"), self.tr("tracked")])
        self.latency_plot = HistoryPlot(self.tr("Camera to screen, ms"), [self.tr("median"), self.tr("p95")])
        for plot in (self.rate_plot, self.latency_plot):
            self._plots.addWidget(plot)

    # ------------------------------------------------------------------------------------------------------------- showing

    def showEvent(self, event) -> None:
        super().showEvent(event)
        if self.rate_plot is None:
            self._build_plots()
        self._show_stats()

    def _on_stats(self) -> None:
        if self.isVisible():
            self._show_stats()

    def _show_settings(self) -> None:
        self.governor.setChecked(self._model.governor)
        self.target.blockSignals(True)
        self.target.setValue(self._model.target_fps)
        self.target.blockSignals(False)
        self.target.setEnabled(self._model.governor)

    def _show_stats(self) -> None:
        stats = self._model.stats
        self.shown.show_value(f"{stats.shown_fps:.0f}", self.tr("fps"))
        self.tracked.show_value(f"{stats.tracked_fps:.0f}", self.tr("fps"))
        self.dropped.show_value(_short(stats.dropped))
        known = stats.latency_p95_ms > 0
        self.latency.show_value(f"{stats.latency_p50_ms:.0f}" if known else "–", self.tr("ms") if known else "")
        self.slowest.show_value(f"{stats.latency_p95_ms:.0f}" if known else "–", self.tr("ms") if known else "")
        self._show_quality(stats)
        self.renderer.setText(self.tr("Drawn by {0}").format(stats.renderer) if stats.renderer else "")
        self.renderer.setVisible(bool(stats.renderer))
        self.stages.show_times(stats.stages)
        if self.rate_plot is not None:
            history = self._model.history
            self.rate_plot.show_history(history, [[s.stats.shown_fps for s in history], [s.stats.tracked_fps for s in history]])
            self.latency_plot.show_history(history, [[s.stats.latency_p50_ms for s in history],
                                                     [s.stats.latency_p95_ms for s in history]])

    def _show_quality(self, stats: LiveStats) -> None:
        colors = current_colors()
        colour = colors.ok if stats.quality.rung == 0 else colors.warn
        name = stats.quality.name[:1].upper() + stats.quality.name[1:]
        self.quality.setText(f'<span style="color:{colour.name()}">●</span> <b>{name}</b>')
        self.reason.setText(stats.quality.reason[:1].upper() + stats.quality.reason[1:])
        self.reason.setVisible(bool(stats.quality.reason))


class HistoryPlot(LinePlot):
    """Two lines over the last minute."""

    def __init__(self, title: str, names: Sequence[str]) -> None:
        super().__init__(title, names)
        self.view.setXRange(-HISTORY_SECONDS, 0, padding=0)
        self.axes[1].setTicks([[(-40, self.tr("40 s ago")), (-20, self.tr("20 s ago")), (0, self.tr("now"))]])

    def show_history(self, history: Sequence[Sample], lines: Sequence[Sequence[float]]) -> None:
        """Draw values that were measured at the times of `history`."""
        if not history:
            return
        now = history[-1].seconds
        ages = [sample.seconds - now for sample in history]
        for curve, values in zip(self.curves, lines, strict=True):
            curve.setData(ages, list(values))
        self.view.setYRange(0, _ceiling(max(max(values) for values in lines)), padding=0)


class StageBars(QWidget):
    """A row for each stage: its median as a bar, its 95th percentile as a mark, both in milliseconds."""

    def __init__(self) -> None:
        super().__init__()
        self._times: tuple[StageTimes, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Processor time of each stage"))
        self.setToolTip(self.tr("Milliseconds of processor time for each picture: median, and 95th percentile"))

    def show_times(self, times: Sequence[StageTimes]) -> None:
        if len(times) != len(self._times):
            self.updateGeometry()
        self._times = tuple(times)
        self.setAccessibleDescription("; ".join(f"{self.title(t.stage)} {t.p50:.1f} ms" for t in self._times))
        self.update()

    def title(self, stage: str) -> str:
        """The name of a stage for the user."""
        return {"capture": self.tr("Camera"), "track": self.tr("Tracking"), "drive": self.tr("Animation"),
                "render": self.tr("Rendering"), "compose": self.tr("Composition")}.get(stage, stage)

    def sizeHint(self) -> QSize:
        return QSize(200, self._row_height() * max(len(self._times), 1))

    minimumSizeHint = sizeHint

    def paintEvent(self, _event) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, row = current_colors(), self._row_height()
        if not self._times:
            painter.setPen(colors.muted)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignVCenter, self.tr("Nothing has been measured yet."))
            return
        metrics = self.fontMetrics()
        names = max(metrics.horizontalAdvance(self.title(times.stage)) for times in self._times) + 10
        numbers = metrics.horizontalAdvance("000.0 / 000.0") + 10
        longest = _ceiling(max(times.p95 for times in self._times))
        for index, times in enumerate(self._times):
            line = QRectF(0, index * row, self.width(), row)
            painter.setPen(colors.text)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter, self.title(times.stage))
            painter.setPen(colors.muted)
            painter.drawText(line, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight,
                             f"{times.p50:.1f} / {times.p95:.1f}")
            self._bar(painter, QRectF(names, line.y() + row / 2 - 4, self.width() - names - numbers, 8), times, longest, colors)

    def _bar(self, painter: QPainter, track: QRectF, times: StageTimes, longest: float, colors: Colors) -> None:
        if track.width() < 8:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        for share, colour in ((1.0, colors.line), (times.p95 / longest, _faded(colors.accent)),
                              (times.p50 / longest, colors.accent)):
            painter.setBrush(colour)
            width = max(min(share, 1.0) * track.width(), 4.0)
            painter.drawRoundedRect(QRectF(track.x(), track.y(), width, track.height()), 4, 4)

    def _row_height(self) -> int:
        return self.fontMetrics().height() + 6


def _title(text: str) -> QLabel:
    label = QLabel(f"<b>{text}</b>")
    label.setTextFormat(Qt.TextFormat.RichText)
    return label


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    set_role(label, "muted")
    return label


def _title_row(left: QLabel, right: QLabel) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(8)
    row.addWidget(left)
    row.addStretch(1)
    row.addWidget(right)
    return row


def _wrapped() -> QLabel:
    """A label that wraps its text instead of widening the dock."""
    label = QLabel()
    label.setWordWrap(True)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def _faded(colour: QColor) -> QColor:
    faded = QColor(colour)
    faded.setAlphaF(0.35)
    return faded


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def _ceiling(value: float) -> float:
    """A round number a little above `value`, so that axes do not breathe with every sample."""
    for step in (10, 20, 40, 60, 80, 120, 160, 240, 320, 500, 1000):
        if value <= step * 0.95:
            return float(step)
    return 1.1 * value
