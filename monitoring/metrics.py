"""Records and events to Prometheus metrics, in a registry that the caller owns. No text ever gets here.

``observe`` counts what one record or event says by itself. What people did next is charged to what served the query
they did it with; that they asked again or typed, only where that query was spoken (`outcomes.was_spoken`). Told
directly: clicks, typed queries, and a redo by the client's own word (``kind="explicit"``). What a client did not say is
inferred over a session (`outcomes`), minutes later, and handed to ``followed``, which counts what nobody told: without
it the kinds ``repeat`` and ``rephrase`` stay at zero. A ``dismiss`` has no metric.

An event that is sent twice would count twice: hand over only those that ``EventStore.submit`` calls new.
"""

from __future__ import annotations

import collections
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric as Family

from asr.transcript import ClipStats
from monitoring.label_values import OTHER, LabelValues
from monitoring.metric_catalog import CATALOG, PREFIX, Kind, Metric
from monitoring.outcomes import Again, Followed, was_spoken
from monitoring.record import STAGES, Event, EventType, Outcome, Record, Transport

QUERIES_REMEMBERED = 65_536  # for events to come: 5 minutes of 200 queries a second, about 10 MB
MODELS, ROUTES, NAMES = 20, 40, 30  # values of a label: name@digest pairs, routes, anything else

ARMS = ("stable", "canary", "shadow")
REDO_KINDS = ("explicit", "repeat", "rephrase")
BAD_INPUT = frozenset({400, 413, 415, 422})  # statuses of a request whose clip is at fault

Served = tuple[str, str, str, str]  # the values of ``SERVED``
UNKNOWN: Served = (OTHER, OTHER, OTHER, OTHER)  # events on queries long forgotten


class Spool(Protocol):
    """What the event store says of itself."""

    @property
    def lost(self) -> int:
        """Records and events that are lost."""

    @property
    def lag_s(self) -> float:
        """Seconds that the oldest one has waited."""


class Metrics:
    """All metrics of the catalogue in one registry. Cheap, safe from many threads, and bounded in its series."""

    def __init__(self, registry: CollectorRegistry, spool: Spool | None = None) -> None:
        made = {
            metric.name: _make(metric, registry) for metric in CATALOG if metric.name != "events_lost_total"
        }
        self._counters = {name: made for name, made in made.items() if isinstance(made, Counter)}
        self._gauges = {name: made for name, made in made.items() if isinstance(made, Gauge)}
        self._histograms = {name: made for name, made in made.items() if isinstance(made, Histogram)}
        self._models = LabelValues(MODELS)
        self._routes = LabelValues(ROUTES)
        self._names = {
            "reason": LabelValues(NAMES),
            "rejection": LabelValues(NAMES),
            "field": LabelValues(NAMES),
            "feature": LabelValues(NAMES),
            "alarm": LabelValues(NAMES),
            "step": LabelValues(NAMES),
            "what": LabelValues(NAMES),
            "stage": LabelValues(len(STAGES), STAGES),
            "arm": LabelValues(len(ARMS), ARMS),
            "kind": LabelValues(len(REDO_KINDS), REDO_KINDS),
        }
        self._served: OrderedDict[str, tuple[Served, bool]] = OrderedDict()
        self._lost: collections.Counter[str] = collections.Counter()  # as the watch last said
        self._drifting: set[str] = set()  # features that have a score
        self._lock = threading.Lock()
        registry.register(_Lost(spool))
        if spool is not None:
            self._gauges["spool_lag_seconds"].set_function(lambda: spool.lag_s)
        ProcessCollector(registry=registry)

    def observe(self, item: Record | Event) -> None:
        """Count a record or an event: an ``Observer``."""
        if isinstance(item, Record):
            self._record(item)
        else:
            self._event(item)

    def request(self, route: str, status: int, seconds: float) -> None:
        """An HTTP request was answered. ``route`` is the template (``/v1/models/{id}``), never the path."""
        label = str(status) if 100 <= status <= 599 else OTHER
        self._histograms["http_server_request_duration_seconds"].labels(
            self._routes.seen(route), label
        ).observe(seconds)

    def followed(self, record: Record, followed: Followed) -> None:
        """A query has settled. What its client told was counted when it came, and is not counted twice."""
        if followed.again is None or followed.told or not followed.spoken:
            return
        if followed.again is Again.TYPED:
            self._count("typing_switch_total", self._labels(record))
        else:
            self._redo(followed.again, self._labels(record))

    def set_inflight(self, requests: int) -> None:
        """How many requests are being answered."""
        self._gauges["inflight"].set(requests)

    def set_queue(self, items: int) -> None:
        """How many clips wait for the model."""
        self._gauges["queue_items"].set(items)

    def queue_wait(self, seconds: float) -> None:
        """A clip waited so long."""
        self._histograms["queue_wait_seconds"].observe(seconds)

    def batch(self, audio_s: float) -> None:
        """The model ran on so much audio."""
        self._histograms["batch_audio_seconds"].observe(audio_s)

    def overloaded(self, reason: str) -> None:
        """A request was refused for want of capacity."""
        self._counters["overload_rejected_total"].labels(self._names["reason"].seen(reason)).inc()

    def drift(self, feature: str, score: float, threshold: float) -> None:
        """A feature was compared with its reference."""
        label = self._names["feature"].seen(feature)
        self._drifting.add(label)
        self._gauges["drift_score"].labels(label).set(score)
        self._gauges["drift_threshold"].labels(label).set(threshold)

    def drift_only(self, features: Collection[str]) -> None:
        """No other feature is judged by this process, now: an old score would keep an alert for ever."""
        kept = {self._names["feature"].known(feature) for feature in features}
        for label in self._drifting - kept:
            for gauge in ("drift_score", "drift_threshold"):
                self._gauges[gauge].remove(label)
        self._drifting &= kept

    def alarm(self, alarm: str, *, active: bool) -> None:
        """An alarm fires, or does not."""
        self._gauges["alarm_active"].labels(self._names["alarm"].seen(alarm)).set(active)

    def watched(self, at: datetime, lost: Mapping[str, int]) -> None:
        """The watch has looked. ``lost``: by what, how much so far."""
        self._gauges["watch_last_tick_timestamp_seconds"].set(at.timestamp())
        for what, so_far in lost.items():
            label = self._names["what"].seen(what)
            self._counters["watch_lost_total"].labels(label).inc(so_far - self._lost[what])
            self._lost[what] = so_far

    def watch_failed(self, step: str) -> None:
        """A step of the watch raised."""
        self._counters["watch_failures_total"].labels(self._names["step"].seen(step)).inc()

    def _record(self, record: Record) -> None:
        served = self._labels(record)
        if record.query_id is not None:
            with self._lock:
                self._served[record.query_id] = served, was_spoken(record)
                if len(self._served) > QUERIES_REMEMBERED:
                    self._served.popitem(last=False)
        for field in record.fields_missing:
            self._count("fields_missing_total", served, self._names["field"].seen(field))
        for stage, took_s in record.stages_s.items():
            label = self._names["stage"].known(stage)
            self._histograms["stage_duration_seconds"].labels(*served, label).observe(took_s)
        searched = record.transport in (Transport.SEARCH, Transport.TEXT) or "search" in record.stages_s
        if searched and record.outcome is Outcome.OK:
            self._count("searches_total", served)
            if not record.results:
                self._count("zero_results_total", served)
        if record.transport is Transport.TEXT:
            return  # no clip, no transcript
        self._count("transcripts_total", served, record.outcome.value)
        if record.outcome is Outcome.ERROR and record.status in BAD_INPUT:
            self._count("clips_rejected_total", served, self._names["rejection"].seen(record.error or OTHER))
        self._measure("transcript_confidence_ratio", served, record.confidence)
        self._measure("final_after_speech_seconds", served, record.final_after_speech_s)
        self._measure("first_partial_seconds", served, record.first_partial_s)
        if record.clip is not None:
            self._clip(record.clip, record, served)

    def _clip(self, clip: ClipStats, record: Record, served: Served) -> None:
        self._measure("clip_duration_seconds", served, clip.duration_s)
        self._measure("clip_level_dbfs", served, clip.level_dbfs)
        self._measure("clip_snr_db", served, clip.snr_db)
        self._measure("clip_gain_db", served, clip.gain_db)
        self._measure("clip_clipped_ratio", served, clip.clipped_ratio)
        self._measure("clip_speech_ratio", served, clip.speech_ratio)
        self._measure("clip_leading_silence_seconds", served, clip.leading_silence_s)
        self._measure("clip_trailing_silence_seconds", served, clip.trailing_silence_s)
        speech_s = clip.duration_s * clip.speech_ratio
        if record.n_words and speech_s:
            self._measure("words_per_second", served, record.n_words / speech_s)
        # Not the wall clock: a stream lasts as long as its speaker speaks.
        worked_s = sum(
            took_s for stage, took_s in record.stages_s.items() if stage not in ("queue", "search")
        )
        if worked_s and clip.duration_s:
            self._measure("real_time_factor", served, worked_s / clip.duration_s)

    def _event(self, event: Event) -> None:
        with self._lock:
            served, spoken = self._served.get(event.query_id, (UNKNOWN, True))
        if event.type is EventType.CLICK:
            self._count("clicks_total", served)
        elif event.type is EventType.REDO and spoken:
            self._redo(Again.EXPLICIT, served)
        elif event.type is EventType.TYPED and spoken:
            self._count("typing_switch_total", served)

    def _labels(self, record: Record) -> Served:
        # Only what was served makes a model known: a request may name any model, and then fails.
        model = record.model
        known = self._models.known(model) if record.outcome is Outcome.ERROR else self._models.seen(model)
        name, _, version = known.partition("@")
        arm = self._names["arm"].known(record.arm)
        return name or OTHER, version or OTHER, arm, record.transport.value

    def _redo(self, kind: str, served: Served) -> None:
        self._count("redo_total", served, self._names["kind"].known(kind))

    def _count(self, name: str, served: Served, *more: str) -> None:
        self._counters[name].labels(*served, *more).inc()

    def _measure(self, name: str, served: Served, value: float | None) -> None:
        if value is not None:
            self._histograms[name].labels(*served).observe(value)


class _Lost:
    """``events_lost_total``, read from the store when it is asked for: the store's own count is the exact one."""

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool

    def collect(self) -> Iterator[Family]:
        metric = next(metric for metric in CATALOG if metric.name == "events_lost_total")
        lost = 0 if self._spool is None else self._spool.lost
        yield CounterMetricFamily(f"{PREFIX}_{metric.name}", metric.help, value=lost)


def _make(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind is Kind.HISTOGRAM:
        return Histogram(
            metric.name,
            metric.help,
            metric.labels,
            namespace=PREFIX,
            registry=registry,
            buckets=metric.buckets,
        )
    kind = Counter if metric.kind is Kind.COUNTER else Gauge
    return kind(metric.name, metric.help, metric.labels, namespace=PREFIX, registry=registry)
