"""``asr.letters``: networks that spell, with a lexicon and without."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from asr.bundle import DecoderSettings
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.errors import BundleError, OptionError
from asr.hotwords import Hotwords
from asr.letters import SpelledPath, spellings
from asr.pronounce import pronouncer
from asr.reader import BundleReader, load_decoder
from asr.rows import LogProbs

TOKENS = ("<blank>", "|", "a", "b", "c", "'")
SURE = 0.9


def written(text: str) -> LogProbs:
    """Log-probabilities of a network that writes this, a frame a letter; ``-`` is the blank."""
    rows = np.full((len(text), len(TOKENS)), (1 - SURE) / (len(TOKENS) - 1), np.float32)
    for frame, letter in enumerate(text):
        rows[frame, 0 if letter == "-" else TOKENS.index(letter)] = SURE
    return np.log(rows)


def bundle(folder: Path, lexicon: str | None) -> Any:
    """As much of one as decoders look at."""
    (folder / "tokens.txt").write_text("\n".join(TOKENS))
    if lexicon is not None:
        (folder / "lexicon.txt").write_text(lexicon)
    settings = DecoderSettings(
        None if lexicon is None else "lexicon.txt", None, DecoderOptions(), Calibration(), separator="|"
    )
    info = SimpleNamespace(decoder=settings, identity="letters@0")
    return SimpleNamespace(folder=folder, info=info, tokens=TOKENS, precision="fp32")


def test_the_best_path_is_cut_at_separators() -> None:
    """Doubled letters need a blank between them; frames and posteriors are the letters'."""
    (reading,) = SpelledPath(TOKENS, "|").decode(written("-|aab-b|-||c'-"))
    assert [(w.text, w.start_frame, w.end_frame) for w in reading.words] == [("abb", 2, 7), ("c'", 11, 13)]
    assert [round(word.confidence, 3) for word in reading.words] == [SURE, SURE]


@pytest.mark.parametrize("text", ["", "---", "|", "-|-|"])
def test_nothing_spelled_is_no_reading(text: str) -> None:
    """Separators alone are no words."""
    assert SpelledPath(TOKENS, "|").decode(written(text)) == []


@pytest.mark.parametrize("separator", ["x", "<blank>"])
def test_a_separator_must_be_a_token(separator: str) -> None:
    """And not the blank."""
    with pytest.raises(BundleError, match=r"which tokens\.txt lacks"):
        SpelledPath(TOKENS, separator)


def test_words_are_spelled_or_not_at_all() -> None:
    """A letter that is no token, or the separator itself, leaves no way to write it."""
    assert spellings("cab", TOKENS, "|") == [("c", "a", "b", "|")]
    assert [spellings(word, TOKENS, "|") for word in ("café", "a|b", "")] == [[], [], []]


@pytest.mark.parametrize(
    "text",
    [
        "ab|c-|",  # as it should be
        "ab|c-",  # cut before the last separator
        "|ab|c",  # a separator before the first word
        "ab|-|-|c|",  # several in a pause
        "-|-|a-b|||c|-|",
    ],
)
def test_separators_too_many_or_too_few_change_nothing(tmp_path: Path, text: str) -> None:
    """The search finds the two words of the lexicon in all of them."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    decoder = load_decoder(bundle(tmp_path, "ab a b |\nc c |\nabc a b c |\n"))
    assert decoder.decode(written(text))[0].text == "ab c"


@pytest.mark.parametrize("text", ["-aab-|--cc|----", "-aab-|--cc------", "|aab-|--cc-----|"])
def test_words_last_as_long_as_their_letters(tmp_path: Path, text: str) -> None:
    """Wherever the separator is; and they are as sure as their letters."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    words = load_decoder(bundle(tmp_path, "ab a b |\nc c |\n")).decode(written(text))[0].words
    assert [(w.text, w.start_frame, w.end_frame) for w in words] == [("ab", 1, 4), ("c", 8, 10)]
    assert [round(word.confidence, 3) for word in words] == [SURE, SURE]


def test_a_missing_separator_makes_one_word(tmp_path: Path) -> None:
    """What the network ran together stays together."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    decoder = load_decoder(bundle(tmp_path, "ab a b |\nc c |\nabc a b c |\n"))
    assert decoder.decode(written("ab-c"))[0].text == "abc"


def test_hotwords_outside_the_lexicon_are_spelled(tmp_path: Path) -> None:
    """No model of pronunciation is needed; what has other letters is refused."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    letters = bundle(tmp_path, "ab a b |\n")
    assert load_decoder(letters, hotwords=Hotwords(("cab",))).decode(written("cab|"))[0].text == "cab"
    with pytest.raises(OptionError, match="'zoe' is not in the lexicon, and nobody can say it"):
        load_decoder(letters, hotwords=Hotwords(("zoe",)))


def test_without_a_lexicon_there_is_nothing_to_guide(tmp_path: Path) -> None:
    """Hotwords, a catalogue and a beam are refused by name; what is spelled comes with the posteriors alone."""
    letters = bundle(tmp_path, None)
    reader = BundleReader(letters, load_decoder(letters))
    assert reader.search(written("cab"))[0].text == "cab"
    assert reader.search(written("cab"))[0].lm_log_prob is None
    with pytest.raises(OptionError, match="hotwords or a catalogue"):
        load_decoder(letters, hotwords=Hotwords(("cab",)))
    with pytest.raises(OptionError, match="hotwords or a catalogue"):
        load_decoder(letters, catalog=tmp_path)
    with pytest.raises(OptionError, match="leave out beam_size"):
        load_decoder(letters, DecoderOptions(beam_size=3))


def test_sounds_without_a_lexicon_are_refused(tmp_path: Path) -> None:
    """Nobody wants to read phones."""
    sounds = bundle(tmp_path, None)
    sounds.info.decoder = DecoderSettings(None, None, DecoderOptions(), Calibration())
    with pytest.raises(BundleError, match="neither a lexicon nor letters"):
        load_decoder(sounds)


def test_any_word_is_pronounced_as_it_is_written(tmp_path: Path) -> None:
    """For catalogues: the lexicon's way first."""
    letters = bundle(tmp_path, "ab b a |\n")
    pronounce = pronouncer(tmp_path, letters.info)
    assert (pronounce("ab"), pronounce("ba"), pronounce("é")) == ([("b", "a", "|")], [("b", "a", "|")], [])
