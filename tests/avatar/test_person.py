from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.avatar.person import Person, mix_of, parse_person, seed_of_word
from core.errors import InputError

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(("text", "normal"), [
    ("7", "7"), (" 007 ", "7"), (7, "7"), ("7+42@0.5", "7+42@0.5"), ("7 + 42 @ .25", "7+42@0.25"), ("7+42", "7+42@0.5"),
    ("42+7@0.25", "7+42@0.75"), ("7+42@0", "7"), ("7+42@1", "42"), ("7+42@1.00", "42"), ("7+7@0.3", "7"),
    ("7+42@0,3", "7+42@0.3"), ("7+42@0.50", "7+42@0.5"), ("7+42@0.07", "7+42@0.07"), ("0+4294967295@0.01", "0+4294967295@0.01"),
])
def test_normal_forms(text, normal):
    person = parse_person(text)
    assert person.text == normal
    assert parse_person(normal) == person


@pytest.mark.parametrize("text", ["", "abc", "-1", "4294967296", "7+", "+7", "7+42@", "7+42@0.555", "7+42@1.5", "7+42@-0.5",
                                  "7+42@x", "7+4294967296@0.5", "7+42+3@0.5", "7+42@0.5@0.5", "1.5", "7 42"])
def test_other_texts_are_refused_in_words(text):
    with pytest.raises(InputError) as caught:
        parse_person(text)
    assert "\n" not in str(caught.value)


@given(SEEDS, SEEDS, st.integers(0, 100))
def test_a_mix_has_one_name_from_both_sides(a, b, percent):
    person = mix_of(a, b, percent)
    assert person == mix_of(b, a, 100 - percent)
    assert parse_person(person.text) == person
    assert person.is_mix == (a != b and 0 < percent < 100)


@given(st.text())
def test_any_text_is_somebody_or_an_explained_error(text):
    try:
        person = parse_person(text, hash_words=True)
    except InputError:
        return
    assert 0 <= person.seed <= 2**32 - 1
    assert parse_person(person.text) == person


def test_words_become_seeds():
    expected = int.from_bytes(hashlib.sha256(b"anna").digest()[:4], "big")
    assert parse_person("anna", hash_words=True) == Person(expected)
    assert seed_of_word(" Anna ") == expected
    assert seed_of_word("Zoe\u0308") == seed_of_word("zo\u00eb")
    with pytest.raises(InputError, match="anna"):
        parse_person("anna")


@pytest.mark.parametrize("text", ["-5", "4294967296", "1.5", "", "  "])
def test_wrong_numbers_are_not_taken_for_words(text):
    with pytest.raises(InputError, match="0 to 4294967295"):
        parse_person(text, hash_words=True)
