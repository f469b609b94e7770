"""The photographs of one person: added by a button or by dropping, each with what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QStackedLayout,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from agora_app.children.answers import Problem
from agora_app.findings import muted_wrapping, sentence, wrapping
from agora_app.icons import keep_icon
from agora_app.parts import Symbol, centred, muted
from agora_app.photo.models.form import PhotoForm
from agora_app.photo.pictures import PersonPicture, photo_size, read_photo
from agora_app.theme import current_colors, set_role

THUMBNAIL = 84  # pixels


class PhotoRow(QFrame):
    """One photograph.

    Signals:
        remove_wanted: it is to be taken out, by its button or the Delete key.

    Args:
        photo: its file.
        problem: what is wrong with it; None for nothing.
    """

    remove_wanted = Signal()

    def __init__(self, photo: Path, problem: Problem | None) -> None:
        super().__init__()
        set_role(self, "card")
        self.photo, self.problem = photo, problem
        self.setToolTip(str(photo))
        self.picture = PersonPicture(smallest=THUMBNAIL)
        self.picture.setFixedSize(THUMBNAIL, THUMBNAIL)
        self.picture.set_image(read_photo(photo, 4 * THUMBNAIL))
        self.picture.setAccessibleName(photo.name)
        self.remove = QToolButton()
        keep_icon(self.remove, "mdi6.close", "muted")
        set_role(self.remove, "flat")
        words = self.tr("Take {0} out").format(photo.name)
        self.remove.setToolTip(words)
        self.remove.setAccessibleName(words)
        self.remove.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.remove.clicked.connect(self.remove_wanted)
        self.words = wrapping(f"✗ {sentence(problem.what)}" if problem else "")
        self.words.setProperty("problem", True)
        self.words.setVisible(problem is not None)
        grid = QGridLayout(self)
        grid.setContentsMargins(8, 8, 8, 8)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(2)
        grid.addWidget(self.picture, 0, 0, 6, 1)
        grid.addWidget(wrapping(photo.name), 1, 1)
        size = photo_size(photo)
        grid.addWidget(muted(f"{size.width()} × {size.height()}" if size.isValid() else ""), 2, 1)
        grid.addWidget(self.words, 3, 1)
        if problem is not None and problem.mend:
            grid.addWidget(muted_wrapping(sentence(problem.mend)), 4, 1)
        grid.addWidget(self.remove, 0, 2, 6, 1, Qt.AlignmentFlag.AlignVCenter)
        grid.setColumnStretch(1, 1)
        for place in (0, 5):  # what is left over lies above and below
            grid.setRowStretch(place, 1)
        self.setAccessibleName(f"{photo.name}. {problem.what}. {problem.mend}" if problem else photo.name)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.remove_wanted.emit()
        else:
            super().keyPressEvent(event)


class DropHere(QWidget):
    """What is seen before there is a photograph."""

    def __init__(self) -> None:
        super().__init__()
        self.is_over = False
        self.button = QPushButton(self.tr("Choose photos…"))
        self.button.setToolTip(self.tr("One picture or several, all of the same person"))
        self.button.setAutoDefault(False)
        title, words = QLabel(self.tr("Drop photos here")), muted(self.tr(
            "One face, well lit and seen from the front, is enough. Several photos of the same person, also half from the side, "
            "make the avatar better."))
        set_role(title, "heading")
        column = QVBoxLayout(self)
        column.setContentsMargins(24, 24, 24, 24)
        column.setSpacing(12)
        column.addStretch(1)
        for widget in (Symbol("mdi6.image-plus-outline", 44), title):
            column.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addLayout(centred(words, 360))
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(1)

    def paintEvent(self, event) -> None:
        painter, colors = QPainter(self), current_colors()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(colors.accent_soft if self.is_over else colors.base)
        painter.setPen(QPen(colors.accent if self.is_over else colors.edge, 1.5, Qt.PenStyle.DashLine))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 10, 10)


class PhotoList(QWidget):
    """Shows the photographs of a form; adds what is dropped on it.

    Signals:
        choose_wanted: more are to be chosen from the disk.
    """

    choose_wanted = Signal()

    def __init__(self, form: PhotoForm) -> None:
        super().__init__()
        self._form = form
        self.rows: list[PhotoRow] = []
        self.setAcceptDrops(True)
        self.empty = DropHere()
        self.empty.button.clicked.connect(lambda: self.choose_wanted.emit())
        self.more = QPushButton(self.tr("Add photos…"))
        self.more.setToolTip(self.tr("More photos of the same person; they can also be dropped here"))
        self.more.setAutoDefault(False)
        keep_icon(self.more, "mdi6.image-plus-outline")
        self.more.clicked.connect(lambda: self.choose_wanted.emit())
        body = QWidget()
        body.setProperty("page", True)
        self._column = QVBoxLayout(body)
        self._column.setContentsMargins(0, 0, 6, 0)
        self._column.setSpacing(8)
        self._column.addWidget(self.more, 0, Qt.AlignmentFlag.AlignLeft)
        self._column.addStretch(1)
        self.scroll = QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QFrame.Shape.NoFrame)
        self.scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.scroll.setAccessibleName(self.tr("Photos"))
        self.scroll.setWidget(body)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self.empty)
        self._stack.addWidget(self.scroll)
        form.photos_changed.connect(self.show_photos)
        self.show_photos()

    def show_photos(self) -> None:
        """Show what the form holds."""
        form = self._form
        wanted = [(photo, form.problem_of(photo)) for photo in form.photos]
        there = {(row.photo, row.problem): row for row in self.rows}
        for key, row in there.items():
            self._column.removeWidget(row)
            if key not in wanted:
                row.hide()
                row.deleteLater()
        self.rows = [there.get(key) or self._make(*key) for key in wanted]
        for place, row in enumerate(self.rows):
            self._column.insertWidget(place, row)
        self._stack.setCurrentWidget(self.scroll if self.rows else self.empty)

    def _make(self, photo: Path, problem: Problem | None) -> PhotoRow:
        row = PhotoRow(photo, problem)
        row.remove_wanted.connect(lambda: self._remove(row))
        return row

    def _remove(self, row: PhotoRow) -> None:
        place = self.rows.index(row)
        self._form.remove(row.photo)
        following = self.rows[place:place + 1]
        (following[0].remove if following else self.more if self.rows else self.empty.button).setFocus()

    # ------------------------------------------------------------------------------------------------------ drag and drop

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if dropped_files(event):
            self._mark(True)
            event.acceptProposedAction()

    def dragLeaveEvent(self, event) -> None:
        self._mark(False)

    def dropEvent(self, event: QDropEvent) -> None:
        self._mark(False)
        event.acceptProposedAction()
        self._form.add(dropped_files(event))

    def _mark(self, over: bool) -> None:
        self.empty.is_over = over
        self.empty.update()


def dropped_files(event: QDropEvent) -> list[str]:
    """The local files that are dragged."""
    return [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
