"""Tune what the bundle decodes with on dev speech: language-model weight, word score, calibration.

The acoustic model runs once a clip; the searches are repeated over its log-probabilities. Everything goes
through the runtime's own classes, so what is tuned is what will run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from asr import audio
from asr.bundle import Bundle
from asr.confidence import Calibration, logit
from asr.decode import DecoderOptions
from asr.frontend import Frontend
from asr.manifest import Reference
from asr.transcribe import Decoder, load_decoder
from asr.wer import ErrorCounts, align, normalise

LogProbs = NDArray[np.float32]
MIN_SET_WORDS = 100


@dataclass(frozen=True, slots=True)
class Heard:
    """A dev utterance and the log-probabilities of its segments."""

    set: str
    words: tuple[str, ...]
    segments: tuple[LogProbs, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Word errors of one setting by set."""

    options: DecoderOptions
    counts: Mapping[str, ErrorCounts]

    @property
    def mean(self) -> float:
        """Mean word error rate of the sets, each counting alike; a set of a few words would only add noise."""
        rates = [count.rate for count in self.counts.values() if count.reference_length >= MIN_SET_WORDS]
        return sum(rates) / len(rates)


def listen(bundle: Bundle, references: Iterable[Reference]) -> list[Heard]:
    """Front end and acoustic model, once for each utterance."""
    frontend = Frontend(bundle.info.frontend)
    heard = []
    for reference in references:
        segments = frontend.prepare(audio.decode(reference.path)).segments
        log_probs = tuple(bundle.log_probs([segment.samples])[0] for segment in segments)
        words = tuple(normalise(reference.text).split())
        heard.append(Heard(reference.values.get("set", "all"), words, log_probs))
    return heard


def search(
    bundle: Bundle,
    heard: Sequence[Heard],
    start: DecoderOptions,
    lm_weights: Sequence[float],
    word_scores: Sequence[float],
) -> list[Outcome]:
    """Every combination, best mean word error rate first."""
    outcomes = []
    for lm_weight, word_score in itertools.product(lm_weights, word_scores):
        options = replace(start, lm_weight=lm_weight, word_score=word_score)
        outcomes.append(Outcome(options, errors(load_decoder(bundle, options), heard)))
    return sorted(outcomes, key=lambda outcome: outcome.mean)


def errors(beam: Decoder, heard: Sequence[Heard]) -> dict[str, ErrorCounts]:
    """Word errors of each set."""
    counts: dict[str, ErrorCounts] = {}
    for utterance in heard:
        words = _words(beam, utterance)
        found = align(utterance.words, [text for text, _ in words])
        counts[utterance.set] = counts.get(utterance.set, ErrorCounts()) + found
    return counts


def calibrate(beam: Decoder, heard: Sequence[Heard]) -> tuple[Calibration, float]:
    """Fit P(word is right) to the raw confidences (Platt 1999); returns it with its expected calibration error.

    A hypothesis word is right where the alignment with the reference matches it.
    """
    raw, right = [], []
    for utterance in heard:
        words = _words(beam, utterance)
        matched = _matches(utterance.words, [text for text, _ in words])
        raw += [confidence for _, confidence in words]
        right += matched
    logits, truth = np.array([logit(value) for value in raw]), np.array(right, dtype=np.float64)

    def loss(parameters: NDArray[np.float64]) -> float:
        z = parameters[0] * logits + parameters[1]
        return float(np.mean(np.logaddexp(0.0, z) - truth * z))

    slope, intercept = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead").x
    calibration = Calibration(max(float(slope), 0.0), float(intercept))
    return calibration, expected_calibration_error([calibration(value) for value in raw], right)


def clip_confidences(
    beam: Decoder, heard: Sequence[Heard], calibration: Calibration
) -> list[tuple[float, float]]:
    """Confidence and word error rate of each clip that got any words; the mean over words, as in a transcript."""
    found = []
    for utterance in heard:
        words = _words(beam, utterance)
        if words:
            confidence = float(np.mean([calibration(raw) for _, raw in words]))
            found.append((confidence, align(utterance.words, [text for text, _ in words]).rate))
    return found


def choose_minimum(clips: Sequence[tuple[float, float]], lost: float = 0.005, useful: float = 0.8) -> float:
    """The confidence under which at most the share ``lost`` of the useful clips would become null results.

    Useful is a clip with a word error rate of at most ``useful``: what is heard worse nobody misses.
    """
    confidences = [confidence for confidence, rate in clips if rate <= useful]
    return round(float(np.quantile(confidences, lost)), 3) if confidences else 0.0


def expected_calibration_error(confidences: Sequence[float], right: Sequence[bool], bins: int = 10) -> float:
    """Mean gap between confidence and accuracy over equally wide bins, weighted by their size (Naeini 2015)."""
    values, truth = np.array(confidences), np.array(right, dtype=np.float64)
    index = np.minimum((values * bins).astype(int), bins - 1)
    gaps = [
        abs(values[index == at].mean() - truth[index == at].mean()) * np.count_nonzero(index == at)
        for at in range(bins)
        if np.any(index == at)
    ]
    return float(sum(gaps)) / len(values) if len(values) else math.nan


def _words(beam: Decoder, utterance: Heard) -> list[tuple[str, float]]:
    """Words of the best reading, with their raw confidences, over all segments."""
    readings = [beam.decode(log_probs) for log_probs in utterance.segments]
    return [(word.text, word.confidence) for best in readings if best for word in best[0].words]


def _matches(reference: Sequence[str], hypothesis: Sequence[str]) -> list[bool]:
    """Which words of the hypothesis are in a longest common subsequence with the reference."""
    longest = np.zeros((len(reference) + 1, len(hypothesis) + 1), dtype=int)
    for i, word in enumerate(reference):
        for j, other in enumerate(hypothesis):
            longest[i + 1, j + 1] = (
                longest[i, j] + 1 if word == other else max(longest[i, j + 1], longest[i + 1, j])
            )
    matched = [False] * len(hypothesis)
    i, j = len(reference), len(hypothesis)
    while i and j:
        if reference[i - 1] == hypothesis[j - 1] and longest[i, j] == longest[i - 1, j - 1] + 1:
            matched[j - 1] = True
            i, j = i - 1, j - 1
        elif longest[i - 1, j] >= longest[i, j - 1]:
            i -= 1
        else:
            j -= 1
    return matched
