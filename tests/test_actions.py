"""``monitoring.alarms.actions``: what receivers get, over real sockets; one that fails delays nobody."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from monitoring.alarms import rules
from monitoring.alarms.actions import (
    ENDS_AFTER_S,
    QUEUE,
    Alertmanager,
    Delivery,
    Log,
    Notice,
    Webhook,
    parse_actions,
)
from monitoring.alarms.announcing import Announcer
from monitoring.alarms.states import Alarm, Phase
from monitoring.errors import ActionError

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
RULES = rules.load()
RULE = RULES.by_name["null-rate-high"]
NOTICE = Notice(RULE, NOON, "60 null of 480 spoken in 1 h", {"share": 0.125})
PATIENCE_S = 60.0


class Receiver:
    """A webhook that keeps what it is sent, and answers with the next of ``answers``, then 200."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, Any]] = []
        self.answers: list[int] = []
        self.go = threading.Event()
        self.go.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.go.wait(PATIENCE_S)
                receiver.posts.append((self.path, body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop."""
        self.go.set()
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A fresh one."""
    made = Receiver()
    yield made
    made.close()


def wait_for(happened: Callable[[], bool], what: str) -> None:
    """Poll."""
    ends = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < ends, f"waited in vain for {what}"
        time.sleep(0.01)


def test_a_webhook_is_sent_the_alarm(receiver: Receiver) -> None:
    """Name, severity, times, the rule's words, the reason and its numbers; nothing that anybody said."""
    delivery = Delivery(Webhook(receiver.url))
    delivery.put([NOTICE])
    delivery.close()
    assert receiver.posts == [
        (
            "/hook",
            {
                "version": 1, "alarm": "null-rate-high", "status": "firing", "severity": "page", "kind": "ratio",
                "started": "2026-03-02T12:00:00+00:00", "ended": None, "help": RULE.about.help,
                "lookfor": RULE.about.lookfor, "reason": "60 null of 480 spoken in 1 h", "numbers": {"share": 0.125},
            },
        )
    ]  # fmt: skip
    assert delivery.lost == 0


def test_a_webhook_that_fails_is_called_again(receiver: Receiver) -> None:
    """An answer of 500 is no answer; the third try is heard, once. One of 400 will never be heard, and is counted."""
    receiver.answers = [500, 503]
    delivery = Delivery(Webhook(receiver.url), retries_s=(0.01, 0.01))
    delivery.put([NOTICE])
    wait_for(lambda: len(receiver.posts) == 3, "the third try")
    receiver.answers = [400]
    delivery.put([NOTICE])
    wait_for(lambda: delivery.lost == 1, "the refused one to be counted")
    delivery.close()
    assert len(receiver.posts) == 4


def test_a_webhook_that_hangs_delays_nobody(receiver: Receiver) -> None:
    """What finds no room is counted exactly; the caller never waits for the receiver, which gets the rest later."""
    receiver.go.clear()
    delivery = Delivery(Webhook(receiver.url, timeout_s=PATIENCE_S))
    delivery.put([NOTICE])
    wait_for(lambda: delivery._queue.empty(), "the first to be taken")
    for _ in range(QUEUE + 7):
        delivery.put([NOTICE])
    assert delivery.lost == 7
    receiver.go.set()
    wait_for(lambda: len(receiver.posts) == QUEUE + 1, "all that found room")
    delivery.close()


def test_one_that_fails_does_not_repeat_the_others(receiver: Receiver) -> None:
    """Of three notices at once the second fails at first: each is heard once."""
    receiver.answers = [200, 500]
    delivery = Delivery(Webhook(receiver.url), retries_s=(0.01,))
    delivery.put([Notice(RULE, NOON, reason, {}) for reason in ("one", "two", "three")])
    wait_for(lambda: len(receiver.posts) == 4, "three and the one again")
    delivery.close()
    assert [body["reason"] for _, body in receiver.posts] == ["one", "two", "two", "three"]
    assert delivery.lost == 0


def test_what_a_slow_receiver_has_not_heard_is_counted(receiver: Receiver) -> None:
    """At the end nobody waits for a receiver that hangs: what it had not heard is lost, each once, and known."""
    receiver.go.clear()
    delivery = Delivery(Webhook(receiver.url, timeout_s=PATIENCE_S))
    delivery.put([NOTICE] * 4)
    delivery.close(patience_s=0.01)
    assert delivery.lost == 4
    receiver.go.set()
    delivery._thread.join(PATIENCE_S)
    assert delivery.lost == 4, "what is heard after all is not counted again"
    assert len(receiver.posts) == 1, "and no more is told"


def test_nobody_is_at_home(receiver: Receiver) -> None:
    """A closed port is tried again, then counted as lost, and the thread lives on for the next alarm."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    delivery = Delivery(Webhook(f"http://127.0.0.1:{port}/"), retries_s=(0.01,))
    delivery.put([NOTICE])
    wait_for(lambda: delivery.lost == 1, "the loss")
    delivery.action = Webhook(receiver.url)
    delivery.put([NOTICE])
    delivery.close()
    assert len(receiver.posts) == 1


def test_addresses_are_checked() -> None:
    """A file, a word, or a host that is missing is refused when the server starts, by name."""
    for url in ("file:///etc/passwd", "hook", "http://"):
        with pytest.raises(ActionError, match="expected http://HOST/"):
            parse_actions(url, None)
    assert [action.name for action in parse_actions("http://a/b", "https://c")] == [
        "log",
        "webhook",
        "alertmanager",
    ]


def test_the_log_names_the_alarm(caplog: pytest.LogCaptureFixture) -> None:
    """One line of ids: the reason stays out of it."""
    with caplog.at_level("INFO"):
        Log().tell([NOTICE])
    (line,) = caplog.records
    assert (line.msg, line.levelname) == ("alarm", "WARNING")
    assert (vars(line)["alarm"], vars(line)["severity"], vars(line)["phase"]) == (
        "null-rate-high",
        "page",
        "firing",
    )
    assert "480" not in caplog.text


def test_alertmanager_is_told_again_and_told_the_end(receiver: Receiver) -> None:
    """While it fires, every minute, with the same labels and start; when it has cleared, once, with its end."""
    url = receiver.url.removesuffix("/hook")
    announcer = Announcer(RULES, [Alertmanager(url), Webhook(receiver.url)])
    firing = Alarm("null-rate-high", Phase.FIRING, NOON, reason="why")
    quiet = Alarm("null-rate-high", Phase.QUIET, NOON + timedelta(minutes=5))
    for second in (0, 30, 60, 90, 120):
        announcer.tell([firing], [], NOON + timedelta(seconds=second))
    ended = NOON + timedelta(minutes=5)
    announcer.tell([quiet], [], ended)
    announcer.tell([quiet], [], ended + timedelta(minutes=5))
    announcer.close()
    alerts = [body[0] for path, body in receiver.posts if path == "/api/v2/alerts"]
    assert len(alerts) == 4
    assert {json.dumps(alert["labels"]) for alert in alerts} == {
        json.dumps(
            {"alertname": "null-rate-high", "severity": "page", "kind": "ratio", "service": "voicesearch"}
        )
    }
    assert {alert["startsAt"] for alert in alerts} == {NOON.isoformat()}
    assert alerts[-1]["endsAt"] == ended.isoformat()
    told = [NOON + timedelta(seconds=second) for second in (0, 60, 120)]
    assert [datetime.fromisoformat(alert["endsAt"]) for alert in alerts[:-1]] == [
        at + timedelta(seconds=ENDS_AFTER_S) for at in told
    ]
    assert [body["status"] for path, body in receiver.posts if path == "/hook"] == ["firing", "cleared"]


def test_a_real_alertmanager_has_the_alert(tmp_path: Path) -> None:
    """Debian's package: the alert is there while it fires, with our labels, and no longer when it has cleared."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        pytest.skip("needs Alertmanager (Debian package prometheus-alertmanager)")
    config = tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    options = [
        f"--config.file={config}",
        f"--storage.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    running = subprocess.Popen(
        [program, *options, "--cluster.listen-address="], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def alerts() -> list[Any] | None:
        try:
            with urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=5) as answer:
                found: list[Any] = json.load(answer)
                return found
        except OSError:
            return None

    try:
        wait_for(lambda: alerts() is not None, "Alertmanager to start")
        action = Alertmanager(url)
        started = datetime.now(UTC) - timedelta(minutes=1)
        action.tell([Notice(RULE, started, "why", {}, told=datetime.now(UTC))])
        wait_for(lambda: bool(alerts()), "the alert")
        (alert,) = alerts() or []
        assert alert["labels"]["alertname"] == "null-rate-high"
        assert alert["annotations"]["description"] == "why"
        action.tell([Notice(RULE, started, "why", {}, ended=datetime.now(UTC))])
        wait_for(lambda: alerts() == [], "the alert to be over")
    finally:
        running.terminate()
        running.wait()
