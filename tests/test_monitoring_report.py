"""``monitoring.report``: what changed is said with its interval, what did not is not, and no text is told."""

from __future__ import annotations

import json
import math
import random
from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from asr.transcript import ClipStats, NullReason
from monitoring.alarms import rules
from monitoring.commands import report
from monitoring.commands.monitor import add_arguments
from monitoring.counts.rollup import Rollup
from monitoring.counts.tally import Tally
from monitoring.outcomes import Again, Click, Followed
from monitoring.record import Outcome, Record, Transport
from monitoring.report import numbers
from monitoring.report.numbers import change, gather, quantile, share, within
from monitoring.report.sentences import contracts, headlines, slices
from monitoring.storage.journal import Entry, Kind
from monitoring.store import EventStore

pytest.importorskip("jinja2", reason="needs the extra report")
NOW = datetime(2026, 3, 9, tzinfo=UTC)
DAY = timedelta(days=1)
SAID = "a secret that nobody may read"


def traffic(an_hour: int = 30) -> Iterator[Record]:
    """Two days and the two before them: now watches hear half of what they heard, and answers take a third longer."""
    chance = random.Random(3)
    for number in range(96 * an_hour):
        at = NOW - 4 * DAY + timedelta(hours=number / an_hour)
        late = at >= NOW - 2 * DAY
        device = "watch" if chance.random() < 0.2 else "phone"
        null = chance.random() < (0.5 if late and device == "watch" else 0.04)
        yield Record(
            f"r{number}", at, Transport.SEARCH, Outcome.NULL if null else Outcome.OK, 200, f"en@{1 + late}",
            (0.08 if late else 0.06) * chance.lognormvariate(0, 0.2), query_id=f"q{number}",
            clip=ClipStats(chance.gauss(2, 0.2), chance.gauss(-26, 3), 0.0, 30.0, 0.0, 0.6, 0.3, 0.5),
            null_reason=NullReason.TOO_QUIET if null else None, confidence=None if null else 0.8,
            n_words=0 if null else 3, text="" if null else SAID, results=() if null else ("1",),
            top_score=None if null else 0.9, device=device, locale="en-GB", stages_s={"model": 0.02},
        )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the report of that traffic is, written by the verb out of a store."""
    state = tmp_path_factory.mktemp("state")
    tally, chance = Tally(most=100_000), random.Random(4)
    with EventStore.open(f"sqlite:///{state}/events.sqlite3") as store:
        for record in traffic():
            store.observe(record)
            tally.observe(record)
            again = (
                Again.REPEAT if chance.random() < (0.3 if record.outcome is Outcome.NULL else 0.02) else None
            )
            clicks = (Click("1", None),) if record.results and chance.random() < 0.5 else ()
            tally.followed(
                record, Followed(record.query_id or "", record.model, "stable", False, clicks, again)
            )
        store.flush()
        store.add_rollups(tally.drain(), "a")
        words = "<b>level</b> moved"
        store.note([Entry(NOW - DAY, "null-rate-high", Kind.FIRED, "half of watches")])
        store.note([Entry(NOW - DAY, "input-drift", Kind.DRIFT, words, {"drifted": []})])
        store.note([Entry(NOW - 3 * DAY, "errors-page", Kind.FIRED, "long ago")])
    parser = ArgumentParser()
    add_arguments(parser)
    args = parser.parse_args(
        ["report", "--state", str(state), "--since", "2d", "--until", "2026-03-09", "-o", str(state / "made")]
    )
    assert report.run(args) == 0
    return state / "made"


def test_a_share_has_wilsons_interval() -> None:
    """The example of his paper's formula: 10 of 100 is between 5.5 and 17.4 %; of nothing there is none."""
    found = share(10, 100)
    assert found is not None
    assert (round(found.low, 4), round(found.high, 4)) == (0.0552, 0.1744)
    assert share(0, 0) is None


def test_a_change_has_newcombes_interval() -> None:
    """Newcombe 1998, table II (a): 56 of 70 less 48 of 80 is 0.2, between 0.0524 and 0.3339."""
    found = change(share(56, 70), share(48, 80))
    assert found is not None
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)
    assert found.sure
    assert change(None, share(1, 2)) is None


def test_values_within_a_bound_are_counted_inside_a_bin() -> None:
    """Linear within the bin that the bound cuts; all below, none above."""
    rollup = Rollup()
    rollup.bins["speech_ratio"] = [0] * 20
    rollup.bins["speech_ratio"][10] = 10  # 0.5 to 0.55
    assert within(rollup, "speech_ratio", 0.53) == (6, 10)
    assert within(rollup, "speech_ratio", 0.5) == (0, 10)
    assert within(rollup, "speech_ratio", 0.9) == (10, 10)
    assert within(Rollup(), "speech_ratio", 0.9) == (0, 0)
    assert quantile(Rollup(), "speech_ratio", 0.5) is None


def test_headlines_say_what_changed_and_for_whom() -> None:
    """Empty answers and latency for certain, watches by name; what chance explains is in the last sentence."""
    pair = gather(traffic(), [], NOW - 2 * DAY, NOW)
    kept = contracts(pair, rules.load())
    said = [one.text for one in headlines(pair, slices(pair), kept)]
    assert said[:2] == ["1,440 requests, +0 % against the stretch before.", "Every contract was kept."]
    assert any(text.startswith("Clips with speech that came out empty: ") for text in said)
    assert any(text.startswith("The 95th percentile of the time to answer") for text in said)
    assert any("above the average for device watch" in text for text in said)
    assert slices(pair)[0].value == "watch"
    assert "requests that failed" in said[-1]


def test_a_broken_contract_is_the_news() -> None:
    """One answer in ten takes a second: both promises about it are broken, and the one about errors is not."""
    records = [
        Record(f"r{n}", NOW - DAY, Transport.REST, Outcome.OK, 200, "en@1", 1.0 if n % 10 == 0 else 0.1)
        for n in range(2_000)
    ]
    pair = gather(records, [], NOW - 2 * DAY, NOW)
    kept = contracts(pair, rules.load())
    broken = {one.what for one in kept if one.kept is not None and one.kept.high < one.objective}
    assert broken == {"Answers within 500 ms", "Answers within 250 ms"}
    tones = {one.tone for one in headlines(pair, (), kept) if "was promised" in one.text}
    assert tones == {"bad"}


def test_what_is_kept_is_bounded_by_what_strangers_send() -> None:
    """Thousands of names of devices and models become a handful of sums."""
    clip = ClipStats(2.0, -26.0, 0.0, 30.0, 0.0, 0.6, 0.3, 0.5)
    records = (
        Record(f"r{n}", NOW - DAY, Transport.REST, Outcome.OK, 200, f"m{n}", 0.1, clip=clip, device=f"d{n}")
        for n in range(2_000)
    )
    pair = gather(records, [], NOW - 2 * DAY, NOW)
    assert len(pair.now.models) == 21
    assert len(pair.now.slices["device"]) == numbers.MOST_VALUES + 1
    assert pair.now.whole.counts["requests"] == 2_000


def test_the_json_has_the_numbers_of_the_page(folder: Path) -> None:
    """Rates now, before and by version, with what people did; alarms of this stretch alone."""
    body = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert body["requests"] == {"now": 1_440, "before": 1_440}
    rates = {rate["name"]: rate for rate in body["rates"]}
    assert rates["null_rate"]["sure"]
    assert rates["null_rate"]["now"]["value"] > 2 * rates["null_rate"]["before"]["value"]
    assert math.isclose(rates["click_rate"]["now"]["value"], 0.5, abs_tol=0.06)
    assert [model["name"] for model in body["models"]] == ["en@2"]
    assert [entry["reason"] for entry in body["alarms"]] == ["half of watches"]
    assert [entry["words"] for entry in body["drift"]] == ["<b>level</b> moved"]


def test_the_page_is_whole_and_asks_nothing_of_anybody(folder: Path) -> None:
    """Well-formed, every picture named for those who cannot see it, no address, and words of others are escaped."""
    text = (folder / "index.html").read_text(encoding="utf-8")
    opened: list[str] = []
    pictures: list[dict[str, str | None]] = []

    class Checked(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag not in ("meta", "line", "polyline"):
                opened.append(tag)
            if tag == "svg":
                pictures.append(dict(attrs))

        def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            pass

        def handle_endtag(self, tag: str) -> None:
            assert opened.pop() == tag

    Checked().feed(text)
    assert opened == []
    assert len(pictures) == 4
    assert all(picture["aria-label"] for picture in pictures)
    assert "://" not in text
    assert "src=" not in text
    assert "&lt;b&gt;level&lt;/b&gt; moved" in text


def test_nothing_that_was_said_is_told(folder: Path) -> None:
    """The text of every record is in the store, and in none of the files."""
    assert sorted(path.name for path in folder.iterdir()) == ["index.html", "report.json"]
    assert not any(SAID in path.read_text(encoding="utf-8") for path in folder.iterdir())
