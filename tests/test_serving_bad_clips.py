"""Bad input over HTTP (acceptance C6, P6): a typed error, bounded time and memory, one record, and no invented text."""

from __future__ import annotations

import asyncio
import io
import socket
import struct
import threading
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

httpx = pytest.importorskip("httpx", reason="needs the extra test")
pytest.importorskip("fastapi", reason="needs the extra serve")

from serving_app import PATIENCE_S, SAMPLES, Running, clip, wait_for  # noqa: E402  # after the skips

from monitoring.record import Outcome  # noqa: E402
from serving.decoding import WAITING_CLIPS  # noqa: E402

CLIP = clip()[1]
ROUTE = "/v1/audio/transcriptions"
HEADER = struct.calcsize("<4sI4s4sIHHIIHH4sI")


def wav(samples: np.ndarray, rate_hz: int = 16_000, subtype: str = "PCM_16") -> bytes:
    """A WAV file of samples, ``(n,)`` or ``(n, channels)``."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, format="WAV", subtype=subtype)
    return file.getvalue()


def stating(
    channels: int = 1, rate_hz: int = 16_000, data_bytes: int | None = None, sound: bytes = b""
) -> bytes:
    """A 16-bit WAV file whose header says so, whatever is true."""
    n = len(sound) if data_bytes is None else data_bytes
    form = (16, 1, channels, rate_hz, (rate_hz * channels * 2) & 0xFFFFFFFF, channels * 2, 16)
    fields = (b"RIFF", (36 + n) & 0xFFFFFFFF, b"WAVE", b"fmt ", *form, b"data", n)
    return struct.pack("<4sI4s4sIHHIIHH4sI", *fields) + sound


def minutes_of_silence(minutes: int, format: str, subtype: str) -> bytes:
    """Much sound in few bytes: what a decompressor makes gigabytes of."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 8_000, 1, format=format, subtype=subtype) as writing:
        for _ in range(minutes):
            writing.write(np.zeros(60 * 8_000, np.float32))
    return file.getvalue()


SOUND = CLIP[HEADER:]
NAN = np.full(16_000, np.nan, np.float32)
CASES: dict[str, tuple[Callable[[], bytes], int]] = {
    "empty": (lambda: b"", 415),
    "text": (lambda: b"this is no sound, whatever its name says" * 99, 415),
    "zip": (lambda: b"PK\x03\x04" + bytes(500), 415),
    "riff alone": (lambda: b"RIFF", 415),
    "wav header alone": (lambda: CLIP[:30], 422),
    "truncated wav": (lambda: CLIP[: len(CLIP) // 2], 422),
    "truncated flac": (lambda: (SAMPLES / "weather.flac").read_bytes()[:5_000], 422),
    "truncated ogg": (lambda: (SAMPLES / "taxi.ogg").read_bytes()[:90], 422),
    "garbage after fLaC": (lambda: b"fLaC" + bytes(range(256)) * 9, 422),
    "garbage after ftyp": (lambda: b"\0\0\0\x18ftypM4A " + bytes(range(256)) * 9, 422),
    "garbage after EBML": (lambda: b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 9, 422),
    "header states hours": (lambda: stating(data_bytes=7_200 * 32_000, sound=SOUND), 422),
    "two hours of wav": (lambda: wav(np.zeros(7_200 * 1_000, np.int16), 4_000), 413),
    "two hours of flac": (lambda: minutes_of_silence(120, "FLAC", "PCM_16"), 413),
    "minutes of ogg": (lambda: minutes_of_silence(5, "OGG", "VORBIS"), 413),
    "nan": (lambda: wav(NAN, subtype="FLOAT"), 422),
    "infinity": (lambda: wav(NAN * 0 + np.inf, subtype="FLOAT"), 422),
    "64 channels": (lambda: wav(np.zeros((1_600, 64), np.int16)), 413),
    "1 Hz": (lambda: stating(rate_hz=1, sound=SOUND), 413),
    "1 MHz": (lambda: stating(rate_hz=1_000_000, sound=SOUND), 413),
    "0 Hz": (lambda: stating(rate_hz=0, sound=SOUND), 422),
    "0 channels": (lambda: stating(channels=0, sound=SOUND), 422),
}


def post(server: Running, content: bytes, **fields: str) -> httpx.Response:
    """A clip, called ``clip.wav`` whatever it is."""
    return httpx.post(
        f"{server.base_url}{ROUTE}",
        data={"model": "en-small", **fields},
        files={"file": ("clip.wav", content)},
        timeout=PATIENCE_S,
    )


@pytest.mark.parametrize("case", CASES)
def test_a_bad_clip_is_a_typed_error_and_a_record(server: Running, case: str) -> None:
    """The status says whose fault it is; the message leaks no path; the server answers the next request."""
    make, status = CASES[case]
    answer = post(server, make())
    error = answer.json()["error"]
    assert answer.status_code == status, error
    assert error["param"] == "file"
    assert error["type"] == "invalid_request_error"
    assert "/" not in error["message"].replace("ffmpeg -i FILE", "")
    record = server.record(answer.headers["x-request-id"])
    assert (record.outcome, record.status, record.text) == (Outcome.ERROR, answer.status_code, "")
    assert httpx.get(f"{server.base_url}/readyz").status_code == 200


def test_a_clip_without_samples_has_no_text(server: Running) -> None:
    """A good header with nothing behind it is a clip that is too short, and no error."""
    answer = post(server, wav(np.zeros(0, np.int16)))
    assert (answer.status_code, answer.json()["text"], answer.json()["null_reason"]) == (200, "", "too_short")


def test_the_longest_clip_is_the_operators_choice(start_server: Callable[..., Running]) -> None:
    """One sample more than that is refused, and the limit is named."""
    serving = start_server(catalogs=(), max_clip_s=0.5)
    assert post(serving, wav(np.zeros(8_000, np.int16))).status_code == 200
    refused = post(serving, wav(np.zeros(8_001, np.int16)))
    assert refused.status_code == 413
    assert "the limit is 0.5 s" in refused.json()["error"]["message"]


def test_the_largest_body_is_the_operators_choice(start_server: Callable[..., Running]) -> None:
    """Refused by its Content-Length, and where that is missing by what comes."""
    serving = start_server(catalogs=(), max_upload_bytes=10_000)
    assert post(serving, CLIP).status_code == 413

    def chunks() -> list[bytes]:
        start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
        return [start, *[bytes(5_000)] * 9]

    answer = httpx.post(
        f"{serving.base_url}{ROUTE}",
        content=iter(chunks()),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


PART = b'--b\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
FILE = PART % (b"file", b'; filename="a.wav"', CLIP)
MODEL = PART % (b"model", b"", b"en-small")
MULTIPART = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "param"),
    [
        (MODEL + b"--b--", MULTIPART, 400, "file"),
        (FILE + b"--b--", MULTIPART, 400, "model"),
        (FILE + FILE + MODEL + b"--b--", MULTIPART, 400, "file"),
        (FILE + MODEL + MODEL + b"--b--", MULTIPART, 400, "model"),
        (FILE + MODEL, MULTIPART, 400, None),
        (FILE + MODEL + b"--b--", "multipart/form-data; boundary=other", 400, None),
        (FILE + MODEL + b"--b--", "multipart/form-data", 400, None),
        (b"", MULTIPART, 400, None),
        (CLIP, "audio/wav", 415, None),
        (b"{}", "application/json", 415, None),
        (b"model=en-small&file=x", "application/x-www-form-urlencoded", 415, None),
    ],
)
def test_a_bad_body_is_a_typed_error_and_a_record(
    server: Running, body: bytes, content_type: str, status: int, param: str | None
) -> None:
    """Parts missing, twice, cut off; another boundary, another media type."""
    answer = httpx.post(
        f"{server.base_url}{ROUTE}", content=body, headers={"Content-Type": content_type}, timeout=PATIENCE_S
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert server.record(answer.headers["x-request-id"]).status == status


def test_a_slow_upload_is_given_up(start_server: Callable[..., Running]) -> None:
    """A client that stops sending is answered 408, recorded, and holds nothing."""
    serving = start_server(catalogs=(), upload_stall_s=0.2)
    with socket.create_connection(("127.0.0.1", serving.port)) as line:
        line.sendall(
            f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {MULTIPART}\r\n"
            "Content-Length: 9999\r\n\r\n--b\r\n".encode()
        )
        line.settimeout(PATIENCE_S)
        assert line.recv(99).startswith(b"HTTP/1.1 408")
    wait_for(lambda: [record.status for record in serving.records()] == [408], "its record")


def test_a_client_that_leaves_while_it_sends_is_recorded(server: Running) -> None:
    """Half a body and then nothing: no answer to anybody, one record."""
    before = len(server.records())
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(
            f"POST {ROUTE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {MULTIPART}\r\n"
            "Content-Length: 9999\r\n\r\n--b\r\n".encode()
        )
    wait_for(lambda: len(server.records()) > before, "its record")
    assert [(one.status, one.error) for one in server.records()[before:]] == [(499, "ClientDisconnect")]


def test_clips_do_not_queue_for_ever_to_be_decoded(start_server: Callable[..., Running]) -> None:
    """Where as many wait as may, the next one is sent away with the time to come back."""
    serving = start_server(catalogs=())
    services, gate = serving.app.state.services, threading.Event()
    others = [
        asyncio.run_coroutine_threadsafe(services.decoders.clips.run(gate.wait), services.engine.loop)
        for _ in range(services.settings.workers + WAITING_CLIPS)
    ]
    try:
        refused = post(serving, CLIP)
    finally:
        gate.set()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert all(other.result(60) for other in others)
