"""One sitting in simulated time: what a person does, as the records and events that a server makes of it.

A spoken query becomes a hearing of the pool; what is a person's own is added to it: the level of their voice, the
silence before and after, how long each stage took. Level and gain move together and silences change shares, as in the
front end, which levels every clip and cuts its edges; text and confidence do not depend on either (acceptance C2, C3).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import exp
from types import MappingProxyType

from asr.transcript import SAMPLE_RATE_HZ, ClipStats
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.simulation.chance import Chance
from monitoring.simulation.people import Act, Open, Person, Say, Shown, Tell, Type, Why, sit
from monitoring.simulation.pool import BROKEN, NORMAL, VOCABULARY, Hearing, Pool, Typed, Wish

QUERY_LEVEL_SPREAD_DB, QUERY_SNR_SPREAD_DB = 1.0, 0.5
LOUDEST_DBFS, SOFTEST_DBFS = -8.0, -58.0  # where nothing clips, and nothing is too quiet to be heard
EDGE_S = 0.15  # mean of the silence that pressing a button adds, before and after
WAV_HEADER_BYTES = 44
REPEATS_WITHIN_S = 120.0

# Seconds of each stage: a constant and a part of the length. A clip of 3 s takes 60 ms from upload to results, as
# `scripts/benchmark_server` measures with one client on one core (README); how the stages share that is an assumption,
# as is the spread of all together (of the log) and of each (a share, at most).
STAGES_S = {
    "queue": (0.001, 0.0),
    "decode": (0.0004, 0.0001),
    "vad": (0.002, 0.002),
    "model": (0.004, 0.006),
    "beam": (0.003, 0.003),
    "search": (0.012, 0.0),
}
TYPED_STAGES_S = {"search": 0.006}
OVERHEAD_S = 0.003
REQUEST_SPREAD, STAGE_SPREAD = 0.25, 0.25

# How unlike two clips of one voice sound: mean and spread of `asr.spoken_distance` over 14 voices of `asr.train.takes`,
# each saying the same words, another sentence about the same, and something else.
SAME_WORDS, SAME_WISH, OTHER_WISH = (0.17, 0.05), (0.54, 0.15), (0.67, 0.06)


@dataclass(frozen=True, slots=True)
class Did:
    """The truth of one query: who wanted what and why, how it was heard, which query it asks again, and the place of
    what was wanted. Who asked nothing again was served, or gave up: ``rank`` and the events tell."""

    query_id: str
    session: str
    person: int
    wish: int
    why: Why
    follows: str | None
    condition: str
    incidents: tuple[str, ...]
    rank: int | None


class Sitting:
    """A session from its first to its last moment."""

    def __init__(
        self,
        pool: Pool,
        name: str,
        at: datetime,
        person: Person,
        chance: Chance,
        source: random.Random,
        told: Callable[[Did], None] | None = None,
    ) -> None:
        self._pool, self._name, self._at = pool, name, at
        self._person, self._chance, self._source = person, chance, source
        self._told = told
        self._queries = 0
        self._events = 0
        self._spoken: tuple[int, int, datetime] | None = None  # the last clip: wish, way, and when
        self._take: Hearing | None = None

    def observed(self, wish: Callable[[], Wish]) -> Iterator[tuple[datetime, Record | Event]]:
        """Everything, in order, each with the time when the server sees it."""
        acts = sit(self._person, wish, self._source)
        shown: Shown | None = None
        last: Record | None = None
        while True:
            try:
                act: Act = acts.send(shown)
            except StopIteration:
                return
            self._at += timedelta(seconds=act.after_s)
            shown = None
            if isinstance(act, Say | Type):
                before = None if last is None or act.why in (Why.NEW, Why.TYPED_NEW) else last.query_id
                last, rank = self._ask(act)
                self._tell(act, last, before, rank)
                self._at += timedelta(seconds=last.duration_s)
                shown = Shown(rank, len(last.results), last.duration_s, text=bool(last.text))
                yield self._at, last
            elif last is not None and last.outcome is not Outcome.ERROR:
                yield self._at, self._event(act, last)

    def say(self, wish: Wish, way: int, why: Why) -> Record:
        """The record of a spoken query, begun now."""
        return self._ask(Say(0.0, wish, way, why))[0]

    def _ask(self, act: Say | Type) -> tuple[Record, int | None]:
        self._queries += 1
        if self._source.random() < self._chance.outage:
            return self._failed(act), None
        return self._heard(act) if isinstance(act, Say) else self._typed(act.wish.typed)

    def _heard(self, act: Say) -> tuple[Record, int | None]:
        hearing = self._draw(act)
        clip = self._own(hearing.clip)
        text = hearing.text
        stages = self._stages(clip.duration_s)
        repeats = self._repeats(act)
        return Record(
            request_id=f"r-{self._name}-{self._queries}",
            at=self._at,
            transport=Transport.SEARCH,
            outcome=Outcome.of(hearing.null_reason),
            status=200,
            model=self._model,
            duration_s=sum(stages.values()) + OVERHEAD_S,
            query_id=f"q-{self._name}-{self._queries}",
            session=f"s-{self._name}",
            null_reason=hearing.null_reason,
            bytes_received=WAV_HEADER_BYTES + 2 * round(clip.duration_s * SAMPLE_RATE_HZ),
            clip=clip,
            confidence=hearing.confidence,
            n_words=text.count(" ") + 1 if text else 0,
            text=text,
            results=hearing.results,
            stages_s=MappingProxyType(stages),
            perplexity=hearing.perplexity,
            entropy=hearing.entropy,
            top_score=hearing.top_score,
            repeats=repeats,
            device=self._device,
            locale=self._person.locale,
        ), hearing.rank

    def _typed(self, typed: Typed) -> tuple[Record, int | None]:
        factor = self._busy()
        stages = {stage: took_s * factor for stage, took_s in TYPED_STAGES_S.items()}
        return Record(
            request_id=f"r-{self._name}-{self._queries}",
            at=self._at,
            transport=Transport.TEXT,
            outcome=Outcome.OK,
            status=200,
            model=self._model,
            duration_s=sum(stages.values()) + OVERHEAD_S,
            query_id=f"q-{self._name}-{self._queries}",
            session=f"s-{self._name}",
            n_words=len(typed.text.split()),
            text=typed.text,
            results=typed.results,
            stages_s=MappingProxyType(stages),
            top_score=typed.top_score,
            device=self._device,
            locale=self._person.locale,
        ), typed.rank

    def _failed(self, act: Say | Type) -> Record:
        """No worker is left to answer: the client gets 503."""
        return Record(
            request_id=f"r-{self._name}-{self._queries}",
            at=self._at,
            transport=Transport.SEARCH if isinstance(act, Say) else Transport.TEXT,
            outcome=Outcome.ERROR,
            status=503,
            model=self._model,
            duration_s=OVERHEAD_S * self._busy(),
            session=f"s-{self._name}",
            error="WorkerError",
            device=self._device,
            locale=self._person.locale,
        )

    def _event(self, act: Act, last: Record) -> Event:
        assert last.query_id is not None, "answered queries have an id"
        self._events += 1
        opened = isinstance(act, Open)
        return Event(
            event_id=f"{last.query_id}.{self._events}",
            query_id=last.query_id,
            type=act.type if isinstance(act, Tell) else EventType.CLICK,
            at=self._at,
            item_id=last.results[act.place - 1] if opened else None,  # type: ignore[union-attr]  # opened says so
            text=act.text if isinstance(act, Tell) else "",
            session=last.session,
        )

    def _draw(self, act: Say) -> Hearing:
        """Of two takes, the one whose room is more like the person's; another one than last time where there is."""
        condition = VOCABULARY if not act.wish.known else self._chance.audio
        takes = self._pool.takes[condition, act.wish.number, act.way]
        one, other = self._source.choice(takes), self._source.choice(takes)
        if one is self._take:
            one = self._source.choice(takes)
        if condition == NORMAL:
            wanted_db = self._person.snr_db
            one = min(one, other, key=lambda each: abs((each.clip.snr_db or 0.0) - wanted_db))
        self._take = one
        return one

    def _own(self, clip: ClipStats) -> ClipStats:
        """The clip in this person's voice and manner."""
        gauss, exponential = self._source.gauss, self._source.expovariate
        louder_db = self._person.level_db + gauss(0.0, QUERY_LEVEL_SPREAD_DB)
        level_dbfs = clip.level_dbfs
        if level_dbfs is not None:
            louder_db = min(max(louder_db, SOFTEST_DBFS - level_dbfs), LOUDEST_DBFS - level_dbfs)
            level_dbfs += louder_db
        before_s, after_s = exponential(1.0 / EDGE_S), exponential(1.0 / EDGE_S)
        duration_s = clip.duration_s + before_s + after_s
        return ClipStats(
            duration_s,
            level_dbfs,
            clip.gain_db if level_dbfs is None else clip.gain_db - louder_db,
            None if clip.snr_db is None else clip.snr_db + gauss(0.0, QUERY_SNR_SPREAD_DB),
            clip.clipped_ratio,
            clip.speech_ratio * clip.duration_s / duration_s,
            clip.leading_silence_s + before_s,
            clip.trailing_silence_s + after_s,
        )

    def _stages(self, duration_s: float) -> dict[str, float]:
        draw = self._source.random
        factor = self._busy()
        return {
            stage: (fixed + share * duration_s) * factor * (1.0 + STAGE_SPREAD * (2.0 * draw() - 1.0))
            for stage, (fixed, share) in STAGES_S.items()
        }

    def _busy(self) -> float:
        """How many times as long as usual everything takes, this time."""
        return self._chance.slow * exp(self._source.gauss(0.0, REQUEST_SPREAD))

    def _repeats(self, act: Say) -> float | None:
        before, self._spoken = self._spoken, (act.wish.number, act.way, self._at)
        if before is None or (self._at - before[2]).total_seconds() > REPEATS_WITHIN_S:
            return None
        mean, spread = (
            OTHER_WISH
            if before[0] != act.wish.number
            else (SAME_WORDS if before[1] == act.way else SAME_WISH)
        )
        return min(1.0, max(0.0, self._source.gauss(mean, spread)))

    def _tell(self, act: Say | Type, record: Record, before: str | None, rank: int | None) -> None:
        if self._told is not None and record.query_id is not None:
            condition = self._take.condition if isinstance(act, Say) and self._take else NORMAL
            self._told(
                Did(
                    record.query_id, f"s-{self._name}", self._person.number, act.wish.number, act.why, before,
                    condition, self._chance.kinds, rank,
                )
            )  # fmt: skip

    @property
    def _model(self) -> str:
        models = self._pool.models
        return self._chance.model or models[BROKEN if self._chance.audio == BROKEN else NORMAL]

    @property
    def _device(self) -> str:
        return self._chance.device or self._person.device
