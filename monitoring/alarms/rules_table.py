"""A table of a TOML file, read field by field: each with its type and its limits, each refusal with its line.

``tomllib`` forgets where a value stood. Lines are found again in the text: a table by its header, counted; a field by
its name at the beginning of a line below it. Where that fails, the line is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from monitoring.errors import RulesError

UNITS_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TIME = re.compile(r"([0-9]+)\s*(ms|s|m|h|d)")


class Table:
    """One table. Each reader takes a field; ``nothing_else`` refuses what nobody took."""

    def __init__(self, body: Mapping[str, Any], text: str, file: str, path: str, index: int = 0) -> None:
        self._body, self._text, self._file, self._path, self._index = body, text, file, path, index
        self._taken: set[str] = set()

    def number(self, field: str, low: float, high: float) -> float:
        """A number of ``[low, high]``."""
        value = self._take(field)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            self.refuse(field, value, f"a number from {low:g} to {high:g}")
        if not low <= value <= high:
            self.refuse(field, value, f"from {low:g} to {high:g}")
        return float(value)

    def whole(self, field: str, low: int, high: int) -> int:
        """A whole number of ``[low, high]``."""
        value = self._take(field)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.refuse(field, value, f"a whole number from {low} to {high}")
        return value

    def fraction_of_seconds(self, field: str, low_s: float, high_s: float) -> float:
        """A time, in seconds."""
        value = self._take(field)
        seconds = parse_s(value) if isinstance(value, str) else None
        if seconds is None or not low_s <= seconds <= high_s:
            self.refuse(field, value, f'a time from {low_s:g}s to {high_s:g}s, such as "500ms" or "15m"')
        return seconds

    def seconds(self, field: str, low_s: int, high_s: int) -> int:
        """A time, in whole seconds."""
        return round(self.fraction_of_seconds(field, low_s, high_s))

    def one_of(self, field: str, allowed: Collection[str]) -> str:
        """One of some words."""
        value = self._take(field)
        if not isinstance(value, str) or value not in allowed:
            self.refuse(field, value, f"one of {', '.join(allowed)}")
        return value

    def matching(self, field: str, pattern: re.Pattern[str], allowed: str) -> str:
        """A text of a certain shape."""
        value = self._take(field)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self.refuse(field, value, allowed)
        return value

    def sentence(self, field: str) -> str:
        """Words for a person."""
        value = self._take(field)
        if not isinstance(value, str) or not 10 <= len(value.strip()) <= 500:
            self.refuse(field, value, "a sentence of 10 to 500 characters")
        return value.strip()

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self._take(field)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.refuse(field, value, "a list of texts")
        return tuple(value)

    def table(self, field: str) -> Table:
        """A table of this one; there must be one."""
        value = self._take(field)
        if not isinstance(value, dict):
            self.refuse(field, value, f"a table [{field}]")
        return Table(value, self._text, self._file, field)

    def tables(self, field: str) -> list[Table]:
        """The tables of a list; none where there is no such list."""
        self._taken.add(field)
        value = self._body.get(field, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.refuse(field, value, "a list of tables")
        if self._path:  # tables within a line: their place is that of the list
            return [Table(one, self._text, self._file, self._path, self._index) for one in value]
        return [Table(one, self._text, self._file, field, index) for index, one in enumerate(value)]

    def nothing_else(self) -> None:
        """Refuse fields that nobody asked for: a misspelt threshold must not be one that is missing."""
        for field in self._body.keys() - self._taken:
            known = ", ".join(sorted(self._taken))
            self.refuse(field, self._body[field], f"no such field; there are {known}")

    def refuse(self, field: str, value: object, allowed: str) -> NoReturn:
        """Raise RulesError for a field."""
        name = self._body.get("name")
        whose = (
            f"{self._path} {name!r}: " if isinstance(name, str) else f"{self._path}: " if self._path else ""
        )
        line = self._line(field)
        where = self._file if line is None else f"{self._file} line {line}"
        seen = "missing" if value is None else repr(value) if len(repr(value)) <= 60 else "a long value"
        raise RulesError(f"{where}: {whose}{field} is {seen}; expected {allowed}")

    def _take(self, field: str) -> Any:
        self._taken.add(field)
        if field not in self._body:
            self.refuse(field, None, "it to be there")
        return self._body[field]

    def _line(self, field: str) -> int | None:
        header = re.compile(rf"\s*\[+\s*{re.escape(self._path)}\s*\]+")
        named = re.compile(
            rf"[\s{{]*{re.escape(field)}\s*=|\s*\[+\s*{re.escape(field)}\s*\]+|.*[{{,]\s*{re.escape(field)}\s*="
        )
        mine = -1  # how many tables of this name have begun
        start = None if self._path else 0
        for number, line in enumerate(self._text.splitlines(), 1):
            if self._path and header.match(line):
                mine += 1
                if mine == self._index:
                    start = number
                    continue
            if start is None:
                continue
            if self._path and line.startswith("["):
                break
            if named.match(line):
                return number
        return start or None


def parse_s(text: str) -> float | None:
    """``"15m"`` in seconds; None: it is no time."""
    found = _TIME.fullmatch(text.strip())
    return None if found is None else int(found[1]) * UNITS_S[found[2]]
