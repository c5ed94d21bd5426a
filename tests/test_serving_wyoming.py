"""Wyoming over TCP, with the real package's client and the shipped model."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
pytest.importorskip("wyoming", reason="needs the extra serve")

from serving_app import Running, running, wait_for
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from asr.audio import Samples, decode
from asr.transcribe import Transcriber
from monitoring.record import Outcome, Record, Transport
from serving.app import create_app
from serving.errors import ExposureError
from serving.keys import KeyStore, Scope
from serving.settings import Settings

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
RATE = 16_000
PATIENCE_S = 60.0
MAX_STREAMS = 4


@pytest.fixture(scope="module")
def home() -> Iterator[Running]:
    """A server that Home Assistant can use."""
    pytest.importorskip("flashlight.lib.text", reason="no wheel of flashlight-text here")
    with running(wyoming_port=0, max_streams=MAX_STREAMS, max_clip_s=10.0) as server:
        yield server


def port(server: Running) -> int:
    found: int = server.app.state.wyoming.bound_port
    return found


@asynccontextmanager
async def connected(server: Running) -> AsyncIterator[AsyncTcpClient]:
    async with AsyncTcpClient("127.0.0.1", port(server), PATIENCE_S, PATIENCE_S) as client:
        yield client


def encoded(samples: Samples, rate_hz: int, width: int, channels: int) -> bytes:
    """PCM at another rate, by the nearest sample, the same in every channel."""
    at = np.arange(int(len(samples) * rate_hz / RATE)) * RATE // rate_hz
    values = np.repeat(samples[at][:, None], channels, axis=1)
    if width == 1:
        return (values * 127 + 128).astype(np.uint8).tobytes()
    return (values.astype(np.float64) * (2 ** (8 * width - 1) - 1)).astype(f"<i{width}").tobytes()


def command(data: bytes, rate: int = RATE, width: int = 2, channels: int = 1) -> list[Event]:
    """Audio from start to stop, in chunks of 20 ms or so."""
    size = rate // 50 * width * channels
    chunks = [AudioChunk(rate, width, channels, data[at : at + size]) for at in range(0, len(data), size)]
    events = [AudioStart(rate, width, channels), *chunks, AudioStop()]
    return [event.event() for event in events]


async def _ask(server: Running, events: list[Event]) -> Event | None:
    async with connected(server) as client:
        try:
            for event in events:
                await client.write_event(event)
        except ConnectionError:
            pass  # the server has refused something, and says what
        return await client.read_event()


def ask(server: Running, events: list[Event]) -> Event:
    """The first thing that the server says to these events."""
    answer = asyncio.run(_ask(server, events))
    assert answer is not None
    return answer


def said(server: Running, events: list[Event]) -> str:
    """The transcript that these events get."""
    answer = ask(server, events)
    assert Transcript.is_type(answer.type), answer
    return Transcript.from_event(answer).text


def new_record(server: Running, known: int) -> Record:
    """The one record that was made since there were ``known``."""
    wait_for(lambda: len(server.records()) > known, "a record")
    (record,) = server.records()[known:]
    return record


def test_describe_tells_of_the_model(home: Running) -> None:
    """One program with one model: name, version, language, and who made it."""
    answer = ask(home, [Describe().event()])
    (program,) = Info.from_event(answer).asr
    (model,) = program.models
    identity = home.app.state.services.model
    assert identity.startswith(f"{model.name}@")
    assert (program.name, model.languages, model.installed) == ("voicesearch", ["en"], True)
    assert model.attribution.name
    assert model.version


def test_a_command_gets_its_transcript_and_one_record(home: Running, transcriber: Transcriber) -> None:
    """The text of `Transcriber.transcribe` of the same samples."""
    samples = decode(SAMPLES / "play_jazz.wav")
    known = len(home.records())
    data = encoded(samples, RATE, 2, 1)
    text = said(home, [Transcribe(language="en_GB").event(), *command(data)])
    assert text == transcriber.transcribe(np.frombuffer(data, "<i2")).text
    assert text
    record = new_record(home, known)
    assert (record.transport, record.outcome, record.text) == (Transport.WYOMING, Outcome.OK, text)
    assert record.bytes_received == len(data)


@pytest.mark.parametrize(
    ("rate", "width", "channels"), [(8_000, 2, 1), (44_100, 2, 2), (48_000, 4, 1), (16_000, 1, 1)]
)
def test_any_pcm_is_understood(
    home: Running, transcriber: Transcriber, rate: int, width: int, channels: int
) -> None:
    """Whatever rate, width and channels the microphone has: the text of the same samples as an array."""
    data = encoded(decode(SAMPLES / "play_jazz.wav"), rate, width, channels)
    dtype = "u1" if width == 1 else f"<i{width}"
    values = (np.frombuffer(data, dtype) - (128.0 if width == 1 else 0.0)) / 2.0 ** (8 * width - 1)
    expected = transcriber.transcribe(values.astype(np.float32).reshape(-1, channels), rate).text
    assert said(home, command(data, rate, width, channels)) == expected != ""


@pytest.mark.parametrize("name", ["silence.wav", "white_noise.flac", "keyboard.flac", "click_30ms.wav"])
def test_without_speech_the_text_is_empty(home: Running, name: str) -> None:
    """C1: the clip is never given to the model as a whole instead."""
    known = len(home.records())
    assert said(home, command(encoded(decode(SAMPLES / name), RATE, 2, 1))) == ""
    record = new_record(home, known)
    assert record.null_reason is not None
    assert record.outcome in (Outcome.NO_SPEECH, Outcome.NULL)


def test_commands_follow_each_other_on_one_connection(home: Running) -> None:
    """What one was asked with does not stick to the next; a ping between them is answered."""
    data = encoded(decode(SAMPLES / "play_jazz.wav"), RATE, 2, 1)

    async def talk() -> list[str]:
        async with connected(home) as client:
            texts = []
            for _ in range(2):
                for event in command(data):
                    await client.write_event(event)
                answer = await client.read_event()
                assert answer is not None
                texts.append(Transcript.from_event(answer).text)
                await client.write_event(Ping("here?").event())
                pong = await client.read_event()
                assert pong is not None
                assert Pong.from_event(pong).text == "here?"
            return texts

    first, second = asyncio.run(talk())
    assert first == second
    assert "jazz" in first


def test_hints_that_nobody_can_say_are_left_out(home: Running) -> None:
    """Home Assistant names whatever its owner has; the others still bias."""
    hints = Transcribe(transcript_names=["日本", "", "Jazz"], transcript_terms=["play some jazz music"])
    data = encoded(decode(SAMPLES / "play_jazz.wav"), RATE, 2, 1)
    assert said(home, [hints.event(), *command(data)]) == "play some jazz music"


START = AudioStart(RATE, 2, 1).event()


@pytest.mark.parametrize(
    ("events", "code"),
    [
        ([Transcribe(language="de").event()], "unsupported_language"),
        ([Transcribe(name="large").event()], "model_not_found"),
        ([AudioStop().event()], "invalid_event"),
        ([START, START], "invalid_event"),
        ([Event("audio-start", {"rate": "fast", "width": 2, "channels": 1})], "invalid_event"),
        ([AudioStart(1, 2, 1).event()], "audio_limit_exceeded"),
        ([START, AudioChunk(8_000, 2, 1, b"\0\0").event()], "invalid_event"),
        (command(bytes(RATE * 2 * 11)), "audio_limit_exceeded"),
        ([START, AudioChunk(RATE, 2, 1, bytes(300 << 10)).event()], "message_too_large"),
    ],
)
def test_what_is_wrong_is_said(home: Running, events: list[Event], code: str) -> None:
    """An error event with a code, and the end of the connection."""
    answer = ask(home, events)
    assert Error.is_type(answer.type)
    assert Error.from_event(answer).code == code


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"hello\n", "invalid_event"),
        (b"[]\n", "invalid_event"),
        (b'{"data": {}}\n', "invalid_event"),
        (b'{"type": 7}\n', "invalid_event"),
        (b'{"type": "ping", "data": 7}\n', "invalid_event"),
        (b'{"type": "ping", "payload_length": "x"}\n', "invalid_event"),
        (b'{"type": "ping", "data_length": 99999999999}\n', "message_too_large"),
        (b'{"type": "ping", "payload_length": 99999999999}\n', "message_too_large"),
        (b"[" * 60_000 + b"\n", "invalid_event"),
        (b"x" * 200_000, "invalid_event"),
    ],
)
def test_garbage_ends_the_connection_with_a_reason(home: Running, line: bytes, code: str) -> None:
    """A stated length spends no memory, and what is no event is not guessed at."""

    async def send() -> dict[str, object]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port(home))
        writer.write(line)
        head = json.loads(await asyncio.wait_for(reader.readline(), PATIENCE_S))
        data: dict[str, object] = json.loads(await reader.readexactly(head["data_length"]))
        writer.close()
        return data

    assert asyncio.run(send())["code"] == code


def test_who_leaves_in_the_middle_is_recorded_once(home: Running) -> None:
    """An error, and the seat is free again."""
    known = len(home.records())

    async def leave() -> None:
        async with connected(home) as client:
            await client.write_event(START)
            await client.write_event(AudioChunk(RATE, 2, 1, bytes(3_200)).event())

    asyncio.run(leave())
    record = new_record(home, known)
    assert (record.outcome, record.error) == (Outcome.ERROR, "ClientDisconnect")
    wait_for(lambda: home.app.state.services.streams.open == 0, "the seat to be free")


def test_a_full_house_is_said(home: Running) -> None:
    """One connection more than there are seats hears so, and the others go on."""
    wait_for(lambda: home.app.state.services.streams.open == 0, "all seats to be free")

    async def crowd() -> str | None:
        clients = [
            AsyncTcpClient("127.0.0.1", port(home), PATIENCE_S, PATIENCE_S) for _ in range(MAX_STREAMS)
        ]
        for client in clients:
            await client.connect()
            await client.write_event(Describe().event())
            assert await client.read_event() is not None
        async with connected(home) as late:
            refused = await late.read_event()
        for client in clients:
            await client.disconnect()
        assert refused is not None
        return Error.from_event(refused).code

    assert asyncio.run(crowd()) == "overloaded"


def test_a_shutdown_answers_what_was_said() -> None:
    """A command whose end has not come is transcribed as far as it came."""
    data = encoded(decode(SAMPLES / "play_jazz.wav"), RATE, 2, 1)
    sent = threading.Event()

    async def speak(at: int) -> Event | None:
        async with AsyncTcpClient("127.0.0.1", at, PATIENCE_S, PATIENCE_S) as client:
            for event in command(data)[:-1]:
                await client.write_event(event)
            await client.write_event(Ping("all sent").event())
            assert await client.read_event() is not None
            sent.set()
            return await client.read_event()

    with ThreadPoolExecutor(1) as pool:
        with running(wyoming_port=0) as server:
            answer = pool.submit(asyncio.run, speak(port(server)))
            assert sent.wait(PATIENCE_S)
        heard = answer.result(PATIENCE_S)
    assert heard is not None
    assert "jazz" in Transcript.from_event(heard).text


def test_strangers_are_kept_out(tmp_path: Path) -> None:
    """The protocol has no keys: on another address it takes the operator's word, though the rest of the server has."""
    store = KeyStore(tmp_path / "keys.sqlite")
    store.create("page", frozenset({Scope.TRANSCRIBE}), None)
    with pytest.raises(ExposureError, match=r"Wyoming knows no API keys, and 0\.0\.0\.0 can"):
        create_app(Settings(host="0.0.0.0", keys=store.path, wyoming_port=10_300))


def test_keys_are_not_bypassed_on_loopback(tmp_path: Path) -> None:
    """Beside keys it takes the operator's word there too."""
    store = KeyStore(tmp_path / "keys.sqlite")
    store.create("page", frozenset({Scope.TRANSCRIBE}), None)
    with pytest.raises(ExposureError, match=r"this server has them"):
        create_app(Settings(keys=store.path, wyoming_port=10_300))
