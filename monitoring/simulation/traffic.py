"""Traffic in simulated time: the records and events that a server would have observed, a week of them in seconds.

    >>> from datetime import UTC, datetime, timedelta
    >>> from monitoring.simulation.incidents import Incident
    >>> from monitoring.simulation.pool import read
    >>> start = datetime(2026, 3, 2, tzinfo=UTC)
    >>> day = timedelta(days=1)
    >>> microphone = Incident("microphone", start + 2 * day, start + 3 * day, share=0.3)
    >>> scenario = Scenario(start, start + 4 * day, per_hour=20.0, incidents=(microphone,))
    >>> observed = list(traffic(read(), scenario, seed=1))
    >>> observed == list(traffic(read(), scenario, seed=1))
    True

A session is pursued to its end when it begins, and what it brings about waits for its turn. Order is that of observing:
a record comes when its request ends, so ``at``, when it began, may be a moment before that of the item before it.
What each person did and why goes to ``told``, for tests; a record does not say.

Not as in life: no session knows of another (a crowd slows nobody down; `incidents.SLOW` does), and a person who is
struck by an incident is struck for a whole session.

As in life: records of one session resemble each other (a voice, a device, a room), so that they are not independent. A
Kolmogorov-Smirnov test of the speech level at 5 % calls 11 % of windows of 200 drifted where nothing changed, and 13 %
of windows of 1,000; of `independent` records, 5 % and 4 % (20 days, 120 sessions an hour, `FLAT`, seed 0). A judge of
drift has to know of sessions.
"""

from __future__ import annotations

import heapq
import itertools
import random
from bisect import bisect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate

import numpy as np

from monitoring.record import Event, Record
from monitoring.simulation.chance import Chance, chance_of
from monitoring.simulation.incidents import Incident
from monitoring.simulation.people import Population, Why, born
from monitoring.simulation.pool import NORMAL, VOCABULARY, Pool, Wish
from monitoring.simulation.rhythm import WEEK, Rhythm, arrivals
from monitoring.simulation.sitting import Did, Sitting

PEOPLE = 5_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated. ``per_hour`` sessions begin on average over a week; a session has 1.8 queries or so.

    The same seed with other incidents is the same people with the same wishes at the same times, up to what the
    incidents make of them.
    """

    since: datetime
    until: datetime
    per_hour: float = 100.0
    rhythm: Rhythm = WEEK
    incidents: tuple[Incident, ...] = ()
    people: int = PEOPLE


Told = Callable[[Did], None]


def traffic(
    pool: Pool, scenario: Scenario, seed: int = 0, told: Told | None = None
) -> Iterator[Record | Event]:
    """What observers see, in the order in which they see it. Memory is bounded by the sessions that are open."""
    everybody = Population(scenario.people, len(scenario.incidents), seed)
    wishes = Wishes(pool)
    waiting: list[tuple[datetime, int, Record | Event]] = []
    tie = itertools.count()
    moments = arrivals(
        scenario.rhythm, scenario.since, scenario.until, scenario.per_hour, np.random.default_rng(seed)
    )
    for number, at in enumerate(moments):
        while waiting and waiting[0][0] <= at:
            yield heapq.heappop(waiting)[2]
        source = random.Random((seed << 40) + number)
        person = everybody.draw(source)
        chance = chance_of(person, scenario.incidents, scenario.rhythm.away(at), at, source)
        sitting = Sitting(pool, f"{seed}-{number}", at, person, chance, source, told)
        for seen_at, item in sitting.observed(wishes.drawn(source, known=not chance.vocabulary)):
            heapq.heappush(waiting, (seen_at, next(tie), item))
    while waiting:
        yield heapq.heappop(waiting)[2]


class Wishes:
    """What people want."""

    def __init__(self, pool: Pool) -> None:
        self._known, self._unknown = pool.known, pool.unknown
        self._popular = list(accumulate(wish.popularity for wish in self._known))

    def draw(self, source: random.Random, *, known: bool) -> Wish:
        """By popularity; of what the catalogue lacks, anything."""
        if not known:
            return source.choice(self._unknown)
        return self._known[bisect(self._popular, source.random() * self._popular[-1])]

    def drawn(self, source: random.Random, *, known: bool) -> Callable[[], Wish]:
        """A wish at each call."""
        return lambda: self.draw(source, known=known)


def independent(
    pool: Pool, count: int, seed: int = 0, condition: str = NORMAL, since: datetime | None = None
) -> list[Record]:
    """``count`` clips of as many strangers, a second apart: independent, and of one distribution."""
    begin = since or datetime.fromisoformat("2026-03-02T00:00:00+00:00")
    wishes = Wishes(pool)
    kept = []
    for number in range(count):
        source = random.Random((seed << 40) + number)
        person = born(number, 0, source)
        unknown = condition == VOCABULARY
        chance = Chance(NORMAL if unknown else condition, unknown)
        sitting = Sitting(
            pool, f"i{seed}-{number}", begin + timedelta(seconds=number), person, chance, source
        )
        wish = wishes.draw(source, known=not unknown)
        kept.append(sitting.say(wish, source.randrange(len(wish.ways)), Why.NEW))
    return kept
