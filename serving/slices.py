"""What a client says of itself: slices by which errors and outcomes are looked at. Believed, and never a label.

``X-Device`` is a kind of device in the client's own words ("kitchen-speaker", "android 3.2"), not the name of one;
what does not look like that is not kept. The locale is the first of ``Accept-Language`` (RFC 9110, 12.5.4).
"""

from __future__ import annotations

import re

from starlette.requests import HTTPConnection

LONGEST = 32
DEVICE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._/+-]{{0,{LONGEST - 1}}}")
LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,2}")


def device(connection: HTTPConnection) -> str | None:
    """The kind of device, or None."""
    said = connection.headers.get("x-device", "")
    return said if DEVICE.fullmatch(said) else None


def locale(connection: HTTPConnection) -> str | None:
    """The language that its person prefers, such as ``en-GB``, or None."""
    first = connection.headers.get("accept-language", "").split(",")[0].split(";")[0].strip()
    return first if LOCALE.fullmatch(first) else None
