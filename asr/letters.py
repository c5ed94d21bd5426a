"""Networks that spell: tokens are letters, and a separator stands behind every word (wav2vec 2.0 and its kin).

`SpelledPath` needs no lexicon: the best path, cut into words at the separators; it can spell any word, also wrong ones.
With a lexicon, whose words end in the separator, `Separated` prepares log-probabilities for the search of `asr.decode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from asr.decode import Hypothesis, HypothesisWord, Phone, geometric_confidence, greedy
from asr.errors import BundleError
from asr.rows import BLANK, LogProbs

_NEVER = -1e4  # a log-probability that no path survives


class Search(Protocol):
    """`asr.reader.Decoder`."""

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Readings of float32 ``(frames, tokens)``, best first."""


def spellings(word: str, tokens: Sequence[str], separator: str) -> list[tuple[str, ...]]:
    """The one way to write a word in tokens, the separator behind; none where a letter of it is no token."""
    letters = tuple(word)
    known = set(tokens[1:]) - {separator}  # the first is the blank, whatever it looks like
    return [(*letters, separator)] if letters and known.issuperset(letters) else []


def column(tokens: Sequence[str], separator: str) -> int:
    """The separator's. Raises BundleError where it is no token, or the blank."""
    if separator not in tokens[BLANK + 1 :]:
        raise BundleError(f"the separator of words is {separator!r}, which tokens.txt lacks behind the blank")
    return tokens.index(separator, BLANK + 1)


class SpelledPath:
    """The best path, letter by letter."""

    def __init__(self, tokens: Sequence[str], separator: str) -> None:
        self._tokens = tokens
        self._separator = column(tokens, separator)

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """The one reading of ``log_probs`` (T, V), or none where nothing is spelled."""
        assert log_probs.shape[1:] == (len(self._tokens),), log_probs.shape
        words, letters = [], list[Phone]()
        for phone in (*greedy(log_probs), Phone(self._separator, 0, 0, 1.0)):
            if phone.token != self._separator:
                letters.append(phone)
            elif letters:
                words.append(self._word(letters))
                letters = []
        score = float(log_probs.max(axis=1).sum()) if len(log_probs) else 0.0
        return [Hypothesis(tuple(words), score)] if words else []

    def _word(self, letters: Sequence[Phone]) -> HypothesisWord:
        text = "".join(self._tokens[letter.token] for letter in letters)
        return HypothesisWord(
            text, letters[0].start_frame, letters[-1].end_frame, geometric_confidence(letters)
        )


class Separated:
    """A search through words that end in the separator: each gets exactly one, whatever the network wrote.

    It writes none at the end of a clip that is cut close, and may write one before the first word, or two in a long
    pause. So one more frame is added, which may be a separator; and a separator that ends nothing counts as a blank.
    """

    def __init__(self, search: Search, separator: int) -> None:
        self._search = search
        self._separator = separator

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """What the search reads."""
        end = np.full((1, log_probs.shape[1]), _NEVER, np.float32)
        end[0, [BLANK, self._separator]] = np.log(0.5)
        return self._search.decode(np.concatenate([self._without_needless(log_probs), end]))

    def log_probability(self, words: Sequence[str]) -> float:
        """As the search's language model has it; -inf where it has none."""
        known = getattr(self._search, "log_probability", None)
        return -np.inf if known is None else float(known(words))

    def _without_needless(self, log_probs: LogProbs) -> LogProbs:
        needless, after_word, before = [], False, BLANK
        for frame, token in enumerate(log_probs.argmax(axis=1).tolist()):
            if token == self._separator:
                if before != self._separator:
                    ends = after_word
                if not ends:
                    needless.append(frame)
                after_word = False
            elif token != BLANK:
                after_word = True
            before = token
        changed = log_probs.copy()
        changed[needless, BLANK] = np.logaddexp(
            log_probs[needless, BLANK], log_probs[needless, self._separator]
        )
        return changed
