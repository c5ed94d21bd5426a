"""Grapheme to phone: a model trained on a few words here reads what it has learnt, and anything else."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import BundleError, OptionError
from asr.g2p import ALPHABET, LETTER_NAMES, GraphemeToPhone, Graphone
from asr.train.g2p import entries, evaluate, hold_out, names_among, read_words, train
from asr.train.graphone_ngram import Options, estimate, prune
from asr.train.graphones import align
from asr.train.lexicon import TOKENS

_ONSETS = {"b": "B", "d": "D", "k": "K", "m": "M", "p": "P", "sh": "SH", "t": "T", "f": "F"}
_CODAS = {"ck": "K", "n": "N", "t": "T", "ss": "S", "x": "K S", "g": "G", "sh": "SH"}
_NUCLEI = {"a": "AE", "i": "IH", "o": "AA", "ee": "IY"}
# What English writes so regularly that any cut but the right one is unlikely: "shock", "been", "fax". The
# vowel of "bog" is said in two ways.
DICTIONARY = {
    onset + nucleus + coda: tuple(
        tuple(f"{first} {vowel} {last}".split())
        for vowel in ((middle, "AO") if nucleus + coda == "og" else (middle,))
    )
    for onset, first in _ONSETS.items()
    for nucleus, middle in _NUCLEI.items()
    for coda, last in _CODAS.items()
    if (onset + nucleus + coda) != "shock"
}
EVERYTHING = Options(order=4, threshold=0.0, step=0.1)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    written = tmp_path_factory.mktemp("g2p") / "g2p.xz"
    train(DICTIONARY, written, EVERYTHING)
    return written


@pytest.fixture(scope="module")
def model(path: Path) -> GraphemeToPhone:
    return GraphemeToPhone.load(path)


def test_alignment_finds_which_letters_speak_which_phones() -> None:
    """Two letters that speak one phone, and one that speaks two, come out as one graphone each."""
    cuts = align(entries(DICTIONARY))
    spelled = {"".join(graphone.letters for graphone in cut): cut for cut in cuts}
    assert spelled["shax"] == (Graphone("sh", ("SH",)), Graphone("a", ("AE",)), Graphone("x", ("K", "S")))
    assert spelled["peeck"][1:] == (Graphone("ee", ("IY",)), Graphone("ck", ("K",)))


def test_every_cut_spells_its_word_and_speaks_its_phones() -> None:
    """Nothing is lost: letters and phones of a cut, end to end, are an entry of the dictionary."""
    cuts = align(entries(DICTIONARY))
    rebuilt = {
        ("".join(g.letters for g in cut), tuple(phone for g in cut for phone in g.phones)) for cut in cuts
    }
    assert rebuilt == set(entries(DICTIONARY))


def test_words_that_no_cut_fits_are_left_out() -> None:
    """A letter with seven phones, and a graphone seen once, teach nothing."""
    odd = {"wb": (LETTER_NAMES["w"] + LETTER_NAMES["b"],), "zat": (("AA", "AE", "T"),)}
    kept = {"".join(graphone.letters for graphone in cut) for cut in align(entries(DICTIONARY | odd))}
    assert kept == DICTIONARY.keys()


def test_a_word_never_seen_is_read_by_its_letters(model: GraphemeToPhone) -> None:
    """ "shock" was left out of the training, and comes out as English has it."""
    assert model.pronounce("shock", 1) == [("SH", "AA", "K")]


def test_what_was_learnt_comes_back(model: GraphemeToPhone) -> None:
    """The words of a regular language are all read right, by the first reading."""
    accuracy = evaluate(model, DICTIONARY, DICTIONARY)
    assert (accuracy.words, accuracy.wrong, accuracy.phones.errors) == (len(DICTIONARY), 0, 0)
    assert str(accuracy).startswith("223 words: phone error rate 0.00 %, word error rate 0.0 %")


def test_errors_are_counted_against_the_nearest_variant(model: GraphemeToPhone) -> None:
    """Any variant is right; a word that is wrong counts the phones to the nearest one."""
    dictionary = {"bat": (("B", "EY", "T"), ("B", "AE", "T")), "dat": (("D", "EY", "T"), ("EH",))}
    accuracy = evaluate(model, dictionary, dictionary)
    assert (accuracy.words, accuracy.wrong, accuracy.wrong_n_best) == (2, 1, 1)
    assert (accuracy.phones.errors, accuracy.phones.reference_length) == (1, 6)


def test_readings_are_different_and_best_first(model: GraphemeToPhone) -> None:
    """Both vowels of "og" are offered; of a longer list the shorter one is the beginning."""
    readings = model.pronounce("fissog", 3)
    assert set(readings) == {("F", "IH", "S", "AA", "G"), ("F", "IH", "S", "AO", "G")}
    assert model.pronounce("fissog", 1) == readings[:1]


@pytest.mark.parametrize(("letter", "name"), [("a", "EY"), ("w", "D AH B AH L Y UW"), ("z", "Z IY")])
def test_a_letter_has_its_name(model: GraphemeToPhone, letter: str, name: str) -> None:
    """A single letter is spelled, "a" too."""
    assert model.pronounce(letter) == [tuple(name.split())]


@pytest.mark.parametrize(
    ("word", "ending"),
    [("shock's", "S"), ("bag's", "Z"), ("fax's", "IH Z"), ("bash's", "IH Z"), ("b's", "Z")],
)
def test_possessives_end_as_english_has_it(model: GraphemeToPhone, word: str, ending: str) -> None:
    """The base as it is, then S, Z or IH Z after its last phone."""
    base = model.pronounce(word.removesuffix("'s"), 1)[0]
    assert model.pronounce(word, 1) == [base + tuple(ending.split())]


def test_outer_apostrophes_are_silent(model: GraphemeToPhone) -> None:
    """'bout and boys' are said as without the mark."""
    assert model.pronounce("'shock'") == model.pronounce("shock")


def test_initialisms_are_spelled_first(model: GraphemeToPhone) -> None:
    """A word without a vowel letter is spelled, though the model could read it as well."""
    assert model.pronounce("tm")[0] == ("T", "IY", "EH", "M")


def test_letters_the_dictionary_never_showed_are_spelled(model: GraphemeToPhone) -> None:
    """No cut reads "q" here; the word has a pronunciation all the same."""
    assert model.pronounce("qat") == [("K", "Y", "UW", "EY", "T", "IY")]


@given(st.text(ALPHABET, min_size=1, max_size=20).filter(lambda word: word.strip("'")), st.integers(1, 4))
def test_any_word_has_phones(model: GraphemeToPhone, word: str, n_best: int) -> None:
    """At least one and at most n_best different readings, of at least one phone that the model can hear."""
    readings = model.pronounce(word, n_best)
    assert 1 <= len(readings) <= n_best
    assert len(set(readings)) == len(readings)
    for phones in readings:
        assert phones
        assert set(phones) <= set(TOKENS[1:])


def test_letter_names_are_of_the_tokens() -> None:
    """Every letter has a name, of phones that the acoustic model can hear."""
    assert sorted(LETTER_NAMES) == list("abcdefghijklmnopqrstuvwxyz")
    assert {phone for name in LETTER_NAMES.values() for phone in name} <= set(TOKENS[1:])


@pytest.mark.parametrize("word", ["", "'", "café", "Shock", "x-ray", "two words", "42"])
def test_what_is_no_word_is_an_option_error(model: GraphemeToPhone, word: str) -> None:
    """The error names the word and what was expected."""
    with pytest.raises(OptionError, match=f"cannot pronounce {word!r}: expected letters a-z"):
        model.pronounce(word)


def test_no_readings_is_an_option_error(model: GraphemeToPhone) -> None:
    """At least one must be asked for."""
    with pytest.raises(OptionError, match="n_best is 0; at least 1"):
        model.pronounce("shock", 0)


def _repacked(path: Path, change: str) -> bytes:
    """The model file with one thing wrong in it."""
    header, _, arrays = lzma.decompress(path.read_bytes()).partition(b"\n")
    values = json.loads(header)
    if change == "format":
        values["format"] += 1
    elif change == "cut short":
        arrays = arrays[:-1]
    elif change == "too long":
        arrays += b"\0"
    elif change == "nodes":
        values["nodes"][1] += 1
    elif change == "graphones":
        values["graphones"].pop()
    elif change == "no nodes":
        values["nodes"] = []
    elif change == "step":
        values["step"] = 0
    elif change == "negative":
        values["nodes"][0] = -1
    elif change == "suffix":  # the first bigram's rank, after unigrams' costs, children and back-offs
        size = values["nodes"][0]
        children = [
            high * 256 + low
            for high, low in zip(arrays[size : 2 * size], arrays[2 * size : 3 * size], strict=True)
        ]
        place = 3 * size + sum(count > 0 for count in children)
        arrays = arrays[:place] + b"\xff" + arrays[place + 1 :]
    return lzma.compress(json.dumps(values).encode() + b"\n" + arrays)


@pytest.mark.parametrize(
    "change",
    ["format", "cut short", "too long", "nodes", "graphones", "no nodes", "step", "negative", "suffix"],
)
def test_a_file_that_contradicts_itself_is_a_bundle_error(path: Path, change: str, tmp_path: Path) -> None:
    """Whatever is wrong, the error is typed and names the file."""
    damaged = tmp_path / "g2p.xz"
    damaged.write_bytes(_repacked(path, change))
    with pytest.raises(BundleError, match=r"g2p\.xz"):
        GraphemeToPhone.load(damaged)


@pytest.mark.parametrize("content", [b"", b"not xz", lzma.compress(b"[1]\n"), lzma.compress(b"{}\n")])
def test_a_file_of_another_kind_is_a_bundle_error(content: bytes, tmp_path: Path) -> None:
    """Not packed, or packed and something else."""
    (tmp_path / "g2p.xz").write_bytes(content)
    with pytest.raises(BundleError, match=r"g2p\.xz is no grapheme-to-phone model"):
        GraphemeToPhone.load(tmp_path / "g2p.xz")


def test_probabilities_equal_the_formula_worked_by_hand() -> None:
    """On two words, ab and a, the probabilities are those that Chen & Goodman's formula gives on paper."""
    # Bigrams: <s> a 2, a b 1, b </s> 1, a </s> 1. Different ones before: a 1, b 1, </s> 2. Too few for
    # counts of counts, so the discounts are .5, 1, 1.5. Uniform over <s> </s> a b.
    a, b = Graphone("a", ("AE",)), Graphone("b", ("B",))
    unigrams, bigrams = estimate([(a, b), (a,)], [a, b], order=2)
    left = (0.5 + 0.5 + 1.0) / 4
    one, two = (1 - 0.5) / 4 + left / 4, (2 - 1.0) / 4 + left / 4
    assert unigrams.probability.tolist() == pytest.approx([left / 4, two, one, one])
    assert list(zip(bigrams.history.tolist(), bigrams.last.tolist(), strict=True)) == [
        (0, 2),  # <s> a
        (2, 1),  # a </s>
        (2, 3),  # a b
        (3, 1),  # b </s>
    ]
    worked = [
        (2 - 1.0) / 2 + 1.0 / 2 * one,
        (1 - 0.5) / 2 + (0.5 + 0.5) / 2 * two,
        (1 - 0.5) / 2 + (0.5 + 0.5) / 2 * one,
        (1 - 0.5) / 1 + 0.5 / 1 * two,
    ]
    assert bigrams.probability.tolist() == pytest.approx(worked)


def test_what_may_follow_a_history_has_probability_one() -> None:
    """Children of a node and, through its back-off weight, all others, before and after pruning."""
    cuts = align(entries(DICTIONARY))
    levels = estimate(cuts, sorted({graphone for cut in cuts for graphone in cut}, key=str), order=3)
    for threshold in (0.0, 1e-3):
        unigrams, *longer = prune(levels, threshold)
        assert unigrams.probability.sum() == pytest.approx(1.0)
        total = np.bincount(longer[0].history, longer[0].probability, len(unigrams.last))
        lower = np.bincount(longer[0].history, unigrams.probability[longer[0].suffix], len(unigrams.last))
        assert total + unigrams.backoff * (1 - lower) == pytest.approx(np.ones(len(unigrams.last)))


def test_pruning_makes_the_file_smaller_and_keeps_the_commonest(path: Path, tmp_path: Path) -> None:
    """A pruned model is smaller and still reads a regular word."""
    pruned = train(DICTIONARY, tmp_path / "g2p.xz", Options(order=4, threshold=1e-3, step=0.1))
    assert (tmp_path / "g2p.xz").stat().st_size < path.stat().st_size
    assert pruned.pronounce("shock", 1) == [("SH", "AA", "K")]


def test_training_repeats_itself(path: Path, tmp_path: Path) -> None:
    """The same dictionary gives the same bytes, so a bundle's digest can be reproduced."""
    train(DICTIONARY, tmp_path / "g2p.xz", EVERYTHING)
    assert (tmp_path / "g2p.xz").read_bytes() == path.read_bytes()


def test_what_is_held_out_is_a_share_of_what_is_learnt() -> None:
    """Words with all their variants, never letters or possessives; the seed chooses them."""
    dictionary = DICTIONARY | {"a": (("AH",),), "bat's": (("B", "AE", "T", "S"),)}
    held_out = hold_out(dictionary, 0.1, seed=3)
    assert len(held_out) == len(set(held_out)) == 22
    assert set(held_out) <= DICTIONARY.keys()
    assert held_out == hold_out(dictionary, 0.1, seed=3) != hold_out(dictionary, 0.1, seed=4)


def test_names_are_what_no_text_uses_in_any_form(tmp_path: Path) -> None:
    """Inflections and compounds of the texts' words are none, a word never written is one."""
    with lzma.open(tmp_path / "some.txt.xz", "wt") as lines:
        lines.write("the baker ran and studied\nhe will hope\n")
    text = read_words(tmp_path)
    assert text == {"the", "baker", "ran", "and", "studied", "he", "will", "hope"}
    words = ["baker", "bakers", "hoping", "hoped", "unwilling", "willed", "nakamura"]
    assert names_among(words, text) == ["nakamura"]
