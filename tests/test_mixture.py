"""``asr.mixture``: two models over made log-probabilities; each frame says which phone it is."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from asr import catalog
from asr.catalog import Catalog
from asr.catalog_build import Carrier, Item, build
from asr.decode import BeamDecoder, DecoderOptions, LogProbs
from asr.errors import OptionError
from asr.hotwords import Hotwords
from asr.lexicon import Pronunciation
from asr.mixture import MixtureDecoder, catalog_decoder, with_catalog
from asr.ngram import estimate

pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")

_TOKENS = tuple("_ W AH N T UW K AE B".split())  # noqa: SIM905 - as it reads
_COLUMN = {token: at for at, token in enumerate(_TOKENS)}
_SOUNDS = {
    "one": "W AH N",
    "won": "W AH N",
    "two": "T UW",
    "cat": "K AE T",
    "cab": "K AE B",
    "a": "AH",
}
_OPTIONS = DecoderOptions(lm_weight=1.0, min_posterior=0.0)


def _log_probs(frames: str, posterior: float = 0.9) -> LogProbs:
    """One row a frame, ``_`` for blank; the other tokens share the rest."""
    columns = [_COLUMN[frame] for frame in frames.split()]
    probs = np.full((len(columns), len(_TOKENS)), (1 - posterior) / (len(_TOKENS) - 1), np.float32)
    probs[np.arange(len(columns)), columns] = posterior
    return np.log(probs)


def _general(folder: Path, lines: list[str], hotwords: Hotwords | None = None) -> BeamDecoder:
    path = folder / "lm.arpa"
    with path.open("w", encoding="utf-8") as file:
        estimate(lines, tuple(_SOUNDS)).write_arpa(file)
    lexicon = [
        Pronunciation(word, tuple(_COLUMN[phone] for phone in said.split())) for word, said in _SOUNDS.items()
    ]
    return BeamDecoder(lexicon, len(_TOKENS), path, _OPTIONS, hotwords)


def _catalogue(folder: Path, title: str, weight: float = 0.5) -> Catalog:
    sounds = {**_SOUNDS, "tuna": "T UW N AH"}
    contents = build(
        [Item("1", (title,))],
        [Carrier("{title}")],
        _TOKENS,
        lambda word: [tuple(sounds[word].split())],
        weight,
    )
    return catalog.write(folder / "catalogue", contents)


def _mixed(folder: Path, title: str, weight: float = 0.5) -> MixtureDecoder:
    return with_catalog(
        _general(folder, ["one cat", "a cat", "two"] * 9),
        _OPTIONS,
        _catalogue(folder, title, weight),
        _TOKENS,
    )


def test_probability_is_the_mixture_of_both(tmp_path: Path) -> None:
    """P = (1 - w) P_general + w P_catalogue for the whole sentence, and (1 - w) P_general where one is unknown."""
    general, catalogue = _general(tmp_path, ["one cat", "a cat"] * 9), _catalogue(tmp_path, "won cab", 0.25)
    special = catalog_decoder(catalogue, _OPTIONS, _TOKENS)
    mixed = MixtureDecoder(general, special, 0.25, _OPTIONS)
    both, alone = ["won", "cab"], ["one", "cat"]
    expected = 0.75 * math.exp(general.log_probability(both)) + 0.25 * math.exp(special.log_probability(both))
    assert math.exp(mixed.log_probability(both)) == pytest.approx(expected)
    assert math.exp(special.log_probability(both)) == pytest.approx(1.0, abs=0.05)
    assert special.log_probability(alone) == -math.inf
    assert math.exp(mixed.log_probability(alone)) == pytest.approx(
        0.75 * math.exp(general.log_probability(alone))
    )


def test_sentence_probability_is_that_of_the_search(tmp_path: Path) -> None:
    """A clear sentence's score less its language model is the sound alone: the same for homophones."""
    general = _general(tmp_path, ["one", "won", "one"] * 9)
    sounds = [
        hypothesis.score - general.log_probability([word.text for word in hypothesis.words])
        for hypothesis in general.decode(_log_probs("_ W AH N _"))
        if hypothesis.text in ("one", "won")
    ]
    assert len(sounds) == 2
    assert sounds[0] == pytest.approx(sounds[1], abs=1e-3)


def test_a_catalogue_turns_a_homophone_and_a_doubtful_sound(tmp_path: Path) -> None:
    """What the general model spells or hears otherwise is what can be searched for."""
    frames = _log_probs("_ W AH N _ K AE T _", 0.7)
    assert _general(tmp_path, ["one cat", "a cat", "two"] * 9).decode(frames)[0].text == "one cat"
    assert _mixed(tmp_path, "won cat").decode(frames)[0].text == "won cat"
    frames[7] = np.log(np.where(np.arange(len(_TOKENS)) == _COLUMN["B"], 0.4, 0.075))
    assert _mixed(tmp_path, "one cab").decode(frames)[0].text == "one cab"


def test_what_is_in_no_catalogue_is_still_transcribed(tmp_path: Path) -> None:
    """A clear sentence of the general language stays, however probable the catalogue."""
    assert _mixed(tmp_path, "won cab", 0.99).decode(_log_probs("_ T UW _"))[0].text == "two"


def test_words_outside_the_general_lexicon_are_heard(tmp_path: Path) -> None:
    """The catalogue brings its own words, with their times and confidence."""
    best = _mixed(tmp_path, "tuna").decode(_log_probs("_ T UW N N AH _"))[0]
    assert [(word.text, word.start_frame, word.end_frame) for word in best.words] == [("tuna", 1, 6)]
    assert best.words[0].confidence == pytest.approx(0.9, abs=1e-3)


def test_readings_come_once_and_best_first(tmp_path: Path) -> None:
    """Found by both searches or by one: no text twice, scores fall, shares add up to one."""
    found = _mixed(tmp_path, "one cat").decode(_log_probs("_ W AH N _ K AE T _", 0.7))
    texts = [hypothesis.text for hypothesis in found]
    scores = [hypothesis.score for hypothesis in found]
    assert texts[0] == "one cat"
    assert len(set(texts)) == len(texts) > 1
    assert scores == sorted(scores, reverse=True)
    assert math.fsum(hypothesis.posterior for hypothesis in found) == pytest.approx(1.0)


@pytest.mark.parametrize("frames", [0, 5])
def test_silence_asks_for_nothing(frames: int, tmp_path: Path) -> None:
    """No frames, or blank ones, give no reading: a catalogue hears nothing that is not there."""
    log_probs = _log_probs("_ " * frames).reshape(frames, len(_TOKENS))
    assert _mixed(tmp_path, "won cat", 0.99).decode(log_probs) == []


@pytest.mark.parametrize("weight", [0.0, 1.0, math.nan])
def test_a_weight_that_leaves_one_model_out_is_refused(weight: float, tmp_path: Path) -> None:
    """The error names the value."""
    with pytest.raises(OptionError, match=f"weight is {weight}"):
        _catalogue(tmp_path, "won", weight)


def test_hotwords_count_beside_a_catalogue(tmp_path: Path) -> None:
    """With a catalogue as well, a hotword wins where the sound is in doubt, and what the catalogue holds still does."""
    lines = ["one cat", "a cat", "two"] * 9
    catalogue = _catalogue(tmp_path, "won")
    plain = _general(tmp_path, lines)
    boosted = _general(tmp_path, lines, Hotwords(("cab",), -0.1))
    frames = _log_probs("_ W AH N _ K AE T _", 0.7)
    frames[7] = np.log(np.where(np.arange(len(_TOKENS)) == _COLUMN["B"], 0.9, 0.0125))
    texts = [
        with_catalog(general, _OPTIONS, catalogue, _TOKENS).decode(frames)[0].text
        for general in (plain, boosted)
    ]
    assert texts == ["one cat", "one cab"]
    both = with_catalog(boosted, _OPTIONS, catalogue, _TOKENS)
    assert both.decode(_log_probs("_ W AH N _", 0.7))[0].text == "won"


def test_of_two_finds_of_one_reading_the_better_counts(tmp_path: Path) -> None:
    """What both searches find keeps what hotwords earn, which the catalogue's search does not know of."""
    catalogue = _catalogue(tmp_path, "one cab")
    frames = _log_probs("_ W AH N _ K AE B _", 0.7)
    plain, boosted = (
        with_catalog(
            _general(tmp_path, ["one cat", "a cat", "two"] * 9, words), _OPTIONS, catalogue, _TOKENS
        ).decode(frames)[0]
        for words in (None, Hotwords(("one cab",), -0.2))
    )
    assert plain.text == boosted.text == "one cab"
    assert boosted.score > plain.score + 0.5
