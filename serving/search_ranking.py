"""How near an item is to what was said: one number of several signs, each from 0 to 1 or a logarithm.

The score is a logistic function of the signs' weighted sum, so it is a log-linear mix, and reads as the probability
that the item is what was asked for. The weights were fitted by ``scripts/benchmark_search WORK --tune``.
"""

from __future__ import annotations

import math
from operator import mul
from typing import NamedTuple

LEAST_PROBABILITY = 0.001  # of a reading: less counts as much as this


class Signs(NamedTuple):
    """What speaks for an item, given one form of the query."""

    heard: float  # log of the form's probability
    bm25: float  # as a share of the best item's
    sounds: float  # likeness by sound of the query and a name, as wholes
    explained: float  # share of the query's sounds that a name and a facet together account for
    spelling: float  # likeness by letters of the query and a name
    popularity: float  # log of the item's share of the most popular one's


# Fitted; see above.
BIAS = -6.52
WEIGHTS = Signs(heard=0.1, bm25=0.71, sounds=3.4, explained=7.98, spelling=1.57, popularity=0.5)
LEAST_SCORE = 0.2  # of a result; what is less likely than that is better not shown


def score(signs: Signs) -> float:
    """The probability that the item is meant, from 0 to 1."""
    return 1.0 / (1.0 + math.exp(-(BIAS + sum(map(mul, WEIGHTS, signs)))))
