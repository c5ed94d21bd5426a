"""``asr.formats`` and ``cues``: exact files of small transcripts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.cues import MAX_CHARACTERS, MAX_DURATION, cues
from asr.errors import CorruptAudioError
from asr.formats import ALL, json_text, jsonl, render, row, srt, tsv, txt, vtt
from asr.transcript import ClipStats, NullReason, Span, Transcript, Word

CLIP = ClipStats(2.0, -26.5, 0.5, 40.0, 0.0, 0.75, 0.25, 0.25)


def spoken(*words: tuple[str, float, float]) -> Transcript:
    """A transcript of words with start and end in seconds."""
    timed = tuple(
        Word(text, Span(round(start * 16000), round(end * 16000)), 0.5) for text, start, end in words
    )
    return Transcript(" ".join(word.text for word in timed), timed, 0.5, None, CLIP, "tiny@1", "en")


HELLO = spoken(("hello", 0.25, 0.5), ("world", 0.52, 1.0), ("again", 2.0, 2.5))
NULL = Transcript("", (), 0.0, NullReason.NO_SPEECH, CLIP, "tiny@1", "en")


def test_txt_is_the_text_alone() -> None:
    """One line with the text; an empty one for a null result."""
    assert txt(HELLO) == "hello world again\n"
    assert txt(NULL) == "\n"


def test_srt_numbers_cues_and_breaks_at_pauses() -> None:
    """A second of silence before ``again`` starts a new cue; milliseconds follow a comma."""
    assert srt(HELLO) == (
        "1\n00:00:00,250 --> 00:00:01,000\nhello world\n\n2\n00:00:02,000 --> 00:00:02,500\nagain\n"
    )
    assert srt(NULL) == ""


def test_vtt_has_its_header_even_without_text() -> None:
    """``WEBVTT``, a blank line, then cues with points."""
    assert vtt(spoken(("late", 3661.5, 3662.0))) == "WEBVTT\n\n01:01:01.500 --> 01:01:02.000\nlate\n"
    assert vtt(NULL) == "WEBVTT\n"


def test_tsv_holds_whole_milliseconds() -> None:
    """Header, then start, end and text."""
    assert tsv(HELLO) == "start\tend\ttext\n250\t1000\thello world\n2000\t2500\tagain\n"


def test_a_cue_per_word() -> None:
    """``--word-timestamps`` gives every word a cue of its own."""
    assert tsv(HELLO, per_word=True) == (
        "start\tend\ttext\n250\t500\thello\n520\t1000\tworld\n2000\t2500\tagain\n"
    )


def test_json_row_of_a_transcript() -> None:
    """The keys of conventions.md, in order, with seconds and dBFS."""
    assert row("a.wav", spoken(("hi", 0.25, 0.5))) == {
        "audio": "a.wav",
        "text": "hi",
        "null_reason": None,
        "confidence": 0.5,
        "language": "en",
        "duration": 2.0,
        "words": [{"word": "hi", "start": 0.25, "end": 0.5, "confidence": 0.5}],
        "clip": {
            "duration_s": 2.0,
            "level_dbfs": -26.5,
            "gain_db": 0.5,
            "snr_db": 40.0,
            "clipped_ratio": 0.0,
            "speech_ratio": 0.75,
            "leading_silence_s": 0.25,
            "trailing_silence_s": 0.25,
        },
        "model": "tiny@1",
    }
    assert row("a.wav", NULL)["null_reason"] == "no_speech"


def test_json_row_of_a_failure() -> None:
    """The class of the error and its message."""
    error = row("é.wav", CorruptAudioError("é.wav: cut short"))
    assert jsonl(error) == (
        '{"audio": "é.wav", "error": {"type": "CorruptAudioError", "message": "é.wav: cut short"}}\n'
    )
    assert json_text({"audio": "a"}) == '{\n  "audio": "a"\n}\n'


@pytest.mark.parametrize("name", ["txt", "srt", "vtt", "tsv"])
def test_only_json_can_tell_a_failure(name: str) -> None:
    """The other formats have no file for a clip that could not be read."""
    assert render("a.wav", FileNotFoundError("a.wav"), name) is None


def test_all_formats_render_a_transcript() -> None:
    """Each format of ``all`` gives a file that holds the text."""
    assert all("hello" in (render("a.wav", HELLO, name) or "") for name in ALL)


@given(st.lists(st.tuples(st.text("ab", min_size=1, max_size=50), st.integers(1, 90_000)), max_size=40))
def test_cues_keep_all_words_in_readable_lines(parts: list[tuple[str, int]]) -> None:
    """No word is lost or moved, and only a single word may exceed the limits of a line."""
    words, at = [], 0
    for text, length in parts:
        words.append((text, at / 16000, (at + length) / 16000))
        at += length + 160
    transcript = spoken(*words) if words else NULL
    found = cues(transcript)
    assert " ".join(cue.text for cue in found) == transcript.text
    for cue in found:
        assert " " not in cue.text or (len(cue.text) <= MAX_CHARACTERS and len(cue.span) <= MAX_DURATION)
    assert all(one.span.end <= other.span.start for one, other in pairwise(found))
