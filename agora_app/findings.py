"""What is wrong, or might be, as cards that say how to mend it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from agora_app.children.answers import Problem
from agora_app.log import shorten_home
from agora_app.theme import current_colors, set_role, theme

SHOWN_FILES = 4
_LEVELS = {"blocking": ("✗", "bad"), "warning": ("!", "warn"), "ok": ("✓", "ok")}


class Found(Protocol):
    """One thing that was found, `count` times, the first places of which are named."""

    severity: str
    message: str
    count: int
    places: tuple[str, ...]
    hint: str


class FindingCard(QFrame):
    """What is so, where, and how to mend it. The mark says without colour how grave it is.

    Args:
        level: "blocking", "warning" or "ok".
    """

    def __init__(self, level: str, what: str, mend: str = "", count: int = 0, files: Sequence[str] = ()) -> None:
        super().__init__()
        set_role(self, "card")
        self.level, self.what = level, what
        self._role = _LEVELS[level][1]
        self.mark = QLabel(_LEVELS[level][0])
        self.mark.setFixedWidth(18)
        font = self.mark.font()
        font.setBold(True)
        self.mark.setFont(font)
        grid = QGridLayout(self)
        grid.setContentsMargins(12, 8, 12, 8)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(2)
        grid.addWidget(self.mark, 0, 0, Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter)
        grid.addWidget(wrapping(sentence(shorten_home(what))), 0, 1)
        if mend:
            grid.addWidget(muted_wrapping(sentence(self.tr("To mend it: {0}").format(shorten_home(mend)))), 1, 1)
        if files:
            more = self.tr(" and {0} more").format(count - SHOWN_FILES) if count > SHOWN_FILES else ""
            names = muted_wrapping(", ".join(files[:SHOWN_FILES]) + more)
            names.setToolTip("\n".join(files[:40]))
            grid.addWidget(names, 2, 1)
        grid.setColumnStretch(1, 1)
        words = {"blocking": self.tr("stops you"), "warning": self.tr("warning"), "ok": self.tr("fine")}
        self.setAccessibleName(f"{words[level]}: {what}. {mend}")
        self._paint()
        theme().changed.connect(self._paint)

    def _paint(self) -> None:
        self.mark.setStyleSheet(f"color: {getattr(current_colors(), self._role).name()};")


class FindingList(QScrollArea):
    """Cards below each other, as high as it is given room."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[FindingCard] = []
        self._shown: tuple | None = None
        body = QWidget()
        body.setProperty("page", True)
        self._column = QVBoxLayout(body)
        self._column.setContentsMargins(0, 0, 8, 0)
        self._column.setSpacing(6)
        self._column.addStretch(1)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName(self.tr("Findings"))
        self.setWidget(body)

    def show_findings(self, findings: Sequence[Found]) -> None:
        self._show([(found.severity, found.message, found.hint, found.count, found.places) for found in findings])

    def show_problems(self, problems: Sequence[Problem], fine: str = "") -> None:
        """Show problems; `fine` is said when there are none that stop one."""
        cards = [("blocking" if problem.blocking else "warning", problem.what, problem.mend, 0, ()) for problem in problems]
        if fine and not any(problem.blocking for problem in problems):
            cards.append(("ok", fine, "", 0, ()))
        self._show(cards)

    def _show(self, cards: list[tuple]) -> None:
        if tuple(cards) == self._shown:
            return
        self._shown = tuple(cards)
        for card in self.cards:
            self._column.removeWidget(card)
            card.hide()
            card.deleteLater()
        self.cards = [FindingCard(*card) for card in cards]
        for place, card in enumerate(self.cards):
            self._column.insertWidget(place, card)


def sentence(text: str) -> str:
    """With a capital first and a full stop last."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?', '…')) or not text else '.'}"


def problem_words(problem: Problem) -> str:
    """A problem as running text."""
    mend = QCoreApplication.translate("Training", "To mend it: {0}").format(problem.mend) if problem.mend else ""
    return " ".join(sentence(part) for part in (problem.what, mend) if part)


def wrapping(text: str) -> QLabel:
    """Words over as many lines as they need; long paths can be broken at their separators."""
    label = QLabel(text.replace("/", "/\u200b").replace("\\", "\\\u200b"))
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label


def muted_wrapping(text: str) -> QLabel:
    """Such words, less important."""
    label = wrapping(text)
    set_role(label, "muted")
    return label
