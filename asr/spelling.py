"""The written guideline (``data/GUIDELINE.md``) as a check: what in a transcript breaks it, and the form it wants.

A transcript in, breaches out. It knows nothing of audio.
"""

# ruff: noqa: SIM905 - a list of words reads best as one string

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

# What people write besides the one spelling that the guideline chose; the left is written, the right is wanted.
VARIANTS = {
    written: wanted.replace("_", " ")
    for written, wanted in (
        pair.split("=")
        for pair in """
    ok=okay o'kay=okay alright=all_right mr=mister mrs=missus dr=doctor
    colour=color colours=colors coloured=colored favourite=favorite favourites=favorites favour=favor honour=honor
    neighbour=neighbor neighbours=neighbors neighbourhood=neighborhood labour=labor behaviour=behavior
    centre=center theatre=theater metre=meter metres=meters litre=liter litres=liters kilometre=kilometer
    grey=gray programme=program cheque=check tyre=tire tyres=tires storey=story
    organise=organize realise=realize realised=realized recognise=recognize recognised=recognized
    travelling=traveling traveller=traveler cancelled=canceled jewellery=jewelry
    doughnut=donut doughnuts=donuts yoghurt=yogurt whisky=whiskey pyjamas=pajamas cosy=cozy mould=mold plough=plow
    """.split()
    )
}
FILLERS = {
    **dict.fromkeys(("umm", "uhm", "erm", "ehm"), "um"),
    **dict.fromkeys(("er", "uhh"), "uh"),
    **dict.fromkeys(("hmm", "hmmm", "mm", "mmm"), "hm"),
}


class Breach(StrEnum):
    """A rule of the guideline."""

    EMPTY = "empty_text"
    CAPITALS = "capitals"
    DIGITS = "digits"
    PUNCTUATION = "punctuation"
    SPACES = "spaces"
    ABBREVIATION = "spelled_letters"
    FILLER = "filler"
    VARIANT = "spelling_variant"


@dataclass(frozen=True, slots=True)
class Problem:
    """A breach, what was seen, and what the guideline wants there."""

    breach: Breach
    seen: str
    wanted: str


def check(text: str) -> list[Problem]:
    """What in the transcript breaks the guideline, each rule's cases in the order of the text."""
    if not text.strip():
        return [Problem(Breach.EMPTY, text, "what was said, or no row for a clip without speech")]
    found = []
    if text != " ".join(text.split()):
        found.append(Problem(Breach.SPACES, text, "one space between words, none around them"))
    for word in text.split():
        found += _word(word)
    return found


def preferred(word: str) -> str:
    """The guideline's spelling of a lower-case word."""
    return VARIANTS.get(word, FILLERS.get(word, word))


def _word(word: str) -> list[Problem]:
    lower = word.lower()
    bare = lower.strip('.,;:!?"()')
    if re.fullmatch(r"(?:[A-Za-z]\.){2,}[A-Za-z]?", word) or re.fullmatch(r"[A-Z]{2,5}", word):
        return [Problem(Breach.ABBREVIATION, word, " ".join(re.findall("[a-z]", lower)))]
    found = []
    if re.search(r"\d", word):
        found.append(Problem(Breach.DIGITS, word, "the number as it was said, in words"))
    if word != lower:
        found.append(Problem(Breach.CAPITALS, word, lower))
    if bare in VARIANTS:
        found.append(Problem(Breach.VARIANT, word, VARIANTS[bare]))
    elif bare in FILLERS:
        found.append(Problem(Breach.FILLER, word, FILLERS[bare]))
    elif re.search(r"[^a-z0-9']", lower) or re.search(r"^'|'$", lower):
        wanted = " ".join(re.findall(r"[a-z0-9]+(?:'[a-z]+)*", lower))
        found.append(Problem(Breach.PUNCTUATION, word, wanted or "nothing"))
    return found
