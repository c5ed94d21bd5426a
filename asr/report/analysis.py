"""Everything that a report tells, as values: the one composition of this package's statistics.

Judgements of one model (and of a second one) in, an `Analysis` out; ``as_dict`` is ``report.json``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from asr.alignment import Kind
from asr.evaluate import Judgement, Score
from asr.labels import Finding
from asr.report.bootstrap import Interval
from asr.report.calibration import Bin, Quality, quality, reliability
from asr.report.confusions import Confusion, confusions
from asr.report.slices import Slice, interval_of, score_of, slices
from asr.report.utterances import Utterance, utterances
from asr.report.versus import Versus, versus

MOST = 15  # confused pairs, lost and invented words
WORST = 12  # utterances
CURVE = 10  # tenths of an utterance


@dataclass(frozen=True, slots=True)
class Sureness:
    """Confidence of words, or of clips, against what was right; the pairs are for plots."""

    quality: Quality
    bins: tuple[Bin, ...]
    pairs: tuple[tuple[float, bool], ...]

    def as_dict(self) -> dict[str, Any]:
        """For ``report.json``."""
        return {
            "n": self.quality.count,
            "expected_calibration_error": self.quality.error,
            "by_chance": self.quality.chance,
            "normalised_cross_entropy": self.quality.entropy,
            "area_under_roc": self.quality.order,
            "bins": [
                {"low": b.low, "high": b.high, "n": b.count, "confidence": b.confidence, "right": b.accuracy}
                for b in self.bins
            ],
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report should look at besides the judgements."""

    manifest: str
    keys: tuple[str, ...] = ()
    seen: Collection[str] | None = None
    findings: tuple[Finding, ...] | None = None


@dataclass(frozen=True, slots=True)
class Analysis:
    """What there is to tell about a model on a manifest."""

    model: str
    manifest: str
    utterances: tuple[Utterance, ...]
    score: Score
    interval: Interval | None
    slices: dict[str, list[Slice]]
    confused: tuple[Confusion, ...]
    lost: tuple[Confusion, ...]
    invented: tuple[Confusion, ...]
    positions: tuple[float | None, ...]
    words: Sureness
    clips: Sureness
    worst: tuple[Utterance, ...]
    versus: Versus | None
    findings: tuple[Finding, ...] | None

    def as_dict(self) -> dict[str, Any]:
        """``report.json``."""
        return {
            "model": self.model,
            "manifest": self.manifest,
            **self.score.as_dict(),
            "interval": self.interval and self.interval.as_dict(),
            "slices": {
                f"{part.key}={part.value}": part.as_dict() for parts in self.slices.values() for part in parts
            },
            "confused": [pair.as_dict() for pair in self.confused],
            "lost": [pair.as_dict() for pair in self.lost],
            "invented": [pair.as_dict() for pair in self.invented],
            "error_rate_by_position": list(self.positions),
            "confidence": {"words": self.words.as_dict(), "clips": self.clips.as_dict()},
            "worst": [utterance.judgement.as_dict() for utterance in self.worst],
            "compare": self.versus and self.versus.as_dict(),
            "labels": None if self.findings is None else [finding.as_dict() for finding in self.findings],
        }


def analyse(
    judgements: Sequence[Judgement], wanted: Wanted, other: Sequence[Judgement] | None = None
) -> Analysis:
    """Look at everything; ``other`` are a second model's judgements of the same references."""
    mine = utterances(judgements)
    return Analysis(
        model=model_of(mine),
        manifest=wanted.manifest,
        utterances=tuple(mine),
        score=score_of(mine),
        interval=interval_of(mine),
        slices=slices(mine, wanted.keys, wanted.seen),
        confused=confusions(mine, Kind.SUBSTITUTION, MOST),
        lost=confusions(mine, Kind.DELETION, MOST),
        invented=confusions(mine, Kind.INSERTION, MOST),
        positions=positions(mine),
        words=sureness(_words(mine)),
        clips=sureness(_clips(mine)),
        worst=tuple(
            sorted(mine, key=lambda u: (-u.errors, -u.rate, u.audio))[: min(WORST, _with_errors(mine))]
        ),
        versus=None if other is None else versus(mine, utterances(other)),
        findings=wanted.findings,
    )


def sureness(pairs: Sequence[tuple[float, bool]]) -> Sureness:
    """Of confidences, each with whether it was right."""
    sure, right = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return Sureness(quality(sure, right), reliability(sure, right), tuple(pairs))


def positions(utterances: Sequence[Utterance], parts: int = CURVE) -> tuple[float | None, ...]:
    """Share of words missed in each tenth of their utterance: first and last ones suffer from cutting."""
    missed, there = [0] * parts, [0] * parts
    for utterance in utterances:
        for edit in utterance.edits:
            if edit.reference is not None:
                place = (2 * edit.reference + 1) * parts // (2 * len(utterance.said))  # of the word's middle
                there[place] += 1
                missed[place] += edit.kind is not Kind.CORRECT
    return tuple(m / n if n else None for m, n in zip(missed, there, strict=True))


def model_of(utterances: Sequence[Utterance]) -> str:
    """Name and digest of the model that made the transcripts; "-" if every clip failed."""
    return next((u.transcript.model for u in utterances if u.transcript is not None), "-")


def _with_errors(utterances: Sequence[Utterance]) -> int:
    return sum(utterance.errors > 0 for utterance in utterances)


def _words(utterances: Sequence[Utterance]) -> list[tuple[float, bool]]:
    return [
        (token.confidence, right)
        for utterance in utterances
        for token, right in zip(utterance.heard, utterance.right, strict=True)
        if token.confidence is not None
    ]


def _clips(utterances: Sequence[Utterance]) -> list[tuple[float, bool]]:
    """Of clips with a text: a null result claims nothing."""
    return [
        (utterance.transcript.confidence, utterance.errors == 0)
        for utterance in utterances
        if utterance.transcript is not None and utterance.transcript.text
    ]
