"""``monitoring.metrics``: each number lands in its metric, under what served it, and nothing else gets there."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from asr.transcript import ClipStats, NullReason
from monitoring import metrics as metrics_module
from monitoring.metric_catalog import CATALOG, SERVED, Kind
from monitoring.metrics import Metrics
from monitoring.outcomes import Again, Followed
from monitoring.record import Event, EventType, Outcome, Record, Transport

AT = datetime(2026, 3, 1, tzinfo=UTC)
CLIP = ClipStats(
    duration_s=4.0, level_dbfs=-23.0, gain_db=3.0, snr_db=18.0, clipped_ratio=0.0, speech_ratio=0.5,
    leading_silence_s=0.4, trailing_silence_s=1.5,
)  # fmt: skip
RECORD = Record(
    "request", AT, Transport.SEARCH, Outcome.OK, 200, "en-small@0123456789ab", 0.5, query_id="query", clip=CLIP,
    confidence=0.85, n_words=5, results=("item",), stages_s={"queue": 9.0, "vad": 0.1, "model": 0.3, "search": 0.2},
    first_partial_s=0.25, final_after_speech_s=0.15, fields_missing=("language",),
)  # fmt: skip
EVENT = Event("event", "query", EventType.CLICK, AT)
BY = {"model": "en-small", "version": "0123456789ab", "arm": "stable", "transport": "search"}
CONVENTIONS = """
    clip_duration_seconds clip_level_dbfs clip_gain_db clip_snr_db clip_clipped_ratio clip_speech_ratio
    clip_leading_silence_seconds clip_trailing_silence_seconds fields_missing_total clips_rejected_total
    transcripts_total transcript_confidence_ratio words_per_second
    redo_total typing_switch_total searches_total clicks_total zero_results_total
    http_server_request_duration_seconds stage_duration_seconds
    final_after_speech_seconds first_partial_seconds real_time_factor
    inflight queue_items queue_wait_seconds batch_audio_seconds overload_rejected_total
    drift_score drift_threshold alarm_active events_lost_total spool_lag_seconds
    watch_last_tick_timestamp_seconds watch_failures_total watch_lost_total
"""
NOBODY = dict.fromkeys(SERVED, "other")


@pytest.fixture
def registry() -> CollectorRegistry:
    """An empty one."""
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    """On that registry."""
    return Metrics(registry)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    """A sample of ours."""
    return registry.get_sample_value(f"voicesearch_{name}", labels)


@pytest.mark.parametrize(
    ("name", "sum_"),
    [
        ("clip_duration_seconds", 4.0),
        ("clip_clipped_ratio", 0.0),
        ("clip_speech_ratio", 0.5),
        ("clip_leading_silence_seconds", 0.4),
        ("clip_trailing_silence_seconds", 1.5),
        ("transcript_confidence_ratio", 0.85),
        ("words_per_second", 2.5),  # 5 words in 2 s of speech
        ("real_time_factor", 0.1),  # 0.4 s of vad and model on 4 s; waiting and searching are not processing
        ("first_partial_seconds", 0.25),
        ("final_after_speech_seconds", 0.15),
    ],
)
def test_a_record_is_measured(metrics: Metrics, registry: CollectorRegistry, name: str, sum_: float) -> None:
    """Once, with its value, under what served it."""
    metrics.observe(RECORD)
    assert value(registry, f"{name}_count", **BY) == 1
    assert value(registry, f"{name}_sum", **BY) == pytest.approx(sum_)


@pytest.mark.parametrize(
    ("name", "below", "within"),
    [("clip_level_dbfs", -25, -20), ("clip_gain_db", 0, 5), ("clip_snr_db", 15, 20)],
)
def test_decibels_land_in_their_bucket(
    metrics: Metrics, registry: CollectorRegistry, name: str, below: float, within: float
) -> None:
    """Histograms below zero have no sum: the bucket says where the value is."""
    metrics.observe(RECORD)
    bounds = [value(registry, f"{name}_bucket", **BY, le=f"{bound:.1f}") for bound in (below, within)]
    assert bounds == [0, 1]


def test_a_record_is_counted(metrics: Metrics, registry: CollectorRegistry) -> None:
    """Its outcome, its search, what it lacked, and the time of each of its stages."""
    metrics.observe(RECORD)
    assert value(registry, "transcripts_total", **BY, outcome="ok") == 1
    assert value(registry, "searches_total", **BY) == 1
    assert value(registry, "zero_results_total", **BY) is None
    assert value(registry, "fields_missing_total", **BY, field="language") == 1
    stages = {
        stage: value(registry, "stage_duration_seconds_sum", **BY, stage=stage) for stage in RECORD.stages_s
    }
    assert stages == dict(RECORD.stages_s)


def test_what_is_not_there_is_not_measured(metrics: Metrics, registry: CollectorRegistry) -> None:
    """A clip without speech has no level and no confidence; zero would be a lie."""
    clip = replace(CLIP, level_dbfs=None, snr_db=None, speech_ratio=0.0)
    null = NullReason.NO_SPEECH
    metrics.observe(
        replace(
            RECORD,
            outcome=Outcome.NO_SPEECH,
            null_reason=null,
            clip=clip,
            confidence=None,
            n_words=0,
            results=(),
        )
    )
    assert value(registry, "transcripts_total", **BY, outcome="no_speech") == 1
    assert value(registry, "clip_duration_seconds_count", **BY) == 1
    absent = ("clip_level_dbfs", "clip_snr_db", "transcript_confidence_ratio", "words_per_second")
    assert [value(registry, f"{name}_count", **BY) for name in absent] == [None] * 4
    assert value(registry, "searches_total", **BY) is None


def test_a_typed_query_is_a_search_and_no_transcript(metrics: Metrics, registry: CollectorRegistry) -> None:
    """One that finds nothing is counted as such."""
    metrics.observe(Record("r", AT, Transport.TEXT, Outcome.OK, 200, "en-small@0123456789ab", 0.01))
    by = BY | {"transport": "text"}
    assert value(registry, "searches_total", **by) == 1
    assert value(registry, "zero_results_total", **by) == 1
    assert value(registry, "transcripts_total", **by, outcome="ok") is None


@pytest.mark.parametrize(("status", "rejected"), [(415, 1), (422, 1), (401, None), (429, None), (503, None)])
def test_only_a_bad_clip_is_a_rejected_clip(
    metrics: Metrics, registry: CollectorRegistry, status: int, rejected: int | None
) -> None:
    """A missing key or a full queue says nothing of the clip."""
    failed = replace(RECORD, outcome=Outcome.ERROR, status=status, error="CorruptAudioError", clip=None)
    metrics.observe(RECORD)  # or the model is nobody's
    metrics.observe(failed)
    assert value(registry, "clips_rejected_total", **BY, reason="CorruptAudioError") == rejected
    assert value(registry, "transcripts_total", **BY, outcome="error") == 1


def test_what_people_do_is_charged_to_what_served_them(metrics: Metrics, registry: CollectorRegistry) -> None:
    """An event counts for the model of its query, whatever serves when it comes; a dismissal counts nowhere."""
    metrics.observe(RECORD)
    metrics.observe(replace(RECORD, request_id="2", query_id="query-2", model="en-big@ffff", arm="canary"))
    for kind in (EventType.CLICK, EventType.CLICK, EventType.TYPED, EventType.REDO, EventType.DISMISS):
        metrics.observe(replace(EVENT, type=kind))
    metrics.observe(replace(EVENT, query_id="query-2"))
    metrics.observe(replace(EVENT, query_id="never heard of"))
    again = Followed("query-2", "en-big@ffff", "canary", null=False, again=Again.REPHRASE)
    metrics.followed(replace(RECORD, query_id="query-2", model="en-big@ffff", arm="canary"), again)
    big = BY | {"model": "en-big", "version": "ffff", "arm": "canary"}
    assert value(registry, "clicks_total", **BY) == 2
    assert value(registry, "typing_switch_total", **BY) == 1
    assert value(registry, "redo_total", **BY, kind="explicit") == 1
    assert value(registry, "clicks_total", **big) == 1
    assert value(registry, "redo_total", **big, kind="rephrase") == 1
    assert value(registry, "clicks_total", **NOBODY) == 1


def test_what_was_inferred_is_counted_and_what_was_told_is_not_counted_twice(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    """A switch that the client tells of is counted when it tells, and not again when its query settles."""
    metrics.observe(RECORD)
    followed = Followed("query", RECORD.model, RECORD.arm, null=False)
    metrics.followed(RECORD, followed)
    for kind in (Again.REPEAT, Again.REPHRASE, Again.TYPED):
        metrics.followed(RECORD, replace(followed, again=kind))
        metrics.followed(RECORD, replace(followed, again=kind, told=True))
    metrics.observe(replace(EVENT, type=EventType.REDO))
    metrics.followed(RECORD, replace(followed, again=Again.EXPLICIT, told=True))
    redo = {
        kind: value(registry, "redo_total", **BY, kind=kind) for kind in ("repeat", "rephrase", "explicit")
    }
    assert redo == {"repeat": 1, "rephrase": 1, "explicit": 1}
    assert value(registry, "typing_switch_total", **BY) == 1
    forgotten = replace(RECORD, query_id="long ago")
    metrics.followed(forgotten, replace(followed, query_id="long ago", again=Again.TYPED))
    assert value(registry, "typing_switch_total", **BY) == 2


def test_who_typed_or_was_silent_did_not_ask_again(metrics: Metrics, registry: CollectorRegistry) -> None:
    """Said by a client or inferred: redo and switches are those of spoken queries, clicks anybody's."""
    typed = replace(RECORD, query_id="typed", transport=Transport.TEXT)
    silent = replace(RECORD, query_id="silent", outcome=Outcome.NO_SPEECH)
    for record in (typed, silent):
        metrics.observe(record)
        for kind in (EventType.REDO, EventType.TYPED, EventType.CLICK):
            metrics.observe(replace(EVENT, query_id=record.query_id or "", type=kind))
    inferred = Followed("silent", silent.model, silent.arm, null=True, again=Again.REPHRASE, spoken=False)
    metrics.followed(silent, inferred)
    samples = [sample for family in registry.collect() for sample in family.samples]
    happened = [sample.name for sample in samples if sample.name.endswith("_total") and sample.value]
    assert "voicesearch_clicks_total" in happened
    assert not {"voicesearch_redo_total", "voicesearch_typing_switch_total"} & set(happened)


def test_queries_are_forgotten_in_order(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: an event on a query of long ago is counted for nobody."""
    monkeypatch.setattr(metrics_module, "QUERIES_REMEMBERED", 2)
    metrics = Metrics(registry)
    for name in ("1", "2", "3"):
        metrics.observe(replace(RECORD, query_id=name))
        metrics.observe(replace(EVENT, query_id="1"))
    assert value(registry, "clicks_total", **BY) == 2
    assert value(registry, "clicks_total", **NOBODY) == 1


def test_the_server_sets_its_own(metrics: Metrics, registry: CollectorRegistry) -> None:
    """Requests, load, drift and alarms."""
    metrics.request("/v1/models/{id}", 200, 0.25)
    metrics.set_inflight(3)
    metrics.set_queue(2)
    metrics.queue_wait(0.5)
    metrics.batch(7.5)
    metrics.overloaded("queue_full")
    metrics.drift("clip_level_dbfs", 0.3, 0.2)
    metrics.alarm("latency", active=True)
    metrics.watched(AT, {"notices": 1})
    metrics.watch_failed("flush")
    assert (
        value(registry, "http_server_request_duration_seconds_sum", route="/v1/models/{id}", status="200")
        == 0.25
    )
    gauges = {name: value(registry, name) for name in ("inflight", "queue_items")}
    assert gauges == {"inflight": 3, "queue_items": 2}
    assert (value(registry, "queue_wait_seconds_sum"), value(registry, "batch_audio_seconds_sum")) == (
        0.5,
        7.5,
    )
    assert value(registry, "overload_rejected_total", reason="queue_full") == 1
    assert value(registry, "drift_score", feature="clip_level_dbfs") == 0.3
    assert value(registry, "drift_threshold", feature="clip_level_dbfs") == 0.2
    assert value(registry, "alarm_active", alarm="latency") == 1
    metrics.alarm("latency", active=False)
    assert value(registry, "alarm_active", alarm="latency") == 0


def test_a_score_that_is_nobodys_any_more_is_gone(metrics: Metrics, registry: CollectorRegistry) -> None:
    """A feature that is not judged any more would else keep an alert for ever; one that comes back is shown again."""
    metrics.drift("level_dbfs", 0.3, 0.2)
    metrics.drift("snr_db", 0.1, 0.2)
    metrics.drift_only(["snr_db", "not judged yet"])
    for name in ("drift_score", "drift_threshold"):
        assert value(registry, name, feature="level_dbfs") is None
        assert value(registry, name, feature="snr_db") is not None
    metrics.drift_only([])
    assert value(registry, "drift_score", feature="snr_db") is None
    metrics.drift("level_dbfs", 0.4, 0.2)
    assert value(registry, "drift_score", feature="level_dbfs") == 0.4


def test_the_store_is_asked_when_the_metrics_are(registry: CollectorRegistry) -> None:
    """Lost events and lag are the store's numbers at that moment."""

    class Spool:
        lost = 0
        lag_s = 0.0

    spool = Spool()
    Metrics(registry, spool)
    assert value(registry, "events_lost_total") == 0
    spool.lost, spool.lag_s = 7, 1.5
    assert (value(registry, "events_lost_total"), value(registry, "spool_lag_seconds")) == (7, 1.5)


def test_the_watch_says_when_it_looked_and_what_it_lost(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    """It tells sums, which a counter takes as what came since; a step that fails is counted by its name."""
    for lost in (2, 2, 5):
        metrics.watched(AT, {"notices": lost})
    metrics.watch_failed("flush")
    assert value(registry, "watch_last_tick_timestamp_seconds") == AT.timestamp()
    assert value(registry, "watch_lost_total", what="notices") == 5
    assert value(registry, "watch_failures_total", step="flush") == 1


def test_nobody_can_multiply_series(metrics: Metrics, registry: CollectorRegistry) -> None:
    """A thousand made-up values of every label that comes from outside cost a bounded number of series."""
    metrics.observe(RECORD)
    for number in range(1000):
        name = f"made-up-{number}"
        failed = replace(RECORD, outcome=Outcome.ERROR, status=400, model=name, arm=name, error=name)
        metrics.observe(replace(failed, fields_missing=(name,), stages_s={name: 1.0}))
        metrics.observe(replace(RECORD, model=f"{name}@{number}"))
        metrics.observe(replace(EVENT, query_id=name))
        metrics.request(name, number, 1.0)
        metrics.overloaded(f"{name}-load")
        metrics.drift(name, 1.0, 1.0)
        metrics.alarm(name, active=True)
        metrics.followed(
            replace(RECORD, model=f"{name}@{number}", arm=name),
            Followed(name, name, name, null=False, again=Again.REPEAT),
        )
    values: dict[str, set[str]] = {}
    for family in registry.collect():
        for sample in family.samples:
            for label, text in sample.labels.items():
                values.setdefault(label, set()).add(text)
    made_up = {label: sum("made-up" in text for text in texts) for label, texts in values.items()}
    assert made_up == {
        "model": 19, "version": 0, "arm": 0, "transport": 0, "field": 29, "reason": 60, "outcome": 0, "stage": 0,
        "kind": 0, "route": 40, "status": 0, "le": 0, "feature": 30, "alarm": 30,
    }  # fmt: skip
    assert value(registry, "transcripts_total", **NOBODY | {"transport": "search"}, outcome="error") == 1000


def test_what_was_said_is_in_no_metric(metrics: Metrics, registry: CollectorRegistry) -> None:
    """Nor who said it, nor what was found: P4."""
    canary = "canary flat white"
    metrics.observe(
        replace(
            RECORD,
            text=canary,
            results=(canary,),
            session=canary,
            key_id=canary,
            query_id=canary,
            request_id=canary,
        )
    )
    for kind in EventType:
        metrics.observe(Event(canary, canary, kind, AT, canary, canary, canary, canary))
    exposition = generate_latest(registry).decode()
    assert "voicesearch_clicks_total{" in exposition
    assert "canary flat" not in exposition


def everything(registry: CollectorRegistry) -> str:
    """The exposition of metrics of which each has a sample."""
    metrics = Metrics(registry)
    metrics.observe(RECORD)
    metrics.observe(replace(RECORD, outcome=Outcome.ERROR, status=415, error="CorruptAudioError"))
    metrics.observe(replace(RECORD, results=()))
    for kind in EventType:
        metrics.observe(replace(EVENT, type=kind))
    metrics.request("/v1/search", 200, 0.25)
    metrics.overloaded("queue_full")
    metrics.drift("clip_level_dbfs", 0.3, 0.2)
    metrics.alarm("latency", active=True)
    metrics.watched(AT, {"notices": 1})
    metrics.watch_failed("flush")
    return generate_latest(registry).decode()


def test_the_exposition_has_the_whole_catalogue(registry: CollectorRegistry) -> None:
    """Prometheus' own parser finds each metric, with its type, labels and buckets; and those of the process."""
    families = {family.name: family for family in text_string_to_metric_families(everything(registry))}
    for metric in CATALOG:
        family = families[
            f"voicesearch_{metric.name}".removesuffix("_total" if metric.kind is Kind.COUNTER else "")
        ]
        assert family.type == metric.kind.value, metric.name
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        assert samples, metric.name
        assert {frozenset(sample.labels) - {"le"} for sample in samples} == {frozenset(metric.labels)}, (
            metric.name
        )
        bounds = {float(sample.labels["le"]) for sample in samples if "le" in sample.labels}
        assert bounds == ({*metric.buckets, float("inf")} if metric.buckets else set()), metric.name
    assert {"process_resident_memory_bytes", "process_cpu_seconds"} <= set(families)


def test_the_names_are_those_of_the_conventions() -> None:
    """The table of conventions.md, each once; buckets rise, and only counters end as counters do."""
    assert sorted(metric.name for metric in CATALOG) == sorted(CONVENTIONS.split())
    for metric in CATALOG:
        assert (metric.kind is Kind.COUNTER) == metric.name.endswith("_total")
        assert (metric.kind is Kind.HISTOGRAM) == bool(metric.buckets)
        assert list(metric.buckets) == sorted(set(metric.buckets))


def test_promtool_has_no_complaint(registry: CollectorRegistry, tmp_path: Path) -> None:
    """The linter of Prometheus itself, on every metric."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool")
    (tmp_path / "metrics").write_text(everything(registry))
    with (tmp_path / "metrics").open() as text:
        run = subprocess.run(
            [promtool, "check", "metrics"], stdin=text, capture_output=True, text=True, check=False
        )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
