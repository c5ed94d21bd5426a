"""Every metric of ours: name, type, labels, buckets, and what it tells. ``docs`` and dashboards name only these.

Names are without the prefix ``voicesearch_``. Slices (device, locale) live in the event store, never in labels.
``SERVED`` labels a metric with what served the request: model, version, arm and transport. A histogram whose
buckets begin below zero (decibels) is exposed without a sum and a count, as OpenMetrics demands: ask for quantiles,
and for the count in the bucket ``+Inf``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PREFIX = "voicesearch"
SERVED = ("model", "version", "arm", "transport")


class Kind(StrEnum):
    """The Prometheus type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Only a histogram has ``buckets``: upper bounds, without the last, infinite one."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _clip(name: str, help: str, buckets: tuple[float, ...]) -> Metric:
    return Metric(name, Kind.HISTOGRAM, help, SERVED, buckets)


def _counted(name: str, help: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, help, (*SERVED, *labels))


_RATIOS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_SILENCES_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10)
_REQUESTS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_STAGES_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_FELT_S = (0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5)

CATALOG = (
    # What comes in.
    _clip("clip_duration_seconds", "Length of clips.", (0.25, 0.5, 1, 2, 3, 5, 8, 12, 20, 30, 60)),
    _clip(
        "clip_level_dbfs",
        "Active speech level of clips before any gain.",
        tuple(float(x) for x in range(-60, 1, 5)),
    ),
    _clip(
        "clip_gain_db",
        "Gain that brought clips to the standard level.",
        tuple(float(x) for x in range(-20, 41, 5)),
    ),
    _clip("clip_snr_db", "Signal-to-noise ratio of clips.", tuple(float(x) for x in range(-5, 46, 5))),
    # A bucket that ends at 0 tells clips without a single clipped sample from the others.
    _clip(
        "clip_clipped_ratio", "Share of clipped samples.", (0.0, 0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1)
    ),
    _clip("clip_speech_ratio", "Share of clips that is speech.", (0.0, *_RATIOS)),
    _clip("clip_leading_silence_seconds", "Silence before the first speech.", _SILENCES_S),
    _clip("clip_trailing_silence_seconds", "Silence after the last speech.", _SILENCES_S),
    _counted("fields_missing_total", "Requests without a field that clients should send.", "field"),
    _counted("clips_rejected_total", "Clips refused as bad input.", "reason"),
    # What goes out.
    _counted(
        "transcripts_total", "Requests with a clip by outcome; null rate = null / (ok + null).", "outcome"
    ),
    _clip("transcript_confidence_ratio", "Probability that all of a transcript is right.", _RATIOS),
    _clip("words_per_second", "Words per second of speech.", (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 8)),
    _counted("searches_total", "Searches that were run, spoken and typed."),
    _counted("zero_results_total", "Searches that found nothing."),
    # What people do next, charged to what served the first query.
    _counted("redo_total", "Queries asked again: explicit (said so), repeat, rephrase (inferred).", "kind"),
    _counted("typing_switch_total", "Spoken queries that were then typed."),
    _counted("clicks_total", "Results opened."),
    # Speed.
    Metric(
        "http_server_request_duration_seconds",
        Kind.HISTOGRAM,
        "Time to answer HTTP requests.",
        ("route", "status"),
        _REQUESTS_S,
    ),
    Metric(
        "stage_duration_seconds",
        Kind.HISTOGRAM,
        "Time of each step of the pipeline.",
        (*SERVED, "stage"),
        _STAGES_S,
    ),
    _clip("final_after_speech_seconds", "From the end of speech to the final text.", _FELT_S),
    _clip("first_partial_seconds", "From the start of speech to the first partial text.", _FELT_S),
    _clip(
        "real_time_factor",
        "Processing time by length of clip.",
        (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5),
    ),
    # Load.
    Metric("inflight", Kind.GAUGE, "Requests being answered now."),
    Metric("queue_items", Kind.GAUGE, "Clips waiting for the model now."),
    Metric("queue_wait_seconds", Kind.HISTOGRAM, "Time that clips waited for the model.", (), _STAGES_S),
    Metric(
        "batch_audio_seconds",
        Kind.HISTOGRAM,
        "Audio in one run of the model.",
        (),
        (1, 2, 5, 10, 20, 30, 60, 120, 300),
    ),
    Metric("overload_rejected_total", Kind.COUNTER, "Requests refused for want of capacity.", ("reason",)),
    # Judgement.
    Metric("drift_score", Kind.GAUGE, "Distance of a feature from its reference.", ("feature",)),
    Metric("drift_threshold", Kind.GAUGE, "Distance from which it counts as drift.", ("feature",)),
    Metric("alarm_active", Kind.GAUGE, "1 while an alarm is firing.", ("alarm",)),
    # The monitoring itself.
    Metric(
        "events_lost_total",
        Kind.COUNTER,
        "Records and events that the event store lost; above 0 pages someone.",
    ),
    Metric("spool_lag_seconds", Kind.GAUGE, "How long the oldest record has waited for the event store."),
    Metric("watch_last_tick_timestamp_seconds", Kind.GAUGE, "When the watch last looked; 0: it never did."),
    Metric(
        "watch_failures_total",
        Kind.COUNTER,
        "Steps of the watch that raised, and rules it could not judge.",
        ("step",),
    ),
    Metric(
        "watch_lost_total",
        Kind.COUNTER,
        "What the watch had no room for, or came too late for it.",
        ("what",),
    ),
)
