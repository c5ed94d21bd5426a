"""Spoken orders: the slot values of a manifest to a catalogue of orders, and the text of an order back to slots.

In: values by slot, as ``Picovoice/speech-to-intent-benchmark`` has them ("coffeeDrink", "size", ...). Out:
items and carriers for ``asr.catalog_build``, and a parser: value -> slot, longest match first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from asr.catalog_build import Carrier, Item, carrier, spoken

Slots = Mapping[str, str]
Values = Mapping[str, tuple[str, ...]]

DRINK = "coffeeDrink"
BEFORE = ("size", "roast", "numberOfShots")  # said before the drink, in any order
AFTER = ("milkAmount", "sugarAmount")  # said after it, with "with" and "and"
# How much of it: whoever has "some cream" and "lots of milk" has "some milk" as well.
QUANTITIES = ("a little bit of", "a bit of", "a lot of", "lots of", "some", "")
# How people begin, as a recogniser without a catalogue heard it in 310 orders; weights are rough shares.
OPENINGS = {
    "can i have": 20.0,
    "can i get": 20.0,
    "may i have": 15.0,
    "i'd like": 12.0,
    "make me": 12.0,
    "give me": 10.0,
    "get me": 10.0,
    "i want": 10.0,
    "i'll have": 4.0,
    "i would like": 2.0,
    "i have": 1.0,
    "i need": 1.0,
    "could i have": 1.0,
    "could i get": 1.0,
    "can you make me": 0.5,
    "can you get me": 0.5,
    "please make me": 0.5,
    "please give me": 0.5,
    "please get me": 0.5,
    "let me get": 0.5,
    "let me have": 0.5,
    "i'll take": 0.5,
    "order": 0.5,
    "": 20.0,
}
# How often a kind of milk or sugar comes without a quantity, for each time that it comes with a certain one.
BARE = 5
_WITHOUT_ARTICLE = 0.03  # share of "make me large latte"
_POLITE = 0.02  # share with "please" at the end
# Ways of saying that dictionaries lack or list for other words, and how words run into each other: of the two m of
# "some milk" one is left, of "bit of" hardly the f. As lines of a lexicon.
PRONUNCIATIONS = """
sweetener S W IY T AH N ER
sweetener S W IY T N ER
cappuccino K AE P AH CH IY N OW
cappuccino K AA P UW CH IY N OW
cappuccino K AA P AH CH IY N OW
latte L AA T IY
latte L AE T EY
mocha M AA K AH
mocha M OW CH AH
almond AA L M AH N D
almond AE L M AH N D
almond AO L M AH N D
americano AH M EH R AH K AA N OW
americano AH M EH R IH K AE N OW
espresso EH K S P R EH S OW
medium M IY D Y AH M
ounce AW N T S
triple CH R IH P AH L
triple R IH P AH L
triple T R IH B AH L
some S AH
skim S K IH
skim S K EH M
almond AA M AH N
almond AE M AH N D
almond AO M AH N D
almond OW M AH N
almond AA L M AH N
americano M EH R AH K AA N OW
americano M EH R IH K AA N OW
little L IH D AH L
little L IH T
little L IH L
of AH
of AH F
and AE N
and AH N
and EH N
""".strip().splitlines()
# What sounds like a word of an order, or is written otherwise.
_SAME = {
    "ounces": "ounce",
    "ice": "iced",
    "shots": "shot",
    "expresso": "espresso",
    "for": "four",
    "ate": "eight",
    "skimmed": "skim",
    "creme": "cream",
}


@dataclass(frozen=True, slots=True)
class Parse:
    """Slots of a text. ``clashes`` are slots that it fills twice, with different values."""

    slots: dict[str, str]
    clashes: tuple[str, ...] = ()


class SlotParser:
    """Finds values of slots in a text: from the left, the longest value first; other words are passed over."""

    def __init__(self, values: Values) -> None:
        self._slot = {normalise(value): (slot, value) for slot in values for value in values[slot]}
        self._longest = max((len(value.split()) for value in self._slot), default=0)

    def best(self, texts: Sequence[str]) -> tuple[str, Parse]:
        """The first of a recogniser's readings that is one order, without a slot filled twice; else the first.

        An n-gram model forgets what was ordered five words ago, a person does not.
        """
        parses = [(text, self.parse(text)) for text in texts] or [("", Parse({}))]
        return next((found for found in parses if found[1].slots and not found[1].clashes), parses[0])

    def parse(self, text: str) -> Parse:
        """The slots that ``text`` fills; of several values for one slot the last counts, and it clashes."""
        words = normalise(text).split()
        slots: dict[str, str] = {}
        clashes = []
        at = 0
        while at < len(words):
            for length in range(min(self._longest, len(words) - at), 0, -1):
                found = self._slot.get(" ".join(words[at : at + length]))
                if found is not None:
                    slot, value = found
                    if slots.get(slot, value) != value:
                        clashes.append(slot)
                    slots[slot] = value
                    at += length
                    break
            else:
                at += 1
        return Parse(slots, tuple(clashes))


def normalise(text: str) -> str:
    """Words of an order in one spelling: numbers in words, singular, homophones as the order means them."""
    return " ".join(_SAME.get(word, word) for word in spoken(text).split())


def values_of(orders: Iterable[Slots]) -> dict[str, tuple[str, ...]]:
    """All values by slot, sorted; every kind of milk and sugar in every quantity that orders know."""
    found: dict[str, set[str]] = {}
    for order in orders:
        for slot, value in order.items():
            amounts = QUANTITIES if slot in AFTER else ("",)
            found.setdefault(slot, set()).update(f"{amount} {kind(value)}".strip() for amount in amounts)
    return {slot: tuple(sorted(values)) for slot, values in sorted(found.items())}


def kind(value: str) -> str:
    """``value`` without its quantity: "a lot of skim milk" is "skim milk"."""
    for quantity in QUANTITIES[:-1]:
        if value.startswith(quantity + " "):
            return value.removeprefix(quantity).strip()
    return value


def items(values: Values) -> list[Item]:
    """One item a drink, with every other slot as a facet; a value that is likelier is there more than once."""
    facets = {
        slot: tuple(
            spoken(value)
            for value in values[slot]
            for _ in range(BARE if slot in AFTER and kind(value) == value else 1)
        )
        for slot in values
        if slot != DRINK
    }
    return [Item(drink, (spoken(drink),), facets) for drink in values[DRINK]]


def carriers(values: Values) -> list[Carrier]:
    """Sentences for every opening, order of what comes before the drink, and order of what comes after."""
    weights: dict[str, float] = {}
    befores = list(_orders([slot for slot in BEFORE if slot in values]))
    afters = list(_orders([slot for slot in AFTER if slot in values]))
    for opening, before, after in itertools.product(OPENINGS, befores, afters):
        drink = " ".join(f"{{{slot}}}" for slot in before) + " {title}"
        end = " with " + " and ".join(f"{{{slot}}}" for slot in after) if after else ""
        # An order of two or three slots is one of several: together they weigh as much as any set of slots.
        weight = OPENINGS[opening] / _ways(before) / _ways(after)
        for article, share in (("{a}", 1 - _WITHOUT_ARTICLE), ("", _WITHOUT_ARTICLE)):
            text = " ".join(f"{opening} {article} {drink}{end}".split())
            weights[text] = weights.get(text, 0.0) + weight * share * (1 - _POLITE)
        polite = " ".join(f"{opening} {{a}} {drink}{end} please".split())
        weights[polite] = weights.get(polite, 0.0) + weight * _POLITE
    return [carrier(text, weight) for text, weight in weights.items()]


def _orders(slots: list[str]) -> Iterator[tuple[str, ...]]:
    for size in range(len(slots) + 1):
        yield from itertools.permutations(slots, size)


def _ways(order: tuple[str, ...]) -> int:
    return len(list(itertools.permutations(order)))
