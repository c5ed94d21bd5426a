"""The one thread that writes: group commit, and what happens when the database cannot.

Group commit: whatever gathered while the last commit ran, or within ``linger_s`` of the first item, shares one
transaction and one ``fsync``.

When the database is in trouble (disk full, read-only, gone), nobody who asks for an answer notices:

- what was observed stays in the backlog and is tried again, with pauses that double up to ``pause_s``, until the
  database recovers; the backlog is bounded, and what finds it full is lost and counted;
- who waits for an event to be durable is told ``StoreUnavailableError`` at the first failed try after
  ``patience_s``; that event is forgotten, so it is not lost without anyone's knowledge: its client may send it again;
- what the database refuses for its content is written alone, so that it harms nothing else, and if it still fails
  is lost and counted;
- closing tries for ``close_s`` more, then counts what is left as lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from monitoring.errors import StoreUnavailableError, UnstorableError
from monitoring.record import Event, Record
from monitoring.storage.backlog import Backlog, Pending
from monitoring.storage.database import is_outage, unavailable

FIRST_PAUSE_S = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is held, how long is waited. The default backlog is 100 s of 200 records a second, about 40 MB."""

    backlog: int = 20_000
    batch: int = 500
    linger_s: float = 0.02
    patience_s: float = 2.0
    pause_s: float = 1.0
    close_s: float = 10.0


class Writer:
    """Runs ``write`` (items to whether each was new) on the head of a backlog until that is closed and empty."""

    def __init__(
        self, backlog: Backlog, write: Callable[[Sequence[Record | Event]], list[bool]], limits: Limits
    ) -> None:
        self._backlog = backlog
        self._write = write
        self._limits = limits
        self._close_by = float("inf")
        self.trouble: StoreUnavailableError | None = None  # of the last try
        self._thread = threading.Thread(target=self._run, name="event-store-writer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Take nothing more, finish what was accepted (bounded: see above), end the thread."""
        self._close_by = time.monotonic() + self._limits.close_s
        self._backlog.close()
        self._thread.join()

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while batch := self._backlog.head(self._limits.batch, self._limits.linger_s):
            try:
                self._finish(batch)
            except StoreUnavailableError as error:
                self.trouble = error
                closing = self._backlog.pause(pause_s)
                pause_s = min(2 * pause_s, self._limits.pause_s)
                self._tell(error, time.monotonic() - self._limits.patience_s)
                if closing and not self._rest():
                    self._tell(error, float("inf"))
                    self._backlog.drop(len(self._backlog), lost=True)
            else:
                self.trouble, pause_s = None, FIRST_PAUSE_S

    def _rest(self) -> bool:
        """While closing there is nothing more to wait for: a short rest, and whether there is time for a try."""
        time.sleep(FIRST_PAUSE_S)
        return time.monotonic() < self._close_by

    def _tell(self, error: StoreUnavailableError, before: float) -> None:
        for waiter in self._backlog.give_up(before):
            waiter.set_exception(StoreUnavailableError(*error.args))

    def _finish(self, batch: list[Pending]) -> None:
        """Write a batch, or run its one job. Raises ``StoreUnavailableError``: the rest of it is to be tried again."""
        if batch[0].is_job:
            self._run_job(batch[0])
            return
        try:
            new = self._write(
                [pending.what for pending in batch if isinstance(pending.what, (Record, Event))]
            )
        except Exception as error:  # whatever an item provokes must not end the thread that all others need
            if is_outage(error):
                raise unavailable(error) from error
            if len(batch) > 1:
                for pending in batch:
                    self._finish([pending])
                return
            self._backlog.drop(1, lost=True)
            if batch[0].waiter:
                kind = type(error).__name__  # its message may quote what was said
                batch[0].waiter.set_exception(UnstorableError(f"the event store refuses this event ({kind})"))
            return
        self._backlog.drop(len(batch))
        for pending, is_new in zip(batch, new, strict=True):
            if pending.waiter:
                pending.waiter.set_result(is_new)

    def _run_job(self, pending: Pending) -> None:
        assert callable(pending.what), "a pending item is a record, an event or a job"
        assert pending.waiter is not None, "somebody waits for a job"
        self._backlog.drop(1)
        _settle(pending.waiter, pending.what)


def _settle(waiter: Future[Any], job: Callable[[], Any]) -> None:
    try:
        result = job()
    except Exception as error:  # it belongs to who waits for the job
        waiter.set_exception(unavailable(error) if is_outage(error) else error)
    else:
        waiter.set_result(result)
