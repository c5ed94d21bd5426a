"""Wyoming, the protocol of Home Assistant: JSON lines and PCM over TCP. In: a spoken command; out: its transcript.

A command is one clip between ``audio-start`` and ``audio-stop``, in any PCM format; it goes through the pipeline of
whole clips. Without speech its text is empty, and never what a model makes of noise. ``transcript-chunk`` of newer
versions is not used: chunks cannot be taken back, and a partial of ours may be.

The protocol knows no keys, so on other addresses than loopback, or beside keys, it takes an operator's ``--insecure``.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import numpy as np
from starlette.requests import ClientDisconnect
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_write_event
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler, AsyncTcpServer

from monitoring.record import Transport
from serving.auth import is_loopback
from serving.errors import ExposureError, InvalidParameterError, SlowUploadError, TooLargeError
from serving.jobs import Hearing
from serving.pcm import PcmFormat, PcmReader, Samples
from serving.problems import INTERNAL, problem
from serving.recording import Ledger
from serving.services import Services
from serving.settings import Settings
from serving.streams import ClosingError
from serving.wyoming_events import Reader, hearing, info

LOG = logging.getLogger(__name__)

LINGER_S = 1.0
SEND_S = 10.0  # how long a client may take to read what we say


@dataclass(slots=True)
class _Command:
    """The clip that is coming in."""

    ledger: Ledger
    form: PcmFormat
    pcm: PcmReader
    parts: list[Samples]
    audio_s: float = 0.0


class Conversation(AsyncEventHandler):
    """One connection. Home Assistant opens one for each command."""

    def __init__(
        self, services: Services, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(reader, writer)
        self._services = services
        self._events = Reader(reader)
        self._hearing = Hearing()
        self._command: _Command | None = None
        self._closing = asyncio.Event()
        self._ends = asyncio.get_running_loop().time() + services.settings.max_stream_s

    async def run(self) -> None:
        """Answer events until the client goes, is silent for too long, or breaks a limit."""
        failed: BaseException | None = None
        try:
            with self._services.streams.seat(self._close_soon):
                while (event := await self._next()) is not None:
                    await self.handle_event(event)
        except BaseException as error:
            failed = error
            await self._refuse(error)
        finally:
            if self._command is not None:
                left = failed or ClientDisconnect()
                self._command.ledger.__exit__(type(left), left, left.__traceback__)
            self.writer.close()

    async def handle_event(self, event: Event) -> bool:
        """Do what it asks. What a version to come may send is passed over, as the protocol wants."""
        if Describe.is_type(event.type):
            await self.write_event(info(self._services.engine.info).event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(text=Ping.from_event(event).text).event())
        elif Transcribe.is_type(event.type):
            self._hearing = hearing(Transcribe.from_event(event), self._services.engine.info)
        elif AudioStart.is_type(event.type):
            self._begin(event)
        elif AudioChunk.is_type(event.type):
            await self._hear(event)
        elif AudioStop.is_type(event.type):
            await self._answer()
        return True

    async def write_event(self, event: Event) -> None:
        """To the client, or ClientDisconnect where it does not read."""
        try:
            async with asyncio.timeout(SEND_S):
                await async_write_event(event, self.writer)
        except (OSError, TimeoutError) as error:
            raise ClientDisconnect from error

    async def _next(self) -> Event | None:
        """The next event; None when the client has gone, or has nothing open and says nothing."""
        reading = asyncio.create_task(self._events.read())
        closing = asyncio.create_task(self._closing.wait())
        try:
            left_s = self._ends - asyncio.get_running_loop().time()
            if left_s <= 0.0:
                raise self._too_long()
            idle_s = self._services.settings.stream_idle_s
            done, _ = await asyncio.wait(
                {reading, closing}, timeout=min(idle_s, left_s), return_when=asyncio.FIRST_COMPLETED
            )
            if reading in done:
                return reading.result()
            if closing in done:
                await self._cut_short()
            if closing in done or self._command is None:
                return None
            if left_s <= idle_s:
                raise self._too_long()
            raise SlowUploadError(
                f"No audio for {idle_s:g} s, which is the limit; send audio-stop at the end of a command.",
                code="stream_idle",
            )
        finally:
            for task in (reading, closing):
                task.cancel()
            await asyncio.gather(reading, closing, return_exceptions=True)

    def _too_long(self) -> TooLargeError:
        """Pings and empty chunks show that somebody is there; a seat is not theirs for ever."""
        return TooLargeError(
            f"The connection has lasted {self._services.settings.max_stream_s:g} s, which is the limit; "
            "connect again.",
            code="stream_too_long",
        )

    async def _cut_short(self) -> None:
        """The server shuts down: a command that is coming in is answered as far as it came."""
        if self._command is None:
            raise ClosingError
        await self._answer()

    def _begin(self, event: Event) -> _Command:
        if self._command is not None:
            raise InvalidParameterError(
                "audio-start before the audio-stop of the command before it", code="invalid_event"
            )
        form = PcmFormat(*(_whole(event, name) for name in ("rate", "width", "channels")))
        services = self._services
        ledger = services.unnamed_ledger(Transport.WYOMING, secrets.token_hex(16))
        ledger.missing()
        self._command = _Command(ledger, form, PcmReader(form), [])
        return self._command

    async def _hear(self, event: Event) -> None:
        command = self._command or self._begin(event)
        if _whole(event, "rate") != command.form.rate_hz:
            raise InvalidParameterError("the sample rate changed within a command", code="invalid_event")
        audio = event.payload or b""
        if not audio:
            return  # it would be kept, and never reach the limit
        command.ledger.bytes_received += len(audio)
        command.audio_s += command.form.seconds(len(audio))
        limit_s = self._services.settings.max_clip_s
        if command.audio_s > limit_s:
            raise TooLargeError(
                f"A command of {command.audio_s:.1f} s or more; the limit is {limit_s:g} s.",
                code="audio_limit_exceeded",
            )
        command.parts.append(await self._services.streams.run(lambda: command.pcm.feed(audio)))

    async def _answer(self) -> None:
        """The command is complete: its transcript."""
        if self._command is None:
            raise InvalidParameterError("audio-stop without audio before it", code="invalid_event")
        command = self._command
        samples = np.concatenate([*command.parts, command.pcm.finish()])
        transcript = command.ledger.heard(await self._services.engine.transcribe(samples, self._hearing))
        await self.write_event(Transcript(transcript.text, language=transcript.language).event())
        with command.ledger:
            self._command, self._hearing = None, Hearing()

    async def _let_it_arrive(self) -> None:
        """Take what is still coming, for a moment: a socket that is closed before takes its last words back."""
        with suppress(OSError, TimeoutError):
            if self.writer.can_write_eof():
                self.writer.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await self.reader.read(1 << 16):
                    pass

    async def _refuse(self, error: BaseException) -> None:
        """Tell the client why this is the end, if it is still there."""
        if isinstance(error, ClientDisconnect | ConnectionError):
            return
        found = problem(error)
        if found is INTERNAL:
            LOG.error("unhandled", exc_info=error)
        with suppress(ClientDisconnect):
            await self.write_event(Error(found.message, found.code).event())
            await self._let_it_arrive()
        if not isinstance(error, Exception):
            raise error  # cancelled, or the process is told to end

    async def _close_soon(self) -> None:
        self._closing.set()


class Listener(AsyncTcpServer):
    """The port, and the conversations on it."""

    @property
    def bound_port(self) -> int:
        """Where it listens: not what was asked for, where that was 0."""
        assert self._server is not None
        sockets = self._server.sockets  # type: ignore[attr-defined]  # asyncio's servers and uvloop's have it
        port: int = sockets[0].getsockname()[1]
        return port


def check_exposure(settings: Settings) -> None:
    """Raise ExposureError where anybody could have the server listen, and nobody said so."""
    if settings.wyoming_port is None or settings.insecure:
        return
    if is_loopback(settings.host):
        if settings.keys is None:
            return
        raise ExposureError(
            "Wyoming knows no API keys, and this server has them: on its port every user of this machine would be "
            "heard without one. Leave --wyoming-port or --keys out, or say --insecure"
        )
    raise ExposureError(
        f"Wyoming knows no API keys, and {settings.host or 'every address'} can be reached from other machines: bind "
        "to 127.0.0.1, leave --wyoming-port out, or, where the network itself keeps strangers away, say --insecure"
    )


@asynccontextmanager
async def listening(services: Services) -> AsyncIterator[Listener | None]:
    """Answer on the port of the settings until the block ends; with none, do nothing."""
    settings = services.settings
    if settings.wyoming_port is None:
        yield None
        return
    listener = Listener(settings.host, settings.wyoming_port)
    await listener.start(lambda reader, writer: Conversation(services, reader, writer))
    try:
        yield listener
    finally:
        await services.streams.close(settings.drain_s)
        await listener.stop()


def _whole(event: Event, name: str) -> int:
    value = event.data.get(name)
    if not isinstance(value, int):
        raise InvalidParameterError(
            f"{event.type}: {name} must be a whole number", param=name, code="invalid_event"
        )
    return value
