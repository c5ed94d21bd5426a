"""How long counts are told apart: the older, the coarser."""

from __future__ import annotations

from datetime import timedelta

from monitoring.counts.rollup import MINUTE_US

HOUR_US = 60 * MINUTE_US
# Rows older than the age are merged into one for each stretch of this length and each key; oldest first.
TIERS = (
    (timedelta(days=1), HOUR_US),
    (timedelta(hours=2), 10 * MINUTE_US),
    (timedelta(minutes=15), MINUTE_US),
)
