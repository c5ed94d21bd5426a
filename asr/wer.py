"""Word and character error rates: how far a hypothesis is from what was said.

In: reference and hypothesis, as text or as token sequences. Out: ``ErrorCounts``, which add up over a set.
Text is normalised first, the same way on both sides; numbers in digits are not spelled out, because the
manifests spell them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Left, right, modifier, prime, accents.
QUOTES = str.maketrans("\u2018\u2019\u02bc\u2032\u0060\u00b4", "''''''")


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Edits of a best alignment, and the number of reference tokens that they are counted against."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    reference_length: int = 0

    @property
    def errors(self) -> int:
        """Edit distance."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Errors per reference token: above 1 with many insertions.

        With an empty reference 0.0 if nothing was inserted, else infinity.
        """
        if self.reference_length == 0:
            return float("inf") if self.errors else 0.0
        return self.errors / self.reference_length

    def __add__(self, other: ErrorCounts) -> ErrorCounts:
        """Counts over both, so that ``sum(counts, ErrorCounts())`` is the set's."""
        return ErrorCounts(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.reference_length + other.reference_length,
        )


def normalise(text: str) -> str:
    """Lower case; only a-z and apostrophes inside words are kept; single spaces.

    Typographic quotes count as apostrophes. Hyphens and everything else separate words: "Well-known" is
    two words, "o\u2019clock" one, "'tis" becomes "tis".
    """
    words = re.findall(r"[a-z]+(?:'[a-z]+)*", text.translate(QUOTES).lower())
    return " ".join(words)


def word_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Edits between the words of two normalised texts."""
    return align(normalise(reference).split(), normalise(hypothesis).split())


def char_errors(reference: str, hypothesis: str) -> ErrorCounts:
    """Edits between the characters of two normalised texts, spaces between words included."""
    return align(normalise(reference), normalise(hypothesis))


def align(reference: Sequence[str], hypothesis: Sequence[str]) -> ErrorCounts:
    """Fewest edits that turn ``reference`` into ``hypothesis`` (Levenshtein 1966).

    Of several best alignments the one with the fewest insertions and deletions is counted (a substitution
    is one edit, an insertion beside a deletion two), so the counts do not depend on how it was found.
    """
    start, reference_end, hypothesis_end = 0, len(reference), len(hypothesis)
    while start < min(reference_end, hypothesis_end) and reference[start] == hypothesis[start]:
        start += 1
    while min(reference_end, hypothesis_end) > start and (
        reference[reference_end - 1] == hypothesis[hypothesis_end - 1]
    ):
        reference_end, hypothesis_end = reference_end - 1, hypothesis_end - 1
    edits, gaps = _distance(reference[start:reference_end], hypothesis[start:hypothesis_end])
    # deletions - insertions is fixed by the two lengths; deletions + insertions is ``gaps``.
    surplus = len(reference) - len(hypothesis)
    deletions = (gaps + surplus) // 2
    return ErrorCounts(edits - gaps, deletions, gaps - deletions, len(reference))


def _distance(reference: Sequence[str], hypothesis: Sequence[str]) -> tuple[int, int]:
    """Edits, and how many of them are insertions or deletions, of a best alignment.

    One integer a cell: an edit costs ``unit``, a gap one more, so comparing cells compares edits first.
    """
    unit = len(reference) + len(hypothesis) + 1  # more than there can be gaps
    gap = unit + 1
    row = [column * gap for column in range(len(hypothesis) + 1)]
    for token in reference:
        diagonal = row[0]
        left = row[0] = diagonal + gap
        for column, other in enumerate(hypothesis, 1):
            above = row[column]
            if token == other:
                best = diagonal
            else:
                best = diagonal + unit
                shorter = (above if above < left else left) + gap
                best = shorter if shorter < best else best
            diagonal, row[column], left = above, best, best
    return divmod(row[-1], unit)
