"""Numbers as people say them: digit strings, telephone numbers, amounts, dates and times, in words.

In: a random source. Out: a script for ``phrases.phrase``, where upper-case letters are spelled ("P M").
"""

# ruff: noqa: SIM905 - a list of words reads best as one string

from __future__ import annotations

import random

from asr.number_words import UNITS
from asr.number_words import cardinal as cardinal
from asr.number_words import ordinal as ordinal

MONTHS = "january february march april may june july august september october november december".split()
DAYS = "monday tuesday wednesday thursday friday saturday sunday".split()


def number_phrase(source: random.Random) -> str:
    """One spoken number of a random kind."""
    kinds = [_digits, _telephone, _cardinal, _date, _time, _amount, _year]
    return source.choices(kinds, [28, 12, 22, 12, 12, 8, 6])[0](source)


def clock(source: random.Random) -> str:
    """A time of day: "seven thirty P M", "quarter past six"."""
    hour = UNITS[source.randint(1, 12)]
    minute = source.randint(1, 59)
    exact = cardinal(minute) if minute > 9 else f"oh {UNITS[minute]}"
    return source.choice(
        [
            f"{hour} o'clock",
            f"{source.choice(['half past', 'quarter past', 'quarter to', 'ten past', 'five to'])} {hour}",
            f"{hour} {exact}",
            f"{hour} {exact} {source.choice('AP')} M",
            f"{hour} {source.choice('AP')} M",
        ]
    )


def _digits(source: random.Random) -> str:
    return " ".join(_digit(source) for _ in range(source.choice([1, 1, 2, 3, 3, 4, 4, 5, 6, 7, 8])))


def _digit(source: random.Random) -> str:
    return source.choice([*UNITS[:10], "oh"])


def _telephone(source: random.Random) -> str:
    groups = source.choice([(3, 3, 4), (3, 4), (5, 6), (4, 3, 3)])
    return ", ".join(" ".join(_digit(source) for _ in range(size)) for size in groups)


def _cardinal(source: random.Random) -> str:
    number = cardinal(source.randrange(source.choice([20, 100, 100, 1000, 10_000, 1_000_000])))
    if source.random() < 0.4:
        number = number.replace("hundred ", "hundred and ")
    return number


def _date(source: random.Random) -> str:
    day, month = ordinal(source.randint(1, 31)), source.choice(MONTHS)
    return source.choice(
        [
            f"{month} {day}",
            f"the {day} of {month}",
            f"{source.choice(DAYS)} {month} {day}",
            f"{month} {day} {_year(source)}",
            f"{source.choice(['this', 'next', 'on', 'last'])} {source.choice(DAYS)}",
        ]
    )


def _time(source: random.Random) -> str:
    return f"{source.choice(['', '', 'at ', 'at about ', 'tomorrow at '])}{clock(source)}"


def _amount(source: random.Random) -> str:
    count = cardinal(source.randint(2, 99))
    return source.choice(
        [
            f"{count} dollars and {cardinal(source.randint(2, 99))} cents",
            f"{count} pounds {cardinal(source.randint(2, 99))}",
            f"{count} percent",
            f"{count} {source.choice(['degrees', 'miles', 'minutes', 'kilometers', 'grams', 'hours'])}",
            f"{UNITS[source.randint(0, 9)]} point {_digits(source)}",
        ]
    )


def _year(source: random.Random) -> str:
    if source.random() < 0.3:
        return f"two thousand {source.choice(['', 'and '])}{UNITS[source.randint(1, 19)]}"
    century = source.choice(["seventeen", "eighteen", "nineteen", "twenty"])
    return f"{century} {cardinal(source.randint(10, 99))}"
