"""The list of takes: a small picture, name, length; opened, shown, renamed, thrown away."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QEvent, QPoint, QSize, Qt, QUrl, Signal
from PySide6.QtGui import QAction, QColor, QDesktopServices, QIcon, QImage, QKeyEvent, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QInputDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from agora_app.models.recording import RecordingModel
from agora_app.theme import current_colors, set_role, theme
from agora_app.words import length, size_of
from core.pipeline.live.take import Take

PICTURE = QSize(64, 48)
_TAKE, _VIDEO = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
MOST_SHOWN = 200


class TakeList(QWidget):
    """Takes of the folder, newest first.

    Signals:
        rerender_wanted: (Take) the user wants to make it once more.
    """

    rerender_wanted = Signal(object)

    def __init__(self, model: RecordingModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._pictures: dict[str, QImage] = {}  # images, not icons: those must not outlive the application
        self._asked: set[str] = set()
        self.list = QListWidget()
        self.list.setAccessibleName(self.tr("Takes"))
        self.list.setIconSize(PICTURE)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.setMinimumHeight(2 * PICTURE.height() + 40)
        self.list.itemActivated.connect(self._open)
        self.list.customContextMenuRequested.connect(self._show_menu)
        self.list.installEventFilter(self)
        self.empty = QLabel(self.tr("Takes appear here. Each keeps its motion: it can be made again with another person."))
        self.empty.setWordWrap(True)
        set_role(self.empty, "muted")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.list, 1)
        column.addWidget(self.empty)
        column.addStretch(0)
        model.takes_changed.connect(self.show_takes)
        model.thumbnail_ready.connect(self._on_thumbnail)
        theme().changed.connect(self.show_takes)

    def takes(self) -> list[Take]:
        """What is shown."""
        return [self.list.item(row).data(_TAKE) for row in range(self.list.count())]

    def show_takes(self) -> None:
        """Show the takes anew, when somebody can see them; the selected one stays selected."""
        if not self.isVisible():
            return
        chosen = self.list.currentItem().data(_VIDEO) if self.list.currentItem() is not None else None
        takes = self._model.takes()[:MOST_SHOWN]
        self.list.clear()
        for take in takes:
            self.list.addItem(self._item(take))
            if str(take.video) == chosen:
                self.list.setCurrentRow(self.list.count() - 1)
        self.list.setVisible(bool(takes))
        self.empty.setVisible(not takes)

    def showEvent(self, event) -> None:
        super().showEvent(event)
        self.show_takes()

    def eventFilter(self, watched, event: QEvent) -> bool:
        """Keys of the list: F2 renames, Delete throws away."""
        item = self.list.currentItem()
        if watched is self.list and isinstance(event, QKeyEvent) and event.type() is QEvent.Type.KeyPress and item is not None:
            if event.key() == Qt.Key.Key_F2:
                self.rename(item.data(_TAKE))
                return True
            if event.key() == Qt.Key.Key_Delete:
                self.delete(item.data(_TAKE))
                return True
        return super().eventFilter(watched, event)

    def menu_of(self, take: Take) -> QMenu:
        """What can be done with a take."""
        menu = QMenu(self)
        for text, slot in ((self.tr("Play"), lambda: _open_path(take.video)),
                           (self.tr("Re-render…"), lambda: self.rerender_wanted.emit(take)),
                           (self.tr("Show in folder"), lambda: _open_path(take.video.parent)), ("", None),
                           (self.tr("Rename…"), lambda: self.rename(take)),
                           (self.tr("Move to trash"), lambda: self.delete(take))):
            if slot is None:
                menu.addSeparator()
                continue
            action = QAction(text, menu)
            action.triggered.connect(slot)
            menu.addAction(action)
        return menu

    def rename(self, take: Take) -> None:
        """Ask for another name."""
        name, agreed = QInputDialog.getText(self, self.tr("Rename take"), self.tr("Name"), text=take.name)
        if agreed and name.strip():
            self._model.rename(take, name.strip())

    def delete(self, take: Take) -> None:
        """Ask, then move the take's files to the trash."""
        answer = QMessageBox.question(self, self.tr("Move to trash"),
                                      self.tr("Move “{0}” to the trash, with its motion?").format(take.name))
        if answer == QMessageBox.StandardButton.Yes:
            self._model.delete(take)

    # ------------------------------------------------------------------------------------------------------------ inside

    def _item(self, take: Take) -> QListWidgetItem:
        video = str(take.video)
        item = QListWidgetItem(f"{take.name}\n{length(take.seconds)} · {size_of(take.bytes)}")
        item.setData(_TAKE, take)
        item.setData(_VIDEO, video)
        item.setIcon(_icon(self._pictures.get(video)))
        item.setToolTip(self._details(take))
        if video not in self._asked:
            self._asked.add(video)
            self._model.want_thumbnail(take.video)
        return item

    def _details(self, take: Take) -> str:
        info = take.info
        lines = [take.name, take.started.astimezone().strftime("%c"),
                 f"{length(take.seconds)} · {info.width} × {info.height} · {size_of(take.bytes)}",
                 self.tr("Person {0}").format(take.about.person)]
        if info.dropped:
            lines.append(self.tr("{0} pictures were left out").format(info.dropped))
        lines += [f"{marker.seconds:.1f} s: {marker.text}" for marker in info.markers[:12]]
        return "\n".join((*lines, *info.notes))

    def _on_thumbnail(self, video: str, picture) -> None:
        if picture is None:
            return
        height, width = picture.shape[:2]
        image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
        self._pictures[video] = image.copy()
        for row in range(self.list.count()):
            if self.list.item(row).data(_VIDEO) == video:
                self.list.item(row).setIcon(_icon(self._pictures[video]))

    def _open(self, item: QListWidgetItem) -> None:
        _open_path(item.data(_TAKE).video)

    def _show_menu(self, place: QPoint) -> None:
        item = self.list.itemAt(place)
        if item is not None:
            menu = self.menu_of(item.data(_TAKE))
            menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            menu.popup(self.list.viewport().mapToGlobal(place))


def _open_path(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))


def _icon(image: QImage | None) -> QIcon:
    """A take's picture, or a plain one until it is there."""
    if image is not None:
        return QIcon(QPixmap.fromImage(image))
    pixmap = QPixmap(PICTURE)
    pixmap.fill(QColor(current_colors().line))
    return QIcon(pixmap)
