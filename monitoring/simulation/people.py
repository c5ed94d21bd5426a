"""Simulated people: they want something, say it, look at what they get, and run out of patience.

A `Person` has traits for life; `sit` is one sitting. It is a generator: it yields what the person does (`Say`, `Type`,
`Open`, `Tell`), and after `Say` and `Type` it is sent what they get to see (`Shown`). It knows of no clock, server or
pool, so that the same people search in simulated time (`traffic`) and at a running server (`scripts/simulate_traffic`).

Every number below is an assumption, in the direction of what was published; replace them by your own logs.

- People who were misheard mostly say it again, otherwise or more clearly: Jiang, Jeng and He (SIGIR 2013).
- They seldom change between voice and keyboard; who does was mostly misheard: Shokouhi et al. (SIGIR 2014).
- Results further down are looked at less, as 1 / place: Joachims, Swaminathan and Schnabel (WSDM 2017).
- Many are content with what the list says and open nothing: Li, Huffman and Tokuda (SIGIR 2009).
- Who opened the right thing stays: half a minute and more (Fox et al., TOIS 2005); who did not is back in seconds.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from monitoring.record import EventType
from monitoring.simulation.pool import Wish

# Traits. Shares of people, or a mean and a spread over people.
DEVICES = {"phone": 60, "speaker": 20, "watch": 8, "car": 12}
LOCALES = {"en-US": 62, "en-GB": 18, "en-IN": 12, "en-AU": 8}
LEVEL_SPREAD_DB = 3.0  # of a person's voice and way to hold the device, on top of each query's own
HOME_SNR_DB, HOME_SNR_SPREAD_DB = 33.0, 7.0  # of the place where they mostly speak
PATIENCE, PATIENCE_SPREAD = 0.80, 0.12  # the chance to go on after a first failure
TYPIST, TYPIST_SPREAD = 1.0, 0.6  # how readily compared with others; log-normal
ACTIVE_SPREAD = 1.0  # of the log of how often somebody searches: a few search much

# A sitting.
ANOTHER_WISH = 0.35  # the chance of one more
TYPES_ANEW = 0.05  # of a new wish that is typed at once
MOST_TRIES = 5

# What is shown.
PLACE_POWER = 1.0  # seen with place ** -power
OPENS_SEEN = 0.7  # who sees what they want opens it; the others are content
OPENS_WRONG = 0.08  # opens something else by mistake
SLOW_S, SLOW_PATIENCE = 1.0, 0.85  # patience times this for each second longer than that

# After a failure: weights. Nothing was shown after a null result, so nothing suggests to put it otherwise.
REPEATS, REPHRASES, TYPES = 50.0, 30.0, 10.0
NULL_REPEATS, NULL_REPHRASES, NULL_TYPES = 65.0, 15.0, 10.0
TYPES_GROWS = 1.8  # times this with each failure more
PATIENCE_FALLS = 0.85

# Seconds: median and spread (of a log-normal).
AGAIN_S, NEW_S, LOOKS_S = (4.5, 0.5), (30.0, 0.7), (2.5, 0.5)
READS_S, BOUNCES_S = (45.0, 0.7), (4.0, 0.4)
TYPING_S_A_LETTER = 0.3

# Apps that tell of a redo or a switch themselves; of the others it must be inferred.
TELLS = 0.25


class Why(StrEnum):
    """Why a query is asked."""

    NEW = "new"
    REPEAT = "repeat"
    REPHRASE = "rephrase"
    TYPED = "typed"  # after it was misheard
    TYPED_NEW = "typed new"  # from habit


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, for life. ``luck`` in [0, 1) decides which incidents strike them: one number an incident."""

    number: int
    device: str
    locale: str
    level_db: float
    snr_db: float
    patience: float
    typist: float
    tells: bool
    luck: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Say:
    """Speak, ``after_s`` what came before: sentence ``way`` of a wish."""

    after_s: float
    wish: Wish
    way: int
    why: Why


@dataclass(frozen=True, slots=True)
class Type:
    """Type what a wish is called."""

    after_s: float
    wish: Wish
    why: Why


@dataclass(frozen=True, slots=True)
class Open:
    """Open the result at a place, from 1, of the last list; ``right``: it is what was wanted."""

    after_s: float
    place: int
    right: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """The app says so itself, of the last query."""

    after_s: float
    type: EventType
    text: str = ""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the person gets to see: the place of what they want (None: not there), how many results, and how late."""

    rank: int | None
    count: int
    took_s: float
    text: bool = True  # something was understood


Act = Say | Type | Open | Tell
Acts = Generator[Act, Shown | None, None]


class Population:
    """Everybody. The same seed gives the same people, however many incidents there are."""

    def __init__(self, count: int, incidents: int, seed: int) -> None:
        source = random.Random(f"activity {seed}")
        # How often each searches, relative to the others.
        self._active = list(accumulate(math.exp(source.gauss(0.0, ACTIVE_SPREAD)) for _ in range(count)))
        self._incidents, self._seed = incidents, seed
        self._known: dict[int, Person] = {}

    def draw(self, source: random.Random) -> Person:
        """Somebody who comes now: those who search much come often."""
        number = bisect(self._active, source.random() * self._active[-1])
        person = self._known.get(number)
        if person is None:  # who never comes costs nothing
            traits = random.Random(f"person {self._seed} {number}")
            person = self._known[number] = born(number, self._incidents, traits)
        return person


def born(number: int, incidents: int, source: random.Random) -> Person:
    """A person with traits of their own."""
    return Person(
        number,
        _choice(DEVICES, source),
        _choice(LOCALES, source),
        source.gauss(0.0, LEVEL_SPREAD_DB),
        source.gauss(HOME_SNR_DB, HOME_SNR_SPREAD_DB),
        min(0.98, max(0.1, source.gauss(PATIENCE, PATIENCE_SPREAD))),
        TYPIST * math.exp(source.gauss(0.0, TYPIST_SPREAD)),
        source.random() < TELLS,
        tuple(source.random() for _ in range(incidents)),  # last: what comes before stays as it is
    )


def sit(person: Person, wish: Callable[[], Wish], source: random.Random) -> Acts:
    """One sitting: wishes, one after the other; each pursued until it is fulfilled or given up."""
    after_s = 0.0
    while True:
        after_s = yield from _pursue(person, wish(), after_s, source)
        if source.random() >= ANOTHER_WISH:
            return
        after_s += _seconds(NEW_S, source)


def _pursue(
    person: Person, wish: Wish, after_s: float, source: random.Random
) -> Generator[Act, Shown | None, float]:
    """Ask until served or tired. Returns the seconds that the last thing done goes on for."""
    way = source.randrange(len(wish.ways))
    types = source.random() < TYPES_ANEW * person.typist
    act: Say | Type = Type(after_s, wish, Why.TYPED_NEW) if types else Say(after_s, wish, way, Why.NEW)
    patience = person.patience
    for tries in range(1, MOST_TRIES + 1):
        shown = yield act
        assert shown is not None, "send what is shown"
        served, keeps_s = yield from _look(shown, source)
        if served:
            return keeps_s
        typed = isinstance(act, Type)
        late = max(0.0, shown.took_s - SLOW_S)
        if tries == MOST_TRIES or typed or source.random() >= patience * SLOW_PATIENCE**late:
            break
        patience *= PATIENCE_FALLS
        why = _next(shown, person, tries, source)
        again_s = keeps_s + _seconds(AGAIN_S, source)
        if person.tells:
            typing = why is Why.TYPED
            yield Tell(
                again_s, EventType.TYPED if typing else EventType.REDO, wish.typed.text if typing else ""
            )
            again_s = 0.3
        if why is Why.TYPED:
            act = Type(again_s + TYPING_S_A_LETTER * len(wish.typed.text), wish, why)
            continue
        if why is Why.REPHRASE:
            way = (way + source.randrange(1, len(wish.ways))) % len(wish.ways)
        act = Say(again_s, wish, way, why)
    if person.tells:
        yield Tell(keeps_s + 1.0, EventType.DISMISS)
        return 0.0
    return keeps_s


def _look(shown: Shown, source: random.Random) -> Generator[Act, Shown | None, tuple[bool, float]]:
    """Look at the list: whether it serves, and for how many seconds what was opened keeps the person."""
    if shown.rank is not None and source.random() < shown.rank**-PLACE_POWER:
        if source.random() >= OPENS_SEEN:
            return True, 0.0
        yield Open(_seconds(LOOKS_S, source), shown.rank, right=True)
        return True, _seconds(READS_S, source)
    if shown.count and source.random() < OPENS_WRONG:
        yield Open(
            _seconds(LOOKS_S, source), 1, right=False
        )  # who did not see the right one was not shown it first
        return False, _seconds(BOUNCES_S, source)
    return False, 0.0


def _next(shown: Shown, person: Person, tries: int, source: random.Random) -> Why:
    repeats, rephrases, types = (
        (REPEATS, REPHRASES, TYPES) if shown.text else (NULL_REPEATS, NULL_REPHRASES, NULL_TYPES)
    )
    types *= person.typist * TYPES_GROWS ** (tries - 1)
    draw = source.random() * (repeats + rephrases + types)
    if draw < repeats:
        return Why.REPEAT
    return Why.REPHRASE if draw < repeats + rephrases else Why.TYPED


def _choice(shares: dict[str, int], source: random.Random) -> str:
    return source.choices(list(shares), list(shares.values()))[0]


def _seconds(median_and_spread: tuple[float, float], source: random.Random) -> float:
    median_s, spread = median_and_spread
    return median_s * math.exp(source.gauss(0.0, spread))
