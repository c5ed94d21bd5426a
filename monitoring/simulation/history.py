"""History for a store: simulated days, observed by what observes a server, and judged as they pass.

The watch ticks in simulated time, so the store has what it would have had after those days: records, events, what
became of them, counts, the first reference for drift, alarms that fired and cleared.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from monitoring.record import Event, Record
from monitoring.simulation.pool import Pool
from monitoring.simulation.traffic import Scenario, traffic
from monitoring.store import EventStore
from monitoring.watch import Watch

EVERY = timedelta(
    minutes=5
)  # between ticks: a service's are half a minute apart, which takes ten times as long
BATCH = 2_000  # items between waits for the store, whose backlog is bounded


def write(
    pool: Pool,
    scenario: Scenario,
    store: EventStore,
    seed: int = 0,
    watch: Watch | None = None,
    every: timedelta = EVERY,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Write it: how many records and events. Without a ``watch``, only those. Raises ``StoreUnavailableError``."""
    due = scenario.since + every
    number = 0
    for number, item in enumerate(traffic(pool, scenario, seed), 1):
        while watch is not None and _seen_at(item) >= due:
            store.flush()  # the watch reads what there was
            watch.tick(due)
            due += every
        store.observe(item)
        if watch is not None:
            watch.observe(item)
        if number % BATCH == 0:
            store.flush()
            progress(BATCH)
    store.flush()
    while watch is not None and due <= scenario.until:
        watch.tick(due)
        due += every
    return number


def _seen_at(item: Record | Event) -> datetime:
    return item.at + timedelta(seconds=item.duration_s) if isinstance(item, Record) else item.at
