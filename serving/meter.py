"""What a stream's audio costs its key: charged while it comes in, in the steps that the rates are made of."""

from __future__ import annotations

from contextlib import suppress

from serving.errors import RateLimitedError, TooLargeError
from serving.rates import RateLimiter


class Meter:
    """The audio of one stream. Without a key nothing is charged, as in `serving.clips`; the limit holds."""

    def __init__(self, rates: RateLimiter, key_id: str | None, limit_s: float) -> None:
        self._rates = rates
        self._key_id = key_id
        self._limit_s = limit_s
        self._owed_s = 0.0
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """So much more. Raises RateLimitedError, and TooLargeError beyond the stream's own limit."""
        self.total_s += seconds
        self._owed_s += seconds
        if self.total_s > self._limit_s:
            raise TooLargeError(
                f"{self.total_s:.1f} s of audio; a stream may have {self._limit_s:g} s. Connect again.",
                code="stream_too_long",
            )
        if self._key_id is not None and self._owed_s >= self._rates.limit.minimum_s:
            owed, self._owed_s = self._owed_s, 0.0
            self._rates.charge(self._key_id, owed)

    def settle(self) -> None:
        """The stream has ended: charge what is left. A key that has too little left has used it up."""
        if self._key_id is not None and self._owed_s > 0.0:
            with suppress(RateLimitedError):
                self._rates.charge(self._key_id, self._owed_s)
            self._owed_s = 0.0
