"""Who is told of alarms: the log, a webhook, Alertmanager. In: `Notice`s. Nobody waits for a network here.

A notice has the alarm, its numbers and words of the rules; nothing that anybody said, so it may leave the house.
``Delivery`` runs the slow ones in a thread of its own, from a bounded queue, with retries: a webhook that hangs
delays neither the judging nor the service, and what it never took is counted.
"""

from __future__ import annotations

import json
import logging
import queue
import random
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import urlsplit

from monitoring.alarms.rules import Rule, kind_of
from monitoring.errors import ActionError

LOG = logging.getLogger(__name__)

QUEUE = 256
TIMEOUT_S = 5.0
RETRIES_S = (1.0, 4.0, 15.0, 60.0)  # a quarter of it more or less, so that replicas do not call in step
RESEND_S = 60.0  # Alertmanager forgets what is not said again
ENDS_AFTER_S = 300.0  # ... after so long, unless told otherwise: five missed times


@dataclass(frozen=True, slots=True)
class Notice:
    """An alarm that fires, or has cleared at ``ended``. ``told``: when it was said that it still fires; None: once."""

    rule: Rule
    started: datetime
    reason: str
    numbers: Mapping[str, Any]
    ended: datetime | None = None
    told: datetime | None = None

    @property
    def name(self) -> str:
        """Of the alarm."""
        return self.rule.about.name

    def as_dict(self) -> dict[str, Any]:
        """What a webhook is sent."""
        about = self.rule.about
        return {
            "version": 1,
            "alarm": about.name,
            "status": "firing" if self.ended is None else "cleared",
            "severity": about.severity.value,
            "kind": kind_of(self.rule),
            "started": self.started.isoformat(),
            "ended": None if self.ended is None else self.ended.isoformat(),
            "help": about.help,
            "lookfor": about.lookfor,
            "reason": self.reason,
            "numbers": dict(self.numbers),
        }


class Action(Protocol):
    """Tells somebody. ``tell`` may take a while, and raises ``OSError`` where it was not heard: then again later.

    ``again_s``: how often a firing alarm has to be told anew; None: once.
    """

    name: str
    again_s: float | None

    def tell(self, notices: Sequence[Notice]) -> None:
        """Tell of these."""


class Log:
    """A line each. The fields are ids: a log that lets through what it knows lets them through."""

    name = "log"
    again_s: float | None = None

    def tell(self, notices: Sequence[Notice]) -> None:
        """At level warning while it fires, info when it clears."""
        for notice in notices:
            level = logging.WARNING if notice.ended is None else logging.INFO
            extra = {
                "alarm": notice.name,
                "severity": notice.rule.about.severity.value,
                "phase": "firing" if notice.ended is None else "cleared",
            }
            LOG.log(level, "alarm", extra=extra)


class Webhook:
    """``POST URL`` with one notice as JSON; any answer of 2xx is heard."""

    name = "webhook"
    again_s: float | None = None

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        """Raises ActionError for anything but http:// and https://."""
        self._url, self._timeout_s = _checked(url), timeout_s

    def tell(self, notices: Sequence[Notice]) -> None:
        """One call each."""
        for notice in notices:
            _post(self._url, notice.as_dict(), self._timeout_s)


class Alertmanager:
    """Prometheus Alertmanager's API v2: ``POST URL/api/v2/alerts``, said again while it fires, ended when it clears."""

    name = "alertmanager"
    again_s: float | None = RESEND_S

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S) -> None:
        """``url`` is Alertmanager's own, such as http://localhost:9093. Raises ActionError."""
        self._url = f"{_checked(url).rstrip('/')}/api/v2/alerts"
        self._timeout_s = timeout_s

    def tell(self, notices: Sequence[Notice]) -> None:
        """All in one call."""
        _post(self._url, [_alert(notice) for notice in notices], self._timeout_s)


def _alert(notice: Notice) -> dict[str, Any]:
    about = notice.rule.about
    ends = notice.ended or (notice.told or notice.started) + timedelta(seconds=ENDS_AFTER_S)
    return {
        # The labels are its identity: nothing in them may change while it fires.
        "labels": {
            "alertname": about.name,
            "severity": about.severity.value,
            "kind": kind_of(notice.rule),
            "service": "voicesearch",
        },
        "annotations": {"summary": about.help, "description": notice.reason, "runbook": about.lookfor},
        "startsAt": notice.started.isoformat(),
        "endsAt": ends.isoformat(),
    }


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ActionError(f"cannot tell {url!r} of alarms: expected http://HOST/... or https://HOST/...")
    return url


def _post(url: str, body: object, timeout_s: float) -> None:
    request = urllib.request.Request(
        url,
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "User-Agent": "voicesearch"},
    )
    with urllib.request.urlopen(
        request, timeout=timeout_s
    ) as answer:  # URLError is an OSError, HTTPError too
        answer.read(1024)


class Delivery:
    """One action in a thread of its own. ``put`` never waits; ``lost`` counts what is not known to have been heard.

    Notices are told one by one, so that one that fails does not have others told twice.
    """

    def __init__(self, action: Action, retries_s: Sequence[float] = RETRIES_S) -> None:
        self.action = action
        self.lost = 0
        self._retries_s = retries_s
        self._queue: queue.Queue[Notice | None] = queue.Queue(QUEUE)
        self._lock = threading.Lock()
        self._open = 0  # accepted, and neither heard nor lost
        self._given_up = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"alarm-{action.name}", daemon=True)
        self._thread.start()

    def put(self, notices: Sequence[Notice]) -> None:
        """Have them told soon."""
        for notice in notices:
            with self._lock:
                self._open += 1
            try:
                self._queue.put_nowait(notice)
            except queue.Full:
                self._done("queue_full")

    def close(self, patience_s: float = TIMEOUT_S) -> None:
        """Tell what waits, each once more, for so long; then it is lost."""
        self._stopping.set()
        with suppress(
            queue.Full
        ):  # then it is not waiting for anything, and sees by itself that it has to stop
            self._queue.put_nowait(None)
        self._thread.join(patience_s)
        with self._lock:
            left, self._open, self._given_up = self._open, 0, True
            self.lost += left
        if left:
            _untold(self.action, left, "stopped")

    def _run(self) -> None:
        while not (self._given_up or (self._stopping.is_set() and self._queue.empty())):
            if (notice := self._queue.get()) is not None:
                self._done(self._tell(notice))

    def _tell(self, notice: Notice) -> str | None:
        """None: it was heard; else why it was not."""
        for tries, pause_s in enumerate((*self._retries_s, None)):
            try:
                self.action.tell([notice])
            except Exception as error:  # whatever it is, the next alarm must still be told
                refused = (
                    isinstance(error, urllib.error.HTTPError)
                    and 400 <= error.code < 500
                    and error.code != 429
                )
                if pause_s is None or refused or self._given_up or (self._stopping.is_set() and tries):
                    return type(error).__name__
            else:
                return None
            self._stopping.wait(pause_s * random.uniform(0.75, 1.25))
        return None

    def _done(self, why: str | None) -> None:
        with self._lock:
            if self._given_up:
                return  # counted as lost already
            self._open -= 1
            self.lost += why is not None
        if why is not None:
            _untold(self.action, 1, why)


def _untold(action: Action, count: int, why: str) -> None:
    # No address: it may hold a secret.
    LOG.error("alarm_untold", extra={"actor": action.name, "count": count, "error": why})


def parse_actions(webhook: str | None, alertmanager: str | None) -> list[Action]:
    """The log, and what else is named. Raises ActionError."""
    makers: tuple[tuple[Callable[[str], Action], str | None], ...] = (
        (Webhook, webhook),
        (Alertmanager, alertmanager),
    )
    return [Log(), *(make(url) for make, url in makers if url)]
