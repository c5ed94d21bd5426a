"""Which word was heard for which: a best alignment of a reference with a hypothesis, word by word.

In: two sequences of tokens. Out: one `Edit` a step, left to right. Where only the counts are needed
``asr.wer.align`` is faster; both count the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What happened to a word."""

    CORRECT = "correct"
    SUBSTITUTION = "substitution"
    DELETION = "deletion"
    INSERTION = "insertion"


@dataclass(frozen=True, slots=True)
class Edit:
    """One step: positions in reference and hypothesis, None where the word has no partner there."""

    kind: Kind
    reference: int | None
    hypothesis: int | None


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> list[Edit]:
    """A best alignment (Levenshtein 1966): fewest edits, among those fewest insertions and deletions.

    Of several such the one that pairs the earliest words is taken, so equal inputs give equal alignments.
    """
    rows, columns = len(reference), len(hypothesis)
    unit = rows + columns + 1  # more than there can be gaps: comparing costs compares edits first
    gap = unit + 1
    # cost[i][j]: of what is left from reference[i:] and hypothesis[j:]
    cost = [[0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows, -1, -1):
        for j in range(columns, -1, -1):
            if i == rows or j == columns:
                cost[i][j] = (rows - i + columns - j) * gap
            else:
                pair = cost[i + 1][j + 1] + (0 if reference[i] == hypothesis[j] else unit)
                cost[i][j] = min(pair, cost[i + 1][j] + gap, cost[i][j + 1] + gap)
    found, i, j = [], 0, 0
    while i < rows or j < columns:
        same = i < rows and j < columns and reference[i] == hypothesis[j]
        if i < rows and j < columns and cost[i][j] == cost[i + 1][j + 1] + (0 if same else unit):
            found.append(Edit(Kind.CORRECT if same else Kind.SUBSTITUTION, i, j))
            i, j = i + 1, j + 1
        elif i < rows and cost[i][j] == cost[i + 1][j] + gap:
            found.append(Edit(Kind.DELETION, i, None))
            i += 1
        else:
            found.append(Edit(Kind.INSERTION, None, j))
            j += 1
    return found


def right(reference: Sequence[str], hypothesis: Sequence[str]) -> list[bool]:
    """Whether each word of the hypothesis is the one that was said there."""
    return [edit.kind is Kind.CORRECT for edit in edits(reference, hypothesis) if edit.hypothesis is not None]
