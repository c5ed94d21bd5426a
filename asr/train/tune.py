"""Tune what the bundle searches with on dev speech: language-model weight and word score.

The acoustic model runs once a clip; the searches are repeated over its log-probabilities. Everything goes
through the runtime's own classes, so what is tuned is what will run.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr import audio
from asr.bundle import Bundle
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.frontend import Frontend
from asr.manifest import Reference
from asr.reader import Decoder
from asr.train.calibrate import Attempt
from asr.wer import ErrorCounts, align, normalise

LogProbs = NDArray[np.float32]
MIN_SET_WORDS = 100


@dataclass(frozen=True, slots=True)
class Heard:
    """A dev utterance and the log-probabilities of its segments. Unnamed speakers each count as one."""

    set: str
    speaker: str
    words: tuple[str, ...]
    segments: tuple[LogProbs, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """Word errors of one setting by set."""

    options: DecoderOptions
    counts: Mapping[str, ErrorCounts]

    @property
    def mean(self) -> float:
        """Mean word error rate of the sets, each counting alike; a set of a few words would only add noise.

        Where all sets are that small, the rate over all words.
        """
        rates = [count.rate for count in self.counts.values() if count.reference_length >= MIN_SET_WORDS]
        return sum(rates) / len(rates) if rates else sum(self.counts.values(), ErrorCounts()).rate


def listen(bundle: Bundle, references: Iterable[Reference]) -> list[Heard]:
    """Front end and acoustic model, once for each utterance."""
    frontend = Frontend(bundle.info.frontend)
    heard = []
    for reference in references:
        segments = frontend.prepare(audio.decode(reference.path)).segments
        log_probs = tuple(bundle.log_probs([segment.samples])[0] for segment in segments)
        words = tuple(normalise(reference.text).split())
        speaker = str(reference.values.get("speaker", reference.audio))
        heard.append(Heard(reference.values.get("set", "all"), speaker, words, log_probs))
    return heard


def search(
    decoder: Callable[[DecoderOptions], Decoder],
    heard: Sequence[Heard],
    start: DecoderOptions,
    grid: Mapping[str, Sequence[float]],
) -> list[Outcome]:
    """Every combination of the grid's values, by name of the option, best mean word error rate first."""
    outcomes = []
    for values in itertools.product(*grid.values()):
        changes: dict[str, Any] = dict(zip(grid, values, strict=True))
        options = replace(start, **changes)
        outcomes.append(Outcome(options, errors(decoder(options), heard)))
    return sorted(outcomes, key=lambda outcome: outcome.mean)


def errors(beam: Decoder, heard: Sequence[Heard]) -> dict[str, ErrorCounts]:
    """Word errors of each set."""
    counts: dict[str, ErrorCounts] = {}
    for utterance, attempt in zip(heard, attempts(beam, heard), strict=True):
        found = align(utterance.words, attempt.heard)
        counts[utterance.set] = counts.get(utterance.set, ErrorCounts()) + found
    return counts


def attempts(beam: Decoder, heard: Iterable[Heard]) -> list[Attempt]:
    """The readings of each utterance."""
    return [
        Attempt(
            utterance.speaker,
            utterance.words,
            tuple(tuple(beam.decode(log_probs)) for log_probs in utterance.segments),
        )
        for utterance in heard
    ]


def clip_confidences(made: Iterable[Attempt], calibration: Calibration) -> list[tuple[float, float]]:
    """Mean confidence of its words, which ``minimum`` is held against, and word error rate, of each clip with any."""
    found = []
    for attempt in made:
        words = [value for readings in attempt.segments for value in calibration.words(readings)]
        if words:
            found.append((sum(words) / len(words), align(attempt.said, attempt.heard).rate))
    return found


def choose_minimum(clips: Sequence[tuple[float, float]], lost: float = 0.005, useful: float = 0.8) -> float:
    """The confidence under which at most the share ``lost`` of the useful clips would become null results.

    Useful is a clip with a word error rate of at most ``useful``: what is heard worse nobody misses.
    """
    confidences = [confidence for confidence, rate in clips if rate <= useful]
    return round(float(np.quantile(confidences, lost)), 3) if confidences else 0.0
