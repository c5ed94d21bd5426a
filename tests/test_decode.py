"""Words from log-probabilities that are made, not measured: each frame says which phone it is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from asr.decode import BeamDecoder, DecoderOptions, LogProbs, greedy
from asr.errors import BundleError, OptionError
from asr.lexicon import Pronunciation, read_lexicon
from asr.ngram import estimate
from asr.train.lexicon import TOKENS

_COLUMN = {token: at for at, token in enumerate(TOKENS)}
_SOUNDS = {
    "one": "W AH N",
    "won": "W AH N",
    "two": "T UW",
    "to": "T UW",
    "cat": "K AE T",
    "a": "AH",
    "tea": "T IY",
}
_LEXICON = [Pronunciation(word, tuple(_COLUMN[p] for p in said.split())) for word, said in _SOUNDS.items()]


def _log_probs(frames: str, posterior: float = 0.9) -> LogProbs:
    """One row a frame: ``frames`` names the phone of each, ``_`` for blank; the others share the rest."""
    columns = [_COLUMN.get(frame, 0) for frame in frames.split()]
    probs = np.full((len(columns), len(TOKENS)), (1 - posterior) / (len(TOKENS) - 1), np.float32)
    probs[np.arange(len(columns)), columns] = posterior
    return np.log(probs)


def _decoder(lm: Path | None = None, **options: float) -> BeamDecoder:
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    return BeamDecoder(_LEXICON, len(TOKENS), lm, DecoderOptions(**options))  # type: ignore[arg-type] # by name


def _language_model(folder: Path, lines: list[str]) -> Path:
    path = folder / "lm.arpa"
    with path.open("w", encoding="utf-8") as file:
        estimate(lines, tuple(_SOUNDS)).write_arpa(file)
    return path


def test_best_path_collapses_repeats_and_blanks() -> None:
    """Repeats are one phone, a blank between equal phones makes two, and the peak gives the posterior."""
    path = greedy(_log_probs("_ T T UW _ T _ T _"))
    assert [(TOKENS[p.token], p.start_frame, p.end_frame) for p in path] == [
        ("T", 1, 3), ("UW", 3, 4), ("T", 5, 6), ("T", 7, 8),
    ]  # fmt: skip
    assert [p.posterior for p in path] == pytest.approx([0.9] * 4)


@pytest.mark.parametrize("frames", [0, 5])
def test_no_words_without_phones(frames: int) -> None:
    """No frames, or only blank ones, give no hypothesis."""
    log_probs = _log_probs("_ " * frames).reshape(frames, len(TOKENS))
    assert greedy(log_probs) == ()
    assert _decoder().decode(log_probs) == []


def test_words_have_the_frames_of_their_phones() -> None:
    """A word begins with its first phone and ends after its last, also where that one lasts."""
    best = _decoder().decode(_log_probs("_ _ K _ AE AE T T T _ AH _ T _ UW UW UW _"))[0]
    assert [(w.text, w.start_frame, w.end_frame) for w in best.words] == [
        ("cat", 2, 9), ("a", 10, 11), ("two", 12, 17),
    ]  # fmt: skip
    assert [w.confidence for w in best.words] == pytest.approx([0.9] * 3, abs=1e-3)


def test_confidence_falls_where_a_phone_is_doubtful() -> None:
    """The word with the doubtful phone has the geometric mean of its peaks; its neighbour keeps its own."""
    log_probs = _log_probs("K AE T _ AH _")
    log_probs[1] = _log_probs("AE", posterior=0.3)[0]
    cat, a = _decoder().decode(log_probs)[0].words
    assert cat.confidence == pytest.approx((0.9 * 0.3 * 0.9) ** (1 / 3), abs=1e-3)
    assert a.confidence == pytest.approx(0.9, abs=1e-3)


def test_language_model_chooses_among_homophones(tmp_path: Path) -> None:
    """One sound, two spellings: the words around decide."""
    lm = _language_model(tmp_path, ["a cat won", "one cat", "one two"] * 5)
    decoder = _decoder(lm, lm_weight=1.0)
    assert decoder.decode(_log_probs("AH _ K AE T _ W AH N _"))[0].text == "a cat won"
    assert decoder.decode(_log_probs("W AH N _ K AE T _"))[0].text == "one cat"


def test_a_sure_blank_between_equal_phones_is_kept() -> None:
    """Rows of sure blank are not searched, but "cat two" has its T twice, and "catu" would be no word."""
    best = _decoder().decode(_log_probs("K _ AE _ T _ _ T _ UW _", posterior=0.99))[0]
    assert [(w.text, w.start_frame, w.end_frame) for w in best.words] == [("cat", 0, 5), ("two", 7, 10)]


def test_improbable_tokens_are_not_searched() -> None:
    """A phone under the floor ends no word; just above it, it does."""
    log_probs = _log_probs("T IY")
    log_probs[1] = np.log(np.where(np.arange(len(TOKENS)) == _COLUMN["S"], 0.8, 1e-5))
    log_probs[1, _COLUMN["UW"]] = math.log(0.004)
    assert _decoder(min_posterior=0.005).decode(log_probs) == []
    assert _decoder(min_posterior=0.003).decode(log_probs)[0].text == "two"


def test_a_penalty_on_blanks_brings_out_what_was_hardly_heard() -> None:
    """A word under blanks of 0.6 is lost; with 3 taken off the blanks it is found, and sure blanks stay silent."""
    log_probs = _log_probs("_ _ _ _", posterior=0.6)
    log_probs[1, _COLUMN["T"]] = log_probs[2, _COLUMN["UW"]] = math.log(0.2)
    assert _decoder().decode(log_probs) == []
    assert _decoder(blank_penalty=3.0).decode(log_probs)[0].text == "two"
    log_probs[:, 0] = math.log(0.99)
    assert _decoder(blank_penalty=3.0).decode(log_probs) == []


def test_of_equal_homophones_the_commoner_comes_first() -> None:
    """Without a language model one sound may be two words: the one earlier in the lexicon is taken."""
    assert [_decoder().decode(_log_probs("T UW _"))[0].text for _ in range(20)] == ["two"] * 20


def test_n_best_are_different_readings_with_shares(tmp_path: Path) -> None:
    """No reading comes twice, the best comes first, and the shares add up to one."""
    found = _decoder(_language_model(tmp_path, ["one two"]), n_best=4).decode(
        _log_probs("W AH N _ T UW _", 0.8)
    )
    assert found[0].text == "one two"
    assert len({h.text for h in found}) == len(found) == 4
    assert found[0].posterior == max(h.posterior for h in found)
    assert math.fsum(h.posterior for h in found) == pytest.approx(1.0)


def test_lexicon_is_read_in_order(tmp_path: Path) -> None:
    """Each line is one pronunciation; a token that the model has not is an error that names the line."""
    path = tmp_path / "lexicon.txt"
    path.write_text("a AH\na EY\n", encoding="utf-8")
    assert [e.tokens for e in read_lexicon(path, TOKENS)] == [(_COLUMN["AH"],), (_COLUMN["EY"],)]
    path.write_text("a AX\n", encoding="utf-8")
    with pytest.raises(BundleError, match="a AX"):
        read_lexicon(path, TOKENS)


@pytest.mark.parametrize(
    "option", [{"beam_size": 0}, {"min_posterior": 1.0}, {"lm_weight": math.nan}, {"beam_threshold": -1.0}]
)
def test_options_out_of_range_are_refused(option: dict[str, float]) -> None:
    """The error names the option and the value."""
    with pytest.raises(OptionError, match=next(iter(option))):
        DecoderOptions(**option)  # type: ignore[arg-type] # the wrong values are the point
