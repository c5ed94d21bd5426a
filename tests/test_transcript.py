"""The values of the pipeline, and the JSON that people and programs see of them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.transcript import SAMPLE_RATE_HZ, ClipStats, NullReason, Reading, Span, Transcript, Word, seconds

CLIP = ClipStats(
    duration_s=2.50006,
    level_dbfs=-31.24449,
    gain_db=5.24449,
    snr_db=None,
    clipped_ratio=0.0,
    speech_ratio=0.51239,
    leading_silence_s=0.5,
    trailing_silence_s=0.71875,
)
CLIP_ROW = {
    "duration_s": 2.5001,
    "level_dbfs": -31.2445,
    "gain_db": 5.2445,
    "snr_db": None,
    "clipped_ratio": 0.0,
    "speech_ratio": 0.5124,
    "leading_silence_s": 0.5,
    "trailing_silence_s": 0.7188,
}


def test_a_transcript_as_json() -> None:
    """Seconds to the millisecond, confidences and statistics to four places, no other readings."""
    words = (Word("call", Span(8000, 12_345), 0.91239), Word("mum", Span(12_345, 20_000), 0.5))
    readings = (Reading("call mum", 0.75), Reading("call mom", 0.25))
    transcript = Transcript("call mum", words, 0.70619, None, CLIP, "en-small@12ab", "en", readings)
    assert transcript.as_dict() == {
        "text": "call mum",
        "null_reason": None,
        "confidence": 0.7062,
        "language": "en",
        "duration": 2.5,
        "words": [
            {"word": "call", "start": 0.5, "end": 0.772, "confidence": 0.9124},
            {"word": "mum", "start": 0.772, "end": 1.25, "confidence": 0.5},
        ],
        "clip": CLIP_ROW,
        "model": "en-small@12ab",
    }


def test_a_null_as_json() -> None:
    """The reason is its plain name."""
    row = Transcript("", (), 0.0, NullReason.TOO_QUIET, CLIP, "en-small@12ab", "en").as_dict()
    assert json.loads(json.dumps(row)) == {
        "text": "",
        "null_reason": "too_quiet",
        "confidence": 0.0,
        "language": "en",
        "duration": 2.5,
        "words": [],
        "clip": CLIP_ROW,
        "model": "en-small@12ab",
    }


@pytest.mark.parametrize(("text", "reason"), [("", None), ("call", NullReason.NO_SPEECH)])
def test_text_is_empty_exactly_with_a_reason(text: str, reason: NullReason | None) -> None:
    """An untyped null, or a typed one with text, cannot be made."""
    with pytest.raises(AssertionError, match="null reason"):
        Transcript(text, (), 0.0, reason, CLIP, "en-small@12ab", "en")


def test_the_first_reading_is_the_text() -> None:
    """Readings that do not begin with the text cannot come with it."""
    with pytest.raises(AssertionError, match="call mom"):
        Transcript("call mum", (), 0.5, None, CLIP, "en-small@12ab", "en", (Reading("call mom", 1.0),))


def test_a_span_is_half_open() -> None:
    """Its length is end - start; it may be empty but not negative, and orders by its start."""
    assert len(Span(3, 10)) == 7
    assert len(Span(3, 3)) == 0
    assert Span(1, 9) < Span(2, 3)
    with pytest.raises(AssertionError, match=r"\[4, 3\)"):
        Span(4, 3)
    with pytest.raises(AssertionError, match=r"\[-1, 3\)"):
        Span(-1, 3)


@given(st.integers(0, 10**9))
def test_seconds_are_within_half_a_millisecond(samples: int) -> None:
    """Rounded to the millisecond, whatever the number of samples."""
    assert abs(seconds(samples) * SAMPLE_RATE_HZ - samples) <= 8.001
    assert round(seconds(samples), 3) == seconds(samples)


def test_the_null_reasons() -> None:
    """They are part of the public interface: renaming one breaks clients."""
    assert [reason.value for reason in NullReason] == [
        "no_speech",
        "too_quiet",
        "too_short",
        "low_confidence",
    ]
