"""Simulated people at a running server: the same people, incidents and rhythm as in `traffic`, in real time.

How a clip is made and how the server is reached is the caller's: a `Server`. People come at random moments, as the
rhythm has it, as long as there are fewer than ``at_once`` of them; each thinks ``speed`` times as fast as in life.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from monitoring.record import EventType
from monitoring.simulation.chance import Chance, chance_of
from monitoring.simulation.incidents import Incident
from monitoring.simulation.people import Act, Open, Person, Population, Say, Shown, Tell, Type, Why, sit
from monitoring.simulation.pool import Pool, Wish, rank
from monitoring.simulation.rhythm import WEEK, Rhythm
from monitoring.simulation.traffic import Wishes

DAY = timedelta(days=1)
IDLE_S = 0.05  # between looks at the clock, where nobody comes


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. ``query_id`` None: it refused, or failed."""

    status: int
    took_s: float
    query_id: str | None = None
    text: str = ""
    results: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Who:
    """What a client says of itself, and what strikes it."""

    session: str
    person: Person
    chance: Chance


class Server(Protocol):
    """Where people search."""

    async def say(self, who: Who, wish: Wish, way: int) -> Answer:
        """Speak."""

    async def type(self, who: Who, text: str) -> Answer:
        """Type."""

    async def tell(self, who: Who, query_id: str, kind: EventType, item_id: str | None, text: str) -> int:
        """Report an event; the status."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Who comes, how often and for how long. ``per_s`` sessions begin a second on average over a week.

    A day of the rhythm lasts ``day_s`` seconds; ``start`` is where in the week it begins. Incidents go by the clock.
    """

    start: datetime
    seconds: float
    per_s: float = 2.0
    at_once: int = 50
    speed: float = 1.0
    day_s: float = 86_400.0
    rhythm: Rhythm = WEEK
    incidents: tuple[Incident, ...] = ()
    people: int = 5_000
    queries: int | None = None


@dataclass(slots=True)
class Summary:
    """What people did, and what was answered."""

    did: Counter[str] = field(default_factory=Counter)  # by why they asked, and by event
    statuses: Counter[int] = field(default_factory=Counter)
    took_s: list[float] = field(default_factory=list)
    queries: int = 0
    sessions: int = 0
    turned_away: int = 0  # nobody was left to come
    null: int = 0
    found: int = 0
    by_incident: Counter[str] = field(default_factory=Counter)

    def told(self) -> str:
        """For people."""
        took_ms = [1000.0 * took_s for took_s in sorted(self.took_s)] or [math.nan]
        half, most = (took_ms[int(share * len(took_ms))] for share in (0.5, 0.95))
        spoken = sum(self.did[why.value] for why in (Why.NEW, Why.REPEAT, Why.REPHRASE))
        lines = [
            f"{self.queries} queries in {self.sessions} sessions; nobody left to come {self.turned_away} times",
            "people did: " + _listed(self.did.most_common()),
            "statuses: " + _listed((status, f"x {count}") for status, count in sorted(self.statuses.items())),
            f"answered in {half:.0f} ms (half), {most:.0f} ms (95 %)",
            f"of {spoken} spoken queries, {self.null} came out empty and {self.found} found what was wanted",
        ]
        if self.by_incident:
            lines.append("queries struck: " + _listed(self.by_incident.most_common()))
        return "\n".join(lines)


async def visit(
    pool: Pool,
    server: Server,
    plan: Visit,
    seed: int = 0,
    progress: Callable[[Summary], None] = lambda _: None,
) -> Summary:
    """Let people search until the time is over or there were enough queries; then wait for those who are here."""
    summary, source = Summary(), random.Random(seed)
    everybody = Population(plan.people, len(plan.incidents), seed)
    wishes = Wishes(pool)
    here: set[asyncio.Task[None]] = set()
    began = time.monotonic()
    enough = asyncio.Event()
    try:
        while (elapsed_s := time.monotonic() - began) < plan.seconds and not enough.is_set():
            now = plan.start + timedelta(seconds=elapsed_s)
            in_week = plan.start + DAY * (elapsed_s / plan.day_s)
            rate = plan.per_s * plan.rhythm.relative(in_week)
            wait_s = source.expovariate(rate) if rate > 0.0 else IDLE_S
            await asyncio.sleep(min(wait_s, max(0.0, plan.seconds - elapsed_s)))
            here = {task for task in here if not _finished(task)}
            progress(summary)
            if len(here) >= plan.at_once:
                summary.turned_away += 1
                continue
            own = random.Random((seed << 40) + summary.sessions)
            person = everybody.draw(own)
            chance = chance_of(person, plan.incidents, plan.rhythm.away(in_week), now, own)
            who = Who(f"sim-{seed}-{summary.sessions}", person, chance)
            summary.sessions += 1
            acts = _Acts(pool, server, plan, summary, who, enough)
            here.add(asyncio.create_task(acts.live(wishes.drawn(own, known=not chance.vocabulary), own)))
        await asyncio.gather(*here)
    finally:
        for task in here:
            task.cancel()
    return summary


def _listed(pairs: Iterable[tuple[object, object]]) -> str:
    return ", ".join(f"{name} {count}" for name, count in pairs)


def _finished(task: asyncio.Task[None]) -> bool:
    if task.done():
        task.result()  # raises what it raised
    return task.done()


class _Acts:
    """One session at the server."""

    def __init__(
        self, pool: Pool, server: Server, plan: Visit, summary: Summary, who: Who, enough: asyncio.Event
    ) -> None:
        self._pool, self._server, self._plan = pool, server, plan
        self._summary, self._who, self._enough = summary, who, enough
        self._last: Answer | None = None

    async def live(self, wish: Callable[[], Wish], source: random.Random) -> None:
        """From the first act to the last, or until there were enough queries."""
        acts = sit(self._who.person, wish, source)
        shown: Shown | None = None
        while not self._enough.is_set():
            try:
                act = acts.send(shown)
            except StopIteration:
                return
            await asyncio.sleep(act.after_s / self._plan.speed)
            shown = await self._do(act)

    async def _do(self, act: Act) -> Shown | None:
        if isinstance(act, Say):
            answer = await self._server.say(self._who, act.wish, act.way)
            return self._see(act, answer, rank(answer.results, act.wish.ways[act.way].answers))
        if isinstance(act, Type):
            answer = await self._server.type(self._who, act.wish.typed.text)
            return self._see(act, answer, rank(answer.results, (act.wish.item,)))
        await self._report(act)
        return None

    def _see(self, act: Say | Type, answer: Answer, place: int | None) -> Shown:
        summary, self._last = self._summary, answer
        summary.queries += 1
        summary.did[act.why.value] += 1
        summary.statuses[answer.status] += 1
        summary.took_s.append(answer.took_s)
        summary.by_incident.update(self._who.chance.kinds)
        if answer.query_id is not None and isinstance(act, Say):
            summary.null += not answer.text
            summary.found += place is not None
        if self._plan.queries is not None and summary.queries >= self._plan.queries:
            self._enough.set()
        return Shown(place, len(answer.results), answer.took_s, text=bool(answer.text))

    async def _report(self, act: Open | Tell) -> None:
        last = self._last
        if last is None or last.query_id is None:
            return
        if isinstance(act, Open):
            kind, item, text = EventType.CLICK, last.results[act.place - 1], ""
        else:
            kind, item, text = act.type, None, act.text
        status = await self._server.tell(self._who, last.query_id, kind, item, text)
        self._summary.did[kind.value] += 1
        self._summary.statuses[status] += 1
