"""Label values that cannot multiply: every value of a label is a time series for as long as the process lives."""

from __future__ import annotations

OTHER = "other"


class LabelValues:
    """The first ``limit`` different values; all later ones are ``other``.

    A value that comes from outside can so cost a bounded number of series, whoever sends it. Where a value is
    taken on trust (``known``) or not (``seen``) is the caller's decision.
    """

    def __init__(self, limit: int, first: tuple[str, ...] = ()) -> None:
        assert len(first) <= limit, f"{len(first)} values where {limit} are allowed"
        self._limit = limit
        self._values = set(first)

    def seen(self, value: str) -> str:
        """The value, if it is one of the first; it may become one."""
        if value not in self._values and len(self._values) < self._limit:
            self._values.add(value)
        return self.known(value)

    def known(self, value: str) -> str:
        """The value, if it is one already."""
        return value if value in self._values else OTHER
