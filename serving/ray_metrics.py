"""Metrics of several replicas as one exposition: each sample gets the label ``replica``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from monitoring.metric_catalog import PREFIX

LABEL = "replica"


class _Several(Collector):
    def __init__(self, families: Mapping[str, Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._families.values()


def merged(expositions: Mapping[str, bytes], asked: int) -> bytes:
    """One text for Prometheus out of those of several replicas, by their names. The same metric stands together.

    It also has how many replicas were ``asked``, and how many of them answered.
    """
    families: dict[str, Metric] = {}
    for replica, text in sorted(expositions.items()):
        for family in text_string_to_metric_families(text.decode()):
            kept = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                kept.add_sample(
                    sample.name,
                    {**sample.labels, LABEL: replica},
                    sample.value,
                    sample.timestamp,
                    sample.exemplar,
                )
    registry = CollectorRegistry()
    registry.register(_Several(families))
    # Sums over replicas are too low where some have not answered: that has to be seen.
    asked_of = Gauge(
        "replicas_asked", "Replicas asked for these metrics.", namespace=PREFIX, registry=registry
    )
    asked_of.set(asked)
    answered = Gauge("replicas_answered", "Replicas that answered.", namespace=PREFIX, registry=registry)
    answered.set(len(expositions))
    return generate_latest(registry)
