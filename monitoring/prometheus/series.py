"""What is counted for alarms, in PromQL: names of recorded series, and how each is made of metrics of the catalogue.

A *promise* is about requests: HTTP requests of the API, and streams, which are one request each. A *rate* is one of
``rollup.RATES``. Sums are over all instances, models, arms and transports; a part that never happened is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.alarms.rules import Promise
from monitoring.metric_catalog import CATALOG, PREFIX

HTTP = "http_server_request_duration_seconds"
FELT = "final_after_speech_seconds"
ROUTES = 'route=~"/v1/(audio/transcriptions|search|search/text)"'
STREAMS = 'transport=~"stream|wyoming"'  # no HTTP request ends when their answer is there
# Queries of `outcomes.was_spoken` whose answer somebody saw: a transcription alone is no query.
SPOKEN = 'outcome=~"ok|null", arm!="shadow", transport!="rest"'


@dataclass(frozen=True, slots=True)
class Promised:
    """Requests of a window and the bad ones of them: the names, and what they are computed from.

    ``within``: after what time an answer is late, in words; None: it is not about time. ``within_s`` may be shorter
    than what was asked for: it is a bucket of the histograms.
    """

    all: str
    all_expr: str
    bad: str
    bad_expr: str
    within: str | None = None
    within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """A rate of a window: its part and whole, their ratio, and the standard error of its change in a week."""

    part: str
    part_expr: str
    whole: str
    whole_expr: str
    ratio: str
    error: str


def duration(seconds: float) -> str:
    """As Prometheus writes it: 5m, 1h, 3d."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f}{unit}"
    return f"{1000 * seconds:.0f}ms" if seconds % 1 else f"{seconds:.0f}s"


def promised(of: Promise, within_s: float | None, window_s: int) -> Promised:
    """The series of a contract over one window."""
    window = duration(window_s)
    if of is Promise.ERRORS or within_s is None:
        failed = _increase("transcripts_total", f'{STREAMS}, outcome="error"', window)
        refused = _increase("clips_rejected_total", STREAMS, window)
        return Promised(
            f"{PREFIX}:requests:increase{window}",
            _plus(
                _increase(f"{HTTP}_count", ROUTES, window), _increase("transcripts_total", STREAMS, window)
            ),
            f"{PREFIX}:errors:increase{window}",
            _plus(
                _increase(f"{HTTP}_count", f'{ROUTES}, status=~"5.."', window),
                f"clamp_min({failed} - {refused}, 0)",
            ),
        )
    bound_s = min(_bucket(HTTP, within_s), _bucket(FELT, within_s))
    within = duration(bound_s)
    answered = (HTTP, f'{ROUTES}, status=~"2.."'), (FELT, STREAMS)
    return Promised(
        f"{PREFIX}:answered:increase{window}",
        _plus(*(_increase(f"{name}_count", labels, window) for name, labels in answered)),
        f"{PREFIX}:slower_than_{within}:increase{window}",
        _plus(*(_slower(name, labels, bound_s, window) for name, labels in answered)),
        within,
        bound_s,
    )


PARTS: dict[str, tuple[tuple[str, str], tuple[str, str], tuple[str, str] | None]] = {
    # of a rate: (metric, labels) of its part, of its whole, and of what the whole is without
    "error_rate": ((f"{HTTP}_count", f'{ROUTES}, status=~"5.."'), (f"{HTTP}_count", ROUTES), None),
    "rejected_rate": ((f"{HTTP}_count", f'{ROUTES}, status=~"4.."'), (f"{HTTP}_count", ROUTES), None),
    "null_rate": (
        ("transcripts_total", 'outcome="null"'),
        ("transcripts_total", 'outcome=~"ok|null"'),
        None,
    ),
    "no_results_rate": (("zero_results_total", ""), ("searches_total", ""), None),
    "redo_rate": (("redo_total", ""), ("transcripts_total", SPOKEN), None),
    "typing_rate": (("typing_switch_total", ""), ("transcripts_total", SPOKEN), None),
    "click_rate": (("clicks_total", ""), ("searches_total", ""), ("zero_results_total", "")),
}


def counted(rate: str, window_s: int) -> Counted:
    """The series of a rate over one window."""
    window = duration(window_s)
    part, whole, without = PARTS[rate]
    whole_expr = _increase(*whole, window)
    return Counted(
        f"{PREFIX}:{rate}:part{window}",
        _increase(*part, window),
        f"{PREFIX}:{rate}:whole{window}",
        whole_expr if without is None else f"clamp_min({whole_expr} - {_increase(*without, window)}, 0)",
        f"{PREFIX}:{rate}:ratio{window}",
        f"{PREFIX}:{rate}:error{window}",
    )


def _bucket(metric: str, within_s: float) -> float:
    """The longest bucket of a histogram that is not longer; its first where none is."""
    buckets = next(one.buckets for one in CATALOG if one.name == metric)
    return max((bound for bound in buckets if bound <= within_s), default=buckets[0])


def _increase(metric: str, labels: str, window: str) -> str:
    selected = f"{{{labels}}}" if labels else ""
    return f"(sum(increase({PREFIX}_{metric}{selected}[{window}])) or vector(0))"


def _slower(metric: str, labels: str, bound_s: float, window: str) -> str:
    """How many were. Without the bucket, as in another version, nobody knows: none, in place of all."""
    every = f"sum(increase({PREFIX}_{metric}_count{{{labels}}}[{window}]))"
    within = f'sum(increase({PREFIX}_{metric}_bucket{{{labels}, le="{float(bound_s)}"}}[{window}]))'
    return f"(clamp_min({every} - {within}, 0) or vector(0))"


def _plus(*terms: str) -> str:
    return "\n+ ".join(terms)
