"""Search: what was heard in, items of a catalogue out, the likeliest first, each with why.

A query is the readings of a clip, each with its probability, so that what the recogniser thought second can win when
it names an item. Candidates come from words (FTS5), from sounds and from letters; one ranking orders them all
(`serving.search_ranking`). What is not near enough is left out: a query about the weather finds no book.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from threading import Lock
from typing import Any

from rapidfuzz import fuzz

from asr import bundle, onnx_asr_files
from asr.errors import OptionError
from asr.phonetic import Phones, Pronounce, phones_of
from asr.pronounce import pronouncer
from asr.transcript import Reading
from serving.catalogs import Item
from serving.phonetic import Likeness, Name, Names
from serving.search_query import Form, forms, normalise
from serving.search_ranking import LEAST_PROBABILITY, LEAST_SCORE, Signs, score
from serving.search_words import Document, Words, stems

_SHARED_BY = 60  # items: a facet value that more have, such as a language, brings no candidates of its own
# Facets that are asked for by surname, too.
_PEOPLE = frozenset({"author", "artist", "actor", "director", "composer", "narrator"})
# Likeness above which a name counts as heard; facets are short and many, and anything is a little like one of them.
_HEARD, _FACET_HEARD = 0.5, 0.65


class NothingFound(StrEnum):
    """Why there are no results."""

    EMPTY_QUERY = "empty_query"  # no words, or none that we can read
    NO_MATCH = "no_match"


@dataclass(frozen=True, slots=True)
class Why:
    """What a result rests on: the words that were searched for, the name they were taken for, and the signs."""

    query: str
    name: str
    signs: Signs

    def as_dict(self) -> dict[str, Any]:
        """For JSON; signs to three places."""
        signs = {sign: round(value, 3) for sign, value in self.signs._asdict().items()}
        return {"query": self.query, "name": self.name, "signs": signs}


@dataclass(frozen=True, slots=True)
class Result:
    """An item, and the probability from 0 to 1 that it was asked for."""

    item: Item
    score: float
    why: Why

    def as_dict(self) -> dict[str, Any]:
        """The public JSON: the item's, with ``score``. ``why`` is for those who ask for it."""
        return {**self.item.as_dict(), "score": round(self.score, 4)}


class SearchIndex:
    """A searchable catalogue. Never changes; threads may share one."""

    def __init__(
        self, items: Sequence[Item], pronounce: Pronounce | None = None, path: Path | None = None
    ) -> None:
        """``pronounce`` gives the phones of words, the shipped model's unless another's is given.

        The tables are in memory, or in a new file at ``path`` where they are too large for that; OptionError where it
        exists. Building takes some milliseconds an item, most of them for words that the lexicon lacks.
        """
        if path is not None and path.exists():
            raise OptionError(f"{path} exists; the index is written anew, so name a file that does not")
        self.items = tuple(items)
        self._pronounce = pronounce or _shipped()
        self._connection = sqlite3.connect(path or ":memory:", check_same_thread=False)
        self._lock = lock = Lock()  # a connection is one; what is not SQL runs beside it
        documents, self._own, self._others, names = _read(self.items, self._pronounce)
        self._words = Words(documents, self._connection, lock)
        self._names = Names(names, self._connection, lock)
        most = max((item.popularity for item in self.items), default=1.0)
        self._popularity = [math.log(item.popularity / most) for item in self.items]

    def close(self) -> None:
        """Give back the memory or the file; no search afterwards."""
        with self._lock:
            self._connection.close()

    def search(self, readings: Sequence[Reading], k: int = 10) -> tuple[Result, ...]:
        """Up to ``k`` items, the likeliest first; empty where none is near enough (`nothing_found` says why)."""
        if k < 1:
            raise OptionError(f"k is {k}; at least one result must be wanted")
        best: dict[int, tuple[float, Why]] = {}
        for at, why in self.consider(readings):
            points = score(why.signs)
            if points >= LEAST_SCORE and points > best.get(at, (0.0, None))[0]:
                best[at] = points, why
        ranked = sorted(best.items(), key=lambda each: (-each[1][0], each[0]))
        return tuple(Result(self.items[at], points, why) for at, (points, why) in ranked[:k])

    def consider(self, readings: Sequence[Reading]) -> list[tuple[int, Why]]:
        """Every candidate (by number) with every form of the query that it was weighed for, in no order."""
        queries = [(form, phones_of(form.text, self._pronounce)) for form in forms(readings)]
        found = [self._candidates(form, phones) for form, phones in queries]
        pairs = {
            (query, name): phones
            for query, (_, phones) in enumerate(queries)
            for item in found[query]
            for name in (*self._own[item], *self._others[item])
            if phones and self._names.names[name].phones
        }
        alike = self._names.likeness([(phones, name) for (_, name), phones in pairs.items()])
        likeness = dict(zip(pairs, alike, strict=True))
        return [
            (
                item,
                self._why(
                    item,
                    bm25,
                    (form, phones),
                    {
                        name: likeness.get((query, name), _UNLIKE)
                        for name in (*self._own[item], *self._others[item])
                    },
                ),
            )
            for query, (form, phones) in enumerate(queries)
            for item, bm25 in found[query].items()
        ]

    def _candidates(self, form: Form, phones: Phones) -> dict[int, float]:
        """Items and their share of the best bm25, 0 where only the sound or the letters found them."""
        found = self._words.find(stems(form.text))
        for name in self._names.near(form.text, phones):
            for item in self._names.names[name].items:
                found.setdefault(item, 0.0)
        return found

    def _why(self, item: int, bm25: float, query: tuple[Form, Phones], alike: dict[int, Likeness]) -> Why:
        form, phones = query
        names = self._names.names
        own = self._own[item]
        nearest = max(own, key=lambda name: (alike[name].whole, -name))
        explained = sum(
            max((_share(alike[name], least) * len(names[name].phones) for name in group), default=0.0)
            for group, least in ((own, _HEARD), (self._others[item], _FACET_HEARD))
        )
        signs = Signs(
            heard=math.log(max(form.probability, LEAST_PROBABILITY)),
            bm25=bm25,
            sounds=alike[nearest].whole,
            explained=min(1.0, explained / max(len(phones), 1)),
            spelling=max(fuzz.ratio(form.text, names[name].text) for name in own) / 100.0,
            popularity=self._popularity[item],
        )
        return Why(form.text, names[nearest].text, signs)


def nothing_found(readings: Sequence[Reading]) -> NothingFound:
    """Why a search for ``readings`` that found nothing did not."""
    spoken = any(normalise(reading.text) for reading in readings)
    return NothingFound.NO_MATCH if spoken else NothingFound.EMPTY_QUERY


_UNLIKE = Likeness(0.0, 0.0)


def _share(alike: Likeness, least: float) -> float:
    """The share of a name that was heard, where likeness up to ``least`` is chance."""
    return max(0.0, (alike.inside - least) / (1.0 - least))


def require_phones(model: str | Path) -> None:
    """Raise OptionError for a model that has none: by what it hears nothing could be found that sounds alike."""
    if onnx_asr_files.is_named(model):
        raise OptionError(
            f"{model} has a search of its own, which no catalogue can guide, and no phones to find items by: it can "
            "transcribe, and be served with --no-catalog"
        )
    if bundle.read(bundle.find(model)).decoder.separator is not None:
        raise OptionError(
            f"{model} spells, and has no phones to find items by: it can transcribe, and be served with --no-catalog"
        )


def _shipped() -> Pronounce:
    folder = bundle.find(bundle.DEFAULT_MODEL)
    return pronouncer(folder, bundle.read(folder))


def _read(
    items: Sequence[Item], pronounce: Pronounce
) -> tuple[list[Document], list[tuple[int, ...]], list[tuple[int, ...]], list[Name]]:
    """Documents; numbers of each item's own names and of its facets'; and the names."""
    documents, written = [], []
    users: dict[str, dict[int, None]] = {}
    for at, item in enumerate(items):
        own = tuple(dict.fromkeys(filter(None, map(normalise, (item.title, *item.aliases)))))
        if not own:
            raise OptionError(
                f"item {item.id!r} has the title {item.title!r}, in which there are no words of a-z"
            )
        values = [(facet, value) for facet, given in item.facets.items() for value in given]
        others = [normalise(value) for _, value in values if isinstance(value, str)]
        others += [
            normalise(value.split()[-1])
            for facet, value in values
            if facet in _PEOPLE and isinstance(value, str)
        ]
        facets = " ".join(normalise(str(value)) for _, value in values)
        documents.append(Document(stems(own[0]), stems(" ".join(own[1:])), stems(facets)))
        written.append((own, tuple(name for name in dict.fromkeys(others) if name and name not in own)))
        for name in (*own, *written[-1][1]):
            users.setdefault(name, {})[at] = None
    titles = {name for own, _ in written for name in own}
    telling = [name for name, by in users.items() if name in titles or len(by) <= _SHARED_BY]
    number = {name: at for at, name in enumerate(telling)}
    return (
        documents,
        [tuple(number[name] for name in own) for own, _ in written],
        [tuple(number[name] for name in others if name in number) for _, others in written],
        [Name(name, phones_of(name, pronounce), tuple(users[name])) for name in telling],
    )
