"""What is found in one window of records against one reference: values, and the same for JSON."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from monitoring.features import Feature, Stage


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """``rate``: of windows without drift in which any feature is significant. ``distance`` and ``h``: the least
    effect of a measured and of a yes-or-no feature (0.07 is a null rate of 3 % that becomes 4.3 %). ``needed`` of the
    last ``of`` windows make a drift persistent. ``stages`` are judged together, others not at all."""

    rate: float = 0.05
    distance: float = 0.04
    h: float = 0.07
    needed: int = 2
    of: int = 3
    stages: tuple[Stage, ...] = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares per bin; ``edges`` are the bounds between bins, the outermost bins are open."""

    edges: tuple[float, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature in one window.

    ``score`` is the Kolmogorov-Smirnov distance (of a yes-or-no feature: the difference of the rates), ``threshold``
    what it must reach to have drifted. ``effect`` is the same distance, or Cohen's h, and its ``floor``. ``p_adjusted``
    is Benjamini-Hochberg's. ``n`` and ``m`` are sittings of the window and, effectively, of the reference. ``before``
    and ``now`` are medians, or rates.
    """

    feature: Feature
    n: int
    m: int
    score: float
    threshold: float
    p: float
    p_adjusted: float
    effect: float
    floor: float
    psi: float
    psi_threshold: float
    js: float
    js_threshold: float
    before: float
    now: float
    histogram: Histogram
    significant: bool = False
    drifted: bool = False
    persistent: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        numbers = (
            "score", "threshold", "p", "p_adjusted", "effect", "floor", "psi", "psi_threshold", "js", "js_threshold",
            "before", "now",
        )  # fmt: skip
        return {
            "feature": self.feature.name,
            "stage": self.feature.stage.value,
            "unit": self.feature.unit,
            "binary": self.feature.binary,
            "n": self.n,
            "m": self.m,
            **{name: float(f"{getattr(self, name):.6g}") for name in numbers},
            "significant": self.significant,
            "drifted": self.drifted,
            "persistent": self.persistent,
            "histogram": {
                "edges": list(self.histogram.edges),
                "reference": [round(share, 6) for share in self.histogram.reference],
                "current": [round(share, 6) for share in self.histogram.current],
            },
        }


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One window against one reference. ``features`` are those that could be judged, in the order of the pipeline;
    ``not_judged`` the others, with the reason."""

    profile: str
    digest: str
    since: datetime | None
    until: datetime | None
    records: int
    sittings: int
    models_before: tuple[str, ...]
    models: tuple[str, ...]
    rate: float
    features: tuple[FeatureDrift, ...]
    not_judged: tuple[tuple[str, str], ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that drifted in this window: what `judge` takes as ``before`` for the next."""
        return tuple(one.feature.name for one in self.features if one.drifted)

    @property
    def persistent(self) -> tuple[str, ...]:
        """Names of those that did so in several of the last windows: worth an alarm."""
        return tuple(one.feature.name for one in self.features if one.persistent)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages with a feature that drifted, in the order of the pipeline."""
        return tuple(dict.fromkeys(one.feature.stage for one in self.features if one.drifted))

    def as_dict(self) -> dict[str, Any]:
        """For JSON, the journal and the dashboard."""
        return {
            "profile": self.profile,
            "digest": self.digest,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "records": self.records,
            "sittings": self.sittings,
            "models_before": list(self.models_before),
            "models": list(self.models),
            "rate": self.rate,
            "drifted": list(self.drifted),
            "persistent": list(self.persistent),
            "features": {one.feature.name: one.as_dict() for one in self.features},
            "not_judged": dict(self.not_judged),
        }

    def beside(self, other: DriftReport) -> DriftReport:
        """With the features of another report on the same window, of stages that this one leaves out."""
        return replace(
            self,
            features=self.features + other.features,
            not_judged=self.not_judged + other.not_judged,
        )


def amount(feature: Feature, value: float) -> str:
    """A value of a feature, for people."""
    if feature.binary or (not feature.unit and feature.edges[-1] < 1):
        return f"{100 * value:.3g} %"
    return f"{value:.3g} {'a second' if feature.unit == '1/s' else feature.unit}".rstrip()
