"""How alike texts sound: the distance that search and the redo rule use, and its coarse key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr import bundle
from asr.phonetic import (
    PHONES,
    Pronounce,
    as_letters,
    distances,
    phone_distance,
    phones_of,
    phonetic_distance,
    skeleton,
)
from asr.pronounce import pronouncer

REDO = 0.4  # conventions.md, "Redo"
texts = st.lists(st.sampled_from(PHONES), min_size=1, max_size=12).map(tuple)


@pytest.fixture(scope="module")
def pronounce() -> Pronounce:
    """As the shipped model says words."""
    if bundle.DEFAULT_MODEL not in bundle.available():
        pytest.skip("needs the shipped model")
    folder = bundle.find(bundle.DEFAULT_MODEL)
    return pronouncer(folder, bundle.read(folder))


def test_the_phones_are_the_models() -> None:
    """Every token of the shipped model but the blank can be compared."""
    tokens = (bundle.find(bundle.DEFAULT_MODEL) / "tokens.txt").read_text(encoding="utf-8").split()
    assert set(PHONES) == set(tokens[1:])
    assert len(PHONES) == 39


@given(texts)
def test_a_text_sounds_like_itself(phones: tuple[str, ...]) -> None:
    """Its distance from itself is nothing, and it fits into itself."""
    assert distances([phones], [phones]).tolist() == [[0.0, 0.0]]


@given(texts, texts)
def test_distance_is_symmetric_and_a_share(a: tuple[str, ...], b: tuple[str, ...]) -> None:
    """From 0 to 1, the same both ways, and 0 only for the same phones."""
    there, back = phone_distance(a, b), phone_distance(b, a)
    assert there == pytest.approx(back, abs=1e-6)
    assert 0.0 <= there <= 1.0
    assert (there == 0.0) == (a == b)


@given(texts, texts, texts)
def test_a_name_inside_a_query_fits(
    before: tuple[str, ...], name: tuple[str, ...], after: tuple[str, ...]
) -> None:
    """Whatever is said around it, the second distance is nothing."""
    assert distances([before + name + after], [name])[0, 1] == pytest.approx(0.0, abs=1e-6)


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=6))
def test_pairs_do_not_see_each_other(pairs: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> None:
    """A pair has the same distances alone and among others of other lengths."""
    together = distances([a for a, _ in pairs], [b for _, b in pairs])
    alone = [distances([a], [b])[0] for a, b in pairs]
    assert together.tolist() == pytest.approx([pytest.approx(each.tolist(), abs=1e-5) for each in alone])


def test_what_is_confused_costs_less() -> None:
    """Voice costs less than place and manner together, vowels are near vowels, a lost schwa is cheap."""
    b_for_p = phone_distance(("P", "AE", "T"), ("B", "AE", "T"))
    m_for_p = phone_distance(("P", "AE", "T"), ("M", "AE", "T"))
    k_for_ae = phone_distance(("P", "AE", "T"), ("P", "K", "T"))
    eh_for_ae = phone_distance(("P", "AE", "T"), ("P", "EH", "T"))
    assert 0 < b_for_p < m_for_p < k_for_ae
    assert 0 < eh_for_ae < m_for_p
    assert phone_distance(("AH", "B"), ("B",)) < phone_distance(("S", "B"), ("B",))


@pytest.mark.parametrize(
    ("said", "again"),
    [
        ("moby dick", "mobi dik"),
        ("jane eyre", "jane air"),
        ("war and piece", "war and peace"),
        ("call mum", "call mom"),
        ("moby dick", "toby dig"),
        ("weather in austin", "weather in boston"),
    ],
)
def test_repeats_are_within_the_redo_bound(said: str, again: str, pronounce: Pronounce) -> None:
    """What is said again, and misheard in another way, sounds alike."""
    assert phonetic_distance(said, again, pronounce) <= REDO


@pytest.mark.parametrize(
    ("said", "other"),
    [
        ("play some jazz", "what is the weather"),
        ("pride and prejudice", "crime and punishment"),
        ("find shoes", "the iliad"),
        ("moby dick", "the scarlet letter"),
        ("set a timer", "turn off the lights"),
    ],
)
def test_other_queries_are_beyond_the_redo_bound(said: str, other: str, pronounce: Pronounce) -> None:
    """A new query does not sound like the one before."""
    assert phonetic_distance(said, other, pronounce) > REDO


def test_texts_without_words(pronounce: Pronounce) -> None:
    """Nothing is like nothing, and unlike anything else."""
    assert phonetic_distance("", "", pronounce) == 0.0
    assert phonetic_distance("", "moby dick", pronounce) == 1.0
    assert distances([], []).shape == (0, 2)


def test_very_long_texts_are_cut(pronounce: Pronounce) -> None:
    """The time of a comparison is bounded, whatever somebody types."""
    assert len(phones_of("moby dick " * 1000, pronounce)) == 96


def test_the_skeleton() -> None:
    """Classes of consonants without vowels; voiced and voiceless are one, and no class comes twice in a row."""
    assert skeleton(("M", "OW", "B", "IY", "D", "IH", "K")) == "7134"
    assert skeleton(("P", "AE", "T")) == skeleton(("B", "EH", "D")) == "13"
    assert skeleton(("EH", "M", "AH")) == "7"
    assert skeleton(("AH",)) == ""


def test_letters_stand_for_phones() -> None:
    """One letter each, no two the same."""
    assert len(set(as_letters(PHONES))) == len(PHONES)
