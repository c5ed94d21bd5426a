"""Log-probabilities to words: CTC best path, and beam search through a lexicon and an n-gram model.

In: float32 log-probabilities of shape ``(T, V)``, one row a frame, column 0 the blank. Out: hypotheses,
best first, whose words carry half-open frame intervals and a confidence. What a frame lasts, and where
in the clip it lies, is the caller's business.

The beam search is flashlight-text's (C++, KenLM inside); ``asr.lexicon_path`` is the fallback without it.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asr.errors import BundleError, MissingPackageError, OptionError
from asr.hotwords import BoostedPaths, Hotwords
from asr.lexicon import Pronunciation
from asr.quiet import without_kenlm_progress
from asr.rows import BLANK, SURE_BLANK, LogProbs, Rows, condense

_LN_10 = math.log(10.0)  # KenLM speaks log10, the model natural logarithms
_NEVER = -1e4  # a log-probability that no path survives; -inf would spoil sums
_NEGLIGIBLE = 7.0  # readings e^7 times less likely than the best add nothing to its share
_MAX_HOMOPHONES = 6  # kTrieMaxLabel of flashlight-text: a seventh word at a trie node is dropped


@dataclass(frozen=True, slots=True)
class Phone:
    """One token of a path over frames ``[start_frame, end_frame)``; the posterior is its peak's."""

    token: int
    start_frame: int
    end_frame: int
    posterior: float


@dataclass(frozen=True, slots=True)
class HypothesisWord:
    """One word over frames ``[start_frame, end_frame)``; ``confidence`` in [0, 1], not yet calibrated."""

    text: str
    start_frame: int
    end_frame: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One reading. ``score`` is the search's (natural log); ``posterior`` its share among the n best.

    ``lm_log_prob`` is the natural logarithm of the language model's probability of its words and their end, and
    ``entropy`` that of the frames it was read from, in nats, on average. Of the best reading alone; None: not known.
    """

    words: tuple[HypothesisWord, ...]
    score: float
    posterior: float = 1.0
    lm_log_prob: float | None = None
    entropy: float | None = None

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class DecoderOptions:
    """Beam-search settings; scores are natural logarithms. ``word_score`` is added for every word.

    Of each frame the search tries the ``beam_size_token`` likeliest tokens whose posterior exceeds
    ``min_posterior``: most of its time goes into tokens that nobody said. ``blank_penalty`` is taken off the
    blank's log-probability in frames where it is not all but certain: CTC is too sure of blanks, and words that
    were hardly heard get lost. ``skip_blanks`` leaves certain blanks out of the search, which makes it fast.
    """

    beam_size: int = 500
    beam_size_token: int = 8
    beam_threshold: float = 12.0
    min_posterior: float = 0.0025
    blank_penalty: float = 0.0
    skip_blanks: bool = True
    lm_weight: float = 0.9
    word_score: float = 0.0
    n_best: int = 5

    def __post_init__(self) -> None:
        for name in ("beam_size", "beam_size_token", "n_best"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("beam_threshold", "blank_penalty", "lm_weight", "word_score"):
            if not math.isfinite(getattr(self, name)):
                raise OptionError(f"{name} is {getattr(self, name)}; expected a finite number")
        if not 0 <= self.min_posterior < 1:
            raise OptionError(f"min_posterior is {self.min_posterior}; expected 0 to below 1")
        if self.beam_threshold <= 0 or self.lm_weight < 0:
            raise OptionError(
                f"beam_threshold {self.beam_threshold} must be positive and "
                f"lm_weight {self.lm_weight} not negative"
            )


def greedy(log_probs: LogProbs) -> tuple[Phone, ...]:
    """The CTC best path of ``log_probs`` (T, V): repeats collapsed, blanks removed."""
    if len(log_probs) == 0:
        return ()
    return path_phones(log_probs.argmax(axis=1).tolist(), range(len(log_probs) + 1), log_probs)


class BeamDecoder:
    """Beam search through a trie of pronunciations, scored by an n-gram model (none: all words alike).

    ``lm`` is a KenLM binary or an ARPA file, plain or ``.gz``. The model scores sentence start and end,
    so a clip is taken for one whole utterance. Every word of ``hotwords`` must be in the lexicon, else
    OptionError. A ``separator`` is the token behind every word of a network that spells: no part of the word's time
    and confidence. Not safe for use from several threads at once.
    """

    def __init__(
        self,
        lexicon: Sequence[Pronunciation],
        vocabulary_size: int,
        lm: Path | None = None,
        options: DecoderOptions | None = None,
        hotwords: Hotwords | None = None,
        separator: int | None = None,
    ) -> None:
        options = options or DecoderOptions()
        self.separator = separator
        decoder, dictionary = _flashlight()
        self._options = options
        self._vocabulary_size = vocabulary_size
        self._words = tuple(dict.fromkeys(entry.word for entry in lexicon))
        index = self._index = {word: at for at, word in enumerate(self._words)}
        paths = [(entry.tokens, index[entry.word]) for entry in lexicon]
        if lm is None:
            self._lm = decoder.ZeroLM()
            unigrams = [-math.log10(len(self._words))] * len(self._words)
        else:
            self._lm = _kenlm(lm, self._words, dictionary)
            nothing = self._lm.start(True)
            unigrams = [self._lm.score(nothing, at)[1] for at in range(len(self._words))]
        weight = options.lm_weight * _LN_10
        # The search wants a silence token to wait with between words; blank already does that, so it gets a
        # column of its own that is never possible. Then come those of the hotwords, then fillers (see _columns).
        silence = vocabulary_size
        hotwords = hotwords or Hotwords(())
        phrases = [_numbers(phrase, index) for phrase in hotwords.phrases]
        bonus = {
            label: max(0.0, options.lm_weight * hotwords.log_prior - weight * unigrams[label])
            for phrase in phrases
            for label in phrase
        }
        self._boosted = BoostedPaths(phrases, bonus, paths, silence + 1)
        self._first_filler = silence + 1 + len(self._boosted.tokens)
        considered = options.beam_size_token * (1 + len(set(self._boosted.bonuses.tolist())))
        self._width = self._first_filler + considered
        self._trie = _trie(paths, unigrams, self._boosted, (self._width, silence), weight, decoder)
        self._decoder = decoder.LexiconDecoder(
            decoder.LexiconDecoderOptions(
                beam_size=options.beam_size,
                beam_size_token=considered,
                # The best path may be one that was promised a bonus: those without it must not fall for that. Half
                # is enough: with all of it dev speech gets the same words in 1.2 times the time.
                beam_threshold=options.beam_threshold + self._boosted.largest / 2,
                lm_weight=weight,
                word_score=options.word_score,
                unk_score=-math.inf,
                sil_score=0.0,
                log_add=False,
                criterion_type=decoder.CriterionType.CTC,
            ),
            self._trie,
            self._lm,
            silence,
            BLANK,
            len(self._words),
            [],
            False,
        )

    def decode(self, log_probs: LogProbs) -> list[Hypothesis]:
        """Up to ``n_best`` different readings, best first; empty where the best one has no words."""
        assert log_probs.shape[1:] == (self._vocabulary_size,), log_probs.shape
        if len(log_probs) == 0:
            return []
        rows = condense(log_probs, skip_blanks=self._options.skip_blanks)
        columns = self._columns(rows.log_probs)
        results = self._decoder.decode(columns.ctypes.data, *columns.shape)
        return self._n_best(results, rows, log_probs)

    def log_probability(self, words: Sequence[str]) -> float:
        """Natural logarithm of the language model's probability of a sentence, its end included; -inf where the
        lexicon lacks one of the words."""
        if any(word not in self._index for word in words):
            return -math.inf
        state, total = self._lm.start(False), 0.0
        for word in words:
            state, score = self._lm.score(state, self._index[word])
            total += score
        return float((total + self._lm.finish(state)[1]) * _LN_10)

    def _columns(self, log_probs: LogProbs) -> LogProbs:
        """What the search reads, (rows, columns): tokens, silence, tokens that end hotwords, fillers.

        Of a row's tokens the search tries the best few, however improbable, and asks the language model about
        every word that they end. The fillers, which no word has, take the places of tokens under the floor.
        """
        columns = np.full((len(log_probs), self._width), _NEVER, np.float32)
        columns[:, self._first_filler :] = _NEVER + 1
        possible = log_probs > math.log(max(self._options.min_posterior, 1e-30))
        possible[:, BLANK] = True
        columns[:, : self._vocabulary_size] = np.where(possible, np.maximum(log_probs, _NEVER), _NEVER)
        columns[log_probs[:, BLANK] <= SURE_BLANK, BLANK] -= self._options.blank_penalty
        ending = columns[:, self._boosted.tokens]
        bonuses = np.where(ending > _NEVER, self._boosted.bonuses, np.float32(0))
        columns[:, self._vocabulary_size + 1 : self._first_filler] = ending + bonuses
        return columns

    def _n_best(self, results: Any, rows: Rows, log_probs: LogProbs) -> list[Hypothesis]:
        ranked = []
        for result in results:  # best first, unless hotwords are to be counted
            if not self._boosted.paths and result.score < results[0].score - _NEGLIGIBLE:
                break
            labels = tuple([label for label in result.words if label >= 0])
            score = result.score
            if self._boosted.paths:
                score += self._boosted.correction(labels, result.tokens)
            ranked.append((score, labels, result))
        # Homophones may score the same, and the search orders those by address: the commoner word is first.
        ranked.sort(key=lambda reading: (-round(reading[0], 4), reading[1]))
        found: dict[tuple[int, ...], tuple[Any, float, float]] = {}
        for score, labels, result in ranked:
            best, best_score, total = found.get(labels, (result, score, -math.inf))
            if len(found) < self._options.n_best or labels in found:
                found[labels] = (best, best_score, float(np.logaddexp(total, score)))
        if not found or next(iter(found)) == ():
            return []
        everything = float(np.logaddexp.reduce([total for _, _, total in found.values()]))
        return [
            Hypothesis(self._timed(result, rows, log_probs), score, math.exp(total - everything))
            for labels, (result, score, total) in found.items()
            if labels
        ]

    def _timed(self, result: Any, rows: Rows, log_probs: LogProbs) -> tuple[HypothesisWord, ...]:
        # The result has one entry more at either end than there are rows: before the first, after the last.
        path = rows.spread(self._boosted.plain(result.tokens[1:-1]), BLANK)
        path = (path if self.separator is None else np.where(path == self.separator, BLANK, path)).tolist()
        labels = rows.spread(result.words[1:-1], -1)
        bounds = rows.bounds.tolist()
        words, start = [], 0
        for at in np.flatnonzero(labels >= 0).tolist():
            phones = path_phones(path[start : at + 1], bounds[start : at + 2], log_probs)
            words.append(
                HypothesisWord(
                    self._words[labels[at]],
                    phones[0].start_frame,
                    phones[-1].end_frame,
                    geometric_confidence(phones),
                )
            )
            start = at + 1
        return tuple(words)


def geometric_confidence(phones: Sequence[Phone]) -> float:
    """Geometric mean of the posteriors at the phones' peaks."""
    logs = [math.log(max(phone.posterior, 1e-12)) for phone in phones]
    return min(1.0, math.exp(sum(logs) / len(logs)))


def path_phones(path: Sequence[int], bounds: Sequence[int], log_probs: LogProbs) -> tuple[Phone, ...]:
    """Runs of equal tokens of ``path`` without blanks; step i covers frames bounds[i] to bounds[i + 1]."""
    phones = []
    start = 0
    for at in range(1, len(path) + 1):
        if at == len(path) or path[at] != path[start]:
            if path[start] != BLANK:
                first, last = bounds[start], bounds[at]
                peak = max(log_probs[first:last, path[start]].tolist())
                phones.append(Phone(path[start], first, last, min(1.0, math.exp(peak))))
            start = at
    return tuple(phones)


def _kenlm(path: Path, words: Sequence[str], dictionary: Any) -> Any:
    indices = dictionary.Dictionary()
    for word in words:
        indices.add_entry(word)
    try:
        kenlm = importlib.import_module("flashlight.lib.text.decoder.kenlm")
        # It reports while it parses text; a binary is mapped at once.
        with nullcontext() if path.suffix == ".bin" else without_kenlm_progress():
            return kenlm.KenLM(str(path), indices)
    except ImportError as error:
        raise MissingPackageError(
            f"this flashlight-text has no KenLM, which {path} needs: {error}"
        ) from error
    except RuntimeError as error:
        raise BundleError(f"{path}: not a language model that KenLM reads: {error}") from error


def _numbers(phrase: str, index: Mapping[str, int]) -> tuple[int, ...]:
    words = phrase.split()
    for word in words:
        if word not in index:
            raise OptionError(f"hotword {word!r} is not in the lexicon: add how it is said")
    return tuple([index[word] for word in words])


def _trie(
    paths: Sequence[tuple[tuple[int, ...], int]],
    unigrams: Sequence[float],
    boosted: BoostedPaths,
    size: tuple[int, int],
    weight: float,
    decoder: Any,
) -> Any:
    """Pronunciations with look-ahead: each node knows the best word below it by its unigram log-probability.

    The search pays that in advance, inside a word, and gets it back where the word ends. A hotword's bonus is
    promised in equal parts from token to token: all of it at the first would keep half of the lexicon waiting.
    """
    trie = decoder.Trie(*size)
    homophones: dict[tuple[int, ...], int] = {}
    for tokens, label in (*paths, *[(path.tokens, path.label) for path in boosted.paths]):
        homophones[tokens] = homophones.get(tokens, 0) + 1
        if homophones[tokens] <= _MAX_HOMOPHONES:
            trie.insert(tokens, label, unigrams[label])
    trie.smear(decoder.SmearingMode.MAX)
    for path in boosted.paths if weight else ():
        for depth in range(1, len(path.tokens)):
            node = trie.search(path.tokens[:depth])
            promised = path.bonus / weight * depth / len(path.tokens)
            node.max_score = max(node.max_score, unigrams[path.label] + promised)
    return trie


def _flashlight() -> tuple[Any, Any]:
    # Found by name, so that best path and fallback work where no wheel of it exists.
    try:
        return (
            importlib.import_module("flashlight.lib.text.decoder"),
            importlib.import_module("flashlight.lib.text.dictionary"),
        )
    except ImportError as error:
        raise MissingPackageError(
            f"the beam search needs flashlight-text (pip install flashlight-text): {error}; "
            "asr.lexicon_path.LexiconBestPath gives words without it"
        ) from error
