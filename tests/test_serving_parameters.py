"""The parameters of a transcription, through the real ``openai`` client: honoured, refused, or listed as ignored."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

openai = pytest.importorskip("openai", reason="needs the extra test")
pytest.importorskip("fastapi", reason="needs the extra serve")

from serving_app import MODEL, Running, clip, two_utterances  # noqa: E402  # after the skips


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


def test_a_model_goes_by_several_names(start_server: Callable[..., Running]) -> None:
    """Its own, the operator's alias, and its own with the digest."""
    serving = start_server(catalogs=(), model_aliases=("whisper-1",))
    for name in (MODEL, "whisper-1", serving.app.state.services.model):
        answer = serving.openai().audio.transcriptions.create(file=clip(), model=name)
        assert answer.text == "play some jazz music"


@pytest.mark.parametrize(
    "name", ["whisper-1", "../en-small", "/etc/passwd", "en-small/../..", "\x00", "a" * 9_999]
)
def test_any_other_model_is_not_found(client: openai.OpenAI, name: str) -> None:
    """Names are compared, never opened: a path is a name like any other that is not there."""
    with pytest.raises(openai.NotFoundError) as caught:
        client.audio.transcriptions.create(file=clip(), model=name)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("parameters", "param"),
    [
        ({"language": "de"}, "language"),
        ({"extra_body": {"languages": ["de", "fr"]}}, "languages"),
        ({"temperature": 1.5}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"response_format": "diarized_json"}, "response_format"),
        ({"timestamp_granularities": ["word"]}, "timestamp_granularities"),
        (
            {"response_format": "verbose_json", "timestamp_granularities": ["phone"]},
            "timestamp_granularities",
        ),
        ({"response_format": "text", "include": ["logprobs"]}, "include"),
        ({"include": ["tokens"]}, "include"),
        ({"response_format": "srt", "stream": True}, "stream"),
        ({"extra_body": {"stream": "perhaps"}}, "stream"),
        ({"extra_body": {"keywords": ["123"]}}, "keywords"),
        ({"chunking_strategy": "manual"}, "chunking_strategy"),
        ({"chunking_strategy": {"type": "server_vad", "threshold": 2}}, "chunking_strategy.threshold"),
    ],
)
def test_a_bad_parameter_is_named(client: openai.OpenAI, parameters: dict[str, Any], param: str) -> None:
    """400, as the client's BadRequestError, with the parameter at fault."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.transcriptions.create(**{"file": clip(), "model": MODEL, **parameters})
    assert caught.value.param == param
    assert caught.value.type == "invalid_request_error"


def test_what_has_no_effect_is_listed(ask: Callable[..., httpx.Response]) -> None:
    """Never silently dropped, and no name that a client makes up becomes a header of ours."""
    answer = ask(
        temperature=0.4,
        extra_body={"known_speaker_names": ["ann", "bob"], "best_of": 5, "x\r\nset-cookie: a=b": "c"},
        extra_query={"beam_size": 5},
    )
    assert answer.headers["x-ignored-parameters"] == "temperature, known_speaker_names, best_of, ?, beam_size"
    assert "set-cookie" not in answer.headers
    assert "x-ignored-parameters" not in ask(temperature=0, language="English").headers


@pytest.mark.parametrize("language", ["en", "EN", "eng", "English", "en-US", "en_GB"])
def test_the_language_may_be_spelt_in_the_usual_ways(
    ask: Callable[..., httpx.Response], language: str
) -> None:
    """ISO 639-1, ISO 639-2, the name, with a region."""
    assert ask(language=language).json()["text"] == "play some jazz music"


@pytest.mark.parametrize(
    "strategy",
    [
        "auto",
        {"type": "server_vad"},
        {"type": "server_vad", "threshold": 0.6, "prefix_padding_ms": 100, "silence_duration_ms": 400},
        json.dumps({"type": "server_vad", "silence_duration_ms": 400}),
    ],
)
def test_chunking_may_be_left_to_the_server_or_tuned(
    ask: Callable[..., httpx.Response], strategy: str | dict[str, Any]
) -> None:
    """As the client sends objects (``name[member]``), and as JSON."""
    answer = ask(chunking_strategy=strategy)
    assert answer.json()["text"] == "play some jazz music"
    assert "x-ignored-parameters" not in answer.headers


def test_a_shorter_pause_ends_an_utterance(server: Running, ask: Callable[..., httpx.Response]) -> None:
    """The rules reach the detector: a pause between utterances is no speech, one within an utterance is."""

    def speech_ratio(silence_ms: int) -> float:
        answer = ask(
            file=two_utterances(),
            chunking_strategy={"type": "server_vad", "silence_duration_ms": silence_ms},
        )
        found = server.record(answer.headers["x-request-id"]).clip
        assert found is not None
        return found.speech_ratio

    assert speech_ratio(500) + 0.1 < speech_ratio(5_000)


def test_a_prompt_is_a_list_of_phrases_to_lean_towards(ask: Callable[..., httpx.Response]) -> None:
    """What was announced is heard, as a keyword too; a sentence of style changes nothing."""
    file = clip("running_shoes.flac")
    style = "The user talks to a cafe. Please transcribe carefully."
    assert ask(prompt=style).json()["text"] == ask().json()["text"]
    assert ask(file=file, prompt="Running shoes; T-shirts").json()["text"] == "running shoes size nine"
    assert (
        ask(file=file, extra_body={"keywords": ["running shoes"]}).json()["text"] == "running shoes size nine"
    )
