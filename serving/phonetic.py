"""Names by sound: a query's phones or letters in, the few names that could be meant out.

Three cuts, each dearer than the one before and on fewer names: grams of the consonants' skeleton and of the letters
in an FTS5 table find some dozens, rapidfuzz's distance (C++) over phones keeps a few of those, and
`asr.phonetic.distances` weighs these by articulation.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from rapidfuzz import fuzz, process

from asr.phonetic import Phones, as_letters, distances, skeleton

_FOUND = 50  # names that the grams may bring
_KEPT = 5  # of them, by likeness as a whole, and as many by likeness of the best part
_GRAMS = 10  # of a kind that are asked for, the rarest of the query
_COMMON = 0.004  # of names: grams in more of them tell nothing and cost most
_ALWAYS = 50  # names: in small catalogues even those with more than that share are cheap
_SHORT = 3  # classes: skeletons so short have too few grams of three


@dataclass(frozen=True, slots=True)
class Name:
    """What an item may be called; several items can share one."""

    text: str
    phones: Phones
    items: tuple[int, ...]


class Likeness(NamedTuple):
    """How much a query sounds like a name: as a whole, and the best part of it; 1 is the same."""

    whole: float
    inside: float


class Names:
    """The names of a catalogue, by number. Thread-safe."""

    def __init__(self, names: Sequence[Name], connection: sqlite3.Connection, lock: Lock) -> None:
        """Makes its table in ``connection``, which is used under ``lock``."""
        self.names = names
        self._connection, self._lock = connection, lock
        self._letters = [as_letters(name.phones) for name in names]
        self._counts: Counter[str] = Counter()
        with lock:
            connection.execute("CREATE VIRTUAL TABLE grams USING fts5(gram, content='')")
            connection.executemany(
                "INSERT INTO grams(rowid, gram) VALUES (?, ?)",
                ((at, " ".join(self._counted(name))) for at, name in enumerate(names)),
            )
            connection.commit()

    def near(self, text: str, phones: Phones) -> list[int]:
        """Numbers of names that sound or are written like the query, or like a part of it."""
        wanted = self._telling(_sounds(phones)) + self._telling(_letters(text))
        if not wanted:
            return []
        query = " OR ".join(f'"{gram}"' for gram in wanted)
        with self._lock:
            rows = self._connection.execute(
                "SELECT rowid FROM grams WHERE grams MATCH ? ORDER BY rank LIMIT ?", (query, _FOUND)
            ).fetchall()
        found = {at: self._letters[at] for (at,) in rows}
        said = as_letters(phones)
        near: dict[int, None] = {}
        for scorer in (fuzz.ratio, fuzz.partial_ratio):
            near |= dict.fromkeys(at for _, _, at in process.extract(said, found, scorer=scorer, limit=_KEPT))
        return list(near)

    def likeness(self, pairs: Sequence[tuple[Phones, int]]) -> list[Likeness]:
        """Of queries and names by number, in one go."""
        unlike = distances([phones for phones, _ in pairs], [self.names[at].phones for _, at in pairs])
        return [Likeness(*both) for both in (1.0 - unlike).tolist()]

    def _counted(self, name: Name) -> list[str]:
        grams = _sounds(name.phones, name=True) + _letters(name.text)
        self._counts.update(set(grams))
        return grams

    def _telling(self, grams: Sequence[str]) -> list[str]:
        limit = max(_ALWAYS, round(_COMMON * len(self.names)))
        known = [gram for gram in dict.fromkeys(grams) if 0 < self._counts[gram] <= limit]
        return sorted(known, key=self._counts.__getitem__)[:_GRAMS]


def _sounds(phones: Phones, *, name: bool = False) -> list[str]:
    """Threes of the skeleton, x at its ends; twos as well, which of names only the short have."""
    key = f"x{skeleton(phones)}x"
    twos = [f"t{key[at : at + 2]}" for at in range(len(key) - 1)]
    return [f"s{key[at : at + 3]}" for at in range(len(key) - 2)] + (
        twos if not name or len(key) <= _SHORT + 2 else []
    )


def _letters(text: str) -> list[str]:
    """Threes of letters, over the spaces: "mobydick" is found where "moby dick" is meant."""
    letters = text.replace(" ", "").replace("'", "")
    return [f"l{letters[at : at + 3]}" for at in range(len(letters) - 2)]
