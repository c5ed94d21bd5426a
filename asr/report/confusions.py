"""What is heard for what: confused pairs, words that get lost, words that nobody said; each with examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asr.alignment import Edit, Kind
from asr.report.utterances import Utterance
from asr.transcript import SAMPLE_RATE_HZ, Span


@dataclass(frozen=True, slots=True)
class Example:
    """An edit in an utterance; ``span`` is where in the clip it happened, as far as the model's times tell."""

    utterance: Utterance
    edit: Edit
    span: Span | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """``said`` was heard as ``heard`` so many times: None on either side for a deletion or an insertion.

    ``times_said`` counts the word in all references.
    """

    said: str | None
    heard: str | None
    count: int
    times_said: int
    examples: tuple[Example, ...]

    def as_dict(self) -> dict[str, Any]:
        """For ``report.json``."""
        return {
            "said": self.said,
            "heard": self.heard,
            "count": self.count,
            "times_said": self.times_said,
            "examples": [example.utterance.audio for example in self.examples],
        }


def confusions(
    utterances: Sequence[Utterance], kind: Kind, most: int, examples: int = 2
) -> tuple[Confusion, ...]:
    """The ``most`` frequent edits of a kind, with up to ``examples`` from different speakers if there are."""
    said = Counter(word for utterance in utterances for word in utterance.said)
    found: dict[tuple[str | None, str | None], list[tuple[Utterance, Edit]]] = {}
    for utterance in utterances:
        for edit in utterance.edits:
            if edit.kind is kind:
                found.setdefault(_pair(utterance, edit), []).append((utterance, edit))
    ranked = sorted(found.items(), key=lambda item: (-len(item[1]), item[0][0] or "", item[0][1] or ""))
    return tuple(
        Confusion(pair[0], pair[1], len(cases), said[pair[0] or ""], _examples(cases, examples))
        for pair, cases in ranked[:most]
    )


def span_of(utterance: Utterance, edit: Edit) -> Span | None:
    """Where the edit happened: the heard word's time, for a lost word the time between its neighbours."""
    if edit.hypothesis is not None:
        return utterance.heard[edit.hypothesis].span
    transcript = utterance.transcript
    if transcript is None:
        return None
    at = utterance.edits.index(edit)
    before = [e.hypothesis for e in utterance.edits[:at] if e.hypothesis is not None]
    after = [e.hypothesis for e in utterance.edits[at:] if e.hypothesis is not None]
    left = utterance.heard[before[-1]].span if before else Span(0, 0)
    end = round(transcript.clip.duration_s * SAMPLE_RATE_HZ)
    right = utterance.heard[after[0]].span if after else Span(end, end)
    if left is None or right is None:
        return None
    return Span(min(left.end, right.start), max(left.end, right.start))


def _pair(utterance: Utterance, edit: Edit) -> tuple[str | None, str | None]:
    return (
        None if edit.reference is None else utterance.said[edit.reference],
        None if edit.hypothesis is None else utterance.heard[edit.hypothesis].text,
    )


def _examples(cases: Sequence[tuple[Utterance, Edit]], most: int) -> tuple[Example, ...]:
    """Of each speaker one before any has two; clips with few other errors first: there the cause is clearest."""
    turns: Counter[str] = Counter()
    ranked = []
    for utterance, edit in sorted(cases, key=lambda case: (case[0].errors, case[0].audio)):
        turns[utterance.group] += 1
        ranked.append((turns[utterance.group], utterance, edit))
    ranked.sort(key=lambda item: item[0])
    return tuple(Example(utterance, edit, span_of(utterance, edit)) for _, utterance, edit in ranked[:most])
