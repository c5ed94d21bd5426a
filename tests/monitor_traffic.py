"""Made-up traffic for tests of what shows it: requests of many minutes, counted into a store's rollups.

The numbers are drawn with a fixed seed and have the shape of the real ones. From ``since_quiet`` on, people are 18 dB
quieter: the level falls, less of a clip is found to be speech, more comes out empty, and more is said again.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from asr.transcript import ClipStats, NullReason
from monitoring.counts.tally import Tally
from monitoring.outcomes import Again, Click, Followed
from monitoring.record import Outcome, Record, Transport
from monitoring.store import EventStore

MODEL = "en-small@2f9c01ab"
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Traffic:
    """``per_minute`` requests on average of ``[since, until)``, at night fewer; from ``since_new`` on of ``newer``."""

    since: datetime
    until: datetime
    per_minute: float = 10.0
    model: str = MODEL
    newer: str | None = None
    since_new: datetime | None = None
    since_quiet: datetime | None = None
    seed: int = 6


def requests(traffic: Traffic) -> Iterator[tuple[Record, Followed | None]]:
    """Each request, and what became of it where it was answered."""
    draw = random.Random(traffic.seed)
    at, number = traffic.since, 0
    while at < traffic.until:
        busy = 1.0 + 0.7 * math.sin(2 * math.pi * (at.timestamp() % DAY_S / DAY_S - 0.35))
        at += timedelta(minutes=draw.expovariate(traffic.per_minute * busy))
        number += 1
        quiet = traffic.since_quiet is not None and at >= traffic.since_quiet
        new = traffic.since_new is not None and at >= traffic.since_new
        record = _record(
            f"r{traffic.seed}-{number}", at, traffic.newer or "" if new else traffic.model, quiet, draw
        )
        yield record, _followed(record, quiet, draw)


def count(store: EventStore, traffic: Traffic) -> int:
    """Add it to the store's rollups; how many requests."""
    tally, n = Tally(most=100_000), 0
    for record, followed in requests(traffic):
        n += 1
        tally.observe(record)
        if followed is not None:
            tally.followed(record, followed)
    store.add_rollups(tally.drain(), f"made-up-{traffic.seed}")
    return n


def _record(name: str, at: datetime, model: str, quiet: bool, draw: random.Random) -> Record:
    roll = draw.random()
    if roll < 0.004:
        return Record(name, at, Transport.SEARCH, Outcome.ERROR, 400 if roll < 0.003 else 500, model, 0.02)
    if roll < 0.06:
        return Record(
            name, at, Transport.TEXT, Outcome.OK, 200, model, 0.004, query_id=name, results=("a",), top_score=0.9,
            stages_s={"search": 0.003},
        )  # fmt: skip
    length_s = draw.lognormvariate(0.65, 0.35)
    level_dbfs = draw.gauss(-44.0 if quiet else -26.0, 5.0)
    speech_ratio = min(1.0, max(0.05, draw.gauss(0.45 if quiet else 0.66, 0.12)))
    clip = ClipStats(
        duration_s=length_s,
        level_dbfs=level_dbfs,
        gain_db=-26.0 - level_dbfs,
        snr_db=draw.gauss(18.0 if quiet else 27.0, 6.0),
        clipped_ratio=0.0 if draw.random() < 0.96 else draw.expovariate(200.0),
        speech_ratio=speech_ratio,
        leading_silence_s=draw.expovariate(3.0),
        trailing_silence_s=draw.expovariate(2.0),
    )
    null = draw.random() < (0.14 if quiet else 0.03)
    slow = draw.lognormvariate(0.0, 0.25)
    stages_s = {
        "queue": draw.expovariate(200.0), "decode": 0.004 * slow, "vad": 0.006 * slow, "level": 0.001 * slow,
        "model": 0.035 * slow * length_s, "beam": 0.018 * slow * length_s,
    }  # fmt: skip
    if null:
        return Record(
            name, at, Transport.STREAM, Outcome.NULL, 200, model, sum(stages_s.values()), query_id=name, clip=clip,
            null_reason=NullReason.TOO_QUIET, stages_s=stages_s,
        )  # fmt: skip
    found = draw.random() < 0.95
    stages_s["search"] = draw.expovariate(300.0)
    return Record(
        name, at, Transport.STREAM, Outcome.OK, 200, model, sum(stages_s.values()), query_id=name, clip=clip,
        confidence=min(0.999, max(0.05, draw.gauss(0.7 if quiet else 0.82, 0.13))),
        n_words=max(1, round(draw.gauss(3.0, 1.0) * length_s * speech_ratio)), text="made up",
        results=("a", "b") if found else (), top_score=draw.betavariate(8, 2) if found else None, stages_s=stages_s,
        entropy=draw.expovariate(6.0 if quiet else 10.0), perplexity=draw.lognormvariate(5.0, 1.0),
    )  # fmt: skip


def _followed(record: Record, quiet: bool, draw: random.Random) -> Followed | None:
    if record.query_id is None:
        return None
    null = record.outcome is Outcome.NULL
    roll, again = draw.random(), None
    if record.transport is not Transport.TEXT:
        redo = 0.5 if null else 0.16 if quiet else 0.07
        again = Again.REPEAT if roll < redo else Again.TYPED if roll < redo * 1.3 else None
    clicked = bool(record.results) and again is None and draw.random() < 0.45
    return Followed(
        record.query_id,
        record.model,
        record.arm,
        null,
        clicks=(Click("a", 20.0),) if clicked else (),
        again=again,
    )
