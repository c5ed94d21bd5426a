"""Contract alarms: how fast the budget of what may go wrong is used up, over a long and a short window at once.

The long window says that it matters, the short one that it is still going on, so the alarm also ends soon after.
Source: Google, The Site Reliability Workbook (2018), chapter 5, "Multiwindow, Multi-Burn-Rate Alerts".
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.alarms.rules import Burn, Contract, Promise
from monitoring.alarms.spell import percent, span
from monitoring.alarms.states import Judgement
from monitoring.counts.rollup import EDGES, LATENCY
from monitoring.counts.series import Counts, Series

COOL = 0.8  # of the rate: below this in either window, a burn is over


@dataclass(frozen=True, slots=True)
class Burnt:
    """What was seen of one burn. Rates are shares of bad events by the budget's share."""

    burn: Burn
    events: int
    bad: float
    long_rate: float
    short_rate: float
    short_events: int

    @property
    def by(self) -> float:
        """How far above its rate it is, in both windows: from 1 on it fires."""
        return min(self.long_rate, self.short_rate) / self.burn.rate


def judge(contract: Contract, minutes: Series, now: datetime) -> Judgement:
    """The judgement of a contract on the minutes that are over."""
    burnt = [_burnt(contract, burn, minutes, now) for burn in contract.burns]
    able = [
        one for one in burnt if one.events >= contract.least_events and one.bad >= contract.least_bad - 1e-6
    ]
    if not able:
        most = max(burnt, key=lambda one: (one.events, one.burn.long_s))
        if most.events < contract.least_events:
            few = f"{most.events} requests in {span(most.burn.long_s)}, and it takes {contract.least_events} to judge"
            return Judgement.silent(few, events=most.events)
        return Judgement(
            hot=False,
            cool=True,
            reason=f"{_count(most.bad)} of {most.events} requests in {span(most.burn.long_s)} {_bad(contract)}; "
            f"fewer than {contract.least_bad} are never alarming",
            numbers=_numbers(most),
        )
    # Of those that burn the fastest tells most: they are in the order of the file.
    worst = next((one for one in able if one.by >= 1.0), None) or max(able, key=lambda one: one.by)
    return Judgement(
        hot=worst.by >= 1.0, cool=worst.by < COOL, reason=_words(contract, worst), numbers=_numbers(worst)
    )


def _burnt(contract: Contract, burn: Burn, minutes: Series, now: datetime) -> Burnt:
    events, bad = _bad_events(contract, minutes, now - timedelta(seconds=burn.long_s), now)
    short_events, short_bad = _bad_events(contract, minutes, now - timedelta(seconds=burn.short_s), now)
    return Burnt(
        burn,
        events,
        bad,
        bad / max(1, events) / contract.budget,
        short_bad / max(1, short_events) / contract.budget,
        short_events,
    )


def _bad_events(contract: Contract, minutes: Series, since: datetime, until: datetime) -> tuple[int, float]:
    if contract.of is Promise.ERRORS:
        requests, errors = minutes.counts(since, until, "requests", "errors").sum(axis=0)
        return int(requests), float(errors)
    assert contract.within_s is not None, "a promise of latency has a time"
    bins = minutes.latency(since, until)
    return int(bins.sum()), slower(bins, contract.within_s)


def slower(bins: Counts, than_s: float) -> float:
    """How many of binned times are longer; linear within the bin that ``than_s`` lies in."""
    edges = EDGES[LATENCY]
    within = bisect_right(edges, than_s)  # the bin that it lies in
    above = float(bins[within + 1 :].sum())
    if within == len(edges):
        return float(bins[-1])  # how much longer is not known
    low, high = edges[within - 1] if within else 0.0, edges[within]
    return above + float(bins[within]) * (high - than_s) / (high - low)


def _bad(contract: Contract) -> str:
    return "failed" if contract.within_s is None else f"took longer than {round(1000 * contract.within_s)} ms"


def _count(events: float) -> str:
    return f"{round(events)}"


def _words(contract: Contract, burnt: Burnt) -> str:
    long, short = span(burnt.burn.long_s), span(burnt.burn.short_s)
    return (
        f"{_count(burnt.bad)} of {burnt.events} requests in {long} {_bad(contract)} "
        f"({percent(burnt.bad / max(1, burnt.events))}; {percent(contract.budget)} may): the budget burns "
        f"{burnt.long_rate:.1f} times too fast over {long} and {burnt.short_rate:.1f} times over {short}; "
        f"the alarm is at {burnt.burn.rate:g}"
    )


def _numbers(burnt: Burnt) -> dict[str, float | int]:
    return {
        "events": burnt.events,
        "bad": round(burnt.bad, 1),
        "window_s": burnt.burn.long_s,
        "burn_rate": round(burnt.long_rate, 3),
        "short_burn_rate": round(burnt.short_rate, 3),
        "threshold": burnt.burn.rate,
    }
