"""Install a model: an archive of a bundle, from a file or the web, becomes a verified folder.

Nothing of the archive is believed: its size is bounded, its names may not lead out, links are refused, every
file is checked against the bundle's own digests, and only then the folder appears under its name, at once.
Those digests find damage, not forgery: who published an archive is known by its ``--sha256`` or by https.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from asr import bundle
from asr.errors import BundleDigestError, BundleError, OptionError
from asr.unpack import MAX_BYTES, unpack

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CHUNK_BYTES = 1 << 20
TIMEOUT_S = 60.0  # without a byte


@dataclass(frozen=True, slots=True)
class PullOptions:
    """``sha256`` of the archive, ``name`` to install under (default: the bundle's), ``force`` to replace."""

    sha256: str | None = None
    name: str | None = None
    force: bool = False


Advance = Callable[[int, int | None], None]  # bytes so far, bytes in all if known


def pull(source: str, home: Path, options: PullOptions, advance: Advance | None = None) -> Path:
    """Install the archive at ``source`` (a path, or an http or https address) as ``home/NAME``.

    Raises OptionError (an address or name that is not allowed, already installed), BundleError and
    BundleDigestError (what came is not the bundle that it should be), OSError for the file system.
    """
    if options.name is not None:
        _check_free(home, options.name, options.force)
    home.mkdir(parents=True, exist_ok=True)
    # In `home`, so that the last step is a rename; one level too deep to be taken for a bundle meanwhile.
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=home) as temporary:
        archive = _fetch(source, Path(temporary) / "archive", options.sha256, advance)
        folder = _bundle_folder(unpack(archive, Path(temporary) / "unpacked"), source)
        info = bundle.read(folder)
        bundle.verify(folder, info)
        name = options.name or info.name
        target = _check_free(home, name, options.force)
        if target.exists():
            target.rename(Path(temporary) / "replaced")
        return folder.rename(target)


def _check_free(home: Path, name: str, force: bool) -> Path:
    if not NAME.fullmatch(name):
        raise OptionError(f"{name!r} is no name for a model: letters, digits and . _ - are allowed")
    if (home / name).exists() and not force:
        raise OptionError(
            f"{home / name} is installed already; --force replaces it, --name installs beside it"
        )
    return home / name


def _bundle_folder(folder: Path, source: str) -> Path:
    """The bundle at the archive's root, or in its only folder."""
    inside = [path.parent for path in (folder / bundle.MANIFEST, *folder.glob(f"*/{bundle.MANIFEST}"))]
    found = [path for path in inside if (path / bundle.MANIFEST).is_file()]
    if len(found) != 1:
        raise BundleError(f"{source}: expected one {bundle.MANIFEST} in the archive, found {len(found)}")
    return found[0]


def _fetch(source: str, target: Path, sha256: str | None, advance: Advance | None) -> Path:
    """Copy the archive to ``target``, counting bytes and checking its digest."""
    digest = hashlib.sha256()
    with _opened(source, sha256) as (stream, total), target.open("wb") as copy:
        done = 0
        while chunk := stream.read(CHUNK_BYTES):
            done += len(chunk)
            if done > MAX_BYTES:
                raise BundleError(f"{source} is larger than {MAX_BYTES} bytes, the most that is taken")
            digest.update(chunk)
            copy.write(chunk)
            if advance is not None:
                advance(done, total)
    if total is not None and done != total:
        raise BundleError(f"{source}: {done} of {total} bytes came; try again")
    if sha256 is not None and digest.hexdigest() != sha256.lower():
        raise BundleDigestError(f"{source} has SHA-256 {digest.hexdigest()}; {sha256} was expected")
    return target


@contextmanager
def _opened(source: str, sha256: str | None) -> Iterator[tuple[BinaryIO, int | None]]:
    """The archive's bytes and how many they should be."""
    scheme = urlsplit(source).scheme if "://" in source else ""
    if not scheme:
        with Path(source).open("rb") as stream:
            yield stream, Path(source).stat().st_size
        return
    if scheme not in ("http", "https"):
        raise OptionError(f"{source}: cannot pull by {scheme}; give a path or an http or https address")
    if scheme == "http" and sha256 is None:
        raise OptionError(f"{source}: anyone on the way can change what plain http brings; give its --sha256")
    try:
        response = urllib.request.urlopen(source, timeout=TIMEOUT_S)
    except (OSError, ValueError, HTTPException) as error:
        raise BundleError(f"{source} could not be fetched: {error}") from error
    with response:
        if sha256 is None and urlsplit(response.url).scheme != "https":
            raise OptionError(f"{source} leads to {response.url}, which is not https; give its --sha256")
        length = response.headers.get("Content-Length")
        yield response, int(length) if length and length.isdigit() else None
