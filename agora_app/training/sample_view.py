"""The sample grids of a training, newest first, one at a time."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QImageReader, QPixmap
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QVBoxLayout, QWidget

from agora_app.icons import keep_icon
from agora_app.parts import Picture, muted


class SampleView(QWidget):
    """Shows one grid, scaled to its room; stays with the newest one until the user goes back to older ones."""

    def __init__(self) -> None:
        super().__init__()
        self._paths: list[Path] = []
        self._back = 0  # how many are newer than the one on show
        self._picture = QPixmap()
        self._shown: Path | None = None
        self.label = Picture(self.tr("The first samples come soon."))
        self.label.setAccessibleName(self.tr("Samples"))
        self.newer = self._button("mdi6.chevron-right", self.tr("Newer samples"), -1)
        self.older = self._button("mdi6.chevron-left", self.tr("Older samples"), 1)
        self.caption = muted("")
        self.caption.setAlignment(Qt.AlignmentFlag.AlignCenter)
        row = QHBoxLayout()
        row.addWidget(self.older)
        row.addWidget(self.caption, 1)
        row.addWidget(self.newer)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addWidget(self.label, 1)
        column.addLayout(row)
        self._show()

    @property
    def shown(self) -> Path | None:
        """The file of the grid on show."""
        return self._shown

    def show_samples(self, paths: list[Path]) -> None:
        """Take in the grids there are, oldest first."""
        if self._back:  # what was looked at stays
            self._back += len(paths) - len(self._paths)
        self._paths = list(paths)
        self._back = min(max(self._back, 0), max(len(paths) - 1, 0))
        self._show()

    def go(self, by: int) -> None:
        """To an older grid (1) or a newer one (-1)."""
        self._back = min(max(self._back + by, 0), max(len(self._paths) - 1, 0))
        self._show()

    def _button(self, name: str, words: str, by: int) -> QToolButton:
        button = QToolButton()
        keep_icon(button, name)
        button.setToolTip(words)
        button.setAccessibleName(words)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        button.clicked.connect(lambda _checked=False: self.go(by))
        return button

    def _show(self) -> None:
        self.older.setEnabled(self._back < len(self._paths) - 1)
        self.newer.setEnabled(self._back > 0)
        if not self._paths:
            self._shown = None
            self.label.set_picture(QPixmap())
            self.caption.setText("")
            return
        path = self._paths[-1 - self._back]
        place = self.tr("newest") if not self._back else self.tr("{0} back").format(self._back)
        self.caption.setText(self.tr("after {0:,} pictures · {1}").format(int(path.stem), place))
        if path != self._shown:
            image = QImageReader(str(path)).read()
            if image.isNull():  # it is still being written, or damaged: the one before stays
                return
            self._shown = path
            self.label.set_picture(QPixmap.fromImage(image))
