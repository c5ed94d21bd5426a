"""``asr.wer``: alignments by hand, and what holds for every pair of texts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.wer import ErrorCounts, align, char_errors, normalise, word_errors

tokens = st.lists(st.sampled_from("abc"), max_size=8)


@pytest.mark.parametrize(
    ("reference", "hypothesis", "counts"),
    [
        ("", "", (0, 0, 0, 0)),
        ("a b c", "a b c", (0, 0, 0, 3)),
        ("a b c", "a x c", (1, 0, 0, 3)),
        ("a b c", "a c", (0, 1, 0, 3)),
        ("a c", "a b c", (0, 0, 1, 2)),
        ("a b", "", (0, 2, 0, 2)),
        ("", "a b", (0, 0, 2, 0)),
        ("a b c d", "b c d e", (0, 1, 1, 4)),
        ("the cat sat", "a cat sat down", (1, 0, 1, 3)),
        ("a b", "b a", (2, 0, 0, 2)),  # a tie with one deletion and one insertion
    ],
)
def test_alignment_by_hand(reference: str, hypothesis: str, counts: tuple[int, int, int, int]) -> None:
    """Substitutions, deletions, insertions and length of small pairs."""
    assert align(reference.split(), hypothesis.split()) == ErrorCounts(*counts)


def plain_distance(left: list[str], right: list[str]) -> int:
    """Levenshtein distance by its definition."""
    if not left or not right:
        return len(left) + len(right)
    if left[-1] == right[-1]:
        return plain_distance(left[:-1], right[:-1])
    shorter = [(left[:-1], right), (left, right[:-1]), (left[:-1], right[:-1])]
    return 1 + min(plain_distance(*pair) for pair in shorter)


short = st.lists(st.sampled_from("abc"), max_size=5)


@given(short, short)
def test_errors_are_the_edit_distance(left: list[str], right: list[str]) -> None:
    """The counts add up to the distance that the recursive definition gives."""
    assert align(left, right).errors == plain_distance(left, right)


@given(tokens, tokens)
def test_bounds(left: list[str], right: list[str]) -> None:
    """The distance lies between the difference and the larger of the lengths, and lengths add up."""
    counts = align(left, right)
    assert abs(len(left) - len(right)) <= counts.errors <= max(len(left), len(right))
    assert counts.deletions - counts.insertions == len(left) - len(right)
    assert min(counts.substitutions, counts.deletions, counts.insertions) >= 0


@given(tokens, tokens)
def test_identity_and_symmetry(left: list[str], right: list[str]) -> None:
    """The distance is 0 for equal sequences only, and turning the pair swaps deletions and insertions."""
    forth, back = align(left, right), align(right, left)
    assert (forth.errors == 0) == (left == right)
    assert (forth.substitutions, forth.deletions) == (back.substitutions, back.insertions)


@given(tokens, tokens, tokens)
def test_triangle(first: list[str], second: list[str], third: list[str]) -> None:
    """A detour through another sequence is never shorter."""
    assert align(first, third).errors <= align(first, second).errors + align(second, third).errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello,  World!\n", "hello world"),
        ("well-known", "well known"),
        ("O\u2019Clock don\u02bct", "o'clock don't"),
        ("'tis the dogs' bone", "tis the dogs bone"),
        ("\u201cquoted\u201d", "quoted"),
        ("rock 'n' roll", "rock n roll"),
        ("--- ' 123", ""),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    """Letters and inner apostrophes stay, everything else separates words."""
    assert normalise(text) == expected


@given(st.text())
def test_normalise_twice_changes_nothing(text: str) -> None:
    """Normalised text is its own normal form."""
    assert normalise(normalise(text)) == normalise(text)


def test_word_and_character_errors_of_a_sentence() -> None:
    """One wrong word of four; one wrong and two extra characters beside sixteen, spaces included."""
    assert word_errors("Play the new song.", "play the new sung") == ErrorCounts(1, 0, 0, 4)
    assert char_errors("Play the newsong", "play that new song") == ErrorCounts(1, 0, 2, 16)


def test_rate_of_a_set_weighs_by_length() -> None:
    """Counts are added before they are divided: 1 of 2 and 0 of 8 make 0.1."""
    total = sum([ErrorCounts(1, 0, 0, 2), ErrorCounts(0, 0, 0, 8)], ErrorCounts())
    assert total == ErrorCounts(1, 0, 0, 10)
    assert total.rate == 0.1


def test_rate_of_an_empty_reference() -> None:
    """Nothing said and nothing heard is no error; anything heard is infinitely many."""
    assert word_errors("", "").rate == 0.0
    assert math.isinf(word_errors("", "thank you").rate)
