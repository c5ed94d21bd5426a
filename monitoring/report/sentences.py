"""What changed, in sentences, with what chance could have done; and what did not, in one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from monitoring.alarms.rules import Promise, Rules
from monitoring.alarms.spell import percent
from monitoring.counts.rollup import LATENCY, RATES
from monitoring.features import FEATURES
from monitoring.report.numbers import Interval, Pair, change, quantile, share, within

SLICES_NAMED = 3
SHIFT = 0.1
LEAST_SPOKEN = 50  # of a slice, before it is named


@dataclass(frozen=True, slots=True)
class Sentence:
    """One; ``tone`` is good, bad or plain."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True)
class Kept:
    """A contract, and how much of the answers kept it; None: nothing was asked."""

    name: str
    what: str
    objective: float
    kept: Interval | None


@dataclass(frozen=True, slots=True)
class Sliced:
    """A value of a slice: its null rate, of how many clips."""

    key: str
    value: str
    spoken: int
    rate: Interval
    before: Interval | None


_WORDS = {
    "null_rate": ("Clips with speech that came out empty", True),
    "no_results_rate": ("Searches that found nothing", True),
    "redo_rate": ("Queries asked again", True),
    "typing_rate": ("Queries typed instead", True),
    "click_rate": ("Queries of which a result was opened", False),
    "error_rate": ("Requests that failed", True),
}


def headlines(pair: Pair, worst: Sequence[Sliced], kept: Sequence[Kept]) -> Iterator[Sentence]:
    """The few sentences that a meeting begins with: contracts, what changed for certain, who is worst off."""
    now, before = pair.now.whole, pair.before.whole
    asked, asked_before = now.counts["requests"], before.counts["requests"]
    more = f", {100 * (asked / asked_before - 1):+.0f} % against the stretch before" if asked_before else ""
    yield Sentence(f"{asked:,} requests{more}.")
    for one in kept:
        if one.kept is not None and one.kept.high < one.objective:
            yield Sentence(
                f"{one.what}: {percent(one.kept.value)} kept it, {percent(one.objective)} was promised.",
                "bad",
            )
    if kept and all(one.kept is None or one.kept.value >= one.objective for one in kept):
        yield Sentence("Every contract was kept.", "good")
    same = []
    for rate, (words, up_is_bad) in _WORDS.items():
        ours, theirs = share(*now.rate(rate)), share(*before.rate(rate))
        moved = change(ours, theirs)
        if ours is None or theirs is None or moved is None:
            continue
        if not moved.sure:
            same.append(words.lower())
            continue
        yield Sentence(
            f"{words}: {percent(ours.value)}, after {percent(theirs.value)} "
            f"({_points(moved.value)} points, with 95 % between {_points(moved.low)} and {_points(moved.high)}).",
            "bad" if (moved.value > 0) == up_is_bad else "good",
        )
    ours, theirs = quantile(now, LATENCY, 0.95), quantile(before, LATENCY, 0.95)
    if ours and theirs and (ours.low > theirs.high or ours.high < theirs.low):
        yield Sentence(
            f"The 95th percentile of the time to answer is {1000 * ours.value:.0f} ms, "
            f"after {1000 * theirs.value:.0f} ms.",
            "bad" if ours.value > theirs.value else "good",
        )
    yield from _inputs(pair)
    named = [one for one in worst if _stands_out(one, share(*now.rate("null_rate")))]
    if named:
        listed = "; ".join(
            f"{one.key} {one.value} ({percent(one.rate.value)})" for one in named[:SLICES_NAMED]
        )
        yield Sentence(f"Empty answers are above the average for {listed}.", "bad")
    if same:
        yield Sentence(f"No more than chance explains changed in: {', '.join(same)}.")


def _inputs(pair: Pair) -> Iterator[Sentence]:
    """Medians that moved for certain, and by a tenth of how widely values are spread."""
    now, before = pair.now.whole, pair.before.whole
    for feature in FEATURES:
        if feature.binary:
            continue
        ours, theirs = quantile(now, feature.name, 0.5), quantile(before, feature.name, 0.5)
        low, high = before.quantile(feature.name, 0.1), before.quantile(feature.name, 0.9)
        if ours is None or theirs is None or low is None or high is None:
            continue
        sure = ours.low > theirs.high or ours.high < theirs.low
        if sure and abs(ours.value - theirs.value) >= SHIFT * (high - low):
            yield Sentence(
                f"{feature.help}: the median is {ours.value:.3g} {feature.unit}, after {theirs.value:.3g}.".replace(
                    " ,", ","
                )
            )


def contracts(pair: Pair, rules: Rules) -> tuple[Kept, ...]:
    """Each promise once, and whether it was kept."""
    whole = pair.now.whole
    made = {}
    for rule in rules.contracts:
        if rule.of is Promise.ERRORS or rule.within_s is None:
            bad, all_ = whole.rate("error_rate")
            what, part = "Answers without an error of ours", all_ - bad
        else:
            what = f"Answers within {1000 * rule.within_s:.0f} ms"
            part, all_ = within(whole, LATENCY, rule.within_s)
        made[what, rule.objective] = Kept(rule.about.name, what, rule.objective, share(part, all_))
    return tuple(made.values())


def slices(pair: Pair) -> tuple[Sliced, ...]:
    """Every slice that is large enough, by falling lower bound of its null rate: the surely worst first."""
    found = []
    for key, values in pair.now.slices.items():
        for value, counts in values.items():
            rate = share(counts["null"], counts["spoken"])
            if rate is None or counts["spoken"] < LEAST_SPOKEN:
                continue
            past = pair.before.slices.get(key, {}).get(value)
            found.append(
                Sliced(
                    key, value, counts["spoken"], rate, share(past["null"], past["spoken"]) if past else None
                )
            )
    return tuple(sorted(found, key=lambda one: -one.rate.low))


def rates(
    pair: Pair, model: str | None = None
) -> Iterator[tuple[str, Interval | None, Interval | None, Interval | None]]:
    """Of each rate: now, before, and the change. ``model``: only what it served."""
    now = pair.now.whole if model is None else pair.now.models.get(model)
    before = pair.before.whole if model is None else pair.before.models.get(model)
    for rate in RATES:
        ours = None if now is None else share(*now.rate(rate))
        theirs = None if before is None else share(*before.rate(rate))
        yield rate, ours, theirs, change(ours, theirs)


def _stands_out(one: Sliced, average: Interval | None) -> bool:
    return average is not None and one.rate.low > average.high


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"
