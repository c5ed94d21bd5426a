"""The protocol of `/v1/stream` without a socket, with the shipped model in this process."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.audio import Samples, decode
from asr.decode import Hypothesis
from asr.frontend import Segment
from asr.hotwords import Hotwords
from asr.stream import Partial, Recogniser, SpeechStarted, SpeechStopped
from asr.transcribe import Transcriber
from asr.transcript import NullReason, Transcript

pytest.importorskip("fastapi", reason="needs the extra serve")

from serving.errors import InvalidParameterError, OverloadedError
from serving.jobs import Hearing
from serving.session import Session
from serving.stream_messages import Answer, StreamConfig, Told, message, parse, refusal

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
RATE = 16_000
EOF = '{"eof" : 1}'


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE), np.float32)


def pcm(samples: Samples) -> bytes:
    return np.round(samples * 32_767).astype("<i2").tobytes()


JAZZ, JACKET = (pcm(decode(SAMPLES / name)) for name in ("play_jazz.wav", "red_jacket.wav"))
DIALOGUE = JAZZ + pcm(silence(1.0)) + JACKET + pcm(silence(1.0))


@pytest.fixture(scope="module")
def open_session(transcriber: Transcriber) -> Callable[..., Session]:
    """Makes sessions around the shipped model; each remembers nothing of the others."""

    def opened(**options: Any) -> Session:
        def recogniser(hearing: Hearing) -> Recogniser:
            assert hearing.hotwords is None
            return transcriber

        return Session(recogniser, **options)

    return opened


def config(**values: Any) -> str:
    return json.dumps({"config": values})


def pieces(data: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """``data`` in pieces of those sizes, and a rest."""
    start = 0
    for size in sizes:
        yield data[start : start + size]
        start += size
    yield data[start:]


def converse(session: Session, *sent: str | bytes) -> list[Told]:
    """Everything the client is told for these messages, up to the end."""
    told: list[Told] = []
    for one in sent:
        if session.over:
            break
        told += session.take(one)
    return told


def answers(told: list[Told]) -> list[Transcript]:
    return [one.transcript for one in told if isinstance(one, Answer)]


def values(data: bytes) -> Samples:
    return np.frombuffer(data, "<i2").astype(np.float32) / 32_768


@settings(max_examples=5)
@given(st.lists(st.integers(0, 40_000), max_size=8))
def test_the_cut_changes_no_final(
    open_session: Callable[..., Session], transcriber: Transcriber, sizes: list[int]
) -> None:
    """C4: the finals have the words of the whole clip's transcript, with their times, however it was cut."""
    told = converse(open_session(), config(partials=False), *pieces(DIALOGUE, sizes), EOF)
    whole = transcriber.transcribe(values(DIALOGUE))
    heard = [word for transcript in answers(told) for word in transcript.words]
    assert heard == list(whole.words)
    assert len(answers(told)) == 2
    assert "jazz" in whole.text


def test_another_rate_is_heard_in_the_clients_time(
    open_session: Callable[..., Session], transcriber: Transcriber
) -> None:
    """44.1 kHz in pieces of odd length: the words, and the times in them, of the whole clip at that rate."""
    original = values(JAZZ)
    times = np.arange(int(len(original) * 44_100 / RATE)) * RATE / 44_100
    upsampled = np.interp(times, np.arange(len(original)), original).astype(np.float32)
    sent = pcm(upsampled)
    told = converse(open_session(), config(sample_rate=44_100), *pieces(sent, [3_333] * 30), EOF)
    whole = transcriber.transcribe(values(sent), 44_100)
    (heard,) = answers(told)
    assert heard.words == whole.words
    assert heard.text


def test_what_a_client_is_told_in_which_order(open_session: Callable[..., Session]) -> None:
    """Started, partials that differ, stopped, final; and each as the object that goes out."""
    session = open_session()
    told = converse(session, config(), *pieces(JAZZ, [3_200] * 19), EOF)
    kinds = [type(one) for one in told]
    assert kinds[0] is SpeechStarted
    assert kinds[-2:] == [SpeechStopped, Answer]
    partials = [one.text for one in told if isinstance(one, Partial)]
    assert kinds[1:-2] == [Partial] * len(partials)
    assert partials
    assert all(first != second for first, second in itertools.pairwise(partials))
    assert session.over
    chosen = StreamConfig()
    assert message(told[0], chosen) == {"type": "speech_started", "at_ms": 140}
    assert message(told[1], chosen) == {"type": "partial", "text": partials[0]}
    stopped = message(told[-2], chosen)
    assert stopped["type"] == "speech_stopped"
    assert 1_500 < stopped["at_ms"] < 2_000
    final = message(told[-1], chosen, "q_1")
    assert list(final) == ["type", "text", "confidence", "query_id", "took_ms", "words"]
    assert final["query_id"] == "q_1"
    assert final["words"][0].keys() == {"word", "start", "end", "conf"}
    assert [word["word"] for word in final["words"]] == final["text"].split()
    assert "words" not in message(told[-1], StreamConfig(words=False))


def test_silence_is_a_typed_null(open_session: Callable[..., Session]) -> None:
    """Two seconds of zeros end in one final without text that says why."""
    (told,) = converse(open_session(), config(), pcm(silence(2.0)), EOF)
    final = message(told, StreamConfig(), "q_1")
    assert (final["text"], final["null_reason"], final["words"]) == ("", NullReason.NO_SPEECH, [])


def test_no_partials_where_nobody_wants_them(open_session: Callable[..., Session]) -> None:
    """With ``partials: false`` there are none."""
    told = converse(open_session(), config(partials=False), *pieces(JAZZ, [3_200] * 19), EOF)
    assert [type(one) for one in told] == [SpeechStarted, SpeechStopped, Answer]


def test_a_late_partial_is_dropped(open_session: Callable[..., Session]) -> None:
    """Where more audio waits already, in the message or behind it, drafts would delay the final."""
    at_once = converse(open_session(), config(), DIALOGUE, EOF)
    behind = open_session(waiting_s=lambda: 1.0)
    late = converse(behind, config(), *pieces(DIALOGUE, [3_200] * 60), EOF)
    for told in (at_once, late):
        assert [type(one) for one in told] == [SpeechStarted, SpeechStopped, Answer] * 2


def test_slow_drafts_become_few(transcriber: Transcriber) -> None:
    """A stream that waits for a draft is deaf meanwhile: after one that took a second come four without any."""
    now, drafts = 0.0, []

    class Slow:
        frontend, assemble, recognise = transcriber.frontend, transcriber.assemble, transcriber.recognise

        def draft(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis]:
            del segment, hotwords  # whatever it is
            nonlocal now
            drafts.append(now)
            now += 1.0
            return []

    session = Session(lambda _: Slow(), clock=lambda: now)
    converse(session, config())
    for piece in pieces(JAZZ + JACKET, [3_200] * 40):
        converse(session, piece)
        now += 0.5
    assert len(drafts) > 1
    assert all(later - earlier >= 1.0 + 4.0 for earlier, later in itertools.pairwise(drafts))


def test_single_stops_behind_the_first_final(open_session: Callable[..., Session]) -> None:
    """What came behind it, even in the same message, is not heard."""
    session = open_session()
    told = converse(session, config(single=True), DIALOGUE, EOF)
    assert [transcript.text for transcript in answers(told)] == ["play some jazz music"]
    assert session.over


def test_reset_starts_over(open_session: Callable[..., Session]) -> None:
    """In the middle of a word and of a sample: what follows is heard as if it were the first."""
    session = open_session()
    fresh = answers(converse(open_session(), config(partials=False), JAZZ, EOF))
    told = converse(session, config(partials=False), JACKET[:40_001], '{"reset":1}', JAZZ, EOF)
    assert answers(told) == fresh


def test_the_client_says_when_an_utterance_is_over(open_session: Callable[..., Session]) -> None:
    """Queries with 1.3 s between them: two utterances as the model was tuned, one where 2 s of silence end it."""
    patient = {"endpoint": {"trailing_silence_ms": 2_000, "max_utterance_s": 10}}
    for rules, expected in (({}, 2), (patient, 1)):
        assert len(answers(converse(open_session(), config(**rules), DIALOGUE, EOF))) == expected


def test_results_of_the_catalogue_are_in_the_final(transcriber: Transcriber) -> None:
    """``catalog: true`` asks for the bias, and searches with the transcript; a null final searches nothing."""
    asked: list[Hearing] = []

    def recogniser(hearing: Hearing) -> Recogniser:
        asked.append(hearing)
        return transcriber

    def find(transcript: Transcript) -> list[dict[str, Any]]:
        return [{"id": "b1", "title": transcript.text, "score": 1.0}]

    spoken, null = (
        converse(Session(recogniser, find), config(catalog=True, partials=False), sent, EOF)[-1]
        for sent in (JAZZ, pcm(silence(1.0)))
    )
    assert message(spoken, StreamConfig())["results"] == [
        {"id": "b1", "title": "play some jazz music", "score": 1.0}
    ]
    assert message(null, StreamConfig())["results"] == []
    assert [hearing.catalog for hearing in asked] == [True, True]
    told = converse(Session(recogniser, find), config(partials=False), JAZZ, EOF)[-1]
    assert "results" not in message(told, StreamConfig())


def test_a_catalogue_that_is_not_there_is_refused(open_session: Callable[..., Session]) -> None:
    """Never silently without results."""
    with pytest.raises(InvalidParameterError, match="this server has none") as refused:
        converse(open_session(), config(catalog=True))
    assert (refused.value.code, refused.value.param) == ("catalog_not_available", "catalog")


def test_hotwords_reach_the_recogniser(transcriber: Transcriber) -> None:
    """As the phrases that the client gave."""
    asked: list[Hearing] = []

    def recogniser(hearing: Hearing) -> Recogniser:
        asked.append(hearing)
        return transcriber

    converse(Session(recogniser), config(hotwords=["Jazz", "red jacket"]))
    assert asked[0].hotwords is not None
    assert asked[0].hotwords.phrases == ("jazz", "red jacket")


@pytest.mark.parametrize(
    ("sent", "code", "param", "says"),
    [
        (config(colour=1), "unknown_parameter", "colour", 'unknown: "colour"; the config has sample_rate'),
        (config(a=1, b=2), "unknown_parameter", "a", 'unknown: "a", "b"; '),
        (config(endpoint={"silence": 1}), "unknown_parameter", "endpoint.silence", "endpoint.silence"),
        (config(**{f"k{n}": n for n in range(9)}), "unknown_parameter", "k0", "and 4 more"),
        (config(sample_rate=7_000), "invalid_value", "sample_rate", "greater than or equal to 8000"),
        (config(sample_rate="16000"), "invalid_value", "sample_rate", "valid integer"),
        (config(sample_rate=True), "invalid_value", "sample_rate", "valid integer"),
        (config(words=1), "invalid_value", "words", "valid boolean"),
        (config(hotwords="jazz"), "invalid_value", "hotwords", "valid tuple"),
        (config(hotwords=[7]), "invalid_value", "hotwords.0", "valid string"),
        (config(hotwords=["..."]), "invalid_value", "hotwords", "no word of the letters"),
        (config(endpoint={"trailing_silence_ms": 5}), "invalid_value", "endpoint.trailing_silence_ms", "100"),
        (config(session=""), "invalid_value", "session", "at least 1 character"),
        ('{"config": 7}', "invalid_value", "config", "valid dictionary"),
        ("{", "invalid_json", None, "must be JSON"),
        ("[" * 60_000, "invalid_json", None, "must be JSON"),
        ("[]", "invalid_value", None, "one key"),
        ('{"eof":1,"reset":1}', "invalid_value", None, "one key"),
        ('{"stop":1}', "unknown_parameter", "stop", 'unknown: "stop"'),
        ('{"\\ud800":1}', "unknown_parameter", "\\ud800", "unknown"),  # half of a surrogate pair
        (config(hotwords=["x" * 41]), "invalid_value", "hotwords", "has a word of more than 40 letters"),
        (config(hotwords=["word"] * 501), "invalid_value", "hotwords", "hotwords are 501 phrases"),
        ('{"eof":0}', "invalid_value", "eof", "expected 1"),
        ('{"eof":[1]}', "invalid_value", "eof", "expected 1"),
    ],
)
def test_a_message_that_makes_no_sense_is_refused(sent: str, code: str, param: str | None, says: str) -> None:
    """The error names the key, says what was expected, and never quotes a value."""
    with pytest.raises(InvalidParameterError, match=says.replace("[", r"\[")) as refused:
        parse(sent)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ([b"\0\0"], "first message must be the config"),
        ([EOF], "first message must be the config"),
        (['{"reset":1}'], "first message must be the config"),
        ([config(), config()], "was sent already"),
    ],
)
def test_the_config_comes_first_and_once(
    open_session: Callable[..., Session], sent: list[str | bytes], says: str
) -> None:
    """A client that guesses is told, not heard with settings that it did not ask for."""
    with pytest.raises(InvalidParameterError, match=says):
        converse(open_session(), *sent)


def test_overload_says_when_to_come_back() -> None:
    """1013, and whole seconds."""
    told, close_code = refusal(OverloadedError("busy", 1.2))
    assert told == {"type": "error", "code": "overloaded", "message": "busy", "retry_after_s": 2}
    assert close_code == 1013


def test_our_own_fault_tells_nothing() -> None:
    """The message of an unexpected error may hold what somebody said."""
    told, close_code = refusal(KeyError("what somebody said"))
    assert "somebody" not in json.dumps(told)
    assert (told["code"], close_code) == ("internal_error", 1011)
