"""How good a model is on a manifest: error rates, null rate and speed, over the whole and by slice.

References in, one `Judgement` each, an `Evaluation` out. A clip that cannot be read counts as if nothing had
been recognised in it: a model that fails on hard clips must not look better for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.errors import AudioError, OptionError
from asr.manifest import Reference
from asr.transcript import Transcript
from asr.wer import ErrorCounts, char_errors, word_errors

DURATION = "duration"  # the key that is cut into ranges
DURATION_EDGES_S = (1, 2, 4, 8)

Transcribe = Callable[[Path], Transcript]


@dataclass(frozen=True, slots=True)
class Judgement:
    """One utterance: what came out (or the error), its edits, and the seconds that it took."""

    reference: Reference
    outcome: Transcript | AudioError | OSError
    words: ErrorCounts
    characters: ErrorCounts
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether the clip could not be read."""
        return not isinstance(self.outcome, Transcript)

    def as_dict(self) -> dict[str, Any]:
        """A row of ``evaluate --output``."""
        outcome = self.outcome
        row: dict[str, Any] = {
            "audio": self.reference.audio,
            "ref": self.reference.text,
            "hyp": outcome.text if isinstance(outcome, Transcript) else "",
            "errors": self.words.errors,
            "n_words": self.words.reference_length,
            "substitutions": self.words.substitutions,
            "deletions": self.words.deletions,
            "insertions": self.words.insertions,
        }
        if isinstance(outcome, Transcript):
            return row | {
                "null_reason": outcome.null_reason,
                "confidence": round(outcome.confidence, 4),
                "duration": round(outcome.clip.duration_s, 3),
                "seconds": round(self.seconds, 4),
            }
        return row | {"error": {"type": type(outcome).__name__, "message": str(outcome)}}


@dataclass(frozen=True, slots=True)
class Score:
    """The numbers of a set of utterances. None where there is nothing to divide by."""

    n_utterances: int
    words: ErrorCounts
    wer: float | None
    cer: float | None
    null_rate: float | None
    real_time_factor: float | None

    def as_dict(self) -> dict[str, Any]:
        """The public form, of the whole and of a slice."""
        return {
            "wer": self.wer,
            "cer": self.cer,
            "n_utterances": self.n_utterances,
            "n_words": self.words.reference_length,
            "substitutions": self.words.substitutions,
            "deletions": self.words.deletions,
            "insertions": self.words.insertions,
            "null_rate": self.null_rate,
            "real_time_factor": self.real_time_factor,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The whole set's score and those of its slices, by name (``key=value``) in order."""

    score: Score
    slices: dict[str, Score] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """What ``evaluate --json`` prints and a bundle's ``evaluation`` holds."""
        return {
            **self.score.as_dict(),
            "slices": {name: score.as_dict() for name, score in self.slices.items()},
        }


def evaluate(transcribe: Transcribe, references: Iterable[Reference], keys: Sequence[str] = ()) -> Evaluation:
    """Transcribe and judge all; sliced by the manifest's ``keys``."""
    return summarise(list(judge(transcribe, references)), keys)


def judge(transcribe: Transcribe, references: Iterable[Reference]) -> Iterator[Judgement]:
    """Transcribe each and count its errors. Only the transcription is timed."""
    for reference in references:
        outcome: Transcript | AudioError | OSError
        start = time.perf_counter()
        try:
            outcome = transcribe(reference.path)
        except (AudioError, OSError) as error:
            outcome = error
        seconds = time.perf_counter() - start
        text = outcome.text if isinstance(outcome, Transcript) else ""
        yield Judgement(
            reference,
            outcome,
            word_errors(reference.text, text),
            char_errors(reference.text, text),
            seconds,
        )


def summarise(judgements: Sequence[Judgement], keys: Sequence[str] = ()) -> Evaluation:
    """Scores over all and over every value of each key. Raises OptionError for a key that no row has."""
    slices: dict[str, list[Judgement]] = {}
    for key in dict.fromkeys(keys):
        with_key = [judgement for judgement in judgements if key in judgement.reference.values]
        if not with_key:
            raise OptionError(f"no row of the manifest has the key {key!r} to slice by")
        for judgement in with_key:
            name = f"{key}={_slice_value(key, judgement.reference.values[key])}"
            slices.setdefault(name, []).append(judgement)
    return Evaluation(score(judgements), {name: score(slices[name]) for name in sorted(slices)})


def score(judgements: Sequence[Judgement]) -> Score:
    """The numbers of some utterances: errors and words are added up before they are divided."""
    words = sum((judgement.words for judgement in judgements), ErrorCounts())
    characters = sum((judgement.characters for judgement in judgements), ErrorCounts())
    done = [
        (judgement.outcome, judgement.seconds)
        for judgement in judgements
        if isinstance(judgement.outcome, Transcript)
    ]
    nulls = sum(transcript.null_reason is not None for transcript, _ in done)
    return Score(
        n_utterances=len(judgements),
        words=words,
        wer=_rate(words),
        cer=_rate(characters),
        null_rate=_share(nulls, len(done)),
        real_time_factor=_share(
            sum(seconds for _, seconds in done), sum(transcript.clip.duration_s for transcript, _ in done)
        ),
    )


def _slice_value(key: str, value: Any) -> str:
    if key != DURATION or not isinstance(value, int | float):
        return str(value)
    above = [edge for edge in DURATION_EDGES_S if value < edge]
    below = [edge for edge in (0, *DURATION_EDGES_S) if value >= edge or edge == 0]
    return f"{below[-1]}-{above[0]}" if above else f"{below[-1]}+"


def _rate(counts: ErrorCounts) -> float | None:
    """JSON has no infinity: insertions into silence have no rate."""
    return round(counts.rate, 6) if math.isfinite(counts.rate) else None


def _share(part: float, whole: float) -> float | None:
    return round(part / whole, 6) if whole else None
