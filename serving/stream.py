"""WebSocket `/v1/stream`: a socket, its limits and its records around a `Session`.

One task reads into a bounded `Inbox`, one hears what is in it, in a thread. How it ends, as the close code says:

    1000  the client said eof, or asked for a single utterance
    1008  it broke the protocol, sent a bad parameter, or no audio for a while
    1009  a message, or the stream as a whole, was too long
    1011  our fault
    1012  the server shuts down; what was open has had its final
    1013  no seat, no capacity or no allowance left: try again later

Every one but 1000 and 1012 comes behind an ``error`` event that says why. A key that is wrong is refused before the
handshake, with an HTTP status; a full house is not, because a browser cannot read the body of a refused handshake.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocket, WebSocketDisconnect

from monitoring.record import Transport
from serving.auth import Principal, require, subprotocol
from serving.errors import ForbiddenError, RateLimitedError, SlowUploadError, TooLargeError
from serving.inbox import Inbox
from serving.keys import Scope
from serving.meter import Meter
from serving.pcm import Samples
from serving.problems import CLOSE_INTERNAL
from serving.recording import Ledger
from serving.services import Services, Shared
from serving.session import Session
from serving.stream_messages import Told, message, refusal
from serving.streams import ClosingError
from serving.utterances import Utterances

LOG = logging.getLogger(__name__)

CLOSE_NORMAL, CLOSE_RESTART = 1000, 1012  # RFC 6455, 7.4.1, and IANA's registry; the others are in `problems`
CONFIG_S = 10.0  # how long a client may think before its first message
SEND_S = 10.0  # how long it may take to read one of ours

router = APIRouter()


@router.websocket("/v1/stream")
async def stream(
    websocket: WebSocket,
    services: Shared,
    principal: Annotated[Principal, Depends(require(Scope.TRANSCRIBE))],
) -> None:
    """Speech in, as it is spoken; text out, as `serving.stream_messages` has it."""
    await websocket.accept(subprotocol(websocket))
    await Conversation(websocket, services, principal).run()


class Conversation:
    """One connection, from its acceptance to its close."""

    def __init__(self, websocket: WebSocket, services: Services, principal: Principal) -> None:
        self._websocket = websocket
        self._services = services
        self._principal = principal
        self._inbox = Inbox()
        find = None if services.index is None else services.find_for_stream
        self._session = Session(services.engine.recogniser, find, self._waiting_s, self._unlike)
        self._utterances = Utterances(self._ledger, services.queries)
        settings = services.settings
        self._meter = Meter(services.rates, principal.key_id, settings.max_stream_s)
        now = asyncio.get_running_loop().time()
        self._ends = now + settings.max_stream_s
        self._idle_at = now + min(CONFIG_S, settings.stream_idle_s)

    async def run(self) -> None:
        """Hear the client until one of us is done. Releases and records everything, whatever way that happens."""
        failed: BaseException | None = None
        try:
            with self._services.streams.seat(self._stop):
                reader = asyncio.create_task(self._read())
                try:
                    await self._hear()
                finally:
                    reader.cancel()
                    await asyncio.wait([reader])
        except BaseException as error:
            failed = error
            await self._refuse(error)
        else:
            await self._close(CLOSE_NORMAL)
        finally:
            self._meter.settle()
            self._utterances.ended(failed)

    async def _hear(self) -> None:
        if self._principal.key_id is not None:
            self._services.rates.admit(self._principal.key_id)
        while not self._session.over:
            try:
                sent = await self._next()
                self._count(sent)
            except (ClosingError, SlowUploadError, TooLargeError, RateLimitedError):
                await self._tell(self._session.finish())  # what was said before still counts
                raise
            await self._take(sent)

    async def _next(self) -> str | bytes:
        """The next message, or why there is none."""
        try:
            async with asyncio.timeout_at(min(self._ends, self._idle_at)):
                return await self._inbox.get()
        except TimeoutError:
            settings = self._services.settings
            if asyncio.get_running_loop().time() >= self._ends:
                raise TooLargeError(
                    f"The stream has lasted {settings.max_stream_s:g} s, which is the limit; connect again.",
                    code="stream_too_long",
                ) from None
            what = "message" if self._session.config is None else "audio"
            raise SlowUploadError(
                f"No {what} came for a while; the limit is {settings.stream_idle_s:g} s, and {CONFIG_S:g} s for the "
                "config. Send silence, or connect when somebody speaks.",
                code="stream_idle",
            ) from None

    def _count(self, sent: str | bytes) -> None:
        """Audio costs its key, and shows that somebody is there."""
        config = self._session.config
        if isinstance(sent, str) or config is None or not sent:
            return
        self._meter.add(config.form.seconds(len(sent)))
        self._utterances.received(len(sent))
        self._idle_at = asyncio.get_running_loop().time() + self._services.settings.stream_idle_s

    async def _take(self, sent: str | bytes) -> None:
        config = self._session.config
        await self._tell(self._session.take(sent))
        if config is None:
            self._configured()
        elif isinstance(sent, str) and not self._session.over:
            self._utterances.forget()  # it was a reset

    def _configured(self) -> None:
        config = self._session.config
        assert config is not None
        if config.catalog and not self._principal.allows(Scope.SEARCH):
            raise ForbiddenError("catalog: this API key lacks the scope search.", param="catalog")
        self._idle_at = asyncio.get_running_loop().time() + self._services.settings.stream_idle_s
        self._utterances.forget()  # the next ledger knows the client's session

    async def _tell(self, told: Iterator[Told]) -> None:
        async for item in self._services.streams.each(told):
            config = self._session.config
            assert config is not None
            await self._send(message(item, config, self._utterances.note(item)))

    async def _send(self, told: dict[str, object]) -> None:
        try:
            async with asyncio.timeout(SEND_S):
                await self._websocket.send_json(told)
        except (WebSocketDisconnect, TimeoutError) as error:
            raise ClientDisconnect from error

    async def _read(self) -> None:
        """From the socket into the inbox, until the client has gone. Waits while there is no room."""
        try:
            while True:
                received = await self._websocket.receive()
                if received["type"] == "websocket.disconnect":
                    await self._inbox.end(ClientDisconnect())
                    return
                sent = received.get("bytes")
                await self._inbox.put(received["text"] if sent is None else sent)
        except Exception as error:  # too large a message, or our fault: either way whoever hears must know
            await self._inbox.end(error)

    async def _stop(self) -> None:
        await self._inbox.end(ClosingError())

    async def _refuse(self, error: BaseException) -> None:
        """Tell the client why this is the end, if it is still there to be told."""
        if isinstance(error, ClientDisconnect):
            return
        if isinstance(error, ClosingError):
            await self._close(CLOSE_RESTART)
            return
        told, code = refusal(error)
        if code == CLOSE_INTERNAL:
            LOG.error("unhandled", exc_info=error)
        try:
            await self._send(told)
        except ClientDisconnect:
            closing = None
        except Exception:
            LOG.exception("a refusal could not be sent")
            closing = CLOSE_INTERNAL
        else:
            closing = code
        if closing is not None:
            await self._close(closing)
        if not isinstance(error, Exception):
            raise error  # cancelled, or the process is told to end

    async def _close(self, code: int) -> None:
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):  # it may have gone meanwhile
            async with asyncio.timeout(SEND_S):
                await self._websocket.close(code)

    def _ledger(self) -> Ledger:
        ledger = self._services.ledger(Transport.STREAM, self._websocket)
        config = self._session.config
        if config is not None and config.session is not None:
            ledger.session = config.session
        if config is not None and config.device is not None:
            ledger.device = config.device
        ledger.missing()
        return ledger

    def _unlike(self, speech: Samples) -> float | None:
        return self._services.repeats.compare(self._principal.key_id, self._utterances.session, speech)

    def _waiting_s(self) -> float:
        config = self._session.config
        return 0.0 if config is None else config.form.seconds(self._inbox.audio_bytes)
