"""``monitoring.drift.sample``: a sitting counts once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
from drift_records import MONDAY, records

from monitoring.drift.sample import SLOTS, gather, slot_of
from monitoring.features import FEATURES

LEVEL = next(place for place, feature in enumerate(FEATURES) if feature.name == "level_dbfs")
CONFIDENCE = next(place for place, feature in enumerate(FEATURES) if feature.name == "confidence")


def test_the_first_value_of_each_sitting() -> None:
    """Rows are sittings; a value that the first record lacks comes from the next one."""
    made = records(60, 1)
    sample = gather(made)
    names = list(dict.fromkeys(record.session for record in made))
    assert sample.sittings == len(names) < 60 == sample.records
    for row, name in enumerate(names):
        mine = [record for record in made if record.session == name]
        assert sample.values[row, LEVEL] == mine[0].clip.level_dbfs  # type: ignore[union-attr]
        confidences = [record.confidence for record in mine if record.confidence is not None]
        assert sample.values[row, CONFIDENCE] == confidences[0] if confidences else True
    assert (sample.since, sample.until) == (made[0].at, made[-1].at)


def test_without_a_session_each_record_is_a_sitting_and_keys_have_sessions_of_their_own() -> None:
    """Nothing is known of who sent it; the same word as the session of another key is another sitting."""
    made = records(30, 2)
    assert gather(replace(record, session=None) for record in made).sittings == 30
    one = made[0]
    assert gather([one, replace(one, key_id="other")]).sittings == 2


def test_memory_is_bounded_and_sittings_stay_whole() -> None:
    """Beyond the limit an even share of sittings is kept, the same whatever comes between."""
    made = records(4_000, 3)
    sample = gather(made, limit=300)
    assert 100 < sample.sittings <= 300
    assert sample.records == 4_000
    everything = gather(made)
    kept = {tuple(row) for row in np.nan_to_num(sample.values).tolist()}
    assert kept <= {tuple(row) for row in np.nan_to_num(everything.values).tolist()}
    late = gather(reversed(made), limit=300).slots  # late sittings are not preferred
    assert abs(np.mean(late < SLOTS // 2) - np.mean(everything.slots < SLOTS // 2)) < 0.1


def test_slots_of_the_week() -> None:
    """Six of four hours, for working days and for weekends, in UTC whatever the zone."""
    assert slot_of(MONDAY) == 0
    assert slot_of(MONDAY + timedelta(hours=23)) == 5
    assert slot_of(MONDAY + timedelta(days=5)) == 6
    assert slot_of(MONDAY + timedelta(days=6, hours=13)) == 9
    assert slot_of(datetime(2026, 3, 2, 1, tzinfo=timezone(timedelta(hours=2)))) == 11  # Sunday, 23 o'clock
    assert slot_of(datetime(2026, 3, 2)) == slot_of(datetime(2026, 3, 2, tzinfo=UTC))


def test_nothing() -> None:
    """No records are an empty sample."""
    sample = gather([])
    assert (sample.sittings, sample.records, sample.since) == (0, 0, None)
    assert sample.values.shape == (0, len(FEATURES))
