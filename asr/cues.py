"""Words to subtitle cues: what fits a line and stays up for a readable time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Span, Transcript, Word

MAX_CHARACTERS = 42  # one line: BBC and Netflix subtitle guides
MAX_DURATION = 7 * SAMPLE_RATE_HZ  # samples; Netflix's limit
PAUSE = 700 * SAMPLES_PER_MS  # a silence this long ends a cue


@dataclass(frozen=True, slots=True)
class Cue:
    """One line of text and when it is shown, in samples of the clip."""

    text: str
    span: Span


def cues(transcript: Transcript, *, per_word: bool = False) -> list[Cue]:
    """The transcript as cues; one a word if ``per_word``. Without text there are none.

    A cue never exceeds ``MAX_CHARACTERS`` or ``MAX_DURATION`` unless its only word does.
    """
    lines: list[list[Word]] = []
    for word in transcript.words:
        if lines and not per_word and _fits(lines[-1], word):
            lines[-1].append(word)
        else:
            lines.append([word])
    return [Cue(_text(line), Span(line[0].span.start, line[-1].span.end)) for line in lines]


def _fits(line: Sequence[Word], word: Word) -> bool:
    return (
        len(_text(line)) + 1 + len(word.text) <= MAX_CHARACTERS
        and word.span.end - line[0].span.start <= MAX_DURATION
        and word.span.start - line[-1].span.end < PAUSE
    )


def _text(line: Sequence[Word]) -> str:
    return " ".join(word.text for word in line)
