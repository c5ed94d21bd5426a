"""What a model of ``onnx-asr`` says of a segment becomes words with times and a confidence.

The library gives the text and, for most models, its tokens with the moment at which each was found and its
log-probability. Where it gives less, so do we, by stated rules:

- a word begins with its first token, and ends where its last token has lasted `LAST_TOKEN_S` or the next word begins;
- without times (Whisper, Canary) the segment is shared out by letters: an estimate, good enough for subtitles;
- the confidence is the geometric mean of the tokens' probabilities, not calibrated; `UNKNOWN` without probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from asr.decode import Hypothesis, HypothesisWord
from asr.transcript import SAMPLE_RATE_HZ

LAST_TOKEN_S = 0.12  # tokens are letters or parts of words, of one or two sounds; a sound lasts some 80 ms
UNKNOWN = 0.5  # as likely right as wrong: nobody said anything


@dataclass(frozen=True, slots=True)
class Heard:
    """The library's answer. The lists, where they are there, should have an item for each token; times in seconds."""

    text: str
    tokens: Sequence[str] | None = None
    times_s: Sequence[float] | None = None
    log_probs: Sequence[float] | None = None


def hypotheses(heard: Heard, samples: int) -> list[Hypothesis]:
    """The one reading of a segment of so many samples, its words' frames counted in samples; none without words."""
    texts = heard.text.split()
    if not texts:
        return []
    pieces, count = _pieces(texts, heard.tokens), len(heard.tokens or ())
    times_s = heard.times_s if heard.times_s is not None and len(heard.times_s) == count else None
    # Canary may count marks among them that are no tokens of the text: then they are of all of it.
    matched = heard.log_probs is not None and len(heard.log_probs) == count
    spans = _spans(texts, pieces, times_s, samples)
    sure = _confidences(texts, pieces if matched else None, heard.log_probs)
    words = tuple(
        HypothesisWord(text, start, end, confidence)
        for text, (start, end), confidence in zip(texts, spans, sure, strict=True)
    )
    return [Hypothesis(words, sum(heard.log_probs or ()))]


def _pieces(texts: Sequence[str], tokens: Sequence[str] | None) -> list[list[int]] | None:
    """Which tokens each word is made of; None where they do not spell the text.

    Letter by letter: the library joins tokens, and sets the spaces of the text by rules of its own.
    """
    if tokens is None:
        return None
    owner = [word for word, text in enumerate(texts) for _ in text]
    letters = ["".join(token.split()) for token in tokens]
    if "".join(letters) != "".join(texts):
        return None
    pieces: list[list[int]] = [[] for _ in texts]
    at = 0
    for token, part in enumerate(letters):
        for word in sorted(set(owner[at : at + len(part)])):
            pieces[word].append(token)
        at += len(part)
    return pieces


def _spans(
    texts: Sequence[str],
    pieces: Sequence[Sequence[int]] | None,
    times_s: Sequence[float] | None,
    samples: int,
) -> list[tuple[int, int]]:
    if pieces is None or times_s is None:
        return _shared_out(texts, samples)
    starts = [_sample(times_s[tokens[0]], samples) for tokens in pieces]
    ends = [_sample(times_s[tokens[-1]] + LAST_TOKEN_S, samples) for tokens in pieces]
    nexts = [*starts[1:], samples]
    return [
        (start, max(start, min(end, following)))
        for start, end, following in zip(starts, ends, nexts, strict=True)
    ]


def _sample(time_s: float, samples: int) -> int:
    return min(max(round(time_s * SAMPLE_RATE_HZ), 0), samples)


def _shared_out(texts: Sequence[str], samples: int) -> list[tuple[int, int]]:
    """The segment divided among the words by their letters and the space behind each."""
    bounds = [0]
    for text in texts:
        bounds.append(bounds[-1] + len(text) + 1)
    at = [samples * bound // bounds[-1] for bound in bounds]
    return list(pairwise(at))


def _confidences(
    texts: Sequence[str], pieces: Sequence[Sequence[int]] | None, log_probs: Sequence[float] | None
) -> list[float]:
    if not log_probs:
        return [UNKNOWN] * len(texts)
    if pieces is None:  # they are of the whole text
        return [_geometric(log_probs)] * len(texts)
    return [_geometric([log_probs[token] for token in tokens]) for tokens in pieces]


def _geometric(log_probs: Sequence[float]) -> float:
    """Some models give scores that no softmax has seen; above 1 there is nothing."""
    mean = sum(log_probs) / len(log_probs)
    return math.exp(min(mean, 0.0)) if math.isfinite(mean) else 0.0
