"""The list of tiles: fills its width, asks for pictures of visible people only, and lets one person be dropped on another."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QDrag, QPainter
from PySide6.QtWidgets import QAbstractItemView, QListView, QWidget

from agora_app.gallery.delegate import PersonDelegate
from agora_app.gallery.model import GalleryModel
from agora_app.theme import current_colors

WANTED_TILE = 98
_SETTLE_MS = 60  # scrolling must stop for so long before pictures are asked for
_SHIMMER_MS = 50
_DRAGGED = 72
_SLACK = 4  # pixels that Qt wants to be free at the end of a row


class GalleryView(QListView):
    """Tiles of people.

    Signals:
        use_wanted, star_wanted, note_wanted: (person) by mouse or keyboard.
        menu_wanted: (person, where) a context menu at a global position.
    """

    use_wanted = Signal(str)
    star_wanted = Signal(str)
    note_wanted = Signal(str)
    menu_wanted = Signal(str, QPoint)

    def __init__(self, model: GalleryModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.empty_text = ""
        self._people = model
        self._delegate = PersonDelegate(self)
        self.setModel(model)
        self.setItemDelegate(self._delegate)
        self.setViewMode(QListView.ViewMode.IconMode)
        self.setMovement(QListView.Movement.Static)
        self.setResizeMode(QListView.ResizeMode.Adjust)
        self.setUniformItemSizes(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.setFrameShape(QListView.Shape.NoFrame)
        self.setDragEnabled(True)
        self.setAcceptDrops(True)
        self.setMouseTracking(True)
        self.setAccessibleName(self.tr("People"))
        self._settle = QTimer(self, singleShot=True, interval=_SETTLE_MS)
        self._settle.timeout.connect(self._ask_for_pictures)
        self._shimmer = QTimer(self, interval=_SHIMMER_MS)
        self._shimmer.timeout.connect(self._on_shimmer)
        self.verticalScrollBar().valueChanged.connect(self._look_again)
        for signal in (model.modelReset, model.rowsInserted, model.dataChanged):
            signal.connect(self._look_again)

    def visible_rows(self) -> tuple[int, int]:
        """First and last row that can be seen; (0, -1) for none."""
        columns, tile = self._columns(), self._delegate.tile
        top, height, rows = self.verticalScrollBar().value(), self.viewport().height(), self._people.rowCount()
        first, last = top // tile * columns, ((top + height - 1) // tile + 1) * columns - 1
        return (first, min(last, rows - 1)) if rows else (0, -1)

    # -------------------------------------------------------------------------------------------------------------- shape

    def resizeEvent(self, event) -> None:
        self._delegate.tile = max(1, (self.viewport().width() - _SLACK) // self._columns())
        self.setGridSize(QSize(self._delegate.tile, self._delegate.tile))
        super().resizeEvent(event)
        self._look_again()

    def _columns(self) -> int:
        return max(2, round(self.viewport().width() / WANTED_TILE))

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self._look_again()

    def hideEvent(self, event) -> None:
        super().hideEvent(event)
        self._settle.stop()
        self._shimmer.stop()
        self._people.show_rows(0, -1)

    def paintEvent(self, event) -> None:
        super().paintEvent(event)
        if self.empty_text and not self._people.rowCount():
            painter = QPainter(self.viewport())
            painter.setPen(current_colors().muted)
            area = self.viewport().rect().adjusted(16, 24, -16, -16)
            painter.drawText(area, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter | Qt.TextFlag.TextWordWrap,
                             self.empty_text)

    # ----------------------------------------------------------------------------------------------------------- pictures

    def _look_again(self, *_) -> None:
        if self.isVisible() and not self._settle.isActive():
            self._settle.start()

    def _ask_for_pictures(self) -> None:
        if self.isVisible():
            self._people.show_rows(*self.visible_rows())
            if self._people.is_waiting and not self._shimmer.isActive():
                self._shimmer.start()

    def _on_shimmer(self) -> None:
        if self._people.is_waiting:
            self.viewport().update()
        else:
            self._shimmer.stop()

    # ------------------------------------------------------------------------------------------------ mouse and keyboard

    def mousePressEvent(self, event) -> None:
        index = self.indexAt(event.position().toPoint())
        if event.button() == Qt.MouseButton.LeftButton and self._on_star(index, event.position().toPoint()):
            self.star_wanted.emit(self._people.person(index))
            return
        super().mousePressEvent(event)

    def mouseReleaseEvent(self, event) -> None:
        pressed, place = self.currentIndex(), event.position().toPoint()
        clicked = (event.button() == Qt.MouseButton.LeftButton and pressed.isValid() and self.indexAt(place) == pressed
                   and self.state() != QAbstractItemView.State.DraggingState and not self._on_star(pressed, place))
        super().mouseReleaseEvent(event)
        if clicked:
            self.use_wanted.emit(self._people.person(pressed))

    def mouseMoveEvent(self, event) -> None:
        super().mouseMoveEvent(event)
        self._hover(self.indexAt(event.position().toPoint()).row())

    def leaveEvent(self, event) -> None:
        super().leaveEvent(event)
        self._hover(-1)

    def keyPressEvent(self, event) -> None:
        person = self._people.person(self.currentIndex())
        if person and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.use_wanted.emit(person)
        elif person and event.key() == Qt.Key.Key_F2:
            self.note_wanted.emit(person)
        else:
            super().keyPressEvent(event)

    def focusInEvent(self, event) -> None:
        super().focusInEvent(event)
        if not self.currentIndex().isValid() and self._people.rowCount():
            self.setCurrentIndex(self._people.index(0))

    def contextMenuEvent(self, event) -> None:
        by_key = event.reason() == event.Reason.Keyboard
        index = self.currentIndex() if by_key else self.indexAt(event.pos())
        if index.isValid():
            where = self.visualRect(index).center() if by_key else event.pos()
            self.menu_wanted.emit(self._people.person(index), self.viewport().mapToGlobal(where))

    def viewportEvent(self, event) -> bool:
        if event.type() == QEvent.Type.HoverLeave:
            self._hover(-1)
        return super().viewportEvent(event)

    def _on_star(self, index: QModelIndex, place: QPoint) -> bool:
        return index.isValid() and self._delegate.star_area(self.visualRect(index)).contains(place)

    def _hover(self, row: int) -> None:
        if row != self._delegate.hovered:
            self._delegate.hovered = row
            self.viewport().update()

    # ------------------------------------------------------------------------------------------------- dragging one person

    def startDrag(self, actions: Qt.DropAction) -> None:
        index = self.currentIndex()
        if not index.isValid():
            return
        drag = QDrag(self)
        drag.setMimeData(self._people.mimeData([index]))
        picture = index.data(Qt.ItemDataRole.DecorationRole)
        if picture is not None:
            small = picture.scaledToWidth(_DRAGGED, Qt.TransformationMode.SmoothTransformation)
            drag.setPixmap(small)
            drag.setHotSpot(small.rect().center())
        drag.exec(Qt.DropAction.CopyAction)

    def dragEnterEvent(self, event) -> None:
        self._judge(event)

    def dragMoveEvent(self, event) -> None:
        self._judge(event)

    def dragLeaveEvent(self, event) -> None:
        self._aim(-1)

    def dropEvent(self, event) -> None:
        """A list of icons would otherwise move its icons about."""
        index = self.indexAt(event.position().toPoint())
        self._aim(-1)
        if self._people.dropMimeData(event.mimeData(), Qt.DropAction.CopyAction, -1, -1, index):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
        else:
            event.ignore()

    def _judge(self, event) -> None:
        index = self.indexAt(event.position().toPoint())
        possible = self._people.canDropMimeData(event.mimeData(), Qt.DropAction.CopyAction, -1, -1, index)
        self._aim(index.row() if possible else -1)
        if event.mimeData().hasFormat(self._people.mimeTypes()[0]):
            event.setDropAction(Qt.DropAction.CopyAction)
            event.accept()
        else:
            event.ignore()

    def _aim(self, row: int) -> None:
        if row != self._delegate.target:
            self._delegate.target = row
            self.viewport().update()
