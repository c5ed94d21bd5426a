"""What the synthesiser says: an endless draw of short English phrases for a voice-search recogniser.

In: lines of running text (lower case, a-z and inner apostrophes) and a list of single words.
Out: ``Phrase``, the training label beside the spelling that makes a synthesiser pronounce it.
It ignores punctuation and sentence ends: voice search has neither.
"""

# ruff: noqa: SIM905 - a list of words reads best as one string

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from asr.train.numbers import number_phrase
from asr.train.queries import expand, search_template

# Synthesisers read these as abbreviations ("st" becomes "street"), so label and sound would differ.
_ABBREVIATIONS = frozenset(
    "mr mrs dr drs st lt sgt jr sr vs etc ii iii iv vi vii viii ix gr ft lbs oz rd ave esq ll ahh".split()
)
_VOWEL = re.compile("[aeiouy]")

# "a" alone would be read as the article, and "z" as "zed" by the British voices while labels say "zee".
_LETTER_NAMES = {"A": "eigh", "Z": "zee"}

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = "zero oh one two three four five six seven eight nine".split()

_COMMANDS = """yes|no|up|down|left|right|on|off|stop|go|play|pause|next|previous|back|forward|home|help
    |cancel|okay|resume|repeat|louder|quieter|mute|unmute|open|close|start|end|more|less|menu|search|send|delete|undo|redo
    |select|enter|exit|wake up|sleep|hello|hi|thanks|thank you|good morning|good night|never mind|shut down
    |volume up|volume down|turn left|turn right|go back|go home|lights on|lights off|next song|skip
    |skip this|not now|yes please|no thanks|call home|take a picture|read it again|what time is it
    |hey siri|hey google|okay google|alexa|computer|hey jarvis|hey computer|hey assistant|hello computer
    |marvin|sheila|bed|bird|cat|dog|happy|house|tree|wow|follow|learn|visual|zoom in|zoom out|scroll down
    |scroll up|page down|page up|new line|full stop|comma|question mark""".replace("\n", "").split("|")
COMMANDS = tuple(command.strip() for command in _COMMANDS)


@dataclass(frozen=True, slots=True)
class Phrase:
    """One thing to say: ``text`` is the label, ``spoken`` the same words spelled for a synthesiser."""

    text: str
    spoken: str


def phrase(script: str) -> Phrase:
    """Phrase from a script: words in lower case, letters to be spelled in upper case, commas for pauses."""
    text = " ".join(script.replace(",", " ").lower().split())
    spoken = " ".join(_LETTER_NAMES.get(word, word.lower()) for word in script.replace(",", " , ").split())
    return Phrase(text, spoken.replace(" ,", ","))


def speakable(words: Sequence[str]) -> bool:
    """Whether a synthesiser will read each word as a word: no abbreviation, no bare consonants."""
    return bool(words) and all(_speakable(word) for word in words)


def _speakable(word: str) -> bool:
    if len(word) == 1:
        return word in "aio"
    return word not in _ABBREVIATIONS and _VOWEL.search(word) is not None


class PhraseSource:
    """Draws phrases of every kind, in the shares of ``SHARES``; the same seed gives the same phrases.

    ``lines`` is running text, ``vocabulary`` the words that may be said alone.
    """

    SHARES: ClassVar[Mapping[str, int]] = {"clause": 55, "search": 20, "spelled": 8, "number": 7, "word": 10}

    def __init__(self, lines: Sequence[str], vocabulary: Sequence[str], seed: int) -> None:
        assert lines, "clauses are cut from lines"
        assert vocabulary, "single words are drawn from the vocabulary"
        self._lines = lines
        self._vocabulary = vocabulary
        self._random = random.Random(seed)

    def draw(self) -> Phrase:
        """One phrase of a random kind."""
        kinds: dict[str, Callable[[], str]] = {
            "clause": self.clause,
            "search": self.search,
            "spelled": self.spelled,
            "number": lambda: number_phrase(self._random),
            "word": self.word,
        }
        (kind,) = self._random.choices(list(self.SHARES), list(self.SHARES.values()))
        return phrase(kinds[kind]())

    def clause(self) -> str:
        """Consecutive words of one line, mostly 3 to 12."""
        shortest, longest = self._random.choices([(1, 2), (3, 12), (13, 22)], [8, 78, 14])[0]
        return self._cut(self._random.randint(shortest, longest))

    def search(self) -> str:
        """A voice-search request, its titles cut from running text."""
        template = search_template(self._random)
        while "{title}" in template:
            template = template.replace("{title}", self._cut(self._random.randint(1, 4)), 1)
        while "{thing}" in template:
            template = template.replace("{thing}", self._random.choice(self._vocabulary), 1)
        return expand(template, self._random)

    def spelled(self) -> str:
        """Letters one by one: a word, an arbitrary code, or letters among digits."""
        kind = self._random.choices(
            ["word", "code", "mix", "as in", "word and spelling"], [40, 25, 20, 7, 8]
        )[0]
        if kind == "code":
            symbols = self._random.choices(_LETTERS, k=self._random.choice([1, 1, 2, 2, 3, 3, 4, 5, 6, 7]))
        elif kind == "mix":
            symbols = self._random.choices([*_LETTERS, *_DIGITS, *_DIGITS], k=self._random.randint(2, 7))
        else:
            word = self._random.choice(self._vocabulary)
            symbols = list(word.replace("'", "").upper())[: self._random.randint(3, 9)]
            if kind == "as in":
                return f"{symbols[0]} as in {word}"
            if kind == "word and spelling":
                return f"{word} {' '.join(symbols)}"
        return self._random.choice([" ", " ", ", "]).join(symbols)

    def word(self) -> str:
        """One word, a pair of words, or a short command."""
        kind = self._random.choices(["one", "two", "command"], [50, 20, 30])[0]
        if kind == "command":
            return self._random.choice(COMMANDS)
        return " ".join(self._random.choices(self._vocabulary, k=1 if kind == "one" else 2))

    def _cut(self, count: int) -> str:
        """Up to ``count`` consecutive words of a random line, all of them speakable."""
        for attempt in itertools.count():
            words = self._random.choice(self._lines).split()
            wanted = max(1, count - attempt // 20)  # in a small text every long piece may be unspeakable
            start = self._random.randint(0, max(0, len(words) - wanted))
            cut = words[start : start + wanted]
            if speakable(cut):
                return " ".join(cut)
        raise AssertionError("unreachable")
