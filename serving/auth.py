"""Who is calling, and may they: a request in, a frozen `Principal` out, or 401, 403.

Three ways to run, decided once when the server starts (`Access.decide`):

- with a file of keys: every route that says ``Depends(require(scope))`` wants a key with that scope;
- on loopback without one: whoever reaches it is on this machine and may do everything but administer. Web pages
  reach it too, through the browser, so `KeylessMiddleware` refuses other sites and rebound names;
- on another address without keys: refused, unless the operator says ``--insecure``.

A key comes as ``Authorization: Bearer KEY``. A browser cannot set headers on a WebSocket; there it comes as the
second of two subprotocols, ``Sec-WebSocket-Protocol: voicesearch, key.KEY``; never in the address, which is logged.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from anyio import to_thread
from fastapi import Depends, FastAPI
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from serving import keys
from serving.errors import ExposureError, ForbiddenError, UnauthorizedError
from serving.keys import KeyStore
from serving.problems import problem

SUBPROTOCOL = "voicesearch"
KEY_PROTOCOL = "key."
LOCAL_NAME = "localhost"
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who calls: the id of their key (None where the server runs without keys), and what it is good for."""

    key_id: str | None
    scopes: frozenset[keys.Scope]

    def allows(self, scope: keys.Scope) -> bool:
        """Whether they may do what ``scope`` names."""
        return keys.allows(self.scopes, scope)


ANONYMOUS = Principal(None, frozenset(keys.Scope) - {keys.Scope.ADMIN})


@dataclass(frozen=True, slots=True)
class Access:
    """How this server lets people in: by ``keys``, or anybody where there are none. ``local``: loopback, no keys."""

    keys: KeyStore | None
    local: bool

    @classmethod
    def decide(cls, path: Path | None, host: str, insecure: bool) -> Access:
        """What the settings come to. Raises ExposureError for a server that strangers could use."""
        store = KeyStore(path) if path is not None else None
        if store is not None and not store.path.exists():
            # Whoever names a file means it to be asked: to fall open over a typing error would be the worst reading.
            raise ExposureError(
                f"no file of API keys at {path}: make a key with voicesearch keys create NAME --scope SCOPE "
                f"--keys {path}, or start without naming a file"
            )
        check_exposure(host, store is not None and store.has_keys(), insecure)
        return cls(store, store is None and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address to bind to, can be reached from this machine alone."""
    if host.lower() == LOCAL_NAME:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, has_keys: bool, insecure: bool) -> None:
    """Raise ExposureError where anybody who reaches ``host`` could use the server without a key."""
    if has_keys or insecure or is_loopback(host):
        return
    raise ExposureError(
        f"{host or 'every address'} can be reached from other machines, and there are no API keys: make one with "
        "voicesearch keys create NAME --scope SCOPE, or bind to 127.0.0.1, or, where something in front of the "
        "server asks who is calling, say --insecure"
    )


class Bearer(SecurityBase):
    """The key that a request brings, or None. As FastAPI's HTTPBearer, which does not know WebSockets."""

    def __init__(self) -> None:
        self.model = HTTPBearer(description="An API key: `voicesearch keys create`. Not needed on loopback.")
        self.scheme_name = "key"

    async def __call__(self, connection: HTTPConnection) -> str | None:
        offered = connection.headers.getlist("authorization")
        found = {_bearer(value) for value in offered}
        if connection.scope["type"] == "websocket":
            found |= {
                name.removeprefix(KEY_PROTOCOL)
                for name in connection.scope["subprotocols"]
                if name.startswith(KEY_PROTOCOL)
            }
        if len(found) > 1:
            raise UnauthorizedError("Two API keys in one request: send one.")
        return found.pop() if found else None


def _bearer(value: str) -> str:
    scheme, _, key = value.strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise UnauthorizedError("The Authorization header must read: Bearer YOUR_API_KEY")
    return key.strip()


bearer = Bearer()


def subprotocol(connection: HTTPConnection) -> str | None:
    """What to accept a WebSocket with: a browser that offers subprotocols hangs up unless one is taken."""
    return SUBPROTOCOL if SUBPROTOCOL in connection.scope["subprotocols"] else None


async def authenticate(access: Access, key: str | None) -> Principal:
    """Who brings ``key``. Raises UnauthorizedError."""
    if access.keys is None:
        return ANONYMOUS  # a key that nobody checks is ignored: OpenAI's clients always send one
    if key is None:
        raise UnauthorizedError(
            "No API key. Send it in the header: Authorization: Bearer YOUR_API_KEY", code="missing_api_key"
        )
    found = access.keys.remembered(key)
    if found is None:
        found = await to_thread.run_sync(access.keys.verify, key)
    return Principal(found.id, found.scopes)


def require(scope: keys.Scope) -> Callable[..., Awaitable[Principal]]:
    """The dependency of a route, HTTP or WebSocket, that wants ``scope``. Leaves the principal in its state."""

    async def check(connection: HTTPConnection, key: Annotated[str | None, Depends(bearer)]) -> Principal:
        principal = await authenticate(connection.app.state.access, key)
        connection.state.principal = principal
        if not principal.allows(scope):
            raise ForbiddenError(
                f"This API key lacks the scope {scope.value}; it has {', '.join(sorted(principal.scopes))}."
                if principal.key_id is not None
                else f"The scope {scope.value} needs an API key, and this server runs without keys."
            )
        return principal

    return check


class KeylessMiddleware:
    """Keeps web pages of others from a server that asks for no key. Where keys are asked for, it is not needed.

    A page anywhere may post to ``http://127.0.0.1:8000``: its Origin gives it away. Or it has its own name point
    to 127.0.0.1 after it was loaded (DNS rebinding): then the Host header is a name that is not this machine's.
    """

    def __init__(self, app: ASGIApp, local: bool, origins: Sequence[str] = ()) -> None:
        self.app = app
        self.local = local
        self.origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            refusal = self.refusal(Headers(scope=scope))
            if refusal is not None:
                await problem(refusal).response()(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def refusal(self, headers: Headers) -> ForbiddenError | None:
        """Why a request with these headers is refused; None if it may pass."""
        hosts = headers.getlist("host")
        here = _place(f"http://{hosts[0]}") if len(hosts) == 1 else None
        if here is None or (self.local and not is_loopback(here[0])):
            return ForbiddenError(
                "The Host header must name this machine, such as localhost: without API keys the server answers "
                "to no other name.",
                code="host_not_allowed",
            )
        for origin in headers.getlist("origin"):
            if origin not in self.origins and _place(origin) != here:
                return ForbiddenError(
                    "Web pages of another origin may not use this server, unless its operator allows the origin.",
                    code="origin_not_allowed",
                )
        return None


def install(app: FastAPI, access: Access, origins: Sequence[str] = ()) -> None:
    """Have ``require`` ask ``access``, and keep other web pages but those of ``origins`` away where it has no keys."""
    app.state.access = access
    if access.keys is None:
        app.add_middleware(KeylessMiddleware, local=access.local, origins=origins)


def _place(url: str) -> tuple[str, int] | None:
    """Host and port of an origin; None if it is none (``null``, garbage)."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.hostname is None or parts.username is not None or parts.path or parts.query:
        return None
    default = DEFAULT_PORTS.get(parts.scheme)
    return None if default is None else (parts.hostname, port or default)
