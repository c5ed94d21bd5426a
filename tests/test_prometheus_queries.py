"""Every query that ships, of the rules and of the Grafana dashboard, names what exists; a real Prometheus reads it."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from test_prometheus_rules import prometheus, until

from monitoring.alarms import rules
from monitoring.commands import grafana as verb
from monitoring.metric_catalog import CATALOG, PREFIX, Kind
from monitoring.prometheus import rules as prometheus_rules
from monitoring.prometheus.grafana import dashboard
from monitoring.prometheus.rules import Recording

SHIPPED = Path(__file__).parent.parent / "scripts" / "deploy" / "grafana" / "voicesearch.json"
SCRAPED = {"job", "instance"}
BUILT_IN = {"up": SCRAPED, "process_resident_memory_bytes": SCRAPED, "process_cpu_seconds_total": SCRAPED}

RULES = [rule for group in prometheus_rules.groups(rules.load()) for rule in group.rules]
RECORDED = {rule.record for rule in RULES if isinstance(rule, Recording)}
PANELS = [panel for panel in dashboard()["panels"] if panel["type"] != "row"]
QUERIES = [rule.expr for rule in RULES] + [
    re.sub(r"\$\w+", ".*", target["expr"].replace("$__rate_interval", "5m"))
    for panel in PANELS
    for target in panel["targets"]
]


def series() -> dict[str, set[str]]:
    """Every series name that the catalogue stands for, with its labels."""
    made = {name: set(labels) for name, labels in BUILT_IN.items()} | {name: set() for name in RECORDED}
    for metric in CATALOG:
        labels, name = {*metric.labels, *SCRAPED}, f"{PREFIX}_{metric.name}"
        if metric.kind is not Kind.HISTOGRAM:
            made[name] = labels
            continue
        made[f"{name}_bucket"] = labels | {"le"}
        if metric.buckets[0] >= 0:  # or it has no count: see metric_catalog
            made[f"{name}_count"] = labels
    return made


def labels_of(query: str) -> list[tuple[str, set[str]]]:
    """Each series that a query selects, with the labels that it asks for."""
    plain = re.sub(r'"[^"]*"', '""', query)
    selected = re.findall(r"\b((?:voicesearch[_:]|process_|up\b)[\w:]*)(?:\{([^}]*)\})?", plain)
    return [(name, set(re.findall(r"(\w+)\s*[=!]", labels))) for name, labels in selected]


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_names_series_and_labels_that_exist(query: str) -> None:
    """Of the catalogue with the suffixes of its type, of the process, or recorded by a rule of ours."""
    known = series()
    found = labels_of(query)
    assert found
    for name, labels in found:
        assert name in known, name
        assert labels <= known[name], (name, labels - known[name])
    # What is grouped by is a label of something selected.
    grouped = {label for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(", ")}
    assert grouped <= set().union(*(known[name] for name, _ in found))
    # A bucket that is asked for is one.
    for name, bound in re.findall(r'voicesearch_(\w+)_bucket\{[^}]*le="([^"]+)"', query):
        assert float(bound) in next(metric for metric in CATALOG if metric.name == name).buckets


def test_the_dashboard_that_ships_is_made_of_this(tmp_path: Path) -> None:
    """Made again it is the same: `voicesearch monitor grafana --output`; panels do not overlap."""
    from argparse import Namespace

    assert verb.run(Namespace(output=tmp_path / "made")) == 0
    assert (tmp_path / "made").read_text(encoding="utf-8") == SHIPPED.read_text(encoding="utf-8")
    taken: set[tuple[int, int]] = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not mine & taken, panel["title"]
        assert max(x for x, _ in mine) < 24
        taken |= mine


def test_legends_name_labels_of_their_query() -> None:
    """A legend of a label that is summed away is empty."""
    for panel in PANELS:
        for target in panel["targets"]:
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                assert label == "instance" or re.search(rf"by \([^)]*\b{label}\b", target["expr"]), target


def test_a_real_prometheus_reads_every_query(tmp_path: Path) -> None:
    """It answers each, with nothing, for it has no data; a query with a mistake is refused."""
    with prometheus("scrape_configs: []\n", tmp_path) as address:

        def status(query: str) -> str:
            url = f"{address}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
            try:
                with urllib.request.urlopen(url) as answer:
                    return str(json.load(answer)["status"])
            except urllib.error.HTTPError as error:
                return error.read().decode()

        assert until(lambda: status("up")) == "success"
        assert "parse error" in status("sum(rate(up[5m])")
        assert {query: said for query in QUERIES if (said := status(query)) != "success"} == {}
