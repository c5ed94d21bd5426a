"""Which stretch of time a page shows, in which steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitoring.counts.stretch import MOST_POINTS, plan
from monitoring.counts.tiers import TIERS
from monitoring.errors import WindowError

NOW = datetime(2026, 3, 4, 15, 7, 50, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def test_the_last_hour_minute_by_minute() -> None:
    """It ends with the last minute whose counts have had time to arrive."""
    stretch = plan(NOW, "1h")
    assert stretch.until == datetime(2026, 3, 4, 15, 7, tzinfo=UTC)
    assert stretch.since == datetime(2026, 3, 4, 14, 7, tzinfo=UTC)
    assert stretch.step == MINUTE
    assert len(stretch.starts) == 60
    assert plan(NOW.replace(second=40), "1h").until == datetime(2026, 3, 4, 15, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    ("since", "step_minutes", "points"), [("6h", 10, 37), ("24h", 10, 145), ("7d", 60, 169)]
)
def test_steps_are_as_long_as_counts_are_kept(since: str, step_minutes: int, points: int) -> None:
    """Of the last day ten minutes, of a week hours; the last step is the shorter one."""
    stretch = plan(NOW, since)
    assert stretch.step == step_minutes * MINUTE
    assert len(stretch.starts) == points
    assert stretch.length(stretch.starts[-1]) == 7 * MINUTE
    assert stretch.length(stretch.starts[0]) == stretch.step


def test_a_wish_for_a_step_is_granted_where_it_can_be() -> None:
    """A longer one always; a shorter one than the counts are kept in never."""
    assert plan(NOW, "1h", step=5 * MINUTE).step == 5 * MINUTE
    assert plan(NOW, "7d", step=MINUTE).step == 60 * MINUTE


def test_times_with_and_without_a_zone() -> None:
    """A time without a zone is UTC; a time to come ends now."""
    stretch = plan(NOW, "2026-03-04T12:00:30+01:00", "2026-03-04T12:00:30")
    assert (stretch.since, stretch.until) == (
        datetime(2026, 3, 4, 11, 0, tzinfo=UTC),
        datetime(2026, 3, 4, 12, 0, tzinfo=UTC),
    )
    assert plan(NOW, "1h", "2030-01-01").until == plan(NOW, "1h").until


@pytest.mark.parametrize(
    ("since", "until"),
    [("yesterday", None), ("", None), ("0001-01-01", None), ("9999-12-31", None), ("0m", None), ("99999d", None),
     ("2026-03-04T14:00Z", "2026-03-04T13:00Z"), ("2029-01-01", None), ("1h", "x" * 999)],
)  # fmt: skip
def test_what_is_no_stretch_is_refused_in_words(since: str, until: str | None) -> None:
    """Unreadable, empty, in the future, and longer than anything is kept."""
    with pytest.raises(WindowError) as caught:
        plan(NOW, since, until)
    assert len(str(caught.value)) < 200


@given(
    minutes=st.integers(1, 499 * 1440),
    wish=st.none() | st.integers(1, 1440),
    end=st.datetimes(datetime(2020, 1, 1), datetime(2026, 3, 4)),
)
def test_bounded_and_aligned(minutes: int, wish: int | None, end: datetime) -> None:
    """Never more points than a chart has use for, nor steps finer than the counts; the end is the end."""
    end = end.replace(tzinfo=UTC)
    stretch = plan(
        NOW,
        f"{minutes}m" if minutes < 100_000 else f"{minutes // 1440}d",
        end.isoformat(),
        wish and wish * MINUTE,
    )
    assert 1 <= len(stretch.starts) <= MOST_POINTS
    assert stretch.since.timestamp() % stretch.step.total_seconds() == 0
    age = NOW - stretch.since
    assert all(
        stretch.step >= timedelta(microseconds=span_us)
        for kept, span_us in TIERS
        if age > kept + 2 * stretch.step
    )
    assert stretch.starts[-1] < stretch.until <= end
