"""What the command says about a finished person: how like the photographs, by which route, and what to be careful of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import Field, field_validator
from PySide6.QtCore import QCoreApplication

from agora_app.children.answers import Answer

_LIKE, _ALIKE, _SOMEWHAT = 0.85, 0.72, 0.58  # structural similarity: at 0.85 two pictures are hard to tell apart at a glance
_EXACT, _CLOSE = 0.03, 0.06  # of the distance between the eyes' outer corners; 0.03 is how far two looks at one picture differ


class Scores(Answer):
    """How like its photographs an avatar is; None where it is not known. See `trainer.invert.person.PhotoScore`."""

    ssim: float | None = None
    psnr: float | None = None
    landmark_error: float | None = None
    held_out: float | None = None


class PhotoWarning(Answer):
    """Something to be careful of."""

    message: str
    photo: str = ""
    hint: str = ""


class PhotoReport(Answer):
    """Of `invert`."""

    route: str = ""
    scores: Scores = Field(default_factory=Scores)
    warnings: tuple[PhotoWarning, ...] = ()

    @field_validator("warnings", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        """A warning may be a plain text."""
        return [{"message": item} if isinstance(item, str) else item for item in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class ScoreWords:
    """A score as it is shown.

    Attributes:
        name: what it is the score of.
        value, unit: as large figures.
        meaning: what it says, in a sentence.
    """

    name: str
    value: str
    unit: str
    meaning: str


def verdict(scores: Scores) -> str:
    """The scores in a sentence; empty when there are none."""
    if scores.ssim is None:
        return ""
    like = (_words("Very like the photo") if scores.ssim >= _LIKE else _words("Clearly like the photo") if scores.ssim >= _ALIKE
            else _words("Somewhat like the photo") if scores.ssim >= _SOMEWHAT else _words("Only roughly like the photo"))
    if scores.landmark_error is None:
        return f"{like}."
    features = (_words("eyes, nose and mouth sit where they do in it") if scores.landmark_error <= _EXACT
                else _words("eyes, nose and mouth sit close to where they do in it") if scores.landmark_error <= _CLOSE
                else _words("the features sit a little elsewhere"))
    return f"{like}; {features}."


def score_words(scores: Scores) -> tuple[ScoreWords, ...]:
    """The scores one by one, those that are known."""
    found = []
    if scores.ssim is not None:
        found.append(ScoreWords(_words("Likeness"), f"{100 * max(scores.ssim, 0):.0f}", "%",
                                _words("How much of the photo's structure the avatar shows in the same pose")))
    if scores.landmark_error is not None:
        found.append(ScoreWords(_words("Features off by"), f"{100 * scores.landmark_error:.1f}", "%",
                                _words("How far eyes, nose and mouth are from the photo's, against the distance of the eyes")))
    if scores.held_out is not None:
        found.append(ScoreWords(_words("Other views"), f"{100 * max(scores.held_out, 0):.0f}", "%",
                                _words("How like the person it stays where it was not made from the photo")))
    return tuple(found)


def route_words(route: str) -> str:
    """How it was made."""
    return {"studio": _words("Made by fitting a studio person to the photo"),
            "generator": _words("Made by the generator of a pack")}.get(route, "")


def _words(text: str) -> str:
    return QCoreApplication.translate("PhotoReport", text)
