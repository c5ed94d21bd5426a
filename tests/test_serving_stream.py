"""`/v1/stream` over real sockets, with the real client package ``websockets`` and the shipped model."""

from __future__ import annotations

import json
import os.path
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("websockets", reason="needs the extra serve")

from serving_app import Running, running, wait_for
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from asr.audio import Samples, decode
from asr.transcribe import Transcriber
from monitoring.record import Outcome, Record, Transport
from serving.inbox import MAX_MESSAGE
from serving.keys import KeyStore, Scope

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
RATE = 16_000
PATIENCE_S = 60.0
FILES = Path("/proc/self/fd")  # that this process has open


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.float32)


def pcm(samples: Samples) -> bytes:
    return np.round(samples * 32_767).astype("<i2").tobytes()


JAZZ, JACKET = (pcm(decode(SAMPLES / name)) for name in ("play_jazz.wav", "red_jacket.wav"))
DIALOGUE = JAZZ + pcm(silence(1.0)) + JACKET + pcm(silence(1.0))


@contextmanager
def streaming(
    server: Running, config: dict[str, Any] | None = None, **options: Any
) -> Iterator[ClientConnection]:
    """A connection whose config has been sent, where there is one."""
    with connect(f"{server.websocket_url}/v1/stream", **options) as client:
        if config is not None:
            client.send(json.dumps({"config": config}))
        yield client


def speak(client: ClientConnection) -> None:
    """Send the dialogue in pieces of 100 ms, as far as the server takes it."""
    with suppress(ConnectionClosed):
        for start in range(0, len(DIALOGUE), 3_200):
            client.send(DIALOGUE[start : start + 3_200])


def received(client: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    """All that the server still says, and the code that it closes with."""
    told = []
    try:
        while True:
            told.append(json.loads(client.recv(PATIENCE_S)))
    except ConnectionClosed as closed:
        return told, None if closed.rcvd is None else closed.rcvd.code


def finals(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in told if one["type"] == "final"]


def request_id(client: ClientConnection) -> str:
    assert client.response is not None
    return client.response.headers["X-Request-Id"]


def no_streams(server: Running) -> bool:
    return server.app.state.services.streams.open == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_finals_are_those_of_the_whole_clip(server: Running, transcriber: Transcriber, seed: int) -> None:
    """C4 over a socket: random frames, odd ones too; the words of `Transcriber.transcribe`, the close a normal one."""
    rng = np.random.default_rng(seed)
    with streaming(server, {"sample_rate": RATE, "partials": False}) as client:
        start = 0
        while start < len(DIALOGUE):
            size = int(rng.integers(0, 9_000))
            client.send(DIALOGUE[start : start + size])
            start += size
        client.send('{ "eof" : 1 }')
        told, code = received(client)
    assert code == 1000
    assert [one["type"] for one in told] == ["speech_started", "speech_stopped", "final"] * 2
    whole = transcriber.transcribe(np.frombuffer(DIALOGUE, "<i2").astype(np.float32) / 32_768)
    heard = [
        (word["word"], word["start"], word["end"], word["conf"])
        for one in finals(told)
        for word in one["words"]
    ]
    expected = [word.as_dict() for word in whole.words]
    assert heard == [(word["word"], word["start"], word["end"], word["confidence"]) for word in expected]


def test_each_final_is_one_record(server: Running) -> None:
    """With the query id that the client got, its session, its text; and the query can be found for events."""
    with streaming(server, {"session": "s-1"}) as client:
        client.send(DIALOGUE)
        client.send('{"eof":1}')
        told, _ = received(client)
    records = sorted(server.records(request_id(client)), key=lambda record: record.at)
    assert [record.query_id for record in records] == [final["query_id"] for final in finals(told)]
    assert [record.text for record in records] == [final["text"] for final in finals(told)]
    for record in records:
        assert (record.transport, record.outcome, record.session) == (Transport.STREAM, Outcome.OK, "s-1")
        assert record.final_after_speech_s is not None
        assert record.clip is not None
        found = server.app.state.services.queries.find(record.query_id, None)
        assert (found.model, found.session) == (record.model, "s-1")
    assert sum(record.bytes_received for record in records) == len(DIALOGUE)
    assert [final["took_ms"] for final in finals(told)] == [
        round((record.final_after_speech_s or 0.0) * 1_000, 1) for record in records
    ]


def test_a_stream_of_silence_is_one_null_record(server: Running) -> None:
    """Typed in the final, and in the record."""
    with streaming(server, {}) as client:
        client.send(pcm(silence(1.5)))
        client.send('{"eof":1}')
        ((final,), code) = received(client)
    assert (final["text"], final["null_reason"], code) == ("", "no_speech", 1000)
    assert server.record(request_id(client)).outcome is Outcome.NO_SPEECH


def test_single_closes_behind_the_first_final(server: Running) -> None:
    """The client need not say eof, and the microphone may go on."""
    with streaming(server, {"single": True}) as client:
        client.send(DIALOGUE)
        told, code = received(client)
    assert [final["text"] for final in finals(told)] == ["play some jazz music"]
    assert code == 1000


def test_reset_starts_over(server: Running) -> None:
    """The times of the second try count from its own beginning; the first one leaves no record."""
    with streaming(server, {"partials": False}) as client:
        client.send(JACKET[: len(JACKET) // 2 + 1])
        client.send('{"reset": 1}')
        client.send(JAZZ)
        client.send('{"eof": 1}')
        told, _ = received(client)
    (final,) = finals(told)
    assert final["text"] == "play some jazz music"
    assert told[-3] == {"type": "speech_started", "at_ms": 140}
    assert server.record(request_id(client)).text == final["text"]


@pytest.mark.parametrize(
    ("sent", "close_code", "code"),
    [
        ('{"config": {"colour": 1}}', 1008, "unknown_parameter"),
        ("hello", 1008, "invalid_json"),
        (b"\0\0", 1008, "missing_required_parameter"),
        (b"\0" * (MAX_MESSAGE + 1), 1009, "message_too_large"),
    ],
)
def test_what_is_wrong_is_said_before_the_close(
    server: Running, sent: str | bytes, close_code: int, code: str
) -> None:
    """An error event that names it, then the close code of its kind, and one record."""
    with streaming(server) as client:
        client.send(sent)
        ((told,), closed) = received(client)
    assert (told["type"], told["code"], closed) == ("error", code, close_code)
    record = server.record(request_id(client))
    assert record.outcome is Outcome.ERROR
    assert record.status in (400, 413)


def test_a_full_house_says_when_to_come_back(start_server: Callable[..., Running]) -> None:
    """1013 and ``retry_after_s``; as soon as a seat is free, the next one is heard."""
    server = start_server(max_streams=1)
    with streaming(server, {}):
        with streaming(server) as second:
            ((told,), code) = received(second)
        assert (told["code"], told["retry_after_s"], code) == ("overloaded", 5, 1013)
        assert server.record(request_id(second)).status == 503
    wait_for(lambda: no_streams(server), "the seat to be free")
    with streaming(server, {"single": True}) as third:
        third.send(DIALOGUE)
        assert finals(received(third)[0])


def test_who_falls_silent_gets_what_was_said(start_server: Callable[..., Running]) -> None:
    """Without audio for a while, the open utterance gets its final, and the connection ends."""
    server = start_server(stream_idle_s=0.5)
    with streaming(server, {"partials": False}) as client:
        client.send(JAZZ[: RATE * 2 * 17 // 10])
        told, code = received(client)
    assert [one["type"] for one in told] == ["speech_started", "speech_stopped", "final", "error"]
    assert (told[-1]["code"], code) == ("stream_idle", 1008)
    assert server.record(request_id(client)).outcome is Outcome.OK


def test_a_stream_has_an_end(start_server: Callable[..., Running]) -> None:
    """At the limit of its audio, what is open gets its final first."""
    server = start_server(max_stream_s=2.6)  # the first query has its 2 s
    with streaming(server, {"partials": False}) as client:
        speak(client)
        told, code = received(client)
    assert [final["text"] for final in finals(told)] == ["play some jazz music"]
    assert (told[-1]["code"], code) == ("stream_too_long", 1009)


def test_audio_is_charged_to_the_key(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """Three seconds a minute are spent before the dialogue is over: 1013, and when to come back."""
    store = KeyStore(tmp_path / "keys.sqlite")
    secret = store.create("microphone", frozenset({Scope.TRANSCRIBE}), None).secret
    server = start_server(audio_s_per_minute=3.0, keys=store.path)
    headers = {"Authorization": f"Bearer {secret}"}
    with streaming(server, {"partials": False}, additional_headers=headers) as client:
        speak(client)
        told, code = received(client)
    assert (told[-1]["code"], code) == ("rate_limit_exceeded", 1013)
    assert told[-1]["retry_after_s"] >= 1


def test_only_who_has_a_key_may_stream(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """401 before the handshake without one; with one in the header, or as a browser must, it is heard."""
    store = KeyStore(tmp_path / "keys.sqlite")
    secret = store.create("microphone", frozenset({Scope.TRANSCRIBE}), None).secret
    server = start_server(keys=store.path)
    with pytest.raises(InvalidStatus) as refused, streaming(server):
        pass
    assert refused.value.response.status_code == 401
    browser: dict[str, Any] = {"subprotocols": ["voicesearch", f"key.{secret}"]}
    for options in (browser, {"additional_headers": {"Authorization": f"Bearer {secret}"}}):
        with streaming(server, {"single": True}, **options) as client:
            client.send(DIALOGUE)
            assert finals(received(client)[0])
        assert server.record(request_id(client)).key_id is not None
    with searching(server, list), streaming(server, {"catalog": True}, **browser) as client:
        ((told,), code) = received(client)
    assert (told["code"], told["param"], code) == ("insufficient_permissions", "catalog", 1008)


def test_one_who_leaves_in_the_middle_is_recorded_once(server: Running) -> None:
    """An error record without a text; nothing of the stream stays."""
    with streaming(server, {}) as client:
        client.send(JAZZ[:RATE])
        assert json.loads(client.recv(PATIENCE_S))["type"] == "speech_started"
    record = server.record(request_id(client))
    assert (record.outcome, record.error, record.text) == (Outcome.ERROR, "ClientDisconnect", "")
    wait_for(lambda: no_streams(server), "the stream to be released")


def test_connections_that_drop_leave_nothing(server: Running) -> None:
    """200 opened and dropped in the middle of speech: streams, sockets and threads are as before."""

    def drop(number: int) -> None:
        with streaming(server, {"partials": bool(number % 2)}) as client:
            client.send(JAZZ[: RATE // 2 + number])
            client.socket.shutdown(socket.SHUT_RDWR)  # no closing handshake: the network has gone

    def sockets() -> int:
        return sum(
            os.path.realpath(link).rpartition("/")[2].startswith("socket:") for link in FILES.iterdir()
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(drop, range(16)))
        wait_for(lambda: no_streams(server), "the first round to be released")
        before = sockets()
        list(pool.map(drop, range(200)))
        wait_for(lambda: no_streams(server), "all streams to be released")
        wait_for(lambda: sockets() <= before, "all sockets to be closed")
    limit = server.app.state.services.settings.max_streams
    assert sum(thread.name.startswith("stream") for thread in threading.enumerate()) <= min(limit, 16)


@dataclass(frozen=True, slots=True)
class Found:
    """A result of a catalogue, and the item in it."""

    id: str
    score: float = 1.0

    @property
    def item(self) -> Found:
        return self

    def as_dict(self) -> dict[str, Any]:
        return {"id": self.id, "title": "Jazz", "aliases": [], "facets": {}}


@dataclass(frozen=True, slots=True)
class Index:
    """A catalogue that a test can hold up, or have fail."""

    find: Callable[[], list[Found]]

    def search(self, readings: Sequence[object], count: int) -> list[Found]:
        assert readings
        assert count > 0
        return self.find()


@contextmanager
def searching(server: Running, find: Callable[[], list[Found]] | None) -> Iterator[None]:
    """The server has this catalogue, or none, until the block ends."""
    services = server.app.state.services
    server.app.state.services = replace(services, index=None if find is None else Index(find))
    try:
        yield
    finally:
        server.app.state.services = services


def test_a_catalogue_that_is_not_there_is_refused(server: Running) -> None:
    """1008, rather than answers without results."""
    with searching(server, None), streaming(server, {"catalog": True}) as client:
        ((told,), code) = received(client)
    assert (told["code"], told["param"], code) == ("catalog_not_available", "catalog", 1008)


def test_a_query_finds_its_item(server: Running) -> None:
    """With the catalogues that the server has by itself: results have an id, a title and a score."""
    with streaming(server, {"catalog": True, "single": True}) as client:
        client.send(DIALOGUE)
        (final,) = finals(received(client)[0])
    assert all({"id", "title", "score"} <= result.keys() for result in final["results"])
    assert server.record(request_id(client)).results == tuple(result["id"] for result in final["results"])


def test_a_slow_stream_delays_nobody(server: Running) -> None:
    """While one stream's search hangs, another gets its final and the event loop answers."""
    hanging, go_on = threading.Event(), threading.Event()

    def find() -> list[Found]:
        hanging.set()
        assert go_on.wait(PATIENCE_S)
        return [Found("b1")]

    with searching(server, find), streaming(server, {"catalog": True, "single": True}) as slow:
        slow.send(DIALOGUE)
        assert hanging.wait(PATIENCE_S)
        with streaming(server, {"single": True}) as other:
            other.send(DIALOGUE)
            assert finals(received(other)[0])
        assert httpx.get(f"{server.base_url}/healthz").status_code == 200
        go_on.set()
        (final,) = finals(received(slow)[0])
    assert [result["id"] for result in final["results"]] == ["b1"]
    assert server.record(request_id(slow)).results == ("b1",)


def test_our_own_fault_is_told_as_that(server: Running, caplog: pytest.LogCaptureFixture) -> None:
    """1011, a message without a word of what went wrong, one error record; and the log has the reason."""

    def find() -> list[Found]:
        raise LookupError("nothing like some jazz music")

    with searching(server, find), streaming(server, {"catalog": True, "single": True}) as client:
        client.send(DIALOGUE)
        told, code = received(client)
    assert (told[-1]["code"], code) == ("internal_error", 1011)
    assert "jazz" not in json.dumps(told)
    record = server.record(request_id(client))
    assert (record.outcome, record.error, record.status) == (Outcome.ERROR, "LookupError", 500)
    assert [entry.name for entry in caplog.records if entry.levelname == "ERROR"] == ["serving.stream"]


def test_a_shutdown_finishes_what_was_said() -> None:
    """Speech without an end: the final comes, then 1012; new connections find nobody."""
    with ExitStack() as closing, ThreadPoolExecutor(1) as pool:
        with running() as server:
            client = closing.enter_context(streaming(server, {"partials": False}))
            client.send(JAZZ)
            assert json.loads(client.recv(PATIENCE_S))["type"] == "speech_started"
            rest = pool.submit(received, client)
        told, code = rest.result(PATIENCE_S)
    assert [final["text"] for final in finals(told)] == ["play some jazz music"]
    assert code == 1012
    assert [record.outcome for record in server.records() if isinstance(record, Record)] == [Outcome.OK]
