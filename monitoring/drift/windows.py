"""Records in windows: of a count, of a stretch of time, or whichever is reached first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.errors import WindowError
from monitoring.record import Record

MOST = 1_000_000  # records of one window, held in memory
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Size:
    """Of a window: at most so many records, over at most so long."""

    count: int = MOST
    span: timedelta | None = None

    @classmethod
    def parse(cls, text: str) -> Size:
        """``1000`` (records), ``90m``, ``1h``, ``7d``, ``2w``, or both: ``1000,1h``. Raises ``WindowError``."""
        count, span = MOST, None
        for part in text.split(","):
            found = re.fullmatch(r"(\d{1,7})([mhdw]?)", part.strip())
            number = int(found[1]) if found else 0
            if not found or not number or (not found[2] and number > MOST):
                raise WindowError(
                    f"a window of {text!r}: write a number of records up to {MOST:,} (1000), a time with its unit "
                    "m, h, d or w (1h, 7d), or both with a comma (1000,1h)"
                )
            if found[2]:
                span = timedelta(**{_UNITS[found[2]]: number})
            else:
                count = number
        return cls(count, span)


def split(records: Iterable[Record], size: Size) -> Iterator[list[Record]]:
    """Full windows, oldest first; a last one that is neither full nor over is left out.

    A window of time begins with its first record and is over when a later record shows it. Records come oldest first.
    """
    window: list[Record] = []
    ends: datetime | None = None
    for record in records:
        if ends is not None and window and record.at >= ends:
            yield window
            window = []
        if not window and size.span is not None:
            ends = record.at + size.span
        window.append(record)
        if len(window) >= size.count:
            yield window
            window = []


def last(records: Iterable[Record], size: Size, until: datetime, number: int) -> list[list[Record]]:
    """The newest ``number`` windows before ``until``, oldest first, empty ones too if of a time.

    Counted back from the end, so the newest is always there: windows of a span begin at ``until`` minus its multiples.
    """
    if size.span is not None:
        windows: list[list[Record]] = [[] for _ in range(number)]
        for record in records:
            back = -((record.at - until) // size.span)  # 1 is the newest
            if 0 < back <= number:
                window = windows[number - back]
                window.append(record)
                if len(window) > size.count:
                    window.pop(0)
        return windows
    kept: list[Record] = []
    for record in records:
        kept.append(record)
        if len(kept) >= 2 * size.count * number:
            del kept[: -size.count * number]
    kept = kept[-size.count * number :]
    starts = range(len(kept), 0, -size.count)
    return [kept[max(0, end - size.count) : end] for end in starts][::-1]
