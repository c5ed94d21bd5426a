"""What the routes share: one frozen value, made when the server starts, found on the app's state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

from anyio import CapacityLimiter
from fastapi import Depends
from starlette.requests import HTTPConnection

from monitoring.record import Observer, Transport
from serving.engine import Engine
from serving.queries import Queries
from serving.rates import RateLimiter
from serving.recording import Ledger
from serving.retention import AudioStore
from serving.sandbox import Sandbox
from serving.settings import Settings


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a request may need. ``observers`` get each `Record` and `Event`."""

    settings: Settings
    engine: Engine
    queries: Queries
    rates: RateLimiter
    decoders: CapacityLimiter  # threads that decode audio
    containers: Sandbox  # what they leave to FFmpeg
    audio: AudioStore | None  # clips that are kept; None without a folder for them
    observers: tuple[Observer, ...] = ()

    @property
    def model(self) -> str:
        """Identity of the model that serves, ``name@digest``."""
        return self.engine.info.identity

    def ledger(self, transport: Transport, connection: HTTPConnection) -> Ledger:
        """The record of a request, opened; its end hands it to the observers."""
        return Ledger(
            self.observers,
            transport,
            request_id=request_id(connection),
            model=self.model,
            key_id=key_id(connection),
            session=connection.headers.get("x-session-id"),
        )


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
