"""``monitoring.follower``: what became of queries, live, with bounded memory, and again after a restart."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asr.transcript import ClipStats
from monitoring.aftermath import Aftermath
from monitoring.follower import GRACE, LOOK, MOST_EVENTS, Follower
from monitoring.outcomes import TOLD_S, Again, Click, Followed, follow
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.store import EventStore

AT = datetime(2026, 3, 1, tzinfo=UTC)
WATERMARK = timedelta(seconds=60)
RECORD = Record(
    "r1", AT, Transport.SEARCH, Outcome.OK, 200, "en-small@0", 1.0, query_id="q1", session="s", key_id="k",
    text="red jacket", results=("a", "b"), clip=ClipStats(2.0, -26.0, 0.0, 30.0, 0.0, 0.5, 0.3, 0.7),
)  # fmt: skip
SETTLES = AT + timedelta(seconds=1.0 + TOLD_S) + WATERMARK  # its results came after a second


def same_or_not(a: str, b: str) -> float:
    """A distance of texts."""
    return float(a != b)


@pytest.fixture
def follower() -> Follower:
    """One that has seen nothing."""
    return Follower(same_or_not, WATERMARK)


def query(number: int, seconds: float, **changes: object) -> Record:
    """Of the same session, so long after the first began."""
    at = AT + timedelta(seconds=seconds)
    values = {"request_id": f"r{number}", "query_id": f"q{number}", "at": at, **changes}
    return replace(RECORD, **values)  # type: ignore[arg-type]  # a test's own names


def event(kind: EventType, seconds: float, query_id: str = "q1", event_id: str = "e1") -> Event:
    """Done so long after the first query began."""
    return Event(event_id, query_id, kind, AT + timedelta(seconds=seconds), item_id="item", session="s")


def outcomes(settled: Sequence[tuple[Record, Followed]]) -> list[tuple[str, Again | None]]:
    """Which query, and how it was asked again."""
    return [(followed.query_id, followed.again) for _, followed in settled]


def test_a_query_comes_out_once_when_it_has_settled(follower: Follower) -> None:
    """To the microsecond, charged to what served it, and without a word of it."""
    follower.observe(RECORD)
    follower.observe(query(2, 6.0, model="en-big@1"))
    assert follower.settled(SETTLES - timedelta(microseconds=1)) == []
    ((record, followed),) = follower.settled(SETTLES)
    assert (followed.again, followed.again_as, followed.model) == (Again.REPEAT, "q2", "en-small@0")
    assert (record.text, record.clip, record.results) == ("", None, ("a",))
    assert record == replace(RECORD, text="", clip=None, results=("a",))
    assert follower.settled(SETTLES) == []
    assert outcomes(follower.settled(SETTLES + timedelta(minutes=1))) == [("q2", None)]
    assert len(follower) == 0


def test_late_events_count_within_the_watermark(follower: Follower) -> None:
    """An event that comes until the query settles is charged; a moment later it is only counted."""
    follower.observe(RECORD)
    follower.settled(SETTLES - timedelta(microseconds=1))
    follower.observe(event(EventType.REDO, 100.0))
    ((_, followed),) = follower.settled(SETTLES)
    assert (followed.again, followed.told) == (Again.EXPLICIT, True)
    assert follower.late == 0
    follower.observe(event(EventType.CLICK, 100.0, event_id="e2"))
    follower.observe(event(EventType.CLICK, 100.0, query_id="never asked", event_id="e3"))
    assert follower.late == 2


def test_events_may_come_in_any_order_and_twice(follower: Follower) -> None:
    """Clicks are put in order of time; the same event is one."""
    follower.observe(RECORD)
    for second, name in ((12.0, "e2"), (2.0, "e1"), (12.0, "e2")):
        follower.observe(event(EventType.CLICK, second, event_id=name))
    ((_, followed),) = follower.settled(SETTLES)
    assert followed.clicks == (Click("item", 10.0), Click("item", None))


def test_sessions_of_other_keys_and_queries_without_one_are_apart(follower: Follower) -> None:
    """The same words at once, by somebody else: nobody asked again."""
    others = (
        query(2, 5.0, key_id="other"),
        query(3, 5.0, session="t"),
        query(4, 5.0, session=None),
        query(5, 6.0, session=None),
    )
    for record in (RECORD, *others):
        follower.observe(record)
    follower.observe(event(EventType.REDO, 7.0, query_id="q4"))
    settled = outcomes(follower.settled(SETTLES + timedelta(seconds=6)))
    assert settled == [("q1", None), ("q2", None), ("q3", None), ("q4", Again.EXPLICIT), ("q5", None)]


def test_what_was_not_answered_or_seen_is_not_followed(follower: Follower) -> None:
    """Errors, transcriptions that are no queries, and a shadow's answers."""
    follower.observe(query(2, 0.0, outcome=Outcome.ERROR))
    follower.observe(query(3, 0.0, query_id=None))
    follower.observe(query(4, 0.0, arm="shadow"))
    assert len(follower) == 0


def test_a_comparison_that_raises_costs_no_query() -> None:
    """One pair of texts that cannot be compared: it is settled by the rest of what is known, counted, and no other is
    lost; one that is broken off leaves the query where it was."""

    def fragile(a: str, b: str) -> float:
        if "x" in a:
            raise ValueError("no phones")
        if "stop" in a:
            raise KeyboardInterrupt
        return same_or_not(a, b)

    follower = Follower(fragile, WATERMARK)
    for number, said in enumerate(("tea", "tea", "x", "x", "jam", "jam"), 1):
        follower.observe(query(number, float(number), text=said))
    follower.observe(event(EventType.REDO, 4.5, query_id="q4"))
    assert outcomes(follower.settled(SETTLES + timedelta(minutes=1))) == [
        ("q1", Again.REPEAT),
        ("q2", None),
        ("q3", None),
        ("q4", Again.EXPLICIT),
        ("q5", Again.REPEAT),
        ("q6", None),
    ]
    assert (follower.uncompared, len(follower)) == (1, 0)
    for number, said in ((7, "stop"), (8, "tea")):
        follower.observe(query(number, float(number), text=said))
    with pytest.raises(KeyboardInterrupt):
        follower.settled(SETTLES + timedelta(minutes=1))
    assert len(follower) == 2


def test_an_endless_session_takes_no_more_memory_than_its_last_minutes(follower: Follower) -> None:
    """A query a second for an hour: three minutes of them are kept."""
    kept = 0
    for number in range(3600):
        follower.observe(query(number, float(number), text=f"{number}"))
        follower.settled(AT + timedelta(seconds=number))
        kept = max(kept, len(follower))
    assert kept == 1 + TOLD_S + WATERMARK.total_seconds()


def test_when_there_is_no_room_the_oldest_goes_unfollowed() -> None:
    """And is counted; the others are followed as ever."""
    follower = Follower(same_or_not, WATERMARK, most=2)
    for number in (1, 2, 3):
        follower.observe(query(number, float(number)))
    assert (len(follower), follower.unfollowed) == (2, 1)
    assert outcomes(follower.settled(SETTLES + WATERMARK)) == [("q2", Again.REPEAT), ("q3", None)]


def test_a_storm_of_events_on_one_query_is_bounded(follower: Follower) -> None:
    """What no person does is not kept."""
    follower.observe(RECORD)
    for number in range(10 * MOST_EVENTS):
        follower.observe(event(EventType.CLICK, 1.0 + number, event_id=f"{number}"))
    ((_, followed),) = follower.settled(SETTLES)
    assert len(followed.clicks) == MOST_EVENTS


def test_a_session_that_is_to_be_forgotten_is(follower: Follower) -> None:
    """Also where it is in the middle of something; others go on."""
    for record in (RECORD, query(2, 1.0, session="t"), query(3, 2.0)):
        follower.observe(record)
    follower.observe(event(EventType.CLICK, 3.0))
    follower.forget("s", "unknown")
    assert len(follower) == 1
    assert outcomes(follower.settled(SETTLES + WATERMARK)) == [("q2", None)]


def test_a_session_of_another_key_is_not_forgotten(follower: Follower) -> None:
    """Two keys may choose the same name."""
    for number, key_id in ((2, "a"), (3, "b")):
        follower.observe(replace(query(number, 1.0), key_id=key_id))
    follower.forget("s", key_id="a")
    assert outcomes(follower.settled(SETTLES + WATERMARK)) == [("q3", None)]


def test_live_and_after_the_fact_agree() -> None:
    """Random sessions, in any order of arrival, tick by tick: as `follow` finds with everything before it."""
    rng = random.Random(3)
    records = [
        query(
            number,
            rng.uniform(0, 600),
            session=rng.choice("stu"),
            text=rng.choice(("tea", "jam", "")),
            transport=rng.choice([Transport.SEARCH, Transport.TEXT]),
            repeats=rng.choice([None, 0.1, 0.9]),
        )
        for number in range(200)
    ]
    events = [
        event(
            rng.choice(list(EventType)),
            (record.at - AT).total_seconds() + rng.uniform(1, 100),
            query_id=str(record.query_id),
            event_id=record.request_id,
        )
        for record in records
    ]
    happened: list[Record | Event] = [*records, *events]
    items = sorted(happened, key=lambda item: item.at)
    follower = Follower(same_or_not, WATERMARK)
    live: list[tuple[Record, Followed]] = []
    for item in items:
        follower.observe(item)
        live += follower.settled(item.at)
    live += follower.settled(AT + timedelta(hours=1))
    expected = [
        followed
        for session in "stu"
        for followed in follow([r for r in records if r.session == session], events, same_or_not)
    ]
    # A visit that ends with a query of much later has no end yet when the first settles: both are an answer.
    assert sorted((f.query_id, f.again, f.again_as, f.satisfied) for _, f in live) == sorted(
        (f.query_id, f.again, f.again_as, f.satisfied) for f in expected
    )


def test_many_threads_lose_nothing(follower: Follower) -> None:
    """Observing and settling at once: each query comes out once."""
    out: list[tuple[Record, Followed]] = []
    done = threading.Event()

    def settle() -> None:
        while not done.is_set():
            out.extend(follower.settled(AT + timedelta(seconds=400)))

    def ask(first: int) -> None:
        for number in range(first, first + 500):
            follower.observe(query(number, float(number), session=f"{number % 7}"))

    settling = threading.Thread(target=settle)
    asking = [threading.Thread(target=ask, args=(1000 * n,)) for n in range(4)]
    settling.start()
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    done.set()
    settling.join()
    out.extend(follower.settled(AT + timedelta(days=1)))
    assert len({followed.query_id for _, followed in out}) == len(out) == 2000


def test_a_restart_loses_no_query(tmp_path: Path) -> None:
    """What one process had not followed to its end, the next one does: once, with its events."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        before = Follower(same_or_not, WATERMARK)
        for item in (RECORD, query(2, 6.0), query(3, 200.0), event(EventType.CLICK, 205.0, "q3")):
            store.observe(item)
            before.observe(item)
        settled = before.settled(SETTLES)
        assert store.keep([Aftermath.of(*pair) for pair in settled]) == [True]
        after = Follower(same_or_not, WATERMARK)
        later = SETTLES + timedelta(hours=1)
        again = after.leftover(store, later)
        assert outcomes(again) == [("q2", None), ("q3", None)]
        assert again[1][1].clicks == (Click("item", None),)
        assert again[0][0].text == ""
        assert store.keep([Aftermath.of(*pair) for pair in again]) == [True, True]
        assert [(row.query_id, row.again, row.clicks) for row in store.followed()] == [
            ("q1", Again.REPEAT, 0),
            ("q2", None, 0),
            ("q3", None, 1),
        ]
        assert after.leftover(store, later + LOOK) == []


def test_what_is_left_over_is_what_nobody_follows_any_more(tmp_path: Path) -> None:
    """Not what is so young that another process still does, nor what this one does itself; and asked again is found
    whoever has followed the second query. Looked for again after a while, back to the last look and a little more."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        late = (TOLD_S + WATERMARK.total_seconds()) + GRACE.total_seconds() + 1.0
        for item in (RECORD, query(2, 6.0), query(3, late), query(4, late + 5.0)):
            store.observe(item)
        assert store.keep([_aftermath(query(2, 6.0))]) == [True]
        follower = Follower(same_or_not, WATERMARK)
        assert follower.leftover(store, AT + timedelta(seconds=2)) == []
        assert follower.leftover(store, AT + timedelta(seconds=late + 1)) == [], "too soon to look again"
        now = AT + timedelta(seconds=2) + LOOK
        assert outcomes(follower.leftover(store, now)) == [("q1", Again.REPEAT)]
        assert store.keep([_aftermath(RECORD)]) == [True]
        follower.observe(query(4, late + 5.0))
        assert outcomes(follower.leftover(store, now + LOOK)) == [("q3", Again.REPEAT)]
        assert len(follower) == 1


def test_what_came_after_it_would_have_settled_is_no_part_of_what_is_left_over(tmp_path: Path) -> None:
    """A visit that somebody came back from an hour later has no end, as it would have had none live."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        clicks = event(EventType.CLICK, 2.0), event(EventType.CLICK, 600.0, event_id="e2")
        for item in (RECORD, query(2, 1200.0), *clicks):
            store.observe(item)
        store.keep([])  # behind what was observed: it is there now
        (_, followed), *_ = Follower(same_or_not, WATERMARK).leftover(store, AT + timedelta(hours=1))
        assert followed.clicks == (Click("item", None),)


def _aftermath(record: Record) -> Aftermath:
    return Aftermath.of(record, Followed(str(record.query_id), record.model, record.arm, null=False))
