"""Fetch one file over http or https. What was interrupted goes on where it stopped, in this run or in a later one.

What has come is kept with a note of which version of the file it is (its ETag, else its date). The server is asked for
the rest of that very version (RFC 9110: Range with If-Range); where it has another one by now, or knows no ranges, all
comes again. Parts of two versions are never joined knowingly, and a digest is checked over the whole.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit

from asr import http_get
from asr.digest import file_digest
from asr.errors import BundleDigestError, BundleError, DownloadError, OptionError
from asr.http_get import shown
from asr.part_file import PartFile, forget_old, locked

CHUNK_BYTES = 1 << 16
IDLE_TRIES = 3  # in a row that bring nothing
PAUSES_S = (1.0, 2.0, 4.0)  # after a try that brought something, after one that did not, after two
TRIES = 100  # of a server that breaks off again and again

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
                f"{shown(self.url)}: cannot fetch by {scheme}; give a path or an http or https address"
            )
        if scheme == "http" and self.sha256 is None:
            raise OptionError(
                f"{shown(self.url)}: anyone on the way can change what plain http brings; give its --sha256"
            )

    @property
    def plain(self) -> http_get.Plain:
        """Nobody on the way may have had a hand in it, unless a digest would tell."""
        return http_get.Plain.NOWHERE if self.sha256 is None else http_get.Plain.ANYWHERE


class _NetworkError(Exception):
    """The connection failed, not the disk, whose errors are OSError too."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


@contextmanager
def downloaded(
    wanted: Wanted, folder: Path, advance: Advance | None = None, pause: Callable[[float], None] = time.sleep
) -> Iterator[Path]:
    """The whole file, to be used in the block (it may be moved away); then it is gone.

    Where it did not come, or the block ends in another error than a BundleError, what came stays in ``folder``. Raises
    DownloadError (no network, the server refuses or breaks off), BundleError (too large, or not of the size
    wanted), BundleDigestError, OptionError (somebody else is downloading it here, or it leads away from https), and
    OSError for the disk.
    """
    path = folder / f"{_part_name(wanted)}.part"
    forget_old(folder)
    with locked(path, shown(wanted.url)):
        part = PartFile(path)
        try:
            _fetch(wanted, part, advance, pause)
            _check_digest(wanted, path)
            yield path
        except BundleError:  # it is not what it should be; after any other error it may still be of use
            part.remove()
            raise
        except DownloadError:
            if part.size == 0:
                part.remove()
            raise
        part.remove()


def _part_name(wanted: Wanted) -> str:
    """The same for the same file: what is signed anew each time has another address and one digest."""
    what = wanted.url if wanted.sha256 is None else wanted.sha256.lower()
    return hashlib.sha256(what.encode()).hexdigest()[:24]


def _fetch(wanted: Wanted, part: PartFile, advance: Advance | None, pause: Callable[[float], None]) -> None:
    """Ask until all is there, as long as something comes; a server in trouble is given time."""
    idle, why = 0, ""
    for _ in range(TRIES):
        before = part.size
        try:
            if _ask(wanted, part, advance):
                return
            why = "the connection broke off"
        except HTTPError as error:
            raise http_get.not_fetched(wanted.url, error) from error
        except _NetworkError as error:
            if part.size == 0:
                raise http_get.not_fetched(wanted.url, error.reason) from error.reason
            why = str(error.reason) or type(error.reason).__name__
        idle = 0 if part.size > before else idle + 1
        if idle == IDLE_TRIES:
            break
        pause(PAUSES_S[idle])
    of = "" if part.total is None else f" of {part.total}"
    raise DownloadError(
        f"{shown(wanted.url)}: {part.size}{of} bytes came ({why}). They are kept: the same command again goes on there"
    )


def _ask(wanted: Wanted, part: PartFile, advance: Advance | None) -> bool:
    """One request for what is missing; whether the file is whole now."""
    if part.version is None and wanted.sha256 is None:
        part.clear()  # nothing could tell whether the rest belongs to it
    have = part.size
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and part.version is not None:
        headers["If-Range"] = part.version
    try:
        response = http_get.get(wanted.url, headers, plain=wanted.plain)
    except OptionError as error:  # a ValueError, too
        raise OptionError(
            f"{error}; give its --sha256, which tells whether it is what it should be"
        ) from error
    except HTTPError as error:
        if error.code != 416 or not have:  # 416: there is nothing behind what we have
            raise
        with error:
            ends_here = http_get.part(error.headers).total == have
        if not ends_here:
            part.clear()
        return ends_here
    except (OSError, HTTPException, ValueError) as error:
        raise _NetworkError(error) from error
    with response:
        if response.status == 200:
            said = response.headers
            part.begin(shown(wanted.url), http_get.version(said), http_get.length(said))
        elif not _goes_on(response, part):
            part.clear()
            return False
        _check_size(wanted, part.total)
        _copy(response, wanted, part, advance)
    return part.total is None or part.size == part.total


def _goes_on(response: HTTPResponse, part: PartFile) -> bool:
    """Whether a part of a file is the one behind what we have, of the same version."""
    come = http_get.part(response.headers)
    if response.status != 206 or come.start != part.size:
        return False
    return all(
        None in (theirs, ours) or theirs == ours
        for theirs, ours in ((http_get.version(response.headers), part.version), (come.total, part.total))
    )


def _copy(response: HTTPResponse, wanted: Wanted, part: PartFile, advance: Advance | None) -> None:
    done = part.size
    with part.path.open("ab") as file:
        for chunk in _chunks(response):
            done += len(chunk)
            if done > wanted.max_bytes:
                raise _too_large(wanted)
            file.write(chunk)
            if advance is not None:
                advance(done, part.total)


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            chunk = response.read1(CHUNK_BYTES)
        except (OSError, HTTPException, ValueError) as error:
            raise _NetworkError(error) from error
        if not chunk:
            return
        yield chunk


def _check_size(wanted: Wanted, total: int | None) -> None:
    if total is not None and total > wanted.max_bytes:
        raise _too_large(wanted)
    if total is not None and wanted.size is not None and total != wanted.size:
        raise BundleError(f"{shown(wanted.url)} has {total} bytes; {wanted.size} were expected")


def _too_large(wanted: Wanted) -> BundleError:
    return BundleError(f"{shown(wanted.url)} is larger than {wanted.max_bytes} bytes, the most that is taken")


def _check_digest(wanted: Wanted, path: Path) -> None:
    if wanted.sha256 is None:
        return
    digest = file_digest(path)
    if digest != wanted.sha256.lower():
        raise BundleDigestError(
            f"{shown(wanted.url)} has SHA-256 {digest}; {wanted.sha256} was expected. What came was thrown away"
        )
