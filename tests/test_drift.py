"""``monitoring.drift.judge``: silent where nothing changed, and it names what did."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache

import numpy as np
import pytest
from drift_records import MONDAY, heard, narrow_microphone, records

from monitoring.drift.judge import judge
from monitoring.drift.profile import Profile
from monitoring.drift.report import DriftLimits
from monitoring.features import FEATURES, Stage

NEXT_WEEK = MONDAY + timedelta(days=7)


@lru_cache
def week() -> Profile:
    """4,000 records of a week."""
    return Profile.freeze(records(4_000, 1), "week", NEXT_WEEK)


def test_nothing_changed() -> None:
    """Of 60 windows of 60 records without drift, as many have a feature that is significant as was asked for.

    Asked for are 20 %, so that too few would be noticed as well as too many: 12, give or take three times 3.1.
    """
    limits = DriftLimits(rate=0.2)
    seen = sum(
        any(one.significant for one in judge(week(), records(60, seed, since=NEXT_WEEK), (), limits).features)
        for seed in range(100, 160)
    )
    assert 3 <= seen <= 21


@pytest.mark.parametrize("n", [100, 500])
def test_a_new_microphone_is_an_alarm_within_two_windows_that_names_the_level(n: int) -> None:
    """D1: low-pass 3.4 kHz and -12 dB, through the real front end."""
    clips = heard(narrow_microphone)
    first = judge(week(), records(n, 5, clips=clips, since=NEXT_WEEK))
    second = judge(week(), records(n, 6, clips=clips, since=NEXT_WEEK), [first.drifted])
    assert first.persistent == ()
    assert {"level_dbfs", "gain_db"} <= set(second.persistent)
    assert set(second.stages) <= {Stage.INPUT, Stage.SPEECH}
    level = next(one for one in second.features if one.feature.name == "level_dbfs")
    assert level.now - level.before == pytest.approx(-12, abs=1.5)
    assert level.score > level.threshold
    assert level.psi > level.psi_threshold
    assert level.js > level.js_threshold


def test_other_words_leave_the_inputs_silent() -> None:
    """D3: what is said is recognised and found worse, the sound is the same: text and search move, nothing before."""
    reports = []
    for seed in (7, 8):
        before = [report.drifted for report in reports]
        window = records(600, seed, since=NEXT_WEEK, confidence=4.0, no_results=0.2)
        reports.append(judge(week(), window, before))
    assert {"confidence", "no_results_rate"} <= set(reports[-1].persistent)
    assert Stage.INPUT not in reports[-1].stages
    assert Stage.SPEECH not in reports[-1].stages


def test_persistence_is_two_of_three() -> None:
    """A single window is none, two with a silent one between are, and what is older does not count."""
    window = records(300, 5, clips=heard(narrow_microphone), since=NEXT_WEEK)
    quiet = records(300, 9, since=NEXT_WEEK)
    level = ["level_dbfs"]
    assert judge(week(), window).persistent == ()
    assert "level_dbfs" in judge(week(), window, [level, []]).persistent
    assert (
        "level_dbfs" in judge(week(), quiet, [level, level]).persistent
    )  # it is over, but was so twice of three
    assert judge(week(), window, [level, [], []]).persistent == ()


def test_a_large_window_does_not_alarm_on_nothing() -> None:
    """A level 0.2 dB lower in 20,000 records is significant and far under the floor."""
    reference = Profile.freeze(records(20_000, 1), "week", NEXT_WEEK)
    softer = [
        replace(clip, level_dbfs=clip.level_dbfs - 0.2) for clip in heard() if clip.level_dbfs is not None
    ]
    report = judge(reference, records(20_000, 2, clips=softer, since=NEXT_WEEK))
    level = next(one for one in report.features if one.feature.name == "level_dbfs")
    assert level.significant
    assert not level.drifted
    assert level.threshold == level.floor


def test_an_hour_is_compared_with_such_hours() -> None:
    """People are softer at night: no drift, unless the reference has lost its hours."""
    reference = Profile.freeze(records(8_000, 1, nights=True), "week", NEXT_WEEK)
    night = NEXT_WEEK + timedelta(hours=20)
    window = records(400, 3, nights=True, since=night, span=timedelta(hours=4))
    assert "level_dbfs" not in judge(reference, window).drifted
    days_only = [record for record in records(8_000, 1, nights=True) if 8 <= record.at.hour < 20]
    assert "level_dbfs" in judge(Profile.freeze(days_only, "days", NEXT_WEEK), window).drifted


def test_clips_of_one_sitting_count_once() -> None:
    """Ten clips a sitting: n is the number of sittings."""
    report = judge(week(), records(1_000, 4, per_sitting=10.0, since=NEXT_WEEK))
    assert report.sittings < 200
    assert all(one.n <= report.sittings for one in report.features)


def test_too_few() -> None:
    """Nothing is said of what cannot be judged, but why."""
    report = judge(week(), records(10, 3, since=NEXT_WEEK))
    assert report.features == ()
    assert dict(report.not_judged)["level_dbfs"].endswith("20 are needed")
    assert judge(week(), []).as_dict()["since"] is None


def test_stages_can_be_judged_by_themselves() -> None:
    """Benjamini-Hochberg is then over their features alone."""
    window = records(300, 3, since=NEXT_WEEK)
    report = judge(week(), window, limits=DriftLimits(stages=(Stage.INPUT,)))
    assert {one.feature.stage for one in report.features} == {Stage.INPUT}
    assert len(report.features) == 4


def test_as_dict_is_json_and_has_what_a_page_needs() -> None:
    """Per feature score, threshold, p value, effect, whether it drifted, and two histograms of shares in its bins."""
    report = judge(week(), records(300, 3, since=NEXT_WEEK))
    body = json.loads(json.dumps(report.as_dict()))
    assert list(body["features"]) == [feature.name for feature in FEATURES]
    level = body["features"]["level_dbfs"]
    assert {"score", "threshold", "p", "p_adjusted", "effect", "drifted", "persistent", "psi", "js"} <= set(
        level
    )
    edges, reference, current = (level["histogram"][key] for key in ("edges", "reference", "current"))
    assert len(reference) == len(current) == len(edges) + 1
    assert np.sum(reference) == pytest.approx(1, abs=1e-4)
    assert np.sum(current) == pytest.approx(1, abs=1e-4)
    assert body["features"]["null_rate"]["histogram"]["edges"] == [0.5]


def test_score_and_threshold_agree_with_the_verdict() -> None:
    """Who plots score and threshold sees what drifted; thresholds are rounded sizes', so within 3 %."""
    window = records(500, 6, clips=heard(narrow_microphone), since=NEXT_WEEK)
    for one in judge(week(), window).features:
        if not 0.97 < one.score / one.threshold < 1.03:
            assert one.drifted == (one.score >= one.threshold), one.feature.name
