"""How a person looks in the gallery: a rounded picture with name, star, note and place on stage."""

from __future__ import annotations

import math
import time
import zlib

from PySide6.QtCore import QModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontMetrics, QLinearGradient, QPainter, QPainterPath, QPen, QPixmap, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from agora_app.gallery.model import Role
from agora_app.theme import Colors, current_colors

RADIUS = 10.0
_MARGIN = 4
_STAR = 24  # pixels along the clickable square
_GOLD = QColor("#ffc83d")
_SHIMMER_SECONDS = 1.4


class PersonDelegate(QStyledItemDelegate):
    """Paints square tiles.

    Attributes:
        tile: pixels along one side, margins included.
        hovered, target: rows under the mouse, and under a person who is being dragged; -1 for none.
    """

    tile = 96
    hovered = -1
    target = -1

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(self.tile, self.tile)

    @staticmethod
    def star_area(tile: QRect) -> QRect:
        """Where a click toggles the star of a tile."""
        return QRect(tile.right() - _MARGIN - _STAR, tile.top() + _MARGIN, _STAR, _STAR)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        colors = current_colors()
        area = QRectF(option.rect).adjusted(_MARGIN, _MARGIN, -_MARGIN, -_MARGIN)
        shape = QPainterPath()
        shape.addRoundedRect(area, RADIUS, RADIUS)
        painter.save()
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        painter.setFont(_font(option.font))
        painter.setClipPath(shape)
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        if picture is not None:
            _paint_picture(painter, area, picture)
        else:
            _paint_placeholder(painter, area, index, colors)
        self._paint_name(painter, area, index)
        if index.row() == self.target:
            painter.fillRect(area, QColor(0, 0, 0, 130))
            painter.setPen(Qt.GlobalColor.white)
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, self.tr("Mix"))
        painter.setClipping(False)
        place = index.data(Role.PLACE)
        if place:
            self._paint_place(painter, area, place, index.data(Role.FAVOURITE) or index.row() == self.hovered, colors)
        self._paint_star(painter, option.rect, index)
        has_focus = bool(option.state & QStyle.StateFlag.State_HasFocus)
        _paint_frame(painter, area, place, has_focus or index.row() == self.target, index.row() == self.hovered, colors)
        painter.restore()

    def _paint_name(self, painter: QPainter, area: QRectF, index: QModelIndex) -> None:
        """White on a shade that is dark enough over every picture."""
        strip = QRectF(area.left(), area.bottom() - 30, area.width(), 30)
        shade = QLinearGradient(strip.topLeft(), strip.bottomLeft())
        shade.setColorAt(0, QColor(8, 10, 14, 0))
        shade.setColorAt(0.55, QColor(8, 10, 14, 165))
        shade.setColorAt(1, QColor(8, 10, 14, 205))
        painter.fillRect(strip, shade)
        room = strip.adjusted(7, 0, -7, -4)
        if index.data(Role.NOTE):
            _paint_note_sign(painter, QRectF(room.right() - 10, room.bottom() - 11, 10, 10))
            room.setRight(room.right() - 14)
        painter.setPen(Qt.GlobalColor.white)
        text = QFontMetrics(painter.font()).elidedText(index.data(), Qt.TextElideMode.ElideRight, int(room.width()))
        painter.drawText(room, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom, text)

    def _paint_place(self, painter: QPainter, area: QRectF, place: str, has_star: bool, colors: Colors) -> None:
        words = {"first": self.tr("Live"), "second": self.tr("Beside"), "building": self.tr("Building…")}[place]
        font = QFont(painter.font())
        font.setPixelSize(10)
        painter.setFont(font)
        metrics = QFontMetrics(font)
        most = area.width() - 11 - (_STAR if has_star else 0)
        pill = QRectF(area.left() + 6, area.top() + 6, min(metrics.horizontalAdvance(words) + 12, most), metrics.height() + 4)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(8, 10, 14, 190) if place == "building" else colors.accent)
        painter.drawRoundedRect(pill, pill.height() / 2, pill.height() / 2)
        painter.setPen(QColor("white") if place == "building" else colors.on_accent)
        painter.drawText(pill, Qt.AlignmentFlag.AlignCenter,
                         metrics.elidedText(words, Qt.TextElideMode.ElideRight, int(pill.width() - 4)))

    def _paint_star(self, painter: QPainter, tile: QRect, index: QModelIndex) -> None:
        """Full for favourites; an outline invites while the mouse is here."""
        favourite = index.data(Role.FAVOURITE)
        if not favourite and index.row() != self.hovered:
            return
        center = QPointF(self.star_area(tile).center()) + QPointF(0.5, 1.0)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(8, 10, 14, 120))
        painter.drawEllipse(center, 10.5, 10.5)
        painter.setPen(QPen(_GOLD if favourite else QColor(255, 255, 255, 230), 1.3))
        painter.setBrush(_GOLD if favourite else Qt.BrushStyle.NoBrush)
        painter.drawPolygon(_star(center, 6.6))


def _font(base: QFont) -> QFont:
    font = QFont(base)
    font.setPixelSize(11)
    font.setWeight(QFont.Weight.DemiBold)
    return font


def _paint_picture(painter: QPainter, area: QRectF, picture: QPixmap) -> None:
    painter.drawPixmap(area, picture, QRectF(picture.rect()))


def _paint_placeholder(painter: QPainter, area: QRectF, index: QModelIndex, colors: Colors) -> None:
    """A colour of their own and the first signs of the name, over which light passes while the picture is being made."""
    person = str(index.data(Role.PERSON))
    dark = colors.theme == "dark"
    hue = zlib.crc32(person.encode()) % 360
    painter.fillRect(area, QColor.fromHsl(hue, 46, 62 if dark else 200))
    if not index.data(Role.FAILED):
        phase = time.monotonic() % _SHIMMER_SECONDS / _SHIMMER_SECONDS
        middle = area.left() + (1.8 * phase - 0.4) * area.width()
        light = QLinearGradient(middle - 0.35 * area.width(), 0, middle + 0.35 * area.width(), 0)
        for stop, alpha in ((0, 0), (0.5, 26 if dark else 90), (1, 0)):
            light.setColorAt(stop, QColor(255, 255, 255, alpha))
        painter.fillRect(area, QBrush(light))
    font = QFont(painter.font())
    painter.save()
    font.setPixelSize(max(14, round(0.26 * area.width())))
    painter.setFont(font)
    painter.setPen(QColor.fromHsl(hue, 70, 175 if dark else 90))
    painter.drawText(area.adjusted(0, 0, 0, -14), Qt.AlignmentFlag.AlignCenter, "?" if index.data(Role.FAILED) else person[:2])
    painter.restore()


def _paint_note_sign(painter: QPainter, area: QRectF) -> None:
    painter.setPen(QPen(QColor(255, 255, 255, 220), 1.4))
    for k, width in enumerate((1.0, 1.0, 0.6)):
        y = area.top() + 2 + 3.2 * k
        painter.drawLine(QPointF(area.left(), y), QPointF(area.left() + width * area.width(), y))


def _paint_frame(painter: QPainter, area: QRectF, place: str, strong: bool, hovered: bool, colors: Colors) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if place in ("first", "second"):
        pen = QPen(colors.accent, 2.5)
        if place == "second":
            pen.setDashPattern([3, 2])
        painter.setPen(pen)
        painter.drawRoundedRect(area.adjusted(-0.5, -0.5, 0.5, 0.5), RADIUS, RADIUS)
    if strong:
        painter.setPen(QPen(colors.text, 1.8))
        painter.drawRoundedRect(area.adjusted(-2.6, -2.6, 2.6, 2.6), RADIUS + 2.6, RADIUS + 2.6)
    elif hovered and not place:
        painter.setPen(QPen(colors.edge, 1.5))
        painter.drawRoundedRect(area, RADIUS, RADIUS)


def _star(center: QPointF, radius: float) -> QPolygonF:
    points = []
    for i in range(10):
        angle = -math.pi / 2 + i * math.pi / 5
        reach = radius if i % 2 == 0 else 0.45 * radius
        points.append(center + QPointF(reach * math.cos(angle), reach * math.sin(angle)))
    return QPolygonF(points)
