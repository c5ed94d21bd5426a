"""Wyoming's events, read within bounds and checked: the package takes lengths and types as the client states them."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import cast

from wyoming.asr import Transcribe
from wyoming.event import Event, async_read_event
from wyoming.info import AsrModel, AsrProgram, Attribution, Info

from asr.bundle import BundleInfo
from asr.commands.command import version
from serving.errors import InvalidParameterError, NotFoundError, TooLargeError
from serving.hotwords import hints
from serving.inbox import MAX_MESSAGE
from serving.jobs import Hearing

PROGRAM = "voicesearch"
AUTHORS = Attribution(name="The voicesearch authors", url="")


class _Bounded:
    """What `async_read_event` needs of a stream, without letting a stated length decide how much memory is spent."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readline(self) -> bytes:
        """A line, of 64 KiB at most: asyncio's own limit, a ValueError beyond."""
        return await self._reader.readline()

    async def readexactly(self, n: int) -> bytes:
        """So many bytes, within the limit."""
        if n > MAX_MESSAGE:
            raise _StatedTooLongError(n)
        return await self._reader.readexactly(n)


class _StatedTooLongError(Exception):
    """Not a ValueError, which `async_read_event` would take for the end of the stream."""


class Reader:
    """Events of one connection."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._bounded = cast("asyncio.StreamReader", _Bounded(reader))

    async def read(self) -> Event | None:
        """The next event, None at the end. Raises TooLargeError, and InvalidParameterError for what is no event."""
        try:
            event = await async_read_event(self._bounded)
        except _StatedTooLongError as error:
            raise TooLargeError(
                f"An event of {error.args[0]} bytes; the limit is {MAX_MESSAGE}. Send shorter chunks of audio.",
                code="message_too_large",
            ) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            return None  # gone in the middle of an event
        except (AttributeError, KeyError, TypeError, RecursionError) as error:
            raise _malformed() from error
        if event is None and not self._reader.at_eof():
            raise _malformed()
        if event is not None and not (isinstance(event.type, str) and isinstance(event.data, dict)):
            raise _malformed()
        return event


def _malformed() -> InvalidParameterError:
    return InvalidParameterError(
        "Not a Wyoming event: a line of JSON with a type, then as many bytes as it says.",
        code="invalid_event",
    )


def info(bundle: BundleInfo) -> Info:
    """What `describe` is answered with."""
    model = AsrModel(
        name=bundle.name,
        attribution=AUTHORS,
        installed=True,
        description=f"{bundle.name}, licence {bundle.licence}",
        version=bundle.version,
        languages=[bundle.language],
    )
    program = AsrProgram(
        name=PROGRAM,
        attribution=AUTHORS,
        installed=True,
        description="Speech recognition for voice search: offline, on a CPU",
        version=version(),
        models=[model],
        prefers_auto_gain_enabled=False,  # we level the speech ourselves, and judge silence before any gain
        prefers_noise_reduction_enabled=False,  # the model was trained on noisy speech
    )
    return Info(asr=[program])


def hearing(transcribe: Transcribe, bundle: BundleInfo) -> Hearing:
    """How the command that follows is to be heard. Names and terms are hints: those that nobody can say are left out,
    since Home Assistant sends whatever its owner called things.

    Raises NotFoundError for another model, InvalidParameterError for another language.
    """
    for name, value in (("name", transcribe.name), ("language", transcribe.language)):
        if value is not None and not isinstance(value, str):
            raise InvalidParameterError(f"transcribe: {name} must be a string", param=name)
    if transcribe.name is not None and transcribe.name not in (bundle.name, bundle.identity):
        raise NotFoundError(
            f"The model is {bundle.name}; there is no other here.", param="name", code="model_not_found"
        )
    language = (transcribe.language or bundle.language).replace("_", "-").split("-")[0].lower()
    if language != bundle.language.split("-")[0]:
        raise InvalidParameterError(
            f"The model understands {bundle.language} only.", param="language", code="unsupported_language"
        )
    lists = (transcribe.transcript_names, transcribe.transcript_terms)
    return Hearing(hotwords=hints(chain.from_iterable(given for given in lists if isinstance(given, list))))
