"""``asr.labels`` and ``asr.spelling``: each check finds its case, and leaves a good row alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from asr import labels, spelling
from asr.errors import CorruptAudioError
from asr.evaluate import Judgement, judge
from asr.labels import Kind, Limits
from asr.manifest import Reference
from asr.report.pictures import wav
from asr.spelling import Breach
from asr.transcript import ClipStats, NullReason, Span, Transcript, Word

GOOD = ClipStats(2.0, -24.0, 0.0, 30.0, 0.0, 0.6, 0.3, 0.5)


def row(audio: str, text: str, **values: object) -> Reference:
    """A row of a manifest in ``/m``."""
    return Reference(audio, Path("/m") / audio, text, dict(values))


def judged(text: str, heard: str, clip: ClipStats = GOOD, sure: float = 0.9, **values: object) -> Judgement:
    """A clip ``a.wav`` with that label, in which that was heard."""
    words = tuple(Word(word, Span(0, 1), sure) for word in heard.split())
    reason = None if heard else NullReason.NO_SPEECH
    outcome = Transcript(heard, words, sure if heard else 0.0, reason, clip, "tiny@1", "en")
    return next(iter(judge(lambda _: outcome, [row("a.wav", text, **values)])))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Call Mum", [(Breach.CAPITALS, "Call", "call"), (Breach.CAPITALS, "Mum", "mum")]),
        ("set 2 timers", [(Breach.DIGITS, "2", "the number as it was said, in words")]),
        ("stop it!", [(Breach.PUNCTUATION, "it!", "it")]),
        ("well-known", [(Breach.PUNCTUATION, "well-known", "well known")]),
        ("a USB cable", [(Breach.ABBREVIATION, "USB", "u s b")]),
        ("in the u.s.a.", [(Breach.ABBREVIATION, "u.s.a.", "u s a")]),
        ("erm stop", [(Breach.FILLER, "erm", "um")]),
        ("my favourite", [(Breach.VARIANT, "favourite", "favorite")]),
        ("ok mr smith", [(Breach.VARIANT, "ok", "okay"), (Breach.VARIANT, "mr", "mister")]),
        ("alright", [(Breach.VARIANT, "alright", "all right")]),
        ("two  spaces", [(Breach.SPACES, "two  spaces", "one space between words, none around them")]),
        ("  ", [(Breach.EMPTY, "  ", "what was said, or no row for a clip without speech")]),
    ],
)
def test_breaches_of_the_guideline(text: str, expected: list[tuple[Breach, str, str]]) -> None:
    """Each rule names what it saw and what it wants."""
    assert [(p.breach, p.seen, p.wanted) for p in spelling.check(text)] == expected


@pytest.mark.parametrize("text", ["that's all right", "r as in romeo", "um play uh jazz", "o'clock", "i a"])
def test_good_transcripts_pass(text: str) -> None:
    """What the guideline asks for breaks no rule."""
    assert spelling.check(text) == []


def test_preferred_spellings_break_no_rule() -> None:
    """The check would otherwise ask for something that it refuses."""
    for wanted in (*spelling.VARIANTS.values(), *spelling.FILLERS.values()):
        assert spelling.check(wanted) == []
        assert all(spelling.preferred(word) == word for word in wanted.split())


def test_the_guideline_names_every_spelling_that_the_check_wants_first() -> None:
    """The page for people and the check agree on fillers and on the titles."""
    text = (Path(__file__).parent.parent / "data" / "GUIDELINE.md").read_text(encoding="utf-8")
    assert all(f"`{filler}`" in text for filler in set(spelling.FILLERS.values()))
    assert all(f"`{spelling.VARIANTS[title]}`" in text for title in ("mr", "mrs", "dr", "ok", "colour"))


def test_a_sound_without_speech_may_have_no_text() -> None:
    """A row that says why it has no text is no finding; one that does not is."""
    silent = row("a.wav", "", null_reason="no_speech")
    assert list(labels.guideline([silent])) == []
    assert [found.detail for found in labels.guideline([row("a.wav", "")])] == [Breach.EMPTY]


def test_the_same_prompt_with_another_text() -> None:
    """One speaker's files of one name must say the same; another speaker's need not."""
    rows = [
        row("near/p1.wav", "turn it on", speaker="s"),
        row("far/p1.flac", "turn it off", speaker="s"),
        row("far/p1.ogg", "Turn it on!", speaker="s"),
        row("x/p1.wav", "stop", speaker="t"),
    ]
    (found,) = labels.prompts(rows)
    assert (found.kind, found.audio, found.seen, found.expected, found.detail) == (
        Kind.PROMPT,
        "far/p1.flac",
        "turn it off",
        "turn it on",
        "near/p1.wav",
    )


def test_nearly_the_same_texts() -> None:
    """Words cut otherwise, one letter, another spelling; short texts and other words are different prompts."""
    rows = [
        row("1", "play my favourite ice cream song"),
        row("2", "play my favorite icecream song"),
        row("3", "turn off the kitchen light"),
        row("4", "turn off the kitchen lights"),
        row("5", "turn off the kitchen fan"),
        row("6", "call mum"),
        row("7", "call mom"),
        row("8", "turn off the kitchen light"),
    ]
    assert [(found.audio, found.detail) for found in labels.near(rows)] == [("2", "1"), ("4", "3")]


def test_the_same_audio_again() -> None:
    """With another text it is a contradiction, with the same one a repetition; unreadable clips are skipped."""
    rows = [row("1", "stop"), row("2", "go"), row("3", "Stop."), row("4", "play"), row("5", "x")]
    digests = {"1": "a", "2": "a", "3": "a", "4": "b", "5": None}
    found = list(labels.same_audio(rows, lambda reference: digests[reference.audio]))
    assert [(one.kind, one.audio, one.detail) for one in found] == [
        (Kind.AUDIO, "2", "1"),
        (Kind.REPEATED, "3", "1"),
    ]


def test_the_digest_is_of_the_sound(tmp_path: Path) -> None:
    """A copy under another name has the same digest, a sample more another one, no file none."""
    samples = np.linspace(-0.5, 0.5, 1600, dtype=np.float32)
    for name, part in (("a", samples), ("b", samples), ("c", samples[1:])):
        (tmp_path / name).write_bytes(wav(part))
    a, b, c, d = (labels.samples_digest(Reference(name, tmp_path / name, "")) for name in "abcd")
    assert a == b != c
    assert d is None


def test_missing_values() -> None:
    """What most rows have is missed in the others; what few have is not."""
    rows = [row("1", "a", speaker="s", take=1), row("2", "b", speaker="t"), row("3", "c", speaker="")]
    sound = row("4", "", null_reason="no_speech", speaker=None)
    (found,) = labels.missing([*rows, sound])
    assert (found.kind, found.audio, found.detail) == (Kind.MISSING, "3", "speaker")


@pytest.mark.parametrize(
    ("clip", "kind", "seen"),
    [
        (ClipStats(4.0, -24.0, 0, 30.0, 0, 0.4, 1.2, 0.2), Kind.LEADING, "1.2 s"),
        (ClipStats(4.0, -24.0, 0, 30.0, 0, 0.4, 0.2, 1.5), Kind.TRAILING, "1.5 s"),
        (ClipStats(2.0, -50.25, 0, 30.0, 0, 0.6, 0.2, 0.2), Kind.LEVEL, "-50.2 dBFS"),
        (ClipStats(2.0, -6.0, 0, 30.0, 0, 0.6, 0.2, 0.2), Kind.LEVEL, "-6.0 dBFS"),
        (ClipStats(2.0, -24.0, 0, 30.0, 0.02, 0.6, 0.2, 0.2), Kind.CLIPPED, "2.00% of samples"),
        (ClipStats(2.0, None, 0, None, 0, 0.0, 2.0, 0.0), Kind.SILENT, "no_speech"),
        (ClipStats(0.4, -24.0, 0, 30.0, 0, 0.5, 0.1, 0.1), Kind.RATE, "10.0 words/s"),
    ],
)
def test_odd_sound(clip: ClipStats, kind: Kind, seen: str) -> None:
    """Each limit has its finding, with the value; a good clip has none."""
    heard = "" if clip.level_dbfs is None else "call mum"
    found = {one.kind: one.seen for one in labels.clip(judged("call mum", heard, clip), Limits())}
    assert found[kind] == seen
    assert list(labels.clip(judged("call mum", "call mum"), Limits())) == []


def test_a_sound_without_speech_is_not_judged_as_speech() -> None:
    """Two seconds of hum have no words in a second and nothing but silence around the speech."""
    hum = ClipStats(2.0, None, 0, None, 0, 0.0, 2.0, 0.0)
    assert list(labels.clip(judged("", "", hum, null_reason="no_speech"), Limits())) == []


def test_a_duration_that_is_not_the_clips() -> None:
    """More than rounding to tenths explains."""
    (found,) = labels.clip(judged("call mum", "call mum", duration=2.4), Limits())
    assert (found.kind, found.seen, found.expected) == (Kind.DURATION, "2.00 s", "2.4 s")
    assert list(labels.clip(judged("call mum", "call mum", duration=2.1), Limits())) == []


def test_a_model_that_is_sure_of_something_else() -> None:
    """Sure and wrong is a finding; unsure and wrong is the model's own affair."""
    (found,) = labels.clip(judged("call mum now", "play jazz now"), Limits())
    assert (found.kind, found.expected, found.detail) == (
        Kind.MODEL,
        "play jazz now",
        "confidence 0.90, 2 errors",
    )
    assert list(labels.clip(judged("call mum now", "play jazz now", sure=0.5), Limits())) == []


def test_all_findings_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    """An unreadable clip is a finding too; the summary counts kinds."""

    def fail(_: Path) -> Transcript:
        raise CorruptAudioError("cut short")

    bad = next(iter(judge(fail, [Reference("bad.wav", tmp_path / "bad.wav", "Stop")])))
    found = labels.check([judged("Call mum", "call mum"), bad])
    assert [(one.audio, one.kind) for one in found] == [
        ("a.wav", Kind.GUIDELINE),
        ("bad.wav", Kind.GUIDELINE),
        ("bad.wav", Kind.UNREADABLE),
    ]
    assert labels.summary(found) == {"guideline": 2, "unreadable": 1}
    assert found[2].as_dict() == {
        "kind": "unreadable",
        "audio": "bad.wav",
        "seen": "cut short",
        "expected": "a clip that can be read",
        "detail": "CorruptAudioError",
    }
