"""Items to a catalogue: what people would say to ask for them, as a lexicon and an n-gram model.

In: JSON lines ``{"id", "title", "aliases"?: [..], "facets"?: {name: value or [values]}, "popularity"?: > 0}``
and carrier phrases. A carrier is a sentence with slots: ``{title}`` takes the title and its aliases, ``{size}``
a value of the facet ``size``, ``{a}`` the article that fits the next word. Out: a `catalog.Contents`.
An item is left out of the carriers that ask for a facet which it lacks.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from asr.catalog import DEFAULT_WEIGHT, Contents
from asr.errors import OptionError
from asr.ngram import NGramModel, estimate
from asr.number_words import spell_out

DEFAULT_CARRIERS = """
{title}
play {title}
play {title} by {artist}
play {artist}
put on {title}
find {title}
find me {title}
find me {a} {title}
find me {a} {colour} {title}
find {a} {title} in {size}
show me {title}
show me {colour} {title}
search for {title}
search for {a} {title}
look for {title}
look up {title}
i want {title}
i want {a} {title}
i'd like {title}
i'd like {a} {title}
i'm looking for {title}
i'm looking for {a} {title}
i'm looking for {a} {colour} {title}
can i get {title}
can i get {a} {title}
can i get {a} {size} {title}
can i get {a} {size} {title} with {milk}
can i have {a} {title}
order {title}
order {a} {size} {title}
buy {title}
{colour} {title}
{size} {title}
{title} by {artist}
{title} in {size}
{title} please
""".strip().splitlines()

_TITLE, _ARTICLE = "title", "a"
_SLOT = re.compile(r"\{([^{}]*)\}")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)*")
_SENTENCES = 200_000  # drawn for the model; fewer where there are not as many
# Of a sentence: large counts leave little for what is in no carrier; that is the general model's.
_MEAN_COUNT = 100.0
_BITS = 63  # of a key in `asr.ngram`: the more words, the shorter their n-grams
_ORDERS = (5, 4, 3, 2)

# What is no letter with an accent, so that its accent could be dropped.
_LETTERS = str.maketrans(
    {"’": "'", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "ß": "ss", "æ": "ae", "Æ": "Ae", "œ": "oe"}
)

Pronounce = Callable[[str], Sequence[tuple[str, ...]]]
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Item:
    """Something that can be searched for. All texts are words: lower case, numbers spelled out."""

    id: str
    names: tuple[str, ...]
    facets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    popularity: float = 1.0


@dataclass(frozen=True, slots=True)
class Carrier:
    """A sentence with slots and how often it is said, relative to the others."""

    text: str
    weight: float = 1.0

    @property
    def slots(self) -> tuple[str, ...]:
        """Names in braces except the article, in order."""
        return _slots(self.text)


@lru_cache(8_192)  # a catalogue asks for those of every carrier with every item
def _slots(text: str) -> tuple[str, ...]:
    return tuple(name for name in _SLOT.findall(text) if name != _ARTICLE)


def spoken(text: str) -> str:
    """A written text as words of a-z and inner apostrophes: accents dropped, numbers and & spelled out."""
    plain = unicodedata.normalize("NFKD", text.translate(_LETTERS)).encode("ascii", "ignore").decode()
    plain = spell_out(plain.lower().replace("&", " and ").replace("%", " percent "))
    return " ".join(_WORD.findall(plain))


def read_items(path: Path) -> list[Item]:
    """Items of a JSON lines file. Raises OptionError naming the line that is none."""
    return read_rows(path, item)


def read_rows(path: Path, make: Callable[[dict[str, Any]], Row]) -> list[Row]:
    """What ``make`` makes of the items of a JSON lines file. Raises OptionError naming the line that is none."""
    items = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    items.append(make(json.loads(line)))
                except (KeyError, TypeError, AttributeError, ValueError) as error:
                    raise OptionError(
                        f"{path}, line {number}: expected an object with id, title and, optional, aliases, "
                        f"facets, popularity above 0; {line[:60].strip()!r}: {error}"
                    ) from error
    if not items:
        raise OptionError(f"{path} has no items; expected JSON lines with id and title")
    return items


def item(values: dict[str, Any]) -> Item:
    """The item that a row describes. Raises KeyError, TypeError or ValueError where it describes none."""
    names = [spoken(_text(name)) for name in (values["title"], *_list(values.get("aliases", [])))]
    if not all(names):
        raise ValueError("a title or alias has no letters or digits")
    facets = values.get("facets", {})
    if not isinstance(facets, dict):
        raise TypeError(f"facets is {facets!r}, not an object")
    popularity = float(str(values.get("popularity", 1.0)))
    if not 0.0 < popularity < math.inf:
        raise ValueError(f"popularity is {popularity}, not above 0")
    options = {key: tuple(spoken(_text(value)) for value in _list(given)) for key, given in facets.items()}
    return Item(str(values["id"]), tuple(dict.fromkeys(names)), options, popularity)


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]


def _text(value: object) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r} is no text")
    return str(value)


def read_carriers(path: Path) -> list[Carrier]:
    """One carrier a line, a weight and a tab before it where it is not 1. Raises OptionError for a bad line."""
    carriers = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            weight, tab, text = line.rpartition("\t")
            try:
                carriers.append(carrier(text, float(weight) if tab else 1.0))
            except ValueError as error:
                raise OptionError(f"{path}, line {number}: {error}") from error
    if not carriers:
        raise OptionError(f"{path} has no carriers; expected lines such as: find me {{title}}")
    return carriers


def carrier(text: str, weight: float = 1.0) -> Carrier:
    """A checked carrier. Raises OptionError for a weight that is none, and for what is neither word nor slot."""
    if not 0.0 < weight < math.inf:
        raise OptionError(f"carrier {text!r} has weight {weight}; expected a number above 0")
    words = _SLOT.sub(" ", text).split()
    if wrong := [word for word in words if not _WORD.fullmatch(word)]:
        raise OptionError(f"carrier {text!r} has {wrong[0]!r}; expected words of a-z and {{slots}}")
    return Carrier(" ".join(text.split()), weight)


def build(
    items: Sequence[Item],
    carriers: Sequence[Carrier],
    tokens: Sequence[str],
    pronounce: Pronounce,
    weight: float = DEFAULT_WEIGHT,
) -> Contents:
    """The catalogue of ``items``; ``pronounce`` gives a word's pronunciations in ``tokens``, none if it cannot.

    Raises OptionError naming the words that nobody can pronounce, or where no carrier fits any item.
    """
    sentences = count_sentences(items, carriers)
    words = sorted({word for sentence in sentences for word in sentence.split()})
    said = {word: tuple(dict.fromkeys(pronounce(word))) for word in words}
    if unknown := [word for word, ways in said.items() if not ways]:
        raise OptionError(
            f"no pronunciation of {', '.join(unknown[:10])}{' ...' if len(unknown) > 10 else ''}: the model's "
            "lexicon lacks the word and the model has nothing that pronounces new ones; give --pronunciations"
        )
    model = language_model(sentences, words)
    return Contents(model, said, tuple(tokens), weight, len(items), len(sentences))


def language_model(sentences: Mapping[str, float], words: Sequence[str]) -> NGramModel:
    """An n-gram model of weighted sentences, of the highest order that they fill and whose keys hold so many words."""
    longest = max(len(sentence.split()) for sentence in sentences) + 2  # with its start and end
    order = next(order for order in _ORDERS if order <= longest and len(words) + 3 <= 1 << _BITS // order)
    scale = _MEAN_COUNT * len(sentences) / sum(sentences.values())
    counts = [max(1, round(weight * scale)) for weight in sentences.values()]
    return estimate(sentences, words, order, counts)


def count_sentences(
    items: Sequence[Item], carriers: Sequence[Carrier], limit: int = _SENTENCES, seed: int = 0
) -> dict[str, float]:
    """Sentences and their weights: popularity of the item times weight of the carrier, over its fillings.

    Where an item and a carrier have more fillings than their share of ``limit``, that many are drawn at random.
    Raises OptionError where no carrier fits any item.
    """
    needed = [(carrier, set(carrier.slots) - {_TITLE}) for carrier in carriers]
    pairs = [
        (item, carrier) for item in items for carrier, facets in needed if all(map(item.facets.get, facets))
    ]
    if not pairs:
        raise OptionError(
            f"none of {len(carriers)} carriers fits any of {len(items)} items: they ask for facets "
            f"{', '.join(sorted({slot for carrier in carriers for slot in carrier.slots} - {_TITLE}))}"
        )
    draws = max(1, limit // len(pairs))
    source = random.Random(seed)
    weights: dict[str, float] = {}
    for item, each in pairs:
        options = [item.names if slot == _TITLE else item.facets[slot] for slot in each.slots]
        fillings = list(_fillings(options, draws, source))
        for filling in fillings:
            sentence = fill(each.text, filling)
            weights[sentence] = weights.get(sentence, 0.0) + item.popularity * each.weight / len(fillings)
    return weights


def _fillings(
    options: Sequence[Sequence[str]], limit: int, source: random.Random
) -> Iterator[tuple[str, ...]]:
    if math.prod(map(len, options)) <= limit:
        yield from itertools.product(*options)
        return
    for _ in range(limit):
        yield tuple(source.choice(values) for values in options)


def fill(text: str, filling: Sequence[str]) -> str:
    """``text`` with its slots filled in order, and then with the articles that fit."""
    values = iter(filling)
    text = _SLOT.sub(lambda match: match[0] if match[1] == _ARTICLE else next(values), text)
    words = text.split()
    for at, word in enumerate(words):
        if word == f"{{{_ARTICLE}}}":
            words[at] = "an" if at + 1 < len(words) and words[at + 1][0] in "aeiou" else "a"
    return " ".join(words)
