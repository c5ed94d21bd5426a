"""What the monitor's page draws: columns of numbers, right and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from monitor_traffic import MODEL, Traffic, count, requests

from monitoring.counts.intervals import wilson
from monitoring.counts.rollup import EDGES, LATENCY, RATES, Rollup, RollupKey
from monitoring.counts.stretch import Stretch, plan
from monitoring.record import Outcome, Record, Transport
from monitoring.store import EventStore
from monitoring.views.page import COMPARED, MOST_VERSIONS, Asked, Row, below, mean, view

NOW = datetime(2026, 3, 4, 15, 8, tzinfo=UTC)
SINCE = datetime(2026, 3, 4, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
STRETCH = Stretch(SINCE, SINCE + 25 * MINUTE, 10 * MINUTE)


def row(minute: int, *records: Record, model: str = MODEL, arm: str = "stable") -> Row:
    """What was served in the step that begins so many minutes after SINCE."""
    rollup, at = Rollup(), SINCE + minute * MINUTE
    for record in records:
        rollup.record(record)
    return at, RollupKey.of(round(at.timestamp() * 1e6), model, arm, "search"), rollup


def record(outcome: Outcome = Outcome.OK, status: int = 200, duration_s: float = 0.1, **more: Any) -> Record:
    """A spoken request without a clip."""
    return Record("r", SINCE, Transport.SEARCH, outcome, status, MODEL, duration_s, **more)


def test_requests_a_minute_by_how_they_ended() -> None:
    """Each once; typed ones apart; the last step, which is shorter, at its own length; a step without any is zero."""
    typed = Record("t", SINCE, Transport.TEXT, Outcome.OK, 200, MODEL, 0.01)
    error = record(Outcome.ERROR, 500)
    refused = record(Outcome.ERROR, 415)
    null, silent = record(Outcome.NULL), record(Outcome.NO_SPEECH)
    seen = view(
        [row(0, *[record()] * 20, typed, null, null, silent, error, refused), row(20, *[record()] * 10)],
        Asked(STRETCH),
    )
    assert seen["times"] == [round((SINCE + n * MINUTE).timestamp()) for n in (0, 10, 20)]
    assert seen["traffic"] == {
        "ok": [2.0, 0.0, 2.0],
        "null": [0.2, 0.0, 0.0],
        "no_speech": [0.1, 0.0, 0.0],
        "typed": [0.1, 0.0, 0.0],
        "rejected": [0.1, 0.0, 0.0],
        "failed": [0.1, 0.0, 0.0],
    }
    assert seen["requests"] == 36
    assert seen["rates"]["null_rate"]["all"] == {
        "part": 2,
        "n": 32,
        "rate": 0.0625,
        "low": 0.01731,
        "high": 0.2015,
    }
    assert seen["rates"]["null_rate"]["at"] == [0.09091, None, 0.0]


def test_nothing_measured_is_not_zero() -> None:
    """Of an empty stretch every share and quantile is None, and the interval all there is."""
    seen = view([], Asked(STRETCH))
    assert seen["requests"] == 0
    assert seen["latency"]["p95"] == {"all": None, "at": [None, None, None]}
    assert seen["rates"]["redo_rate"]["all"] == {"part": 0, "n": 0, "rate": None, "low": 0.0, "high": 1.0}
    assert seen["rates"]["redo_rate"]["low"] == [None, None, None]
    assert seen["stages"] == {}
    assert seen["versions"] == []
    json.dumps(seen, allow_nan=False)


def test_latency_against_what_was_promised() -> None:
    """Percentiles as exact as the bins, and the share within half a second."""
    seen = view(
        [row(0, *[record(duration_s=0.1)] * 90, *[record(duration_s=2.0)] * 10)],
        Asked(STRETCH, budget_s=0.15),
    )
    latency = seen["latency"]
    assert latency["within"] == 0.9
    assert (latency["target_ms"], latency["budget_ms"], latency["n"]) == (500.0, 150.0, 100)
    assert latency["p50"]["all"] == pytest.approx(100, rel=0.15)  # a bin is a tenth of a decade
    assert latency["p99"]["at"][0] == pytest.approx(2000, rel=0.3)


def test_stages_add_up() -> None:
    """Means of the stages of a request, in milliseconds; a stage that nothing took is not there."""
    seen = view([row(0, record(stages_s={"model": 0.08, "vad": 0.004}))], Asked(STRETCH))
    assert list(seen["stages"]) == ["vad", "model"]
    assert seen["stages"]["model"]["at"][0] == pytest.approx(80, rel=0.15)
    assert seen["stages"]["model"]["at"][1] is None


def test_one_model_or_all_of_them() -> None:
    """A model that was chosen is all that is drawn; all stand side by side; a shadow is in no sum."""
    rows = [
        row(0, *[record()] * 5, model="old"),
        row(10, *[record()] * 7, model="new"),
        row(10, *[record()] * 9, model="new", arm="shadow"),
    ]
    assert view(rows, Asked(STRETCH))["requests"] == 12
    chosen = view(rows, Asked(STRETCH, "new"))
    assert chosen["requests"] == 7
    assert [(each["model"], each["shadow"], each["requests"]) for each in chosen["versions"]] == [
        ("new", True, 9),
        ("new", False, 7),
        ("old", False, 5),
    ]


def test_many_models_are_bounded() -> None:
    """Of a hundred models the busiest are listed, and fewer drawn."""
    rows = [row(0, *[record()] * (1 + at), model=f"m{at}") for at in range(100)]
    versions = view(rows, Asked(STRETCH))["versions"]
    assert len(versions) == MOST_VERSIONS
    assert sum("at" in each for each in versions) == COMPARED
    assert versions[0]["model"] == "m99"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventStore]:
    """Two hours of traffic."""
    with EventStore.open(f"sqlite:///{tmp_path_factory.mktemp('view') / 'events.sqlite3'}") as opened:
        count(opened, TRAFFIC)
        yield opened


TRAFFIC = Traffic(NOW - timedelta(hours=2), NOW - 2 * MINUTE, per_minute=6.0)


def test_all_of_a_store(store: EventStore) -> None:
    """Through the database: as many requests as there were, columns of one length, bins that hold all."""
    stretch = plan(NOW, "2h")
    seen = view(store.rollups(stretch.since, stretch.until, stretch.step), Asked(stretch))
    there = [each for each, _ in requests(TRAFFIC) if stretch.since <= each.at < stretch.until]
    assert seen["requests"] == len(there)
    columns = [*seen["traffic"].values(), seen["latency"]["p99"]["at"], seen["rates"]["click_rate"]["high"]]
    assert {len(column) for column in columns} == {len(seen["times"])} == {120}
    clips = sum(each.clip is not None for each in there)
    assert seen["features"]["level_dbfs"]["n"] == sum(seen["features"]["level_dbfs"]["bins"]) == clips
    assert (
        sum(each["rates"]["redo_rate"]["part"] for each in seen["versions"])
        == seen["rates"]["redo_rate"]["all"]["part"]
    )
    assert set(seen["rates"]) == set(RATES)
    assert len(json.dumps(seen)) < 200_000


@given(bins=st.lists(st.integers(0, 50), min_size=len(EDGES[LATENCY]) + 1, max_size=len(EDGES[LATENCY]) + 1))
def test_sums_of_bins(bins: list[int]) -> None:
    """The mean lies between the edges, the share below a bound rises from none to all."""
    edges = EDGES[LATENCY]
    middle, shares = mean(bins, edges), [below(bins, edges, bound) for bound in (0.0, *edges, 99.0)]
    if not sum(bins):
        assert middle is None
        assert set(shares) == {None}
        return
    assert middle is not None
    assert edges[0] <= middle <= edges[-1]
    assert shares[0] == 0.0
    assert shares[-1] == pytest.approx(1.0)
    assert all(a <= b + 1e-12 for a, b in pairwise(shares) if a is not None and b is not None)


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662)],
)
def test_how_sure_a_share_is(part: int, whole: int, low: float, high: float) -> None:
    """Wilson's interval; the last is the example of Newcombe, Statistics in Medicine 17 (1998), table I."""
    assert wilson(part, whole) == pytest.approx((low, high), abs=5e-5)


def test_a_path_is_not_needed(tmp_path: Path) -> None:
    """A store without any counts has an empty view, and no error."""
    with EventStore.open(f"sqlite:///{tmp_path / 'none.sqlite3'}") as empty:
        stretch = plan(NOW, "7d")
        assert (
            view(empty.rollups(stretch.since, stretch.until, stretch.step), Asked(stretch))["requests"] == 0
        )
