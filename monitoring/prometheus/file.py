"""Groups of Prometheus rules as the YAML file that Prometheus reads and a person can review."""

from __future__ import annotations

import json
from collections.abc import Iterator

from monitoring.prometheus.rules import INTERVAL_S, Alert, Group, Recording
from monitoring.prometheus.series import duration

HEAD = """\
# Prometheus rules of voicesearch, made of its alarm rules: do not edit, but edit those and run
#     voicesearch monitor rules --output FILE
# Checked by promtool; voicesearch.tests.yaml has for each what makes it fire, and what does not.
"""


def text(groups: tuple[Group, ...]) -> str:
    """The file. A group without rules is left out."""
    return HEAD + "groups:\n" + "\n".join("\n".join(_group(group)) for group in groups if group.rules) + "\n"


def _group(group: Group) -> Iterator[str]:
    yield f"  # {group.comment}"
    yield f"  - name: {group.name}"
    yield f"    interval: {duration(INTERVAL_S)}"
    yield "    rules:"
    for rule in group.rules:
        yield from _recording(rule) if isinstance(rule, Recording) else _alert(rule)


def _recording(rule: Recording) -> Iterator[str]:
    yield f"      - record: {rule.record}"
    yield from _expression(rule.expr)


def _alert(rule: Alert) -> Iterator[str]:
    yield f"      - alert: {rule.alert}"
    yield from _expression(rule.expr)
    if rule.pending_s:
        yield f"        for: {duration(rule.pending_s)}"
    if rule.clear_s:
        yield f"        keep_firing_for: {duration(rule.clear_s)}"
    yield "        labels:"
    yield f"          severity: {rule.severity}"
    yield f"          judge: {rule.judge}"
    yield "        annotations:"
    for name in ("summary", "description", "runbook"):
        yield f"          {name}: {json.dumps(getattr(rule, name), ensure_ascii=False)}"


def _expression(expr: str) -> Iterator[str]:
    if "\n" not in expr and not set(expr) & set("{}\"'#:"):
        yield f"        expr: {expr}"
        return
    yield "        expr: |-"
    yield from (f"          {line}" for line in expr.splitlines())
