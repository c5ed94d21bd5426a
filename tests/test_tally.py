"""``monitoring.counts.tally``: everything observed is handed out once, whoever observes and drains at the same time."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from monitoring.counts.rollup import RollupKey, key_of, total
from monitoring.counts.tally import MODELS, Tally
from monitoring.outcomes import Click, Followed
from monitoring.record import Event, EventType, Outcome, Record, Transport

AT = datetime(2026, 3, 1, 12, 0, 59, tzinfo=UTC)
RECORD = Record("r", AT, Transport.SEARCH, Outcome.OK, 200, "en@1", 0.02, query_id="q", results=("1",))


def test_a_drain_hands_out_what_came_since_the_last() -> None:
    """By minute and by what served it, oldest first; then nothing, until more comes."""
    tally = Tally()
    later = replace(RECORD, at=AT + timedelta(seconds=1), arm="canary")
    for item in (later, RECORD, RECORD, Event("e", "q", EventType.CLICK, AT)):
        tally.observe(item)
    first, second = tally.drain()
    assert (first[0], first[1].counts["requests"]) == (key_of(RECORD), 2)
    assert (second[0], second[1].counts["requests"]) == (key_of(later), 1)
    assert tally.drain() == []
    tally.observe(RECORD)
    assert [rollup.counts["requests"] for _, rollup in tally.drain()] == [1]


def test_what_people_did_counts_in_the_minute_of_the_query() -> None:
    """However late it is known; a click counts where results were shown."""
    tally = Tally()
    tally.observe(RECORD)
    tally.drain()
    tally.followed(RECORD, Followed("q", "en@1", "stable", False, (Click("1", None),)))
    tally.followed(replace(RECORD, results=()), Followed("q", "en@1", "stable", False))
    ((key, rollup),) = tally.drain()
    assert key == key_of(RECORD)
    assert rollup.rate("click_rate") == (1, 1)
    assert rollup.rate("redo_rate") == (0, 2)


def test_names_that_strangers_send_are_bounded() -> None:
    """A model that never served is "other", and so is one beyond the limit."""
    tally = Tally()
    tally.observe(RECORD)
    tally.observe(replace(RECORD, outcome=Outcome.ERROR, status=404, model="nonsense"))
    assert [key.model for key, _ in tally.drain()] == ["en@1", "other"]
    for number in range(3 * MODELS):
        tally.observe(replace(RECORD, model=f"m{number}"))
    assert len(tally.drain()) == MODELS  # one is en@1's, one is "other"


def test_what_finds_no_room_is_counted_as_lost() -> None:
    """Nobody drains: known minutes go on, new ones do not."""
    tally = Tally(most=2)
    for minute in (0, 1, 2, 3, 1):
        tally.observe(replace(RECORD, at=AT + timedelta(minutes=minute)))
    assert tally.lost == 2
    assert [rollup.counts["requests"] for _, rollup in tally.drain()] == [1, 2]


def test_threads_lose_and_double_nothing() -> None:
    """Four observe while one drains: the sum of all drains is what was observed."""
    tally = Tally()
    drained: list[tuple[RollupKey, int]] = []
    done = threading.Event()

    def drain() -> None:
        while not done.is_set():
            drained.extend((key, rollup.counts["requests"]) for key, rollup in tally.drain())

    drainer = threading.Thread(target=drain)
    observers = [
        threading.Thread(target=lambda: [tally.observe(RECORD) for _ in range(500)]) for _ in range(4)
    ]
    for thread in (drainer, *observers):
        thread.start()
    for thread in observers:
        thread.join()
    done.set()
    drainer.join()
    left = total(rollup for _, rollup in tally.drain()).counts["requests"]
    assert sum(count for _, count in drained) + left == 2_000
