"""What every answer carries, whatever it answers: a request id, and what keeps a browser from being misled.

Pure ASGI, so that bodies stream through. Cross-origin use (CORS) is off unless origins are named.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asr.errors import OptionError
from serving.rates import UNIT

REQUEST_ID = "X-Request-Id"  # OpenAI's clients show it as ``_request_id``
WELL_FORMED_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
ANSWERS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})

# The page is ES modules, style sheets in files and an AudioWorklet module, all from here: nothing inline, nothing
# from elsewhere. Worklet modules fall under script-src; 'self' in connect-src covers ws: to the same place.
CONTENT_POLICY = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' data:",  # icons inside style sheets
        "media-src 'self' blob:",  # what was just recorded, played back
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
SECURITY = (
    ("Content-Security-Policy", CONTENT_POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Permissions-Policy", "microphone=(self), camera=(), geolocation=(), payment=(), usb=()"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
API_PREFIX = "/v1/"

EXPOSED = (
    REQUEST_ID,
    "Retry-After",
    "X-Ignored-Parameters",
    "X-Null-Reason",
    "X-Model",
    "X-Audio-Retained",
    "X-Audio-Retained-Until",
    *(f"x-ratelimit-{what}-{UNIT}" for what in ("limit", "remaining", "reset")),
)


class HeadersMiddleware:
    """Gives each request an id, its own if that is well formed, and each answer the headers above it lacks."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = _own_id(scope) or secrets.token_hex(16)
        scope.setdefault("state", {})["request_id"] = request_id
        # A transcript must not lie in a cache. The page's own files may: they are the same for everyone.
        private = scope["path"].startswith(API_PREFIX)

        async def with_headers(message: Message) -> None:
            if message["type"] in ANSWERS:
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                for name, value in SECURITY:
                    headers.setdefault(name, value)
                if private:
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers)


def _own_id(scope: Scope) -> str | None:
    found = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return found[0].decode() if len(found) == 1 and WELL_FORMED_ID.fullmatch(found[0]) else None


def check_origins(origins: Sequence[str]) -> tuple[str, ...]:
    """The origins, if each is one, as browsers write them. Raises OptionError for ``*`` and anything else."""
    for origin in origins:
        parts = urlsplit(origin.lower())
        bare = f"{parts.scheme}://{parts.netloc}" == origin.lower()
        if not bare or not parts.netloc or parts.scheme not in ("http", "https"):
            raise OptionError(
                f"{origin!r} is no origin: name each web site that may call as https://shop.example or "
                "http://localhost:5173, without a path; * would let in every page that a visitor opens"
            )
    return tuple(origin.lower() for origin in origins)


def install(app: FastAPI, origins: Sequence[str] = ()) -> None:
    """Add the headers, and CORS for ``origins`` if there are any. To be called after all other middleware."""
    if allowed := check_origins(origins):
        app.add_middleware(CORSMiddleware, **_cors(allowed))
    app.add_middleware(HeadersMiddleware)


def around(app: ASGIApp, allowed: Sequence[str]) -> ASGIApp:
    """The same around an app that is no FastAPI; ``allowed``: what `check_origins` gave."""
    return HeadersMiddleware(CORSMiddleware(app, **_cors(allowed)) if allowed else app)


def _cors(allowed: Sequence[str]) -> dict[str, Any]:
    return {
        "allow_origins": allowed,
        "allow_methods": ("GET", "POST"),
        "allow_headers": ("Authorization", "Content-Type", "X-Device", "X-Session-Id", REQUEST_ID),
        "expose_headers": EXPOSED,
    }
