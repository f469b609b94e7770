"""What the training commands answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agora_app.children.answers import Answer


class Finding(Answer):
    """One thing that was found in a dataset, `count` times, the first places of which are named."""

    severity: Literal["blocking", "warning"]
    message: str
    count: int = 0
    places: tuple[str, ...] = ()
    hint: str = ""


class CheckAnswer(Answer):
    """Of `data check`: what a dataset holds (pictures by part, people, side of the pictures), and what is wrong with it."""

    blocked: bool
    findings: tuple[Finding, ...] = ()
    kind: str = ""
    images: dict[str, int] = Field(default_factory=dict)
    people: int = 0
    size: int = 0

    @property
    def sorted_findings(self) -> tuple[Finding, ...]:
        """What stops one first."""
        return tuple(sorted(self.findings, key=lambda finding: finding.severity != "blocking"))

    @property
    def is_synthetic(self) -> bool:
        """Whether everything is known about its people."""
        return self.kind == "synthetic"


class ProbeProblem(Answer):
    """Why a training would fail here."""

    what: str
    mend: str = ""


class ProbeAnswer(Answer):
    """Of `train --probe`: what a training needs on this machine, and how fast it is."""

    seconds: float = Field(ge=0)
    memory_bytes: int = Field(ge=0)
    disk_bytes: int = Field(ge=0)
    images_per_second: float = Field(ge=0)
    problems: tuple[ProbeProblem, ...] = ()


class Measure(Answer):
    """One measured quality, with what real pictures get (`floor`) and what useless ones get (`ceiling`) beside it.

    Attributes:
        better: smaller, larger, near 1, or near what real pictures get.
    """

    name: str
    value: float | None = None
    floor: float | None = None
    ceiling: float | None = None
    better: Literal["lower", "higher", "one", "real"] = "lower"
    meaning: str = ""


class EvaluationAnswer(Answer):
    """Of `evaluate`."""

    rows: tuple[Measure, ...]


class CurvePoint(Answer):
    """Error that remains with a number of blendshapes, millimetres on people nobody has learned from."""

    components: int
    error: float


class DistillAnswer(Answer):
    """Of `distill`."""

    curve: tuple[CurvePoint, ...] = ()
    pack: str
