"""How long a list of hotwords a client may send, whichever way: a word outside the lexicon takes a worker's time.

Pronouncing one takes up to 1.7 ms a letter, and more in long ones; a worker's time is everybody's.
"""

from __future__ import annotations

from collections.abc import Sequence

from asr.errors import OptionError
from asr.hotwords import MAX_PHRASES, Hotwords

MAX_LETTERS = 2_000
MAX_WORD_LETTERS = 40


def limited(phrases: Sequence[str]) -> Hotwords:
    """Hotwords of phrases within the limits. Raises OptionError, which names the limit and what was seen."""
    letters = sum(map(len, phrases))
    if len(phrases) > MAX_PHRASES or letters > MAX_LETTERS:
        raise OptionError(
            f"hotwords are {len(phrases)} phrases with {letters} letters; "
            f"at most {MAX_PHRASES} and {MAX_LETTERS} are taken"
        )
    longest = max((len(word) for phrase in phrases for word in phrase.split()), default=0)
    if longest > MAX_WORD_LETTERS:
        raise OptionError(f"a hotword has {longest} letters; at most {MAX_WORD_LETTERS} are taken")
    return Hotwords(tuple(phrases))
