"""``POST /v1/audio/transcriptions`` through the real ``openai`` client, against a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

openai = pytest.importorskip("openai", reason="needs the extra test")
pytest.importorskip("fastapi", reason="needs the extra serve")

from serving_app import MODEL, Running, clip, two_utterances, wait_for  # noqa: E402  # after the skips

from asr.transcript import NullReason  # noqa: E402
from monitoring.record import Outcome, Transport  # noqa: E402


@pytest.fixture(scope="module")
def client(server: Running) -> openai.OpenAI:
    """OpenAI's own client, told of our server."""
    return server.openai()


@pytest.fixture(scope="module")
def ask(client: openai.OpenAI) -> Callable[..., httpx.Response]:
    """The raw answer to the sample, or another ``file``, with more parameters."""

    def asked(**parameters: Any) -> httpx.Response:
        raw = client.audio.transcriptions.with_raw_response
        return raw.create(**{"file": clip(), "model": MODEL, **parameters}).http_response

    return asked


def test_json_is_what_the_client_calls_a_transcription(client: openai.OpenAI) -> None:
    """Text, and the seconds that are charged."""
    answer = client.audio.transcriptions.create(file=clip(), model=MODEL)
    assert answer.text == "play some jazz music"
    assert answer.usage.type == "duration"
    assert answer.usage.seconds == pytest.approx(1.989)
    assert answer.logprobs is None


def test_logprobs_are_one_for_each_word_and_join_to_the_text(client: openai.OpenAI) -> None:
    """``include=["logprobs"]``: tokens, their bytes, and logarithms of probabilities."""
    answer = client.audio.transcriptions.create(file=clip(), model=MODEL, include=["logprobs"])
    assert "".join(one.token for one in answer.logprobs) == answer.text
    assert b"".join(bytes(map(int, one.bytes)) for one in answer.logprobs).decode() == answer.text
    assert all(-14 < one.logprob <= 0 for one in answer.logprobs)


def test_verbose_json_has_segments_and_only_the_times_asked_for(client: openai.OpenAI) -> None:
    """Segments without being asked; words where they are, at the top level."""
    ask = client.audio.transcriptions.create
    by_default = ask(file=clip(), model=MODEL, response_format="verbose_json")
    assert (by_default.words, by_default.language, by_default.task) == (None, "english", "transcribe")
    assert [one.text for one in by_default.segments] == [" play some jazz music"]
    words = ask(file=clip(), model=MODEL, response_format="verbose_json", timestamp_granularities=["word"])
    assert words.segments is None
    assert [one.word for one in words.words] == by_default.text.split()
    assert all(0 <= one.start < one.end <= by_default.duration for one in words.words)
    both = ask(
        file=clip(),
        model=MODEL,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert both.segments[0].start == both.words[0].start
    assert both.segments[0].end == both.words[-1].end


@pytest.mark.parametrize(
    ("response_format", "content_type", "starts"),
    [
        ("text", "text/plain; charset=utf-8", "play some"),
        ("srt", "application/x-subrip; charset=utf-8", "1\n00:00:00,"),
        ("vtt", "text/vtt; charset=utf-8", "WEBVTT\n\n00:00:00."),
    ],
)
def test_texts_come_with_their_media_types(
    ask: Callable[..., httpx.Response], response_format: str, content_type: str, starts: str
) -> None:
    """The client returns them as strings; a browser knows what they are."""
    answer = ask(response_format=response_format)
    assert answer.headers["content-type"] == content_type
    assert answer.text.startswith(starts)
    assert "play some jazz music\n" in answer.text


def test_streaming_gives_deltas_that_join_to_the_text(client: openai.OpenAI) -> None:
    """``stream=True``: a delta for each stretch of speech, then the whole, with what was asked for."""
    stream = client.audio.transcriptions.create(
        file=two_utterances(), model=MODEL, stream=True, include=["logprobs"]
    )
    *deltas, done = list(stream)
    assert [one.type for one in deltas] == ["transcript.text.delta"] * 2
    assert done.type == "transcript.text.done"
    assert deltas[0].delta == "play some jazz music"
    assert "".join(one.delta for one in deltas) == done.text
    assert [one.token for delta in deltas for one in delta.logprobs] == [one.token for one in done.logprobs]
    assert done.usage.seconds == pytest.approx(1.989 + 1.5 + 3.559, abs=0.002)


def test_segments_are_stretches_of_speech(client: openai.OpenAI) -> None:
    """Numbered, in order, apart, and joined they are the text."""
    answer = client.audio.transcriptions.create(
        file=two_utterances(), model=MODEL, response_format="verbose_json"
    )
    first, second = answer.segments
    assert (first.id, second.id) == (0, 1)
    assert second.start - first.end > 1.5
    assert (first.text + second.text).strip() == answer.text
    assert all(one.avg_logprob < 0 and 0 <= one.no_speech_prob < 0.5 for one in answer.segments)


def test_an_error_of_a_stream_still_has_its_status(client: openai.OpenAI) -> None:
    """Nothing is sent before it is known whether there is an answer."""
    with pytest.raises(openai.UnprocessableEntityError):
        client.audio.transcriptions.create(file=("clip.flac", b"fLaC" + b"\0" * 90), model=MODEL, stream=True)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("silence.wav", "no_speech"), ("too_quiet.flac", "too_quiet"), ("click_30ms.wav", "too_short")],
)
def test_no_text_comes_with_its_reason(
    server: Running, ask: Callable[..., httpx.Response], name: str, reason: str
) -> None:
    """In the header for every format, in the body of JSON, and in the record."""
    answer = ask(file=clip(name))
    assert answer.json()["text"] == ""
    assert answer.json()["null_reason"] == answer.headers["x-null-reason"] == reason
    assert ask(file=clip(name), response_format="text").headers["x-null-reason"] == reason
    record = server.record(answer.headers["x-request-id"])
    assert record.null_reason is NullReason(reason)
    assert record.outcome is Outcome.of(NullReason(reason))


def test_a_null_stream_is_the_last_event_alone(client: openai.OpenAI) -> None:
    """No delta where there is no text."""
    (done,) = list(client.audio.transcriptions.create(file=clip("silence.wav"), model=MODEL, stream=True))
    assert (done.type, done.text, done.null_reason) == ("transcript.text.done", "", "no_speech")


def test_a_request_ends_as_one_record(server: Running, ask: Callable[..., httpx.Response]) -> None:
    """Its id, model, stages, statistics; bytes and text, and what a client might have sent."""
    said = {"X-Session-Id": "sitting-1", "X-Device": "kitchen-speaker 2", "Accept-Language": "en-GB,en;q=0.8"}
    answer = ask(extra_headers=said)
    record = server.record(answer.headers["x-request-id"])
    assert (record.transport, record.outcome, record.status) == (Transport.REST, Outcome.OK, 200)
    assert record.model == answer.headers["x-model"] == server.app.state.services.model
    assert record.text == answer.json()["text"]
    assert record.confidence == pytest.approx(answer.json()["confidence"], abs=1e-4)
    assert set(record.stages_s) >= {"decode", "queue", "vad", "model", "beam"}
    assert record.bytes_received == len(clip()[1])
    assert (record.session, record.fields_missing) == ("sitting-1", ("language",))
    assert (record.device, record.locale) == ("kitchen-speaker 2", "en-GB")
    assert record.perplexity is not None
    assert record.perplexity > 1
    assert record.entropy is not None
    assert 0 < record.entropy < 4


def test_a_client_that_hangs_up_is_not_waited_for(server: Running) -> None:
    """Its jobs leave the queue, and each request still ends as one record."""
    scheduler = server.app.state.services.engine.scheduler
    before = len(server.records())
    n = 6

    async def give_up() -> None:
        async with httpx.AsyncClient(base_url=server.base_url) as impatient:
            sent = [
                asyncio.create_task(
                    impatient.post(
                        "/v1/audio/transcriptions",
                        # Each prompt is new: half a second of a worker's time, so that most have to wait.
                        data={"model": MODEL, "prompt": f"zorblax{'abcdef'[at]}"},
                        files={"file": clip()},
                    )
                )
                for at in range(n)
            ]
            while scheduler.queued < n - 1:
                await asyncio.sleep(0.005)
            for one in sent:
                one.cancel()
            await asyncio.gather(*sent, return_exceptions=True)

    asyncio.run(give_up())
    wait_for(lambda: len(server.records()) == before + n, "the records of those who left")
    assert {record.error for record in server.records()[before:]} == {"ClientDisconnect"}
    wait_for(lambda: scheduler.busy == 0, "the one that was at work")
    assert len(server.records()) == before + n


def test_a_key_pays_for_its_audio(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """401 without a key, 403 without the scope, 429 when its seconds are spent: the client's own exceptions."""
    from serving.keys import KeyStore, Scope

    store = KeyStore(tmp_path / "keys.db")
    good = store.create("shop", frozenset({Scope.TRANSCRIBE}), None).secret
    other = store.create("clicks", frozenset({Scope.EVENTS}), None).secret
    serving = start_server(catalogs=(), keys=store.path, audio_s_per_minute=3.0)

    def asked(key: str) -> httpx.Response:
        calling = serving.openai(key)
        return calling.audio.transcriptions.with_raw_response.create(file=clip(), model=MODEL).http_response

    with pytest.raises(openai.AuthenticationError):
        asked("vs_" + "a" * 43)
    with pytest.raises(openai.PermissionDeniedError):
        asked(other)
    first = asked(good)
    assert first.headers["x-ratelimit-remaining-audio-seconds"] == "1"
    with pytest.raises(openai.RateLimitError) as caught:
        asked(good)
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert serving.record(first.headers["x-request-id"]).key_id is not None


def test_a_full_server_says_when_to_come_back(start_server: Callable[..., Running]) -> None:
    """503 with Retry-After, as the client's InternalServerError."""
    serving = start_server(catalogs=(), latency_budget_ms=20)
    asked = serving.openai()
    serving.app.state.services.engine.scheduler.closing = True
    with pytest.raises(openai.InternalServerError) as caught:
        asked.audio.transcriptions.create(file=clip(), model=MODEL)
    assert caught.value.status_code == 503
    assert int(caught.value.response.headers["retry-after"]) >= 1
