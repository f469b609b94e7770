"""The strip on which two people are mixed: both faces, a slider, and the person in between as soon as they are built."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QKeyEvent, QPainter, QPainterPath, QPixmap
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QSizePolicy, QSlider, QVBoxLayout, QWidget

from agora_app.gallery.model import short_name
from agora_app.models.cast import CastModel
from agora_app.theme import current_colors, set_role
from core.errors import AgoraError

_SETTLE_MS = 250  # the slider must rest for so long before somebody is built
_SMALL, _LARGE = 52, 92


class Face(QWidget):
    """One rounded picture, or two of which the second shines through.

    Signals:
        double_clicked: by the mouse.
    """

    double_clicked = Signal()

    def __init__(self, size: int, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedSize(size, size)
        self.setAccessibleName(name)
        self._under: QPixmap | None = None
        self._over: QPixmap | None = None
        self._share = 0.0

    def show_picture(self, under: QPixmap | None, over: QPixmap | None = None, share: float = 0.0) -> None:
        """Show a picture, and a second one with a share of 0..1 over it."""
        self._under, self._over, self._share = under, over, share
        self.update()

    def sizeHint(self) -> QSize:
        return self.size()

    def paintEvent(self, event) -> None:
        painter = QPainter(self)
        painter.setRenderHints(QPainter.RenderHint.Antialiasing | QPainter.RenderHint.SmoothPixmapTransform)
        area = QRectF(self.rect())
        shape = QPainterPath()
        shape.addRoundedRect(area, 8, 8)
        painter.setClipPath(shape)
        painter.fillRect(area, current_colors().button)
        for picture, strength in ((self._under, 1.0), (self._over, self._share)):
            if picture is not None:
                painter.setOpacity(strength)
                painter.drawPixmap(area, picture, QRectF(picture.rect()))

    def mouseDoubleClickEvent(self, event) -> None:
        self.double_clicked.emit()


class MixerStrip(QFrame):
    """Mixes two people.

    Signals:
        closed: the user is done.
    """

    closed = Signal()

    def __init__(self, cast: CastModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._cast = cast
        self._shelf, self._a, self._b = "", "", ""
        self._pictures: dict[str, QPixmap] = {}
        set_role(self, "card")
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._ask)
        self._build()
        cast.finder.thumbnail_ready.connect(self._on_picture)

    @property
    def person(self) -> str:
        """Who is in between, by name; empty while nobody is being mixed."""
        try:
            return self._cast.mix_name(self._a, self._b, self.slider.value() / 100) if self._a else ""
        except AgoraError:
            return ""

    def show_pair(self, a: str, b: str, shelf: str) -> None:
        """Begin to mix two people of the studio."""
        self._shelf, self._a, self._b = shelf, a, b
        self._pictures.clear()
        self.slider.setValue(50)
        self.name_a.setText(short_name(a))
        self.name_b.setText(short_name(b))
        self.show()
        self.slider.setFocus()
        self._show()
        self._ask()

    def use(self) -> None:
        """Put the mixed person on stage; the strip stays, so that another share can be tried."""
        if self._a:
            self._cast.mix(self._a, self._b, self.slider.value() / 100)

    def end(self) -> None:
        """Put the strip away."""
        self._settle.stop()
        self._a = self._b = ""
        self._cast.finder.pin_thumbnails(self._shelf, ())
        self.hide()
        self.closed.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.end()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.use()
        else:
            super().keyPressEvent(event)

    # ------------------------------------------------------------------------------------------------------------- inside

    def _build(self) -> None:
        self.face_a, self.face_b = Face(_SMALL, self.tr("First person")), Face(_SMALL, self.tr("Second person"))
        self.name_a, self.name_b = QLabel(), QLabel()
        self.preview = Face(_LARGE, self.tr("Mixed person"))
        self.preview.setToolTip(self.tr("Double-click to put this person on stage"))
        self.preview.double_clicked.connect(self.use)
        self.title = QLabel()
        self.state = QLabel()
        set_role(self.state, "muted")
        self.slider = QSlider(Qt.Orientation.Horizontal, minimum=0, maximum=100, value=50, pageStep=10)
        self.slider.setAccessibleName(self.tr("Share of the second person"))
        self.slider.setToolTip(self.tr("Share of the second person (arrow keys, 1 %)"))
        self.slider.valueChanged.connect(self._on_slider)
        self.use_button = QPushButton(self.tr("Use"), toolTip=self.tr("Put this person on stage (Enter)"))
        set_role(self.use_button, "primary")
        self.use_button.clicked.connect(self.use)
        self.close_button = QPushButton(self.tr("Close"), toolTip=self.tr("Stop mixing (Esc)"))
        self.close_button.clicked.connect(self.end)
        for label in (self.name_a, self.name_b):
            set_role(label, "muted")
            label.setAlignment(Qt.AlignmentFlag.AlignCenter)
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        for label in (self.title, self.state):
            label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 10, 10, 10)
        column.setSpacing(8)
        column.addLayout(self._faces_row())
        column.addLayout(self._result_row())

    def _faces_row(self) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(2)
        grid.addWidget(self.face_a, 0, 0)
        grid.addWidget(self.slider, 0, 1)
        grid.addWidget(self.face_b, 0, 2)
        grid.addWidget(self.name_a, 1, 0)
        grid.addWidget(self.name_b, 1, 2)
        grid.setColumnStretch(1, 1)
        return grid

    def _result_row(self) -> QHBoxLayout:
        words = QVBoxLayout()
        words.setSpacing(2)
        words.addWidget(self.title)
        words.addWidget(self.state)
        words.addStretch(1)
        buttons = QHBoxLayout()
        buttons.setSpacing(8)
        buttons.addWidget(self.use_button)
        buttons.addWidget(self.close_button)
        buttons.addStretch(1)
        words.addLayout(buttons)
        row = QHBoxLayout()
        row.setSpacing(10)
        row.addWidget(self.preview)
        row.addLayout(words, 1)
        return row

    def _on_slider(self) -> None:
        self._show()
        self._settle.start()

    def _ask(self) -> None:
        if not self._a:
            return
        wanted = [person for person in (self.person, self._a, self._b) if person and person not in self._pictures]
        self._cast.finder.pin_thumbnails(self._shelf, [self._a, self._b, self.person])
        for person in wanted:
            self._cast.finder.request_thumbnail(self._shelf, person)

    def _on_picture(self, shelf: str, person: str, image: QImage) -> None:
        if self._a and shelf == self._shelf and not image.isNull():
            self._pictures[person] = QPixmap.fromImage(image)
            self._show()

    def _show(self) -> None:
        if not self._a:
            return
        a, b, share = self._pictures.get(self._a), self._pictures.get(self._b), self.slider.value() / 100
        self.face_a.show_picture(a)
        self.face_b.show_picture(b)
        mixed = self._pictures.get(self.person)
        # until the mixed person is there, both faces shine through each other
        self.preview.show_picture(*((mixed,) if mixed is not None else (a, b, share)))
        self.title.setText(f"<b>{self.slider.value()} %</b>")
        described = self._cast.finder.describe(self._shelf, self.person)
        self.state.setText(self.tr("Building…") if mixed is None else described.name.partition(": ")[2] if described else "")
        self.title.setToolTip(self.person)
