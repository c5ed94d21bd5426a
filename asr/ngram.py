"""N-gram language models: text in, interpolated modified Kneser-Ney probabilities out, as an ARPA file.

Estimation after Chen & Goodman (1999), "An empirical study of smoothing techniques for language
modeling", with the padding of KenLM's lmplz (one ``<s>``); pruning after Stolcke (1998), "Entropy-based
pruning of backoff language models", with history frequencies from the text as Chelba et al. (2010) found
necessary for Kneser-Ney. Words outside the vocabulary count as left neighbours only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

UNK, BOS, EOS = 0, 1, 2
SPECIAL = ("<unk>", "<s>", "</s>")

_KEY_BITS = 63  # an n-gram's key, shared by its words: up to 2^21 words at order 3, 4,096 at order 5
MAX_ORDER = 6  # KenLM's, as flashlight-text is built
_NOTHING = -99.0  # log10 of a probability that is zero, as ARPA files write it
# Discounts for one, two, three and more where a tiny text leaves counts of counts empty (as lmplz).
_FALLBACK = (0.5, 1.0, 1.5)

Keys = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Order:
    """All n-grams of one length, by ascending key (word ids of ``NGramModel.bits`` each, first word highest).

    ``probability`` p(last word | others), ``backoff`` of the n-gram as a history (1 where it is none),
    ``frequency`` of the n-gram in the text, relative to its words. All float64, shape (n-grams,).
    """

    keys: Keys
    probability: Floats
    backoff: Floats
    frequency: Floats

    def find(self, keys: Keys) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Positions of ``keys``, and which of them exist."""
        at = np.minimum(np.searchsorted(self.keys, keys), max(len(self.keys) - 1, 0))
        return at, (self.keys[at] == keys) if len(self.keys) else np.zeros(len(keys), bool)


@dataclass(frozen=True, slots=True)
class NGramModel:
    """A back-off model: ``words`` by id (the three of ``SPECIAL`` first) and one ``Order`` a length."""

    words: tuple[str, ...]
    orders: tuple[Order, ...]

    @property
    def bits(self) -> int:
        """Bits of a word id in a key."""
        return _KEY_BITS // len(self.orders)

    def log10_probability(self, ids: Sequence[int]) -> float:
        """log10 p(ids[-1] | ids[:-1]); ids beyond the model's order are ignored."""
        ids = list(ids)[-len(self.orders) :]
        total = 0.0
        while True:
            order = self.orders[len(ids) - 1]
            (at,), (found,) = order.find(_pack_one(ids, self.bits))
            if found:
                return total + _log10(order.probability[at])
            history = self.orders[len(ids) - 2]
            (at,), (found,) = history.find(_pack_one(ids[:-1], self.bits))
            total += _log10(history.backoff[at]) if found else 0.0
            ids = ids[1:]

    def perplexity(self, lines: Iterable[str]) -> tuple[float, float]:
        """Perplexity a word of ``lines``, sentence ends counted and unknown words not; share of unknown."""
        index = {word: at for at, word in enumerate(self.words)}
        total, scored, unknown = 0.0, 0, 0
        for line in lines:
            ids = [BOS, *(index.get(word, UNK) for word in line.split()), EOS]
            for end in range(1, len(ids)):
                if ids[end] == UNK:
                    unknown += 1
                    continue
                total += self.log10_probability(ids[max(0, end + 1 - len(self.orders)) : end + 1])
                scored += 1
        return 10.0 ** (-total / max(scored, 1)), unknown / max(scored + unknown, 1)

    def write_arpa(self, file: TextIO) -> None:
        """ARPA text; log10 values with three decimals, which is within the noise and packs well."""
        file.write("\\data\\\n")
        for length, order in enumerate(self.orders, 1):
            file.write(f"ngram {length}={len(order.keys)}\n")
        mask = _low(1, self.bits)
        for length, order in enumerate(self.orders, 1):
            file.write(f"\n\\{length}-grams:\n")
            probability = [f"{_log10(value):.3f}" for value in order.probability.tolist()]
            backoff = [f"\t{_log10(value):.3f}" if value != 1.0 else "" for value in order.backoff.tolist()]
            for key, before, after in zip(order.keys.tolist(), probability, backoff, strict=True):
                ids = [key >> self.bits * place & mask for place in reversed(range(length))]
                file.write(f"{before}\t{' '.join(self.words[at] for at in ids)}{after}\n")
        file.write("\n\\end\\\n")


def estimate(
    lines: Iterable[str], vocabulary: Sequence[str], order: int = 3, counts: Iterable[int] | None = None
) -> NGramModel:
    """A model of ``order`` over ``vocabulary`` (plus the three of ``SPECIAL``) from one sentence a line.

    ``counts`` says how often each line was said (default: once). The larger they are, the less is left for
    what was never said: the discounts are a count or two.
    """
    assert 2 <= order <= MAX_ORDER, f"order {order}: from 2 to {MAX_ORDER}"
    words = (*SPECIAL, *vocabulary)
    bits = _KEY_BITS // order
    assert len(words) <= 1 << bits, f"{len(words)} words do not fit into {bits} bits at order {order}"
    raw = _count(lines, counts, {word: at for at, word in enumerate(words)}, order)
    tokens = float(raw[0][1].sum())
    orders: list[Order] = []
    for length in range(1, order + 1):
        keys, seen = _adjusted(raw, length, bits)
        if length == 1:  # every word of the vocabulary has a unigram, seen or not
            dense = np.zeros(len(words), np.int64)
            dense[keys] = seen
            dense[[UNK, BOS]] = 0  # an unknown word gets its share of the uniform model, <s> nothing
            keys, seen = np.arange(len(words)), dense
        discount = np.array((0.0, *_discounts(seen)))[np.minimum(seen, 3)]
        history, group = np.unique(keys >> bits, return_inverse=True)
        total = np.bincount(group, seen)
        left_over = np.bincount(group, discount) / total
        if length == 1:
            lower = np.full(len(words), 1.0 / (len(words) - 1))
            lower[BOS] = 0.0
        else:
            lower = orders[-1].probability[orders[-1].find(keys & _low(length - 1, bits))[0]]
            backoff = orders[-1].backoff.copy()
            backoff[orders[-1].find(history)[0]] = left_over
            orders[-1] = replace(orders[-1], backoff=backoff)
        probability = (seen - discount) / total[group] + left_over[group] * lower
        frequency = np.zeros(len(keys))
        if length < order:
            at = np.searchsorted(raw[length - 1][0], keys)
            at = np.minimum(at, len(raw[length - 1][0]) - 1)
            frequency = np.where(raw[length - 1][0][at] == keys, raw[length - 1][1][at] / tokens, 0.0)
        orders.append(Order(keys, probability, np.ones(len(keys)), frequency))
    return NGramModel(words, tuple(orders))


def prune(model: NGramModel, threshold: float) -> NGramModel:
    """Drop n-grams whose loss raises the model's relative perplexity by less than ``threshold`` each.

    N-grams that a longer kept one needs, as history or to back off to, stay.
    """
    orders, bits = list(model.orders), model.bits
    for length in range(len(orders), 1, -1):
        order, lower = orders[length - 1], orders[length - 2]
        keep = np.exp(_loss(order, lower, length, bits)) - 1.0 >= threshold
        if length < len(orders):
            longer = orders[length].keys
            keep |= np.isin(order.keys, longer >> bits) | np.isin(order.keys, longer & _low(length, bits))
        order = Order(
            *(getattr(order, name)[keep] for name in ("keys", "probability", "backoff", "frequency"))
        )
        history, group = np.unique(order.keys >> bits, return_inverse=True)
        backed = lower.probability[lower.find(order.keys & _low(length - 1, bits))[0]]
        backoff = np.ones(len(lower.keys))
        backoff[lower.find(history)[0]] = _rest(order.probability, group) / _rest(backed, group)
        orders[length - 1], orders[length - 2] = order, replace(lower, backoff=backoff)
    return NGramModel(model.words, tuple(orders))


def _loss(order: Order, lower: Order, length: int, bits: int) -> Floats:
    """Stolcke's relative entropy, in nats, of dropping each n-gram alone; shape (n-grams,)."""
    history, group = np.unique(order.keys >> bits, return_inverse=True)
    kept, backed = order.probability, lower.probability[lower.find(order.keys & _low(length - 1, bits))[0]]
    weight = lower.frequency[lower.find(history)[0]][group]
    left, left_backed = _rest(kept, group)[group], _rest(backed, group)[group]
    before, after = np.log(left / left_backed), np.log((left + kept) / (left_backed + backed))
    loss: Floats = -weight * (kept * (np.log(backed) + after - np.log(kept)) + left * (after - before))
    return loss


def _rest(probability: Floats, group: NDArray[np.intp]) -> Floats:
    """What the n-grams of each history leave over; at least a rounding error, so that it divides."""
    rest: Floats = np.maximum(1.0 - np.bincount(group, probability), 1e-9)
    return rest


def _count(
    lines: Iterable[str], counts: Iterable[int] | None, index: dict[str, int], order: int
) -> list[tuple[Keys, Keys]]:
    """Distinct n-grams of each length up to ``order`` and their counts. Only a first word may be unknown."""
    bits = _KEY_BITS // order
    ids: list[int] = []
    said: list[int] = []
    for line, count in zip(lines, repeat(1) if counts is None else counts, strict=counts is not None):
        start = len(ids)
        ids.append(BOS)
        ids.extend(index.get(word, UNK) for word in line.split())
        ids.append(EOS)
        said.extend([count] * (len(ids) - start))
    flat, weight = np.array(ids, np.int64), np.array(said, np.int64)
    counted = []
    for length in range(1, order + 1):
        key = np.zeros(max(len(flat) - length + 1, 0), np.int64)
        valid = np.ones(len(key), bool)
        for place in range(length):
            word = flat[place : place + len(key)]
            key = key << bits | word
            if place > 0:  # a second word that starts a sentence or is unknown is none of ours
                valid &= (word != BOS) & (word != UNK)
        keys, inverse = np.unique(key[valid], return_inverse=True)
        totals = np.bincount(inverse, weight[: len(key)][valid], len(keys))
        counted.append((keys, totals.astype(np.int64)))
    return counted


def _adjusted(raw: Sequence[tuple[Keys, Keys]], length: int, bits: int) -> tuple[Keys, Keys]:
    """Counts that Kneser-Ney estimates from: how many different words come before; at the highest order,
    and where nothing can come before (``<s>``), how often. N-grams that start unknown are left out."""
    keys, counts = raw[length - 1]
    if length < len(raw):
        start = keys >> bits * (length - 1) == BOS
        after, kinds = np.unique(raw[length][0] & _low(length, bits), return_counts=True)
        keys, counts = np.concatenate([keys[start], after]), np.concatenate([counts[start], kinds])
        ascending = np.argsort(keys)
        keys, counts = keys[ascending], counts[ascending]
    known = keys >> bits * (length - 1) != UNK
    return keys[known], counts[known]


def _discounts(counts: Keys) -> tuple[float, float, float]:
    """Chen & Goodman's D1, D2, D3+ from the counts of counts."""
    one, two, three, four = (int((counts == count).sum()) for count in (1, 2, 3, 4))
    if min(one, two, three) == 0:
        return _FALLBACK
    share = one / (one + 2 * two)
    found = 1 - 2 * share * two / one, 2 - 3 * share * three / two, 3 - 4 * share * four / three
    if not all(0 <= value <= count for count, value in enumerate(found, 1)):
        return _FALLBACK
    return found


def _pack_one(ids: Sequence[int], bits: int) -> Keys:
    key = 0
    for at in ids:
        key = key << bits | at
    return np.array([key], np.int64)


def _low(length: int, bits: int) -> int:
    """The mask of a key's last ``length`` words."""
    return (1 << bits * length) - 1


def _log10(value: float) -> float:
    return float(np.log10(value)) if value > 0 else _NOTHING
