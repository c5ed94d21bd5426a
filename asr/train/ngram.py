"""N-gram language models: text in, interpolated modified Kneser-Ney probabilities out, as an ARPA file.

Estimation after Chen & Goodman (1999), "An empirical study of smoothing techniques for language
modeling", with the padding of KenLM's lmplz (one ``<s>``); pruning after Stolcke (1998), "Entropy-based
pruning of backoff language models", with history frequencies from the text as Chelba et al. (2010) found
necessary for Kneser-Ney. Words outside the vocabulary count as left neighbours only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

UNK, BOS, EOS = 0, 1, 2
SPECIAL = ("<unk>", "<s>", "</s>")

_BITS = 20  # a word id in an n-gram's key: three fit into 63 bits, vocabularies up to 2^20 words
_MASK = (1 << _BITS) - 1
_NOTHING = -99.0  # log10 of a probability that is zero, as ARPA files write it
# Discounts for one, two, three and more where a tiny text leaves counts of counts empty (as lmplz).
_FALLBACK = (0.5, 1.0, 1.5)

Keys = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Order:
    """All n-grams of one length, by ascending key (word ids, 20 bits each, first word highest).

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

    def log10_probability(self, ids: Sequence[int]) -> float:
        """log10 p(ids[-1] | ids[:-1]); ids beyond the model's order are ignored."""
        ids = list(ids)[-len(self.orders) :]
        total = 0.0
        while True:
            order = self.orders[len(ids) - 1]
            (at,), (found,) = order.find(_pack_one(ids))
            if found:
                return total + _log10(order.probability[at])
            history = self.orders[len(ids) - 2]
            (at,), (found,) = history.find(_pack_one(ids[:-1]))
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
        for length, order in enumerate(self.orders, 1):
            file.write(f"\n\\{length}-grams:\n")
            probability = [f"{_log10(value):.3f}" for value in order.probability.tolist()]
            backoff = [f"\t{_log10(value):.3f}" if value != 1.0 else "" for value in order.backoff.tolist()]
            for key, before, after in zip(order.keys.tolist(), probability, backoff, strict=True):
                ids = [key >> _BITS * place & _MASK for place in reversed(range(length))]
                file.write(f"{before}\t{' '.join(self.words[at] for at in ids)}{after}\n")
        file.write("\n\\end\\\n")


def estimate(lines: Iterable[str], vocabulary: Sequence[str], order: int = 3) -> NGramModel:
    """A model of ``order`` over ``vocabulary`` (plus the three of ``SPECIAL``) from one sentence a line."""
    assert 2 <= order <= 3, f"order {order}: keys hold two or three words"
    words = (*SPECIAL, *vocabulary)
    assert len(words) <= _MASK, f"{len(words)} words do not fit into {_BITS} bits"
    raw = _count(lines, {word: at for at, word in enumerate(words)}, order)
    tokens = float(raw[0][1].sum())
    orders: list[Order] = []
    for length in range(1, order + 1):
        keys, counts = _adjusted(raw, length)
        if length == 1:  # every word of the vocabulary has a unigram, seen or not
            dense = np.zeros(len(words), np.int64)
            dense[keys] = counts
            dense[[UNK, BOS]] = 0  # an unknown word gets its share of the uniform model, <s> nothing
            keys, counts = np.arange(len(words)), dense
        discount = np.array((0.0, *_discounts(counts)))[np.minimum(counts, 3)]
        history, group = np.unique(keys >> _BITS, return_inverse=True)
        total = np.bincount(group, counts)
        left_over = np.bincount(group, discount) / total
        if length == 1:
            lower = np.full(len(words), 1.0 / (len(words) - 1))
            lower[BOS] = 0.0
        else:
            lower = orders[-1].probability[orders[-1].find(keys & _low(length - 1))[0]]
            backoff = orders[-1].backoff.copy()
            backoff[orders[-1].find(history)[0]] = left_over
            orders[-1] = replace(orders[-1], backoff=backoff)
        probability = (counts - discount) / total[group] + left_over[group] * lower
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
    orders = list(model.orders)
    for length in range(len(orders), 1, -1):
        order, lower = orders[length - 1], orders[length - 2]
        keep = np.exp(_loss(order, lower, length)) - 1.0 >= threshold
        if length < len(orders):
            longer = orders[length].keys
            keep |= np.isin(order.keys, longer >> _BITS) | np.isin(order.keys, longer & _low(length))
        order = Order(
            *(getattr(order, name)[keep] for name in ("keys", "probability", "backoff", "frequency"))
        )
        history, group = np.unique(order.keys >> _BITS, return_inverse=True)
        backed = lower.probability[lower.find(order.keys & _low(length - 1))[0]]
        backoff = np.ones(len(lower.keys))
        backoff[lower.find(history)[0]] = _rest(order.probability, group) / _rest(backed, group)
        orders[length - 1], orders[length - 2] = order, replace(lower, backoff=backoff)
    return NGramModel(model.words, tuple(orders))


def _loss(order: Order, lower: Order, length: int) -> Floats:
    """Stolcke's relative entropy, in nats, of dropping each n-gram alone; shape (n-grams,)."""
    history, group = np.unique(order.keys >> _BITS, return_inverse=True)
    kept, backed = order.probability, lower.probability[lower.find(order.keys & _low(length - 1))[0]]
    weight = lower.frequency[lower.find(history)[0]][group]
    left, left_backed = _rest(kept, group)[group], _rest(backed, group)[group]
    before, after = np.log(left / left_backed), np.log((left + kept) / (left_backed + backed))
    loss: Floats = -weight * (kept * (np.log(backed) + after - np.log(kept)) + left * (after - before))
    return loss


def _rest(probability: Floats, group: NDArray[np.intp]) -> Floats:
    """What the n-grams of each history leave over; at least a rounding error, so that it divides."""
    rest: Floats = np.maximum(1.0 - np.bincount(group, probability), 1e-9)
    return rest


def _count(lines: Iterable[str], index: dict[str, int], order: int) -> list[tuple[Keys, Keys]]:
    """Distinct n-grams of each length up to ``order`` and their counts. Only a first word may be unknown."""
    ids: list[int] = []
    for line in lines:
        ids.append(BOS)
        ids.extend(index.get(word, UNK) for word in line.split())
        ids.append(EOS)
    flat = np.array(ids, np.int64)
    counted = []
    for length in range(1, order + 1):
        key = np.zeros(len(flat) - length + 1, np.int64)
        valid = np.ones(len(key), bool)
        for place in range(length):
            word = flat[place : place + len(key)]
            key = key << _BITS | word
            if place > 0:  # a second word that starts a sentence or is unknown is none of ours
                valid &= (word != BOS) & (word != UNK)
        keys, counts = np.unique(key[valid], return_counts=True)
        counted.append((keys, counts))
    return counted


def _adjusted(raw: Sequence[tuple[Keys, Keys]], length: int) -> tuple[Keys, Keys]:
    """Counts that Kneser-Ney estimates from: how many different words come before; at the highest order,
    and where nothing can come before (``<s>``), how often. N-grams that start unknown are left out."""
    keys, counts = raw[length - 1]
    if length < len(raw):
        start = keys >> _BITS * (length - 1) == BOS
        after, kinds = np.unique(raw[length][0] & _low(length), return_counts=True)
        keys, counts = np.concatenate([keys[start], after]), np.concatenate([counts[start], kinds])
        ascending = np.argsort(keys)
        keys, counts = keys[ascending], counts[ascending]
    known = keys >> _BITS * (length - 1) != UNK
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


def _pack_one(ids: Sequence[int]) -> Keys:
    key = 0
    for at in ids:
        key = key << _BITS | at
    return np.array([key], np.int64)


def _low(length: int) -> int:
    """The mask of a key's last ``length`` words."""
    return (1 << _BITS * length) - 1


def _log10(value: float) -> float:
    return float(np.log10(value)) if value > 0 else _NOTHING
