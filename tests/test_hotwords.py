"""Phrases that a caller expects: read, checked, favoured where the sound allows them, and never forced."""

from __future__ import annotations

import math
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.commands.pipeline_options import add_hotwords_argument
from asr.decode import BeamDecoder, DecoderOptions, LogProbs
from asr.errors import OptionError
from asr.hotwords import MAX_PHRASES, BoostedPaths, Hotwords
from asr.lexicon import Pronunciation
from asr.ngram import estimate

TOKENS = ("<blank>", "AA", "B", "K", "L", "S", "T")
COLUMN = {token: at for at, token in enumerate(TOKENS)}
SOUNDS = {"call": "K AA L", "cot": "K AA T", "bob": "B AA B", "salt": "S AA L T", "bob's": "B AA B S"}
LEXICON = [Pronunciation(word, tuple(COLUMN[t] for t in said.split())) for word, said in SOUNDS.items()]
# Words too long for anything said here: without a language model, a word's probability is one in all words.
LEXICON += [Pronunciation(f"long{at}", (1, 2, 3) * 10 + (4,) * at) for at in range(1000 - len(LEXICON))]


def frames(*rows: dict[str, float]) -> LogProbs:
    """Log-probabilities: what each frame gives to some tokens; the others share the rest."""
    probs = np.zeros((len(rows), len(TOKENS)))
    for at, row in enumerate(rows):
        probs[at] = (1 - sum(row.values())) / (len(TOKENS) - len(row))
        for token, posterior in row.items():
            probs[at, COLUMN[token]] = posterior
    return np.log(probs).astype(np.float32)


# "call" or "cot", at three to one.
DOUBTFUL = frames({"K": 0.9}, {"AA": 0.9}, {"L": 0.6, "T": 0.2}, {"<blank>": 0.9})
BOB = frames({"B": 0.9}, {"AA": 0.9}, {"B": 0.9}, {"<blank>": 0.99})
AGAIN = np.concatenate([DOUBTFUL, BOB])


def favour(phrase: str, bonus: float) -> Hotwords:
    """Each word of the phrase gains the bonus, at a weight of 1 and without a language model."""
    return Hotwords((phrase,), bonus - math.log(1000))


def decoder(hotwords: Hotwords | None = None, lm: Path | None = None, **options: float) -> BeamDecoder:
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    options.setdefault("lm_weight", 1.0)
    return BeamDecoder(LEXICON, len(TOKENS), lm, DecoderOptions(**options), hotwords)  # type: ignore[arg-type]


def scores(found: BeamDecoder, log_probs: LogProbs) -> dict[str, float]:
    return {hypothesis.text: hypothesis.score for hypothesis in found.decode(log_probs)}


def test_phrases_are_normalised_once() -> None:
    """Case, punctuation and repeats do not matter; hyphens separate words, apostrophes do not."""
    assert Hotwords(("Well-Known!", "well known", "Bob\u2019s")).phrases == ("well known", "bob's")
    assert Hotwords(("call bob", "bob")).words == ("call", "bob")


def test_equal_lists_are_one() -> None:
    """However they were written: decoders are kept by list."""
    assert hash(Hotwords(("Call Bob",))) == hash(Hotwords.parse(" call bob ,"))
    assert Hotwords(("Call Bob",)) == Hotwords.parse(" call bob ,")


def test_phrases_are_parsed_and_read_from_a_file(tmp_path: Path) -> None:
    """Commas and line ends separate them; @FILE names a file."""
    path = tmp_path / "names.txt"
    path.write_text("call bob\n\nsalt, cot\r\n", encoding="utf-8")
    assert Hotwords.parse(f"@{path}").phrases == ("call bob", "salt", "cot")
    assert Hotwords.parse("call bob, salt").phrases == ("call bob", "salt")


@pytest.mark.parametrize(
    ("text", "named"), [("", "''"), (" , ", "' , '"), ("@no/such/file", "no/such/file"), ("bob, 42", "'42'")]
)
def test_what_holds_no_phrase_is_refused(text: str, named: str) -> None:
    """The error shows what was given."""
    with pytest.raises(OptionError, match=named):
        Hotwords.parse(text)


def test_limits_are_named() -> None:
    """Too many phrases, too long a phrase, and a prior out of range: the error has the value and the limit."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    many = tuple(f"{a}{b}" for a in letters for b in letters)[: MAX_PHRASES + 1]
    assert len(Hotwords(many[:-1]).phrases) == MAX_PHRASES
    with pytest.raises(OptionError, match=f"{MAX_PHRASES + 1} hotword phrases; at most {MAX_PHRASES}"):
        Hotwords(many)
    with pytest.raises(OptionError, match="11 words; at most 10"):
        Hotwords((" ".join(["bob"] * 11),))
    for log_prior in (-31.0, 0.1, math.nan):
        with pytest.raises(OptionError, match=f"log_prior is {log_prior}; expected -30 to 0"):
            Hotwords(("bob",), log_prior)


def test_a_hotword_wins_where_the_sound_is_in_doubt() -> None:
    """Three to one for "call" without, "cot" with a bonus of ln 9, and the doubtful word's phones stay its own."""
    assert decoder().decode(DOUBTFUL)[0].text == "call"
    best = decoder(favour("cot", math.log(9))).decode(DOUBTFUL)[0]
    assert best.text == "cot"
    assert [(w.start_frame, w.end_frame) for w in best.words] == [(0, 3)]
    assert best.words[0].confidence == pytest.approx((0.9 * 0.9 * 0.2) ** (1 / 3), abs=1e-3)


def test_a_hotword_is_not_forced() -> None:
    """A bonus of ln 2 is less than three to one, and what sounds otherwise stays."""
    assert decoder(favour("cot", math.log(2))).decode(DOUBTFUL)[0].text == "call"
    assert decoder(favour("cot", math.log(9))).decode(BOB)[0].text == "bob"


def test_the_bonus_is_exact() -> None:
    """A listed word's reading gains exactly the bonus for every time it is said; others gain nothing."""
    plain, biased = decoder(n_best=30), decoder(favour("cot", 1.5), n_best=60)
    twice = np.concatenate([DOUBTFUL, DOUBTFUL])
    before, after = scores(plain, twice), scores(biased, twice)
    assert {text: after[text] - before[text] for text in before} == pytest.approx(
        {text: 1.5 * text.split().count("cot") for text in before}, abs=1e-4
    )
    assert "cot cot" in before


def test_a_phrase_counts_as_a_whole() -> None:
    """Both words of "cot bob" gain in that order; neither gains alone."""
    plain, biased = decoder(n_best=30), decoder(favour("cot bob", 1.5), n_best=60)
    before, after = scores(plain, AGAIN), scores(biased, AGAIN)
    assert after["cot bob"] - before["cot bob"] == pytest.approx(3.0, abs=1e-4)
    assert after["call bob"] - before["call bob"] == pytest.approx(0.0, abs=1e-4)
    assert scores(biased, DOUBTFUL)["cot"] == pytest.approx(scores(plain, DOUBTFUL)["cot"], abs=1e-4)


def test_a_hotword_survives_a_narrow_beam() -> None:
    """Part of its bonus is promised at each phone, so that it is still there where the word ends."""
    starting = frames(
        {"K": 0.5, "B": 0.2, "S": 0.03},
        {"AA": 0.9},
        {"L": 0.9},
        {"T": 0.5, "<blank>": 0.4},
        {"<blank>": 0.99},
    )
    assert "salt" not in scores(decoder(beam_size=4, beam_threshold=20), starting)
    assert (
        next(iter(scores(decoder(favour("salt", 6.0), beam_size=4, beam_threshold=20), starting))) == "salt"
    )
    assert "salt" in scores(decoder(beam_size=9, beam_threshold=20), starting)  # it was the beam that lost it


def test_a_hotword_that_nobody_can_say_is_refused() -> None:
    """The error names the word."""
    with pytest.raises(OptionError, match="'zebra'"):
        decoder(Hotwords(("call zebra",)))


@given(st.lists(st.integers(0, 3), max_size=12))
def test_a_path_is_corrected_for_what_it_was_given(labels: list[int]) -> None:
    """Whatever was said: less the bonus of every word that had one, plus those in phrases, found left to right."""
    bonus = {1: 4.0, 2: 1.9, 3: 0.1}  # rounded to quarters of 4 in the search: 4, 2 and none
    boosted = BoostedPaths([(1, 2), (3,)], bonus, [(LEXICON[at].tokens, at) for at in range(4)], 8)
    ends = {path.label: path.tokens for path in boosted.paths}
    path = [token for label in labels for token in ends.get(label, LEXICON[label].tokens)]
    text = "".join(map(str, labels))
    earned = 5.9 * text.count("12") + 0.1 * text.count("3")
    assert boosted.correction(labels, path) == pytest.approx(
        earned - 4 * labels.count(1) - 2 * labels.count(2)
    )
    assert boosted.plain(path) == [token for label in labels for token in LEXICON[label].tokens]


def test_the_longer_phrase_counts() -> None:
    """Where one phrase begins another, its words are not counted twice."""
    boosted = BoostedPaths([(0,), (0, 1)], {0: 1.0, 1: 1.0}, [], 8)
    assert boosted.correction([0, 1, 0], []) == 3.0


def test_a_likely_word_gains_nothing(tmp_path: Path) -> None:
    """Only what the language model takes to be rarer than the prior is favoured."""
    lm = tmp_path / "lm.arpa"
    with lm.open("w", encoding="utf-8") as file:
        lines = ["bob call", "salt call", "bob's call", "call call", "call", "cot"]
        estimate(lines * 5, tuple(SOUNDS)).write_arpa(file)
    plain = scores(decoder(None, lm, n_best=30), DOUBTFUL)
    biased = scores(decoder(Hotwords(("call", "cot"), -1.5), lm, n_best=60), DOUBTFUL)
    assert biased["call"] == pytest.approx(plain["call"], abs=1e-4)
    assert biased["cot"] > plain["cot"] + 0.5


def test_the_command_line_takes_phrases(capsys: pytest.CaptureFixture[str]) -> None:
    """As a value object, or as bad usage with what is wrong."""
    parser = ArgumentParser()
    add_hotwords_argument(parser)
    assert parser.parse_args(["--hotwords", "Call Bob, salt"]).hotwords == Hotwords(("call bob", "salt"))
    assert parser.parse_args([]).hotwords is None
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--hotwords", "42"])
    assert "hotword phrase '42' has no word" in capsys.readouterr().err
