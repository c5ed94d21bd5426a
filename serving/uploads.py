"""A request body, read within limits: a multipart upload into a frozen `Upload`, or JSON into a model.

FastAPI's own ``File`` and ``Form`` read a body of any size, at any pace, onto the disk. Here a body over the limit
is refused when its Content-Length says so or its bytes exceed it, and one that stalls or drags on is given up. Nothing
touches the disk; at its end a body is held twice for a moment, so memory is at most twice `UploadLimits.total_bytes`.

Refusals are `serving.errors`: 400 malformed, 408 too slow, 413 too large, 415 another media type.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from types import MappingProxyType
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from serving.errors import (
    InvalidParameterError,
    SlowUploadError,
    TooLargeError,
    UnsupportedMediaError,
)
from serving.problems import invalid

MIB = 1 << 20
FILE = "file"  # the one part that is a file, as OpenAI names it
PLAIN_ENCODINGS = frozenset({b"7bit", b"8bit", b"binary"})
FILENAME_LENGTH = 255

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What one body may cost. Seconds are of wall clock; ``stall_s`` is without a byte."""

    total_bytes: int = 25 * MIB  # OpenAI's
    field_bytes: int = 64 << 10  # of one part that is not the file: a prompt, hot words
    header_bytes: int = 2 << 10  # of one header of a part
    headers: int = 8  # of a part
    parts: int = 64
    stall_s: float = 5.0
    total_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Upload:
    """What came: the file, and the other fields with all their values, in order. ``repr`` shows none of it."""

    file: bytes = field(repr=False)
    filename: str = field(repr=False)  # the last part of what the client called it; never a path
    content_type: str = field(repr=False)
    fields: Mapping[str, tuple[str, ...]] = field(repr=False)

    def value(self, name: str) -> str | None:
        """The value of a field that may be given once; None if it was not. Raises InvalidParameterError."""
        values = self.fields.get(name, ())
        if len(values) > 1:
            raise InvalidParameterError(f"{name} was given {len(values)} times: give it once", param=name)
        return values[0] if values else None


async def read_upload(request: Request, limits: UploadLimits) -> Upload:
    """The multipart body of ``request``. Raises 400, 408, 413 and 415 of `serving.errors`."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise UnsupportedMediaError(
            f"Content-Type must be multipart/form-data with a part named {FILE}, as curl -F {FILE}=@clip.wav sends it"
        )
    if not options.get(b"boundary"):
        raise InvalidParameterError("the Content-Type multipart/form-data lacks its boundary")
    parts = _Parts(limits)
    try:
        parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": parts.begin,
                "on_header_field": parts.header_name,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_finished,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": parts.finish,
            },
            max_header_count=limits.headers,
            max_header_size=limits.header_bytes,
        )
        async for chunk in _chunks(request, limits):
            parser.write(chunk)
    except FormParserError:  # its message quotes bytes of the body
        raise InvalidParameterError("the body is not well-formed multipart/form-data") from None
    return parts.upload()


async def read_model(request: Request, model: type[Model], limits: UploadLimits) -> Model:
    """The JSON body of ``request`` as a ``model``. Raises 400, 408, 413 and 415 of `serving.errors`."""
    kind, _ = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"application/json":
        raise UnsupportedMediaError("Content-Type must be application/json")
    body = bytearray()
    async for chunk in _chunks(request, limits):
        body += chunk
    try:
        return model.model_validate_json(bytes(body))
    except ValidationError as error:
        raise invalid(error.errors(include_url=False, include_context=False, include_input=False)) from None


async def _chunks(request: Request, limits: UploadLimits) -> AsyncIterator[bytes]:
    """The body as it comes, as long as it keeps to the limits."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced[:20]) > limits.total_bytes:
        raise _too_large("The body", limits.total_bytes)
    received = 0
    until = time.monotonic() + limits.total_s
    stream = request.stream()
    while True:
        wait_s = min(limits.stall_s, until - time.monotonic())
        try:
            if wait_s <= 0.0:  # asyncio.timeout alone never ends what never waits
                raise TimeoutError
            async with asyncio.timeout(wait_s):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise SlowUploadError(
                f"The upload stalled for {limits.stall_s:g} s or took longer than {limits.total_s:g} s: "
                "send it in one go"
            ) from None
        if chunk is None:
            return
        received += len(chunk)
        if received > limits.total_bytes:
            raise _too_large("The body", limits.total_bytes)
        yield chunk


def _too_large(what: str, limit: int, param: str | None = None) -> TooLargeError:
    size = f"{limit / MIB:.0f} MiB" if limit >= MIB else f"{limit} bytes"
    return TooLargeError(f"{what} is over the limit of {size}", param=param)


class _Parts:
    """Takes the parser's callbacks, part by part, and holds what came."""

    def __init__(self, limits: UploadLimits) -> None:
        self._limits = limits
        self._n = 0
        self._finished = False
        self._fields: dict[str, list[str]] = {}
        self._file: bytearray | None = None
        self._filename = self._content_type = ""
        self._headers: dict[bytes, bytes] = {}
        self._header_name = self._header_value = b""
        self._name = ""
        self._data = bytearray()

    def begin(self) -> None:
        self._n += 1
        if self._n > self._limits.parts:
            raise InvalidParameterError(f"the body has more than {self._limits.parts} parts")
        self._headers = {}
        self._data = bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def header_end(self) -> None:
        self._headers[self._header_name.lower()] = self._header_value
        self._header_name = self._header_value = b""

    def headers_finished(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if disposition != b"form-data" or b"name" not in options:
            raise InvalidParameterError(
                "a part of the body lacks its Content-Disposition: form-data; name=..."
            )
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").lower()
        if encoding not in PLAIN_ENCODINGS:
            raise InvalidParameterError(
                "a part of the body has a Content-Transfer-Encoding: send it as it is"
            )
        self._name = _text(options[b"name"], "the name of a part")
        if (b"filename" in options) != (self._name == FILE):
            raise InvalidParameterError(
                f"{FILE} must be sent as a file, with a filename, and nothing else may be", param=FILE
            )
        if self._name != FILE:
            return
        if self._file is not None:
            raise InvalidParameterError(f"{FILE} was given twice: send one clip a request", param=FILE)
        self._file = self._data
        self._filename = _bare(_text(options[b"filename"], "the filename"))
        self._content_type = self._headers.get(b"content-type", b"application/octet-stream").decode("latin-1")

    def data(self, data: bytes, start: int, end: int) -> None:
        self._data += memoryview(data)[start:end]
        if self._data is not self._file and len(self._data) > self._limits.field_bytes:
            raise _too_large(self._name, self._limits.field_bytes, self._name)

    def end(self) -> None:
        if self._data is not self._file:
            self._fields.setdefault(self._name, []).append(_text(bytes(self._data), self._name))

    def finish(self) -> None:
        self._finished = True

    def upload(self) -> Upload:
        """All of it, once the body has ended."""
        if not self._finished:
            raise InvalidParameterError("the body ended before its last boundary: it is not whole")
        if self._file is None:
            raise InvalidParameterError(
                f"{FILE} is missing: send the clip as a part of that name",
                param=FILE,
                code="missing_required_parameter",
            )
        fields = MappingProxyType({name: tuple(values) for name, values in self._fields.items()})
        return Upload(bytes(self._file), self._filename, self._content_type, fields)


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise InvalidParameterError(f"{what} is not UTF-8") from None


def _bare(filename: str) -> str:
    """The last part of a path of either kind, without control characters: a name to guess a format by, no more."""
    bare = PureWindowsPath(PurePosixPath(filename).name).name
    shown = "".join(letter for letter in bare if letter.isprintable())
    return "" if shown == ".." else shown[-FILENAME_LENGTH:]  # the end, which has the extension
