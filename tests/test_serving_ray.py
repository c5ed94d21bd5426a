"""``voicesearch serve --engine ray``: real replicas on a real Ray, one of which is killed while it is asked."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import postgres_server
import pytest
from serving_app import clip, wait_for

from asr.cli import main
from asr.errors import OptionError
from serving import ray_serving
from serving.settings import Replicas, Settings

REPLICA = "ServeReplica:voicesearch-streams:Replica"
ACCEPTED = re.compile(
    r'voicesearch_(inflight\{|http_server_request_duration_seconds_count\{.*route="/v1/audio/transcriptions")'
)
ITEMS = [{"id": "jazz", "title": "some jazz music"}, {"id": "tea", "title": "a pot of tea"}]


@dataclass(frozen=True, slots=True)
class Service:
    """A service on a cluster of its own: its process, and where it answers."""

    process: subprocess.Popen[str]
    base_url: str

    def replicas(self) -> list[int]:
        """Processes of its replicas."""
        return [pid for pid in _descendants(self.process.pid) if REPLICA in _command(pid)]


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[Service]:
    """``voicesearch serve --engine ray`` as a process, from when it is ready until it has stopped by itself."""
    command = [
        sys.executable,
        "-m",
        "asr.cli",
        "serve",
        "--engine",
        "ray",
        "--port",
        "0",
        "--log-format",
        "json",
    ]
    log = folder / "serve.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [*command, *arguments],
            stderr=stream,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": str(folder)},
        )

    def ready() -> list[Any]:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == "ready"]

    try:
        wait_for(lambda: bool(ready()) or process.poll() is not None, "the service to start", 240.0)
        assert process.poll() is None, log.read_text()
        yield Service(process, f"http://127.0.0.1:{ready()[0]['port']}")
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120.0)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


def accepted(client: httpx.Client) -> float:
    """Transcriptions that replicas have been asked for and are done with, and all that they are about."""
    metrics = client.get("/metrics").raise_for_status().text
    samples = [line.rpartition(" ") for line in metrics.splitlines() if ACCEPTED.match(line)]
    return sum(float(value) for _, _, value in samples)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The URL of an empty database."""
    with postgres_server.running() as server:
        yield server.create("events")


def test_a_killed_replica_costs_no_answer_and_events_find_their_query(database: str, tmp_path: Path) -> None:
    """Two replicas: events about a query are taken by both, metrics name both, the death of one under load is seen by
    nobody, and a stop finishes what was accepted."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("needs the extra ray")
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    settings = ["--catalog", str(tmp_path / "items.jsonl"), "--store", database, "--replicas", "2"]
    with (
        serving(tmp_path, *settings, "--latency-budget-ms", "60000") as service,
        httpx.Client(base_url=service.base_url, timeout=120.0) as client,
    ):
        found = client.post("/v1/search", files={"file": clip()}).raise_for_status().json()
        assert (found["transcript"]["text"], found["results"][0]["id"]) == ("play some jazz music", "jazz")
        for number in range(8):  # the chance that one replica gets them all is 1 in 128
            event = {
                "query_id": found["query_id"],
                "event_id": str(number),
                "type": "click",
                "item_id": "jazz",
            }
            assert client.post("/v1/events", json=event).raise_for_status().json()["new"]
        assert client.post("/v1/events", json={**event, "query_id": "q_none"}).status_code == 404
        metrics = client.get("/metrics").raise_for_status().text
        assert len(set(re.findall(r'clip_duration_seconds_count\{.*replica="(\w+)"', metrics))) == 1
        assert len(set(re.findall(r'process_cpu_seconds_total\{replica="(\w+)"', metrics))) == 2

        done = threading.Semaphore(0)

        def ask(_number: int) -> tuple[int, str]:
            answer = httpx.post(
                f"{service.base_url}/v1/audio/transcriptions",
                files={"file": clip()},
                data={"model": "en-small"},
                timeout=120.0,
            )
            done.release()
            return answer.status_code, answer.json().get("text", answer.text)

        with ThreadPoolExecutor(6) as threads:
            asked = [threads.submit(ask, number) for number in range(60)]
            for _ in range(12):
                assert done.acquire(timeout=120.0)
            victim, _ = service.replicas()
            os.kill(victim, signal.SIGKILL)
            assert {each.result() for each in asked} == {(200, "play some jazz music")}

            before = accepted(client)
            last = [threads.submit(ask, number) for number in range(6)]
            wait_for(lambda: accepted(client) >= before + 6, "six requests to be accepted", 120.0)
            service.process.send_signal(signal.SIGTERM)
            wait_for(lambda: service.process.poll() is not None, "the service to stop", 120.0)
            answered = [each.exception() is None and each.result()[0] == 200 for each in last]
        assert service.process.returncode == 0
        assert all(answered)


@pytest.mark.parametrize(
    ("text", "replicas"), [("2", Replicas(2, 2)), ("1:4", Replicas(1, 4)), (Replicas(3, 3), Replicas(3, 3))]
)
def test_how_many_replicas(text: object, replicas: Replicas) -> None:
    """One number, or two to scale between; shown as they are written."""
    assert Settings(replicas=text).replicas == replicas
    assert str(replicas) == str(text)


@pytest.mark.parametrize("text", ["0", "4:1", "two", "1:", ":2", "-1", "1:2:3", "1001"])
def test_what_is_no_number_of_replicas(text: str) -> None:
    """Refused by name."""
    with pytest.raises(ValueError, match="MIN"):
        Settings(replicas=text)


def test_what_several_replicas_cannot_share() -> None:
    """SQLite on one machine, and a port for Home Assistant; nothing to share is no obstacle."""
    with pytest.raises(OptionError, match=r"2 replicas need one store .*postgresql://"):
        ray_serving.check(Settings(replicas="2", store="sqlite:////tmp/x"), keeps=True)
    with pytest.raises(OptionError, match=r"1:2 replicas need one store"):
        ray_serving.check(Settings(replicas="1:2"), keeps=True)
    with pytest.raises(OptionError, match="--wyoming-port is for one server"):
        ray_serving.check(Settings(wyoming_port=10300), keeps=False)
    ray_serving.check(Settings(replicas="2"), keeps=False)
    ray_serving.check(Settings(replicas="2", store="postgresql://db/events"), keeps=True)
    ray_serving.check(Settings(), keeps=True)


RUNNING = SimpleNamespace(host="0.0.0.0", port=8000)  # what somebody else's Serve listens on


@pytest.mark.parametrize(
    ("host", "port", "applications", "message"),
    [
        ("127.0.0.1", 8000, [], r"listens on 0\.0\.0\.0 port 8000, not on 127\.0\.0\.1 port 8000"),
        ("0.0.0.0", 8001, [], r"say --host 0\.0\.0\.0 --port 8000"),
        ("0.0.0.0", 8000, ["voicesearch"], "serves a voicesearch already"),
        ("0.0.0.0", 8000, ["voicesearch-streams"], "would take its place"),
    ],
)
def test_a_serve_that_runs_already_is_joined_as_it_is_or_not_at_all(
    host: str, port: int, applications: list[str], message: str
) -> None:
    """Elsewhere than we were told to listen, strangers might reach us; a second voicesearch would end the first."""
    with pytest.raises(OptionError, match=message):
        ray_serving.check_shared(Settings(host=host, port=port), RUNNING, applications)


def test_a_serve_that_listens_where_we_would_is_joined() -> None:
    """Beside what others run on it."""
    ray_serving.check_shared(Settings(host="0.0.0.0"), RUNNING, ["theirs"])


def test_replicas_get_paths_that_hold_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process was told from its folder; names of what each node has stay names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "items.jsonl").touch()
    found = ray_serving.for_replicas(
        Settings(keys="keys.db", state_folder="state", catalogs=("books", "items.jsonl"), rules="rules.toml")
    )
    assert (found.keys, found.rules) == (tmp_path / "keys.db", tmp_path / "rules.toml")
    assert (found.state_folder, found.model) == (tmp_path / "state", "en-small")
    assert found.catalogs == ("books", str(tmp_path / "items.jsonl"))


@pytest.mark.parametrize(
    ("replicas", "store", "watch"), [("2", None, False), ("1", None, True), ("2", "postgresql://db/x", True)]
)
def test_who_knows_a_part_of_the_traffic_judges_none(replicas: str, store: str | None, watch: bool) -> None:
    """Replicas without a store in common would each send their alarms."""
    assert ray_serving.for_replicas(Settings(replicas=replicas, store=store)).watch is watch


@pytest.mark.parametrize("flag", [["--replicas", "2"], ["--address", "head:6379"]])
def test_what_is_of_a_cluster_is_not_ignored_without_one(
    flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2, as batch does."""
    assert main(["serve", *flag]) == 2
    assert f"{' '.join(flag)} is of a Ray cluster: add --engine ray" in capsys.readouterr().err


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
