"""How people are named: a seed such as "7", or a mix of two such as "7+42@0.5"."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass

from core.avatar.identity import MAX_SEED, parse_seed
from core.errors import InputError

_MIX = re.compile(r"([0-9]+)\s*\+\s*([0-9]+)(?:\s*@\s*(.*))?", re.DOTALL)
_SHARE = re.compile(r"(?:0?[.,][0-9]{1,2}|[01](?:[.,][0-9]{0,2})?)")
_NUMBER_LIKE = re.compile(r"[+-]?[0-9][0-9.,_ ]*")
_WRITE_A_MIX = "write a mix as two seeds and the share of the second with at most two decimals, such as 7+42@0.5"


@dataclass(frozen=True)
class Person:
    """A studio person, or a stored one of a pack. Mixes are kept in one normal form: the smaller seed comes first.

    Attributes:
        seed: the (first) seed.
        other: the second seed of a mix, greater than the first; None for people who are no mix.
        percent: share of the second, 1..99; 0 for people who are no mix.
    """

    seed: int
    other: int | None = None
    percent: int = 0

    @property
    def is_mix(self) -> bool:
        return self.other is not None

    @property
    def share(self) -> float:
        """The t of `core.studio.mixing.mix_traits`."""
        return self.percent / 100

    @property
    def text(self) -> str:
        """The normal form."""
        return f"{self.seed}+{self.other}@{self.share:g}" if self.is_mix else str(self.seed)


def mix_of(first: int, second: int, percent: int) -> Person:
    """The person between two seeds; at 0 or 100 percent, or of one seed with itself, that is a plain person."""
    if first > second:
        first, second, percent = second, first, 100 - percent
    if first == second or percent <= 0:
        return Person(first)
    return Person(second) if percent >= 100 else Person(first, second, percent)


def parse_person(text: str | int, hash_words: bool = False) -> Person:
    """A person as the user wrote it: a seed, or two seeds and a share ("7+42" is half and half).

    Args:
        text: what was written.
        hash_words: take a text that is neither number nor mix for a name, and make a seed of it.

    Raises:
        InputError: neither a seed nor a mix.
    """
    word = str(text).strip()
    mix = _MIX.fullmatch(word)
    if mix:
        return mix_of(parse_seed(mix[1]), parse_seed(mix[2]), _percent(word, mix[3]))
    if hash_words and word and not _NUMBER_LIKE.fullmatch(word):
        return Person(seed_of_word(word))
    if "+" in word and word[0].isdigit():
        raise InputError(f"'{word}' is not a mix of two people", _WRITE_A_MIX)
    return Person(parse_seed(word))


def seed_of_word(word: str) -> int:
    """The seed that stands for a name, 0..2³²−1. Case, surrounding blanks and the way accents are encoded do not matter."""
    plain = unicodedata.normalize("NFC", word.strip().casefold())
    return int.from_bytes(hashlib.sha256(plain.encode("utf-8", "surrogatepass")).digest()[:4], "big") & MAX_SEED


def _percent(word: str, share: str | None) -> int:
    if share is None:
        return 50
    if not _SHARE.fullmatch(share.strip()):
        raise InputError(f"'{word}': the share '{share}' is not a number from 0 to 1 with at most two decimals", _WRITE_A_MIX)
    percent = round(100 * float(share.strip().replace(",", ".")))
    if percent > 100:
        raise InputError(f"'{word}': the share {share} is larger than 1", _WRITE_A_MIX)
    return percent
