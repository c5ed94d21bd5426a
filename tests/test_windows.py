"""``monitoring.drift.windows``: by count, by time, by both."""

from __future__ import annotations

from datetime import timedelta

import pytest
from drift_records import MONDAY, records

from monitoring.drift.windows import MOST, Size, last, split
from monitoring.errors import WindowError

HOURLY = records(48, 1, span=timedelta(hours=48))  # one an hour


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1000", Size(1000)),
        ("7d", Size(MOST, timedelta(days=7))),
        ("90m", Size(MOST, timedelta(minutes=90))),
        ("500,1h", Size(500, timedelta(hours=1))),
    ],
)
def test_sizes(text: str, size: Size) -> None:
    """As people write them."""
    assert Size.parse(text) == size


@pytest.mark.parametrize(
    "text", ["", "0", "0h", "-5", "7 days", "1.5h", "1000000000", "9999999", "h", "1h,,"]
)
def test_no_sizes(text: str) -> None:
    """One line that names what was written and what could be."""
    with pytest.raises(WindowError, match="write a number of records"):
        Size.parse(text)


def test_split() -> None:
    """Full windows, in order; by count, by time, and whichever is first; the rest is left out."""
    assert [len(window) for window in split(HOURLY, Size(10))] == [10, 10, 10, 10]
    assert [len(window) for window in split(HOURLY, Size(span=timedelta(hours=12)))] == [12, 12, 12]
    assert [len(window) for window in split(HOURLY, Size(5, timedelta(hours=12)))] == [5] * 9
    assert next(iter(split(HOURLY, Size(10)))) == HOURLY[:10]


def test_last() -> None:
    """The newest is whole; windows of a time end at ``until``, and one in which nothing came is empty."""
    end = MONDAY + timedelta(hours=48)
    by_count = last(HOURLY, Size(20), end, 3)
    assert [len(window) for window in by_count] == [8, 20, 20]
    assert by_count[-1] == HOURLY[-20:]
    by_time = last(HOURLY, Size(span=timedelta(hours=6)), end, 3)
    assert by_time == [HOURLY[30:36], HOURLY[36:42], HOURLY[42:48]]
    later = last(HOURLY, Size(span=timedelta(hours=6)), end + timedelta(hours=6), 2)
    assert [len(window) for window in later] == [6, 0]
    assert [len(window) for window in last(HOURLY, Size(2, timedelta(hours=6)), end, 2)] == [2, 2]
