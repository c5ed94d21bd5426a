"""What people did after a query, read off one session: opened a result, asked again, typed instead, or moved on.

In: the records and events of one session, in any order. Out: a `Followed` for each query that was answered, to be
charged to the version that answered it. Nothing here needs a clock or a database.

A query may be *asked again* by the next one where that begins within `GAP_S` of its results and no click between dwelt
`DWELL_S` or longer. It is, where

- the first had no text, or nothing was found for it; but not where the two sound unlike (`OTHER_SOUND`), later on;
- a result was opened, and left so soon, and the next clip does not sound unlike;
- the two clips sound the same (`SAME_SOUND`); or nearly so (`LIKE_SOUND`), unless other words were heard, and both
  times surely;
- the two texts sound alike, as a whole (`DISTANCE`) and in the words in which they differ (`WORDS_DISTANCE`), and the
  clips not unlike: "red jacket" after "blue jacket" is near as a whole, but what differs was not misheard, it is
  wanted otherwise;
- it comes in haste (`HASTY_S`) after what was hardly heard (`UNSURE`), and does not sound unlike.

Where the next query is typed there is no sound: then haste counts after a click, too, after a query that was itself
said again, and after a little more confidence (`UNSURE_BEFORE_TYPING`): who is understood seldom takes to the keyboard.

A typed second query is a *switch*, and what was typed a weak label for the first clip: whoever wants it reads it where
it was typed, in the record of ``Followed.again_as`` or the event; it is not kept here. A client's own word ("redo",
"typed") within `TOLD_S` needs no inference.

The *rates* of asking again and of switching are of spoken queries (`was_spoken`) that have settled, in rollups, alarms,
reports, changes and Prometheus alike.

Sources: Levitan & Elson (ACL 2014), Jiang et al. (SIGIR 2013), Shokouhi et al. (SIGIR 2014: switches to text are
mostly caused by recognition errors), Hassan et al. (2013: similarity of texts alone over-fires), Kim et al. (WSDM 2014:
short visits are dissatisfied ones). How unlike clips sound is `asr.spoken_distance`. Thresholds: set on half of the
wishes of `scripts/check_outcomes`, which measures on the other half, and says how far they carry.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import SequenceMatcher
from enum import StrEnum

from monitoring.record import Event, EventType, Outcome, Record, Transport

GAP_S = 30.0
TOLD_S = 120.0
DWELL_S = 10.0
HASTY_S = 15.0
SAME_SOUND, LIKE_SOUND, OTHER_SOUND = 0.22, 0.34, 0.6
DISTANCE = 0.4
WORDS_DISTANCE = 0.6
UNSURE, UNSURE_BEFORE_TYPING = 0.2, 0.3
# Nearer than this, of clips or else of texts, the same was said again; farther, it was put otherwise.
REPEAT_SOUND, REPEAT_DISTANCE = 0.42, 0.1

SHADOW = "shadow"  # an arm whose answers nobody saw

Distance = Callable[[str, str], float]  # how unlike two texts sound, from 0 to 1: asr.phonetic


class Again(StrEnum):
    """In which way a query was asked again; the label ``kind`` of ``redo_total``, but for TYPED.

    REPEAT and REPHRASE say how the two clips compare; where they could not be compared, their texts: the same words,
    misheard twice, then look rephrased.
    """

    EXPLICIT = "explicit"  # the client says so
    REPEAT = "repeat"
    REPHRASE = "rephrase"
    TYPED = "typed"  # a switch to typing


@dataclass(frozen=True, slots=True)
class Click:
    """A result opened, and for how long until the next thing happened; None: nothing did."""

    item_id: str
    dwell_s: float | None


@dataclass(frozen=True, slots=True)
class Followed:
    """What became of one answered query. ``again_as`` is the query that repeats it.

    ``told``: that it was asked again is the client's own word; else it is inferred. ``spoken``: see `was_spoken`.
    """

    query_id: str
    model: str
    arm: str
    null: bool
    clicks: tuple[Click, ...] = ()
    again: Again | None = None
    again_as: str | None = None
    told: bool = False
    spoken: bool = True

    @property
    def satisfied(self) -> bool:
        """A click that dwelt, or after which nothing more was asked."""
        return any(click.dwell_s is None or click.dwell_s >= DWELL_S for click in self.clicks)


@dataclass(frozen=True, slots=True)
class Leftover:
    """Queries that somebody should have followed, and nobody did, with all that is needed to do it now.

    ``asked``: slim records of these queries, and of the other answered ones of their sittings since; by time.
    """

    query_ids: frozenset[str] = frozenset()
    asked: tuple[Record, ...] = ()
    events: tuple[Event, ...] = ()


def follow(records: Sequence[Record], events: Sequence[Event], distance: Distance) -> tuple[Followed, ...]:
    """What became of each answered query of one session, in order of time.

    Late events change it: call this when all is in. `follower` does the same live.
    """
    asked = sorted((record for record in records if was_answered(record)), key=lambda record: record.at)
    happened = sorted(events, key=lambda event: event.at)
    return tuple(
        follow_one(first, asked[place + 1] if place + 1 < len(asked) else None, happened, distance)
        for place, first in enumerate(asked)
    )


def was_answered(record: Record) -> bool:
    """Whether a person got an answer to it, if an empty one: only then does it matter what they did next."""
    return record.outcome is not Outcome.ERROR and record.query_id is not None and was_shown(record)


def was_shown(record: Record) -> bool:
    """Whether a person got this answer: a shadow hears the same clip once more, and nobody sees what it makes of it."""
    return record.arm != SHADOW


def was_spoken(record: Record) -> bool:
    """Whether somebody said something, if nothing was understood: who typed, or was silent, cannot be misheard."""
    return record.transport is not Transport.TEXT and record.outcome in (Outcome.OK, Outcome.NULL)


def was_searched(record: Record) -> bool:
    """Whether somebody looked for items: only then does it mean something that none was found."""
    return record.transport in (Transport.SEARCH, Transport.TEXT) or "search" in record.stages_s


def shown_at(record: Record) -> datetime:
    """When its results were there: ``at`` is when the request began."""
    return record.at + timedelta(seconds=record.duration_s)


def follow_one(
    first: Record, second: Record | None, events: Sequence[Event], distance: Distance | None
) -> Followed:
    """What became of one query: ``second`` is the next of its session, if there is one; events in order of time.

    Without a ``distance`` texts are not compared: what they alone would tell is not found.
    """
    assert first.query_id is not None, "only answered queries are followed"
    mine = [event for event in events if event.query_id == first.query_id]
    clicks = _clicks(mine, None if second is None else second.at)
    null = first.null_reason is not None
    followed = Followed(first.query_id, first.model, first.arm, null, clicks, spoken=was_spoken(first))
    if first.transport is Transport.TEXT:
        return followed  # nobody was misheard
    told = _told(first, mine)
    again = told or (None if second is None else _inferred(first, second, followed, distance))
    if again is None:
        return followed
    by = second if second is not None and _gap_s(first, second) <= TOLD_S else None
    as_what = None if by is None else by.query_id
    return replace(followed, again=again, again_as=as_what, told=told is not None)


def _clicks(events: Sequence[Event], next_query: datetime | None) -> tuple[Click, ...]:
    clicks = [event for event in events if event.type is EventType.CLICK]
    ends = [*(event.at for event in clicks[1:]), next_query]
    return tuple(
        Click(click.item_id or "", None if end is None else max(0.0, (end - click.at).total_seconds()))
        for click, end in zip(clicks, ends, strict=False)
    )


def _told(first: Record, events: Sequence[Event]) -> Again | None:
    in_time = [event.type for event in events if (event.at - shown_at(first)).total_seconds() <= TOLD_S]
    if EventType.TYPED in in_time:
        return Again.TYPED
    return Again.EXPLICIT if EventType.REDO in in_time else None


def _gap_s(first: Record, second: Record) -> float:
    return max(0.0, (second.at - shown_at(first)).total_seconds())


def _inferred(first: Record, second: Record, followed: Followed, distance: Distance | None) -> Again | None:
    if _gap_s(first, second) > GAP_S or followed.satisfied:
        return None
    hasty = _gap_s(first, second) <= HASTY_S
    nothing = not first.text or (was_searched(first) and not first.results)
    left = bool(followed.clicks)
    texts = _Texts(first, second, distance)
    if second.transport is Transport.TEXT:
        unsure = first.confidence is not None and first.confidence <= UNSURE_BEFORE_TYPING
        in_haste = hasty and (left or unsure or _sounds_like(first, LIKE_SOUND))
        return Again.TYPED if nothing or texts.alike or in_haste else None
    unlike = second.repeats is not None and second.repeats > OTHER_SOUND
    if unlike and not (nothing and hasty):
        return None
    unsure = first.confidence is not None and first.confidence <= UNSURE
    like = _sounds_like(second, SAME_SOUND) or (_sounds_like(second, LIKE_SOUND) and not texts.surely_other)
    if not (nothing or left or like or texts.alike or (hasty and unsure)):
        return None
    if second.repeats is not None:
        return Again.REPEAT if second.repeats <= REPEAT_SOUND else Again.REPHRASE
    return Again.REPEAT if texts.far is None or texts.far <= REPEAT_DISTANCE else Again.REPHRASE


def _sounds_like(record: Record, bound: float) -> bool:
    """Whether its clip was compared with the one before it, and is as near as that."""
    return record.repeats is not None and record.repeats <= bound


class _Texts:
    """How the texts of two queries compare; ``far`` is None where they were not compared."""

    def __init__(self, first: Record, second: Record, distance: Distance | None) -> None:
        self.far: float | None = None
        other_words = False
        if distance is not None and first.text and second.text:
            self.far = distance(first.text, second.text)
            other_words = _other_words(first.text, second.text, distance)
        self.alike = self.far is not None and self.far <= DISTANCE and not other_words
        self.surely_other = other_words and min(first.confidence or 0.0, second.confidence or 0.0) > UNSURE


def _other_words(first: str, second: str, distance: Distance) -> bool:
    """Whether words were replaced by words that sound quite different."""
    before, after = first.split(), second.split()
    changes = SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return any(
        distance(" ".join(before[a:b]), " ".join(after[c:d])) > WORDS_DISTANCE
        for kind, a, b, c, d in changes
        if kind == "replace"
    )
