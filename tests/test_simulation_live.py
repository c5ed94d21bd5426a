"""Simulated people at a real server, and the pool beside what a real server hears."""

from __future__ import annotations

import asyncio
import io
import shutil
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from script_module import load_script

from monitoring.counts.rollup import total
from monitoring.record import Event, EventType, Record, Transport
from monitoring.simulation.incidents import parse
from monitoring.simulation.live import Answer, Visit, Who, visit
from monitoring.simulation.pool import Wish, read
from monitoring.simulation.rhythm import FLAT
from monitoring.simulation.traffic import traffic
from monitoring.store import EventStore

if TYPE_CHECKING:
    from serving_app import Running

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def takes() -> Any:
    """`asr.train.takes`, with what it needs."""
    for program in ("flite", "espeak-ng"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    pytest.importorskip("torch", reason="needs the extra train")
    from asr.train import takes

    return takes


@pytest.fixture(scope="module")
def script() -> Any:
    """`scripts/simulate_traffic`."""
    pytest.importorskip("httpx", reason="needs the extra test")
    pytest.importorskip("torch", reason="needs the extra train")
    pytest.importorskip("structlog", reason="needs the extra serve")
    return load_script("simulate_traffic")


def test_the_pool_is_what_a_server_makes_of_the_same_clips(server: Running, takes: Any) -> None:
    """The same take, made again and sent to a running server, is heard as the pool says, and the same is found."""
    import httpx
    import soundfile

    pool = read()
    known = [hearing for hearing in pool.hearings["normal"] if hearing.take == 0][:: 780 // 5]
    agreed: Counter[str] = Counter()
    for hearing in known:
        said = pool.wishes[hearing.wish].ways[hearing.way].said
        file = io.BytesIO()
        clip = takes.recorded(takes.draw_take(said, hearing.take), "normal", [])
        soundfile.write(file, clip, 16_000, format="WAV", subtype="PCM_16")
        answer = httpx.post(
            f"{server.base_url}/v1/search", files={"file": ("clip.wav", file.getvalue())}, timeout=60.0
        )
        record = server.record(answer.headers["X-Request-Id"])
        assert record.clip is not None
        assert record.clip.duration_s == pytest.approx(hearing.clip.duration_s, abs=0.01)
        agreed["level"] += abs((record.clip.level_dbfs or 0.0) - (hearing.clip.level_dbfs or 0.0)) < 0.2
        agreed["text"] += record.text == hearing.text
        agreed["confidence"] += abs((record.confidence or 0.0) - hearing.confidence) < 0.05
        agreed["results"] += record.results == hearing.results
    # A synthesiser of another version says one of them otherwise.
    assert min(agreed.values()) >= len(known) - 1, agreed


@pytest.mark.usefixtures("takes")
def test_people_search_a_real_server_until_there_were_enough_queries(
    server: Running, script: Any, tmp_path: Path
) -> None:
    """They speak, type and tell through HTTP; the server's own records and events say what they did."""
    before = len(server.observed)
    plan = Visit(MONDAY, 120.0, per_s=4.0, at_once=3, speed=50.0, rhythm=FLAT, queries=10)

    async def drive() -> Any:
        async with script.At(server.base_url, None, None, script.ClipCache(tmp_path)) as at:
            return await visit(read(), at, plan, seed=2)

    summary = asyncio.run(drive())
    assert summary.queries >= 10
    seen = server.observed[before:]
    asked = [item for item in seen if isinstance(item, Record)]
    assert len(asked) == summary.queries
    assert {record.session for record in asked} <= {f"sim-2-{number}" for number in range(summary.sessions)}
    assert all(record.device in ("phone", "speaker", "watch", "car") for record in asked)
    assert {record.locale for record in asked} <= {"en-US", "en-GB", "en-IN", "en-AU"}
    assert any(record.transport is Transport.SEARCH and record.results for record in asked)
    told = Counter(item.type for item in seen if isinstance(item, Event))
    assert told == Counter({kind: summary.did[kind.value] for kind in EventType if kind in told})
    assert list(summary.statuses) == [200]
    assert list(tmp_path.glob("*.flac"))
    assert f"{summary.queries} queries" in summary.told()


class Deaf:
    """A server that hears nothing, and remembers how it was spoken to."""

    def __init__(self) -> None:
        self.audio: Counter[str] = Counter()

    async def say(self, who: Who, _wish: Wish, _way: int) -> Answer:
        """Nothing understood."""
        self.audio[who.chance.audio] += 1
        return Answer(200, 0.01, f"q{self.audio.total()}")

    async def type(self, _who: Who, text: str) -> Answer:
        """Nothing found."""
        return Answer(200, 0.01, "typed", text)

    async def tell(self, *_: object) -> int:
        """Taken."""
        return 200


def test_incidents_strike_people_at_a_server_too() -> None:
    """About a third of the people speak through the new microphone, and everybody asks again in vain."""
    deaf = Deaf()
    plan = Visit(
        MONDAY, 60.0, per_s=5_000.0, at_once=200, speed=1e6, rhythm=FLAT, queries=600,
        incidents=(parse("microphone:0.3", MONDAY),),
    )  # fmt: skip
    summary = asyncio.run(visit(read(), deaf, plan, seed=1))
    assert deaf.audio["microphone"] / deaf.audio.total() == pytest.approx(0.3, abs=0.15)
    assert summary.null == deaf.audio.total()
    assert summary.found == 0
    assert summary.did["repeat"] > 50


def test_history_goes_into_a_store_and_is_watched_as_it_passes(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written is what was simulated; counts and what became of queries come with it."""
    url = f"sqlite:///{tmp_path / 'events.sqlite3'}"
    scenario = script.Scenario(MONDAY, MONDAY.replace(hour=6), 60.0, FLAT)
    script.fill(read(), url, scenario, 0)
    wanted = list(traffic(read(), scenario, 0))
    printed = capsys.readouterr()
    assert "; 0 lost" in printed.out
    assert "failed" not in printed.err
    with EventStore.open(url) as store:
        kept = list(store.records())
        events = list(store.events())
        rollups = store.rollups(MONDAY, MONDAY + timedelta(hours=7), timedelta(hours=1))
    assert {record.request_id for record in kept} == {
        item.request_id for item in wanted if isinstance(item, Record)
    }
    assert len(events) == sum(isinstance(item, Event) for item in wanted)
    assert sum(record.clip is not None for record in kept) > 200
    counts = total(rollup for _, _, rollup in rollups).counts
    assert counts["requests"] == len(kept)
    # Of those at the end nobody knows yet what became of them.
    assert 0.8 < counts["followed"] / sum(record.query_id is not None for record in kept) <= 1.0
    assert counts["redo"] > 20


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--server", "http://example.org"], "not on this machine"),
        (["--server", "http://127.0.0.1:1", "--incident", "broken"], "--broken-server"),
        (["--server", "http://127.0.0.1:1", "--incident", "slow"], "only with --store"),
        (["--store", "sqlite://", "--incident", "flood"], "expected one of"),
    ],
)
def test_what_is_refused(
    script: Any,
    arguments: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Strangers' servers, and incidents that nobody can bring about from outside; the message says what to do."""
    monkeypatch.setattr("sys.argv", ["simulate_traffic", *arguments])
    assert script.main() == 2
    assert says in capsys.readouterr().err
