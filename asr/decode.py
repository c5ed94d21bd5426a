"""Log-probabilities to words: CTC best path, and beam search through a lexicon and an n-gram model.

In: float32 log-probabilities of shape ``(T, V)``, one row a frame, column 0 the blank. Out: hypotheses,
best first, whose words carry half-open frame intervals and a confidence. What a frame lasts, and where
in the clip it lies, is the caller's business.

The beam search is flashlight-text's (C++, KenLM inside); ``asr.lexicon_path`` is the fallback without it.
"""

from __future__ import annotations

import gzip
import importlib
import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import BundleError, MissingPackageError, OptionError

BLANK = 0
LogProbs = NDArray[np.float32]

_LN_10 = math.log(10.0)  # KenLM speaks log10, the model natural logarithms
_NEVER = -1e4  # a log-probability that no path survives; -inf would spoil sums
_SURE_BLANK = math.log(0.99)
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
    """One reading. ``score`` is the search's (natural log); ``posterior`` its share among the n best."""

    words: tuple[HypothesisWord, ...]
    score: float
    posterior: float = 1.0

    @property
    def text(self) -> str:
        return " ".join(word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """A word of the lexicon and its tokens (columns of the log-probabilities)."""

    word: str
    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class DecoderOptions:
    """Beam-search settings; scores are natural logarithms. ``word_score`` is added for every word."""

    beam_size: int = 150
    beam_size_token: int = 10
    beam_threshold: float = 14.0
    lm_weight: float = 0.6
    word_score: float = 0.0
    n_best: int = 5

    def __post_init__(self) -> None:
        for name in ("beam_size", "beam_size_token", "n_best"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("beam_threshold", "lm_weight", "word_score"):
            if not math.isfinite(getattr(self, name)):
                raise OptionError(f"{name} is {getattr(self, name)}; expected a finite number")
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


def read_lexicon(path: Path, tokens: Sequence[str]) -> list[Pronunciation]:
    """Lines ``word TOKEN TOKEN ...`` of a plain, ``.gz`` or ``.xz`` file, commonest word first.

    Raises ``BundleError`` where a line has no tokens or one that ``tokens`` (columns, by name) lacks.
    """
    opener: Any = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    column = {token: at for at, token in enumerate(tokens)}
    lexicon = []
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in filter(str.strip, lines):
            word, *names = line.split()
            try:
                lexicon.append(Pronunciation(word, tuple([column[name] for name in names])))
            except KeyError as error:
                raise BundleError(f"{path}: {line.strip()!r} uses {error}, which tokens.txt lacks") from error
            if not names:
                raise BundleError(f"{path}: {word!r} has no pronunciation")
    return lexicon


class BeamDecoder:
    """Beam search through a trie of pronunciations, scored by an n-gram model (none: all words alike).

    ``lm`` is a KenLM binary or an ARPA file, plain or ``.gz``. The model scores sentence start and end,
    so a clip is taken for one whole utterance. Not safe for use from several threads at once.
    """

    def __init__(
        self,
        lexicon: Sequence[Pronunciation],
        vocabulary_size: int,
        lm: Path | None = None,
        options: DecoderOptions | None = None,
    ) -> None:
        options = options or DecoderOptions()
        decoder, dictionary = _flashlight()
        self._options = options
        self._vocabulary_size = vocabulary_size
        self._words = tuple(dict.fromkeys(entry.word for entry in lexicon))
        self._lm = decoder.ZeroLM() if lm is None else _kenlm(lm, self._words, dictionary)
        self._trie = _trie(lexicon, self._words, vocabulary_size, self._lm, decoder)
        self._decoder = decoder.LexiconDecoder(
            decoder.LexiconDecoderOptions(
                beam_size=options.beam_size,
                beam_size_token=options.beam_size_token,
                beam_threshold=options.beam_threshold,
                lm_weight=options.lm_weight * _LN_10,
                word_score=options.word_score,
                unk_score=-math.inf,
                sil_score=0.0,
                log_add=False,
                criterion_type=decoder.CriterionType.CTC,
            ),
            self._trie,
            self._lm,
            # The search wants a silence token to wait with between words; blank already does that, so it
            # gets a column of its own that is never possible.
            vocabulary_size,
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
        bounds = _merge(log_probs)
        rows = np.full((len(bounds) - 1, self._vocabulary_size + 1), _NEVER, np.float32)
        lengths = np.diff(bounds)[:, None]
        rows[:, :-1] = np.maximum(np.add.reduceat(log_probs, bounds[:-1], axis=0) / lengths, _NEVER)
        results = self._decoder.decode(rows.ctypes.data, *rows.shape)
        return self._n_best(results, bounds.tolist(), log_probs)

    def _n_best(self, results: Any, bounds: list[int], log_probs: LogProbs) -> list[Hypothesis]:
        # Homophones may score the same, and the search orders those by address: the commoner word is first.
        ranked = [(tuple([label for label in result.words if label >= 0]), result) for result in results]
        ranked.sort(key=lambda reading: (-round(reading[1].score, 4), reading[0]))
        found: dict[tuple[int, ...], tuple[Any, float]] = {}
        for labels, result in ranked:
            best, total = found.get(labels, (result, -math.inf))
            if len(found) < self._options.n_best or labels in found:
                found[labels] = (best, float(np.logaddexp(total, result.score)))
        if not found or next(iter(found)) == ():
            return []
        everything = float(np.logaddexp.reduce([total for _, total in found.values()]))
        return [
            Hypothesis(self._timed(result, bounds, log_probs), result.score, math.exp(total - everything))
            for labels, (result, total) in found.items()
            if labels
        ]

    def _timed(self, result: Any, bounds: list[int], log_probs: LogProbs) -> tuple[HypothesisWord, ...]:
        # The result has one entry more at either end than there are rows: before the first, after the last.
        path, labels = result.tokens[1:-1], result.words[1:-1]
        words, start = [], 0
        for at, label in enumerate(labels):
            if label >= 0:
                phones = path_phones(path[start : at + 1], bounds[start : at + 2], log_probs)
                words.append(
                    HypothesisWord(
                        self._words[label],
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
                peak = float(log_probs[first:last, path[start]].max())
                phones.append(Phone(path[start], first, last, min(1.0, math.exp(peak))))
            start = at
    return tuple(phones)


def _merge(log_probs: LogProbs) -> NDArray[np.intp]:
    """Bounds of runs of frames that the search sees as one row, the mean of theirs; shape (rows + 1,).

    The search leaves a word at the first frame of its last token and could not wait there while that
    token goes on, so a run of one likeliest token becomes one row. Runs of sure blanks cost time only.
    """
    best = log_probs.argmax(axis=1)
    mergeable = (best != BLANK) | (log_probs[:, BLANK] > _SURE_BLANK)
    joined = (best[1:] == best[:-1]) & mergeable[1:] & mergeable[:-1]
    return np.concatenate([[0], np.flatnonzero(~joined) + 1, [len(log_probs)]])


def _kenlm(path: Path, words: Sequence[str], dictionary: Any) -> Any:
    indices = dictionary.Dictionary()
    for word in words:
        indices.add_entry(word)
    try:
        kenlm = importlib.import_module("flashlight.lib.text.decoder.kenlm")
        return kenlm.KenLM(str(path), indices)
    except ImportError as error:
        raise MissingPackageError(
            f"this flashlight-text has no KenLM, which {path} needs: {error}"
        ) from error
    except RuntimeError as error:
        raise BundleError(f"{path}: not a language model that KenLM reads: {error}") from error


def _trie(lexicon: Sequence[Pronunciation], words: Sequence[str], size: int, lm: Any, decoder: Any) -> Any:
    """Pronunciations with look-ahead scores: each node knows the best word below it, as a sentence start."""
    trie = decoder.Trie(size + 1, size)
    start = lm.start(False)
    scores = {word: lm.score(start, at)[1] for at, word in enumerate(words)}
    index = {word: at for at, word in enumerate(words)}
    homophones: dict[tuple[int, ...], int] = {}
    for entry in lexicon:
        homophones[entry.tokens] = homophones.get(entry.tokens, 0) + 1
        if homophones[entry.tokens] <= _MAX_HOMOPHONES:
            trie.insert(entry.tokens, index[entry.word], scores[entry.word])
    trie.smear(decoder.SmearingMode.MAX)
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
