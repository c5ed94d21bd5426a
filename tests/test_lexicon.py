"""Pronunciations: the dictionary, letters, possessives, and what happens to words nobody knows."""

from __future__ import annotations

import lzma
import shutil
from pathlib import Path

import pytest

from asr.errors import MissingPackageError
from asr.train.lexicon import PHONES, TOKENS, Pronouncer, read_cmudict

_CMUDICT = """A 1 AH0
A. 1 EY1
A 2 EY1
B 1 B IY1
B. 1 B IY1
CAT 1 K AE1 T
CHURCH 1 CH ER1 CH
DOG 1 D AO1 G
I 1 AY1
READ 1 R EH1 D
READ 2 R IY1 D
READ 3 R IY2 D
X-RAY 1 EH1 K S R EY2
"""


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    path = tmp_path / "cmudict.xz"
    path.write_bytes(lzma.compress(_CMUDICT.encode()))
    return path


def test_tokens_are_blank_and_the_phones_in_order() -> None:
    """The order is that of tokens.txt: blank first, 39 phones by alphabet."""
    assert ("<blank>", *sorted(PHONES)) == TOKENS
    assert len(TOKENS) == 40


def test_stress_and_duplicates_go(dictionary: Path) -> None:
    """Variants that differ by stress alone are one; hyphenated entries are left out."""
    words = read_cmudict(dictionary)
    assert words["read"] == (("R", "EH", "D"), ("R", "IY", "D"))
    assert words["a"] == (("AH",), ("EY",))
    assert "x-ray" not in words


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("a cat", "AH K AE T"),
        ("a", "EY"),
        ("b a b", "B IY EY B IY"),
        ("i read a", "AY R EH D AH"),
        ("CAT a b", "K AE T EY B IY"),
        ("", ""),
    ],
)
def test_letters_are_named_where_they_are_spelled(dictionary: Path, text: str, phones: str) -> None:
    """An article stays one; in a run of letters, or alone, "a" is called EY."""
    assert Pronouncer.from_cmudict(dictionary).phones(text) == tuple(phones.split())


@pytest.mark.parametrize(
    ("word", "ending"), [("cat's", "T S"), ("dog's", "G Z"), ("church's", "CH IH Z"), ("dog'", "AO G")]
)
def test_possessives_follow_the_rule(dictionary: Path, word: str, ending: str) -> None:
    """S after voiceless, IH Z after sibilants, Z otherwise, nothing for a bare apostrophe."""
    wanted = tuple(ending.split())
    assert Pronouncer.from_cmudict(dictionary).phones(word)[-len(wanted) :] == wanted


def test_digits_are_refused(dictionary: Path) -> None:
    """Text is normalised before it is pronounced; the error shows the word."""
    with pytest.raises(ValueError, match="cat5"):
        Pronouncer.from_cmudict(dictionary).phones("cat5")


def test_unknown_word_without_flite(dictionary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is guessed where nothing can pronounce: the error names word and tool."""
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingPackageError, match=r"zubrowka.*flite"):
        Pronouncer.from_cmudict(dictionary).phones("zubrowka")


def test_cache_answers_without_flite(dictionary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word once named is read from the cache."""
    monkeypatch.setenv("PATH", "")
    cache = dictionary.with_name("flite.cache")
    cache.write_text("zubrowka Z UW B R AO K AH\n", encoding="utf-8")
    assert Pronouncer.from_cmudict(dictionary, cache=cache).phones("zubrowka's")[-2:] == ("AH", "Z")


@pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite")
def test_flite_names_unknown_words_and_is_remembered(dictionary: Path) -> None:
    """flite's schwa is written AH, its pauses go, and the cache keeps the word."""
    cache = dictionary.with_name("flite.cache")
    phones = Pronouncer.from_cmudict(dictionary, cache=cache).phones("zoubrowka")
    assert phones == ("Z", "B", "R", "AW", "K", "AH")
    assert cache.read_text(encoding="utf-8") == "zoubrowka Z B R AW K AH\n"
