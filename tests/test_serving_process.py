"""``voicesearch serve`` as an operator runs it: a process of its own, its log, its signals, what it leaves behind."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from serving_app import wait_for

from serving.load import DROPPED, REFUSED, Load, multipart

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
CANARY = "zyzzyva"
CLIP = (SAMPLES / "play_jazz.wav").read_bytes()  # "play some jazz music"


@dataclass(frozen=True, slots=True)
class Served:
    """A server process, where it answers, and the file that its log goes to."""

    process: subprocess.Popen[bytes]
    base_url: str
    port: int
    log: Path

    def children(self) -> list[int]:
        """Ids of its processes."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for path in tasks for child in path.read_text().split()]


def command(*options: str) -> list[str]:
    return [sys.executable, "-m", "asr.cli", "serve", *options]


@contextmanager
def served(*options: str) -> Iterator[Served]:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("wb") as file:
            process = subprocess.Popen(command("--port", "0", "--no-state", *options), stderr=file)
        try:
            port = 0
            while not port:
                assert process.poll() is None, log.read_text()
                port = next((line["port"] for line in lines(log) if line["event"] == "ready"), 0)
            yield Served(process, f"http://127.0.0.1:{port}", port, log)
        finally:
            process.kill()
            process.wait()


def lines(log: Path) -> list[dict[str, object]]:
    """What was logged so far, without a last line that is still being written."""
    return [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_a_stop_finishes_what_was_accepted() -> None:
    """SIGTERM under load: whoever was accepted gets an answer, the exit code is 0, and no process is left."""
    request = multipart("/v1/audio/transcriptions", CLIP, {"model": "en-small"})

    async def load(server: Served) -> list[int]:
        running = asyncio.create_task(Load("127.0.0.1", server.port, [request]).closed(4, 4.0))
        await asyncio.sleep(1.0)
        server.process.send_signal(signal.SIGTERM)
        report = await running
        return [reply.status for reply in report.replies]

    with served("--latency-budget-ms", "60000", "--workers", "1") as server:
        children = server.children()
        assert children
        statuses = asyncio.run(load(server))
        assert server.process.wait(30) == 0
        assert 200 in statuses
        assert DROPPED not in statuses
        # Nothing but answers, until the first that was not accepted: told so, or without a connection.
        ends = next((at for at, status in enumerate(statuses) if status != 200), len(statuses))
        assert set(statuses[ends:]) <= {REFUSED, 200, 503}
        # Python's own resource tracker ends a moment after its parent.
        wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children), "the workers to end")
        assert not [line for line in lines(server.log) if line["level"] in ("error", "critical")]


def test_nothing_that_was_said_is_in_logs_or_metrics() -> None:
    """P4: words spoken, typed, named or sent in any header or query string appear in no log line and no metric."""
    with served("--workers", "1") as server, httpx.Client(base_url=server.base_url, timeout=60) as client:
        heard = client.post("/v1/search", files={"file": (f"{CANARY}.wav", CLIP)}, data={"session": CANARY})
        assert "jazz" in heard.json()["transcript"]["text"]
        found = client.post("/v1/search/text", json={"query": f"{CANARY} jazz"}, params={"q": CANARY}).json()
        typed = {"query_id": found["query_id"], "event_id": "1", "type": "typed", "text": f"{CANARY} jazz"}
        assert client.post("/v1/events", json=typed).json()["new"]
        client.post(
            "/v1/audio/transcriptions",
            files={"file": (f"{CANARY}.wav", CLIP)},
            data={"model": "en-small", "prompt": f"{CANARY} jazz"},
            headers={"User-Agent": CANARY, "X-Session-Id": CANARY, "Authorization": f"Bearer {CANARY}"},
        )
        client.post("/v1/audio/transcriptions", files={"file": CANARY.encode()}, data={"model": CANARY})
        client.get(f"/{CANARY}/jazz")
        metrics = client.get("/metrics").text
        assert "voicesearch_searches_total" in metrics

        def logged() -> list[dict[str, object]]:
            return [line for line in lines(server.log) if line["event"] == "request"]

        # An answer is on its way before its line is: the client may be here first.
        wait_for(lambda: len(logged()) == 7, "a line for each request")
        for text in (metrics, server.log.read_text()):
            assert CANARY not in text
            assert "jazz" not in text
        assert {line["route"] for line in logged()} >= {
            "/v1/search",
            "/v1/search/text",
            "/v1/events",
            "unmatched",
        }


def refusal(*options: str) -> str:
    """What ``serve`` says on stderr when it does not start: usage errors exit with 2."""
    done = subprocess.run(command(*options), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_cannot_be_served_is_said_in_one_line(tmp_path: Path) -> None:
    """A taken port, strangers without keys, an unknown model, a catalogue that is not there, a senseless number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"cannot listen on 127.0.0.1 port {port}" in refusal("--no-state", "--port", port)
    assert "there are no API keys" in refusal("--no-state", "--host", "0.0.0.0")
    assert "no model bundle 'nobody'" in refusal("--no-state", "--port", "0", "--model", "nobody")
    missing = str(tmp_path / "missing.jsonl")
    assert missing in refusal("--no-state", "--port", "0", "--catalog", missing)
    assert "workers" in refusal("--no-state", "--workers", "0")
    assert "'xml'" in refusal("--no-state", "--log-format", "xml")
