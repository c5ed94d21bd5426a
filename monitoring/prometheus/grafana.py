"""A Grafana dashboard as JSON: traffic, speed, stages, what comes in and goes out, what people do, drift and alarms.

Out: the model that Grafana imports (schema 39, Grafana 10 and later). Every query names metrics of ``metric_catalog``
alone, and shows one or all versions and transports, as chosen at the top of the page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from monitoring.metric_catalog import PREFIX

SCHEMA = 39
CHOSEN = 'version=~"$version", transport=~"$transport"'
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT = 8, 8  # of the grid's 24 columns


@dataclass(frozen=True, slots=True)
class Query:
    """One or more lines; ``legend`` may name labels: ``{{version}}``."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart of lines. ``unit`` is Grafana's: s, reqps, percentunit, dB, short, bytes."""

    title: str
    unit: str
    help: str
    queries: tuple[Query, ...]
    most: float | None = None  # of the axis


def _rate(metric: str, labels: str = "", by: str = "") -> str:
    selected = ", ".join(filter(None, (CHOSEN, labels)))
    return f"sum{f' by ({by})' if by else ''} (rate({PREFIX}_{metric}{{{selected}}}[$__rate_interval]))"


def _quantiles(metric: str, shares: Iterable[float], by: str = "") -> tuple[Query, ...]:
    names = {0.5: "median"} | {share: f"p{100 * share:.0f}" for share in (0.1, 0.9, 0.95, 0.99)}
    labels = f"le, {by}" if by else "le"
    made = _rate(f"{metric}_bucket", by=labels)
    return tuple(
        Query(f"histogram_quantile({share}, {made})", f"{{{{{by}}}}} {names[share]}" if by else names[share])
        for share in shares
    )


def _http(share: float) -> Query:
    expr = (
        f"histogram_quantile({share}, sum by (le) (rate("
        f'{PREFIX}_http_server_request_duration_seconds_bucket{{status=~"2.."}}[$__rate_interval])))'
    )
    return Query(expr, "median" if share == 0.5 else f"p{100 * share:.0f}")


def _share(part: str, whole: str, by: str = "version") -> tuple[Query, ...]:
    return (Query(f"{part} / {whole}", f"{{{{{by}}}}}"),)


_SPOKEN = _rate("transcripts_total", 'outcome=~"ok|null"', "version")
_SPREAD = (0.1, 0.5, 0.9)

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    ("Traffic", (
        Panel("Clips by transport", "reqps", "Requests with a clip, each second.",
              (Query(_rate("transcripts_total", by="transport"), "{{transport}}"),)),
        Panel("Clips by version", "reqps", "What served them.",
              (Query(_rate("transcripts_total", by="version, arm"), "{{version}} {{arm}}"),)),
        Panel("HTTP by status", "reqps", "Requests answered, all routes.",
              (Query(f"sum by (status) (rate({PREFIX}_http_server_request_duration_seconds_count[$__rate_interval]))",
                     "{{status}}"),)),
    )),
    ("Latency", (
        Panel("HTTP", "s", "Time to answer HTTP requests that succeeded.", tuple(map(_http, (0.5, 0.95, 0.99)))),
        Panel("Streams: after speech", "s", "From the end of speech to the final text.",
              _quantiles("final_after_speech_seconds", (0.5, 0.95, 0.99))),
        Panel("Streams: first partial text", "s", "From the start of speech.",
              _quantiles("first_partial_seconds", (0.5, 0.95))),
    )),
    ("Stages", (
        Panel("95th percentile by stage", "s", "Each step of the pipeline.",
              _quantiles("stage_duration_seconds", (0.95,), "stage")),
        Panel("Waiting for the model", "short", "Requests in flight, and clips that wait.",
              (Query(f"sum({PREFIX}_inflight)", "in flight"), Query(f"sum({PREFIX}_queue_items)", "waiting"))),
        Panel("Real-time factor", "short", "Processing time by length of clip.",
              _quantiles("real_time_factor", (0.5, 0.95))),
    )),
    ("What comes in", (
        Panel("Length of clips", "s", "", _quantiles("clip_duration_seconds", _SPREAD)),
        Panel("Speech level", "dB", "Before any gain, dBFS.", _quantiles("clip_level_dbfs", _SPREAD)),
        Panel("Signal-to-noise ratio", "dB", "", _quantiles("clip_snr_db", _SPREAD)),
        Panel("Share of speech", "percentunit", "Of a clip.", _quantiles("clip_speech_ratio", _SPREAD), 1.0),
        Panel("Silence before and after", "s", "Medians.",
              tuple(replace(_quantiles(f"clip_{side}_silence_seconds", (0.5,))[0], legend=side)
                    for side in ("leading", "trailing"))),
        Panel("Refused clips and missing fields", "reqps", "Bad input, by reason.",
              (Query(_rate("clips_rejected_total", by="reason"), "{{reason}}"),
               Query(_rate("fields_missing_total", by="field"), "no {{field}}"))),
    )),
    ("What goes out", (
        Panel("Null rate", "percentunit", "Clips with speech that came out empty, by version.",
              _share(_rate("transcripts_total", 'outcome="null"', "version"), _SPOKEN)),
        Panel("Confidence", "percentunit", "Probability that all of a transcript is right.",
              _quantiles("transcript_confidence_ratio", _SPREAD), 1.0),
        Panel("Words per second of speech", "short", "", _quantiles("words_per_second", _SPREAD)),
    )),
    ("What people do next", (
        Panel("Asked again", "percentunit", "Of spoken queries, by version.",
              _share(_rate("redo_total", by="version"), _SPOKEN)),
        Panel("Switched to typing", "percentunit", "Of spoken queries, by version.",
              _share(_rate("typing_switch_total", by="version"), _SPOKEN)),
        Panel("Results opened, a search", "percentunit", "Clicks of searches, by version.",
              _share(_rate("clicks_total", by="version"), _rate("searches_total", by="version"))),
        Panel("Searches that found nothing", "percentunit", "By version.",
              _share(_rate("zero_results_total", by="version"), _rate("searches_total", by="version"))),
    )),
    ("Drift and alarms", (
        Panel("Drift, of its threshold", "percentunit", "At 100 % a feature counts as drifted.",
              (Query(f"max by (feature) ({PREFIX}_drift_score / {PREFIX}_drift_threshold)", "{{feature}}"),)),
        Panel("Alarms", "short", "1 while an alarm fires.",
              (Query(f"max by (alarm) ({PREFIX}_alarm_active)", "{{alarm}}"),), 1.0),
        Panel("Refused for want of capacity", "reqps", "By reason.",
              (Query(f"sum by (reason) (rate({PREFIX}_overload_rejected_total[$__rate_interval]))", "{{reason}}"),)),
    )),
    ("Software", (
        Panel("Memory", "bytes", "Resident, by instance.",
              (Query('process_resident_memory_bytes{job="voicesearch"}', "{{instance}}"),)),
        Panel("Processor", "short", "Cores in use, by instance.",
              (Query('rate(process_cpu_seconds_total{job="voicesearch"}[$__rate_interval])', "{{instance}}"),)),
        Panel("Event store", "short", "Seconds that the oldest record waits; records lost in an hour.",
              (Query(f"max({PREFIX}_spool_lag_seconds)", "waiting, s"),
               Query(f"sum(increase({PREFIX}_events_lost_total[1h]))", "lost"))),
    )),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The model, for JSON."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        panels.append(
            {
                "id": len(panels) + 1,
                "type": "row",
                "title": title,
                "collapsed": False,
                "panels": [],
                "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
            }
        )
        width = 6 if len(row) == 4 else _WIDTH
        for at, panel in enumerate(row):
            place = {
                "x": width * at % 24,
                "y": y + 1 + width * at // 24 * _HEIGHT,
                "w": width,
                "h": _HEIGHT,
            }
            panels.append(_panel(panel, len(panels) + 1, place))
        y += 1 + -(-width * len(row) // 24) * _HEIGHT
    return {
        "uid": PREFIX,
        "title": "Voice search",
        "tags": [PREFIX],
        "schemaVersion": SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": _variables()},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    most = {} if panel.most is None else {"max": panel.most}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {
                "unit": panel.unit,
                **({} if panel.unit == "dB" else {"min": 0}),
                **most,
                "custom": {"lineWidth": 2, "fillOpacity": 8, "showPoints": "never"},
            },
            "overrides": [],
        },
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": _DATASOURCE, "expr": query.expr, "legendFormat": query.legend}
            for at, query in enumerate(panel.queries)
        ],
    }  # fmt: skip


def _variables() -> list[dict[str, Any]]:
    chosen = [
        {
            "name": label,
            "type": "query",
            "datasource": _DATASOURCE,
            "query": f"label_values({PREFIX}_transcripts_total, {label})",
            "refresh": 2,
            "includeAll": True,
            "allValue": ".*",
            "multi": True,
            "current": {"text": "All", "value": "$__all"},
        }
        for label in ("version", "transport")
    ]
    return [{"name": "datasource", "type": "datasource", "query": "prometheus"}, *chosen]
