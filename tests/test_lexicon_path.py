"""The fallback search gives words and times from the lexicon alone."""

from __future__ import annotations

import numpy as np
import pytest

from asr.decode import LogProbs
from asr.lexicon import Pronunciation
from asr.lexicon_path import LexiconBestPath

_TOKENS = ("<blank>", "AE", "AH", "K", "T", "UW")
_SOUNDS = (("a", "AH"), ("to", "T UW"), ("two", "T UW"), ("cat", "K AE T"))
_SEARCH = LexiconBestPath(
    [Pronunciation(word, tuple(_TOKENS.index(p) for p in said.split())) for word, said in _SOUNDS],
    len(_TOKENS),
)


def _log_probs(frames: str) -> LogProbs:
    probs = np.full((len(frames.split()), len(_TOKENS)), 0.02, np.float32)
    for at, frame in enumerate(frames.split()):
        probs[at, 0 if frame == "_" else _TOKENS.index(frame)] = 0.9
    return np.log(probs)


def test_words_have_the_frames_of_their_phones() -> None:
    """A held last phone belongs to its word, blanks to none; the commoner homophone comes out."""
    (best,) = _SEARCH.decode(_log_probs("_ K AE _ T T _ T UW _ AH AH _"))
    assert [(w.text, w.start_frame, w.end_frame) for w in best.words] == [
        ("cat", 1, 6), ("to", 7, 9), ("a", 10, 12),
    ]  # fmt: skip
    assert [w.confidence for w in best.words] == pytest.approx([0.9] * 3)


@pytest.mark.parametrize("frames", ["", "_", "_ _ _ _"])
def test_no_words_without_phones(frames: str) -> None:
    """Blank frames, or none, give no hypothesis."""
    assert _SEARCH.decode(_log_probs(frames)) == []


def test_an_unfinished_word_is_not_said() -> None:
    """A clip that stops inside a word keeps the words before it."""
    (best,) = _SEARCH.decode(_log_probs("AH _ T UW _ K"))
    assert best.text == "a to"
