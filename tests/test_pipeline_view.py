"""``monitoring.views.pipeline``: what moved is marked, in every stage that it reached, and nothing else."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asr.transcript import ClipStats, NullReason
from monitoring.commands.monitor import add_arguments, run
from monitoring.commands.pipeline import VERB
from monitoring.counts.rollup import Rollup, RollupKey
from monitoring.counts.tally import Tally
from monitoring.features import Stage
from monitoring.record import Outcome, Record, Transport
from monitoring.store import EventStore
from monitoring.views.pipeline import Line, View, view

NOW = datetime(2026, 3, 9, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BROKEN_AT = NOW - 6 * HOUR


def traffic(an_hour: int = 60, days: int = 8) -> Iterator[Record]:
    """Days of it; in the last six hours clips have less speech in them, and a third of the answers are empty."""
    chance = random.Random(5)
    for hour in range(days * 24):
        for number in range(an_hour):
            at = NOW - days * DAY + hour * HOUR + timedelta(seconds=number * 3_600 / an_hour)
            broken = at >= BROKEN_AT
            speech = min(max(chance.gauss(0.3 if broken else 0.6, 0.1), 0.05), 1.0)
            null = chance.random() < (0.35 if broken else 0.05)
            yield Record(
                f"r{hour}-{number}",
                at,
                Transport.SEARCH,
                Outcome.NULL if null else Outcome.OK,
                200,
                "en@1" if number % 2 else "en@2",
                chance.lognormvariate(-3, 0.3),
                clip=ClipStats(chance.gauss(2, 0.3), chance.gauss(-26, 4), 0.0, 30.0, 0.0, speech, 0.3, 0.5),
                null_reason=NullReason.TOO_SHORT if null else None,
                confidence=None if null else 0.8,
                n_words=0 if null else 3,
                results=() if null else ("1",),
                top_score=None if null else 0.9,
                stages_s={"vad": 0.004, "model": 0.02}
                if null
                else {"vad": 0.004, "model": 0.02, "search": 0.001},
            )


@pytest.fixture(scope="module")
def rows() -> list[tuple[datetime, RollupKey, Rollup]]:
    """Counts of the traffic, by hours."""
    tally = Tally(most=100_000)
    for record in traffic():
        tally.observe(record)
    return [
        (NOW - (NOW - datetime.fromtimestamp(key.minute_us / 1e6, UTC)), key, rollup)
        for key, rollup in tally.drain()
    ]


@pytest.fixture(scope="module")
def made(rows: list[tuple[datetime, RollupKey, Rollup]]) -> View:
    """The last day by hours, against the week before."""
    return view(rows, NOW - DAY, NOW, HOUR)


def line(made: View, name: str) -> Line:
    """One of them."""
    return next(line for line in made.lines if line.quantity.name == name)


def test_what_moved_is_marked_where_it_did(made: View) -> None:
    """Both stages that the fault reached, down and up, in the hour in which it began; speech comes before text."""
    speech, null = line(made, "speech_ratio"), line(made, "null_rate")
    assert speech.since == null.since == 18
    assert all(point.moved and point.z is not None and point.z < 0 for point in speech.points[18:])
    assert null.points[20].z is not None
    assert null.points[20].z > 0
    assert speech.usual == pytest.approx(0.6, abs=0.02)
    order = [line.quantity.name for line in made.lines]
    assert order.index("speech_ratio") < order.index("null_rate")
    assert (speech.quantity.stage, null.quantity.stage) == (Stage.SPEECH, Stage.TEXT)


def test_what_did_not_move_is_not_marked(made: View) -> None:
    """Of all other lines, none."""
    moved = {line.quantity.name for line in made.lines if line.since is not None}
    # Words a second of speech rise with less speech in the clip: that is the fault, too.
    assert moved == {"speech_ratio", "null_rate", "words_per_s"}
    assert made.requests == (60,) * 24


def test_a_rhythm_of_the_day_is_as_usual() -> None:
    """Nights that sound different from days are compared with nights."""
    tally = Tally(most=100_000)
    for record in traffic():
        night = record.at.hour < 8
        assert record.clip is not None
        level = record.clip.level_dbfs - (15 if night else 0)
        clip = ClipStats(2.0, level, 0.0, 30.0, 0.0, record.clip.speech_ratio, 0.3, 0.5)
        tally.observe(
            Record(record.request_id, record.at, record.transport, Outcome.OK, 200, "en@1", 0.02, clip=clip)
        )
    by_hour = [
        (datetime.fromtimestamp(key.minute_us / 1e6, UTC), key, rollup) for key, rollup in tally.drain()
    ]
    level = line(view(by_hour, NOW - DAY, NOW, HOUR), "level_dbfs")
    assert level.since is None
    values = [point.value for point in level.points]
    assert max(filter(None, values)) - min(filter(None, values)) > 10


def test_little_is_not_judged() -> None:
    """A handful of requests, and no reference: values without a judgement; a step without any is empty."""
    tally = Tally()
    for record in traffic(an_hour=4, days=1):
        if record.at.hour != 3:
            tally.observe(record)
    few = [(datetime.fromtimestamp(key.minute_us / 1e6, UTC), key, rollup) for key, rollup in tally.drain()]
    null = line(view(few, NOW - DAY, NOW, HOUR), "null_rate")
    assert {point.z for point in null.points} == {None}
    assert (null.points[3].value, null.points[3].count, null.usual) == (None, 0, None)


def test_the_verb_prints_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Out of a store, for people and for programs; a store that is not there is one line."""
    from argparse import ArgumentParser

    url = f"sqlite:///{tmp_path}/events.sqlite3"
    tally = Tally(most=100_000)
    for record in traffic():
        tally.observe(record)
    with EventStore.open(url) as store:
        store.add_rollups(tally.drain(), "a")
        store.tidy_rollups(NOW)
    parser = ArgumentParser()
    add_arguments(parser)

    def said(*arguments: str) -> str:
        from monitoring.commands import pipeline

        assert pipeline.run(parser.parse_args(["pipeline", "--state", str(tmp_path), *arguments]), NOW) == 0
        return capsys.readouterr().out

    text = said()
    (speech,) = (row for row in text.splitlines() if "speech_ratio" in row)
    assert speech.startswith("speech ")
    assert "down at Sun 18:00" in speech
    assert "vvvvvv" in text.splitlines()[text.splitlines().index(speech) + 1]
    body = json.loads(said("--json", "--model", "en@1"))
    assert body["requests"] == [30] * 24
    (speech_line,) = (row for row in body["lines"] if row["name"] == "speech_ratio")
    assert speech_line["moved_at"] == "2026-03-08T18:00:00+00:00"
    assert run(parser.parse_args(["pipeline", "--state", str(tmp_path / "none")])) == 2
    assert "there is no event store" in capsys.readouterr().err
    assert VERB.name == "pipeline"
