"""``monitoring.settled``: what waits for the store, and what an erasure takes out of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from monitoring.outcomes import Followed
from monitoring.record import Outcome, Record, Transport
from monitoring.settled import Settled

RECORD = Record(
    "r", datetime(2026, 3, 1, tzinfo=UTC), Transport.SEARCH, Outcome.OK, 200, "en@1", 0.1, session="s"
)


def pair(number: int, session: str | None = "s") -> tuple[Record, Followed]:
    """A query of a session, and what became of it."""
    query_id = f"q{number}"
    return replace(RECORD, query_id=query_id, session=session), Followed(
        query_id, "en@1", "stable", null=False
    )


def test_what_the_store_took_waits_no_longer() -> None:
    """In order, each query once; what came meanwhile waits on."""
    settled = Settled()
    settled.add([pair(1), pair(2), pair(1)])
    taken = settled.waiting()
    assert [followed.query_id for _, followed in taken] == ["q1", "q2"]
    settled.add([pair(3)])
    settled.done(taken)
    assert (settled.waiting(), settled.lost) == ([pair(3)], 0)


def test_the_oldest_make_room_and_are_counted() -> None:
    """However long the store is away."""
    settled = Settled(most=2)
    settled.add(pair(number) for number in range(5))
    assert (len(settled), settled.lost) == (2, 3)
    assert settled.waiting() == [pair(3), pair(4)]


def test_a_session_that_is_to_be_forgotten_is() -> None:
    """Also while the store is away; others wait on."""
    settled = Settled()
    settled.add([pair(1), pair(2, "t"), pair(3, None)])
    settled.forget("s", "unknown")
    assert settled.waiting() == [pair(2, "t"), pair(3, None)]
