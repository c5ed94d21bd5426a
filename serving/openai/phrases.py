"""What a client expects to hear becomes hotwords: the search leans towards them and never excludes anything else.

``keywords`` are phrases as they are, and a bad one is refused. ``prompt`` is whatever somebody writes for Whisper: a
list of names, a sentence of style, the text so far. Of that we take what can help. Between commas, line ends and
ends of sentences, up to `PHRASE_WORDS` words are a phrase; of a longer stretch its names are phrases, the runs of
words written with a capital or a digit, but for its first word. The other words of a sentence set a tone, and
nobody expects to hear them in the clip.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asr.hotwords import MAX_PHRASE_WORDS, MAX_PHRASES, Hotwords
from asr.wer import normalise
from serving.errors import InvalidParameterError
from serving.hotwords import MAX_LETTERS, MAX_WORD_LETTERS, fits
from serving.openai.form import quoted

PHRASE_WORDS = 4
BOUNDARY = re.compile(r"[,;:\n\r\t()\[\]\"“”]+|[.?!]+(?=\s|$)|\s[-–—]+\s")


@dataclass(frozen=True, slots=True)
class Expected:
    """Hotwords, if there are any; ``dropped`` where a prompt had nothing that we could use, or too much."""

    hotwords: Hotwords | None
    dropped: bool = False


def expected(prompt: str | None, keywords: Sequence[str]) -> Expected:
    """From the two parameters. Raises InvalidParameterError for a keyword that cannot be taken."""
    named = [_checked(keyword) for keyword in keywords]
    room = MAX_LETTERS - sum(map(len, named))
    if room < 0 or len(named) > MAX_PHRASES:
        raise InvalidParameterError(
            f"keywords are {len(named)} phrases with {MAX_LETTERS - room} letters; "
            f"at most {MAX_PHRASES} and {MAX_LETTERS} are taken",
            param="keywords",
        )
    wanted = list(dict.fromkeys(phrases(prompt or "")))
    # The end of a prompt is nearest to the clip: OpenAI's models read the last 224 tokens.
    taken: list[str] = []
    for phrase in reversed(wanted):
        room -= len(phrase)
        if room < 0 or len(named) + len(taken) >= MAX_PHRASES:
            break
        taken.append(phrase)
    found = (*named, *reversed(taken))
    dropped = bool(prompt and prompt.strip()) and (not taken or len(taken) < len(wanted))
    return Expected(Hotwords(found) if found else None, dropped)


def phrases(prompt: str) -> Iterator[str]:
    """Phrases in a free text, normalised, in order."""
    for stretch in BOUNDARY.split(prompt):
        words = stretch.split()
        found = [stretch] if len(words) <= PHRASE_WORDS else _names(words)
        yield from filter(_sayable, map(normalise, found))


def _names(words: Sequence[str]) -> Iterator[str]:
    run: list[str] = []
    for word in (*words[1:], ""):
        if any(letter.isupper() or letter.isdigit() for letter in word) and word not in ("I", "I'm", "I'll"):
            run.append(word)
        elif run:
            yield " ".join(run[:MAX_PHRASE_WORDS])
            run = []


def _sayable(phrase: str) -> bool:
    return bool(phrase) and fits(phrase.split())


def _checked(keyword: str) -> str:
    words = normalise(keyword).split()
    if not 1 <= len(words) <= MAX_PHRASE_WORDS or not fits(words):
        raise InvalidParameterError(
            f"a keyword is {quoted(keyword)}; expected 1 to {MAX_PHRASE_WORDS} words of the letters a to z, "
            f"each of at most {MAX_WORD_LETTERS}",
            param="keywords",
        )
    return " ".join(words)
