"""Ask a web server, and read what it says of a file: its version, its length, which part of it this is.

Whom to believe is decided at every hop: an answer is as good as the worst of the addresses that led to it.
"""

from __future__ import annotations

import re
import urllib.request
from dataclasses import dataclass
from email.message import Message
from enum import Enum
from http.client import HTTPException, HTTPMessage, HTTPResponse
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit, urlunsplit

from asr.errors import BundleError, DownloadError, OptionError

TIMEOUT_S = 60.0  # without a byte
LOOPBACK = ("localhost", "127.0.0.1", "::1")
DIGITS = "[0-9]{1,18}"  # a number of bytes that fits in 64 bits; \\d has other digits, too
CONTENT_RANGE = re.compile(rf"bytes (?:({DIGITS})-{DIGITS}|\*)/({DIGITS}|\*)")


@dataclass(frozen=True, slots=True)
class Part:
    """Of a file: the first byte that comes, and how many it has in all; None where the server does not say."""

    start: int | None
    total: int | None


class Plain(Enum):
    """Where plain http is good enough. https always is; what is neither never is."""

    NOWHERE = "nowhere"
    HERE = "here"  # from this machine: nobody is on the way
    ANYWHERE = "anywhere"  # a digest will tell

    def allows(self, url: str) -> bool:
        """Whether this address may be asked, or lead on."""
        parts = urlsplit(url)
        if parts.scheme != "http":
            return parts.scheme == "https"
        return self is Plain.ANYWHERE or (self is Plain.HERE and parts.hostname in LOOPBACK)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Refuses a hop before it is made: later ones may lead back to https, and would hide it."""

    def __init__(self, plain: Plain) -> None:
        self._plain = plain

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        from_https = req.type == "https" and self._plain is not Plain.ANYWHERE
        if not (Plain.NOWHERE if from_https else self._plain).allows(newurl):
            fp.close()
            raise OptionError(f"{shown(req.full_url)} leads to {shown(newurl)}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def get(url: str, headers: dict[str, str] | None = None, *, plain: Plain = Plain.NOWHERE) -> HTTPResponse:
    """The answer, after redirects.

    Raises OptionError for an address or a hop that is neither https nor http where that is good enough; HTTPError,
    OSError, HTTPException and ValueError as urllib does.
    """
    if not plain.allows(url):
        raise OptionError(f"{shown(url)}: only https can be trusted to bring what its owner wrote")
    request = urllib.request.Request(
        url, headers={**(headers or {}), "Accept-Encoding": "identity", "User-Agent": "voicesearch"}
    )
    opener = urllib.request.build_opener(_Redirects(plain))
    response: HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
    return response


def text(url: str, max_bytes: int) -> str:
    """A small text from https (plain http: from this machine only), all the way.

    Raises OptionError for another address, DownloadError, and BundleError for more than ``max_bytes``.
    """
    try:
        with get(url, plain=Plain.HERE) as response:
            content: bytes = response.read(max_bytes + 1)
    except OptionError:  # a ValueError, too
        raise
    except (OSError, HTTPException, ValueError) as error:
        raise not_fetched(url, error) from error
    if len(content) > max_bytes:
        raise BundleError(f"{shown(url)} is larger than {max_bytes} bytes, the most that is taken")
    return content.decode("utf-8", errors="replace")


def shown(url: str) -> str:
    """An address as it may be told and noted: no password, and no query, which may be a signature. A path as it is."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def version(headers: Message) -> str | None:
    """What If-Range may name: a strong ETag, else the date. A weak ETag promises no equal bytes."""
    tag = headers.get("ETag")
    return tag if tag is not None and not tag.startswith("W/") else headers.get("Last-Modified")


def length(headers: Message) -> int | None:
    """Bytes of the body, where the server says so."""
    digits = headers.get("Content-Length", "")
    return int(digits) if re.fullmatch(DIGITS, digits) else None


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
        return DownloadError(f"{shown(url)} could not be fetched: {error}")
    reason = getattr(error, "reason", error)
    return DownloadError(
        f"{shown(url)} could not be fetched: {urlsplit(url).hostname} cannot be reached ({reason}). Without a "
        "network, bring the file by other means and give its path"
    )
