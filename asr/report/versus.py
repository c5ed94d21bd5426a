"""Two models on the same utterances: error rates, whether they really differ, and where they do most.

Utterances of both, in the same order, in; a `Versus` out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asr.errors import OptionError
from asr.evaluate import Score
from asr.report.bootstrap import Interval, difference
from asr.report.matched_pairs import Comparison, compare, segment_differences
from asr.report.slices import interval_of, score_of
from asr.report.utterances import Utterance

MOST = 10  # utterances shown each way


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two."""

    model: str
    score: Score
    interval: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """For ``report.json``."""
        return {"model": self.model, **self.score.as_dict()} | {
            "interval": self.interval and self.interval.as_dict()
        }


@dataclass(frozen=True, slots=True)
class Versus:
    """``change`` is the second's error rate less the first's; ``improvement`` the chance that it is below 0.

    ``better`` and ``worse`` are pairs (first, second) of utterances where the second gained and lost most.
    """

    first: Side
    second: Side
    test: Comparison
    change: Interval | None
    improvement: float | None
    better: tuple[tuple[Utterance, Utterance], ...]
    worse: tuple[tuple[Utterance, Utterance], ...]

    def as_dict(self) -> dict[str, Any]:
        """The ``compare`` object of ``report.json``."""
        return {
            "first": self.first.as_dict(),
            "second": self.second.as_dict(),
            "matched_pairs": self.test.as_dict(),
            "change": self.change and self.change.as_dict(),
            "probability_of_improvement": self.improvement,
            "better": [_pair(pair) for pair in self.better],
            "worse": [_pair(pair) for pair in self.worse],
        }


def versus(first: Sequence[Utterance], second: Sequence[Utterance]) -> Versus:
    """Compare. Raises OptionError if they are not the same utterances in the same order."""
    if [u.audio for u in first] != [u.audio for u in second]:
        raise OptionError(
            f"the models were run on different clips ({len(first)} and {len(second)}); "
            "a comparison in pairs needs the same ones in the same order"
        )
    pairs = list(zip(first, second, strict=True))
    differences = [
        segment
        for mine, theirs in pairs
        for segment in segment_differences(
            mine.said, [token.text for token in mine.heard], [token.text for token in theirs.heard]
        )
    ]
    drawn = difference(
        [u.errors for u in first],
        [u.errors for u in second],
        [len(u.said) for u in first],
        [u.group for u in first],
    )
    ranked = sorted(pairs, key=lambda pair: (pair[1].errors - pair[0].errors, pair[0].audio))
    return Versus(
        first=_side(first),
        second=_side(second),
        test=compare(differences),
        change=drawn and drawn[0],
        improvement=drawn and drawn[1],
        better=tuple(pair for pair in ranked[:MOST] if pair[1].errors < pair[0].errors),
        worse=tuple(pair for pair in ranked[::-1][:MOST] if pair[1].errors > pair[0].errors),
    )


def _side(utterances: Sequence[Utterance]) -> Side:
    model = next((u.transcript.model for u in utterances if u.transcript is not None), "-")
    return Side(model, score_of(utterances), interval_of(utterances))


def _pair(pair: tuple[Utterance, Utterance]) -> dict[str, Any]:
    mine, theirs = pair
    return {
        "audio": mine.audio,
        "ref": mine.judgement.reference.text,
        "first": " ".join(token.text for token in mine.heard),
        "second": " ".join(token.text for token in theirs.heard),
        "errors": [mine.errors, theirs.errors],
    }
