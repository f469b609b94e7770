"""The numbers that move the face as rows of bars, painted by one widget: what is shown, and what the user adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPolygonF, QStaticText
from PySide6.QtWidgets import QSizePolicy, QWidget

from agora_app.models.face_rows import ROW_GROUPS, FaceRow
from agora_app.theme import Colors, current_colors

ROW_HEIGHT, GROUP_HEIGHT = 22, 26
NUMBER_WIDTH, MARGIN, INDENT = 40, 4, 18
_DRAG_FROM = 3  # pixels; less is a click
_STEP, _LONG_STEP = 1.0, 5.0
_GROUP = "group:"


@dataclass(frozen=True)
class _Line:
    """A row or the head of a group, at its place."""

    name: str
    row: int  # -1 for the head of a group
    top: int
    height: int


class PsiBars(QWidget):
    """Rows grouped by part of the face. Dragging on a row, or ← and →, adds an offset; a double click or Delete takes it off.

    Signals:
        offset_wanted: (row name, offset in the row's unit).
        line_selected: (QRect) where the selected line is, for a scroll area to show it.
    """

    offset_wanted = Signal(str, float)
    line_selected = Signal(QRect)

    def __init__(self, rows: Sequence[FaceRow], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._rows = tuple(rows)
        self._values = np.zeros(len(self._rows))
        self._offsets = np.zeros(len(self._rows))
        self._measure()
        self._group_titles = {"brows": self.tr("Brows"), "eyes": self.tr("Eyes"), "jaw": self.tr("Jaw"),
                              "mouth": self.tr("Mouth and cheeks"), "head": self.tr("Head")}
        self._folded: set[str] = set()
        self._filter = ""
        self._selected = ""
        self._press: tuple[int, float, float] | None = None  # row, x, offset at that moment
        self._dragging = False
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self._hovered = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(self.tr("Parts of the face"))
        self.setToolTip(self.tr("Drag a row to add to what is tracked. Double click takes it off again."))
        self._arrange()

    # ------------------------------------------------------------------------------------------------------ what is shown

    def show_levels(self, values: Sequence[float]) -> None:
        """Show values [rows] in the rows' own units."""
        self._values = np.asarray(values, float)
        self.update()

    def show_offsets(self, offsets: Sequence[float]) -> None:
        """Show offsets [rows] in the rows' own units."""
        self._offsets = np.asarray(offsets, float)
        self._describe()
        self.update()

    def set_filter(self, text: str) -> int:
        """Show only the rows whose name or title contains every word. Returns how many those are."""
        self._filter = text.strip().lower()
        self._arrange()
        return sum(line.row >= 0 for line in self._lines)

    @property
    def selected(self) -> str:
        """Name of the selected row, or "group:" and that of a group; empty for none."""
        return self._selected

    @property
    def track_width(self) -> int:
        """Pixels over which a bar goes from its lowest to its highest value."""
        return max(self.width() - self._name_width - NUMBER_WIDTH - 2 * MARGIN, 20)

    def row_rect(self, name: str) -> QRect:
        """Where a row, or the head of a group ("group:mouth"), is; null when it is not shown."""
        return next((QRect(0, line.top, self.width(), line.height) for line in self._lines if line.name == name), QRect())

    def select(self, name: str) -> None:
        """Select a line."""
        if name != self._selected:
            self._selected = name
            self._describe()
            self.line_selected.emit(self.row_rect(name))
            self.update()

    def toggle_group(self, group: str) -> None:
        """Fold a group away or unfold it."""
        self._folded ^= {group}
        self._arrange()

    def sizeHint(self) -> QSize:
        last = self._lines[-1] if self._lines else None
        return QSize(300, last.top + last.height + 4 if last else 0)

    def minimumSizeHint(self) -> QSize:
        return QSize(240, self.sizeHint().height())

    # ------------------------------------------------------------------------------------------------------------ painting

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        colors = current_colors()
        for line in self._lines:
            if line.top > event.rect().bottom() or line.top + line.height < event.rect().top():
                continue
            chosen = line.name == self._selected and self.hasFocus()
            if chosen or line.name == self._hovered:
                painter.fillRect(QRect(0, line.top, self.width(), line.height), colors.accent_soft if chosen else colors.hover)
            if line.row < 0:
                self._paint_group(painter, line, colors)
            else:
                self._paint_row(painter, line, colors, chosen)
        painter.end()

    def _paint_group(self, painter: QPainter, line: _Line, colors: Colors) -> None:
        group = line.name.removeprefix(_GROUP)
        middle = line.top + line.height / 2
        x = MARGIN + 5.0
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.muted)
        if self._is_folded(group):
            corners = [(x - 2, middle - 4), (x + 3, middle), (x - 2, middle + 4)]
        else:
            corners = [(x - 4, middle - 2), (x + 4, middle - 2), (x, middle + 3)]
        triangle = QPolygonF()
        for corner in corners:
            triangle.append(QRectF(*corner, 0, 0).topLeft())
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.drawPolygon(triangle)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        font = painter.font()
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(colors.text)
        painter.drawText(QRect(MARGIN + INDENT, line.top, self.width() - 80, line.height), Qt.AlignmentFlag.AlignVCenter,
                         self._group_titles[group])
        font.setBold(False)
        painter.setFont(font)
        changed = sum(bool(self._offsets[i]) for i, row in enumerate(self._rows) if row.group == group)
        if changed:
            painter.setPen(colors.warn)
            painter.drawText(QRect(0, line.top, self.width() - MARGIN, line.height),
                             Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, self.tr("{0} changed").format(changed))

    def _paint_row(self, painter: QPainter, line: _Line, colors: Colors, chosen: bool) -> None:
        row, value, offset = self._rows[line.row], float(self._values[line.row]), float(self._offsets[line.row])
        middle = line.top + line.height // 2
        painter.setPen(colors.text if chosen or offset else colors.muted)
        title = self._titles[row.name]
        painter.drawStaticText(MARGIN + INDENT, middle - round(title.size().height() / 2), title)
        left, width = self._name_width + MARGIN, self.track_width

        def at(shown: float) -> int:
            return left + round(width * (min(max(shown, row.low), row.high) - row.low) / (row.high - row.low))

        painter.fillRect(left, middle - 3, width, 6, colors.border)
        zero, tip, tracked = at(0), at(value), at(value - offset)
        _bar(painter, zero, tip, middle, colors.accent)
        if offset:
            _bar(painter, tracked, tip, middle, colors.warn)
        if row.low < 0:
            painter.fillRect(zero, middle - 5, 1, 10, colors.edge)
        if chosen or offset or line.name == self._hovered:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(colors.window)
            painter.setBrush(colors.warn if offset else colors.accent)
            painter.drawEllipse(QRect(tip - 5, middle - 5, 10, 10))
            painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(colors.warn if offset else colors.muted)
        number = f"{offset:+.0f}" if offset else f"{value:.0f}"
        painter.drawText(QRect(self.width() - NUMBER_WIDTH - MARGIN, line.top, NUMBER_WIDTH, line.height),
                         Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, number + ("°" if row.unit == "°" else ""))

    # ------------------------------------------------------------------------------------------------------ mouse and keys

    def mousePressEvent(self, event: QMouseEvent) -> None:
        line = self._line_at(event.position().toPoint())
        if event.button() != Qt.MouseButton.LeftButton or line is None:
            return
        self.select(line.name)
        self._dragging = False
        if line.row < 0:
            self.toggle_group(line.name.removeprefix(_GROUP))
        else:
            self._press = (line.row, event.position().x(), float(self._offsets[line.row]))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        if self._press is None:
            line = self._line_at(event.position().toPoint())
            self._hover(line.name if line else "")
            return
        index, start, before = self._press
        moved = event.position().x() - start
        self._dragging = self._dragging or abs(moved) >= _DRAG_FROM
        if self._dragging:
            row = self._rows[index]
            self.offset_wanted.emit(row.name, round(before + moved / self.track_width * (row.high - row.low)))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._press = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        line = self._line_at(event.position().toPoint())
        self._press = None
        if line is not None and line.row >= 0:
            self.offset_wanted.emit(line.name, 0.0)
        elif line is not None:
            self.toggle_group(line.name.removeprefix(_GROUP))

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and hasattr(self, "_titles"):
            self._measure()

    def leaveEvent(self, event) -> None:
        self._hover("")

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, line = event.key(), next((line for line in self._lines if line.name == self._selected), None)
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._move(1 if key == Qt.Key.Key_Down else -1)
        elif line is None:
            super().keyPressEvent(event)
        elif line.row < 0 and key in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.toggle_group(line.name.removeprefix(_GROUP))
        elif line.row >= 0 and key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            step = _LONG_STEP if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else _STEP
            self.offset_wanted.emit(line.name, float(self._offsets[line.row]) + (step if key == Qt.Key.Key_Right else -step))
        elif line.row >= 0 and key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.offset_wanted.emit(line.name, 0.0)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event) -> None:
        super().focusInEvent(event)
        if not self._selected and self._lines:
            self.select(self._lines[0].name)

    # -------------------------------------------------------------------------------------------------------------- inside

    def _measure(self) -> None:
        """Find room for the names in the present font."""
        self._titles = {row.name: QStaticText(row.title) for row in self._rows}
        self._name_width = INDENT + 8 + max(self.fontMetrics().horizontalAdvance(row.title) for row in self._rows)

    def _is_folded(self, group: str) -> bool:
        return group in self._folded and not self._filter

    def _arrange(self) -> None:
        """Lay the lines out anew."""
        self._lines: list[_Line] = []
        top = 0
        words = self._filter.split()
        for group in ROW_GROUPS:
            found = [i for i, row in enumerate(self._rows) if row.group == group
                     and all(word in f"{row.title} {row.name} {self._group_titles[group]}".lower() for word in words)]
            if not found:
                continue
            self._lines.append(_Line(_GROUP + group, -1, top, GROUP_HEIGHT))
            top += GROUP_HEIGHT
            for i in () if self._is_folded(group) else found:
                self._lines.append(_Line(self._rows[i].name, i, top, ROW_HEIGHT))
                top += ROW_HEIGHT
            top += 4
        if self._selected and self._selected not in {line.name for line in self._lines}:
            self.select("")
        self.updateGeometry()
        self.update()

    def _line_at(self, place: QPoint) -> _Line | None:
        return next((line for line in self._lines if line.top <= place.y() < line.top + line.height), None)

    def _hover(self, name: str) -> None:
        if name != self._hovered:
            self._hovered = name
            self.setCursor(Qt.CursorShape.SizeHorCursor if name and not name.startswith(_GROUP)
                           else Qt.CursorShape.PointingHandCursor if name else Qt.CursorShape.ArrowCursor)
            self.update()

    def _move(self, step: int) -> None:
        names = [line.name for line in self._lines]
        if names:
            place = names.index(self._selected) + step if self._selected in names else 0
            self.select(names[min(max(place, 0), len(names) - 1)])

    def _describe(self) -> None:
        """Say for screen readers what is selected."""
        index = next((i for i, row in enumerate(self._rows) if row.name == self._selected), None)
        if index is None:
            group = self._selected.removeprefix(_GROUP)
            self.setAccessibleDescription(self._group_titles.get(group, ""))
            return
        row = self._rows[index]
        self.setAccessibleDescription(self.tr("{0}: {1:.0f} {2}, offset {3:+.0f}").format(
            row.title, self._values[index], row.unit, self._offsets[index]))


def _bar(painter: QPainter, start: int, end: int, middle: int, color: QColor) -> None:
    painter.fillRect(min(start, end), middle - 3, abs(end - start), 6, color)
