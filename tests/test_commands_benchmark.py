"""``asr.catalog_slots`` and ``scripts/benchmark_commands``: orders to slots, and the noise that they are heard in."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from script_module import load_script

from asr import catalog_build, catalog_slots
from asr.catalog_slots import Parse, SlotParser
from asr.loudness import active_speech_level

_ORDERS = [
    {"coffeeDrink": "iced coffee", "size": "twelve ounce", "milkAmount": "a lot of skim milk"},
    {"coffeeDrink": "coffee", "size": "medium", "roast": "medium roast", "sugarAmount": "brown sugar"},
    {"coffeeDrink": "latte", "numberOfShots": "double shot", "sugarAmount": "sugar", "milkAmount": "milk"},
]
_VALUES = catalog_slots.values_of(_ORDERS)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    return load_script("benchmark_commands")


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("can i have a medium coffee", {"size": "medium", "coffeeDrink": "coffee"}),
        ("a medium medium roast iced coffee",
         {"size": "medium", "roast": "medium roast", "coffeeDrink": "iced coffee"}),
        ("make me a 12 ounces ice coffee", {"size": "twelve ounce", "coffeeDrink": "iced coffee"}),
        ("a latte with a little bit of skim milk and brown sugar",
         {"coffeeDrink": "latte", "milkAmount": "a little bit of skim milk", "sugarAmount": "brown sugar"}),
        ("good morning", {}),
    ],
)  # fmt: skip
def test_slots_are_found(text: str, slots: dict[str, str]) -> None:
    """The longest value wins, numbers and homophones are what the order means, other words are passed over."""
    assert SlotParser(_VALUES).parse(text) == Parse(slots)


def test_a_slot_filled_twice_clashes() -> None:
    """With different values it is no order; the same value again is."""
    parser = SlotParser(_VALUES)
    assert parser.parse("a latte no a coffee") == Parse({"coffeeDrink": "coffee"}, ("coffeeDrink",))
    assert parser.parse("a latte a latte") == Parse({"coffeeDrink": "latte"})


def test_the_first_reading_that_is_one_order_counts() -> None:
    """A reading that fills a slot twice or none gives way to a later one; where all do, the first stays."""
    parser = SlotParser(_VALUES)
    twice, order, none = "a latte with sugar and brown sugar", "a latte with brown sugar", "good morning"
    assert parser.best([twice, order])[0] == order
    assert parser.best([none, twice, order])[0] == order
    assert parser.best([twice, none]) == (twice, parser.parse(twice))
    assert parser.best([]) == ("", Parse({}))


def test_values_without_a_quantity_are_likelier() -> None:
    """Bare values are said more often than those with one quantity; sizes all alike."""
    facets = catalog_slots.items(_VALUES)[0].facets
    assert facets["milkAmount"].count("skim milk") == catalog_slots.BARE
    assert facets["milkAmount"].count("some skim milk") == 1
    assert facets["size"] == ("medium", "twelve ounce")


def test_every_kind_comes_in_every_quantity() -> None:
    """Who has seen "a lot of skim milk" expects "some skim milk"; sizes have no quantity."""
    assert {"skim milk", "some skim milk", "lots of milk"} <= set(_VALUES["milkAmount"])
    assert _VALUES["size"] == ("medium", "twelve ounce")
    assert len(_VALUES["milkAmount"]) == 2 * len(catalog_slots.QUANTITIES)


def test_orders_are_sentences_of_the_catalogue() -> None:
    """What is before the drink comes in any order; what the parser finds in a sentence is what was filled in."""
    values = {slot: (order,) for slot, order in _ORDERS[1].items()} | {"milkAmount": ("cream",)}
    carriers = catalog_slots.carriers(values)
    sentences = catalog_build.count_sentences(catalog_slots.items(values), carriers)
    assert "i'd like a medium roast medium coffee with cream and brown sugar" in sentences
    assert "a medium coffee" in sentences
    assert "give me an medium coffee" not in sentences
    full = {**{slot: value for slot, (value,) in values.items()}}
    assert SlotParser(values).parse("a medium roast medium coffee with brown sugar and cream").slots == full


def test_only_a_perfect_order_is_accepted(script: ModuleType) -> None:
    """A slot missing, a wrong value, one invented, one filled twice: each is a failure, and is named."""
    wanted = {"coffeeDrink": "latte", "size": "medium"}

    def outcome(slots: dict[str, str], clashes: tuple[str, ...] = ()) -> object:
        return script.Outcome("a.ogg", wanted, "", Parse(slots, clashes))

    assert outcome(dict(wanted)).accepted  # type: ignore[attr-defined] # the script's own type
    wrong = [
        outcome({"coffeeDrink": "latte"}),
        outcome({"coffeeDrink": "coffee", "size": "medium"}),
        outcome({**wanted, "roast": "medium roast"}),
        outcome(dict(wanted), ("size",)),
    ]
    assert [script.differences(each) for each in wrong] == [
        ["size: medium -> -"],
        ["coffeeDrink: latte -> coffee"],
        ["roast: - -> medium roast"],
        ["size: filled twice"],
    ]
    found = script.rates([outcome(dict(wanted)), *wrong])
    assert found["acceptance_rate"] == 0.2
    assert found["slots"] == {"coffeeDrink": 0.8, "size": 0.8}


@pytest.mark.parametrize("snr_db", [6.0, 24.0])
def test_noise_is_as_loud_as_asked_and_always_the_same(script: ModuleType, snr_db: float) -> None:
    """The noise's mean level lies that far below the speech's active level, clip by clip the same."""
    time_s = np.arange(32_000) / 16_000
    speech = (0.1 * np.sin(2 * np.pi * 300 * time_s) * (time_s % 0.5 < 0.4)).astype(np.float32)
    noise = script.Noise([speech, speech[::-1].copy()], [])
    for name in ("a.ogg", "b.ogg", "c.ogg"):
        mixed = noise.add(speech, name, snr_db)
        assert np.array_equal(mixed, noise.add(speech, name, snr_db))
        level_dbfs = 10 * np.log10(np.mean((mixed - speech) ** 2))
        assert active_speech_level(speech) - level_dbfs == pytest.approx(snr_db, abs=0.1)
    assert not np.array_equal(noise.add(speech, "a.ogg", snr_db), noise.add(speech, "b.ogg", snr_db))
