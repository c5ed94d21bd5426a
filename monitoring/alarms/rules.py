"""When somebody is told: every threshold of every alarm, read from a file (``rules.toml``) and checked.

In: TOML. Out: `Rules`. Three kinds: a *contract* (what was promised, with a budget), a *ratio* (what is usual at this
hour of the week) and *drift* (what the frozen reference looked like). A file replaces the shipped one as a whole. What
is wrong in it is one `RulesError` that names the line, the field, the value seen and what is allowed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TypeAlias, TypeVar

from monitoring.alarms.rules_table import Table, parse_s
from monitoring.counts.rollup import RATES
from monitoring.errors import RulesError
from monitoring.features import Stage

SHIPPED = Path(__file__).parent / "rules.toml"
PERIOD_S = 30 * 86_400  # of a budget: a burn rate of 1 uses it up in so long
KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MOST_RULES = 30  # each is a series in Prometheus (metrics.NAMES)


class Severity(StrEnum):
    """Whom it concerns when."""

    PAGE = "page"  # somebody, now
    TICKET = "ticket"  # somebody, in the morning


class Promise(StrEnum):
    """What a contract is about."""

    ERRORS = "errors"  # answered, and not with 5xx
    LATENCY = "latency"  # answered within a time


class Direction(StrEnum):
    """Which way a ratio gets worse."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class About:
    """What every rule has. ``pending_s``: for so long it holds before it fires; ``clear_s``: it is over, and clears."""

    name: str
    severity: Severity
    pending_s: int
    clear_s: int
    help: str
    lookfor: str


@dataclass(frozen=True, slots=True)
class Burn:
    """A speed of using up the budget, over two windows."""

    rate: float
    long_s: int
    short_s: int


@dataclass(frozen=True, slots=True)
class Contract:
    """A share of good events that was promised. ``within_s``: of LATENCY; None for ERRORS."""

    about: About
    of: Promise
    within_s: float | None
    objective: float
    burns: tuple[Burn, ...]
    least_events: int
    least_bad: int

    @property
    def budget(self) -> float:
        """The share that may be bad."""
        return 1.0 - self.objective


@dataclass(frozen=True, slots=True)
class Ratio:
    """One of ``rollup.RATES``, against what is usual at the hour of the week."""

    about: About
    of: str
    direction: Direction
    limit: float
    least_change: float
    weekly_movement: float
    learn_s: int
    windows_s: tuple[int, ...]
    least_events: int
    false_alarms_per_week: float


@dataclass(frozen=True, slots=True)
class Drift:
    """The features of some stages, against the frozen reference, window by window.

    A window is over after ``span_s``, or longer, until it has ``records``. It fires where the same feature drifted in
    ``needed`` of the last ``of_windows``.
    """

    about: About
    stages: tuple[Stage, ...]
    records: int
    span_s: int
    needed: int
    of_windows: int
    false_alarm_rate: float


@dataclass(frozen=True, slots=True)
class Reference:
    """When the first reference is frozen by itself: as soon as there are so many records, over so long."""

    records: int
    span_s: int


T = TypeVar("T")
Rule: TypeAlias = Contract | Ratio | Drift


@dataclass(frozen=True)
class Rules:
    """All of a file."""

    reference: Reference
    contracts: tuple[Contract, ...]
    ratios: tuple[Ratio, ...]
    drifts: tuple[Drift, ...]

    def __iter__(self) -> Iterator[Rule]:
        """Every rule, in the order of the kinds."""
        yield from self.contracts
        yield from self.ratios
        yield from self.drifts

    @cached_property
    def by_name(self) -> dict[str, Rule]:
        """Each by its name."""
        return {rule.about.name: rule for rule in self}


def kind_of(rule: Rule) -> str:
    """``contract``, ``ratio`` or ``drift``."""
    return type(rule).__name__.lower()


def load(path: Path | None = None) -> Rules:
    """The rules of a file; None: the shipped ones. Raises RulesError."""
    path = path or SHIPPED
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(
            f"the rules {path} cannot be read ({error}): name a file like {SHIPPED.name}"
        ) from error
    return parse(text, path.name)


def parse(text: str, name: str = "rules") -> Rules:
    """The rules of a text; ``name`` is what errors call it. Raises RulesError."""
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RulesError(f"{name} is not TOML: {error}") from error
    top = Table(body, text, name, "")
    reference = top.table("reference")
    made = Rules(
        Reference(reference.whole("records", 200, 10_000_000), reference.seconds("span", 60, 90 * 86_400)),
        tuple(map(_contract, top.tables("contract"))),
        tuple(map(_ratio, top.tables("ratio"))),
        tuple(map(_drift, top.tables("drift"))),
    )
    reference.nothing_else()
    top.nothing_else()
    if len(made.by_name) < len(list(made)) or len(made.by_name) > MOST_RULES:
        names = [rule.about.name for rule in made]
        twice = sorted({name for name in names if names.count(name) > 1})
        what = (
            f"two rules are called {twice[0]!r}" if twice else f"{len(names)} rules, and at most {MOST_RULES}"
        )
        raise RulesError(f"{name}: {what}; every rule needs a name of its own, and is a series in Prometheus")
    return made


def _about(table: Table) -> About:
    return About(
        table.matching("name", KEBAB, "words in lower case with dashes, such as null-rate-high"),
        Severity(table.one_of("severity", tuple(Severity))),
        table.seconds("for", 0, 86_400),
        table.seconds("clear_after", 60, 7 * 86_400),
        table.sentence("help"),
        table.sentence("lookfor"),
    )


def _contract(table: Table) -> Contract:
    of = Promise(table.one_of("of", tuple(Promise)))
    within_s = table.fraction_of_seconds("within", 0.001, 12.0) if of is Promise.LATENCY else None
    burns = tuple(_burn(burn) for burn in table.tables("burns"))
    if not burns:
        table.refuse("burns", [], "at least one { rate, long, short }")
    made = Contract(
        _about(table),
        of,
        within_s,
        table.number("objective", 0.5, 0.99999),
        burns,
        table.whole("least_events", 1, 1_000_000),
        table.whole("least_bad", 1, 1_000_000),
    )
    for burn in burns:
        if burn.rate * made.budget >= 1.0:
            table.refuse(
                "burns",
                burn.rate,
                f"a rate below {1 / made.budget:g}: beyond, not even an outage burns so fast",
            )
    return _whole(table, made)


def _burn(table: Table) -> Burn:
    burn = Burn(
        table.number("rate", 0.1, 1_000.0),
        table.seconds("long", 300, PERIOD_S),
        table.seconds("short", 60, PERIOD_S),
    )
    if burn.short_s >= burn.long_s:
        table.refuse("short", f"{burn.short_s} s", f"shorter than long, {burn.long_s} s")
    return _whole(table, burn)


def _ratio(table: Table) -> Ratio:
    windows_s = tuple(round(parse_s(text) or 0) for text in table.texts("windows"))
    for window_s in windows_s or (0,):
        if not 600 <= window_s <= 7 * 86_400:
            table.refuse("windows", window_s, "times between 10m and 7d, such as 1h")
    made = Ratio(
        _about(table),
        table.one_of("of", tuple(RATES)),
        Direction(table.one_of("direction", tuple(Direction))),
        table.number("limit", 0.0, 1.0),
        table.number("least_change", 0.0, 0.5),
        table.number("weekly_movement", 0.0, 0.05),
        table.seconds("learn", 3_600, 60 * 86_400),
        windows_s,
        table.whole("least_events", 5, 1_000_000),
        table.number("false_alarms_per_week", 1e-6, 1.0),
    )
    return _whole(table, made)


def _drift(table: Table) -> Drift:
    stages = table.texts("stages")
    for stage in stages or ("",):
        if stage not in tuple(Stage):
            table.refuse("stages", stage, f"some of {', '.join(Stage)}")
    made = Drift(
        _about(table),
        tuple(map(Stage, stages)),
        table.whole("records", 50, 1_000_000),
        table.seconds("span", 300, 7 * 86_400),
        table.whole("needed", 1, 10),
        table.whole("of_windows", 1, 10),
        table.number("false_alarm_rate", 1e-6, 0.2),
    )
    if made.needed > made.of_windows:
        table.refuse("needed", made.needed, f"at most of_windows, {made.of_windows}")
    return _whole(table, made)


def _whole(table: Table, made: T) -> T:
    """What was made, once nothing of the table is left over."""
    table.nothing_else()
    return made
