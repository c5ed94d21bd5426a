"""Alerts on the service and on the monitoring itself: what no file of thresholds has to decide.

They need nothing but metrics: the service is gone, loses what it should keep, refuses for want of capacity, or is no
longer asked.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.alarms.rules import Severity
from monitoring.metric_catalog import PREFIX

JOB = PREFIX  # as prometheus.yaml calls it


@dataclass(frozen=True, slots=True)
class Health:
    """One alert; its times are those of ``rules.About``."""

    name: str
    severity: Severity
    expr: str
    pending_s: int
    clear_s: int
    summary: str
    description: str
    lookfor: str


HEALTH = (
    Health(
        "service-absent",
        Severity.PAGE,
        f'absent(up{{job="{JOB}"}} == 1)',
        120,
        0,
        "No instance of the service can be scraped: people most likely get no answer.",
        f'No target of the job "{JOB}" has been up for two minutes.',
        "Whether the process runs (systemctl status voicesearch, docker compose ps), /readyz, and whether the key in "
        "credentials_file is still good: /metrics answers 401 or 403 without it.",
    ),
    Health(
        "instance-down",
        Severity.TICKET,
        f'up{{job="{JOB}"}} == 0',
        300,
        0,
        "One instance of the service cannot be scraped.",
        "{{ $labels.instance }} has been down for five minutes.",
        "Its log, from the last line backwards: a start that failed says why.",
    ),
    Health(
        "events-lost",
        Severity.PAGE,
        f"increase({PREFIX}_events_lost_total[15m]) > 0",
        0,
        600,
        "Records or events are lost for good: what is learnt and judged from them is no longer whole.",
        "{{ $value | humanize }} lost on {{ $labels.instance }} within 15 minutes.",
        "The disk of the event store (full, read-only), or its PostgreSQL; users still get answers. What is lost stays "
        "lost: note the stretch of time before anything is trained on it.",
    ),
    Health(
        "spool-lag",
        Severity.TICKET,
        f"{PREFIX}_spool_lag_seconds > 30",
        120,
        300,
        "Records wait to be written: if this goes on, they will be lost.",
        "The oldest on {{ $labels.instance }} has waited {{ $value | humanizeDuration }}.",
        "The disk or the PostgreSQL server of the event store; a long erasure or purge holds the writer up, too.",
    ),
    Health(
        "watch-stopped",
        Severity.PAGE,
        f"time() - ({PREFIX}_watch_last_tick_timestamp_seconds > 0) > 300",
        0,
        0,
        "The service watches itself no longer: its own alarms stand still, and its page shows what was.",
        "That of {{ $labels.instance }} looked {{ $value | humanizeDuration }} ago; it should every half minute.",
        "Its log: watch_stuck, watch_failed, uncaught. A store that answers slowly holds a tick up; else restart it.",
    ),
    Health(
        "watch-blind",
        Severity.TICKET,
        f"sum by (job, instance, step) (increase({PREFIX}_watch_failures_total[15m])) > 10",
        300,
        600,
        "A step of the watch fails again and again: what it would have counted, judged or told is missing.",
        "{{ $labels.step }} on {{ $labels.instance }} failed {{ $value | humanize }} times within 15 minutes.",
        "The line watch_failed with that step in its log: it has the type of the error and its place. Where all steps "
        "fail, the event store.",
    ),
    Health(
        "watch-loses",
        Severity.TICKET,
        f'sum by (job, instance, what) (increase({PREFIX}_watch_lost_total{{what!="late events"}}[1h])) > 0',
        0,
        600,
        "The watch has lost some of what it should count or tell.",
        "{{ $value | humanize }} {{ $labels.what }} lost on {{ $labels.instance }} within an hour.",
        "Whether the event store was away for long, or there is more traffic than one instance can follow. Records are "
        "all there.",
    ),
    Health(
        "overloaded",
        Severity.TICKET,
        f"sum(increase({PREFIX}_overload_rejected_total[10m])) > 0.01 * {PREFIX}:requests:increase1h / 6\n"
        f"and sum(increase({PREFIX}_overload_rejected_total[10m])) > 10",
        300,
        600,
        "More than one request in a hundred is refused for want of capacity.",
        "{{ $value | humanize }} refused in 10 minutes.",
        "inflight and queue_items by instance: add instances, or find who sends so much (requests by key).",
    ),
    Health(
        "traffic-gone",
        Severity.PAGE,
        f"{PREFIX}:requests:increase1h < 0.1 * {PREFIX}:requests:increase1h offset 1w\n"
        f"and {PREFIX}:requests:increase1h offset 1w >= 100",
        600,
        600,
        "Hardly anybody asks any more, where a week ago at this hour many did.",
        "{{ $value | humanize }} requests in the last hour.",
        "What is in front: the app's release, the proxy, DNS, certificates. Who cannot reach it is not seen here.",
    ),
)
