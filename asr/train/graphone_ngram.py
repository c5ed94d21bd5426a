"""The model file of `asr.g2p` from words cut into graphones: estimate an n-gram, prune it, pack it.

Interpolated modified Kneser-Ney (Chen & Goodman 1999) of any length, entropy-pruned (Stolcke 1998), costs
in steps. `asr.ngram` packs an n-gram's words into an integer, which holds three; here an n-gram is
known by its history's number and its last graphone, so that seven are as easy.
"""

from __future__ import annotations

import json
import lzma
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.g2p import BACKOFF_ZERO, BOS, EOS, FORMAT, SPECIAL, Graphone

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Options:
    """``threshold``: of pruning, more is smaller. ``step``: of a quantised cost, in nats."""

    order: int = 6
    threshold: float = 3.4e-7
    step: float = 0.4


@dataclass(frozen=True, slots=True)
class Level:
    """All n-grams of one length by ascending (history, last); shape (n-grams,) each.

    ``history`` and ``suffix`` number n-grams of the length below, ``frequency`` is an n-gram's in the text.
    """

    history: Ints
    last: Ints
    suffix: Ints
    count: Ints
    frequency: Floats
    probability: Floats
    backoff: Floats


def write(cuts: Sequence[Sequence[Graphone]], path: Path, options: Options) -> None:
    """Estimate, prune and pack the n-grams of ``cuts``."""
    graphones = [graphone for graphone, _ in Counter(g for cut in cuts for g in cut).most_common()]
    levels = prune(estimate(cuts, graphones, options.order), options.threshold)
    header = {
        "format": FORMAT,
        "step": options.step,
        "graphones": [" ".join((graphone.letters, *graphone.phones)) for graphone in graphones],
        "nodes": [len(level.last) for level in levels],
    }
    data = json.dumps(header, separators=(",", ":")).encode() + b"\n" + _packed(levels, options.step)
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]
    path.write_bytes(lzma.compress(data, check=lzma.CHECK_CRC32, filters=filters))


def estimate(cuts: Iterable[Sequence[Graphone]], graphones: Sequence[Graphone], order: int) -> list[Level]:
    """Probabilities of every n-gram up to ``order`` graphones; back-off weights are left to `prune`."""
    number = {graphone: at for at, graphone in enumerate(graphones, SPECIAL)}
    kinds = len(graphones) + SPECIAL
    flat = np.array([at for cut in cuts for at in (BOS, *(number[g] for g in cut), EOS)], np.int64)
    levels = [
        _raw(
            np.zeros(kinds, np.int64),
            np.arange(kinds),
            np.zeros(kinds, np.int64),
            np.bincount(flat, minlength=kinds),
        )
    ]
    starts = [np.arange(kinds) == BOS]
    ending = flat  # the number of the n-gram that ends at each place, -1 for none
    for _ in range(order - 1):
        history = np.concatenate([[-1], ending[:-1]])
        valid = (history >= 0) & (flat != BOS)
        keys, inverse, counts = np.unique(
            history[valid] * kinds + flat[valid], return_inverse=True, return_counts=True
        )
        suffix = np.zeros(len(keys), np.int64)
        suffix[inverse] = ending[valid]
        levels.append(_raw(keys // kinds, keys % kinds, suffix, counts))
        starts.append(starts[-1][keys // kinds])
        ending = np.full(len(flat), -1)
        ending[valid] = inverse
    for at, level in enumerate(levels):
        levels[at] = replace(level, frequency=level.count / len(flat))
    for at in range(order - 1):  # Kneser-Ney: how many differ in what comes before, unless nothing can
        before = np.bincount(levels[at + 1].suffix, minlength=len(levels[at].last))
        levels[at] = replace(levels[at], count=np.where(starts[at], levels[at].count, before))
    levels[0].count[BOS] = 0
    for at, level in enumerate(levels):
        discount = np.array((0.0, *_discounts(level.count)))[np.minimum(level.count, 3)]
        total = np.maximum(np.bincount(level.history, level.count), 1e-9)
        left = np.bincount(level.history, discount) / total
        lower = np.full(kinds, 1.0 / kinds) if at == 0 else levels[at - 1].probability[level.suffix]
        probability = (level.count - discount) / total[level.history] + left[level.history] * lower
        levels[at] = replace(level, probability=probability)
    return levels


def _raw(history: Ints, last: Ints, suffix: Ints, count: Ints) -> Level:
    empty = np.zeros(len(last))
    return Level(history, last, suffix, count, empty, empty, np.ones(len(last)))


def _discounts(counts: Ints) -> tuple[float, float, float]:
    """Chen & Goodman's D1, D2, D3+ from the counts of counts, or middling ones where these are too few."""
    one, two, three, four = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if min(one, two, three) == 0:
        return 0.5, 1.0, 1.5
    share = one / (one + 2 * two)
    found = 1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three
    return found if all(0 <= value <= at for at, value in enumerate(found, 1)) else (0.5, 1.0, 1.5)


def prune(levels: Sequence[Level], threshold: float) -> list[Level]:
    """Drop n-grams whose loss raises the relative perplexity by less than ``threshold`` each, longest first;
    those that a kept one needs as history or suffix stay. Computes the back-off weights of what is left."""
    levels = list(levels)
    for at in range(len(levels) - 1, 0, -1):
        level, lower = levels[at], levels[at - 1]
        keep = np.expm1(_loss(level, lower)) >= threshold
        if at + 1 < len(levels):
            longer = levels[at + 1]
            keep[longer.history] = True
            keep[longer.suffix] = True
            number = np.cumsum(keep) - 1
            levels[at + 1] = replace(longer, history=number[longer.history], suffix=number[longer.suffix])
        kept = {name: getattr(level, name)[keep] for name in Level.__slots__}
        levels[at] = level = Level(**kept)
        size = len(lower.last)
        rest = _rest(level.probability, level.history, size)
        backed = _rest(lower.probability[level.suffix], level.history, size)
        used = np.bincount(level.history, minlength=size) > 0
        levels[at - 1] = replace(lower, backoff=np.where(used, rest / backed, 1.0))
    return levels


def _loss(level: Level, lower: Level) -> Floats:
    """Stolcke's relative entropy, in nats, of dropping each n-gram alone; shape (n-grams,)."""
    size, backed = len(lower.last), lower.probability[level.suffix]
    left = _rest(level.probability, level.history, size)[level.history]
    left_backed = _rest(backed, level.history, size)[level.history]
    before, after = np.log(left / left_backed), np.log((left + level.probability) / (left_backed + backed))
    gain = level.probability * (np.log(backed) + after - np.log(level.probability))
    loss: Floats = -lower.frequency[level.history] * (gain + left * (after - before))
    return loss


def _rest(probability: Floats, history: Ints, size: int) -> Floats:
    """What the n-grams of each history leave over; at least a rounding error, so that it divides."""
    rest: Floats = np.maximum(1.0 - np.bincount(history, probability, size), 1e-9)
    return rest


def _packed(levels: Sequence[Level], step: float) -> bytes:
    """The arrays of the file, as the docstring of `asr.g2p` lists them."""
    parts: list[bytes] = []
    below = np.zeros(1, np.int64)  # of each n-gram of the length below: where its children start
    for at, level in enumerate(levels):
        if at:
            rank = level.suffix - below[levels[at - 1].suffix[level.history]]
            sibling = np.concatenate([[False], level.history[1:] == level.history[:-1]])
            delta = rank - np.where(sibling, np.concatenate([[0], rank[:-1]]), 0)
            parts.append(_planes(delta))
        parts.append(
            np.clip(np.rint(-np.log(np.maximum(level.probability, 1e-30)) / step), 0, 255)
            .astype(np.uint8)
            .tobytes()
        )
        if at + 1 < len(levels):
            children = np.bincount(levels[at + 1].history, minlength=len(level.last))
            costs = np.rint(-np.log(level.backoff[children > 0]) / step) + BACKOFF_ZERO
            parts += [_planes(children), np.clip(costs, 0, 255).astype(np.uint8).tobytes()]
        if at:
            starts = np.bincount(level.history, minlength=len(levels[at - 1].last))
            below = np.cumsum(starts) - starts
    return b"".join(parts)


def _planes(values: Ints) -> bytes:
    return (values >> 8).astype(np.uint8).tobytes() + (values & 255).astype(np.uint8).tobytes()
