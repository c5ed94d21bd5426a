"""How alike two texts sound: an edit distance over phones in which like phones cost little to confuse.

In: phones as a bundle's lexicon has them (ARPAbet without stress). Out: distances from 0, the same sounds, to 1.
Phones are compared by articulation (voice, manner and place of consonants; height, depth and glide of vowels), as
in Kondrak (2000), "A new algorithm for the alignment of phonetic sequences"; the costs are our own. `skeleton` is
the coarse key by which an index can find candidates: the classes of the consonants, without vowels.
"""

# ruff: noqa: SIM905 - a table reads best as one string

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Phones = tuple[str, ...]
Pronounce = Callable[[str], Sequence[Phones]]  # word -> pronunciations, the likeliest first
Costs = NDArray[np.float32]

# Consonants: voiced; manner (0 stop, 1 affricate, 2 fricative, 3 nasal, 4 liquid or glide); place (0 lips, 6 throat).
_CONSONANTS = {
    phone: (float(voiced), float(manner), float(place))
    for phone, voiced, manner, place in (
        entry.split(":")
        for entry in """P:0:0:0 B:1:0:0 T:0:0:2 D:1:0:2 K:0:0:5 G:1:0:5 CH:0:1:3 JH:1:1:3 F:0:2:0.5 V:1:2:0.5 TH:0:2:1.5
        DH:1:2:1.5 S:0:2:2 Z:1:2:2 SH:0:2:3 ZH:1:2:3 HH:0:2:6 M:1:3:0 N:1:3:2 NG:1:3:5 L:1:4:2 R:1:4:3 W:1:4:0
        Y:1:4:4""".split()
    )
}
# Vowels: height (0 open ... 1 close) and depth (0 front ... 1 back) where they begin and where they end.
_VOWELS: dict[str, tuple[float, ...]] = {
    phone: tuple(map(float, values))
    for phone, *values in (
        entry.split(":")
        for entry in """AA:0:.8:0:.8 AE:.2:.1:.2:.1 AH:.4:.6:.4:.6 AO:.3:1:.3:1 AW:.1:.5:.8:.9 AY:.1:.5:.9:.1
        EH:.45:.1:.45:.1 ER:.5:.5:.5:.5 EY:.55:.1:.9:.1 IH:.8:.2:.8:.2 IY:1:0:1:0 OW:.5:.9:.8:.9 OY:.4:1:.9:.1
        UH:.8:.8:.8:.8 UW:1:1:1:1""".split()
    )
}
PHONES = (*_CONSONANTS, *_VOWELS)
_GLIDES = {("Y", "IY"), ("Y", "IH"), ("W", "UW"), ("W", "UH"), ("R", "ER")}
_UNLIKE = 1.0  # a vowel for a consonant
# What a phone costs that one text has and the other lacks. Weak sounds get lost, in speech and in recognition.
_GAP, _WEAK_GAPS = 0.8, {"AH": 0.4, "IH": 0.5, "HH": 0.5, "ER": 0.6, "Y": 0.6, "T": 0.7, "D": 0.7}
# Classes of the skeleton: consonants that are taken for each other. HH, W and Y come and go: they are left out.
_CLASSES = {
    phone: letter
    for letter, phones in zip(
        "123456789", "P B;F V;T D TH DH;K G;S Z;SH ZH CH JH;M;N NG;L".split(";"), strict=True
    )
    for phone in phones.split()
} | {"R": "0", "ER": "0"}

_MAX_PHONES = 96  # compared of a text; no title is longer


def phones_of(text: str, pronounce: Pronounce) -> Phones:
    """The phones of a text of words (a-z and apostrophes), each word as it is likeliest said."""
    said = (pronounce(word) for word in text.split())
    return tuple(phone for ways in said if ways for phone in ways[0])[:_MAX_PHONES]


def phonetic_distance(a: str, b: str, pronounce: Pronounce) -> float:
    """How unlike two texts of words sound, from 0 to 1; 1 where one of two has no words, 0 where neither has."""
    return phone_distance(phones_of(a, pronounce), phones_of(b, pronounce))


def phone_distance(a: Phones, b: Phones) -> float:
    """Cost of the cheapest alignment over that of dropping all of the longer one, at most 1."""
    if not a or not b:
        return 0.0 if a == b else 1.0
    return float(distances([a], [b])[0, 0])


def distances(queries: Sequence[Phones], names: Sequence[Phones]) -> Costs:
    """Two distances of each pair, float32 ``(pairs, 2)``; all texts have phones.

    The first is `phone_distance`. The second asks how well the name fits into the query, wherever: what comes
    before and after costs nothing. One pass of the dynamic programme (Wagner & Fischer 1974) serves all pairs.
    """
    assert len(queries) == len(names), (len(queries), len(names))
    if not queries:
        return np.zeros((0, 2), np.float32)
    substitution, gap = _costs()
    rows, row_lengths = _matrix(queries)
    columns, column_lengths = _matrix(names)
    every = np.arange(len(names))
    # dropped[:, j]: what the first j phones of the name cost alone. Along a row, gaps cost the difference of two.
    dropped = np.zeros((len(names), columns.shape[1] + 1), np.float32)
    np.cumsum(gap[columns], axis=1, out=dropped[:, 1:])
    dropped = dropped[:, None]
    total = dropped[every, 0, column_lengths]
    row = np.repeat(dropped, 2, axis=1)  # (pairs, whole or inside, phones of the name + 1)
    best = np.stack([total, total], axis=1)
    for at in range(rows.shape[1]):
        phone = rows[:, at]
        lost = gap[phone][:, None]
        reached = row + lost[..., None]
        reached[:, 1, 0] = 0.0  # the name may begin after any phone of the query
        changed = row[..., :-1] + substitution[phone[:, None], columns][:, None]
        np.minimum(reached[..., 1:], changed, out=reached[..., 1:])
        row = np.minimum.accumulate(reached - dropped, axis=2) + dropped
        here = row[every, :, column_lengths]
        np.minimum(here[:, 1], best[:, 1], out=here[:, 1])  # and end before any
        best = np.where((at < row_lengths)[:, None], here, best)
    spent = np.where(_mask(row_lengths), gap[rows], 0).sum(axis=1)
    share: Costs = np.minimum(1.0, best / np.stack([np.maximum(total, spent), total], axis=1)).astype(
        np.float32
    )
    return share


def skeleton(phones: Phones) -> str:
    """The classes of the consonants, a digit each; no digit twice in a row."""
    found = ""
    for phone in phones:
        digit = _CLASSES.get(phone, "")
        if digit != found[-1:]:
            found += digit
    return found


def as_letters(phones: Phones) -> str:
    """A letter for each phone: what string libraries can compare."""
    return "".join([_LETTER[phone] for phone in phones])


_LETTER = {phone: chr(ord("A") + at) for at, phone in enumerate(PHONES)}
_NUMBER = {phone: at for at, phone in enumerate(PHONES)}


@lru_cache(1)
def _costs() -> tuple[Costs, Costs]:
    """Substitutions ``(phones, phones)`` and gaps ``(phones,)``."""
    substitution = np.array([[_substitution(a, b) for b in PHONES] for a in PHONES], np.float32)
    return substitution, np.array([_WEAK_GAPS.get(phone, _GAP) for phone in PHONES], np.float32)


def _substitution(a: str, b: str) -> float:
    if a == b:
        return 0.0
    if a in _CONSONANTS and b in _CONSONANTS:
        voiced, manner, place = (abs(x - y) for x, y in zip(_CONSONANTS[a], _CONSONANTS[b], strict=True))
        return min(1.0, 0.2 * voiced + 0.3 * math.sqrt(min(manner, 2.0)) + 0.25 * math.sqrt(min(place, 3.0)))
    if a in _VOWELS and b in _VOWELS:
        x, y = _VOWELS[a], _VOWELS[b]
        return min(1.0, 0.1 + 0.2 * (math.dist(x[:2], y[:2]) + math.dist(x[2:], y[2:])))
    return 0.4 if (a, b) in _GLIDES or (b, a) in _GLIDES else _UNLIKE


def _matrix(texts: Sequence[Phones]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Numbers of the phones, a text a row, filled up with zeros; and the lengths."""
    lengths = np.array([len(phones) for phones in texts])
    numbers = np.zeros((len(texts), int(lengths.max())), np.intp)
    numbers[_mask(lengths)] = [_NUMBER[phone] for phones in texts for phone in phones]
    return numbers, lengths


def _mask(lengths: NDArray[np.intp]) -> NDArray[np.bool_]:
    """True where a row of ``_matrix`` has a phone."""
    return np.arange(int(lengths.max())) < lengths[:, None]
