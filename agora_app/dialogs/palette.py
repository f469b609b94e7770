"""The command palette: type a few letters of what you want, press Enter."""

from __future__ import annotations

from PySide6.QtCore import QAbstractListModel, QEvent, QModelIndex, QObject, QRectF, QSize, Qt
from PySide6.QtGui import QFont, QKeyEvent, QPainter, QPen
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QLabel,
    QLineEdit,
    QListView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from agora_app.action_table import ActionSpec
from agora_app.actions import ActionRegistry, translated
from agora_app.fuzzy import Match, match
from agora_app.theme import current_colors, set_role

WIDTH, ROW, ROWS_SHOWN = 560, 34, 11
_LIST_KEYS = (Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown)
SPEC_ROLE, MATCH_ROLE, KEYS_ROLE = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1, Qt.ItemDataRole.UserRole + 2


class PaletteModel(QAbstractListModel):
    """The actions that can be triggered now and match a query, the best first."""

    def __init__(self, registry: ActionRegistry, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._registry = registry
        self._found: list[tuple[ActionSpec, Match]] = []
        self.search("")

    def search(self, query: str) -> None:
        """Find a query in the titles, or, less good, some of its words in the name of the menu."""
        found = []
        for spec in self._registry.connected():
            if spec.id == "tools.palette":
                continue
            title = self._registry.title(spec.id)
            hit = match(query, title)
            if hit is None:
                menu = menu_words(spec).casefold()
                own = [word for word in query.casefold().split() if word not in menu]
                hit = match(" ".join(own), title)
                hit = Match(hit.score - 100, hit.places) if hit is not None else None
            if hit is not None:
                found.append((spec, hit))
        if query.strip():
            found.sort(key=lambda entry: -entry[1].score)
        self.beginResetModel()
        self._found = found
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self._found)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole):
        if not index.isValid():
            return None
        spec, hit = self._found[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._registry.title(spec.id)
        if role == Qt.ItemDataRole.DecorationRole:
            return self._registry.action(spec.id).icon()
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return f"{self._registry.title(spec.id)} {self._registry.shortcut_text(spec.id)}".strip()
        return {SPEC_ROLE: spec, MATCH_ROLE: hit.places, KEYS_ROLE: self._registry.shortcut_text(spec.id),
                Qt.ItemDataRole.ToolTipRole: self._registry.action(spec.id).toolTip()}.get(role)


class CommandPalette(QDialog):
    """A box over the window. Enter runs the command, Esc or a click elsewhere closes it."""

    def __init__(self, registry: ActionRegistry, parent: QWidget | None = None) -> None:
        super().__init__(parent, Qt.WindowType.Dialog | Qt.WindowType.FramelessWindowHint)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setWindowTitle(self.tr("Commands"))
        self._registry = registry
        self._was_active = False
        self.model = PaletteModel(registry, self)
        self.search = QLineEdit()
        self.search.setPlaceholderText(self.tr("What do you want to do?"))
        self.search.setAccessibleName(self.tr("Command"))
        self.search.setToolTip(self.tr("A few letters of a command"))
        self.search.textChanged.connect(self._on_search)
        self.search.installEventFilter(self)
        self.list = QListView()
        self.list.setModel(self.model)
        self.list.setItemDelegate(_Row(self.list))
        self.list.setUniformItemSizes(True)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setAccessibleName(self.tr("Commands"))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setStyleSheet("QListView { border: none; background: transparent; }")
        self.list.clicked.connect(self._run)
        self.nothing = QLabel(self.tr("No command with these letters"))
        set_role(self.nothing, "muted")
        self.nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._build()
        self._on_search("")

    def open(self) -> None:
        """Show it over the upper part of its window; nothing is blocked."""
        parent = self.parentWidget()
        if parent is not None:
            window = parent.window().geometry()
            width = min(WIDTH, window.width() - 40)
            self.setFixedWidth(width)
            self.move(window.center().x() - width // 2, window.top() + max(40, window.height() // 8))
        self.show()
        self.raise_()
        self.activateWindow()
        self.search.setFocus()

    def _build(self) -> None:
        frame = QFrame()
        set_role(frame, "card")
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        column = QVBoxLayout(frame)
        column.setContentsMargins(10, 10, 10, 10)
        column.setSpacing(8)
        column.addWidget(self.search)
        column.addWidget(self.list)
        column.addWidget(self.nothing)
        self.setFixedWidth(WIDTH)

    def _on_search(self, text: str) -> None:
        self.model.search(text)
        count = self.model.rowCount()
        self.list.setVisible(count > 0)
        self.nothing.setVisible(count == 0)
        self.list.setFixedHeight(ROW * min(ROWS_SHOWN, max(count, 1)) + 4)
        self.list.setCurrentIndex(self.model.index(0, 0))
        self.adjustSize()

    def _run(self, index: QModelIndex | None = None) -> None:
        index = index if index is not None else self.list.currentIndex()
        if index.isValid():
            action = self._registry.action(index.data(SPEC_ROLE).id)
            self.close()  # first: what is opened next belongs to the window beneath
            action.trigger()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.KeyPress:
            return self._on_key(event)
        return False

    def _on_key(self, event: QKeyEvent) -> bool:
        if event.key() in _LIST_KEYS:
            self.list.keyPressEvent(event)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._run()
        else:
            return False
        return True

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.ActivationChange:
            if self._was_active and not self.isActiveWindow():
                self.close()
            self._was_active = self.isActiveWindow()


class _Row(QStyledItemDelegate):
    """Icon, title with the found letters in bold, menu, and the shortcut at the right."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        return QSize(200, ROW)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex) -> None:
        colors = current_colors()
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        hovered = bool(option.state & QStyle.StateFlag.State_MouseOver)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(option.rect).adjusted(1, 1, -1, -1)
        if selected or hovered:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.accent_soft if selected else colors.hover)
            painter.drawRoundedRect(area, 6, 6)
        inner = area.adjusted(10, 0, -8, 0)
        index.data(Qt.ItemDataRole.DecorationRole).paint(painter, int(inner.left()), int(inner.center().y()) - 9, 18, 18)
        left = inner.left() + 28
        right = self._paint_keys(painter, option.font, inner, index.data(KEYS_ROLE))
        left = self._paint_title(painter, option.font, inner, left, index)
        painter.setFont(option.font)
        painter.setPen(colors.text if selected else colors.muted)
        words = painter.fontMetrics().elidedText(menu_words(index.data(SPEC_ROLE)), Qt.TextElideMode.ElideRight,
                                                 max(0, int(right - left) - 22))
        painter.drawText(QRectF(left + 10, inner.top(), max(0.0, right - left - 12), inner.height()),
                         Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, words)
        painter.restore()

    @staticmethod
    def _paint_title(painter: QPainter, font: QFont, area: QRectF, left: float, index: QModelIndex) -> float:
        bold, found = QFont(font), set(index.data(MATCH_ROLE))
        bold.setBold(True)
        colors = current_colors()
        title = index.data(Qt.ItemDataRole.DisplayRole)
        start = 0
        while start < len(title):  # runs of letters with the same look, so that kerning stays
            end = start
            while end < len(title) and (end in found) == (start in found):
                end += 1
            painter.setFont(bold if start in found else font)
            painter.setPen(colors.text)
            width = painter.fontMetrics().horizontalAdvance(title[start:end])
            painter.drawText(QRectF(left, area.top(), width + 4, area.height()), Qt.AlignmentFlag.AlignVCenter, title[start:end])
            left, start = left + width, end
        return left

    @staticmethod
    def _paint_keys(painter: QPainter, font: QFont, area: QRectF, keys: str) -> float:
        if not keys:
            return area.right()
        colors = current_colors()
        painter.setFont(font)
        width = painter.fontMetrics().horizontalAdvance(keys) + 14
        box = QRectF(area.right() - width, area.center().y() - 11, width, 22)
        painter.setPen(QPen(colors.border, 1))
        painter.setBrush(colors.base)
        painter.drawRoundedRect(box, 5, 5)
        painter.setPen(colors.text)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, keys)
        return box.left()


def menu_words(spec: ActionSpec) -> str:
    """Where an action is in the menus."""
    return " › ".join(translated(part) for part in spec.menu.split("/"))
