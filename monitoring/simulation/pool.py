"""Real hearings to draw from: what the service made of spoken queries, once, under each condition.

Made by ``scripts/make_traffic`` through the shipped model and search; so texts, confidences, null results and places
of what was wanted are not invented. ``CONDITIONS`` are how a clip can be heard; a wish that the catalogue does not
know is heard as ``VOCABULARY`` alone.

A pool is finite. Records drawn from it with replacement are independent draws from one fixed distribution, so a test
of "nothing has changed" keeps its false-alarm rate, whatever the size of the window, as long as reference and windows
are both drawn from it. Numbers that recur make tests that assume continuity (Kolmogorov-Smirnov) cautious, which is
why `monitoring.simulation.traffic` gives each query a level and silences of its own.
"""

from __future__ import annotations

import json
import lzma
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from asr.transcript import ClipStats, NullReason
from monitoring.errors import PoolError

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "traffic" / "pool.json.xz"
FORMAT = 1
NORMAL, MICROPHONE, CAFE, QUIET, BROKEN = "normal", "microphone", "cafe", "quiet", "broken"
VOCABULARY = "vocabulary"
CONDITIONS = (NORMAL, MICROPHONE, CAFE, QUIET, BROKEN, VOCABULARY)

_CLIP = tuple(ClipStats.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Hearing:
    """One clip as it was heard. ``rank`` is the place, from 1, of the first result that answers; None: none does."""

    wish: int
    way: int
    take: int
    condition: str
    clip: ClipStats
    text: str
    null_reason: NullReason | None
    confidence: float
    entropy: float | None
    perplexity: float | None
    results: tuple[str, ...]
    top_score: float | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class Way:
    """A sentence that asks for something, and the ids of the items that answer it."""

    said: str
    answers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Typed:
    """The wish as somebody types it, and what is found."""

    text: str
    results: tuple[str, ...]
    top_score: float | None
    rank: int | None


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants. ``known``: the catalogue has it. ``kind`` is the catalogue it is of, or should be."""

    number: int
    item: str
    kind: str
    known: bool
    popularity: float
    ways: tuple[Way, ...]
    typed: Typed


@dataclass(frozen=True, slots=True)
class Pool:
    """Wishes and hearings. ``models`` names what heard ``NORMAL`` and what heard ``BROKEN``."""

    models: Mapping[str, str]
    wishes: tuple[Wish, ...]
    hearings: Mapping[str, tuple[Hearing, ...]]  # by condition
    takes: Mapping[tuple[str, int, int], tuple[Hearing, ...]]  # by condition, wish, way

    @property
    def known(self) -> tuple[Wish, ...]:
        """What can be found."""
        return tuple(wish for wish in self.wishes if wish.known)

    @property
    def unknown(self) -> tuple[Wish, ...]:
        """What the catalogue lacks."""
        return tuple(wish for wish in self.wishes if not wish.known)

    def null_rate(self, condition: str = NORMAL) -> float:
        """The share of hearings without a text, among those in which speech was found."""
        spoken = [each for each in self.hearings[condition] if each.null_reason is not NullReason.NO_SPEECH]
        return sum(each.null_reason is not None for each in spoken) / len(spoken)

    def found_rate(self, condition: str = NORMAL) -> float:
        """The share of hearings whose results have what was wanted."""
        heard = self.hearings[condition]
        return sum(each.rank is not None for each in heard) / len(heard)


@lru_cache(2)
def read(path: Path = SHIPPED) -> Pool:
    """A pool of `scripts/make_traffic`, the repository's unless told otherwise. Raises PoolError."""
    try:
        body = json.loads(lzma.decompress(path.read_bytes()))
    except OSError as error:
        raise PoolError(
            f"no pool at {path}: it is in the repository (not in the wheel), or made by scripts/make_traffic"
        ) from error
    except (lzma.LZMAError, ValueError) as error:
        raise PoolError(f"{path} is no pool ({error}); make it again with scripts/make_traffic") from error
    if body["format"] != FORMAT:
        raise PoolError(f"{path} has format {body['format']}, expected {FORMAT}: make it again")
    items: list[str] = body["items"]
    wishes = tuple(_wish(number, row, items) for number, row in enumerate(body["wishes"]))
    hearings = {
        condition: tuple(_hearings(condition, columns, items, wishes))
        for condition, columns in body["hearings"].items()
    }
    takes: dict[tuple[str, int, int], list[Hearing]] = defaultdict(list)
    for condition, heard in hearings.items():
        for each in heard:
            takes[condition, each.wish, each.way].append(each)
    return Pool(body["models"], wishes, hearings, {key: tuple(each) for key, each in takes.items()})


def rank(results: Sequence[str], answers: Sequence[str]) -> int | None:
    """The place, from 1, of the first result that answers."""
    return next((place for place, item in enumerate(results, 1) if item in answers), None)


def _wish(number: int, row: Mapping[str, Any], items: Sequence[str]) -> Wish:
    results = tuple(items[at] for at in row["typed"]["results"])
    typed = Typed(row["typed"]["text"], results, row["typed"]["top_score"], rank(results, (row["item"],)))
    ways = tuple(Way(way["said"], tuple(way["answers"])) for way in row["ways"])
    return Wish(number, row["item"], row["kind"], row["known"], row["popularity"], ways, typed)


def _hearings(
    condition: str, columns: Mapping[str, Sequence[Any]], items: Sequence[str], wishes: Sequence[Wish]
) -> list[Hearing]:
    names = tuple(columns)
    made = []
    for values in zip(*columns.values(), strict=True):
        row = dict(zip(names, values, strict=True))
        way = wishes[row["wish"]].ways[row["way"]]
        results = tuple(items[at] for at in row["results"])
        null = row["null_reason"]
        made.append(
            Hearing(
                row["wish"],
                row["way"],
                row["take"],
                condition,
                ClipStats(**{name: row[name] for name in _CLIP}),
                way.said if row["text"] is None else row["text"],
                None if null is None else NullReason(null),
                row["confidence"],
                row["entropy"],
                row["perplexity"],
                results,
                row["top_score"],
                rank(results, way.answers),
            )
        )
    return made
