"""Lines over an axis, drawn by pyqtgraph in the colours of the theme."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from agora_app.theme import Colors, current_colors

LINE_WIDTH = 1.6


class LinePlot(QWidget):
    """A title, a legend, and up to two lines. Making the first one loads the plot library, which takes a moment.

    Args:
        title: above the plot.
        names: of the lines; a single empty one needs no legend.
        height: of the plot in pixels.
        marks: draw the points as well.
        axis_width: room for the numbers at the left.
    """

    def __init__(self, title: str, names: Sequence[str] = ("",), height: int = 92, *, marks: bool = False,
                 axis_width: int = 30) -> None:
        super().__init__()
        import pyqtgraph

        self._pyqtgraph = pyqtgraph
        self._names, self._marks = names, marks
        self.title, self.legend = QLabel(f"<b>{title}</b>"), QLabel()
        self.title.setTextFormat(Qt.TextFormat.RichText)
        # A PlotWidget would bring context menus that are never asked for and outlive it.
        self.plot = pyqtgraph.GraphicsLayoutWidget()
        self.plot.setFixedHeight(height)
        self.plot.setAccessibleName(title)
        self.plot.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.plot.setFrameShape(QFrame.Shape.NoFrame)
        self.plot.setAntialiasing(True)
        self.plot.ci.setContentsMargins(2, 8, 26, 2)
        self.plot.ci.setSpacing(0)
        self.view = pyqtgraph.ViewBox(enableMenu=False, enableMouse=False)
        self.axes = [pyqtgraph.AxisItem(side, linkView=self.view) for side in ("left", "bottom")]
        self.axes[0].setWidth(axis_width)
        self.axes[0].setGrid(40)
        self.axes[1].setHeight(18)
        self.axes[1].setStyle(hideOverlappingLabels=False)
        self.plot.addItem(self.axes[0], 0, 0)
        self.plot.addItem(self.view, 0, 1)
        self.plot.addItem(self.axes[1], 1, 1)
        self.curves = [pyqtgraph.PlotDataItem(antialias=True, symbol="o" if marks else None, symbolSize=6) for _ in names]
        for curve in reversed(self.curves):
            self.view.addItem(curve)
        head = QHBoxLayout()
        head.setSpacing(8)
        head.addWidget(self.title)
        head.addStretch(1)
        head.addWidget(self.legend)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(head)
        column.addWidget(self.plot)
        self._paint(current_colors())

    def changeEvent(self, event) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.StyleChange) and hasattr(self, "curves"):
            self._paint(current_colors())

    def _paint(self, colors: Colors) -> None:
        shades = (colors.accent, colors.warn)[:len(self.curves)]
        self.plot.setBackground(colors.card)
        for curve, shade in zip(self.curves, shades, strict=True):
            curve.setPen(self._pyqtgraph.mkPen(shade, width=LINE_WIDTH))
            if self._marks:
                curve.setSymbolBrush(self._pyqtgraph.mkBrush(shade))
                curve.setSymbolPen(None)
        for axis in self.axes:
            axis.setPen(colors.border)
            axis.setTextPen(colors.muted)
        if any(self._names):
            self.legend.setText("&nbsp;&nbsp;".join(f'<span style="color:{shade.name()}">●</span> {name}'
                                                    for name, shade in zip(self._names, shades, strict=True)))
