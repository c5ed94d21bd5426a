"""Labels and clips that somebody should look at: broken rules, contradictions, odd sound, missing values.

A manifest's judgements in (what the model heard, and the clip's statistics); typed `Finding`s out, in the order of
the manifest. Nothing is changed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from asr import audio, spelling
from asr.errors import AudioError
from asr.evaluate import Judgement
from asr.manifest import Reference
from asr.transcript import Transcript
from asr.wer import char_errors, normalise

EMPTY = (None, "")
COMMON = 0.5  # a key that at least this share of the rows has is missed in the others


class Kind(StrEnum):
    """What is wrong, coarsely; the rules of the guideline are `spelling.Breach`."""

    GUIDELINE = "guideline"
    PROMPT = "same_prompt_other_text"
    NEAR = "nearly_the_same_text"
    AUDIO = "same_audio_other_text"
    REPEATED = "same_audio_again"
    MODEL = "model_disagrees"
    LEADING = "leading_silence"
    TRAILING = "trailing_silence"
    LEVEL = "level"
    CLIPPED = "clipped"
    SILENT = "no_speech_found"
    RATE = "words_per_second"
    MISSING = "missing_value"
    DURATION = "duration_differs"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a clip begins to be odd. ``sure`` and ``wrong``: words so sure on average, and so many of them wrong."""

    silence_s: float = 1.0
    min_level_dbfs: float = -45.0
    max_level_dbfs: float = -10.0
    clipped_ratio: float = 0.001
    min_words_per_s: float = 0.4
    max_words_per_s: float = 6.0
    duration_s: float = 0.15  # manifests give tenths
    sure: float = 0.8
    wrong: float = 0.3


@dataclass(frozen=True, slots=True)
class Finding:
    """What is odd about a clip: ``seen`` against ``expected``, both for people; ``detail`` is the rule, or rows."""

    kind: Kind
    audio: str
    seen: str
    expected: str
    detail: str = ""

    def as_dict(self) -> dict[str, str]:
        """The public form."""
        return {
            "kind": str(self.kind),
            "audio": self.audio,
            "seen": self.seen,
            "expected": self.expected,
            "detail": self.detail,
        }


Digest = Callable[[Reference], str | None]


def check(judgements: Sequence[Judgement], limits: Limits | None = None) -> tuple[Finding, ...]:
    """All checks; reads every clip once more, for its digest."""
    bounds = limits or Limits()
    references = [judgement.reference for judgement in judgements]
    found = [
        *guideline(references),
        *prompts(references),
        *near(references),
        *same_audio(references, samples_digest),
        *missing(references),
        *(finding for judgement in judgements for finding in clip(judgement, bounds)),
    ]
    place = {reference.audio: at for at, reference in reversed(list(enumerate(references)))}
    return tuple(sorted(found, key=lambda finding: (place[finding.audio], finding.kind)))


def summary(findings: Iterable[Finding]) -> dict[str, int]:
    """How many of each kind, most first."""
    return dict(Counter(str(finding.kind) for finding in findings).most_common())


def guideline(references: Iterable[Reference]) -> Iterator[Finding]:
    """Transcripts that break a rule of ``data/GUIDELINE.md``."""
    for reference in references:
        if _wordless(reference):
            continue
        for problem in spelling.check(reference.text):
            yield Finding(Kind.GUIDELINE, reference.audio, problem.seen, problem.wanted, problem.breach)


def prompts(references: Iterable[Reference]) -> Iterator[Finding]:
    """Files of one name from one speaker, in other folders or formats, with another text."""
    first: dict[tuple[str, str], Reference] = {}
    for reference in references:
        speaker = str(reference.values.get("speaker", ""))
        before = first.setdefault((speaker, PurePosixPath(reference.audio).stem), reference)
        if normalise(before.text) != normalise(reference.text):
            yield Finding(Kind.PROMPT, reference.audio, reference.text, before.text, before.audio)


def near(references: Sequence[Reference]) -> Iterator[Finding]:
    """Texts of four words and more that differ in how words are cut, or in one letter of a longer word."""
    first: dict[str, Reference] = {}
    for reference in references:
        first.setdefault(normalise(reference.text), reference)
    by_letters: dict[str, Reference] = {}
    by_rest: dict[tuple[int, tuple[str, ...]], list[tuple[str, Reference]]] = {}
    for text, reference in first.items():
        words = text.split()
        if len(words) < 4:
            continue
        together = by_letters.setdefault("".join(map(spelling.preferred, words)), reference)
        if together is not reference:
            yield Finding(Kind.NEAR, reference.audio, text, normalise(together.text), together.audio)
            continue
        for at, word in enumerate(words):
            others = by_rest.setdefault((at, (*words[:at], *words[at + 1 :])), [])
            for other, before in others:
                if min(len(word), len(other)) >= 4 and char_errors(word, other).errors == 1:
                    yield Finding(Kind.NEAR, reference.audio, text, normalise(before.text), before.audio)
            others.append((word, reference))


def same_audio(references: Iterable[Reference], digest: Digest) -> Iterator[Finding]:
    """Clips with the samples of an earlier one: with another text, or simply twice."""
    first: dict[str, Reference] = {}
    for reference in references:
        if (key := digest(reference)) is None:
            continue
        before = first.setdefault(key, reference)
        if before is not reference:
            same = normalise(before.text) == normalise(reference.text)
            kind = Kind.REPEATED if same else Kind.AUDIO
            yield Finding(kind, reference.audio, reference.text, before.text, before.audio)


def missing(references: Sequence[Reference]) -> Iterator[Finding]:
    """Values that most rows have and this one lacks; a sound that is no speech needs none."""
    spoken = [reference for reference in references if not _wordless(reference)]
    known = Counter(
        key for reference in spoken for key, value in reference.values.items() if value not in EMPTY
    )
    common = [key for key, count in known.items() if count >= COMMON * len(spoken)]
    for reference in spoken:
        for key in common:
            if reference.values.get(key) in EMPTY:
                yield Finding(Kind.MISSING, reference.audio, "nothing", f"{known[key]} rows have it", key)


def clip(judgement: Judgement, limits: Limits) -> Iterator[Finding]:
    """What is odd about the sound, and about what the model heard in it."""
    name, outcome = judgement.reference.audio, judgement.outcome
    if not isinstance(outcome, Transcript):
        yield Finding(Kind.UNREADABLE, name, str(outcome), "a clip that can be read", type(outcome).__name__)
        return
    stats = outcome.clip
    if stats.clipped_ratio > limits.clipped_ratio:
        seen, expected = f"{stats.clipped_ratio:.2%} of samples", f"at most {limits.clipped_ratio:.2%}"
        yield Finding(Kind.CLIPPED, name, seen, expected)
    if judgement.reference.text:
        yield from _speech(judgement, outcome, limits)


def _speech(judgement: Judgement, outcome: Transcript, limits: Limits) -> Iterator[Finding]:
    """What is odd about speech that has a text."""
    name, stats = judgement.reference.audio, outcome.clip
    for kind, silence in ((Kind.LEADING, stats.leading_silence_s), (Kind.TRAILING, stats.trailing_silence_s)):
        if silence > limits.silence_s:
            yield Finding(kind, name, f"{silence:.1f} s", f"at most {limits.silence_s:g} s")
    if stats.level_dbfs is None:
        yield Finding(Kind.SILENT, name, str(outcome.null_reason), "speech")
    if stats.level_dbfs is not None and not (
        limits.min_level_dbfs <= stats.level_dbfs <= limits.max_level_dbfs
    ):
        expected = f"{limits.min_level_dbfs:g} to {limits.max_level_dbfs:g} dBFS"
        yield Finding(Kind.LEVEL, name, f"{stats.level_dbfs:.1f} dBFS", expected)
    yield from _length(judgement, outcome, limits)
    sure = _sureness(outcome)
    if sure >= limits.sure and judgement.words.rate >= limits.wrong:
        detail = f"confidence {sure:.2f}, {judgement.words.errors} errors"
        yield Finding(Kind.MODEL, name, judgement.reference.text, outcome.text, detail)


def samples_digest(reference: Reference) -> str | None:
    """SHA-256 of the decoded samples, so that a copy in another lossless format is found; None if unreadable."""
    try:
        return hashlib.sha256(audio.decode(reference.path).tobytes()).hexdigest()
    except (AudioError, OSError):
        return None


def _wordless(reference: Reference) -> bool:
    """Whether the row is one of a sound without speech, on purpose: it says why there is no text."""
    return not reference.text and bool(reference.values.get("null_reason"))


def _sureness(outcome: Transcript) -> float:
    """Mean confidence of the words: the clip's own is that of having all of them right, which long ones never are."""
    if not outcome.words:
        return outcome.confidence
    return sum(word.confidence for word in outcome.words) / len(outcome.words)


def _length(judgement: Judgement, outcome: Transcript, limits: Limits) -> Iterator[Finding]:
    reference, stats = judgement.reference, outcome.clip
    stated: Any = reference.values.get("duration")
    if isinstance(stated, int | float) and abs(stated - stats.duration_s) > limits.duration_s:
        yield Finding(Kind.DURATION, reference.audio, f"{stats.duration_s:.2f} s", f"{stated:g} s")
    speech_s = stats.duration_s * stats.speech_ratio
    if speech_s > 0:
        rate = len(normalise(reference.text).split()) / speech_s
        if not limits.min_words_per_s <= rate <= limits.max_words_per_s:
            expected = f"{limits.min_words_per_s:g} to {limits.max_words_per_s:g}"
            yield Finding(Kind.RATE, reference.audio, f"{rate:.1f} words/s", expected)
