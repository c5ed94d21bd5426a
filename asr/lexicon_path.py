"""Words from log-probabilities where flashlight-text has no wheel: the best path through the lexicon alone.

In and out as ``asr.decode``, with one hypothesis at most. There is no language model: a word costs by its
rank in the lexicon (commonest first, Zipf's law), which chooses among homophones and keeps words few.
Pure Python, for short clips: about as many steps as frames x ``beam_size`` x ``beam_size_token``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from asr.decode import DecoderOptions, Hypothesis, HypothesisWord, geometric_confidence, path_phones
from asr.lexicon import Pronunciation
from asr.rows import BLANK, LogProbs

_ROOT = 0
_NO_WORD = -1
_ZIPF = 0.5  # share of a word's log rank that it costs; 1 would trust the ranks as much as the sound

# One step of a path: the steps before, the token of this frame, and the word that ended before it.
_Trail = tuple[Any, int, int] | None


class LexiconBestPath:
    """Viterbi search over a trie of pronunciations; of homophones only the commonest can come out."""

    def __init__(
        self, lexicon: Sequence[Pronunciation], vocabulary_size: int, options: DecoderOptions | None = None
    ) -> None:
        self._options = options or DecoderOptions()
        self._vocabulary_size = vocabulary_size
        self._words = tuple(dict.fromkeys(entry.word for entry in lexicon))
        index = {word: at for at, word in enumerate(self._words)}
        self._children: list[dict[int, int]] = [{}]
        self._word = [_NO_WORD]
        for entry in lexicon:
            node = _ROOT
            for token in entry.tokens:
                node = self._children[node].setdefault(token, len(self._children))
                if node == len(self._children):
                    self._children.append({})
                    self._word.append(_NO_WORD)
            if self._word[node] == _NO_WORD:
                self._word[node] = index[entry.word]

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """The best reading of ``log_probs`` (T, V), or an empty list where it has no words."""
        assert log_probs.shape[1:] == (self._vocabulary_size,), log_probs.shape
        beam: dict[tuple[int, int], tuple[float, _Trail]] = {(_ROOT, BLANK): (0.0, None)}
        likeliest = np.argsort(-log_probs, axis=1)[:, : self._options.beam_size_token].tolist()
        for row, tokens in zip(log_probs.tolist(), likeliest, strict=True):
            beam = self._step(beam, row, [token for token in tokens if token != BLANK])
        # A path may stop between words or at the end of one, not inside.
        ends = [
            (score - self._cost(self._word[node]), self._word[node], trail)
            for (node, _), (score, trail) in beam.items()
            if node == _ROOT or self._word[node] != _NO_WORD
        ]
        if not ends:
            return []
        score, last, trail = max(ends, key=lambda end: end[0])
        words = self._timed(trail, last, log_probs)
        return [Hypothesis(words, score)] if words else []

    def _step(
        self,
        beam: dict[tuple[int, int], tuple[float, _Trail]],
        row: Sequence[float],
        tokens: Sequence[int],
    ) -> dict[tuple[int, int], tuple[float, _Trail]]:
        """One frame: wait with a blank, hold the token, go on in the word, or begin the next one."""
        found: dict[tuple[int, int], tuple[float, _Trail]] = {}

        def propose(node: int, token: int, score: float, trail: _Trail, word: int = _NO_WORD) -> None:
            if (node, token) not in found or found[node, token][0] < score:
                found[node, token] = score, (trail, token, word)

        for (node, held), (score, trail) in beam.items():
            propose(node, BLANK, score + row[BLANK], trail)
            if held != BLANK:
                propose(node, held, score + row[held], trail)
            for token in tokens:
                if token == held:  # CTC: the same token again needs a blank between
                    continue
                if token in self._children[node]:
                    propose(self._children[node][token], token, score + row[token], trail)
                word = self._word[node]
                if word != _NO_WORD and token in self._children[_ROOT]:
                    begun = self._children[_ROOT][token]
                    propose(begun, token, score + row[token] - self._cost(word), trail, word)
        best = sorted(found.items(), key=lambda item: -item[1][0])
        return dict(best[: self._options.beam_size])

    def _cost(self, word: int) -> float:
        return 0.0 if word == _NO_WORD else 1.0 + _ZIPF * math.log(word + 1)

    def _timed(self, trail: _Trail, last: int, log_probs: LogProbs) -> tuple[HypothesisWord, ...]:
        path, ended = [], []  # token of each frame; (word, frame after it)
        if last != _NO_WORD:
            ended.append((last, len(log_probs)))
        while trail is not None:
            before, token, word = trail
            path.append(token)
            if word != _NO_WORD:
                ended.append((word, len(log_probs) - len(path)))
            trail = before
        path.reverse()
        words, start = [], 0
        for word, end in reversed(ended):
            phones = path_phones(path[start:end], range(start, end + 1), log_probs)
            words.append(
                HypothesisWord(
                    self._words[word],
                    phones[0].start_frame,
                    phones[-1].end_frame,
                    geometric_confidence(phones),
                )
            )
            start = end
        return tuple(words)
