"""Pronunciations of words that no dictionary holds. In: a word of a-z and apostrophes. Out: ARPAbet, best first.

The model is an n-gram over graphones, pairs of letters and the phones they speak ("ck" K, "x" K S), as in
Bisani & Ney (2008), "Joint-sequence models for grapheme-to-phoneme conversion"; `asr.train.g2p` makes it.
A word is read left to right by a beam search over the ways to cut it. Stress is not told. Single letters
have their names, and a possessive is its base with the ending that English gives it.

The file is xz over a line of JSON and byte arrays. The line: ``format``, ``step`` (of a cost, in nats),
``graphones`` (a string each, "ck K", commonest first), and ``nodes``, the n-grams of each length. Nodes of
length 1 are <s>, </s> and the graphones; those of one length are ordered by history, then as their
suffixes are (an n-gram without its first graphone, which the model holds too). The arrays, length by length:

    ranks      uint16  of a node's suffix among its siblings: its first child's, then differences; not length 1
    costs      uint8   -ln p(last | others), in steps
    children   uint16  how many nodes of the next length continue a node; not the last length
    backoffs   uint8   -ln of its weight as a history, in steps, plus 64; only of nodes with children

where a uint16 array is all its high bytes, then all its low ones, so that xz packs them well.
"""

from __future__ import annotations

import json
import lzma
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.errors import BundleError, OptionError

Phones = tuple[str, ...]

FORMAT = 1
ALPHABET = "'abcdefghijklmnopqrstuvwxyz"
BOS, EOS, SPECIAL = 0, 1, 2  # a word's start and end come before the graphones
BACKOFF_ZERO = 64  # a weight of 1; above 1 are a few, after pruning

_BEAM = 24  # hypotheses kept after each letter
_MARGIN = 7.0  # nats below the best at which one is dropped
_MAX_CACHED = 20_000  # steps remembered from word to word, some MB
_SIBILANTS = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})
_VOICELESS = frozenset({"P", "T", "K", "F", "TH"})
_VOWELS = frozenset("aeiouy")
_NAMES = """a EY;b B IY;c S IY;d D IY;e IY;f EH F;g JH IY;h EY CH;i AY;j JH EY;k K EY;l EH L;m EH M;n EH N;o OW;p P IY;
q K Y UW;r AA R;s EH S;t T IY;u Y UW;v V IY;w D AH B AH L Y UW;x EH K S;y W AY;z Z IY"""
LETTER_NAMES: dict[str, Phones] = {
    letter: tuple(phones) for letter, *phones in (name.split() for name in _NAMES.split(";"))
}


@dataclass(frozen=True, slots=True)
class Graphone:
    """One or two letters and the phones they speak, none to two."""

    letters: str
    phones: Phones


@dataclass(frozen=True, slots=True)
class Tree:
    """The n-grams as nodes of one tree, the root first, then by length; all lists are as long as it.

    ``first`` and ``end`` bound a node's children, ``last`` is its last graphone, ``cost`` -ln p(last |
    others), ``backoff`` -ln of its weight as a history, ``shorter`` its suffix, and ``state`` the longest
    suffix of it, or itself, that has children.
    """

    first: list[int]
    end: list[int]
    last: list[int]
    cost: list[float]
    backoff: list[float]
    shorter: list[int]
    state: list[int]


# How a word may go on: cost in nats, state after it, letters read, phones spoken.
_Step = tuple[float, int, int, Phones]


class GraphemeToPhone:
    """Pronounces words. Remembers steps of its search, no words; threads may share one."""

    def __init__(self, graphones: Sequence[Graphone], tree: Tree) -> None:
        self._tree = tree
        self._readings: dict[str, dict[int, Graphone]] = {}
        for at, graphone in enumerate(graphones, SPECIAL):
            self._readings.setdefault(graphone.letters, {})[at] = graphone
        self._cache: dict[tuple[int, str], list[_Step]] = {}

    @classmethod
    def load(cls, path: Path) -> GraphemeToPhone:
        """Read a model file. Raises BundleError where it is none, OSError where there is no such file."""
        packed = path.read_bytes()
        try:
            header, _, arrays = lzma.decompress(packed).partition(b"\n")
            values = json.loads(header)
            if values["format"] != FORMAT:
                raise BundleError(f"{path} has format {values['format']}; this version reads {FORMAT}")
            named = (entry.split() for entry in values["graphones"])
            graphones = [Graphone(letters, tuple(phones)) for letters, *phones in named]
            tree = _tree(arrays, list(values["nodes"]), float(values["step"]))
            if len(graphones) + SPECIAL != values["nodes"][0]:
                raise ValueError(f"{len(graphones)} graphones for {values['nodes'][0]} nodes")
        except BundleError:
            raise
        except (lzma.LZMAError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise BundleError(
                f"{path} is no grapheme-to-phone model that this version reads: {error}"
            ) from error
        return cls(graphones, tree)

    def pronounce(self, word: str, n_best: int = 3) -> list[Phones]:
        """Up to ``n_best`` different pronunciations of one lower-case word, the likeliest first; at least one.

        Raises OptionError for anything but letters a-z and apostrophes, and for ``n_best`` below 1.
        """
        if n_best < 1:
            raise OptionError(f"n_best is {n_best}; at least 1 is needed")
        spoken = word.strip("'")
        if not spoken or not set(spoken).issubset(ALPHABET):
            raise OptionError(
                f"cannot pronounce {word!r}: expected letters a-z and apostrophes; normalise first"
            )
        if spoken.endswith("'s"):
            return [possessive(base) for base in self.pronounce(spoken[:-2], n_best)]
        if spoken in LETTER_NAMES:
            return [LETTER_NAMES[spoken]]
        readings = self._search(spoken)
        # Of the words of cmudict without a vowel letter 60 in 85 are spelled. What no cut fits can be, too.
        if not readings or _VOWELS.isdisjoint(spoken):
            readings = list(dict.fromkeys((_spelled(spoken), *readings)))
        return readings[:n_best]

    def _search(self, word: str) -> list[Phones]:
        """Every reading of ``word`` that survives the beam, likeliest first; the cuts of one add up."""
        reached: list[dict[tuple[int, Phones], float]] = [{} for _ in range(len(word) + 1)]
        reached[0][self._tree.state[1 + BOS], ()] = 0.0
        for at in range(len(word)):
            letters = word[at : at + 2]
            for (state, phones), score in _best(reached[at]):
                for cost, after, read, spoken in self._steps(state, letters):
                    _add(reached[at + read], (after, phones + spoken), score - cost)
        found: dict[Phones, float] = {}
        for (state, phones), score in _best(reached[-1]):
            for cost, *_ in self._steps(state, ""):
                _add(found, phones, score - cost)
        return sorted((phones for phones in found if phones), key=lambda phones: (-found[phones], phones))

    def _steps(self, state: int, letters: str) -> list[_Step]:
        """All graphones that read the first or both of ``letters`` (none: the word's end) after ``state``."""
        steps = self._cache.get((state, letters))
        if steps is None:  # another thread may clear the cache at any time
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            steps = self._cache[state, letters] = self._look_up(state, letters)
        return steps

    def _look_up(self, state: int, letters: str) -> list[_Step]:
        tree = self._tree
        fitting = {EOS: Graphone("", ())}
        if letters:
            fitting = self._readings.get(letters[0], {})
            if len(letters) == 2:
                fitting = fitting | self._readings.get(letters, {})
        nodes: dict[int, tuple[float, int]] = {}
        node, left = state, 0.0
        while node:
            for child in range(tree.first[node], tree.end[node]):
                if tree.last[child] in fitting and tree.last[child] not in nodes:
                    nodes[tree.last[child]] = left + tree.cost[child], tree.state[child]
            left += tree.backoff[node]
            node = tree.shorter[node]
        for last in fitting:
            if last not in nodes:
                nodes[last] = left + tree.cost[1 + last], tree.state[1 + last]
        worst = min((cost for cost, _ in nodes.values()), default=0.0) + _MARGIN
        return [
            (cost, after, len(fitting[last].letters), fitting[last].phones)
            for last, (cost, after) in nodes.items()
            if cost <= worst
        ]


def possessive(base: Phones) -> Phones:
    """The pronunciation of ``base`` + 's: S, Z or IH Z after its last phone, as in every English grammar."""
    if base[-1] in _SIBILANTS:
        return (*base, "IH", "Z")
    return (*base, "S" if base[-1] in _VOICELESS else "Z")


def _spelled(word: str) -> Phones:
    return tuple(phone for letter in word if letter in LETTER_NAMES for phone in LETTER_NAMES[letter])


def _best(reached: dict[tuple[int, Phones], float]) -> Iterable[tuple[tuple[int, Phones], float]]:
    ranked = sorted(reached.items(), key=lambda item: -item[1])[:_BEAM]
    return [item for item in ranked if item[1] >= ranked[0][1] - _MARGIN]


def _add(scores: dict[Any, float], key: Any, score: float) -> None:
    """Log-add ``score`` to what ``scores`` holds of ``key``."""
    if key in scores:
        low, high = sorted((scores[key], score))
        score = high + math.log1p(math.exp(low - high))
    scores[key] = score


def _tree(data: bytes, sizes: Sequence[int], step: float) -> Tree:
    """The tree of ``sizes`` nodes by length. Raises ValueError where ``data`` does not describe one."""
    offset = 0
    if not 0 < step < math.inf:
        raise ValueError(f"step is {step}; expected a positive number")

    def take(count: int, width: int = 1) -> NDArray[np.int64]:
        nonlocal offset
        planes = np.frombuffer(data, np.uint8, count * width, offset).reshape(width, count)
        offset += count * width
        return planes.astype(np.int64).T @ 256 ** np.arange(width - 1, -1, -1)

    # The root is node 0 and its children, all of length 1, are their own last graphones.
    first, counts = [np.array([1])], [np.array([sizes[0]])]
    last, shorter, states = [np.array([0])], [np.array([0])], [np.array([0])]
    costs: list[NDArray[np.float64]] = [np.zeros(1)]
    backoffs: list[NDArray[np.float64]] = [np.zeros(1)]
    begin = 1  # of the nodes of this length
    for length, size in enumerate(sizes, 1):
        if length == 1:
            suffix, symbol = np.zeros(size, np.int64), np.arange(size)
        else:
            above = shorter[-1]
            rank = np.cumsum(take(size, 2))
            if counts[-1].sum() != size:
                raise ValueError(f"{counts[-1].sum()} n-grams of length {length} where {size} are promised")
            parent = np.repeat(np.arange(len(above)), counts[-1])
            start = first[-1][parent] - begin
            rank -= np.where(start > 0, rank[start - 1], 0)
            every_first, every_count = np.concatenate(first), np.concatenate(counts)
            if (rank >= every_count[above[parent]]).any():
                raise ValueError(f"an n-gram of length {length} has a suffix that the model lacks")
            suffix = every_first[above[parent]] + rank
            symbol = np.concatenate(last)[suffix]
        costs.append(take(size).astype(np.float64) * step)
        children, backoff = np.zeros(size, np.int64), np.zeros(size)
        if length < len(sizes):
            children = take(size, 2)
            backoff[children > 0] = (take(int((children > 0).sum())) - BACKOFF_ZERO) * step
        states.append(np.where(children > 0, begin + np.arange(size), np.concatenate(states)[suffix]))
        first.append(begin + size + np.cumsum(children) - children)
        counts.append(children)
        last.append(symbol)
        shorter.append(suffix)
        backoffs.append(backoff)
        begin += size
    if offset != len(data):
        raise ValueError(f"{len(data)} bytes of arrays where {offset} are promised")
    bounds = np.concatenate(first)
    return Tree(
        bounds.tolist(),
        (bounds + np.concatenate(counts)).tolist(),
        np.concatenate(last).tolist(),
        np.concatenate(costs).tolist(),
        np.concatenate(backoffs).tolist(),
        np.concatenate(shorter).tolist(),
        np.concatenate(states).tolist(),
    )
