"""``serving.watching``: the watch runs beside a real server, is switched off by a setting, and ends with it."""

from __future__ import annotations

import json
import logging
import sys
import threading
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

pytest.importorskip("fastapi", reason="needs the extra serve")

import structlog
from serving_app import clip, wait_for

from asr import bundle, onnx_asr_files
from asr.errors import BundleError
from monitoring.alarms import rules
from monitoring.errors import RulesError
from monitoring.follower import Follower
from monitoring.metrics import Metrics
from monitoring.record import Outcome, Record, Transport
from monitoring.storage.journal import Kind
from monitoring.store import EventStore
from monitoring.watch import Watch
from serving import logs, watching
from serving.settings import Settings
from serving.watching import Watching, distance_of


def test_a_server_watches_what_it_answers(start_server: Callable[..., Any], tmp_path: Path) -> None:
    """A request is counted in the store by the server's own watch, and every alarm has its gauge on /metrics."""
    running = start_server(state_folder=tmp_path, catalogs=())
    running.openai().audio.transcriptions.create(model="en-small", file=clip())
    watch = running.app.state.services.watch
    now = datetime.now(UTC)
    watch.tick(now)  # the thread's own comes in half a minute
    counted = running.app.state.services.store.rollups(
        now - timedelta(minutes=5), now + timedelta(minutes=1), timedelta(minutes=10)
    )
    assert sum(rollup.counts["requests"] for _, _, rollup in counted) == 1
    assert watch.failures == {}
    assert watch.leads
    with urllib.request.urlopen(f"{running.base_url}/metrics") as answer:
        shown = answer.read().decode()
    for name in rules.load().by_name:
        assert f'voicesearch_alarm_active{{alarm="{name}"}} 0.0' in shown


def test_without_a_watch_nothing_is_judged(start_server: Callable[..., Any]) -> None:
    """VOICESEARCH_WATCH=false: the server answers as ever."""
    running = start_server(watch=False, catalogs=())
    assert running.app.state.services.watch is None
    assert running.openai().audio.transcriptions.create(model="en-small", file=clip()).text


def test_rules_that_cannot_be_are_told_at_the_start(tmp_path: Path) -> None:
    """A threshold out of bounds keeps the server from starting, with the line that is wrong."""
    wrong = tmp_path / "rules.toml"
    wrong.write_text(
        rules.SHIPPED.read_text(encoding="utf-8").replace("objective = 0.995", "objective = 99.5")
    )
    with (
        EventStore.open(f"sqlite:///{tmp_path}/events.db") as store,
        pytest.raises(RulesError, match=r"rules.toml line \d+: contract 'errors-page': objective is 99.5"),
    ):
        watching.start(Settings(rules=wrong), store, Metrics(CollectorRegistry()), None)


def test_the_thread_ticks_until_it_is_closed(tmp_path: Path) -> None:
    """It ticks by itself; closing it ends the thread, and lets another process judge at once."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        follower = Follower(lambda _a, _b: 1.0)
        watch = Watch(store, Metrics(CollectorRegistry()), rules.load(), follower)
        running = Watching(watch, every_s=0.01)
        wait_for(lambda: bool(store.journal(kinds=[Kind.RULES])), "the first tick")
        running.close()
        assert not running._thread.is_alive()
        other = store.candidate()
        assert other.leads()
        other.resign()


def test_a_tick_that_hangs_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The service ends without it and says what is lost; when it ends, no step follows, and another may judge."""
    monkeypatch.setattr(watching, "STOP_S", 0.01)
    hangs, go = threading.Event(), threading.Event()
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        read = store.rollups

        def slow(*asked: Any) -> Any:
            hangs.set()
            go.wait(60)
            return read(*asked)

        monkeypatch.setattr(store, "rollups", slow)
        watch = Watch(store, Metrics(CollectorRegistry()), rules.load(), Follower(lambda _a, _b: 1.0))
        running = Watching(watch, every_s=0.01)
        assert hangs.wait(60)
        for number in range(3):
            watch.observe(
                Record(f"r{number}", datetime.now(UTC), Transport.SEARCH, Outcome.OK, 200, "en-small@0", 0.1)
            )
        running.close()
        (line,) = [record for record in caplog.records if record.msg == "watch_stuck"]
        assert vars(line)["count"] == 3
        go.set()
        running._thread.join(60)
        assert not running._thread.is_alive()
        assert store.journal() == []
        other = store.candidate()
        assert other.leads()
        other.resign()


def test_texts_are_compared_by_their_sound() -> None:
    """Spoken or typed, capitals and all: the same words are no distance apart, others are far."""
    distance = distance_of("en-small")
    assert distance("play some jazz", "Play some Jazz!") == 0.0
    assert distance("play some jazz", "weather in berlin") > 0.5


def test_a_model_without_pronunciations_is_told_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model of others, and none of ours to say words with: whoever starts the server sees it."""
    monkeypatch.setattr(bundle, "search_folders", lambda: (tmp_path,))
    with pytest.raises(BundleError, match="no model bundle 'en-small'"):
        distance_of(f"{onnx_asr_files.PREFIX}anything")


def test_what_the_watch_logs_passes_the_filter(capsys: pytest.CaptureFixture[str]) -> None:
    """An alarm's line has its name, severity and phase, and nothing is dropped."""
    before = logging.getLogger().handlers[:], logging.getLogger().level
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    try:
        filtered = logs.configure(form="json")
        logging.getLogger("monitoring.alarms.actions").warning(
            "alarm", extra={"alarm": "errors-page", "severity": "page", "phase": "firing"}
        )
        line = json.loads(capsys.readouterr().err)
    finally:
        structlog.reset_defaults()
        logging.captureWarnings(False)
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        logging.getLogger().handlers[:], logging.getLogger().level = before
    assert (line["event"], line["alarm"], line["severity"], line["phase"]) == (
        "alarm", "errors-page", "page", "firing",
    )  # fmt: skip
    assert filtered.dropped == 0
