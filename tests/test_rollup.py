"""``monitoring.counts.rollup``: counts that add up."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from asr.transcript import ClipStats, NullReason
from monitoring.counts.rollup import EDGES, Rollup, RollupKey, key_of, quantile, total
from monitoring.outcomes import Again, Click, Followed
from monitoring.record import Outcome, Record, Transport

AT = datetime(2026, 3, 1, 12, 0, 59, tzinfo=UTC)


def record(number: int = 0, **changes: object) -> Record:
    """A search that was answered."""
    values = {
        "request_id": f"r{number}",
        "at": AT,
        "transport": Transport.SEARCH,
        "outcome": Outcome.OK,
        "status": 200,
        "model": "en@1",
        "duration_s": 0.02,
        "query_id": f"q{number}",
        "clip": ClipStats(2.0, -26.0, 0.0, 30.0, 0.0, 0.5, 0.3, 0.7),
        "confidence": 0.9,
        "n_words": 3,
        "text": "play some jazz",
        "results": ("1",),
        "top_score": 0.9,
        "stages_s": {"model": 0.01, "search": 0.002},
        **changes,
    }
    return Record(**values)  # type: ignore[arg-type]  # a test's own names


def test_a_minute_counts_what_came_and_how_it_ended() -> None:
    """Answered, null, without speech, failed, refused: each in its place, and rates of them."""
    minute = Rollup()
    minute.record(record())
    minute.record(
        record(
            outcome=Outcome.NULL,
            null_reason=NullReason.TOO_QUIET,
            n_words=0,
            text="",
            results=(),
            stages_s={},
        )
    )
    minute.record(
        record(outcome=Outcome.NO_SPEECH, null_reason=NullReason.NO_SPEECH, n_words=0, text="", stages_s={})
    )
    minute.record(record(outcome=Outcome.ERROR, status=500, clip=None, stages_s={}))
    minute.record(record(outcome=Outcome.ERROR, status=415, clip=None, stages_s={}))
    assert minute.rate("null_rate") == (1, 2)
    assert minute.rate("error_rate") == (1, 5)
    assert minute.rate("rejected_rate") == (1, 5)
    assert minute.rate("no_results_rate") == (0, 1)
    assert minute.rate("out_of_catalog_rate") == (0, 1)
    assert sum(minute.bins["latency_s"]) == 3  # of what was answered


def test_what_people_did_is_counted_by_query() -> None:
    """Asked again, typed, opened."""
    minute = Rollup()
    minute.followed(Followed("q1", "en@1", "stable", False, (Click("1", None),)), shown=True)
    minute.followed(Followed("q2", "en@1", "stable", False, again=Again.REPEAT), shown=True)
    minute.followed(Followed("q3", "en@1", "stable", True, again=Again.TYPED), shown=False)
    typed = Followed("q4", "en@1", "stable", False, (Click("1", None),), spoken=False)
    minute.followed(typed, shown=True)
    silent = Followed("q5", "en@1", "stable", True, again=Again.REPHRASE, spoken=False)
    minute.followed(silent, shown=False)
    assert minute.rate("redo_rate") == (1, 3)  # of what was spoken
    assert minute.rate("typing_rate") == (1, 3)
    assert minute.rate("click_rate") == (2, 3)  # of all that was shown
    assert minute.counts["satisfied"] == 2


def test_rollups_add_up_and_survive_json() -> None:
    """The sum of the parts, read back, is the whole."""
    records = [record(number, duration_s=0.01 * (number + 1)) for number in range(30)]
    whole, parts = Rollup(), [Rollup() for _ in range(3)]
    for number, one in enumerate(records):
        whole.record(one)
        parts[number % 3].record(one)
    read = [Rollup.from_dict(json.loads(json.dumps(part.as_dict()))) for part in parts]
    summed = total(read)
    assert (summed.counts, summed.bins) == (whole.counts, whole.bins)
    assert whole.quantile("latency_s", 0.5) == pytest.approx(0.15, rel=0.1)


def test_quantiles_are_linear_within_a_bin() -> None:
    """Of nothing there is none; the open ends count as their edge."""
    edges = (0.0, 1.0, 2.0)
    assert quantile([], edges, 0.5) is None
    assert quantile([0, 0, 0, 0], edges, 0.5) is None
    assert quantile([0, 4, 0, 0], edges, 0.5) == 0.5
    assert quantile([5, 0, 0, 0], edges, 0.9) == 0.0
    assert quantile([0, 2, 2, 0], edges, 0.75) == 1.5
    assert quantile([0, 0, 0, 5], edges, 0.1) == 2.0


def test_a_record_belongs_to_its_minute_and_to_what_served_it() -> None:
    """12:00:59 is in the minute of 12:00."""
    noon = int(AT.replace(second=0).timestamp()) * 1_000_000
    assert key_of(record()) == RollupKey(noon, "en@1", "stable", "search")


def test_edges_rise() -> None:
    """Bins that overlap would count wrongly."""
    for name, edges in EDGES.items():
        assert list(edges) == sorted(set(edges)), name
