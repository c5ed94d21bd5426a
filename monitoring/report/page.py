"""The report as ``index.html``, which asks nothing of any server, and ``report.json``.

It looks like the report of a model (``asr.report``), whose style it takes. Charts are drawn here as points, in
shares of their height, and written as SVG by the template.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitoring.alarms.rules import Rules
from monitoring.counts.rollup import LATENCY, Rollup
from monitoring.errors import MissingPackageError
from monitoring.features import FEATURES
from monitoring.record import STAGES
from monitoring.report.numbers import Pair, Stretch, by_hour, quantile
from monitoring.report.sentences import contracts, headlines, rates, slices
from monitoring.storage.journal import Entry, Kind

LATENCIES = (0.5, 0.95, 0.99)
WIDTH, HEIGHT = 640.0, 130.0
MOST_SLICES, MOST_ENTRIES = 14, 40
LEAST_IN_HOUR = 20  # values, before a rate or a quantile of an hour is drawn


@dataclass(frozen=True, slots=True)
class Chart:
    """Hours of both stretches as SVG points; ``top``: what the full height stands for; ``days``: (x, name)."""

    title: str
    caption: str
    now: tuple[str, ...]
    before: tuple[str, ...]
    top: str
    days: tuple[tuple[float, str], ...]


def write(pair: Pair, entries: Sequence[Entry], rules: Rules, folder: Path) -> Path:
    """Write both files; the path of the page. Raises MissingPackageError without jinja2."""
    try:
        jinja2: Any = importlib.import_module("jinja2")
    except ImportError as error:
        raise MissingPackageError("a report needs jinja2: pip install 'voicesearch[report]'") from error
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader("monitoring.report"), jinja2.PackageLoader("asr.report")]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "percent": _percent,
        "points": _points,
        "ms": _ms,
        "number": _number,
        "count": "{:,}".format,
    }
    facts = context(pair, entries, rules)
    folder.mkdir(parents=True, exist_ok=True)
    page = environment.get_template("report.html").render(**facts, charts=charts(pair))
    text = json.dumps(facts, indent=2, ensure_ascii=False, default=_plain)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def context(pair: Pair, entries: Sequence[Entry], rules: Rules) -> dict[str, Any]:
    """All that the page says, for JSON."""
    kept, sliced = contracts(pair, rules), slices(pair)
    now, before = pair.now.whole, pair.before.whole
    alarms = [entry for entry in entries if entry.kind is not Kind.DRIFT]
    drift = {entry.alarm: entry for entry in entries if entry.kind is Kind.DRIFT}  # the newest of each
    return {
        "since": pair.now.since,
        "until": pair.now.until,
        "requests": {"now": now.counts["requests"], "before": before.counts["requests"]},
        "headlines": [asdict(one) for one in headlines(pair, sliced, kept)],
        "contracts": [asdict(one) for one in kept],
        "rates": _rates(pair),
        "latency": [
            {"q": q, "now": _quantile(now, LATENCY, q), "before": _quantile(before, LATENCY, q)} for q in LATENCIES
        ],
        "stages": [
            {"name": name, "median": _quantile(now, f"{name}_s", 0.5), "p95": _quantile(now, f"{name}_s", 0.95),
             "p95_before": _quantile(before, f"{name}_s", 0.95)}
            for name in STAGES if f"{name}_s" in now.bins
        ],
        "inputs": [
            {"name": one.name, "help": one.help, "unit": one.unit, "now": _quantile(now, one.name, 0.5),
             "before": _quantile(before, one.name, 0.5), "low": now.quantile(one.name, 0.1),
             "high": now.quantile(one.name, 0.9)}
            for one in FEATURES if not one.binary and one.name in now.bins
        ],
        "models": [
            {"name": name, "requests": rollup.counts["requests"], "rates": _rates(pair, name),
             "p95": _quantile(rollup, LATENCY, 0.95)}
            for name, rollup in sorted(pair.now.models.items())
        ],
        "slices": [asdict(one) for one in sliced[:MOST_SLICES]],
        "slice_count": len(sliced),
        "drift": [{"alarm": one.alarm, "at": one.at, "words": one.reason} for one in drift.values()],
        "alarms": [
            {"at": one.at, "alarm": one.alarm, "kind": one.kind.value, "reason": one.reason}
            for one in alarms[-MOST_ENTRIES:]
        ],
        "errors": dict(pair.now.errors.most_common(10)),
        "missing": dict(pair.now.missing.most_common(10)),
    }  # fmt: skip


def charts(pair: Pair) -> tuple[Chart, ...]:
    """Hours of this stretch over those of the one before."""

    def null(rollup: Rollup) -> float | None:
        part, whole = rollup.rate("null_rate")
        return part / whole if whole >= LEAST_IN_HOUR else None

    def slow(rollup: Rollup) -> float | None:
        enough = sum(rollup.bins.get(LATENCY, ())) >= LEAST_IN_HOUR
        return rollup.quantile(LATENCY, 0.95) if enough else None

    def level(rollup: Rollup) -> float | None:
        return rollup.quantile("level_dbfs", 0.5)

    return (
        _chart(pair, "Requests", "each hour", lambda rollup: float(rollup.counts["requests"]), "{:,.0f}"),
        _chart(pair, "Time to answer", "95th percentile of the hour", slow, "{:.3g} s"),
        _chart(pair, "Null rate", "clips with speech that came out empty", null, "{:.0%}"),
        _chart(pair, "Speech level", "median of the hour, before any gain", level, "{:.0f} dBFS"),
    )


def _chart(pair: Pair, title: str, caption: str, of: Callable[[Rollup], float | None], form: str) -> Chart:
    values = {
        stretch.since: [of(rollup) for rollup in by_hour(stretch).values()]
        for stretch in (pair.now, pair.before)
    }
    known = [value for hours in values.values() for value in hours if value is not None]
    low, high = min([0.0, *known]), max([0.0, *known])
    if high <= 0 and known:  # decibels
        low, high = min(known) - 3, max(known) + 3
    span = (high - low) or 1.0
    lines = [tuple(_lines(values[stretch.since], low, span)) for stretch in (pair.now, pair.before)]
    return Chart(title, caption, lines[0], lines[1], form.format(high), _days(pair.now))


def _lines(values: Sequence[float | None], low: float, span: float) -> Iterable[str]:
    """Points of unbroken lines: an hour without a value is a gap."""
    step = WIDTH / max(len(values) - 1, 1)
    points: list[str] = []
    for hour, value in enumerate([*values, None]):
        if value is not None:
            points.append(f"{hour * step:.1f},{HEIGHT * (1 - (value - low) / span):.1f}")
        elif points:
            yield " ".join(points if len(points) > 1 else points * 2)
            points = []


def _days(stretch: Stretch) -> tuple[tuple[float, str], ...]:
    hours = max(len(by_hour(stretch)) - 1, 1)
    offset = -stretch.since.hour % 24
    starts = range(offset, hours + 1, 24 if hours <= 24 * 14 else 24 * 7)
    day = [
        (start, datetime.fromtimestamp(stretch.since.timestamp() + 3_600 * start, stretch.since.tzinfo))
        for start in starts
    ]
    return tuple((WIDTH * start / hours, f"{at:%a %d}") for start, at in day)


def _rates(pair: Pair, model: str | None = None) -> list[dict[str, Any]]:
    return [
        {"name": name, "now": now and asdict(now), "before": before and asdict(before),
         "change": moved and asdict(moved), "sure": moved is not None and moved.sure}
        for name, now, before, moved in rates(pair, model)
    ]  # fmt: skip


def _quantile(rollup: Rollup, name: str, q: float) -> dict[str, float] | None:
    found = quantile(rollup, name, q)
    return None if found is None else asdict(found)


def _percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _points(value: float) -> str:
    return f"{100 * value:+.1f}"


def _ms(value: float | None) -> str:
    return (
        "–" if value is None else f"{1000 * value:,.0f} ms" if value >= 0.0995 else f"{1000 * value:.1f} ms"
    )


def _number(value: float) -> str:
    return "0" if abs(value) < 1e-6 else f"{value:.3g}"


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not for JSON")
