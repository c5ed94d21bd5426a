"""``serving.uploads`` over real sockets: whole uploads as they were sent, and every kind of bad one refused."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import openai
import pytest
from fastapi import FastAPI, Request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from serving import problems
from serving.errors import InvalidParameterError
from serving.linger import LingerMiddleware
from serving.uploads import Upload, UploadLimits, read_model, read_upload

SMALL = UploadLimits(
    total_bytes=20_000, field_bytes=200, header_bytes=500, headers=4, parts=6, stall_s=0.3, total_s=1.0
)
FORM = "multipart/form-data; boundary=b"
CANARY = "xylophone of the canary"


class Event(BaseModel):
    """A JSON body."""

    query_id: str
    count: int = 0


def app(limits: UploadLimits) -> FastAPI:
    """Says what came."""
    made = FastAPI()
    problems.install(made)
    made.add_middleware(LingerMiddleware, linger_s=0.5)

    @made.post("/v1/audio/transcriptions")
    async def transcriptions(request: Request) -> dict[str, object]:
        upload = await read_upload(request, limits)
        return {
            "text": "",
            "sha256": hashlib.sha256(upload.file).hexdigest(),
            "bytes": len(upload.file),
            "filename": upload.filename,
            "content_type": upload.content_type,
            "fields": dict(upload.fields),
        }

    @made.post("/v1/events")
    async def events(request: Request) -> Event:
        return await read_model(request, Event, limits)

    return made


@pytest.fixture
def address(serve: Callable[..., str]) -> str:
    """Of a server with small limits."""
    return serve(app(SMALL)) + "/v1/audio/transcriptions"


def part(name: str, value: bytes, more: str = "") -> bytes:
    """One part of a form whose boundary is ``b``."""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


CLIP = part("file", b"RIFF", '; filename="a.wav"')
END = b"--b--\r\n"


def post(address: str, body: bytes | Iterator[bytes], content_type: str = FORM) -> httpx.Response:
    """Sent as it stands; an iterator is sent in chunks, without a Content-Length."""
    return httpx.post(address, content=body, headers={"Content-Type": content_type})


def refused(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Status, code and parameter of a refusal."""
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


def test_openai_client_uploads(serve: Callable[..., str]) -> None:
    """What the real client sends is what the route gets: the bytes, and repeated fields with all their values."""
    clip = bytes(range(256)) * 4_000
    with openai.OpenAI(api_key="any", base_url=serve(app(UploadLimits())) + "/v1", max_retries=0) as client:
        answer = client.audio.transcriptions.with_raw_response.create(
            model="whisper-1",
            file=("klipp ø.wav", clip, "audio/wav"),
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
            prompt="naïve café",
        )
    got = json.loads(answer.text)
    assert (got["sha256"], got["bytes"]) == (hashlib.sha256(clip).hexdigest(), len(clip))
    assert (got["filename"], got["content_type"]) == ("klipp ø.wav", "audio/wav")
    assert got["fields"] == {
        "model": ["whisper-1"],
        "response_format": ["verbose_json"],
        "timestamp_granularities[]": ["word", "segment"],
        "prompt": ["naïve café"],
    }


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    clip=st.binary(max_size=300).map(lambda data: data + b"\r\n--" + data[:20] + b"\r\n--b"),
    cuts=st.lists(st.integers(1, 400), max_size=20),
)
def test_the_file_is_the_same_however_it_is_cut(address: str, clip: bytes, cuts: list[int]) -> None:
    """Also where it holds what looks like a boundary, cut in the middle of one."""
    body = part("model", b"m").replace(b"--b\r\n", b"--bound\r\n") + part(
        "file", clip, '; filename="a.wav"'
    ).replace(b"--b\r\n", b"--bound\r\n", 1)
    body += b"--bound--\r\n"
    places = sorted({min(cut, len(body)) for cut in cuts})
    chunks = [body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)]
    answer = post(address, iter(chunks), "multipart/form-data; boundary=bound")
    assert answer.json()["sha256"] == hashlib.sha256(clip).hexdigest()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\\\temp\\\\a.wav", "a.wav"),
        ("/abs/b.wav", "b.wav"),
        ("..", ""),
        ("tab\there.wav", "tabhere.wav"),
        ("a" * 256 + ".wav", "a" * 251 + ".wav"),
    ],
)
def test_a_filename_is_never_a_path(address: str, sent: str, kept: str) -> None:
    """Its last part, without control characters, of bounded length."""
    body = part("file", b"RIFF", f'; filename="{sent}"') + END
    assert post(address, body).json()["filename"] == kept


@pytest.mark.parametrize("chunked", [False, True], ids=["length announced", "chunked"])
@pytest.mark.parametrize("where", ["file", "field", "epilogue", "preamble"])
def test_too_large(address: str, where: str, chunked: bool) -> None:
    """413, wherever the bytes are, and whether or not their number was announced."""
    much = bytes(SMALL.total_bytes)
    body = {
        "file": part("file", much, '; filename="a.wav"') + END,
        "field": CLIP + part("prompt", b"a" * (SMALL.field_bytes + 1)) + END,
        "epilogue": CLIP + END + much,
        "preamble": b"\r\n" * SMALL.total_bytes + CLIP + END,
    }[where]
    answer = post(address, iter([body[:100], body[100:]]) if chunked else body)
    assert refused(answer) == (413, "request_too_large", "prompt" if where == "field" else None)


def test_exactly_the_limit_passes(address: str) -> None:
    """And one byte more does not."""
    room = SMALL.total_bytes - len(part("file", b"", '; filename="a.wav"') + END)
    assert post(address, part("file", bytes(room), '; filename="a.wav"') + END).json()["bytes"] == room
    assert post(address, part("file", bytes(room + 1), '; filename="a.wav"') + END).status_code == 413


def connected(address: str, head: str, content_type: str = FORM) -> socket.socket:
    """A connection on which the head of a POST has been sent."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    connection = socket.create_connection((parts.hostname, parts.port or 80), timeout=10)
    connection.sendall(
        f"POST {parts.path} HTTP/1.1\r\nHost: a\r\nContent-Type: {content_type}\r\n{head}\r\n".encode()
    )
    return connection


def until_closed(connection: socket.socket) -> tuple[int, str]:
    """Status and code of the answer; returns when the server has closed the connection."""
    answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["code"]


def test_an_announced_length_is_refused_before_a_byte_has_come(address: str) -> None:
    """``Expect: 100-continue``, as curl sends it: the client never has to send the body."""
    with connected(address, "Content-Length: 20001\r\nExpect: 100-continue\r\n") as connection:
        assert until_closed(connection) == (413, "request_too_large")


@pytest.mark.parametrize("length", ["99999999999999999999", "9" * 4_000])
def test_absurd_lengths(address: str, length: str) -> None:
    """Refused as too large, or as no HTTP at all; never a 500."""
    with connected(address, f"Content-Length: {length}\r\n") as connection:
        answer = connection.recv(65_536)
    assert answer.split()[1] in (b"413", b"400")


def test_chunked_upload_is_refused_as_soon_as_it_is_over(address: str) -> None:
    """The client goes on for ever; the answer comes, and the connection is closed."""
    chunk = b"2710\r\n" + bytes(10_000) + b"\r\n"
    with connected(address, "Transfer-Encoding: chunked\r\n") as connection:
        opening = part("file", b"", '; filename="a.wav"').removesuffix(b"\r\n")
        connection.sendall(f"{len(opening):x}\r\n".encode() + opening + b"\r\n" + 3 * chunk)
        assert until_closed(connection) == (413, "request_too_large")


@pytest.mark.parametrize(
    "sent", [b"", b"--b\r\nContent-", CLIP], ids=["nothing", "half a header", "all but the end"]
)
def test_an_upload_that_stalls(address: str, sent: bytes) -> None:
    """408 after the time without a byte, and the connection is closed."""
    with connected(address, "Content-Length: 5000\r\n") as connection:
        connection.sendall(sent)
        assert until_closed(connection) == (408, "upload_too_slow")


def test_an_upload_that_drips(serve: Callable[..., str]) -> None:
    """A byte now and then keeps it from stalling, and still it comes to an end: slow loris."""
    limits = UploadLimits(stall_s=5.0, total_s=0.4)
    with connected(serve(app(limits)) + "/v1/audio/transcriptions", "Content-Length: 5000\r\n") as connection:
        connection.settimeout(0.05)
        answer = b""
        for byte in (CLIP * 100)[:4_000]:
            try:
                connection.sendall(bytes([byte]))
                answer += connection.recv(65_536)
            except TimeoutError:
                continue
            except ConnectionError:
                break
            if answer.endswith(b"}"):
                break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_leaves_is_no_error_of_ours(address: str) -> None:
    """The server is there for the next one."""
    for _ in range(3):
        with connected(address, "Content-Length: 5000\r\n") as connection:
            connection.sendall(CLIP)
    assert post(address, CLIP + END).status_code == 200


MANY = "".join(f"X-{i}: a\r\n" for i in range(5))
MALFORMED = {
    "nothing": b"",
    "no boundary in it": b"RIFF",
    "another boundary": CLIP.replace(b"--b", b"--c") + END,
    "ends in the file": CLIP,
    "ends in a header": b"--b\r\nContent-Disp",
    "no disposition": b"--b\r\nContent-Type: audio/wav\r\n\r\nRIFF\r\n" + END,
    "no name": b'--b\r\nContent-Disposition: form-data; filename="a.wav"\r\n\r\nRIFF\r\n' + END,
    "attachment": b'--b\r\nContent-Disposition: attachment; name="file"; filename="a"\r\n\r\nRIFF\r\n' + END,
    "long header": b"--b\r\nContent-Disposition: form-data; name=" + b"a" * 501 + b"\r\n\r\n\r\n" + END,
    "many headers": f"--b\r\n{MANY}\r\n\r\n".encode() + END,
    "bad header": b"--b\r\n\x00\xff: a\r\n\r\n" + END,
    "many parts": CLIP + part("a", b"") * 6 + END,
    "base64": CLIP.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1) + END,
    "field not UTF-8": CLIP + part("prompt", b"\xff\xfe") + END,
    "filename not UTF-8": b'--b\r\nContent-Disposition: form-data; name="file"; filename="\xff"\r\n\r\n\r\n'
    + END,
    "another file": part("photo", b"RIFF", '; filename="a.wav"') + END,
    "file without a filename": part("file", b"RIFF") + END,
    "two files": CLIP + CLIP + END,
    "no file": part("model", b"m") + END,
    "no part": END,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_bodies(address: str, body: bytes) -> None:
    """400 each, with a message."""
    answer = post(address, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("audio/wav", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/mixed; boundary=b", 415),
        ("", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=", 400),
        ("multipart/form-data; boundary=" + "b" * 300, 400),
    ],
)
def test_other_media_types(address: str, content_type: str, status: int) -> None:
    """Said before the body is parsed."""
    assert post(address, CLIP + END, content_type).status_code == status


def test_missing_file_is_named(address: str) -> None:
    """As OpenAI does, with the parameter."""
    assert refused(post(address, part("model", b"m") + END)) == (400, "missing_required_parameter", "file")


def test_single_values() -> None:
    """A field that may be given once, given twice, is refused rather than one of the two taken; nothing is shown."""
    upload = Upload(b"RIFF", "a.wav", "audio/wav", {"model": ("a",), "prompt": (CANARY, "b")})
    assert (upload.value("model"), upload.value("language")) == ("a", None)
    with pytest.raises(InvalidParameterError) as caught:
        upload.value("prompt")
    assert caught.value.param == "prompt"
    assert CANARY not in str(caught.value)
    assert repr(upload) == "Upload()"


def test_json_bodies(serve: Callable[..., str]) -> None:
    """Into the model, or 400 with the parameter and without its value."""
    address = serve(app(SMALL)) + "/v1/events"
    kind = "application/json; charset=utf-8"
    assert post(address, b'{"query_id": "q"}', kind).json() == {"query_id": "q", "count": 0}
    assert refused(post(address, b"{}", kind)) == (400, "missing_required_parameter", "query_id")
    wrong = post(address, json.dumps({"query_id": "q", "count": CANARY}).encode(), kind)
    assert refused(wrong) == (400, "invalid_value", "count")
    assert CANARY not in wrong.text
    assert refused(post(address, b'{"query_id": "q"}', "text/plain"))[0] == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 9_000,
        b'{"a":' * 3_000,
        b'{"query_id": "q", "count": ' + b"9" * 9_000 + b"}",
        b"NaN",
    ],
    ids=["empty", "open", "no UTF-8", "deep list", "deep object", "huge number", "NaN"],
)
def test_json_that_is_none(serve: Callable[..., str], body: bytes) -> None:
    """400, in bounded time and stack."""
    assert post(serve(app(SMALL)) + "/v1/events", body, "application/json").status_code == 400


def test_json_too_large_and_too_slow(serve: Callable[..., str]) -> None:
    """The same limits as an upload's."""
    address = serve(app(SMALL)) + "/v1/events"
    assert post(address, iter([b" " * 15_000, b" " * 15_000]), "application/json").status_code == 413
    with connected(address, "Content-Length: 50\r\n", "application/json") as connection:
        connection.sendall(b"{")
        assert until_closed(connection) == (408, "upload_too_slow")
