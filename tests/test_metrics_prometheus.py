"""A real Prometheus scrapes our metrics over HTTP, and answers queries with the right numbers."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

from monitoring.metrics import Metrics
from monitoring.record import Event, EventType, Outcome, Record, Transport

AT = datetime(2026, 3, 1, tzinfo=UTC)
RECORD = Record("request", AT, Transport.SEARCH, Outcome.OK, 200, "en-small@0123", 0.5, query_id="query")

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: voicesearch, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty one."""
    return CollectorRegistry()


@pytest.fixture
def endpoint(registry: CollectorRegistry) -> Iterator[int]:
    """The port of a server that answers every request with the metrics of ``registry``."""
    with make_server("127.0.0.1", 0, make_wsgi_app(registry), handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def prometheus(endpoint: int, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that scrapes it."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("needs prometheus")
    (tmp_path / "prometheus.yml").write_text(CONFIG.format(port=endpoint))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        program,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address={address}",
    ]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://{address}"
        finally:
            process.terminate()


def ask(address: str, query: str) -> list[dict[str, Any]]:
    """The result vector of an instant query; empty while Prometheus is not up."""
    url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    try:
        with urllib.request.urlopen(url) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except (urllib.error.URLError, ConnectionError):
        return []
    return result


def until(address: str, query: str, expected: float) -> dict[str, str]:
    """Ask until the one result has this value; its labels. A machine may be slow, but not for a minute."""
    result: list[dict[str, Any]] = []
    for _ in range(600):
        result = ask(address, query)
        if len(result) == 1 and float(result[0]["value"][1]) == expected:
            labels: dict[str, str] = result[0]["metric"]
            return labels
        time.sleep(0.1)
    raise AssertionError(f"{query} never was {expected}: {result}")


def test_prometheus_scrapes_and_answers(registry: CollectorRegistry, prometheus: str) -> None:
    """The target is up; counters and histograms have our values and labels, and follow when they rise."""
    metrics = Metrics(registry)
    metrics.observe(RECORD)
    until(prometheus, "up", 1)
    labels = until(prometheus, "voicesearch_transcripts_total", 1)
    assert labels.pop("instance").startswith("127.0.0.1:")
    assert labels == {
        "__name__": "voicesearch_transcripts_total", "job": "voicesearch", "model": "en-small", "version": "0123",
        "arm": "stable", "transport": "search", "outcome": "ok",
    }  # fmt: skip
    until(prometheus, "voicesearch_events_lost_total", 0)
    for number in range(3):
        metrics.observe(Event(str(number), "query", EventType.CLICK, AT))
        metrics.request("/v1/search", 200, 0.2)
    until(prometheus, "voicesearch_clicks_total / voicesearch_searches_total", 3)
    under = "voicesearch_http_server_request_duration_seconds_bucket"
    until(prometheus, f'{under}{{route="/v1/search", le="0.25"}}', 3)
    until(prometheus, f'{under}{{route="/v1/search", le="0.1"}}', 0)
