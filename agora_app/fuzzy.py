"""Finding a text by a few of its letters."""

from __future__ import annotations

from dataclasses import dataclass

_START_OF_WORD, _IN_A_ROW, _ANYWHERE, _GAP = 8.0, 5.0, 1.0, 0.15


@dataclass(frozen=True)
class Match:
    """How a query was found in a text.

    Attributes:
        score: larger is better.
        places: indices of the letters that were found.
    """

    score: float
    places: tuple[int, ...]


def match(query: str, text: str) -> Match | None:
    """Find every word of a query in a text, whatever the case; None when one is not there.

    A letter follows the one before it, or begins a word of the text: "fth" finds "Frame the head", and letters that are
    scattered about find nothing.
    """
    score, places = 0.0, []
    for word in query.casefold().split():
        found = _match_word(word, text.casefold())
        if found is None:
            return None
        score += found.score
        places += found.places
    return Match(score - 0.01 * len(text), tuple(sorted(set(places))))


def _match_word(word: str, text: str) -> Match | None:
    """The best of all ways, by dynamic programming over (letters of the word, letters of the text)."""
    best: list[tuple[float, tuple[int, ...]] | None] = [None] * len(text)  # of the letters so far, the last one being at an index
    for i, letter in enumerate(word):
        following: list[tuple[float, tuple[int, ...]] | None] = [None] * len(text)
        for j, other in enumerate(text):
            if other != letter:
                continue
            starts = _begins_word(text, j)
            gain = _START_OF_WORD if starts else _ANYWHERE
            if i == 0:
                following[j] = (gain, (j,))
                continue
            ways = [(best[k][0] + (max(gain, _IN_A_ROW) if k == j - 1 else gain - _GAP * (j - k)), (*best[k][1], j))
                    for k in range(0 if starts else j - 1, j) if k >= 0 and best[k] is not None]
            if ways:
                following[j] = max(ways)
        best = following
    ends = [way for way in best if way is not None]
    return Match(*max(ends)) if ends else None


def _begins_word(text: str, index: int) -> bool:
    return index == 0 or not text[index - 1].isalnum()
