"""Small drawn faces: a circle, brows, eyes and a mouth, for buttons and for instructions."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap


@dataclass(frozen=True)
class Face:
    """A face in strokes; lengths are fractions of the circle's radius.

    Attributes:
        brows: how far they are raised; brow_slant: how far their inner ends are lowered.
        left, right: openness of the eyes as seen in the picture, 0 a line, 1 usual, more is wide.
        mouth_width, mouth_open: of the mouth; curve: how far its corners are raised.
        teeth: a line across the open mouth.
        cheeks: arcs beside the mouth.
        struck: a line across everything, for none.
    """

    brows: float = 0.0
    brow_slant: float = 0.0
    left: float = 1.0
    right: float = 1.0
    mouth_width: float = 0.42
    mouth_open: float = 0.0
    curve: float = 0.0
    teeth: bool = False
    cheeks: bool = False
    struck: bool = False


FACES = {
    "none": Face(struck=True),
    "rest": Face(),
    "smile": Face(curve=0.24, mouth_width=0.5),
    "grin": Face(curve=0.16, mouth_width=0.54, mouth_open=0.24, teeth=True),
    "surprise": Face(brows=0.16, left=1.5, right=1.5, mouth_width=0.22, mouth_open=0.44),
    "frown": Face(brow_slant=0.16, curve=-0.18),
    "wink": Face(right=0.0, curve=0.16),
    "pucker": Face(mouth_width=0.15, mouth_open=0.18),
    "blink": Face(left=0.0, right=0.0),
    "jaw open": Face(mouth_width=0.32, mouth_open=0.56),
    "cheek puff": Face(mouth_width=0.2, cheeks=True),
    "open": Face(mouth_width=0.34, mouth_open=0.6),
    "shut": Face(left=0.0, right=0.0),
    "brows": Face(brows=0.2, left=1.3, right=1.3),
    "done": Face(curve=0.26, mouth_width=0.5),
    "failed": Face(curve=-0.16, brows=0.04),
}


def paint_face(painter: QPainter, rect: QRectF, name: str, color: QColor) -> None:
    """Draw the face `name` into a square."""
    face = FACES[name]
    radius = min(rect.width(), rect.height()) * 0.46
    centre = rect.center()
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(color, max(1.3, radius * 0.1))
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.drawEllipse(centre, radius, radius)
    for side, openness in ((-1, face.left), (1, face.right)):
        _paint_eye(painter, centre, radius, side, openness, color)
        _paint_brow(painter, centre, radius, side, face)
        if face.cheeks:
            at = centre + QPointF(side * 0.5 * radius, 0.4 * radius)
            painter.drawArc(QRectF(at.x() - 0.2 * radius, at.y() - 0.24 * radius, 0.4 * radius, 0.48 * radius),
                            (-70 if side > 0 else 110) * 16, 140 * 16)
    _paint_mouth(painter, centre + QPointF(0, (0.42 if face.mouth_open < 0.3 else 0.36) * radius), radius, face)
    if face.struck:
        reach = 0.7 * radius
        painter.drawLine(centre + QPointF(-reach, reach), centre + QPointF(reach, -reach))
    painter.restore()


def face_icon(name: str, color: QColor, size: int = 28, ratio: float = 2.0) -> QIcon:
    """The face `name` as an icon of `size` pixels."""
    pixmap = QPixmap(QSize(size, size) * ratio)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    paint_face(painter, QRectF(0, 0, size, size), name, color)
    painter.end()
    return QIcon(pixmap)


def _paint_eye(painter: QPainter, centre: QPointF, radius: float, side: int, openness: float, color: QColor) -> None:
    at = centre + QPointF(side * 0.36 * radius, -0.16 * radius)
    if openness <= 0:
        path = QPainterPath(at + QPointF(-0.15 * radius, 0))
        path.quadTo(at + QPointF(0, 0.12 * radius), at + QPointF(0.15 * radius, 0))
        painter.drawPath(path)
        return
    painter.save()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(color)
    painter.drawEllipse(at, 0.1 * radius * min(openness, 1.25), 0.12 * radius * openness)
    painter.restore()


def _paint_brow(painter: QPainter, centre: QPointF, radius: float, side: int, face: Face) -> None:
    if face.brows <= 0 and face.brow_slant <= 0:
        return
    height = -0.4 - face.brows
    outer = centre + QPointF(side * 0.54 * radius, (height - 0.1 * face.brow_slant) * radius)
    inner = centre + QPointF(side * 0.2 * radius, (height + face.brow_slant) * radius)
    path = QPainterPath(outer)
    path.quadTo((outer + inner) / 2 + QPointF(0, -0.7 * face.brows * radius), inner)
    painter.drawPath(path)


def _paint_mouth(painter: QPainter, at: QPointF, radius: float, face: Face) -> None:
    half, lift = face.mouth_width * radius, face.curve * radius
    left, right = at + QPointF(-half, -lift / 2), at + QPointF(half, -lift / 2)
    if face.mouth_open > 0 and face.curve == 0:
        painter.drawEllipse(at, half, face.mouth_open * radius / 1.6)
        return
    path = QPainterPath(left)
    path.quadTo(at + QPointF(0, lift * 1.1), right)
    if face.mouth_open > 0:
        path.quadTo(at + QPointF(0, lift * 1.1 + 2 * face.mouth_open * radius), left)
    painter.drawPath(path)
    if face.teeth:
        drop = at.y() + 0.62 * face.mouth_open * radius
        painter.drawLine(QPointF(at.x() - 0.7 * half, drop), QPointF(at.x() + 0.7 * half, drop))
