"""The alarms of ``rules.toml`` as Prometheus rules: the same contracts, ratios and drift, judged from metrics alone.

In: `Rules`. Out: groups of recording and alerting rules, which ``prometheus_file`` writes. They go on where the
service's own judgement has stopped, and say so when the service has. Prometheus knows less than the service does:

- what is usual is the same hour a week ago, and no band that was learnt; a week after it began, a fault is usual;
- redo and typing are counted of spoken queries as they come, not of those that have settled, and clicks of searches
  that found something, not of queries;
- a time between two buckets of a histogram is judged at the next shorter one, which the alert says;
- what no metric counts (``out_of_catalog_rate``) is judged by the service alone.

So each alarm is there twice under one name: ``judge="prometheus"`` for what is computed here, ``judge="service"`` for
what the service says of itself (``alarm_active``). Group notifications by ``alertname``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from statistics import NormalDist

from monitoring.alarms.rules import About, Contract, Direction, Drift, Promise, Ratio, Rules
from monitoring.features import FEATURES
from monitoring.metric_catalog import PREFIX
from monitoring.prometheus.health import HEALTH
from monitoring.prometheus.series import PARTS, Counted, Promised, counted, promised

WEEK_S = 7 * 86_400
INTERVAL_S = 60


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that Prometheus computes at every evaluation."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert. ``pending_s``: it has to hold for so long; ``clear_s``: and to be over for so long."""

    alert: str
    expr: str
    severity: str
    judge: str
    summary: str
    description: str
    runbook: str
    pending_s: int = 0
    clear_s: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are evaluated one after the other, so that a later one sees what an earlier one has recorded."""

    name: str
    comment: str
    rules: tuple[Recording | Alert, ...] = field(default=())


def groups(rules: Rules) -> tuple[Group, ...]:
    """All that is evaluated: what is recorded first, then what alerts."""
    own = f"{PREFIX}-"
    return (
        Group(f"{own}counts", "How many, over each of the windows that are asked for.", tuple(_counts(rules))),
        Group(
            f"{own}contracts",
            "Multi-window, multi-burn-rate: Google, Site Reliability Workbook, chapter 5.",
            tuple(map(_contract, rules.contracts)),
        ),
        Group(
            f"{own}ratios",
            "Against a limit, and against the same hour a week ago.",
            tuple(_ratio(rule) for rule in rules.ratios if rule.of in PARTS),
        ),
        Group(f"{own}drift", "Against the frozen reference.", tuple(map(_drift, rules.drifts))),
        Group(f"{own}service", "What the service judges itself, with what it alone knows.", tuple(_own(rules))),
        Group(
            f"{own}health",
            "The service, and the monitoring itself.",
            tuple(
                Alert(
                    one.name, one.expr, one.severity.value, "prometheus", one.summary, one.description, one.lookfor,
                    one.pending_s, one.clear_s,
                )
                for one in HEALTH
            ),
        ),
    )  # fmt: skip


def _counts(rules: Rules) -> Iterator[Recording]:
    seen: set[str] = set()
    for made in (*_of_contracts(rules.contracts), *_of_ratios(rules.ratios), *_of_health()):
        if made.record not in seen:
            seen.add(made.record)
            yield made


def _of_health() -> Iterator[Recording]:
    yield from _both(promised(Promise.ERRORS, None, 3_600))


def _of_contracts(contracts: Iterable[Contract]) -> Iterator[Recording]:
    for rule in contracts:
        for window_s in sorted({window for burn in rule.burns for window in (burn.long_s, burn.short_s)}):
            yield from _both(promised(rule.of, rule.within_s, window_s))


def _both(series: Promised) -> Iterator[Recording]:
    yield Recording(series.all, series.all_expr)
    yield Recording(series.bad, series.bad_expr)


def _of_ratios(ratios: Iterable[Ratio]) -> Iterator[Recording]:
    for rule in ratios:
        if rule.of in PARTS:
            for window_s in rule.windows_s:
                series = counted(rule.of, window_s)
                yield Recording(series.part, series.part_expr)
                yield Recording(series.whole, series.whole_expr)
                yield Recording(series.ratio, f"{series.part} / ({series.whole} > 0)")
                yield Recording(series.error, _standard_error(series))


def _standard_error(series: Counted) -> str:
    """Of the difference of two shares, pooled: this window's and that of a week ago."""
    part, whole = series.part, series.whole
    share = f"({part} + {part} offset 1w) / ({whole} + {whole} offset 1w)"
    return (
        f"sqrt(\n  clamp({share}, 0, 1) * (1 - clamp({share}, 0, 1))\n"
        f"  * (1 / ({whole} > 0) + 1 / ({whole} offset 1w > 0))\n)"
    )


def _contract(rule: Contract) -> Alert:
    burns = []
    for burn in rule.burns:
        long, short = (promised(rule.of, rule.within_s, window_s) for window_s in (burn.long_s, burn.short_s))
        bound = f"{burn.rate:g} * {rule.budget:g}"
        burns.append(
            f"(\n  {long.bad} / {long.all} > {bound}\n  and {short.bad} / {short.all} > {bound}\n"
            f"  and {long.bad} >= {rule.least_bad}\n  and {long.all} >= {rule.least_events}\n)"
        )
    series = promised(rule.of, rule.within_s, rule.burns[0].long_s)
    what = "failed" if series.within is None else f"took longer than {series.within}"
    judged = (
        ""
        if series.within is None or series.within_s == rule.within_s
        else f" Judged at {series.within}, the bucket below {rule.within_s:g} s."
    )
    return _alert(
        rule.about,
        "\nor\n".join(burns),
        f"{{{{ $value | humanizePercentage }}}} of requests {what}; the contract allows {rule.budget:.3g} of them "
        f"({rule.budget:.1%}).{judged}",
    )


def _ratio(rule: Ratio) -> Alert:
    per_week = sum(WEEK_S / window_s for window_s in rule.windows_s)
    sigmas = NormalDist().inv_cdf(1 - min(rule.false_alarms_per_week / per_week, 0.5))
    clauses = []
    for window_s in rule.windows_s:
        series = counted(rule.of, window_s)
        now, ago = series.ratio, f"{series.ratio} offset 1w"
        worse, over = (f"{now} - {ago}", ">") if rule.direction is Direction.UP else (f"{ago} - {now}", "<")
        clauses.append(f"(\n  {now} {over} {rule.limit:g}\n  and {series.whole} >= {rule.least_events}\n)")
        clauses.append(
            f"(\n  {now}\n  and ({worse} > {rule.least_change:g} + {sigmas:.3g} * {series.error})\n"
            f"  and {series.whole} >= {rule.least_events}\n"
            f"  and {series.whole} offset 1w >= {rule.least_events}\n)"
        )
    side = "above" if rule.direction is Direction.UP else "below"
    return _alert(
        rule.about,
        "\nor\n".join(clauses),
        f"{rule.of} is {{{{ $value | humanizePercentage }}}}: {side} the limit of {rule.limit:.0%}, or further "
        f"from the same hour a week ago than chance explains.",
    )


def _drift(rule: Drift) -> Alert:
    names = "|".join(feature.name for feature in FEATURES if feature.stage in rule.stages)
    expr = (
        f'{PREFIX}_drift_score{{feature=~"{names}"}}\n> on (job, instance, feature) {PREFIX}_drift_threshold'
    )
    about = rule.about
    # A score stands until the next window has its own: for longer than all but one means that the last drifted too.
    pending_s = about.pending_s + (rule.needed - 1) * rule.span_s + 5 * INTERVAL_S * (rule.needed > 1)
    return Alert(
        about.name, expr, about.severity.value, "prometheus", about.help,
        "{{ $labels.feature }} is at a distance of {{ $value | humanize }} from the reference, window after window.",
        about.lookfor, pending_s, about.clear_s,
    )  # fmt: skip


def _own(rules: Rules) -> Iterator[Alert]:
    for rule in rules:
        about = rule.about
        yield Alert(
            about.name, f'max({PREFIX}_alarm_active{{alarm="{about.name}"}}) == 1', about.severity.value, "service",
            about.help, f"Ask the service: voicesearch monitor explain {about.name}", about.lookfor,
        )  # fmt: skip


def _alert(about: About, expr: str, description: str) -> Alert:
    return Alert(
        about.name, expr, about.severity.value, "prometheus", about.help, description, about.lookfor,
        about.pending_s, about.clear_s,
    )  # fmt: skip
