"""What the monitor's page says of alarms and of drift."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from monitor_traffic import Traffic, requests

from monitoring.alarms import rules
from monitoring.alarms.states import Alarm, Phase
from monitoring.drift.judge import judge
from monitoring.drift.profile import Profile
from monitoring.drift.report import amount
from monitoring.features import BY_NAME, FEATURES
from monitoring.record import Record
from monitoring.storage.journal import Entry, Kind
from monitoring.views.journal import alarms_view, drift_view, says

AT = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
RULES = rules.load()


def entry(hours: int, alarm: str, kind: Kind, reason: str = "because") -> Entry:
    """So many hours after AT."""
    return Entry(AT + hours * HOUR, alarm, kind, reason)


def test_alarms_that_fire_and_that_did() -> None:
    """The one that fires is on top, with what to look for; the history has both, the newest first."""
    seen = alarms_view(
        [
            entry(0, "null-rate-high", Kind.FIRED, "too many"),
            entry(1, "null-rate-high", Kind.CLEARED, "fewer"),
            entry(2, "typing-rate-high", Kind.FIRED),
            entry(3, "null-rate-high", Kind.FIRED),
        ],
        RULES,
    )
    assert [each["alarm"] for each in seen["active"]] == [
        "null-rate-high",
        "typing-rate-high",
    ]  # a page first
    assert seen["active"][0]["lookfor"] == RULES.by_name["null-rate-high"].about.lookfor
    assert [each["alarm"] for each in seen["history"]] == [
        "null-rate-high",
        "typing-rate-high",
        "null-rate-high",
    ]
    first = seen["history"][-1]
    assert first["cleared"] - first["fired"] == 3600
    assert (first["reason"], first["over"]) == ("too many", "fewer")
    assert seen["watched"] is False
    json.dumps(seen)


def test_an_alarm_of_rules_that_are_gone() -> None:
    """It still fires, and says so, though no rule explains it; fired twice in a row it is one."""
    seen = alarms_view([entry(0, "gone", Kind.FIRED), entry(1, "gone", Kind.FIRED)], RULES)
    assert [(each["alarm"], each["severity"]) for each in seen["active"]] == [("gone", "ticket")]
    assert len(seen["history"]) == 1


def test_changes_with_their_reasons() -> None:
    """What is usual, rules and references, the newest first; neither alarms nor drift among them."""
    seen = alarms_view(
        [
            entry(0, "redo-rate-high", Kind.BASELINE, "moved by 0.2 points"),
            entry(1, "input-drift", Kind.DRIFT),
            entry(2, "watch", Kind.RULES, "limit 0.45 -> 0.5"),
        ],
        RULES,
    )
    assert [(each["kind"], each["reason"]) for each in seen["changes"]] == [
        ("rules", "limit 0.45 -> 0.5"),
        ("baseline", "moved by 0.2 points"),
    ]


def test_what_the_watch_says_of_each_rule() -> None:
    """Every rule with its state, which may be why it is silent."""
    states = [Alarm("null-rate-high", Phase.QUIET, reason="silent: 3 clips, and it takes 50")]
    seen = alarms_view([], RULES, states)
    assert seen["watched"] is True
    by_name = {each["alarm"]: each for each in seen["rules"]}
    assert by_name["null-rate-high"]["reason"] == "silent: 3 clips, and it takes 50"
    assert by_name["input-drift"]["phase"] is None
    assert set(by_name) == set(RULES.by_name)


def records(since: datetime, hours: int, quiet: bool, seed: int) -> list[Record]:
    """Each of a sitting of its own."""
    traffic = Traffic(
        since, since + hours * HOUR, per_minute=8.0, since_quiet=since if quiet else None, seed=seed
    )
    return [replace(record, session=record.request_id) for record, _ in requests(traffic)]


def test_drift_in_words_and_histograms() -> None:
    """Of real reports: what drifted says from where to where; histograms are shares; windows count up."""
    random.seed(1)
    reference = Profile.freeze(records(AT, 8, quiet=False, seed=1), "default", AT)
    first = judge(reference, records(AT, 2, quiet=True, seed=2))
    second = judge(reference, records(AT, 2, quiet=True, seed=3), [first.drifted])
    seen = drift_view(
        [
            Entry(AT, "input-drift", Kind.DRIFT, "one", first.as_dict()),
            Entry(AT + HOUR, "input-drift", Kind.DRIFT, "two", second.as_dict()),
        ]
    )
    assert [report["words"] for report in seen["reports"]] == ["two"]
    features = {each["feature"]: each for each in seen["features"]}
    level = features["level_dbfs"]
    assert level["says"].startswith("Changed, and not for the first window: -26")
    assert level["alarm"] == "input-drift"
    assert abs(sum(level["histogram"]["current"]) - 1) < 1e-4
    assert features["duration_s"]["says"].startswith(("Within chance", "As in the reference"))
    assert list(features) == [feature.name for feature in FEATURES if feature.name in features]
    assert ["level_dbfs" in each["drifted"] for each in seen["windows"]["input-drift"]] == [True, True]
    once = drift_view([Entry(AT, "input-drift", Kind.DRIFT, "one", first.as_dict())])["features"]
    assert (
        "Another such window makes it an alarm"
        in {each["feature"]: each for each in once}["level_dbfs"]["says"]
    )
    json.dumps(seen)


def test_before_the_first_window() -> None:
    """Nothing was judged: empty, and no error."""
    assert drift_view([]) == {"reports": [], "features": [], "windows": {}}


def test_a_small_change_is_said_to_be_small() -> None:
    """Significant and of no matter."""
    told = {
        "feature": "snr_db",
        "before": 27.0,
        "now": 26.8,
        "persistent": False,
        "drifted": False,
        "significant": True,
    }
    assert says(told) == "Differs measurably, by too little to matter: 27 dB in the reference, 26.8 dB now."


def test_amounts_for_people() -> None:
    """Shares in per cent, the rest with its unit."""
    assert amount(BY_NAME["null_rate"], 0.0312) == "3.12 %"
    assert amount(BY_NAME["speech_ratio"], 0.66) == "66 %"
    assert amount(BY_NAME["words_per_s"], 3.0) == "3 a second"
    assert amount(BY_NAME["perplexity"], 144.0) == "144"
