"""What was said, as things to search for: the sentence, and what is left of it without the words of asking.

In: readings of a clip, or a typed query. Out: `Form`s in words of a-z, numbers spelled out, one spelling a word. The
forms of several readings are one where they are the same words, and their probabilities add up.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from asr.catalog_build import spoken
from asr.spelling import preferred
from asr.transcript import Reading

MAX_READINGS = 5
_NEGLIGIBLE = 0.02  # of the likeliest form's probability: less likely ones cost more than they find
MAX_LETTERS = 400  # of a query that are looked at; a sentence of 30 words has some 160
MAX_WORDS = 16  # what is asked for is said by then; each word that the lexicon lacks costs 3 to 4 ms

# Words around what is asked for, the longest first; an opening may follow another ("hey computer find me").
_OPENINGS = """
can i get|can i have|can you find|can you find me|can you play|could i get|could i have|may i have|do you have
have you got|i want|i want to read|i want to hear|i want to listen to|i would like|i would like to read|i'd like
i'd like to read|i'll have|i'll take|i need|i'm looking for|i am looking for|let me have|let me get|get me|give me
make me|find|find me|show|show me|search|search for|look for|look up|looking for|play|play me|put on|read|read me
read to me|listen to|open|buy|order|download|borrow|what did|who wrote|who is the author of|books by|book by
novels by|novel by|something by|anything by|anything else by|stories by|plays by|poems by|works by|songs by
music by|the book|a book called|the book called|the novel|a novel called|the audiobook|the audiobook of|a copy of
a cup of|please|hey|hi|hello|okay|um|uh|er|well|computer|called
"""
_ENDINGS = "please|thanks|thank you|for me|audiobook|the audiobook|wrote|write"
_ARTICLES = ("the", "a", "an", "some", "any", "me", "my")


def _longest_first(phrases: str) -> str:
    return "|".join(sorted(re.split(r"[|\n]", phrases.strip()), key=len, reverse=True))


_OPENING = re.compile(rf"(?:(?:{_longest_first(_OPENINGS)}) )+")
_ENDING = re.compile(rf"(?: (?:{_longest_first(_ENDINGS)}))+$")
_ARTICLE = re.compile(rf"(?:{'|'.join(_ARTICLES)}) ")


@dataclass(frozen=True, slots=True)
class Form:
    """Words to search for, and the probability that they were said, or meant."""

    words: tuple[str, ...]
    probability: float

    @property
    def text(self) -> str:
        return " ".join(self.words)


def normalise(text: str) -> str:
    """Words of a-z and inner apostrophes, in the spelling that catalogues are indexed in; empty for anything else."""
    return " ".join(preferred(word) for word in spoken(text[:MAX_LETTERS]).split()[:MAX_WORDS])


def stripped(text: str) -> str:
    """``text`` without openings, endings and a leading article; itself where nothing would be left."""
    opening = _OPENING.match(f"{text} ")
    inner = _ENDING.sub("", text[opening.end() :] if opening else text)
    article = _ARTICLE.match(inner)
    return (inner[article.end() :] if article else inner) or text


def forms(readings: Sequence[Reading]) -> list[Form]:
    """What is left of each reading, and the best one as a whole: titles may begin like a request. Likeliest first."""
    found: dict[str, float] = {}
    heard = readings[:MAX_READINGS]
    total = max(1.0, sum(reading.probability for reading in heard))
    for at, reading in enumerate(heard):
        text = normalise(reading.text)
        for form in dict.fromkeys((stripped(text), text) if at == 0 else (stripped(text),)):
            if form:
                found[form] = found.get(form, 0.0) + reading.probability / total
    ranked = sorted(found, key=lambda form: -found[form])
    least = _NEGLIGIBLE * max(found.values(), default=0.0)
    return [Form(tuple(form.split()), min(1.0, found[form])) for form in ranked if found[form] >= least]
