"""``serving.repeats``: the last clip of each session, for two minutes, in memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from serving_app import Running, clip, wait_for
from websockets.sync.client import connect

from asr.audio import Samples, decode
from asr.transcript import ClipStats
from serving.repeats import Repeats, expiring, speech_of

RATE = 16_000
SAMPLES = Path(__file__).parent.parent / "data" / "samples"
JAZZ, JACKET = (decode(SAMPLES / name) for name in ("play_jazz.wav", "red_jacket.wav"))


class Clock:
    """Seconds, as a test has them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """At zero."""
    return Clock()


def test_a_clip_is_compared_with_the_one_before_it(clock: Clock) -> None:
    """Of its own session and key, and then it is the last itself."""
    repeats = Repeats(clock=clock)
    assert repeats.compare("key", "sofa", JAZZ) is None
    assert repeats.compare("key", "sofa", JAZZ) == pytest.approx(0.0, abs=1e-3)
    assert repeats.compare("key", "desk", JAZZ) is None
    assert repeats.compare("other", "sofa", JAZZ) is None
    assert (repeats.compare("key", "sofa", JACKET) or 0.0) > 0.4
    assert repeats.compare("key", "sofa", JACKET) == pytest.approx(0.0, abs=1e-3)
    assert repeats.compare("key", None, JACKET) is None
    assert len(repeats) == 3


def test_what_is_too_short_to_compare_leaves_the_last_as_it_is(clock: Clock) -> None:
    """A cough between two tries is no try."""
    repeats = Repeats(clock=clock)
    repeats.compare(None, "sofa", JAZZ)
    assert repeats.compare(None, "sofa", JAZZ[: RATE // 5]) is None
    assert repeats.compare(None, "sofa", JAZZ) == pytest.approx(0.0, abs=1e-3)


def test_a_clip_is_kept_for_two_minutes(clock: Clock) -> None:
    """Then it is gone from memory, whether anybody speaks or not."""
    repeats = Repeats(clock=clock)
    repeats.compare(None, "sofa", JAZZ)
    clock.now = 60.0
    repeats.compare(None, "desk", JAZZ)
    clock.now = 120.1
    assert repeats.compare(None, "sofa", JAZZ) is None
    clock.now = 180.1
    repeats.expire()
    assert len(repeats) == 1
    clock.now = 300.0

    async def wait_until_empty() -> None:
        sweeping = asyncio.create_task(expiring(repeats, every_s=0.0))
        while len(repeats):
            await asyncio.sleep(0)
        sweeping.cancel()

    asyncio.run(wait_until_empty())


def test_there_are_never_more_sessions_than_fit(clock: Clock) -> None:
    """The one quiet for longest goes first."""
    repeats = Repeats(most=2, clock=clock)
    for session in ("a", "b", "a", "c"):
        repeats.compare(None, session, JAZZ)
    assert len(repeats) == 2
    assert repeats.compare(None, "a", JAZZ) is not None
    assert repeats.compare(None, "b", JAZZ) is None


def test_an_erased_session_is_forgotten(clock: Clock) -> None:
    """By every key that has one of this name, or by one; others stay."""
    repeats = Repeats(clock=clock)
    for key, session in (("a", "sofa"), ("b", "sofa"), ("a", "desk")):
        repeats.compare(key, session, JAZZ)
    repeats.forget("sofa", "desk", key_id="b")
    assert len(repeats) == 2
    assert repeats.compare("b", "sofa", JAZZ) is None
    repeats.forget("sofa", "unknown")
    assert len(repeats) == 1
    assert repeats.compare("a", "desk", JAZZ) is not None


def test_speech_is_what_was_found_to_be_speech() -> None:
    """From the first to the last; none where there was none."""
    samples: Samples = np.arange(RATE, dtype=np.float32)
    found = ClipStats(1.0, -20.0, 0.0, None, 0.0, 0.5, 0.25, 0.125)
    assert list(speech_of(samples, found)[[0, -1]]) == [4_000.0, 13_999.0]
    nothing = ClipStats(1.0, None, 0.0, None, 0.0, 0.0, 1.0, 0.0)
    assert len(speech_of(samples, nothing)) == 0


def test_a_record_says_how_unlike_its_clip_is_to_the_last(start_server: Callable[..., Running]) -> None:
    """By transcription, by search and by stream alike, in one session; erased with it, and never without one."""
    server = start_server(catalogs=["books"])

    def unlike(path: str, name: str, session: str | None) -> float | None:
        headers = {} if session is None else {"X-Session-Id": session}
        data = {"model": "en-small"} if "transcriptions" in path else {}
        answer = httpx.post(
            f"{server.base_url}{path}", files={"file": clip(name)}, data=data, headers=headers, timeout=60
        )
        assert answer.status_code == 200, answer.text
        return server.record(answer.headers["x-request-id"]).repeats

    assert unlike("/v1/search", "play_jazz.wav", "sofa") is None
    assert unlike("/v1/search", "play_jazz.wav", "sofa") == pytest.approx(0.0, abs=1e-3)
    assert unlike("/v1/audio/transcriptions", "play_jazz.wav", "sofa") == pytest.approx(0.0, abs=1e-3)
    assert (unlike("/v1/audio/transcriptions", "red_jacket.wav", "sofa") or 0.0) > 0.4
    assert unlike("/v1/search", "red_jacket.wav", None) is None
    assert stream_unlike(server, "red_jacket.wav", "sofa") == pytest.approx(0.0, abs=0.2)
    server.app.state.services.store.erase("sofa")
    assert unlike("/v1/search", "red_jacket.wav", "sofa") is None


def stream_unlike(server: Running, name: str, session: str) -> float | None:
    """What the record of a streamed utterance says."""
    pcm = np.round(decode(SAMPLES / name) * 32_767).astype("<i2").tobytes()
    with connect(f"{server.websocket_url}/v1/stream") as socket:
        socket.send(json.dumps({"config": {"session": session, "single": True, "partials": False}}))
        socket.send(pcm)
        socket.send('{"eof": 1}')
        while (told := json.loads(socket.recv(timeout=60)))["type"] != "final":
            pass

    def found() -> list[float | None]:
        return [r.repeats for r in server.records() if r.query_id == told["query_id"]]

    wait_for(lambda: bool(found()), "the record of the stream")
    return found()[0]
