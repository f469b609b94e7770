"""What a check of training data comes to: findings, blocking ones and warnings, and the report they make."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SHOWN = 5  # places named in the text; the JSON names all that were kept
KEPT = 200


class Severity(Enum):
    """Whether training can start."""

    BLOCKING = "blocking"
    WARNING = "warning"


class Problem(Enum):
    """Kinds of findings."""

    NOT_A_DATASET = "not a dataset"
    DESCRIPTION = "damaged description"
    MISSING_FILE = "missing file"
    DAMAGED_FILE = "damaged file"
    EXTRA_FILE = "file that belongs to nothing"
    COUNT = "wrong number"
    LAYOUT = "wrong shape or type"
    WRONG_HEAD = "another head model"
    BAD_NUMBER = "number that is not finite"
    BAD_CAMERA = "impossible camera"
    EMPTY_MASK = "picture without foreground"
    FULL_MASK = "picture without background"
    NOT_PREMULTIPLIED = "colour not premultiplied"
    OUT_OF_FRAME = "face out of the picture"
    DUPLICATE = "picture that repeats another"
    LEAK = "test pictures or people among the training ones"
    TOO_FEW = "too few pictures"
    NO_TEST = "nothing to test on"
    DISTRIBUTION = "one-sided labels"


_AGAIN = "make the dataset again"
_LEFT_OUT = "leave these pictures out and make the dataset again"
_HINTS = {
    Problem.COUNT: _AGAIN, Problem.LAYOUT: _AGAIN, Problem.BAD_NUMBER: _AGAIN, Problem.BAD_CAMERA: _AGAIN,
    Problem.NOT_PREMULTIPLIED: _AGAIN, Problem.EMPTY_MASK: _LEFT_OUT, Problem.FULL_MASK: _LEFT_OUT,
    Problem.OUT_OF_FRAME: _LEFT_OUT, Problem.DUPLICATE: _LEFT_OUT, Problem.LEAK: _LEFT_OUT, Problem.EXTRA_FILE: "remove them",
    Problem.TOO_FEW: "make or collect more pictures", Problem.NO_TEST: "make the dataset again, with a test part",
    Problem.DISTRIBUTION: "add pictures of what is missing"}
"""What mends a problem, where a finding does not say it better."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        problem: the kind.
        severity: whether it keeps training from starting.
        message: one sentence for people.
        count: how often.
        places: files, or "split: picture n"; at most `KEPT` of them.
        hint: what to do about it; empty when there is nothing.
    """

    problem: Problem
    severity: Severity
    message: str
    count: int = 1
    places: tuple[str, ...] = ()
    hint: str = ""


@dataclass(frozen=True)
class CheckReport:
    """The result of a check.

    Attributes:
        folder: what was checked.
        kind: of the data; empty when that is not known.
        images: pictures by split.
        findings: blocking ones first.
        people: in all splits; 0 when that is not known.
        size: side of the pictures, pixels; 0 when that is not known.
    """

    folder: Path
    kind: str
    images: dict[str, int]
    findings: tuple[Finding, ...]
    people: int = 0
    size: int = 0

    @property
    def blocked(self) -> bool:
        """Whether training must not start."""
        return any(finding.severity is Severity.BLOCKING for finding in self.findings)

    def text(self) -> str:
        """For people: what was found, how often, where, and what to do."""
        splits = ", ".join(f"{count} {name}" for name, count in self.images.items())
        lines = [f"{self.folder}: {self.kind or 'unknown kind'}" + (f", pictures: {splits}" if splits else "")]
        for finding in self.findings:
            lines.append(f"  {finding.severity.value}: {finding.message}")
            if finding.places:
                more = finding.count - SHOWN if finding.count > SHOWN else 0
                lines.append("    " + ", ".join(finding.places[:SHOWN]) + (f" and {more} more" if more else ""))
            if finding.hint:
                lines.append(f"    {finding.hint}")
        return "\n".join(lines + ([] if self.findings else ["  nothing is wrong"]))

    def to_json(self) -> bytes:
        """For programs."""
        content = {"folder": str(self.folder), "kind": self.kind, "images": self.images, "people": self.people,
                   "size": self.size, "blocked": self.blocked,
                   "findings": [{"problem": f.problem.name.lower(), "severity": f.severity.value, "message": f.message,
                                 "count": f.count, "places": f.places, "hint": f.hint} for f in self.findings]}
        return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode()


def sorted_findings(findings: list[Finding]) -> tuple[Finding, ...]:
    """Blocking ones first, else in the order given."""
    return tuple(sorted(findings, key=lambda finding: finding.severity is not Severity.BLOCKING))


def blocking(problem: Problem, message: str, places: Sequence[str] = (), count: int | None = None, hint: str = "") -> Finding:
    """A blocking finding about some places."""
    return _finding(problem, Severity.BLOCKING, message, places, count, hint)


def warning(problem: Problem, message: str, places: Sequence[str] = (), count: int | None = None, hint: str = "") -> Finding:
    """A warning about some places."""
    return _finding(problem, Severity.WARNING, message, places, count, hint)


def _finding(problem: Problem, severity: Severity, message: str, places: Sequence[str], count: int | None, hint: str) -> Finding:
    return Finding(problem, severity, message, max(1, len(places)) if count is None else count, tuple(places[:KEPT]),
                   hint or _HINTS.get(problem, ""))
