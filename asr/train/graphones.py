"""Which letters speak which phones: a pronouncing dictionary in, every word cut into graphones out.

A graphone pairs one or two letters with at most two phones (`SHAPES`); its probability is found by
expectation maximisation over all ways to cut every word, as in Bisani & Ney (2008), "Joint-sequence models
for grapheme-to-phoneme conversion". Graphones without letters are left out: a phone that no letter writes
joins its neighbour's (the "m" of "rhythm" is AH M), and a word is then read in as many steps as letters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.g2p import ALPHABET, Graphone

Phones = tuple[str, ...]
Entry = tuple[str, Phones]  # a word and one of its pronunciations

# (letters, phones): silent, plain, "x" and "u" with two phones, "sh" and "ee" with two letters.
SHAPES = ((1, 0), (1, 1), (1, 2), (2, 1))
_ITERATIONS = 8  # of expectation maximisation; the likelihood of cmudict moves by under 0.1 % after these

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Group:
    """Entries of one length: codes of all their graphones by shape, ``(entries, letters, phones + 1 - b)``."""

    rows: Ints
    codes: dict[tuple[int, int], Ints]
    letters: int
    phones: int


def align(entries: Sequence[Entry], min_count: int = 3) -> list[tuple[Graphone, ...]]:
    """The likeliest cut of every entry. Entries that no cut fits ("w" has seven phones), or that need a
    graphone seen fewer than ``min_count`` times (foreign words, initialisms, slips), are left out."""
    names = sorted({phone for _, phones in entries for phone in phones})
    groups = list(_groups(entries, names))
    size = _renumber(groups, (len(ALPHABET) + 1) ** 2 * (len(names) + 1) ** 2)
    probability = np.ones(size)
    for _ in range(_ITERATIONS):
        counts = np.zeros(size)
        for group in groups:
            _expect(group, probability, counts)
        probability = counts / counts.sum()
    cuts = [cut for group in groups for cut in _best(group, probability, entries)]
    counted = Counter(graphone for cut in cuts for graphone in cut)
    return [cut for cut in cuts if all(counted[graphone] >= min_count for graphone in cut)]


def _groups(entries: Sequence[Entry], names: Sequence[str]) -> Iterable[_Group]:
    index = {phone: at for at, phone in enumerate(names, 1)}
    base = len(names) + 1
    by_length: dict[tuple[int, int], list[int]] = {}
    for row, (word, pronunciation) in enumerate(entries):
        by_length.setdefault((len(word), len(pronunciation)), []).append(row)
    for (letters, phones), rows in sorted(by_length.items()):
        spelled = np.array([[ALPHABET.index(letter) + 1 for letter in entries[row][0]] for row in rows])
        spoken = np.array([[index[phone] for phone in entries[row][1]] for row in rows], np.int64)
        codes = {}
        for a, b in SHAPES:
            left = _joined(spelled, a, len(ALPHABET) + 1)
            right = _joined(spoken, b, base)
            codes[a, b] = left[:, :, None] * base**2 + right[:, None, :]
        yield _Group(np.array(rows), codes, letters, phones)


def _renumber(groups: Sequence[_Group], size: int) -> int:
    """Replace the codes below ``size`` by consecutive ones, in place, and return how many there are."""
    used = np.zeros(size, bool)
    for group in groups:
        for codes in group.codes.values():
            used[codes] = True
    number = np.cumsum(used) - 1
    for group in groups:
        for shape, codes in group.codes.items():
            group.codes[shape] = number[codes]
    return int(used.sum())


def _joined(symbols: Ints, count: int, base: int) -> Ints:
    """Codes of every run of ``count`` symbols of ``(rows, n)``: ``(rows, n + 1 - count)``."""
    width = max(symbols.shape[1] + 1 - count, 0)
    code = np.zeros((len(symbols), width), np.int64)
    for place in range(count):
        code = code * base + symbols[:, place : place + width]
    return code


def _expect(group: _Group, probability: Floats, counts: Floats) -> None:
    """Add the expected number of each graphone in the group's entries to ``counts``."""
    rows, letters, phones = len(group.rows), group.letters, group.phones
    forward = np.zeros((letters + 1, rows, phones + 1))
    backward = np.zeros_like(forward)
    forward[0, :, 0] = 1.0
    backward[letters, :, phones] = 1.0
    weights = {shape: probability[codes] for shape, codes in group.codes.items()}
    for at in range(letters):
        for (a, b), weight in weights.items():
            if at + a <= letters and b <= phones:
                forward[at + a, :, b:] += forward[at, :, : phones + 1 - b] * weight[:, at]
    for at in reversed(range(letters)):
        for (a, b), weight in weights.items():
            if at + a <= letters and b <= phones:
                backward[at, :, : phones + 1 - b] += backward[at + a, :, b:] * weight[:, at]
    total = forward[letters, :, phones]
    share = np.divide(1.0, total, out=np.zeros_like(total), where=total > 0)[:, None]
    for (a, b), weight in weights.items():
        for at in range(letters + 1 - a):
            if b <= phones:
                expected = forward[at, :, : phones + 1 - b] * weight[:, at] * backward[at + a, :, b:] * share
                counts += np.bincount(group.codes[a, b][:, at].ravel(), expected.ravel(), len(counts))


def _best(group: _Group, probability: Floats, entries: Sequence[Entry]) -> Iterable[tuple[Graphone, ...]]:
    """Viterbi cuts of the group's entries; none where no cut is possible."""
    rows, letters, phones = len(group.rows), group.letters, group.phones
    score = np.zeros((letters + 1, rows, phones + 1))
    step = np.full(score.shape, -1, np.int8)
    score[0, :, 0] = 1.0
    for at in range(letters):
        for shape, (a, b) in enumerate(SHAPES):
            if at + a <= letters and b <= phones:
                reached = score[at, :, : phones + 1 - b] * probability[group.codes[a, b][:, at]]
                better = reached > score[at + a, :, b:]
                score[at + a, :, b:][better] = reached[better]
                step[at + a, :, b:][better] = shape
    for place, row in enumerate(group.rows.tolist()):
        if score[letters, place, phones] > 0:
            word, spoken = entries[row]
            cut: list[Graphone] = []
            i, j = letters, phones
            while i:
                a, b = SHAPES[step[i, place, j]]
                cut.append(Graphone(word[i - a : i], spoken[j - b : j]))
                i, j = i - a, j - b
            yield tuple(reversed(cut))
