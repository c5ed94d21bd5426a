"""Fetch one file over http or https. What was interrupted goes on where it stopped, in this run or in a later one.

What has come is kept as ``*.part``, beside a note of which version of the file it is (its ETag, else its date). The
server is asked for the rest of that very version (RFC 9110: Range with If-Range); where it has another one by now, or
knows no ranges, all comes again. Parts of two versions are never joined: a digest is checked over the whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit

from asr.digest import file_digest
from asr.errors import AsrError, BundleDigestError, BundleError, DownloadError, OptionError

CHUNK_BYTES = 1 << 16
TIMEOUT_S = 60.0  # without a byte
IDLE_TRIES = 3  # in a row that bring nothing
TRIES = 100  # of a server that breaks off again and again
LOOPBACK = ("localhost", "127.0.0.1", "::1")
RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")

Advance = Callable[[int, int | None], None]  # bytes so far, bytes in all if known


@dataclass(frozen=True, slots=True)
class Wanted:
    """An address and what its file must be: ``sha256`` and ``size`` where they are known, at most ``max_bytes``."""

    url: str
    max_bytes: int
    sha256: str | None = None
    size: int | None = None

    def __post_init__(self) -> None:
        scheme = urlsplit(self.url).scheme
        if scheme not in ("http", "https"):
            raise OptionError(
                f"{self.url}: cannot fetch by {scheme}; give a path or an http or https address"
            )
        if scheme == "http" and self.sha256 is None:
            raise OptionError(
                f"{self.url}: anyone on the way can change what plain http brings; give its --sha256"
            )


@contextmanager
def downloaded(wanted: Wanted, folder: Path, advance: Advance | None = None) -> Iterator[Path]:
    """The whole file, to be used in the block; then it is gone.

    Where it did not come, or the block ends in another error than a BundleError, what came stays in ``folder``. Raises
    DownloadError (no network, the server refuses or breaks off), BundleError (too large, or not of the size
    wanted), BundleDigestError, OptionError (somebody else is downloading it here).
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{hashlib.sha256(wanted.url.encode()).hexdigest()[:24]}.part"
    with _locked(part, wanted.url):
        kept = _Part(part, wanted)
        try:
            _fetch(kept, advance)
            _check_digest(part, wanted)
            yield part
        except BundleError:  # it is not what it should be; after any other error it may still be of use
            kept.remove()
            raise
        except DownloadError:
            if kept.size == 0:
                kept.remove()
            raise
        kept.remove()


def fetch_text(url: str, max_bytes: int) -> str:
    """A small text from https (plain http: from this machine only). Raises what `downloaded` raises."""
    parts = urlsplit(url)
    if parts.scheme != "https" and (parts.scheme != "http" or parts.hostname not in LOOPBACK):
        raise OptionError(f"{url}: only https can be trusted to bring what its owner wrote")
    try:
        with _opened(url, {}) as response:
            text: bytes = response.read(max_bytes + 1)
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(url, error) from error
    if len(text) > max_bytes:
        raise BundleError(f"{url} is larger than {max_bytes} bytes, the most that is taken")
    return text.decode("utf-8", errors="replace")


class _Part:
    """What has come of a file: its bytes, of how many, and which version of it they are of."""

    def __init__(self, path: Path, wanted: Wanted) -> None:
        self.path, self.wanted = path, wanted
        self.total: int | None = None
        self.version: str | None = None
        self._note = path.with_suffix(".json")
        try:
            noted = json.loads(self._note.read_text(encoding="utf-8"))
            self.total, self.version = noted["total"], noted["version"]
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ):  # killed before the note was whole, or nothing was kept
            self.clear()
        if self.version is None and wanted.sha256 is None:
            self.clear()  # nothing could tell that the rest belongs to it

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size

    def clear(self) -> None:
        """Begin again."""
        self.path.write_bytes(b"")
        self.total = self.version = None

    def begin(self, headers: HTTPMessage) -> None:
        """What comes next is the beginning of this version."""
        self.clear()
        self.total, self.version = _length(headers), _version(headers)
        note = {"url": self.wanted.url, "version": self.version, "total": self.total}
        self._note.write_text(json.dumps(note), encoding="utf-8")

    def remove(self) -> None:
        """Forget it."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # others may be waiting there
            self.path.parent.rmdir()


def _fetch(part: _Part, advance: Advance | None) -> None:
    """Ask until all is there, as long as something comes."""
    idle = 0
    why = "it broke off"
    for _ in range(TRIES):
        before = part.size
        try:
            if _ask(part, advance):
                return
        except AsrError:
            raise
        except (OSError, HTTPException, ValueError) as error:
            if before == part.size and (isinstance(error, HTTPError) or part.size == 0):
                raise _unreachable(part.wanted.url, error) from error
            why = str(error) or type(error).__name__
        idle = 0 if part.size > before else idle + 1
        if idle == IDLE_TRIES:
            break
    of = "" if part.total is None else f" of {part.total}"
    raise DownloadError(
        f"{part.wanted.url}: {part.size}{of} bytes came ({why}). They are kept: the same command again goes on there"
    )


def _ask(part: _Part, advance: Advance | None) -> bool:
    """One request for what is missing; whether the file is whole now."""
    have = part.size
    headers = {}
    if have:
        headers["Range"] = f"bytes={have}-"
        if part.version is not None:
            headers["If-Range"] = part.version
    try:
        response = _opened(part.wanted.url, headers)
    except HTTPError as error:
        if error.code != 416 or not have:  # 416: there is nothing behind what we have
            raise
        with error:
            ends_here = _range(error.headers)[1] == have
        if not ends_here:
            part.clear()
        return ends_here
    with response:
        _check_scheme(part.wanted, response.url)
        if response.status == 200:
            part.begin(response.headers)
        elif not _goes_on(response, part):
            part.clear()
            return False
        _check_size(part)
        _copy(response, part, advance)
    return part.total is None or part.size == part.total


def _goes_on(response: HTTPResponse, part: _Part) -> bool:
    """Whether a part of a file is the one behind what we have, of the same version."""
    start, total = _range(response.headers)
    if response.status != 206 or start != part.size:
        return False
    return all(
        None in (theirs, ours) or theirs == ours
        for theirs, ours in ((_version(response.headers), part.version), (total, part.total))
    )


def _copy(response: HTTPResponse, part: _Part, advance: Advance | None) -> None:
    done = part.size
    with part.path.open("ab") as file:
        while chunk := response.read1(CHUNK_BYTES):
            done += len(chunk)
            if done > part.wanted.max_bytes:
                raise _too_large(part.wanted)
            file.write(chunk)
            if advance is not None:
                advance(done, part.total)


def _opened(url: str, headers: dict[str, str]) -> HTTPResponse:
    request = urllib.request.Request(
        url, headers={**headers, "Accept-Encoding": "identity", "User-Agent": "voicesearch"}
    )
    response: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    return response


def _version(headers: HTTPMessage) -> str | None:
    """What If-Range may name: a strong ETag, else the date. A weak ETag promises no equal bytes."""
    tag: str | None = headers.get("ETag")
    if tag is not None and not tag.startswith("W/"):
        return tag
    date: str | None = headers.get("Last-Modified")
    return date


def _length(headers: HTTPMessage) -> int | None:
    text = headers.get("Content-Length", "")
    return int(text) if text.isdigit() else None


def _range(headers: Any) -> tuple[int | None, int | None]:
    """First byte and size of the whole, as Content-Range tells them."""
    found = RANGE.fullmatch(headers.get("Content-Range", ""))
    if found is None:
        return None, None
    first, _, total = found.groups()
    return None if first is None else int(first), None if total == "*" else int(total)


def _check_scheme(wanted: Wanted, url: str) -> None:
    """After redirects: nobody on the way may have had a hand in it, unless a digest would tell."""
    scheme = urlsplit(url).scheme
    if scheme not in ("http", "https") or (wanted.sha256 is None and scheme != "https"):
        raise OptionError(f"{wanted.url} leads to {url}, which is not https; give its --sha256")


def _check_size(part: _Part) -> None:
    total, wanted = part.total, part.wanted
    if total is not None and total > wanted.max_bytes:
        raise _too_large(wanted)
    if total is not None and wanted.size is not None and total != wanted.size:
        raise BundleError(f"{wanted.url} has {total} bytes; {wanted.size} were expected")


def _too_large(wanted: Wanted) -> BundleError:
    return BundleError(f"{wanted.url} is larger than {wanted.max_bytes} bytes, the most that is taken")


def _check_digest(path: Path, wanted: Wanted) -> None:
    if wanted.sha256 is None:
        return
    digest = file_digest(path)
    if digest != wanted.sha256.lower():
        raise BundleDigestError(
            f"{wanted.url} has SHA-256 {digest}; {wanted.sha256} was expected. What came was thrown away"
        )


def _unreachable(url: str, error: Exception) -> DownloadError:
    if isinstance(error, HTTPError):
        error.close()
        return DownloadError(f"{url} could not be fetched: {error}")
    reason = getattr(error, "reason", error)
    return DownloadError(
        f"{url} could not be fetched: {urlsplit(url).hostname} cannot be reached ({reason}). Without a network, bring "
        "the archive by other means and give its path: voicesearch models pull FILE"
    )


@contextmanager
def _locked(path: Path, url: str) -> Iterator[None]:
    """One download of a file at a time. A kill frees it."""
    import fcntl  # not on Windows, where the rest of this package works

    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OptionError(f"{url} is being downloaded already; wait for it, or end it") from error
        if not _is_at(lock.fileno(), path):
            raise OptionError(f"{url} was downloaded by another process at this moment")
        yield


def _is_at(opened: int, path: Path) -> bool:
    """Whether an opened file is still the one at a path: whoever held the lock before may have removed it."""
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except FileNotFoundError:
        return False
