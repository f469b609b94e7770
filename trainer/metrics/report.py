"""The result of an evaluation: rows of a number, what real pictures get, what useless ones get, and which way is better."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from core.errors import InputError

BETTER = ("lower", "higher", "one", "real")
"""Smaller, larger, near 1, or near what real pictures get."""


@dataclass(frozen=True)
class Row:
    """One number.

    Attributes:
        name: short, unique in an evaluation.
        value: of the pictures that are judged.
        floor: the same for real pictures nobody has trained on, None where there is none.
        ceiling: what chance or a useless generator gets, None where there is none.
        better: one of `BETTER`.
        meaning: one line, with the unit.
    """

    name: str
    value: float
    floor: float | None
    ceiling: float | None
    better: str
    meaning: str

    def __post_init__(self) -> None:
        if self.better not in BETTER:
            raise ValueError(f"'{self.better}' is none of {', '.join(BETTER)}")


@dataclass(frozen=True)
class Evaluation:
    """All rows of an evaluation, in order."""

    rows: tuple[Row, ...]

    def row(self, name: str) -> Row | None:
        """A row by name, None where it was not measured."""
        return next((row for row in self.rows if row.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """{"rows": [{"name", "value", "floor", "ceiling", "better", "meaning"}]}"""
        return {"rows": [asdict(row) for row in self.rows]}

    def text(self) -> str:
        """A table for a terminal."""
        lines = [("", "value", "real", "useless", "better", "")]
        lines += [(row.name, _number(row.value), _number(row.floor), _number(row.ceiling), row.better, row.meaning)
                  for row in self.rows]
        widths = [max(len(line[k]) for line in lines) for k in range(5)]
        return "\n".join("  ".join([line[0].ljust(widths[0]), *(line[k].rjust(widths[k]) for k in (1, 2, 3)),
                                    line[4].ljust(widths[4]), line[5]]).rstrip() for line in lines)

    @staticmethod
    def from_json(text: str) -> Evaluation:
        """Reads what was written as JSON.

        Raises:
            InputError: not an evaluation.
        """
        try:
            return Evaluation(tuple(Row(**row) for row in json.loads(text)["rows"]))
        except (ValueError, TypeError, KeyError) as error:
            raise InputError(f"this is no evaluation: {error}") from error


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    size = abs(value)
    return f"{value:.0f}" if size >= 1000 else f"{value:.1f}" if size >= 100 else f"{value:.2f}" if size >= 1 else f"{value:.3f}"
