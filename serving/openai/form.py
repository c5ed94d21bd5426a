"""The fields of a multipart body, read by name and kind. What nobody has read is what we do not honour.

Lists come as OpenAI's clients send them (``include[]``), repeated, or both; objects as JSON or as ``name[key]``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from serving.errors import InvalidParameterError

QUOTED = 40  # characters of a value that a message repeats
FLAGS = {"true": True, "1": True, "false": False, "0": False}


class Form:
    """Fields by name, each with its values in order. Every method raises InvalidParameterError, naming the field."""

    def __init__(self, fields: Mapping[str, Sequence[str]]) -> None:
        self._fields = fields
        self._read: set[str] = set()

    def text(self, name: str) -> str | None:
        """The one value of a field; None where it was not sent, or is empty."""
        self._read.add(name)
        values = self._fields.get(name, ())
        if len(values) > 1:
            raise InvalidParameterError(f"{name} was sent {len(values)} times; send it once", param=name)
        return values[0] if values and values[0] else None

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a list."""
        self._read |= {name, f"{name}[]"}
        return tuple(value for key in (name, f"{name}[]") for value in self._fields.get(key, ()) if value)

    def flag(self, name: str) -> bool:
        """True or false; false where it was not sent."""
        given = self.text(name)
        if given is None:
            return False
        if given.lower() not in FLAGS:
            raise InvalidParameterError(f"{name} is {quoted(given)}; expected true or false", param=name)
        return FLAGS[given.lower()]

    def number(self, name: str, least: float, most: float) -> float | None:
        """A number of that range."""
        given = self.text(name)
        return None if given is None else number(name, given, least, most)

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """One of ``choices``."""
        given = self.text(name) or default
        return chosen(name, given, choices)

    def choices(self, name: str, choices: Sequence[str]) -> frozenset[str]:
        """Some of ``choices``."""
        return frozenset(chosen(f"{name}[]", given, choices) for given in self.texts(name))

    def nested(self, name: str) -> str | Mapping[str, object] | None:
        """A plain value, or an object: sent as JSON, or with its members as ``name[member]``."""
        members = {
            key[len(name) + 1 : -1]: self.text(key)
            for key in self._fields
            if key.startswith(f"{name}[") and key.endswith("]")
        }
        given = self.text(name)
        if members and given is not None:
            raise InvalidParameterError(f"{name} was sent as a whole and in parts; send one", param=name)
        if members:
            return members
        if given is None or not given.lstrip().startswith("{"):
            return given
        try:
            parsed: Mapping[str, object] = json.loads(given)
        except (ValueError, RecursionError):
            raise InvalidParameterError(f"{name} starts like JSON and is none", param=name) from None
        return parsed

    def unread(self) -> tuple[str, ...]:
        """Names of the fields that were sent and that nobody asked for, without their brackets."""
        return tuple(dict.fromkeys(key.partition("[")[0] for key in self._fields if key not in self._read))


def number(name: str, given: object, least: float, most: float) -> float:
    """``given``, a number or its digits, if it is from ``least`` to ``most``. Raises InvalidParameterError."""
    try:
        value = float(given) if isinstance(given, str | int | float) and given is not True else float("nan")
    except (ValueError, OverflowError):
        value = float("nan")
    if not least <= value <= most:  # not: NaN compares false
        raise InvalidParameterError(
            f"{name} is {quoted(given)}; expected a number from {least:g} to {most:g}", param=name
        )
    return value


def chosen(name: str, given: str, choices: Sequence[str]) -> str:
    """``given`` if it is one of ``choices``. Raises InvalidParameterError."""
    if given not in choices:
        raise InvalidParameterError(
            f"{name} is {quoted(given)}; expected {' or '.join(choices)}", param=name.removesuffix("[]")
        )
    return given


def quoted(value: object) -> str:
    """A value for a message, in quotes, cut short."""
    shown = repr(value)
    return shown if len(shown) <= QUOTED else f"{shown[:QUOTED]}..."
