"""Items by their words: full-text search (FTS5, bm25) over titles, aliases and facets.

Words are compared without possessives and plurals, which recognisers get wrong and which people get wrong, too.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

_COLUMNS = "title, aliases, facets"
_COLUMN_WEIGHTS = "4.0, 3.0, 1.0"  # of bm25, in the order of the columns
_FOUND = 10  # items
_COMMON = 0.01  # of items: words in more of them are asked for only where a query has no others
_ALWAYS = 200  # items: in small catalogues common words are cheap


@dataclass(frozen=True, slots=True)
class Document:
    """The words of an item, column by column."""

    title: tuple[str, ...]
    aliases: tuple[str, ...]
    facets: tuple[str, ...]

    @property
    def words(self) -> frozenset[str]:
        return frozenset((*self.title, *self.aliases, *self.facets))


def stem(word: str) -> str:
    """A word as it is compared: without 's and without the s of a plural."""
    word = word.removesuffix("'s").replace("'", "")
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def stems(text: str) -> tuple[str, ...]:
    """All words of a text."""
    return tuple(map(stem, text.split()))


class Words:
    """A full-text index of documents, by number. Thread-safe."""

    def __init__(self, documents: Sequence[Document], connection: sqlite3.Connection, lock: Lock) -> None:
        """Makes its table in ``connection``, which is used under ``lock``."""
        self._connection, self._lock = connection, lock
        self._size = len(documents)
        self._counts = Counter(word for document in documents for word in document.words)
        with lock:
            connection.execute(f"CREATE VIRTUAL TABLE words USING fts5({_COLUMNS}, content='')")
            connection.executemany(
                f"INSERT INTO words(rowid, {_COLUMNS}) VALUES (?, ?, ?, ?)",
                (
                    (at, " ".join(each.title), " ".join(each.aliases), " ".join(each.facets))
                    for at, each in enumerate(documents)
                ),
            )
            connection.commit()

    def find(self, words: Sequence[str]) -> dict[int, float]:
        """Items with all of the words, else with some, and their bm25 as a share of the best one's."""
        known = [word for word in dict.fromkeys(words) if self._counts[word]]
        if not known:
            return {}
        found = self._match(" AND ".join(map(_quoted, known))) if len(known) == len(set(words)) else {}
        if len(found) < _FOUND:
            limit = max(_ALWAYS, round(_COMMON * self._size))
            telling = [word for word in known if self._counts[word] <= limit] or known
            found = self._match(" OR ".join(map(_quoted, telling))) | found
        best = max(found.values(), default=0.0)
        return {at: score / best if best > 0 else 0.0 for at, score in found.items()}

    def _match(self, query: str) -> dict[int, float]:
        statement = (
            f"SELECT rowid, -bm25(words, {_COLUMN_WEIGHTS}) FROM words WHERE words MATCH ? "
            f"ORDER BY bm25(words, {_COLUMN_WEIGHTS}) LIMIT ?"
        )
        with self._lock:
            return dict(self._connection.execute(statement, (query, _FOUND)).fetchall())


def _quoted(word: str) -> str:
    """A word as a string of FTS5's query language, in which nothing is an operator."""
    return '"' + word.replace('"', '""') + '"'
