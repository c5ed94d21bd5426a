"""``monitoring.drift.change``: doubled rates are noticed, steady ones are not."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from monitoring.aftermath import Aftermath
from monitoring.drift.change import STREAMS, Change, Changes
from monitoring.features import Stage
from monitoring.outcomes import Again, Click, Followed
from monitoring.record import Outcome, Record, Transport

pytest.importorskip("river", reason="needs river")
START = datetime(2026, 3, 2, tzinfo=UTC)


def record(number: int, *, null: bool = False, found: bool = True, session: str | None = None) -> Record:
    """A search, a second after the one before."""
    return Record(
        request_id=str(number),
        at=START + timedelta(seconds=number),
        transport=Transport.SEARCH,
        outcome=Outcome.NULL if null else Outcome.OK,
        status=200,
        model="a",
        duration_s=0.1,
        session=session,
        results=("item",) if found and not null else (),
        stages_s={"search": 0.01},
    )


def nulls(changes: Changes, rate: float, numbers: range, seed: int) -> list[Change]:
    """What is noticed while clips come out empty at a rate."""
    source = random.Random(seed)
    return [
        change for number in numbers for change in changes.record(record(number, null=source.random() < rate))
    ]


@pytest.mark.parametrize("rate", [0.04, 0.4])
def test_a_steady_rate_is_no_change(rate: float) -> None:
    """5,000 outcomes, nothing noticed."""
    assert nulls(Changes(), rate, range(5_000), 1) == []


def test_a_doubled_rate_is_noticed_and_described() -> None:
    """8 % that become 20 %: within 600 clips, with the rates about right, and only once."""
    changes = Changes()
    assert nulls(changes, 0.08, range(3_000), 2) == []
    noticed = [change for change in nulls(changes, 0.20, range(3_000, 5_000), 3) if change.stream == "null"]
    assert len(noticed) == 1
    change = noticed[0]
    assert (change.stage, change.stream) == (Stage.TEXT, "null")
    assert change.at <= START + timedelta(seconds=3_600)
    assert change.before == pytest.approx(0.09, abs=0.03)
    assert change.after == pytest.approx(0.20, abs=0.10)
    assert change.as_dict()["stage"] == "text"


def test_a_breakdown_is_noticed_at_once() -> None:
    """Nothing is understood any more: within 60 clips."""
    changes = Changes()
    nulls(changes, 0.05, range(2_000), 4)
    assert nulls(changes, 1.0, range(2_000, 2_060), 5)


def test_a_sitting_says_one_thing_a_stream() -> None:
    """One person who fails a thousand times is no change of the service."""
    changes = Changes()
    nulls(changes, 0.05, range(2_000), 6)
    failures = (record(number, null=True, session="one") for number in range(2_000, 3_000))
    assert [change for failure in failures for change in changes.record(failure)] == []


def test_what_people_do() -> None:
    """Redo, typing, clicks and searches without results have a stream each; typed queries have no redo."""
    changes, seen, of_typed = Changes(), set(), set()
    for number in range(3_000):
        worse = number >= 1_500
        one = replace(record(number, found=not (worse and number % 2)), query_id=str(number))
        again = (None, Again.TYPED, Again.REPEAT, Again.EXPLICIT)[number % 4] if worse else None
        clicks = () if worse else (Click("item", None),)
        row = Aftermath.of(one, Followed(str(number), "a", "stable", null=False, clicks=clicks, again=again))
        for change in (*changes.record(one), *changes.followed(row)):
            seen.add(change.stream)
            assert change.at > START + timedelta(seconds=1_499)
    assert seen == set(STREAMS) - {"null"}
    typing = Changes()
    for number in range(3_000):
        one = replace(record(number), query_id=str(number), transport=Transport.TEXT)
        again = Again.REPEAT if number > 1_500 else None
        row = Aftermath.of(one, Followed(str(number), "a", "stable", null=False, again=again, spoken=False))
        of_typed.update(change.stream for change in typing.followed(row))
    assert of_typed == set()


def test_without_river() -> None:
    """Words that say what to install."""
    code = (
        "import sys; sys.modules['river'] = None\n"
        "from monitoring.drift.change import Changes\n"
        "from monitoring.errors import MissingPackageError\n"
        "try: Changes()\n"
        "except MissingPackageError as error: print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'voicesearch[monitor]'" in run.stdout
