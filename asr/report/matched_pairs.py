"""Whether two models differ: the matched-pairs sentence-segment word error test.

Gillick & Cox, ICASSP 1989, as NIST's ``sc_stats`` does it (MAPSSWE). What was said is cut into segments so that
errors in one tell nothing of errors in the next: a segment ends where both models got two words in a row right.
Then the difference of errors in a segment is one independent observation, and their mean is nearly normal.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asr.alignment import Kind, edits

BETWEEN = 2  # words in a row that both models got right, which part one segment from the next
ENOUGH = 50  # segments from which on the normal approximation is customary (Gillick & Cox)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The test's outcome. ``mean`` is errors of the second less those of the first, a segment.

    ``p_value`` is two-tailed; None where no segment differs or there are fewer than two.
    """

    segments: int
    mean: float
    deviation: float
    z: float | None
    p_value: float | None

    def as_dict(self) -> dict[str, Any]:
        """For ``report.json``."""
        return {
            "segments": self.segments,
            "mean": round(self.mean, 6),
            "deviation": round(self.deviation, 6),
            "z": self.z,
            "p_value": self.p_value,
            "enough_segments": self.segments >= ENOUGH,
        }


def compare(differences: Sequence[int]) -> Comparison:
    """The test on differences of errors, a segment each, of all utterances."""
    n = len(differences)
    mean = float(np.mean(differences)) if n else 0.0
    deviation = float(np.std(differences, ddof=1)) if n > 1 else 0.0
    if deviation == 0.0:
        return Comparison(n, mean, deviation, None, None)
    z = mean / (deviation / math.sqrt(n))
    return Comparison(n, mean, deviation, z, math.erfc(abs(z) / math.sqrt(2.0)))


def segment_differences(said: Sequence[str], first: Sequence[str], second: Sequence[str]) -> Iterable[int]:
    """Errors of ``second`` less those of ``first`` in each segment of an utterance where either erred."""
    errors_first, errors_second = _errors(said, first), _errors(said, second)
    clean = BETWEEN  # words right in a row so far; the utterance's beginning parts segments too
    open_segment: int | None = None
    for in_gap, (of_first, of_second) in enumerate(zip(errors_first, errors_second, strict=True)):
        if of_first or of_second:
            if clean >= BETWEEN and open_segment is not None:
                yield open_segment
                open_segment = None
            open_segment = (open_segment or 0) + of_second - of_first
            clean = 0
        elif in_gap % 2:  # a word right in both; an empty gap between words is no word
            clean += 1
    if open_segment is not None:
        yield open_segment


def _errors(said: Sequence[str], heard: Sequence[str]) -> list[int]:
    """Errors at each of the places gap, word, gap ... word, gap: 2 * words + 1 (insertions fall in gaps)."""
    counts, place = [0] * (2 * len(said) + 1), 0
    for edit in edits(said, heard):
        if edit.reference is None:
            counts[place] += 1
        else:
            counts[place + 1] += edit.kind is not Kind.CORRECT
            place += 2
    return counts
