"""Ask a web server, and read what it says of a file: its version, its length, which part of it this is."""

from __future__ import annotations

import re
import urllib.request
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from urllib.error import HTTPError
from urllib.parse import urlsplit

from asr.errors import BundleError, DownloadError, OptionError

TIMEOUT_S = 60.0  # without a byte
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class Part:
    """Of a file: the first byte that comes, and how many it has in all; None where the server does not say."""

    start: int | None
    total: int | None


def get(url: str, headers: dict[str, str] | None = None) -> HTTPResponse:
    """The answer, after redirects. Raises HTTPError, OSError, HTTPException and ValueError, as urllib does."""
    request = urllib.request.Request(
        url, headers={**(headers or {}), "Accept-Encoding": "identity", "User-Agent": "voicesearch"}
    )
    response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    return response


def text(url: str, max_bytes: int) -> str:
    """A small text from https (plain http: from this machine only).

    Raises OptionError for another address, DownloadError, and BundleError for more than ``max_bytes``.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in LOOPBACK):
        raise OptionError(f"{url}: only https can be trusted to bring what its owner wrote")
    try:
        with get(url) as response:
            content: bytes = response.read(max_bytes + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise not_fetched(url, error) from error
    if len(content) > max_bytes:
        raise BundleError(f"{url} is larger than {max_bytes} bytes, the most that is taken")
    return content.decode("utf-8", errors="replace")


def version(headers: Message) -> str | None:
    """What If-Range may name: a strong ETag, else the date. A weak ETag promises no equal bytes."""
    tag = headers.get("ETag")
    return tag if tag is not None and not tag.startswith("W/") else headers.get("Last-Modified")


def length(headers: Message) -> int | None:
    """Bytes of the body, where the server says so."""
    digits = headers.get("Content-Length", "")
    return int(digits) if digits.isdigit() else None


def part(headers: Message) -> Part:
    """What Content-Range says (RFC 9110, 14.4)."""
    found = CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    if found is None:
        return Part(None, None)
    start, total = found.groups()
    return Part(None if start is None else int(start), None if total == "*" else int(total))


def not_fetched(url: str, error: Exception) -> DownloadError:
    """What to tell a person: the server's refusal, or that it cannot be reached and what to do then."""
    if isinstance(error, HTTPError):
        error.close()
        return DownloadError(f"{url} could not be fetched: {error}")
    reason = getattr(error, "reason", error)
    return DownloadError(
        f"{url} could not be fetched: {urlsplit(url).hostname} cannot be reached ({reason}). Without a network, bring "
        "the file by other means and give its path"
    )
