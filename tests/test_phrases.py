"""What the synthesiser is told to say."""

from __future__ import annotations

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.train.numbers import cardinal, clock, number_phrase, ordinal
from asr.train.phrases import Phrase, PhraseSource, phrase, speakable
from asr.train.queries import expand, search_template

LINES = ("the cat sat on the mat and would not be moved by mr brown", "they'd been to see st ives")
VOCABULARY = ("rubout", "they'd", "zebra")
LABEL = re.compile(r"[a-z]+('[a-z]+)*( [a-z]+('[a-z]+)*)*")


def test_letters_are_labelled_as_letters_and_spoken_by_name() -> None:
    """Upper case is spelled: "a" must not be read as the article, nor "z" as "zed"."""
    assert phrase("R, A, Z") == Phrase(text="r a z", spoken="r, eigh, zee")


def test_words_keep_the_article() -> None:
    """A lower-case "a" stays the article."""
    assert phrase("play a song") == Phrase(text="play a song", spoken="play a song")


@pytest.mark.parametrize("words", [["st"], ["the", "mr"], ["b"], ["tv"], []])
def test_abbreviations_are_not_speakable(words: list[str]) -> None:
    """What a synthesiser would expand or spell is refused."""
    assert not speakable(words)


def test_words_are_speakable() -> None:
    """Ordinary words pass, the one-letter words among them."""
    assert speakable(["i", "saw", "a", "rhythm", "o'clock"])


@given(st.integers(min_value=0, max_value=2**32))
def test_every_label_is_lower_case_words(seed: int) -> None:
    """Whatever is drawn, the label has only a-z, inner apostrophes and single spaces."""
    text = PhraseSource(LINES, VOCABULARY, seed).draw().text
    assert LABEL.fullmatch(text), text


def test_a_seed_repeats_its_phrases() -> None:
    """Two sources with one seed say the same."""
    first, second = (PhraseSource(LINES, VOCABULARY, 7) for _ in range(2))
    assert [first.draw() for _ in range(200)] == [second.draw() for _ in range(200)]


def test_clauses_are_consecutive_words_of_a_line() -> None:
    """A clause is a piece of one line, and never holds an abbreviation."""
    source = PhraseSource(LINES, VOCABULARY, 0)
    for _ in range(200):
        clause = source.clause()
        assert any(clause in line for line in LINES)
        assert speakable(clause.split())


def test_every_template_can_be_filled() -> None:
    """No template names a slot that does not exist."""
    source = random.Random(0)
    for _ in range(2000):
        template = search_template(source).replace("{title}", "hello").replace("{thing}", "there")
        assert "{" not in expand(template, source)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (40, "forty"),
        (342, "three hundred forty two"),
        (70_005, "seventy thousand five"),
        (100_100, "one hundred thousand one hundred"),
    ],
)
def test_cardinals(number: int, words: str) -> None:
    """Numbers in words."""
    assert cardinal(number) == words


@pytest.mark.parametrize(
    ("number", "words"), [(1, "first"), (20, "twentieth"), (21, "twenty first"), (30, "thirtieth")]
)
def test_ordinals(number: int, words: str) -> None:
    """Ranks in words."""
    assert ordinal(number) == words


@given(st.integers(min_value=0, max_value=2**32))
def test_numbers_and_times_hold_no_digits(seed: int) -> None:
    """Numbers are written as they are said; only spelled letters are upper case."""
    source = random.Random(seed)
    for script in (number_phrase(source), clock(source)):
        assert re.fullmatch(r"[a-z',APM ]+", script), script
