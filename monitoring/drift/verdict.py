"""What moved, in a sentence or two: the inputs (data drift), what becomes of them (concept drift), both, or neither.

Not judged is not unchanged: of what is said of one side, the other must have been judged too.

Inputs are the stages before anything is understood: what was recorded, and where speech was found in it. Outcomes are
what was understood and found, and what people did. If outcomes move while inputs do not, the same sound has come to
mean something else: another model, another catalogue, other wishes. Where both move, the inputs are the first suspect.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from monitoring.drift.change import Change
from monitoring.drift.report import DriftReport, FeatureDrift, amount
from monitoring.features import Stage

INPUTS = (Stage.INPUT, Stage.SPEECH)
SAID = ("duration_s",)  # inputs that depend on what is said, not only on how it sounds


class Kind(StrEnum):
    """Of drift."""

    NONE = "none"
    DATA = "data"
    CONCEPT = "concept"
    BOTH = "both"
    UNCLEAR = "unclear"  # something moved, and the other side could not be judged


@dataclass(frozen=True, slots=True)
class Verdict:
    """``moved``: names of features and streams, in the order of the pipeline; ``stages`` those that they are of."""

    kind: Kind
    words: str
    moved: tuple[str, ...]
    stages: tuple[Stage, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind.value,
            "words": self.words,
            "moved": list(self.moved),
            "stages": [stage.value for stage in self.stages],
        }


def verdict(report: DriftReport, changes: Sequence[Change] = ()) -> Verdict:
    """Of one window, and of changes in outcomes noticed about that time."""
    moved = sorted(
        [
            *((one.feature.stage, one.feature.name, _feature(one)) for one in report.features if one.drifted),
            *((change.stage, change.stream, _change(change)) for change in _newest(changes)),
        ],
        key=lambda one: list(Stage).index(one[0]),
    )
    inputs = [one for one in moved if one[0] in INPUTS]
    outcomes = [one for one in moved if one[0] not in INPUTS]
    judged = {one.feature.stage in INPUTS for one in report.features}  # which sides
    if outcomes and inputs and all(one[1] in SAID for one in inputs):
        kind = Kind.CONCEPT
        words = (
            f"Concept drift: clips sound as before, other words take another time ({_list(inputs)}), and what becomes "
            f"of them has changed: {_list(outcomes)}. {_WHERE_TO_LOOK[outcomes[0][0]]}"
        )
    elif inputs and outcomes:
        kind = Kind.BOTH
        words = (
            f"Inputs moved: {_list(inputs)}; and so did what becomes of them: {_list(outcomes)}. "
            f"Look first at what comes first: {inputs[0][1]}."
        )
    elif inputs and False not in judged:
        kind = Kind.UNCLEAR
        words = f"Inputs moved: {_list(inputs)}; too little is known of what becomes of them."
    elif inputs:
        kind = Kind.DATA
        words = f"Data drift: inputs moved: {_list(inputs)}; what becomes of them did not, so far."
    elif outcomes and True not in judged:
        kind = Kind.UNCLEAR
        words = f"What becomes of clips has moved: {_list(outcomes)}; too little is known of the clips themselves."
    elif outcomes:
        kind = Kind.CONCEPT
        words = (
            f"Concept drift: inputs are as they were, what becomes of them is not: {_list(outcomes)}. "
            f"{_WHERE_TO_LOOK[outcomes[0][0]]}"
        )
    else:
        kind = Kind.NONE
        words = _nothing(report)
    if outcomes and report.models and set(report.models) - set(report.models_before):
        before, now = ", ".join(report.models_before), ", ".join(report.models)
        words += f" The model is {now}; the reference was made with {before}."
    return Verdict(kind, words, tuple(one[1] for one in moved), tuple(dict.fromkeys(one[0] for one in moved)))


_WHERE_TO_LOOK = {
    Stage.TEXT: "Look at the model, and at words that people have not used before.",
    Stage.SEARCH: "Words are recognised as before: look at the catalogue, and at what people ask for.",
    Stage.PEOPLE: "What is found looks as before, people take it otherwise: look at the results themselves.",
}


def _nothing(report: DriftReport) -> str:
    if not report.features:
        return f"Nothing could be judged: {report.sittings} sittings are too few."
    return f"Nothing moved beyond chance and the least effect, in {report.sittings} sittings."


def _newest(changes: Iterable[Change]) -> list[Change]:
    """One a stream."""
    return list({change.stream: change for change in changes}.values())


def _list(moved: Sequence[tuple[Stage, str, str]]) -> str:
    stages = groupby(moved, key=lambda one: one[0])
    return "; ".join(f"{stage.value}: {', '.join(words for _, _, words in ones)}" for stage, ones in stages)


def _feature(one: FeatureDrift) -> str:
    before, now = (amount(one.feature, value) for value in (one.before, one.now))
    if before == now:
        return f"{one.feature.name} (spread otherwise about {now})"
    return f"{one.feature.name} ({before} -> {now})"


def _change(change: Change) -> str:
    return f"{change.stream} ({change.before:.1%} -> {change.after:.1%})"
