"""The frozen reference that windows are compared with: what records were like when all was well.

In: records of a stretch of time, best a week, so that every hour of the day and both kinds of day are in it. Out: a
`Profile` of counts. No clip, no text and no name of anybody can be read off it. It is frozen because a reference that
follows the traffic learns every slow drift as the new normal; a person freezes another one, and both are kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from typing import Any

from monitoring.drift.frozen_bins import FrozenBins
from monitoring.drift.sample import Sample, gather
from monitoring.errors import ProfileError
from monitoring.features import FEATURES
from monitoring.moments import microseconds, moment
from monitoring.record import Record

DEFAULT = "default"  # the name of the reference that is meant where none is named
FORM = 1  # of the JSON
LEAST = 100  # sittings with a value, or a feature cannot be a reference


@dataclass(frozen=True)
class Profile:
    """A reference by name, frozen ``at`` a time from the records of ``[since, until)``."""

    name: str
    at: datetime
    since: datetime
    until: datetime
    records: int
    sittings: int
    models: tuple[str, ...]
    features: Mapping[str, FrozenBins]

    @classmethod
    def freeze(cls, records: Iterable[Record], name: str, at: datetime) -> Profile:
        """The reference of these records, oldest first. Raises ``ProfileError`` where they are too few."""
        return cls.of(gather(records), name, at)

    @classmethod
    def of(cls, sample: Sample, name: str, at: datetime) -> Profile:
        """The same, of records that were gathered before."""
        columns = [(feature, *sample.column(place)) for place, feature in enumerate(FEATURES)]
        features = {
            feature.name: FrozenBins.freeze(feature, values, slots)
            for feature, values, slots in columns
            if len(values) >= LEAST
        }
        if not features or sample.since is None or sample.until is None:
            raise ProfileError(
                f"a reference needs {LEAST} sittings with a clip, better 5,000 of a whole week; these are "
                f"{sample.sittings} sittings in {sample.records} records: take a longer stretch of time"
            )
        after = sample.until + timedelta(microseconds=1)
        return cls(name, at, sample.since, after, sample.records, sample.sittings, sample.models, features)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all but name and time of freezing: the same records give the same."""
        body = {key: value for key, value in self.as_dict().items() if key not in ("name", "at_us")}
        return sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "form": FORM,
            "name": self.name,
            "at_us": microseconds(self.at),
            "since_us": microseconds(self.since),
            "until_us": microseconds(self.until),
            "records": self.records,
            "sittings": self.sittings,
            "models": list(self.models),
            "features": {name: bins.as_dict() for name, bins in self.features.items()},
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Profile:
        """The inverse. A feature that is not known any more is left out. Raises ``ProfileError``."""
        form = body.get("form") if isinstance(body, Mapping) else type(body).__name__
        if form != FORM:
            raise ProfileError(
                f"the reference is of form {form!r}, this version reads {FORM}: freeze another one "
                "(voicesearch monitor freeze)"
            )
        known = {feature.name for feature in FEATURES}
        try:
            return cls(
                str(body["name"]),
                moment(body["at_us"]),
                moment(body["since_us"]),
                moment(body["until_us"]),
                int(body["records"]),
                int(body["sittings"]),
                tuple(map(str, body["models"])),
                {name: FrozenBins.from_dict(one) for name, one in body["features"].items() if name in known},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ProfileError(
                f"the reference is damaged ({type(error).__name__}: {error}): freeze another one "
                "(voicesearch monitor freeze)"
            ) from error
