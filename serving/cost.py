"""What a clip costs, as measured: a · seconds of audio + b, and whether clips in company cost less.

A batch pays b once, and what it saves must be worth the silence that pads its shorter clips. On a processor that a
single clip keeps busy b is next to nothing, and groups only add waiting; on a GPU b is most of the cost. So nothing
is assumed: every worker measures itself when it starts, and `Grouping` decides from that. int8 goes alone in any case:
its activations are scaled over the group, so company would change a result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from serving.jobs import Timing

KEPT = 256  # observations: some seconds of traffic, so that a machine that slows down is noticed
REFIT_EVERY = 16
PADDING = 0.2  # of a group's audio may be silence that evens out the lengths
WORTH = 0.1  # groups must save this share of the time


class CostModel:
    """Least squares over the last observations; neither a nor b is ever negative."""

    def __init__(self, timings: Iterable[Timing]) -> None:
        """``timings`` of single clips, at least one."""
        self._seen = deque(((t.audio_s, t.took_s) for t in timings if t.n == 1), maxlen=KEPT)
        assert self._seen, "a cost model needs a timing of a single clip"
        self._since_fit = 0
        self._fit()

    def __call__(self, audio_s: float) -> float:
        """Seconds of a worker that this much audio is expected to take."""
        return self.a * audio_s + self.b

    def observe(self, audio_s: float, took_s: float) -> None:
        """A clip of this length took so long."""
        self._seen.append((audio_s, took_s))
        self._since_fit += 1
        if self._since_fit >= REFIT_EVERY:
            self._fit()

    def _fit(self) -> None:
        self._since_fit = 0
        audio, took = np.array(self._seen).T
        spread = float(np.var(audio))
        slope = (
            float(np.mean((audio - audio.mean()) * (took - took.mean()))) / spread if spread > 1e-6 else 0.0
        )
        self.a = max(0.0, slope)
        self.b = max(0.0, float(took.mean() - self.a * audio.mean()))
        if self.b == 0.0:
            self.a = float(took.sum() / audio.sum())


@dataclass(frozen=True, slots=True)
class Grouping:
    """How many clips may share a call of the network. ``saving`` is the share of time that company was seen to save."""

    saving: float
    largest: int = 16

    @classmethod
    def measured(cls, timings: Iterable[Timing]) -> Grouping:
        """From the timings of a worker's start: a group against as many clips of its length alone."""
        timings = list(timings)
        cost = CostModel(timings)
        groups = [t for t in timings if t.n > 1]
        if not groups:
            return cls(0.0)
        saved = [1.0 - t.took_s / (t.n * cost(t.audio_s / t.n)) for t in groups]
        return cls(max(0.0, min(saved)))

    def admits(self, group_audio_s: list[float], audio_s: float, cost: CostModel, budget_s: float) -> bool:
        """Whether a clip of ``audio_s`` seconds should join the group: alike in length, worth it, and in time."""
        if self.saving < WORTH or len(group_audio_s) >= self.largest:
            return False
        lengths = [*group_audio_s, audio_s]
        padded = max(lengths) * len(lengths)
        return 1.0 - sum(lengths) / padded <= PADDING and cost(padded) * (1.0 - self.saving) <= budget_s
