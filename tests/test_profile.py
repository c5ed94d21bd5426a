"""``monitoring.drift.profile`` and ``monitoring.storage.profiles``: a reference, as JSON and in the store."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from drift_records import MONDAY, records

from monitoring.drift.profile import FORM, Profile
from monitoring.errors import ProfileError
from monitoring.store import EventStore

WEEK = records(1_000, 1)


def test_what_it_holds() -> None:
    """Every feature, each sitting once; when it was, how much, by which model."""
    profile = Profile.freeze(WEEK, "week", MONDAY + timedelta(days=8))
    assert (profile.name, profile.records, profile.models) == ("week", 1_000, ("a",))
    assert (profile.since, profile.until) == (WEEK[0].at, WEEK[-1].at + timedelta(microseconds=1))
    assert profile.features["level_dbfs"].total.sum() == profile.sittings == len({r.session for r in WEEK})
    assert len(profile.features) == 15


def test_json_both_ways() -> None:
    """Exactly, so that the digest is the same; a name is no part of it."""
    profile = Profile.freeze(WEEK, "week", MONDAY)
    body = json.loads(json.dumps(profile.as_dict()))
    assert Profile.from_dict(body) == profile
    assert Profile.from_dict(body).digest == profile.digest
    assert replace(profile, name="other").digest == profile.digest
    assert Profile.freeze(WEEK[:-1], "week", MONDAY).digest != profile.digest


def test_it_tells_of_nobody() -> None:
    """No text, no session, no request can be read off it."""
    written = json.dumps(Profile.freeze(records(300, 7), "week", MONDAY).as_dict())
    assert '"7-' not in written


def test_too_little() -> None:
    """A handful of sittings are no reference; nothing at all is none either; a rare feature is left out."""
    for some in (WEEK[:50], []):
        with pytest.raises(ProfileError, match="needs 100 sittings"):
            Profile.freeze(some, "week", MONDAY)
    silent = [replace(record, perplexity=None) for record in WEEK]
    assert "perplexity" not in Profile.freeze(silent, "week", MONDAY).features


@pytest.mark.parametrize(
    "damage",
    [
        {"form": FORM + 1},
        {"form": None},
        {"sittings": "many"},
        {"features": [1]},
        {"features": {"entropy": {}}},
    ],
)
def test_damaged(damage: dict[str, Any]) -> None:
    """Another form or nonsense is refused, in words that say what to do."""
    body = json.loads(json.dumps(Profile.freeze(WEEK, "week", MONDAY).as_dict()))
    with pytest.raises(ProfileError, match="freeze another one"):
        Profile.from_dict({**body, **damage})


def test_not_even_an_object() -> None:
    """What is no object at all is refused likewise."""
    with pytest.raises(ProfileError, match="form 'list'"):
        Profile.from_dict([])  # type: ignore[arg-type]  # the database may hold anything


def test_a_feature_of_another_version_is_left_out() -> None:
    """References outlive features."""
    body = json.loads(json.dumps(Profile.freeze(WEEK, "week", MONDAY).as_dict()))
    body["features"]["warmth"] = body["features"]["entropy"]
    assert "warmth" not in Profile.from_dict(body).features


def test_in_the_store(tmp_path: Path) -> None:
    """The newest of a name holds; an unknown name has none."""
    first, second = (Profile.freeze(records(400, seed), "week", MONDAY) for seed in (1, 2))
    with EventStore.open(f"sqlite:///{tmp_path}/events.sqlite3") as store:
        assert store.profile("week") is None
        for profile in (first, second, replace(first, name="other")):
            store.freeze(profile)
        assert store.profile("week") == second
        assert store.profile_names() == ("other", "week")
