"""Phrases of a client become hotwords within limits: one rule for REST, streams and Wyoming."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from asr.hotwords import MAX_PHRASE_WORDS, MAX_PHRASES, Hotwords
from asr.wer import normalise
from serving.errors import InvalidParameterError

# A word outside the lexicon takes up to 1.7 ms a letter to be pronounced, and a worker's time is everybody's.
MAX_LETTERS = 2_000
MAX_WORD_LETTERS = 40
SHOWN = 40  # letters of a phrase in a message


def fits(words: Iterable[str]) -> bool:
    """Whether every word is short enough to be pronounced."""
    return all(len(word) <= MAX_WORD_LETTERS for word in words)


def within_limits(phrases: Sequence[str], param: str) -> Hotwords | None:
    """Hotwords of these phrases, None for no phrase. Raises InvalidParameterError beyond a limit, before any work."""
    letters = sum(map(len, phrases))
    if len(phrases) > MAX_PHRASES or letters > MAX_LETTERS:
        raise InvalidParameterError(
            f"{param} are {len(phrases)} phrases with {letters} letters; "
            f"at most {MAX_PHRASES} and {MAX_LETTERS} are taken",
            param=param,
        )
    for phrase in phrases:
        # Normalising may make a word longer: digits are spelt out.
        if not fits(normalise(phrase).split()):
            raise InvalidParameterError(
                f"{param}: {json.dumps(phrase[:SHOWN])} has a word of more than {MAX_WORD_LETTERS} letters",
                param=param,
            )
    return Hotwords(tuple(phrases)) if phrases else None


def hints(given: Iterable[object]) -> Hotwords | None:
    """Of what a client sends unasked: the first that can be said, as far as the limits go; the others are left out."""
    taken: list[str] = []
    room = MAX_LETTERS
    for looked_at, hint in enumerate(given):
        if looked_at >= MAX_PHRASES:
            break
        if not isinstance(hint, str) or len(hint) > room:
            continue
        words = normalise(hint).split()
        if 1 <= len(words) <= MAX_PHRASE_WORDS and fits(words):
            taken.append(hint)
            room -= len(hint)
    return Hotwords(tuple(taken)) if taken else None
