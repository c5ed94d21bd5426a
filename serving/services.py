"""What the routes share: one frozen value, made when the server starts, found on the app's state."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from starlette.requests import HTTPConnection

from asr.transcript import Reading, Transcript
from monitoring.record import Observer, Transport
from monitoring.store import EventStore
from monitoring.watch import Watch
from serving import slices
from serving.decoding import Decoders
from serving.engine import Engine
from serving.queries import Queries
from serving.rates import RateLimiter
from serving.recording import Ledger
from serving.repeats import Repeats
from serving.retention import AudioStore
from serving.search import Result, SearchIndex
from serving.settings import Settings
from serving.streams import Streams
from serving.turns import Turns

STREAM_RESULTS = 10
LONGEST_SESSION = 64  # characters of a session's name


@dataclass(frozen=True, slots=True)
class Found:
    """What the catalogue has for a query, and how long it took to say."""

    results: tuple[Mapping[str, Any], ...]
    took_s: float


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need. ``store`` and ``observers`` get each `Record`; observers each stored `Event`, too.

    ``index`` is None for a server that only transcribes.
    """

    settings: Settings
    engine: Engine
    queries: Queries
    rates: RateLimiter
    decoders: Decoders
    searches: Turns  # of threads that search the catalogue
    streams: Streams
    store: EventStore
    repeats: Repeats
    audio: AudioStore | None = None  # clips that are kept; None without a folder for them
    index: SearchIndex | None = None
    observers: tuple[Observer, ...] = ()
    watch: Watch | None = None  # alarms; None where they are switched off

    @property
    def model(self) -> str:
        """Identity of the model that serves, ``name@digest``."""
        return self.engine.info.identity

    async def find(self, readings: Sequence[Reading], count: int) -> Found:
        """Items for what was read, best first; there must be an ``index``. Raises OverloadedError."""
        assert self.index is not None
        started = time.perf_counter()
        results = await self.searches.run(partial(self.index.search, readings, count))
        return Found(tuple(map(shown, results)), time.perf_counter() - started)

    def find_for_stream(self, transcript: Transcript) -> Sequence[Mapping[str, Any]]:
        """The same for a stream, which is in a thread already; its client takes what it shows first."""
        assert self.index is not None
        return [shown(result) for result in self.index.search(transcript.readings, STREAM_RESULTS)]

    def ledger(self, transport: Transport, connection: HTTPConnection) -> Ledger:
        """The record of a request, opened; its end hands it to the observers."""
        ledger = self.unnamed_ledger(transport, request_id(connection))
        ledger.key_id = key_id(connection)
        ledger.session = connection.headers.get("x-session-id", "")[:LONGEST_SESSION] or None
        ledger.device, ledger.locale = slices.device(connection), slices.locale(connection)
        return ledger

    def unnamed_ledger(self, transport: Transport, request_id: str) -> Ledger:
        """The record of a request that came without a key and without headers."""
        return Ledger(
            (self.store.observe, *self.observers), transport, request_id=request_id, model=self.model
        )


def shown(result: Result) -> Mapping[str, Any]:
    """A result as clients see it."""
    item = result.item.as_dict()
    return {
        "id": item["id"],
        "title": item["title"],
        "score": round(result.score, 4),
        "aliases": item["aliases"],
        "facets": item["facets"],
    }


def request_id(connection: HTTPConnection) -> str:
    """The id that `serving.headers` gave this request."""
    found: str = connection.state.request_id
    return found


def key_id(connection: HTTPConnection) -> str | None:
    """The API key it came with, which `serving.auth` has checked; None without keys."""
    principal = getattr(connection.state, "principal", None)
    return None if principal is None else principal.key_id


def _services(connection: HTTPConnection) -> Services:
    services: Services = connection.app.state.services
    return services


Shared: TypeAlias = Annotated[Services, Depends(_services)]  # a route's parameter: ``services: Shared``
