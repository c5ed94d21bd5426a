"""How much audio a key may have recognised: a bucket of seconds each, which refills steadily.

A request is charged the seconds of its clip, at least `RateLimit.minimum_s` (a clip of 50 ms costs a decode, too).
It passes when the bucket holds what it costs, or is full: a clip longer than the bucket empties it into debt, and
the next one waits until that is paid. So no clip is impossible, and over a long time no key exceeds its rate.

The clock is monotonic and an argument. Of more keys than `RateLimit.max_keys` the one longest unseen is forgotten,
which forgives nothing if it has been away for capacity / refill.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from serving.errors import RateLimitedError

UNIT = "audio-seconds"  # in place of OpenAI's "tokens" and "requests" in the names of their headers


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Seconds of audio that one key may spend at once, and the seconds it gets back per second."""

    capacity_s: float
    refill_per_s: float
    minimum_s: float = 1.0
    max_keys: int = 10_000

    def __post_init__(self) -> None:
        assert self.capacity_s >= self.minimum_s > 0.0
        assert self.refill_per_s > 0.0
        assert self.max_keys > 0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a key has left, and when its bucket will be full again."""

    limit_s: float
    remaining_s: float
    reset_s: float

    def headers(self) -> Mapping[str, str]:
        """``x-ratelimit-{limit,remaining,reset}-audio-seconds``, in the manner of OpenAI's; reset as ``6m0s``."""
        return {
            f"x-ratelimit-limit-{UNIT}": f"{self.limit_s:.0f}",
            f"x-ratelimit-remaining-{UNIT}": f"{max(self.remaining_s, 0.0):.0f}",
            f"x-ratelimit-reset-{UNIT}": _span(self.reset_s),
        }


@dataclass(slots=True)
class _Bucket:
    seconds: float
    at: float


class RateLimiter:
    """The buckets of one server. For one event loop: it takes no lock."""

    def __init__(self, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._clock = clock
        self._buckets: OrderedDict[str | None, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def allowance(self, key_id: str | None) -> Allowance:
        """What ``key_id`` has left. None is everybody on a server without keys: they share one bucket."""
        bucket = self._buckets.get(key_id)
        seconds = self.limit.capacity_s if bucket is None else self._filled(bucket)
        missing = self.limit.capacity_s - seconds
        return Allowance(self.limit.capacity_s, seconds, missing / self.limit.refill_per_s)

    def admit(self, key_id: str | None) -> None:
        """Refuse a key that could not pay for the shortest clip, before its body is read. Charges nothing."""
        self._check(key_id, self.limit.minimum_s)

    def charge(self, key_id: str | None, seconds: float) -> None:
        """Take ``seconds`` of audio, at least the minimum, or raise RateLimitedError and take nothing.

        A stream charges as its audio comes in, at least `RateLimit.minimum_s` at a time.
        """
        assert seconds >= 0.0, f"{seconds} s of audio"
        cost = max(seconds, self.limit.minimum_s)
        left = self._check(key_id, cost)
        self._buckets[key_id] = _Bucket(left - cost, self._clock())
        self._buckets.move_to_end(key_id)
        if len(self._buckets) > self.limit.max_keys:
            self._buckets.popitem(last=False)

    def _check(self, key_id: str | None, cost: float) -> float:
        allowance = self.allowance(key_id)
        needed = min(cost, self.limit.capacity_s)
        if allowance.remaining_s >= needed:
            return allowance.remaining_s
        wait_s = (needed - allowance.remaining_s) / self.limit.refill_per_s
        raise RateLimitedError(
            f"This request costs {cost:.1f} s of audio, and {max(allowance.remaining_s, 0.0):.1f} s of "
            f"{self.limit.capacity_s:.0f} s are left; try again in {wait_s:.1f} s.",
            wait_s,
            allowance.headers(),
        )

    def _filled(self, bucket: _Bucket) -> float:
        gained = (self._clock() - bucket.at) * self.limit.refill_per_s
        return min(self.limit.capacity_s, bucket.seconds + gained)


def _span(seconds: float) -> str:
    """``6m0s``, ``12s``: whole seconds, rounded up."""
    minutes, rest = divmod(-int(-seconds // 1), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
