"""Training of `asr.g2p`: a pronouncing dictionary in, one model file out, and how often it is right."""

from __future__ import annotations

import lzma
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.g2p import GraphemeToPhone
from asr.train.graphone_ngram import Options, write
from asr.train.graphones import align
from asr.wer import ErrorCounts
from asr.wer import align as count_errors

Phones = tuple[str, ...]
Dictionary = Mapping[str, Sequence[Phones]]

N_BEST = 3
# Endings that make a form of a word from a word; what they leave over is looked for in the texts.
_ENDINGS = (
    "s",
    "es",
    "ed",
    "d",
    "ing",
    "er",
    "ers",
    "est",
    "ly",
    "ness",
    "able",
    "ally",
    "ion",
    "ions",
    "ism",
    "ist",
)
_PREFIXES = ("un", "re", "non", "dis", "mis", "over", "out", "pre", "anti", "inter", "sub", "super", "under")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Errors on ``words`` words: of phones and words by the first reading, of words by the first `N_BEST`."""

    words: int
    phones: ErrorCounts
    wrong: int
    wrong_n_best: int

    def __str__(self) -> str:
        return (
            f"{self.words} words: phone error rate {100 * self.phones.rate:.2f} %, word error rate "
            f"{100 * self.wrong / self.words:.1f} %, of the best {N_BEST} {100 * self.wrong_n_best / self.words:.1f} %"
        )


def entries(dictionary: Dictionary) -> list[tuple[str, Phones]]:
    """What there is to learn: all variants of all words but letters, possessives and clipped ones."""
    return [
        (word, phones)
        for word, variants in dictionary.items()
        if len(word) > 1 and word.strip("'") == word and not word.endswith("'s")
        for phones in variants
    ]


def train(dictionary: Dictionary, path: Path, options: Options | None = None) -> GraphemeToPhone:
    """Learn from ``dictionary``, write the model to ``path``, and load it from there."""
    write(align(entries(dictionary)), path, options or Options())
    return GraphemeToPhone.load(path)


def hold_out(dictionary: Dictionary, share: float, seed: int) -> list[str]:
    """A random ``share`` of the words that `entries` would learn, with all their variants."""
    words = sorted({word for word, _ in entries(dictionary)})
    return random.Random(seed).sample(words, round(share * len(words)))


def evaluate(model: GraphemeToPhone, dictionary: Dictionary, words: Iterable[str]) -> Accuracy:
    """Compare with ``dictionary``: any of a word's variants is right, the nearest one counts the phones."""
    phones, wrong, wrong_n_best, number = ErrorCounts(), 0, 0, 0
    for word in words:
        readings = model.pronounce(word, N_BEST)
        nearest = min((count_errors(v, readings[0]) for v in dictionary[word]), key=lambda c: c.errors)
        phones += nearest
        wrong += nearest.errors > 0
        wrong_n_best += set(readings).isdisjoint(dictionary[word])
        number += 1
    return Accuracy(number, phones, wrong, wrong_n_best)


def read_words(folder: Path) -> frozenset[str]:
    """All words of the running texts (``*.txt.xz``, lower case) in ``folder``."""
    words: set[str] = set()
    for path in sorted(folder.glob("*.txt.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                words.update(line.split())
    return frozenset(words)


def names_among(words: Iterable[str], text: Collection[str]) -> list[str]:
    """Those that are likely names: never in ``text``, and no form of a word that is.

    A pronouncing dictionary tells no names, but cmudict is half surnames and places. The rest of what this
    finds is rare words and initialisms; names that are words too ("baker") or famous ("london") are missed.
    """
    return [word for word in words if not any(form in text for form in _bases(word))]


def _bases(word: str) -> set[str]:
    """``word`` and what may be left of it without an ending or a prefix."""
    found = {word, word.replace("'", "")}
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            base = word.removesuffix(ending)
            found |= {base, base + "e", base[:-1] + "y" if base[-1] == "i" else base}
            found.add(base[:-1] if base[-1] == base[-2] else base)
    found |= {
        base.removeprefix(prefix) for prefix in _PREFIXES for base in list(found) if base.startswith(prefix)
    }
    return found
