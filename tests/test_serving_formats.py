"""A transcript in OpenAI's forms, without a server: what must hold of any words and any times."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi", reason="needs the extra serve")

from asr.hotwords import Hotwords  # after the skip
from asr.transcript import ClipStats, NullReason, Span, Transcript, Word
from asr.vad import VadOptions
from serving.errors import InvalidParameterError
from serving.openai import languages
from serving.openai.answers import plain, verbose
from serving.openai.chunking import chunking
from serving.openai.events import events, without_unasked
from serving.openai.form import Form
from serving.openai.phrases import MAX_LETTERS, expected, phrases

STATS = ClipStats(9.0, -26.0, 0.0, 30.0, 0.0, 0.5, 0.5, 0.5)
MS = 16  # samples


def transcript(*words: tuple[str, int, int, float]) -> Transcript:
    """Of words: text, start and end in ms, confidence."""
    found = tuple(Word(text, Span(start * MS, end * MS), sure) for text, start, end, sure in words)
    text = " ".join(word.text for word in found)
    return Transcript(text, found, 0.5, None if found else NullReason.NO_SPEECH, STATS, "m@1", "en")


TWO = transcript(("call", 100, 300, 0.5), ("bob", 400, 600, 0.25), ("now", 1_300, 1_500, 1.0))


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    """Any words in order, with any pauses and confidences."""
    at, words = 0, []
    for text in draw(st.lists(st.text("abcé'", min_size=1), max_size=8)):
        start = at + draw(st.integers(0, 2_000))
        at = start + draw(st.integers(0, 500))
        words.append((text, start, at, draw(st.floats(0.0, 1.0))))
    return transcript(*words)


def test_a_segment_is_a_stretch_between_pauses() -> None:
    """A pause of 0.7 s ends one; its numbers are those of its words."""
    first, second = verbose(TWO, words=False, segments=True).segments or []
    assert (first.id, first.start, first.end, first.text) == (0, 0.1, 0.6, " call bob")
    assert (second.id, second.start, second.end, second.text) == (1, 1.3, 1.5, " now")
    assert first.avg_logprob == pytest.approx((math.log(0.5) + math.log(0.25)) / 2, abs=1e-4)
    assert first.no_speech_prob == pytest.approx(0.5 * 0.75)
    assert (second.avg_logprob, second.no_speech_prob) == (0.0, 0.0)
    assert (first.seek, first.tokens, first.temperature) == (0, [], 0.0)


@given(transcripts())
def test_all_forms_say_the_same(said: Transcript) -> None:
    """Segments, deltas and tokens joined are the text; times are in order; every number is finite."""
    answer = verbose(said, words=True, segments=True)
    segments, words = answer.segments or [], answer.words or []
    assert "".join(one.text for one in segments).removeprefix(" ") == said.text
    assert [one.word for one in words] == [word.text for word in said.words]
    assert all(one.start <= one.end for one in segments)
    assert all(0 <= one.no_speech_prob <= 1 and -14 < one.avg_logprob <= 0 for one in segments)
    assert json.loads(without_unasked(answer))["text"] == said.text
    tokens = plain(said, logprobs=True).logprobs or []
    assert "".join(one.token for one in tokens) == said.text
    assert bytes(byte for one in tokens for byte in one.bytes).decode() == said.text
    *deltas, done = [
        json.loads(line.removeprefix("data: ")) for line in events(said, logprobs=True).split("\n\n")[:-1]
    ]
    assert "".join(one["delta"] for one in deltas) == done["text"] == said.text
    assert [one for delta in deltas for one in delta["logprobs"]] == done["logprobs"]


def test_what_was_not_asked_for_is_absent() -> None:
    """Not null: absent, as OpenAI's answers have it. Our reason for no text is always there."""
    assert set(json.loads(without_unasked(plain(TWO, logprobs=False)))) == {
        "text",
        "usage",
        "null_reason",
        "confidence",
    }
    bare = json.loads(without_unasked(verbose(transcript(), words=False, segments=False)))
    assert not {"segments", "words"} & set(bare)
    assert bare["null_reason"] == "no_speech"
    assert "logprobs" not in events(TWO, logprobs=False)


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("Miles Davis, Zoë's, latte", ["miles davis", "zo s", "latte"]),
        ("one\ntwo; three (four) five", ["one", "two", "three", "four", "five"]),
        (
            "Please call Maria Gonzalez of the Cafe Zorba about tea.",
            ["maria gonzalez", "cafe zorba"],
        ),
        ("so then I went to the store and I'll buy milk", []),
        ("Well-known", ["well known"]),
        ("日本語, 123, ---", []),
        ("a" * 41, []),
    ],
)
def test_a_prompt_becomes_phrases(prompt: str, found: list[str]) -> None:
    """Short stretches are phrases, sentences give their names, and what nobody can say is left out."""
    assert list(phrases(prompt)) == found
    taken = expected(prompt, ())
    assert taken.hotwords == (Hotwords(tuple(found)) if found else None)
    assert taken.dropped == (not found)


@given(st.text(max_size=5_000))
def test_no_prompt_fails(prompt: str) -> None:
    """Whatever somebody writes: bounded hotwords, or none."""
    taken = expected(prompt, ("jazz",)).hotwords
    assert taken is not None
    assert sum(map(len, taken.phrases)) <= MAX_LETTERS


def test_the_end_of_a_long_prompt_counts() -> None:
    """As OpenAI's models read it: as much of it as there is room for, and that it was cut is said."""
    names = [
        f"bob{first}{second}{third}" for first in "abcdefgh" for second in "abcdefgh" for third in "abcdefgh"
    ]
    taken = expected(", ".join(names), ("jazz",))
    assert taken.dropped
    assert taken.hotwords is not None
    room = (MAX_LETTERS - len("jazz")) // len("bobaaa")
    assert taken.hotwords.phrases == ("jazz", *names[-room:])


@pytest.mark.parametrize("keyword", ["", "123", "日本", "a" * 41, " ".join("abcdefghijk")])
def test_a_bad_keyword_is_refused(keyword: str) -> None:
    """It was meant as it stands, so it is not guessed at."""
    with pytest.raises(InvalidParameterError, match="keyword"):
        expected(None, (keyword,))
    with pytest.raises(InvalidParameterError, match=str(MAX_LETTERS)):
        expected(None, ["a" * 40] * 51)


def test_chunking_scales_the_thresholds_and_shares_the_pause() -> None:
    """What is not given is the model's own; padding is at most half of the pause, and that is said."""
    own = VadOptions()
    given_ = {"type": "server_vad", "threshold": 0.8, "prefix_padding_ms": 300, "silence_duration_ms": 200}
    options, cut = chunking(
        Form({"chunking_strategy": [json.dumps({**given_, "create_response": True})]}), own
    )
    assert options is not None
    assert (options.threshold, options.min_silence_duration_ms, options.speech_pad_ms) == (0.8, 200, 100)
    assert options.neg_threshold == pytest.approx(0.35 * 0.8 / 0.5)
    assert (options.min_speech_duration_ms, options.max_speech_duration_s) == (80, 20.0)
    assert cut == ("chunking_strategy.create_response", "chunking_strategy.prefix_padding_ms")
    members = {f"chunking_strategy[{name}]": [str(value)] for name, value in given_.items()}
    assert chunking(Form(members), own)[0] == options
    assert chunking(Form({"chunking_strategy": ["auto"]}), own) == (None, ())


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ('{"type": "server_vad", "threshold": 0}', "threshold is 0; expected a number from 0.01 to 1"),
        ('{"type": "server_vad", "threshold": "loud"}', "threshold is 'loud'; expected a number"),
        ('{"type": "server_vad", "threshold": true}', "threshold is True; expected a number"),
        ('{"type": "server_vad", "silence_duration_ms": 9999}', "is 9999; expected a number from 50 to 5000"),
        ('{"type": "server_vad", "prefix_padding_ms": -1}', "is -1; expected a number from 0 to 1000"),
        ('{"type": "semantic_vad"}', "type is 'semantic_vad'; expected server_vad"),
        ("{}", "expected server_vad"),
        ('{"type": ', "starts like JSON and is none"),
        ("{" * 100_000, "starts like JSON and is none"),
        ("[]", 'expected "auto" or an object'),
    ],
)
def test_a_bad_strategy_names_value_and_range(strategy: str, message: str) -> None:
    """So that whoever wrote it can mend it."""
    with pytest.raises(InvalidParameterError, match=message):
        chunking(Form({"chunking_strategy": [strategy]}), VadOptions())


@pytest.mark.parametrize(
    ("given_", "same"), [("en-Latn", False), ("e", False), ("", False), ("english-us", False)]
)
def test_not_everything_is_a_spelling(given_: str, same: bool) -> None:
    """Spellings that nobody uses are refused rather than guessed at; unknown languages have their code alone."""
    assert languages.same(given_, "en") is same
    assert languages.same("xx-YY", "xx")
    assert (languages.name("de"), languages.name("xx")) == ("german", "xx")


def test_a_form_knows_what_was_not_read() -> None:
    """Each name once, without brackets; values that are sent twice are refused where one is wanted."""
    form = Form({"a": ["1"], "b[]": ["x", "y"], "b": ["z"], "c[0]": ["p"], "c[1]": ["q"], "d": ["1", "2"]})
    assert form.number("a", 0, 1) == 1
    assert form.texts("b") == ("z", "x", "y")
    with pytest.raises(InvalidParameterError, match="sent 2 times"):
        form.text("d")
    assert form.unread() == ("c",)
