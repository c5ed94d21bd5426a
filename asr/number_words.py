"""Numbers in words: "42" is "forty two", "3rd" is "third", "1999" is "nineteen ninety nine".

In: whole numbers, or a written text. Out: lower-case words without hyphens, as a lexicon has them.
"""

# ruff: noqa: SIM905 - a list of words reads best as one string

from __future__ import annotations

import re

UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()
ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
).split()

_LARGEST = 999_999  # of `cardinal`; beyond it digits are read one by one
_NUMBER = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(st\b|nd\b|rd\b|th\b)?(?:\.(\d+))?")
_YEARS = range(1100, 2100)


def cardinal(number: int) -> str:
    """A number from 0 to 999,999 in words: ``cardinal(342)`` is "three hundred forty two"."""
    assert 0 <= number <= _LARGEST, number
    if number < 20:
        return UNITS[number]
    for size, name in ((1000, "thousand"), (100, "hundred")):
        if number >= size:
            rest = f" {cardinal(number % size)}" if number % size else ""
            return f"{cardinal(number // size)} {name}{rest}"
    return TENS[number // 10] + (f" {UNITS[number % 10]}" if number % 10 else "")


def ordinal(number: int) -> str:
    """A rank from 1 to 99 in words: ``ordinal(21)`` is "twenty first"."""
    assert 1 <= number < 100, number
    if number <= 20:
        return ORDINALS[number - 1]
    tens, unit = divmod(number, 10)
    return f"{TENS[tens]} {ORDINALS[unit - 1]}" if unit else TENS[tens].removesuffix("y") + "ieth"


def spell_out(text: str) -> str:
    """``text`` with its numbers in words, set apart by spaces; everything else stays.

    Four digits from 1100 to 2099 are read as a year, a leading zero and what is too long digit by digit.
    """
    return _NUMBER.sub(lambda match: f" {_spoken(match[1], match[2], match[3])} ", text)


def _spoken(digits: str, rank: str | None, decimals: str | None) -> str:
    number = int(digits.replace(",", ""))
    if decimals is not None:
        return f"{_spoken(digits, None, None)} point {_one_by_one(decimals)}"
    if rank and 1 <= number < 100:
        return ordinal(number)
    if number > _LARGEST or (digits.startswith("0") and len(digits) > 1):
        return _one_by_one(digits.replace(",", ""))
    if number in _YEARS and "," not in digits and number % 1000 >= 10:
        return _year(number)
    return cardinal(number)


def _year(number: int) -> str:
    century, rest = divmod(number, 100)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"


def _one_by_one(digits: str) -> str:
    return " ".join(UNITS[int(digit)] for digit in digits)
