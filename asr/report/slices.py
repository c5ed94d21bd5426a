"""For whom and where a model errs: the error rate of each part of a set, with its confidence interval.

Parts come from the manifest (set, speaker, any key) and from the clip itself (duration, level, signal-to-noise
ratio, speaking rate), and from the words (how many of them training never saw).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from asr.evaluate import Score, score
from asr.report.bootstrap import Interval, interval
from asr.report.utterances import Utterance


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of the set: ``value`` of ``key`` (``unit`` is of the value, for people)."""

    key: str
    value: str
    score: Score
    interval: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """For ``report.json``: a score's public form and the interval."""
        return self.score.as_dict() | {"interval": self.interval and self.interval.as_dict()}


@dataclass(frozen=True, slots=True)
class Ranges:
    """How a number is cut: ``edges`` in ``unit``; a range holds its lower edge."""

    key: str
    unit: str
    edges: tuple[float, ...]
    of: Callable[[Utterance], float | None]

    def name(self, value: float) -> tuple[int, str]:
        """Place and name of the range that a value falls into."""
        place = sum(value >= edge for edge in self.edges)
        if place == 0:
            return place, f"under {self.edges[0]:g} {self.unit}".strip()
        if place == len(self.edges):
            return place, f"{self.edges[-1]:g} {self.unit}".strip() + " and more"
        return place, f"{self.edges[place - 1]:g} to {self.edges[place]:g} {self.unit}".strip()


def _of_clip(utterance: Utterance, name: str) -> float | None:
    """One of the clip's statistics; None where the clip could not be read or has none."""
    value: float | None = getattr(utterance.transcript and utterance.transcript.clip, name, None)
    return value


RANGES = (
    Ranges("duration", "s", (1, 2, 4, 8, 16), partial(_of_clip, name="duration_s")),
    Ranges("level", "dBFS", (-45, -35, -25, -15), partial(_of_clip, name="level_dbfs")),
    Ranges("signal to noise", "dB", (10, 20, 30, 40), partial(_of_clip, name="snr_db")),
    Ranges("speaking rate", "words/s", (1.5, 2, 2.5, 3, 3.5), lambda utterance: utterance.speaking_rate),
)


def slices(
    utterances: Sequence[Utterance], keys: Sequence[str], seen: Collection[str] | None = None
) -> dict[str, list[Slice]]:
    """Slices by key: the manifest's ``keys`` first, then what was measured; a key with one slice is left out.

    ``seen`` are the words of the training texts, None where they are not known.
    """
    named: dict[str, Callable[[Utterance], tuple[Any, str] | None]] = {
        key: partial(_manifest_value, key=key) for key in keys
    }
    named |= {ranges.key: partial(_range, ranges=ranges) for ranges in RANGES}
    if seen is not None:
        named["words unseen in training"] = partial(_unseen, seen=seen)
    found = {key: _cut(utterances, key, value) for key, value in named.items()}
    return {key: parts for key, parts in found.items() if len(parts) > 1}


def _cut(
    utterances: Sequence[Utterance], key: str, value: Callable[[Utterance], tuple[Any, str] | None]
) -> list[Slice]:
    parts: dict[tuple[Any, str], list[Utterance]] = {}
    for utterance in utterances:
        if (place := value(utterance)) is not None:
            parts.setdefault(place, []).append(utterance)
    return [
        Slice(key, place[1], score_of(parts[place]), interval_of(parts[place])) for place in sorted(parts)
    ]


def score_of(utterances: Sequence[Utterance]) -> Score:
    """The numbers of some utterances."""
    return score([utterance.judgement for utterance in utterances])


def interval_of(utterances: Sequence[Utterance]) -> Interval | None:
    """Of their word error rate; over speakers where there are two, else over utterances."""
    groups = [utterance.group for utterance in utterances]
    if len(set(groups)) < 2:
        groups = [utterance.audio for utterance in utterances]
    return interval([u.errors for u in utterances], [len(u.said) for u in utterances], groups)


def _manifest_value(utterance: Utterance, key: str) -> tuple[Any, str] | None:
    value = utterance.judgement.reference.values.get(key)
    return None if value is None else (str(value), str(value))


def _range(utterance: Utterance, ranges: Ranges) -> tuple[Any, str] | None:
    value = ranges.of(utterance)
    return None if value is None else ranges.name(value)


def _unseen(utterance: Utterance, seen: Collection[str]) -> tuple[Any, str] | None:
    if not utterance.said:
        return None
    unseen = sum(word not in seen for word in utterance.said) / len(utterance.said)
    if unseen == 0:
        return 0, "none"
    return (1, "up to 10 %") if unseen <= 0.1 else (2, "over 10 %")
